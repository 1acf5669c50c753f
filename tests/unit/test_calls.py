"""Facts beside the span: found by its ids, forgotten with it, and never more of them than the bound."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext

from hf_openobserve.capture import calls
from hf_openobserve.columns import CallFacts

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch):
    monkeypatch.setattr(calls, "_facts", OrderedDict())


@pytest.fixture(scope="module")
def tracer():
    return TracerProvider(shutdown_on_exit=False).get_tracer("test")


def begin(body, host="router.huggingface.co", port=443):
    return calls.begin(host=host, port=port, body=body)


def test_the_facts_of_a_call_come_with_its_span_and_go_with_it(tracer):
    with tracer.start_as_current_span("call") as span:
        key = begin({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "secret"}]})
    context = span.get_span_context()
    assert key == (context.trace_id, context.span_id)
    assert calls.take(*key) == CallFacts(host="router.huggingface.co", port=443, model=MODEL, max_tokens=64)
    assert calls.take(*key) is None


def test_nothing_of_the_prompts_is_kept(tracer):
    with tracer.start_as_current_span("call"):
        key = begin({"model": MODEL, "messages": ["a prompt"], "prompt": "a prompt", "input": "a prompt"})
    assert "a prompt" not in repr(calls.take(*key))


@pytest.mark.parametrize(
    ("body", "model", "max_tokens"),
    [
        ({}, None, None),
        ({"model": None, "max_tokens": None}, None, None),
        ({"model": 5, "max_tokens": "5"}, None, None),
        ({"model": ["x"], "max_tokens": 5.5}, None, None),
        ({"model": "", "max_tokens": 0}, "", 0),
    ],
)
def test_only_what_has_the_right_type_is_a_fact(tracer, body, model, max_tokens):
    with tracer.start_as_current_span("call"):
        facts = calls.take(*begin(body))
    assert (facts.model, facts.max_tokens) == (model, max_tokens)


@pytest.mark.parametrize("status_code", [402, None])
def test_a_failure_is_added(tracer, status_code):
    with tracer.start_as_current_span("call"):
        key = begin({"model": MODEL})
    calls.failed(key, status_code=status_code, error_type="openai.APIStatusError")
    facts = calls.take(*key)
    assert (facts.status_code, facts.error_type) == (status_code, "openai.APIStatusError")
    assert (facts.model, facts.host) == (MODEL, "router.huggingface.co")


def test_a_failure_after_the_span_has_ended_is_nobodys(tracer):
    with tracer.start_as_current_span("call"):
        key = begin({})
    calls.take(*key)
    calls.failed(key, status_code=500, error_type="X")
    assert calls.take(*key) is None


def test_where_nobody_records_nothing_is_kept():
    assert begin({"model": MODEL}) is None
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    with unsampled.start_as_current_span("call"):
        assert begin({"model": MODEL}) is None
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True))
    with trace.use_span(remote):
        assert begin({"model": MODEL}) is None
    assert calls.take(1, 2) is None


def test_the_span_itself_is_not_written_to(tracer):
    with tracer.start_as_current_span("call", attributes={"a": 1}) as span:
        calls.failed(begin({"model": MODEL}), status_code=500, error_type="X")
    assert dict(span.attributes) == {"a": 1}
    assert span.events == ()


def test_calls_within_each_other_stay_apart(tracer):
    with tracer.start_as_current_span("outer"):
        outer = begin({"model": "outer"})
        with tracer.start_as_current_span("inner"):
            inner = begin({"model": "inner"})
    assert calls.take(*inner).model == "inner"
    assert calls.take(*outer).model == "outer"


def test_spans_that_never_end_do_not_grow_the_host(tracer, monkeypatch):
    monkeypatch.setattr(calls, "_CAPACITY", 100)
    keys = []
    for number in range(250):
        with tracer.start_as_current_span("call"):
            keys.append(begin({"model": str(number)}))
    assert len(calls._facts) == 100
    assert calls.take(*keys[149]) is None
    assert [calls.take(*key).model for key in keys[150:]] == [str(number) for number in range(150, 250)]


def test_threads_at_the_bound(tracer, monkeypatch):
    monkeypatch.setattr(calls, "_CAPACITY", 4)
    errors = []

    def work():
        try:
            for number in range(300):
                with tracer.start_as_current_span("call"):
                    key = begin({"model": str(number)})
                calls.failed(key, status_code=500, error_type="X")
                facts = calls.take(*key)
                if facts is not None and facts.model != str(number):
                    errors.append(facts)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(calls._facts) <= 4
