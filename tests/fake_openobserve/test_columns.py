"""What columns a span becomes; numbers are sections of the contract."""

from __future__ import annotations

import json
import time

import pytest
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from fake_requests import (
    exported,
    message,
    post,
)
from fakes.openobserve.personality import RESERVED


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
    reserved = sorted(RESERVED)
    assert len(reserved) == 16
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
    assert json.loads(row.pop("events")) == [
        {"name": "exception", "_timestamp": 5, "exception.type": "RateLimitError", "count": "2"}
    ]
    [found] = json.loads(row.pop("links"))
    assert found["context"]["traceId"] == "5".zfill(32)
    assert (found["context"]["spanId"], found["reason"], found["droppedAttributesCount"]) == ("6".zfill(16), "retry", 0)
    assert len(row.pop("trace_id")) == 32
    assert len(row.pop("span_id")) == 16
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


def test_arrival_is_a_column_of_the_newest_servers(server, newest_server):
    assert "_o2_ingest_ts" not in exported(server, {})
    before_us = time.time_ns() // 1000
    assert exported(newest_server, {})["_o2_ingest_ts"] >= before_us


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
