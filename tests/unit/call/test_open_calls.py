"""Calls that have not ended: found by their spans' ids, forgotten with them, and never more of them than the bound."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pytest
from opentelemetry.sdk.trace import TracerProvider

from hf_openobserve.call import open_calls
from hf_openobserve.call.call import Call
from hf_openobserve.row.work import CallFacts


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch):
    monkeypatch.setattr(open_calls, "_calls", OrderedDict())


@pytest.fixture(scope="module")
def tracer():
    return TracerProvider(shutdown_on_exit=False).get_tracer("test")


def remembered(tracer, model="m"):
    span = tracer.start_span("call", attributes={"a": 1})
    open_calls.remember(span, Call(url="http://x.invalid/v1", host="x.invalid", request={"model": model}))
    return span


def taken(span):
    context = span.get_span_context()
    return open_calls.take(context.trace_id, context.span_id)


def test_the_facts_of_a_call_come_with_its_span_and_go_with_it(tracer):
    outer, inner = remembered(tracer, "outer"), remembered(tracer, "inner")
    assert [taken(inner).model, taken(outer).model] == ["inner", "outer"]
    assert taken(outer) is None
    assert (dict(outer.attributes), outer.events) == ({"a": 1}, ()), "the span itself is not written to"


def test_facts_that_cannot_be_had_are_none(tracer, monkeypatch):
    monkeypatch.setattr(Call, "facts", lambda _: 1 / 0)
    assert open_calls.facts_of(taken(remembered(tracer))) == CallFacts()


def test_spans_that_never_end_do_not_grow_the_host(tracer, monkeypatch):
    monkeypatch.setattr(open_calls, "_CAPACITY", 100)
    spans = [remembered(tracer, str(number)) for number in range(250)]
    assert len(open_calls._calls) == 100
    assert taken(spans[149]) is None
    assert [taken(span).model for span in spans[150:]] == [str(number) for number in range(150, 250)]


def test_threads_at_the_bound(tracer, monkeypatch):
    monkeypatch.setattr(open_calls, "_CAPACITY", 4)
    errors = []

    def work():
        try:
            for number in range(300):
                known = taken(remembered(tracer, str(number)))
                if known is not None and known.model != str(number):
                    errors.append(known)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(open_calls._calls) <= 4


def test_streams_that_the_program_still_holds_end_at_its_exit():
    class Stream:
        left = 0

        def abandoned(self):
            self.left += 1

    held, finished = Stream(), Stream()
    streams = open_calls._OpenStreams()
    for stream in (held, finished):
        streams.add(stream)
    streams.discard(finished)
    streams._abandon_all()
    assert (held.left, finished.left) == (1, 0)
