"""Trace ingest: routes, encodings, credentials, what is rejected or refused; numbers are sections of the contract."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib
from typing import Any, Dict

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceResponse,
)

from fake_requests import (
    get,
    json_body,
    message,
    post,
    post_json,
)
from fakes.openobserve import FakeOpenObserve, Limits


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
    ["Application/x-protobuf", "application/octet-stream", "text/json"],
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


@pytest.mark.parametrize(
    "authorization",
    ["Basic", "Basic " + base64.b64encode(b"no colon").decode(), base64.b64encode(b"root@example.com:x").decode()],
)
def test_no_scheme_or_no_password_is_refused(server, authorization):
    answer = post(server, Authorization=authorization)
    assert (answer.status_code, answer.text) == (401, "Unauthorized Access")
    assert server.rows() == []


def test_root_creates_an_organization_by_ingesting(server):
    assert get(server, "/api/new/streams?type=traces").status_code == 404
    assert post(server, path="/api/new/v1/traces").status_code == 200
    assert get(server, "/api/new/streams?type=traces").status_code == 200
    assert len(server.rows(org="new")) == 1


def test_unknown_organization_of_an_ordinary_user():
    with FakeOpenObserve(root=False) as server:
        assert post(server, path="/api/new/v1/traces").status_code == 401
        assert post(server).status_code == 200


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
        (_attribute(doubleValue=1), "expected f64"),
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
