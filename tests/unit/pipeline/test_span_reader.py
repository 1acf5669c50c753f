"""Spans of the installed SDK, whichever it is, as plain data."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from hf_openobserve.pipeline import span_reader
from hf_openobserve.pipeline.span_reader import SpanReader
from hf_openobserve.row.record import KIND_CLIENT, KIND_CONSUMER, KIND_INTERNAL, KIND_PRODUCER, KIND_SERVER

pytestmark = pytest.mark.matrix


def unmasked(attributes):
    return attributes


@pytest.fixture
def reader():
    return SpanReader(unmasked)


@pytest.fixture
def tracer():
    provider = TracerProvider(
        resource=Resource({"service.name": "shop", "host.id": 7}, "https://schema/resource"), shutdown_on_exit=False
    )
    return provider.get_tracer("scope", "1.2", schema_url="https://schema/scope", attributes={"level": 3})


def test_every_field_of_a_span(reader, tracer):
    remote = SpanContext(0xA1, 0xB2, True, TraceFlags(1), TraceState([("vendor", "x")]))
    linked = SpanContext(0xC3, 0xD4, True, TraceFlags(1))
    span = tracer.start_span(
        "ChatCompletion",
        context=set_span_in_context(NonRecordingSpan(remote)),
        kind=SpanKind.CLIENT,
        attributes={"text": "é", "int": 1, "float": 1.5, "bool": True, "list": ["a", "b"]},
        links=[Link(linked, {"why": "retry"})],
        start_time=1_000,
    )
    span.add_event("exception", {"exception.type": "ValueError"}, timestamp=1_500)
    span.set_status(Status(StatusCode.ERROR, "went wrong"))
    span.end(end_time=2_000)
    record = reader.read(span)
    context = span.get_span_context()
    assert (record.trace_id, record.span_id) == (0xA1, context.span_id)
    assert (record.parent_span_id, record.parent_is_remote) == (0xB2, True)
    assert record.trace_state == "vendor=x"
    assert (record.name, record.kind) == ("ChatCompletion", KIND_CLIENT)
    assert (record.start_time_unix_nano, record.end_time_unix_nano) == (1_000, 2_000)
    assert record.attributes == {"text": "é", "int": 1, "float": 1.5, "bool": True, "list": ("a", "b")}
    assert [(event.name, event.time_unix_nano, event.attributes) for event in record.events] == [
        ("exception", 1_500, {"exception.type": "ValueError"})
    ]
    assert [(link.trace_id, link.span_id, link.attributes, link.is_remote) for link in record.links] == [
        (0xC3, 0xD4, {"why": "retry"}, True)
    ]
    assert (record.status_code, record.status_message) == (2, "went wrong")
    assert (record.dropped_attributes_count, record.dropped_events_count, record.dropped_links_count) == (0, 0, 0)
    assert record.resource.attributes == {"service.name": "shop", "host.id": 7}
    assert record.resource.schema_url == "https://schema/resource"
    scope = record.scope
    assert (scope.name, scope.version, scope.schema_url) == ("scope", "1.2", "https://schema/scope")
    assert scope.attributes == {"level": 3}


def test_a_bare_span_has_defaults(reader):
    span = TracerProvider(resource=Resource({}), shutdown_on_exit=False).get_tracer("s").start_span("root")
    span.end()
    record = reader.read(span)
    assert (record.parent_span_id, record.parent_is_remote, record.trace_state) == (None, False, "")
    assert (record.attributes, record.events, record.links) == ({}, [], [])
    assert (record.status_code, record.status_message, record.kind) == (0, "", KIND_INTERNAL)
    assert record.end_time_unix_nano >= record.start_time_unix_nano > 0
    assert (record.scope.version, record.scope.schema_url, record.scope.attributes) == ("", "", {})


def test_a_span_put_together_by_hand(reader):
    record = reader.read(ReadableSpan(name="hand", context=SpanContext(1, 2, False)))
    assert (record.start_time_unix_nano, record.end_time_unix_nano) == (0, 0)
    assert record.scope.name == ""


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (SpanKind.INTERNAL, KIND_INTERNAL),
        (SpanKind.SERVER, KIND_SERVER),
        (SpanKind.CLIENT, KIND_CLIENT),
        (SpanKind.PRODUCER, KIND_PRODUCER),
        (SpanKind.CONSUMER, KIND_CONSUMER),
    ],
)
def test_kinds_are_the_protocols(reader, tracer, kind, number):
    span = tracer.start_span("x", kind=kind)
    span.end()
    assert reader.read(span).kind == number


@pytest.mark.parametrize(("code", "number"), [(StatusCode.UNSET, 0), (StatusCode.OK, 1), (StatusCode.ERROR, 2)])
def test_status_codes_are_the_protocols(reader, tracer, code, number):
    span = tracer.start_span("x")
    span.set_status(Status(code))
    span.end()
    assert (reader.read(span).status_code, reader.read(span).status_message) == (number, "")


def test_a_local_parent(reader, tracer):
    with tracer.start_as_current_span("parent") as parent, tracer.start_as_current_span("child") as child:
        pass
    record = reader.read(child)
    assert record.parent_span_id == parent.get_span_context().span_id
    assert record.parent_is_remote is False
    assert record.trace_id == reader.read(parent).trace_id


def test_what_the_limits_dropped_is_counted(reader):
    limits = SpanLimits(max_span_attributes=2, max_events=1, max_links=1, max_event_attributes=1, max_link_attributes=1)
    tracer = TracerProvider(span_limits=limits, shutdown_on_exit=False).get_tracer("s")
    span = tracer.start_span("x", attributes={"a": 1, "b": 2, "c": 3})
    for _ in range(2):
        span.add_link(SpanContext(1, 2, False), {"a": 1, "b": 2})
    for _ in range(3):
        span.add_event("e", {"a": 1, "b": 2})
    span.end()
    record = reader.read(span)
    assert (record.dropped_attributes_count, record.dropped_events_count, record.dropped_links_count) == (1, 2, 1)
    assert [event.dropped_attributes_count for event in record.events] == [1]
    assert [link.dropped_attributes_count for link in record.links] == [1]


def test_the_record_may_be_written_to(reader, tracer):
    span = tracer.start_span("x", attributes={"a": 1})
    span.add_event("e", {"b": 2})
    span.end()
    record = reader.read(span)
    record.attributes["a"] = "masked"
    record.attributes["new"] = 1
    record.events[0].attributes["b"] = "masked"
    record.events.clear()
    assert dict(span.attributes) == {"a": 1}
    assert [dict(event.attributes) for event in span.events] == [{"b": 2}]
    again = reader.read(span)
    assert again.attributes == {"a": 1}
    assert len(again.events) == 1


def test_resource_and_scope_are_converted_once(tracer):
    masked = []

    def mask(attributes):
        masked.append(dict(attributes))
        return {**attributes, "host.id": "***"}

    reader = SpanReader(mask)
    records = []
    for _ in range(3):
        span = tracer.start_span("x")
        span.end()
        records.append(reader.read(span))
    assert len(masked) == 1
    assert len({id(record.resource) for record in records}) == 1
    assert len({id(record.scope) for record in records}) == 1
    assert records[0].resource.attributes == {"service.name": "shop", "host.id": "***"}
    assert dict(span.resource.attributes)["host.id"] == 7


def test_a_resource_per_span_does_not_grow_the_host(reader, monkeypatch):
    monkeypatch.setattr(span_reader, "_CACHED", 8)
    for number in range(50):
        span = ReadableSpan(
            name="x",
            context=SpanContext(1, 2, False),
            resource=Resource({"number": number}),
            instrumentation_scope=InstrumentationScope(f"scope {number}"),
        )
        record = reader.read(span)
        assert record.resource.attributes == {"number": number}
        assert record.scope.name == f"scope {number}"
    assert len(reader._resources) <= 8
    assert len(reader._scopes) <= 8
