"""A span of our own: what our processor is told of its call, and what others read on it."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from openinference.instrumentation import TraceConfig
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hf_openobserve.call import open_calls
from hf_openobserve.call.call import Call
from hf_openobserve.call.own_span import Spans
from hf_openobserve.call.recording import Recording
from hf_openobserve.pipeline import provider as providers

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {"model": "r", "choices": [{"message": {"role": "assistant", "content": "Hello"}}]}


class Reader(SpanProcessor):
    """In the place of our processor."""

    def __init__(self):
        self.facts = []

    def on_end(self, span):
        context = span.get_span_context()
        call = open_calls.take(context.trace_id, context.span_id)
        self.facts.append(None if call is None else open_calls.facts_of(call))


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch):
    monkeypatch.setattr(open_calls, "_calls", OrderedDict())


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def ours(reader):
    return providers.build(reader)


def begun(provider, **hidden):
    span = Spans(Recording(provider), "a.scope", TraceConfig(**hidden)).start("ChatCompletion", "LLM")
    call = Call(url="http://x.invalid/v1/chat/completions", host="x.invalid", request=BODY)
    call.answer_body = ANSWER
    span.tells_of(call, lambda answer: {"input.value": "in", "output.value": answer["model"]})
    return span, call


def test_where_we_alone_read_it_the_call_says_it_all(ours, reader):
    span, call = begun(ours)
    span.end()
    (facts,) = reader.facts
    assert facts.described == {"input.value": "in", "output.value": "r"}
    assert dict(span.span.attributes) == {"openinference.span.kind": "LLM"}
    assert call.response is None


def test_more_calls_than_are_remembered_lose_nothing(ours, reader, monkeypatch):
    monkeypatch.setattr(open_calls, "_CAPACITY", 2)
    spans = [begun(ours)[0] for _ in range(10)]
    for span in spans:
        span.end()
    assert [facts.described["output.value"] for facts in reader.facts] == ["r"] * 10


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_others_read_what_openinference_would_say(ours, when):
    others = InMemorySpanExporter()
    if when == "before":
        ours.add_span_processor(SimpleSpanProcessor(others))
    span, _ = begun(ours, hide_output_text=True)
    ours.add_span_processor(SimpleSpanProcessor(others)) if when == "meanwhile" else None
    span.end()
    attributes = others.get_finished_spans()[0].attributes
    assert attributes["input.value"] == "in"
    assert attributes["llm.input_messages.0.message.content"] == "Hi"
    assert attributes["llm.output_messages.0.message.content"] == "__REDACTED__"
    assert others.get_finished_spans()[0].status.is_ok
