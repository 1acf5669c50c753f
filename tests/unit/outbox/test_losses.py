"""The span that tells of lost spans, as the server gets it."""

from __future__ import annotations

import random
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hf_openobserve.outbox import losses
from hf_openobserve.outbox.counters import Losses
from hf_openobserve.row.record import ResourceRecord

HOUR = 3600 * 10**9


def decoded(payload):
    ((scope_spans,),) = [
        resource.scope_spans for resource in ExportTraceServiceRequest.FromString(payload).resource_spans
    ]
    (span,) = scope_spans.spans
    return span, {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_counts_and_range_stand_in_the_attributes_and_the_span_is_of_now():
    before = time.time_ns()
    span, attributes = decoded(losses.encode(Losses({"expired": 1200, "evicted": 3}, 7 * HOUR, 9 * HOUR)))
    assert span.name == "hf-openobserve outbox"
    assert before <= span.start_time_unix_nano == span.end_time_unix_nano <= time.time_ns()
    assert attributes == {
        "hf.outbox.lost": 1203,
        "hf.outbox.expired": 1200,
        "hf.outbox.evicted": 3,
        "hf.outbox.lost_from": "1970-01-01T07:00:00Z",
        "hf.outbox.lost_to": "1970-01-01T09:00:00Z",
        "hf.outbox.message": (
            "1,203 spans did not arrive: 1,200 too old for the server when it could be reached again, "
            "3 dropped because the outbox was full; "
            "they began between 1970-01-01T07:00:00Z and 1970-01-01T09:00:00Z"
        ),
    }


@pytest.mark.parametrize("nanoseconds", [0, 2**63, 2**64 - 1])
def test_a_clock_that_was_off_is_no_error(nanoseconds):
    _, attributes = decoded(losses.encode(Losses({"rejected": 1}, nanoseconds, nanoseconds)))
    assert attributes["hf.outbox.rejected"] == 1


def test_the_resource_is_the_processs_own():
    payload = losses.encode(Losses({"rejected": 1}, 1, 1), ResourceRecord({"service.name": "shop"}))
    (resource,) = ExportTraceServiceRequest.FromString(payload).resource_spans
    assert resource.resource.attributes[0].value.string_value == "shop"


def test_the_applications_random_numbers_are_left_alone():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    losses.encode(Losses({"rejected": 1}, 1, 1))
    assert random.random() == expected
