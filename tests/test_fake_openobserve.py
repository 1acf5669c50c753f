"""The fake OpenObserve's own behaviour, rule by rule; the numbers are sections of the contract it follows.

Spans are sent by the stock exporter, unless a rule is about a request that no exporter makes.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, Optional, Tuple

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from fakes.openobserve import Answer, FakeOpenObserve, FieldNotFound, Limits, SqlError, StreamNotFound

# What OpenInference puts on the span of a successful chat call, in short.
CHAT = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "input.value": '{"messages": [{"role": "user", "content": "Say hello to everybody here"}]}',
    "input.mime_type": "application/json",
    "output.value": '{"choices": []}',
    "output.mime_type": "application/json",
    "llm.invocation_parameters": '{"model": "meta-llama/Llama-3.1-8B-Instruct", "max_tokens": 64, "temperature": 0.1}',
    "llm.input_messages.0.message.role": "user",
    "llm.model_name": "llama3.1-8b",
    "llm.token_count.prompt": 30,
    "llm.token_count.completion": 12,
    "llm.token_count.total": 42,
}
# And on one that failed: no model, no tokens, no output.
FAILED = {
    key: CHAT[key] for key in ("openinference.span.kind", "llm.system", "input.value", "llm.invocation_parameters")
}
ZERO_USAGE = {
    "gen_ai.usage.input_tokens": 0,
    "gen_ai.usage.output_tokens": 0,
    "gen_ai.usage.total_tokens": 0,
    "gen_ai.usage.cost": 0.0,
}


def words(text: str) -> List[str]:
    return text.split()


@pytest.fixture
def server():
    with FakeOpenObserve() as running:
        yield running


@pytest.fixture
def old_server():
    with FakeOpenObserve("0.90.3") as running:
        yield running


def export(
    server: FakeOpenObserve,
    attributes: Mapping[str, Any],
    *,
    resource: Optional[Mapping[str, Any]] = None,
    scope: str = "tests",
    headers: Optional[Mapping[str, str]] = None,
    compression: Compression = Compression.NoCompression,
    start_ns: Optional[int] = None,
    end_ns: Optional[int] = None,
    status: Optional[Status] = None,
    events: Any = (),
    **span_arguments: Any,
) -> None:
    """One span through the SDK and the stock OTLP/HTTP exporter."""
    exporter = OTLPSpanExporter(
        endpoint=server.url + "/api/default/v1/traces",
        headers=dict({"Authorization": server.auth_token}, **(headers or {})),
        compression=compression,
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop"} if resource is None else resource))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer(scope).start_span(
        "ChatCompletion", attributes=attributes, start_time=start_ns, **span_arguments
    )
    for name, event_attributes in events:
        span.add_event(name, event_attributes, timestamp=5)
    if status is not None:
        span.set_status(status)
    span.end(end_ns)
    provider.shutdown()


def exported(server: FakeOpenObserve, attributes: Mapping[str, Any], **arguments: Any) -> Dict[str, Any]:
    """The row that the exported span became."""
    export(server, attributes, **arguments)
    return server.wait_for_rows(1, timeout=5)[-1]


def message(*spans: Mapping[str, Any], attributes: Optional[Mapping[str, str]] = None) -> ExportTraceServiceRequest:
    """A request of one resource, for what an SDK would never send. Each span is valid but for the fields given."""
    built = ExportTraceServiceRequest()
    scope_spans = built.resource_spans.add().scope_spans.add()
    for fields in spans or ({},):
        span = scope_spans.spans.add()
        now = time.time_ns()
        defaults: Dict[str, Any] = {
            "trace_id": b"\x01" * 16,
            "span_id": b"\x02" * 8,
            "name": "by hand",
            "kind": 1,
            "start_time_unix_nano": now,
            "end_time_unix_nano": now,
        }
        for field, value in dict(defaults, **fields).items():
            setattr(span, field, value)
        for key, value in (attributes or {}).items():
            span.attributes.add(key=key).value.string_value = value
    return built


def post(server: FakeOpenObserve, body: Any = None, path: str = "/api/default/v1/traces", **headers: Any):
    """POST with valid headers; a header given as None is left out."""
    if body is None:
        body = message()
    data = body.SerializeToString() if isinstance(body, ExportTraceServiceRequest) else body
    sent = {"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.post(
        server.url + path, data=data, headers={k: v for k, v in sent.items() if v is not None}, timeout=10
    )


def json_body(**fields: Any) -> Dict[str, Any]:
    span = {
        "traceId": "01" * 16,
        "spanId": "02" * 8,
        "name": "by hand",
        "kind": 1,
        "startTimeUnixNano": str(time.time_ns()),
        "endTimeUnixNano": time.time_ns(),
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [dict(span, **fields)]}]}]}


def post_json(server: FakeOpenObserve, body: Any, content_type: str = "application/json"):
    return post(server, body if isinstance(body, str) else json.dumps(body), Content_Type=content_type)


def server_address(server: FakeOpenObserve) -> Tuple[str, int]:
    return "127.0.0.1", int(server.url.rsplit(":", 1)[1])


def get(server: FakeOpenObserve, path: str, authorized: bool = True):
    headers = {"Authorization": server.auth_token} if authorized else {}
    return requests.get(server.url + path, headers=headers, timeout=10)


# -- 1.1: routes, content types, encodings, stream and organization headers


@pytest.mark.parametrize("path", ["/api/default/v1/traces", "/api/default/traces", "/api/default/otel/v1/traces"])
@pytest.mark.parametrize("base_path", ["", "/o2/prefix"])
def test_three_paths_lead_to_ingest_under_the_base_path(base_path, path):
    with FakeOpenObserve(base_path=base_path) as server:
        answer = post(server, path=path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert len(server.rows()) == 1
        assert server.environment["OPENOBSERVE_URL"].endswith(base_path)


def test_nothing_stands_outside_the_base_path():
    with FakeOpenObserve(base_path="o2") as server:
        outside = server.url[: -len("/o2")]
        assert requests.get(outside + "/config", timeout=5).status_code == 404
        assert requests.get(server.url + "/config", timeout=5).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/default/v1/logs", "/api/default/v2/traces", "/v1/traces", "/api/default/v1/traces/"]
)
def test_other_paths_do_not_exist(server, path):
    assert post(server, path=path).status_code == 404


@pytest.mark.parametrize(
    "content_type",
    [None, "application/x-protobuf; charset=utf-8", "Application/x-protobuf", "application/octet-stream", "text/json"],
)
def test_content_type_is_compared_as_text(server, content_type):
    answer = post(server, Content_Type=content_type)
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": "Bad Request"})
    assert server.rows() == []


def test_json_content_type_may_have_parameters(server):
    assert post_json(server, json_body(), "application/json; charset=utf-8").status_code == 200


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    ],
)
def test_content_encodings(server, encoding, compress):
    plain = message().SerializeToString()
    assert post(server, compress(plain), Content_Encoding=encoding).status_code == 200
    [request] = server.requests
    assert (request.decoded_size, request.spans, request.status) == (len(plain), 1, 200)
    assert request.body == compress(plain) or encoding == "gzip"  # gzip headers hold the time


@pytest.mark.parametrize("encoding", ["br", "zstd", "lz4", "gzip, gzip"])
def test_unknown_content_encoding(server, encoding):
    assert post(server, Content_Encoding=encoding).status_code == 415


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"x" * 999, mtime=0)[:-9]),
        ("gzip", gzip.compress(b"", mtime=0)[:-4]),
        ("deflate", gzip.compress(b"", mtime=0)),
        # 1.1: the label is taken off, the bytes are not decompressed.
        ("snappy", b"\xff\x06\x00\x00sNaPpY"),
    ],
    ids=["gzip-not-gzip", "gzip-cut-short", "gzip-no-trailer", "deflate-but-gzip", "snappy"],
)
def test_body_that_does_not_decompress(server, encoding, body):
    assert post(server, body, Content_Encoding=encoding).status_code == 400


def test_size_limit_counts_decompressed_bytes():
    with FakeOpenObserve(limits=Limits(payload_bytes=1000)) as server:
        large = gzip.compress(message(attributes={"a": "x" * 1000}).SerializeToString())
        assert len(large) < 1000
        assert post(server, large, Content_Encoding="gzip").status_code == 413
        assert post(server).status_code == 200


@pytest.mark.parametrize(
    ("header", "stream"),
    [(None, "default"), ("My Traces--2", "my_traces_2"), ("a:b_C", "a:b_c"), ("é.x", "_x")],
)
def test_stream_name(server, header, stream):
    assert post(server, stream_name=header and header.encode("latin-1")).status_code == 200
    assert server.streams() == [stream]
    assert len(server.rows(stream)) == 1


def test_organization_header_overrides_the_url(server):
    assert post(server, organization="other").status_code == 200
    assert (len(server.rows()), len(server.rows(org="other"))) == (0, 1)


def test_chunked_body(server):
    assert post(server, iter([message().SerializeToString()[:10], message().SerializeToString()[10:]])).ok
    assert len(server.rows()) == 1


# -- 1.2, 1.3: credentials


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        _basic("root@example.com:wrong"),
        _basic("other@example.com:Complexpass#123"),
        _basic("no colon"),
        "Basic not*base64",
        "Basic",
        "Bearer " + _basic("root@example.com:Complexpass#123")[6:],
        _basic("root@example.com:Complexpass#123")[6:],
    ],
)
def test_wrong_credentials_are_answered_in_plain_text(server, authorization):
    answer = post(server, Authorization=authorization)
    assert (answer.status_code, answer.text) == (401, "Unauthorized Access")
    assert "www-authenticate" in answer.headers
    assert server.rows() == []


def test_no_credentials_are_answered_in_json(server):
    answer = post(server, Authorization=None)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Unauthorized Access"})
    assert "www-authenticate" not in answer.headers


def test_ingestion_token_works_on_write_routes_only(server):
    assert post(server, Authorization=server.ingestion_auth_token).status_code == 200
    search = post(server, b"{}", "/api/default/_search?type=traces", Authorization=server.ingestion_auth_token)
    assert search.status_code == 401


def test_root_creates_an_organization_by_ingesting(server):
    assert get(server, "/api/new/streams?type=traces").status_code == 404
    assert post(server, path="/api/new/v1/traces").status_code == 200
    assert get(server, "/api/new/streams?type=traces").status_code == 200
    assert len(server.rows(org="new")) == 1


def test_unknown_organization_of_an_ordinary_user():
    with FakeOpenObserve(root=False) as server:
        assert post(server, path="/api/new/v1/traces").status_code == 401
        assert post(server).status_code == 200


# -- 1.3, 1.4: rejected spans, refused requests

HOUR = 3600 * 10**9


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({"start_time_unix_nano": 1000 * HOUR - 5 * HOUR}, 1),
        ({"start_time_unix_nano": 1000 * HOUR - 5 * HOUR - 1000}, 0),
        ({"start_time_unix_nano": 1000 * HOUR + 24 * HOUR}, 1),
        ({"start_time_unix_nano": 1000 * HOUR + 24 * HOUR + 1000}, 0),
        # The start alone decides: a span of six hours that has just ended is too old.
        ({"start_time_unix_nano": 994 * HOUR, "end_time_unix_nano": 1000 * HOUR}, 0),
        ({"start_time_unix_nano": 1000 * HOUR, "end_time_unix_nano": 0}, 1),
        ({"start_time_unix_nano": 0}, 0),
        ({"trace_id": b"\x01" * 15}, 0),
        ({"trace_id": b""}, 0),
        ({"span_id": b"\x01" * 9}, 0),
        ({"parent_span_id": b"\x01" * 8}, 1),
        ({"parent_span_id": b"\x01" * 4}, 0),
    ],
)
def test_spans_are_rejected_one_by_one(fields, stored):
    with FakeOpenObserve(now=lambda: 1000 * 3600) as server:
        good = {"start_time_unix_nano": 1000 * HOUR, "name": "good"}
        answer = post(server, message(good, dict(good, name="tested", **fields)))
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert (answer.status_code, partial.rejected_spans) == (200, 1 - stored)
        assert partial.error_message == (
            "" if stored else "Some spans were rejected due to exceeding the allowed retention period"
        )
        assert [row["operation_name"] for row in server.rows()] == ["good", "tested"][: 1 + stored]


def test_window_can_be_widened_by_the_operator():
    with FakeOpenObserve(limits=Limits(ingest_allowed_upto_h=48)) as server:
        post(server, message({"start_time_unix_nano": time.time_ns() - 40 * HOUR}))
        assert len(server.rows()) == 1


def test_all_rejected_creates_no_stream(server):
    post(server, message({"start_time_unix_nano": 1}))
    assert server.streams() == []


def test_rejection_in_json_is_206(server):
    answer = post_json(server, json_body(startTimeUnixNano=1))
    assert answer.status_code == 206
    assert int(answer.json()["partialSuccess"]["rejectedSpans"]) == 1
    assert "retention period" in answer.json()["partialSuccess"]["errorMessage"]


def test_undecodable_protobuf(server):
    answer = post(server, message().SerializeToString()[:-3])
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert answer.json()["message"].startswith("Invalid proto: ")


@pytest.mark.parametrize(("spare", "status"), [(0, 200), (1, 400)])
def test_a_thousand_columns_in_the_batch_and_not_one_more(server, spare, status):
    post(server, message())
    fixed = len(server.columns())
    half = (1000 - fixed) // 2
    batch = message({"span_id": b"\x03" * 8}, attributes={f"a{i}": "" for i in range(half)})
    other = message({"span_id": b"\x04" * 8}, attributes={f"b{i}": "" for i in range(1000 - fixed - half + spare)})
    batch.MergeFrom(other)
    answer = post(server, batch)
    assert answer.status_code == status
    assert len(server.rows()) == (3 if status == 200 else 1)
    if status == 400:
        assert answer.json()["message"].startswith("error while writing trace data: Got 1001 columns")
        assert "1001 columns" in answer.headers["x-error-message"]


# -- 1.1: OTLP/JSON


def test_json_is_read_like_protobuf(server):
    value = {
        "arrayValue": {"values": [{"stringValue": "stop"}, {"intValue": "7"}]},
    }
    body = json_body(
        attributes=[
            {"key": "list", "value": value},
            {"key": "number", "value": {"intValue": 5}},
            {"key": "yes", "value": {"boolValue": True}},
            {"key": "raw", "value": {"bytesValue": base64.b64encode(b"abc").decode()}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}}},
            {"key": "none", "value": {}},
        ],
        parentSpanId="03" * 8,
        status={"code": 2, "message": "boom"},
        events=[{"name": "exception", "timeUnixNano": "7"}],
        links=[{"traceId": "04" * 16, "spanId": "05" * 8}],
    )
    answer = post_json(server, body)
    assert (answer.status_code, answer.json()) == (200, {"partialSuccess": None})
    [row] = server.rows()
    assert (row["list"], row["number"], row["yes"], row["raw"], row["map_a"]) == (
        '["stop","7"]',
        "5",
        "true",
        "abc",
        "1",
    )
    assert (row["span_status"], row["status_message"]) == ("ERROR", "boom")
    assert (row["trace_id"], row["reference_parent_span_id"]) == ("01" * 16, "03" * 8)
    assert json.loads(row["events"])[0] == {"name": "exception", "_timestamp": 7}
    assert json.loads(row["links"])[0]["context"]["traceId"] == "04" * 16
    assert "none" not in row


def _attribute(**value: Any) -> Dict[str, Any]:
    return json_body(attributes=[{"key": "a", "value": value}])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "Invalid json"),
        ("[]", "Invalid json"),
        ("{}", "missing field"),
        ({"resource_spans": []}, "missing field"),
        (_attribute(doubleValue=0.5), "doubleValue"),
        (_attribute(doubleValue=1), "doubleValue"),
        ('{"resourceSpans": NaN}', "Invalid json"),
        (_attribute(boolValue="true"), "boolValue"),
        (_attribute(intValue=1.5), "intValue"),
        (_attribute(stringValue=1), "stringValue"),
        (json_body(traceId="not hexadecimal"), "Invalid json"),
        (json_body(kind="SPAN_KIND_CLIENT"), "Invalid json"),
        (json_body(startTimeUnixNano=-1), "Invalid json"),
        (json_body(links=[{"traceId": "04", "spanId": "05" * 8}]), "link"),
        (json_body(attributes={}), "attributes"),
        (json_body(attributes=["a"]), "Invalid json"),
    ],
)
def test_json_that_is_refused_as_a_whole(server, body, reason):
    answer = post_json(server, body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Invalid json: ")
    assert reason in answer.json()["message"]
    assert server.rows() == []


# -- 2: record shape


@pytest.mark.parametrize(
    ("attributes", "columns"),
    [
        ({"n": 30, "zero": 0, "negative": -7}, {"n": "30", "zero": "0", "negative": "-7"}),
        ({"f": 0.1, "whole": 1.0, "tiny": 1e-07}, {"f": "0.1", "whole": "1", "tiny": "0.0000001"}),
        ({"yes": True, "no": False}, {"yes": "true", "no": "false"}),
        ({"empty": ""}, {"empty": ""}),
        (
            {"list": ["stop"], "floats": [0.1, 0.2], "none": []},
            {"list": '["stop"]', "floats": '["0.1","0.2"]', "none": None},
        ),
        ({"Http.Status-Code": 200, "ümlaut": 1}, {"http_status_code": "200", "_mlaut": "1"}),
        (
            {"duration": "x", "events": "y", "_timestamp": "z"},
            {"attr_duration": "x", "attr_events": "y", "attr__timestamp": "z"},
        ),
        (
            {"service.name": "evil", "Trace.ID": "x"},
            {"attr_service_name": "evil", "service_name": "shop", "attr_trace_id": "x"},
        ),
        ({"service.host": "mine"}, {"attr_service_host": "mine", "service_host": "h1"}),
        (
            {"status_code": "99", "status.message": "x"},
            {"status_code": 0, "status_message": "", "attr_status_code": None},
        ),
    ],
)
def test_attributes_become_columns(server, attributes, columns):
    row = exported(server, attributes, resource={"service.name": "shop", "host": "h1"})
    assert {column: row.get(column) for column in columns} == columns
    assert server.collisions == []


def test_all_sixteen_reserved_names_are_protected_and_only_from_0_91_on(server, old_server):
    reserved = words(
        "trace_id span_id flags span_status span_kind operation_name start_time end_time duration service_name "
        "infer_service_name infer_service_type infer_service_system events links _timestamp"
    )
    row = exported(server, dict.fromkeys(reserved, "mine"))
    assert [name for name in reserved if row.get("attr_" + name) != "mine" or row.get(name) == "mine"] == []
    assert server.collisions == []

    row = exported(old_server, dict.fromkeys(reserved, "mine"))
    assert sorted(name for name in reserved if "attr_" + name in row) == [
        "_timestamp",
        "duration",
        "end_time",
        "start_time",
    ]
    assert row["operation_name"] == "mine"
    assert any("operation_name" in sentence for sentence in old_server.collisions)


def test_nested_maps_flatten_and_bytes_are_text(server):
    body = message()
    pair = body.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="a.b")
    inner = pair.value.kvlist_value.values.add(key="C-d")
    inner.value.int_value = 5
    pair.value.kvlist_value.values.add(key="empty").value.kvlist_value.SetInParent()
    attributes = body.resource_spans[0].scope_spans[0].spans[0].attributes
    attributes.add(key="text").value.bytes_value = "é".encode()
    attributes.add(key="bytes").value.bytes_value = b"\xff"
    post(server, body)
    [row] = server.rows()
    assert (row["a_b_c_d"], row["text"], row["bytes"]) == ("5", "é", "")
    assert [column for column in row if "empty" in column] == []


def test_two_attributes_in_one_column_are_noted(server):
    exported(server, {"a.b": "1", "a_b": "2"})
    assert len(server.collisions) == 1
    assert "a_b" in server.collisions[0]


def test_fixed_columns(server):
    start = time.time_ns() - 10**9
    link = Link(SpanContext(5, 6, is_remote=True), {"reason": "retry"})
    before_us = time.time_ns() // 1000
    row = exported(
        server,
        {},
        start_ns=start,
        end_ns=start + 1234567,
        kind=SpanKind.CLIENT,
        links=[link],
        events=[("exception", {"exception.type": "RateLimitError", "count": 2})],
        status=Status(StatusCode.ERROR, "boom"),
    )
    assert row["_o2_ingest_ts"] >= before_us
    assert json.loads(row.pop("events")) == [
        {"name": "exception", "_timestamp": 5, "exception.type": "RateLimitError", "count": "2"}
    ]
    [found] = json.loads(row.pop("links"))
    assert found["context"]["traceId"] == "5".zfill(32)
    assert (found["context"]["spanId"], found["reason"], found["droppedAttributesCount"]) == ("6".zfill(16), "retry", 0)
    assert len(row.pop("trace_id")) == 32
    assert len(row.pop("span_id")) == 16
    del row["_o2_ingest_ts"]
    assert row == {
        "flags": 1,
        "span_status": "ERROR",
        "span_kind": "3",
        "operation_name": "ChatCompletion",
        "start_time": start,
        "end_time": start + 1234567,
        "duration": 1234,
        "service_name": "shop",
        "_timestamp": start // 1000,
        "status_code": 2,
        "status_message": "boom",
    }
    columns = server.columns()
    assert (columns["start_time"], columns["_timestamp"], columns["span_kind"]) == ("UInt64", "Int64", "Utf8")


@pytest.mark.parametrize(("status", "column"), [(None, "UNSET"), (Status(StatusCode.OK), "OK")])
def test_span_status(server, status, column):
    assert exported(server, {}, status=status)["span_status"] == column


def test_duration_wraps_when_the_end_is_before_the_start(server):
    now = time.time_ns()
    post(server, message({"start_time_unix_nano": now, "end_time_unix_nano": now - 1000}))
    assert server.rows()[0]["duration"] == (2**64 - 1000) // 1000


def test_resource_columns(server):
    row = exported(
        server,
        {},
        resource={"service.name": "shop", "deployment.environment": "prod", "service.version": "1", "name": "n"},
    )
    assert (row["service_name"], row["service_attr_name"]) == ("shop", "n")
    assert (row["service_deployment_environment"], row["service_service_version"]) == ("prod", "1")
    assert "service_service_name" not in row


def test_service_name_falls_back_to_the_stream_then_to_the_resource_before(server):
    body = message({"name": "first"})
    named = message({"name": "second"})
    named.resource_spans[0].resource.attributes.add(key="service.name").value.string_value = "shop"
    body.MergeFrom(named)
    body.MergeFrom(message({"name": "third"}))
    post(server, body, stream_name="traces2")
    assert [row["service_name"] for row in server.rows("traces2")] == ["traces2", "shop", "shop"]


@pytest.mark.parametrize(
    ("kind", "attributes", "dependency"),
    [
        (SpanKind.CLIENT, {"server.address": "router.huggingface.co"}, "router.huggingface.co"),
        (SpanKind.CLIENT, {"peer.service": "hub", "server.address": "router.huggingface.co"}, "hub"),
        (SpanKind.PRODUCER, {"url.full": "https://api.example.com:8443/v1"}, "api.example.com"),
        (SpanKind.CLIENT, {"http.host": "example.com:80"}, "example.com"),
        (SpanKind.CLIENT, {"server.address": "10.0.0.1"}, None),
        (SpanKind.INTERNAL, {"server.address": "router.huggingface.co"}, None),
    ],
)
def test_dependency_of_a_client_span(server, old_server, kind, attributes, dependency):
    row = exported(server, attributes, kind=kind)
    assert row.get("infer_service_name") == dependency
    assert row.get("infer_service_type") == ("external" if dependency else None)
    assert "infer_service_name" not in exported(old_server, attributes, kind=kind)


# -- 3: LLM enrichment, 0.91 and newer


def test_openinference_span_on_a_new_server(server):
    row = exported(server, CHAT)
    assert {
        key: row.get(key) for key in row if key.startswith(("gen_ai", "llm", "openinference", "input", "output"))
    } == {
        "gen_ai_operation_name": "chat",
        "gen_ai_response_model": "llama3.1-8b",
        "gen_ai_request_max_tokens": "64",
        "gen_ai_request_temperature": "0.1",
        "gen_ai_input_messages": CHAT["input.value"],
        "gen_ai_output_messages": CHAT["output.value"],
        "gen_ai_usage_input_tokens": 30,
        "gen_ai_usage_output_tokens": 12,
        "gen_ai_usage_total_tokens": 42,
        "gen_ai_usage_cost": 0.0,
        "input_mime_type": "application/json",
        "output_mime_type": "application/json",
        "llm_invocation_parameters": CHAT["llm.invocation_parameters"],
        "llm_model_name": "llama3.1-8b",
        "llm_system": "openai",
        "llm_token_count_prompt": "30",
        "llm_token_count_completion": "12",
        "llm_token_count_total": "42",
        "openinference_span_kind": "LLM",
    }
    assert server.collisions == []


GATE = words(
    "gen_ai.operation.name gen_ai.request.model gen_ai.input.messages gen_ai.agent.name gen_ai.agent.id "
    "llm.request.type ai.model.id ai.prompt ai.prompt.messages llm.model_name langfuse.observation.type "
    "openinference.span.kind agent.name tool.name tool_call.function.name gcp.vertex.agent.name crewai.task.agent "
    "crewai.task.tools langchain.tool.name gcp.vertex.agent.llm_request prompt mlflow.spanInputs "
    "traceloop.span.kind input input.value"
)
NOT_GATE = words(
    "gen_ai.response.model gen_ai.provider.name gen_ai.system gen_ai.usage.input_tokens llm.system session.id "
    "service.version http.request.method"
)


@pytest.mark.parametrize(("keys", "is_llm"), [(GATE, True), (NOT_GATE, False)])
def test_gate(server, keys, is_llm):
    for key in keys:
        export(server, {key: "x"})
    rows = server.wait_for_rows(len(keys))
    assert [key for key, row in zip(keys, rows) if ("gen_ai_operation_name" in row) is not is_llm] == []
    assert server.is_llm_stream() is is_llm


def test_scope_ai_is_a_gate_too(server):
    assert exported(server, {}, scope="ai")["gen_ai_operation_name"] == "chat"


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "retrieval", "openinference.span.kind": "LLM"}, "retrieval"),
        ({"gen_ai.operation.name": "invented", "openinference.span.kind": "LLM"}, "chat"),
        ({"llm.request.type": "completion"}, "text_completion"),
        ({"llm.request.type": "embedding", "openinference.span.kind": "LLM"}, "embeddings"),
        ({"openinference.span.kind": "CHAIN"}, "chain"),
        ({"openinference.span.kind": "AGENT"}, "invoke_agent"),
        ({"openinference.span.kind": "TOOL"}, "execute_tool"),
        ({"openinference.span.kind": "EMBEDDING", "llm.model_name": "m"}, "embeddings"),
        ({"langfuse.observation.type": "GENERATION"}, "chat"),
        ({"agent.name": "a", "gen_ai.tool.name": "t", "gen_ai.request.model": "m"}, "execute_tool"),
        ({"agent.name": "a", "gen_ai.response.model": "m"}, "chat"),
        # 0.8: identity on a span that calls no model makes it an LLM span all the same.
        ({"gen_ai.agent.name": "a"}, "span"),
    ],
)
def test_operation_name(server, attributes, operation):
    row = exported(server, attributes)
    assert row["gen_ai_operation_name"] == operation
    assert row["gen_ai_usage_cost"] == 0.0


@pytest.mark.parametrize(
    ("attributes", "resource", "columns"),
    [
        (
            {"llm.model_name": "r", "gen_ai.request.model": "q"},
            {},
            {"gen_ai_response_model": "q", "gen_ai_request_model": "q"},
        ),
        ({"gen_ai.response.model": "r", "gen_ai.request.model": "q"}, {}, {"gen_ai_response_model": "r"}),
        ({"input.value": "x", "model": ["r"], "llm.model_name": "m"}, {}, {"gen_ai_response_model": "m"}),
        ({"input.value": "x", "llm.model_name": ["m"], "model": "r"}, {}, {"gen_ai_response_model": None}),
        ({"input.value": "x", "llm.system": "openai", "llm.provider": "p"}, {}, {"gen_ai_provider_name": None}),
        ({"input.value": "x", "gen_ai.system": "hf"}, {}, {"gen_ai_provider_name": "hf"}),
        (
            {"input.value": "x", "session.id": "s", "gen_ai.conversation.id": "c"},
            {},
            {"gen_ai_conversation_id": "s", "session_id": "s"},
        ),
        ({"input.value": "x"}, {"session.id": "s", "user.id": "u"}, {"gen_ai_conversation_id": "s", "user_id": "u"}),
        ({"input.value": "x", "user.id": "mine"}, {"user.id": "u"}, {"user_id": "mine", "service_user_id": "u"}),
        (
            {"input.value": "x"},
            {"service.version": "2", "deployment.environment": "prod"},
            {"gen_ai_agent_version": "2", "deployment_environment_name": "prod"},
        ),
        ({"input.value": "x"}, {"service.name": "shop"}, {"gen_ai_agent_name": None}),
        # Only some sources are looked for on the resource too.
        (
            {"input.value": "x"},
            {"gen_ai.system": "hf", "tool.name": "t"},
            {"gen_ai_provider_name": None, "gen_ai_tool_name": None},
        ),
        ({"tool.name": "t"}, {}, {"gen_ai_tool_name": "t", "tool_name": "t"}),
        ({"http.method": "GET"}, {"user.id": "u"}, {"user_id": None}),
        # Only llm.invocation_parameters if present; key model is skipped.
        (
            {"llm.invocation_parameters": '{"model": "q", "stop": ["a"], "stream": true}', "input.value": "x"},
            {},
            {"gen_ai_request_model": None, "gen_ai_request_stop": '["a"]', "gen_ai_request_stream": "true"},
        ),
        (
            {"llm.invocation_parameters": "no json", "model_config": '{"top_k": 1}', "input.value": "x"},
            {},
            {"gen_ai_request_top_k": None},
        ),
        (
            {"llm.invocation_parameters": '{"max_tokens": 1}', "gen_ai.request.max_tokens": 2, "input.value": "x"},
            {},
            {"gen_ai_request_max_tokens": "1"},
        ),
        (
            {"langfuse.observation.completion_start_time": "1970-01-01T00:00:09Z", "input": "x"},
            {},
            {"gen_ai_response_time_to_first_chunk": 9.0},
        ),
    ],
)
def test_derived_attributes(server, attributes, resource, columns):
    row = exported(server, attributes, resource=resource)
    assert {column: row.get(column) for column in columns} == columns


@pytest.mark.parametrize(
    ("attributes", "io"),
    [
        ({"gen_ai.input.messages": "i", "gen_ai.output.messages": "o", "input.value": "x"}, ("i", "o")),
        # A rule takes both sides: the output of another rule is lost with it.
        ({"gen_ai.input.messages": "i", "output.value": "o"}, ("i", None)),
        ({"gen_ai.output.messages": "o", "input.value": "i"}, ("i", None)),
        ({"llm.model_name": "m", "gen_ai.output.messages": "o"}, (None, None)),
        ({"llm.model_name": "m", "output.value": "o"}, (None, None)),
        ({"input.value": "i", "output.value": "o", "input": "x", "output": "y"}, ("i", "o")),
        ({"prompt": "p", "input.value": "i", "output.value": "o"}, ("p", None)),
        ({"llm.model_name": "m", "llm.output_messages.0.role": "a"}, (None, '[{"role":"a"}]')),
        (
            {"llm.input_messages.1.c": "b", "llm.input_messages.0.c": "a", "llm.model_name": "m"},
            ('[{"c":"a"},{"c":"b"}]', None),
        ),
        # The traps of 0.10 and 3.4.
        ({"gen_ai.prompt.name": "n", "gen_ai.input.messages": "i"}, ('{"name":"n"}', None)),
        (
            {"gen_ai.completion_start_time": 1, "gen_ai.input.messages": "i", "gen_ai.output.messages": "o"},
            (None, None),
        ),
        ({"traceloop.entity.input": "i", "gen_ai.prompt.name": "n", "input": "x"}, ("i", None)),
        (
            {"input": "x", "events": '[{"event.name": "gen_ai.choice", "a": 1}]'},
            (None, '[{"event.name":"gen_ai.choice","a":1}]'),
        ),
    ],
)
def test_input_and_output(server, attributes, io):
    row = exported(server, attributes)
    assert (row.get("gen_ai_input_messages"), row.get("gen_ai_output_messages")) == io


def test_messages_in_events_win(server):
    events = [("gen_ai.user.message", {"content": "hi"}), ("gen_ai.choice", {"content": "yo"})]
    row = exported(server, {"input.value": "x"}, events=events)
    assert json.loads(row["gen_ai_input_messages"]) == [{"role": "user", "content": "hi"}]
    assert json.loads(row["gen_ai_output_messages"]) == [{"content": "yo"}]


def test_io_attributes_are_deleted_from_llm_spans_only(server):
    deleted = {
        "output.value": "1",
        "output": "1",
        "events": "[]",
        "tool_arguments": "1",
        "gen_ai.prompt.0.content": "1",
        "gen_ai.completion_tokens": "1",
        "llm.input_messages.0.message.content": "1",
        "llm.output_messages.0.message.content": "1",
    }
    kept = {
        "input.mime_type": "1",
        "llm.prompts": "1",
        # Only the literal name with underscores survives, 4.
        "gen_ai_completion_start_time": "1",
        "gen_ai.tool.call.arguments": "1",
    }
    columns = {key.replace(".", "_") for key in deleted}
    row = exported(server, dict(deleted, **kept, **{"openinference.span.kind": "LLM"}))
    assert columns & set(row) == {"events"}  # the fixed column of that name
    assert "attr_events" not in row
    assert {key.replace(".", "_") for key in kept} <= set(row)

    export(server, {key: value for key, value in deleted.items() if key != "events"})
    assert columns <= set(server.wait_for_rows(2)[-1])


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        # input, output, total, cache_read
        ({"llm.token_count.prompt": 3, "llm.token_count.completion": 4, "llm.token_count.total": 99}, (3, 4, 7, None)),
        ({"gen_ai.usage.prompt_tokens": 3, "llm.token_count.prompt": 5}, (5, 0, 5, None)),
        ({"gen_ai.usage.prompt_tokens": 3, "llm.token_count.prompt": -5}, (3, 0, 3, None)),
        # What the client sent stays in its column; the total is computed from what was derived.
        ({"gen_ai.usage.input_tokens": 3, "llm.token_count.prompt": 5}, (3, 0, 5, None)),
        ({"gen_ai.usage.total_tokens": 50, "llm.token_count.prompt": 5}, (5, 0, 50, None)),
        ({"gen_ai.usage.input_tokens": "many"}, (0, 0, 0, None)),
        ({"cache_read_input_tokens": 2, "llm.token_count.prompt": 5}, (5, 0, 7, 2)),
        ({"llm.token_count.prompt_details.cache_read": 2, "llm.token_count.prompt": 5}, (5, 0, 5, None)),
        (
            {"langfuse.observation.usage_details": '{"input": 8, "output": 9}', "llm.token_count.prompt": 5},
            (8, 9, 17, None),
        ),
    ],
)
def test_usage(server, attributes, usage):
    row = exported(server, dict(attributes, **{"llm.model_name": "m"}))
    columns = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens")
    assert tuple(row.get("gen_ai_usage_" + column) for column in columns) == usage
    assert all(server.columns()["gen_ai_usage_" + column] == "Int64" for column in columns)


@pytest.mark.parametrize(
    ("attributes", "estimated"),
    [
        (FAILED, True),
        # A stream without usage: the answer is counted too.
        (dict(FAILED, **{"output.value": "a"}), True),
        (dict(FAILED, **{"llm.token_count.prompt": 0}), True),
        (dict(FAILED, **{"llm.token_count.prompt": 7}), False),
        ({key: value for key, value in FAILED.items() if key != "input.value"}, False),
        (dict(FAILED, **{"openinference.span.kind": "CHAIN"}), False),
        (dict(FAILED, **ZERO_USAGE), False),
    ],
)
def test_phantom_estimate(server, attributes, estimated):
    row = exported(server, attributes)
    assert (row["gen_ai_usage_input_tokens"] not in (0, 7)) is estimated
    assert (row["gen_ai_usage_total_tokens"] not in (0, 7)) is estimated
    assert (row["gen_ai_usage_output_tokens"] > 0) is ("output.value" in attributes)


@pytest.mark.parametrize(("version", "kept"), [("0.91.0", False), ("0.92.2", True), ("v0.93.0", True)])
def test_usage_of_the_client_is_overwritten_by_0_91_alone(version, kept):
    with FakeOpenObserve(version) as server:
        row = exported(server, dict(FAILED, **ZERO_USAGE))
        assert (row["gen_ai_usage_input_tokens"] == 0) is kept
        row = exported(server, dict(CHAT, **{"gen_ai.usage.input_tokens": 1, "gen_ai.usage.cost": "0.25"}))
        assert row["gen_ai_usage_input_tokens"] == (1 if kept else 30)
        assert row["gen_ai_usage_cost"] == 0.25


def test_fourteen_columns_are_numbers(server):
    names = {
        "Int64": "input_tokens output_tokens total_tokens cache_read.input_tokens cache_creation.input_tokens",
        "Float64": "cost cost.input cost.output cost.cache_read.input cost.cache_creation.input "
        "cost.estimated_without_cache cost.cache_read_savings cost.net_cache_impact",
    }
    expected = {name: type_name for type_name, group in names.items() for name in group.split()}
    attributes = {"gen_ai.usage." + name: "7" for name in expected}
    attributes["gen_ai.response.time_to_first_chunk"] = "none"
    # On a span that is not an LLM span as well.
    row = exported(server, attributes)
    for name, type_name in expected.items():
        column = "gen_ai_usage_" + name.replace(".", "_")
        assert (column, row[column], server.columns()[column]) == (column, 7, type_name)
    assert row["gen_ai_response_time_to_first_chunk"] == 0.0
    assert server.columns()["gen_ai_response_time_to_first_chunk"] == "Float64"
    assert not server.is_llm_stream()


def test_first_llm_span_provisions_columns(server):
    exported(server, {"openinference.span.kind": "CHAIN"})
    assert server.sql('SELECT gen_ai_response_model, gen_ai_usage_cost_input FROM "default"') == [
        {"gen_ai_response_model": None, "gen_ai_usage_cost_input": None}
    ]
    for missing in ("gen_ai_request_model", "gen_ai_tool_name"):
        with pytest.raises(FieldNotFound):
            server.sql(f'SELECT {missing} FROM "default"')


# -- 3.5: 0.90 and older


def test_openinference_span_on_an_old_server(old_server):
    row = exported(old_server, CHAT)
    assert {
        key: row.get(key) for key in row if key.startswith(("gen_ai", "llm_observation", "llm_usage", "llm_request"))
    } == {
        "gen_ai_response_model": "llama3.1-8b",
        "llm_observation_type": "GENERATION",
        "llm_request_parameters_model": "meta-llama/Llama-3.1-8B-Instruct",
        "llm_request_parameters_max_tokens": "64",
        "llm_request_parameters_temperature": "0.1",
        "llm_usage_tokens_input": 30,
        "llm_usage_tokens_output": 12,
        "llm_usage_tokens_total": 42,
    }
    assert old_server.columns()["llm_usage_tokens_total"] == "Int64"
    assert old_server.is_llm_stream()


@pytest.mark.parametrize(
    ("kind", "observation"),
    [("LLM", "GENERATION"), ("EMBEDDING", "EMBEDDING"), ("AGENT", "AGENT"), ("TOOL", "TOOL"), ("CHAIN", "SPAN")],
)
def test_old_observation_types(old_server, kind, observation):
    assert exported(old_server, {"openinference.span.kind": kind})["llm_observation_type"] == observation


def test_old_server_neither_estimates_nor_makes_numbers_of_gen_ai_columns(old_server):
    row = exported(old_server, dict(FAILED, **ZERO_USAGE))
    assert (row["gen_ai_usage_input_tokens"], old_server.columns()["gen_ai_usage_input_tokens"]) == ("0", "Utf8")
    assert "llm_usage_tokens_input" not in row


def test_same_strings_sent_to_an_old_server_are_harmless(old_server):
    sent = {
        "llm.observation.type": "GENERATION",
        "llm.request.parameters.model": "meta-llama/Llama-3.1-8B-Instruct",
        "llm.request.parameters.max_tokens": 64,
    }
    row = exported(old_server, dict(CHAT, **sent))
    assert row["llm_request_parameters_max_tokens"] == "64"
    assert old_server.collisions == []


def test_usage_tokens_sent_as_text_widen_an_old_servers_column_for_good(old_server):
    exported(old_server, CHAT)
    query = 'SELECT sum(llm_usage_tokens_input) AS tokens FROM "default"'
    assert old_server.sql(query) == [{"tokens": 30}]

    export(old_server, dict(CHAT, **{"llm.usage.tokens.input": 30}))
    assert old_server.columns()["llm_usage_tokens_input"] == "Utf8"
    assert len(old_server.collisions) == 1
    # An honest row after that does not narrow it again.
    export(old_server, CHAT)
    rows = old_server.wait_for_rows(3)
    assert [row["llm_usage_tokens_input"] for row in rows] == ["30", "30", "30"]
    assert old_server.columns()["llm_usage_tokens_output"] == "Int64"
    with pytest.raises(SqlError, match="CAST"):
        old_server.sql(query)
    assert old_server.sql('SELECT sum(CAST(llm_usage_tokens_input AS BIGINT)) AS tokens FROM "default"') == [
        {"tokens": 90}
    ]


def test_the_same_widening_after_an_upgrade(old_server):
    exported(old_server, CHAT)
    old_server.version = "0.93.0"
    assert get(old_server, "/config").json()["version"] == "0.93.0"
    export(old_server, dict(CHAT, **{"llm.usage.tokens.input": 30}))
    assert old_server.rows()[-1]["gen_ai_operation_name"] == "chat"
    assert old_server.columns()["llm_usage_tokens_input"] == "Utf8"


@pytest.mark.parametrize("version", ["0.70.1", "newest"])
def test_versions_nobody_described(version):
    with pytest.raises(ValueError):
        FakeOpenObserve(version)


# -- 6.1: reading


def search(server: FakeOpenObserve, sql: str, stream_type: str = "traces", **changes: Any):
    now = time.time_ns() // 1000
    query = {"sql": sql, "start_time": now - 10**9, "end_time": now + 10**6, "from": 0, "size": 100}
    query.update(changes)
    return post(server, json.dumps({"query": query}), f"/api/default/_search?type={stream_type}")


def test_search(server):
    for tokens in (1, 2, 3):
        export(server, {"llm.model_name": "m", "llm.token_count.prompt": tokens})
    answer = search(
        server, 'SELECT llm_token_count_prompt AS t, gen_ai_provider_name FROM "default" ORDER BY t', size=2
    )
    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in ("hits", "total", "from", "size")} == {
        "hits": [{"t": "1"}, {"t": "2"}],
        "total": 3,
        "from": 0,
        "size": 2,
    }
    assert search(server, 'SELECT * FROM "default"', start_time=1, end_time=2).json()["hits"] == []
    [hit] = search(server, """SELECT count(*) AS n FROM "default" WHERE str_match(llm_model_name, 'm')""").json()[
        "hits"
    ]
    assert hit == {"n": 3}


@pytest.mark.parametrize(
    ("sql", "stream_type", "status", "code"),
    [
        ('SELECT never_sent FROM "default"', "traces", 400, 20004),
        # SQLite would read this as a text.
        ('SELECT "never_sent" FROM "default"', "traces", 400, 20004),
        ("""SELECT service_name FROM "default" WHERE "no""thing" = 'x'""", "traces", 400, 20004),
        ('SELECT t.never_sent FROM "default" AS t', "traces", 400, 20004),
        ('SELECT * FROM "other"', "traces", 400, 20002),
        ('SELECT * FROM "default"', "logs", 400, 20002),
        ('SELECT * FROM "default" WHERE', "traces", 400, 400),
        ('DELETE FROM "default"', "traces", 400, 400),
        ('SELECT avg(llm_token_count_prompt) FROM "default"', "traces", 400, 400),
    ],
)
def test_search_errors(server, sql, stream_type, status, code):
    exported(server, CHAT)
    answer = search(server, sql, stream_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("changes", [{"start_time": 0}, {"end_time": 0}, {"start_time": "soon"}])
def test_search_needs_a_time_range(server, changes):
    assert search(server, 'SELECT * FROM "default"', **changes).status_code == 400


def test_sql_on_the_rows(server):
    export(server, dict(CHAT, say='it\'s "so"'))
    export(server, FAILED)
    server.wait_for_rows(2)
    assert server.sql("""SELECT say FROM "default" WHERE say = 'it''s "so"'""") == [{"say": 'it\'s "so"'}]
    assert server.sql('SELECT "llm_system" AS "System", count(*) AS n FROM "default" GROUP BY "System"') == [
        {"System": "openai", "n": 2}
    ]
    assert server.sql('SELECT sum(gen_ai_usage_output_tokens) AS n, avg(gen_ai_usage_cost) AS c FROM "default"') == [
        {"n": 12, "c": 0.0}
    ]
    [minute] = server.sql("SELECT histogram(_timestamp, '1 day') AS day, count(*) AS n FROM \"default\" GROUP BY day")
    assert minute["day"].endswith("T00:00:00")
    with pytest.raises(FieldNotFound):
        server.sql('SELECT "never_sent" FROM "default"')
    with pytest.raises(StreamNotFound):
        server.sql('SELECT * FROM "other"')
    with pytest.raises(StreamNotFound):
        server.sql('SELECT * FROM "default"', stream_type="logs")


def test_schema_and_streams(server):
    exported(server, CHAT)
    answer = get(server, "/api/default/streams/default/schema?type=traces").json()
    assert {column["name"]: column["type"] for column in answer["schema"]} == server.columns()
    assert answer["settings"]["is_llm_stream"] is True
    [stream] = get(server, "/api/default/streams?type=traces").json()["list"]
    assert (stream["name"], stream["stats"]["doc_num"]) == ("default", 1)
    assert get(server, "/api/default/streams/default/schema").status_code == 404
    assert get(server, "/api/default/streams/default/schema?type=traces", authorized=False).status_code == 401


@pytest.mark.parametrize("version", ["0.90.3", "0.91.0", "v0.93.0"])
def test_config_is_open_to_everybody(version):
    with FakeOpenObserve(version) as server:
        answer = get(server, "/config", authorized=False)
        assert (answer.status_code, answer.json()) == (200, {"version": version, "build_type": "opensource"})
        assert get(server, "/healthz", authorized=False).status_code == 200


# -- the test double: scripts, waiting, faults


def test_requests_are_recorded(server):
    export(server, CHAT, headers={"stream-name": "mine"}, compression=Compression.Gzip)
    get(server, "/config")
    first, second = server.requests
    assert (first.method, first.path, first.status, first.spans) == ("POST", "/api/default/v1/traces", 200, 1)
    assert (first.headers["stream-name"], first.headers["content-encoding"]) == ("mine", "gzip")
    assert len(gzip.decompress(first.body)) == first.decoded_size
    assert first.time <= second.time <= time.time()
    assert (second.method, second.path, second.status, second.spans) == ("GET", "/config", 200, 0)
    assert server.connections == 2


def test_connections_count_not_requests(server):
    with requests.Session() as session:
        for _ in range(3):
            session.get(server.url + "/healthz", timeout=5)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_scripted_answers_come_first_and_once_each(server):
    server.script(503, Answer(429, {"Retry-After": "7"}, "slow down"), Answer(302, {"Location": "/login"}))
    assert get(server, "/config").status_code == 200
    first = post(server, Authorization=None)
    assert (first.status_code, first.json()["code"]) == (503, 503)
    second = post(server)
    assert (second.status_code, second.headers["retry-after"], second.text) == (429, "7", "slow down")
    third = requests.post(server.url + "/api/default/traces", data=b"", allow_redirects=False, timeout=5)
    assert (third.status_code, third.headers["location"]) == (302, "/login")
    assert server.rows() == []
    assert post(server).status_code == 200
    assert len(server.rows()) == 1
    assert [request.spans for request in server.requests if request.method == "POST"] == [1, 1, 0, 1]


def test_store_makes_a_failure_ambiguous_and_nothing_is_deduplicated(server):
    # 0.6: a replay doubles the span.
    server.script(Answer(500, store=True))
    assert post(server).status_code == 500
    assert post(server).status_code == 200
    first, second = server.rows()
    assert first["span_id"] == second["span_id"]


def test_delay_keeps_the_servers_own_answer(server):
    server.script(Answer(delay_s=0.3, headers={"x-slow": "yes"}))
    begin = time.monotonic()
    answer = post(server)
    assert time.monotonic() - begin >= 0.3
    assert (answer.status_code, answer.headers["x-slow"]) == (200, "yes")
    assert len(server.rows()) == 1


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("behaviour", ["reset", "hang", "half"])
def test_broken_answers(server, behaviour, store, capfd):
    server.script(Answer(behaviour=behaviour, store=store))
    with pytest.raises(requests.exceptions.RequestException) as caught:
        requests.post(
            server.url + "/api/default/v1/traces",
            data=message().SerializeToString(),
            headers={"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"},
            timeout=0.3,
        )
    assert isinstance(caught.value, requests.exceptions.Timeout) is (behaviour == "hang")
    assert len(server.rows()) == int(store)
    assert server.requests[0].status == (200 if behaviour == "half" else 0)
    assert post(server).status_code == 200
    assert capfd.readouterr() == ("", "")


def test_reset_is_a_reset(server):
    server.script(Answer(behaviour="reset"))
    with socket.create_connection(server_address(server), timeout=5) as client:
        client.sendall(b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_half_of_a_body(server):
    server.script(Answer(200, body=b"x" * 100, behaviour="half"))
    with pytest.raises(requests.exceptions.RequestException):
        post(server)


def test_misspelled_behaviour_is_refused(server):
    with pytest.raises(ValueError):
        server.script(Answer(behaviour="explode"))


def test_clients_that_leave_print_nothing(server, capfd):
    server.script(Answer(200, body=b"x" * 5000000, delay_s=0.1))
    head = b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    chunked = b"POST /api/default/v1/traces HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"
    bad_length = b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n"
    nonsense = b"\x16\x03\x01nonsense\r\n\r\n"
    for sent in (
        b"",
        head[:9],
        head,
        head + b"12345",
        head + b"1234567890",
        chunked,
        chunked + b"x",
        bad_length,
        nonsense,
    ):
        with socket.create_connection(server_address(server)) as client:
            client.sendall(sent)
    time.sleep(0.3)
    assert post(server).status_code == 200
    # Requests that never arrived completely are none.
    assert [len(request.body) for request in server.requests[:-1]] == [10]
    server.stop()
    assert capfd.readouterr() == ("", "")


def test_outage_keeps_port_and_rows(server):
    with requests.Session() as session:
        url = server.url
        session.get(url + "/healthz", timeout=5)
        post(server)
        server.stop()
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(url + "/healthz", timeout=5)
    server.start()
    assert server.url == url
    post(server)
    assert len(server.rows()) == 2
    assert server.connections == 3


def test_stop_ends_hanging_connections(server):
    server.script(Answer(behaviour="hang"))
    with socket.create_connection(server_address(server), timeout=5) as client:
        client.sendall(b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while not server.requests:
            time.sleep(0.01)
        server.stop()
        assert client.recv(1) == b""


def test_concurrent_senders_lose_nothing(server):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(server).status_code, range(80)))
    assert (answers, len(server.rows()), len(server.requests)) == ([200] * 80, 80, 80)


def test_waiting_for_rows(server):
    post(server)
    assert len(server.rows(timeout=5)) == 1
    begin = time.monotonic()
    assert len(server.rows(timeout=0.2, count=2)) == 1
    assert time.monotonic() - begin >= 0.2
    with pytest.raises(AssertionError, match=r"1 of 2 rows.*by hand.*POST /api/default/v1/traces -> 200, 1 spans"):
        server.wait_for_rows(2, timeout=0.1)


def test_an_error_of_the_fakes_own_is_raised(monkeypatch):
    def broken(request):
        raise OSError("a bug")

    server = FakeOpenObserve()
    server.start()
    monkeypatch.setattr(server._api, "answer", broken)
    assert get(server, "/config").status_code == 500
    with pytest.raises(AssertionError, match="a bug"):
        server.__exit__(None, None, None)


def test_environment(server):
    assert server.environment == {
        "OPENOBSERVE_URL": server.url,
        "OPENOBSERVE_ORG": "default",
        "OPENOBSERVE_AUTH_TOKEN": server.auth_token,
    }
    assert base64.b64decode(server.auth_token[len("Basic ") :]) == b"root@example.com:Complexpass#123"
