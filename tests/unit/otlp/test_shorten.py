"""A span cut to a size: the longest texts lose their middle, everything else stays, and the bytes stay a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hf_openobserve.otlp import encode as otlp
from hf_openobserve.otlp import shorten
from hf_openobserve.row.record import CUT_BYTES, EventRecord, ResourceRecord, ScopeRecord, SpanRecord


def encoded(attributes, events=()):
    return otlp.encode_span(
        SpanRecord(
            trace_id=1,
            span_id=2,
            name="ChatCompletion",
            start_time_unix_nano=1,
            end_time_unix_nano=2,
            resource=ResourceRecord({"service.name": "x" * 5000}),
            scope=ScopeRecord("tests"),
            attributes=attributes,
            events=list(events),
        )
    )


def span_of(payload):
    (resource,) = ExportTraceServiceRequest.FromString(payload).resource_spans
    return resource.scope_spans[0].spans[0]


def attributes_of(payload):
    return {item.key: item.value for item in span_of(payload).attributes}


def test_the_longest_text_keeps_its_head_and_its_tail():
    payload = encoded({"long": "head" + "x" * 100_000 + "tail", "short": "s" * 300, "number": 7})
    found = attributes_of(shorten.to_size(payload, 20_000))
    text = found["long"].string_value
    assert text.startswith("headxxx")
    assert text.endswith("xxxtail")
    assert "bytes cut by hf-openobserve" in text
    assert found["short"].string_value == "s" * 300
    assert found["number"].int_value == 7
    assert found[CUT_BYTES].int_value == 100_008 - len(text)
    assert "x" * 5000 in str(ExportTraceServiceRequest.FromString(payload).resource_spans[0].resource)


def test_of_two_long_texts_both_are_cut_to_the_same_length():
    payload = encoded({"a": "a" * 80_000, "b": "b" * 60_000, "c": "c" * 1000})
    found = attributes_of(shorten.to_size(payload, 30_000))
    lengths = [len(found[name].string_value) for name in "abc"]
    assert abs(lengths[0] - lengths[1]) < 10
    assert lengths[2] == 1000


def test_texts_in_lists_mappings_and_events_are_cut_too():
    payload = encoded(
        {"list": ["l" * 50_000, "short"], "map": {"key": "m" * 50_000}},
        [EventRecord("exception", 1, {"exception.stacktrace": "e" * 50_000})],
    )
    assert len(shorten.to_size(payload, 40_000)) < 42_000


def test_cut_again_it_says_how_much_in_all():
    payload = encoded({"long": "x" * 100_000})
    once = shorten.to_size(payload, 50_000)
    twice = shorten.to_size(once, 20_000)
    assert len(twice) < 21_000
    assert attributes_of(twice)[CUT_BYTES].int_value > attributes_of(once)[shorten.CUT_BYTES].int_value
    assert [item.key for item in span_of(twice).attributes].count(CUT_BYTES) == 1


@pytest.mark.parametrize("max_bytes", [0, 1000])
def test_what_cannot_be_cut_that_far_is_as_small_as_it_gets(max_bytes):
    payload = encoded({f"name {number}": "x" * 200 for number in range(100)})
    assert len(shorten.to_size(payload, max_bytes)) >= len(payload)


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=300, max_size=2000), max_size=8), st.integers(0, 10_000))
def test_any_text_stays_text(attributes, max_bytes):
    found = attributes_of(shorten.to_size(encoded(attributes), max_bytes))
    assert set(attributes) <= set(found)
