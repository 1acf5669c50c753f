"""A framework's span around a client's call: what makes it step back, what keeps it, what it then no longer says."""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from hf_openobserve.row import nesting
from hf_openobserve.row.nesting import Nesting
from hf_openobserve.row.record import STATUS_ERROR, STATUS_OK, EventRecord, ResourceRecord, ScopeRecord, SpanRecord

RESOURCE = ResourceRecord({})
CLIENT, FRAMEWORK = "hf_openobserve.instrumentors.huggingface_hub", "openinference.instrumentation.langchain"
LLM = {"openinference.span.kind": "LLM"}
COUNTED = {**LLM, "llm.token_count.prompt": 11, "llm.token_count.completion": 4}
SAID = {**LLM, "llm.output_messages.0.message.content": "Hello there."}
ids = itertools.count(1)


class Process:
    """Spans of one process, as the processor tells of them. ``start`` and ``end`` in milliseconds."""

    def __init__(self):
        self.nesting = Nesting()

    def start(self, parent=None, start=0, call=False, trace=1):
        span = (trace, next(ids))
        self.nesting.started(span, parent, start * 10**6, call)
        return span

    def end(self, span, attributes=LLM, start=0, end=9, call=False, scope=FRAMEWORK, error=None):
        events = [] if error is None else [EventRecord("exception", 0, {"exception.type": error})]
        record = SpanRecord(
            trace_id=span[0],
            span_id=span[1],
            name="x",
            start_time_unix_nano=start * 10**6,
            end_time_unix_nano=end * 10**6,
            resource=RESOURCE,
            scope=ScopeRecord(CLIENT if call else scope),
            attributes=dict(attributes),
            events=events,
            status_code=STATUS_OK if error is None else STATUS_ERROR,
        )
        return self.nesting.ended(record, call)

    def call(self, attributes=LLM, parent=None, start=1, end=8, error=None):
        """A whole call, and its record."""
        span = self.start(parent, start, call=True)
        return self.end(span, attributes, start, end, call=True, error=error)


@pytest.fixture
def process():
    return Process()


def kind(record):
    return record.attributes.get("openinference.span.kind")


def test_an_llm_span_with_a_call_beneath_it_is_a_chain(process):
    outer = process.start()
    call = process.call(COUNTED, parent=outer)
    record = process.end(outer, COUNTED)
    assert record.attributes == {"openinference.span.kind": "CHAIN"}
    assert call.attributes == COUNTED


def test_whatever_stands_between_them(process):
    outer = process.start()
    middle = process.start(process.start(outer))
    process.call(parent=middle)
    assert kind(process.end(middle, {"openinference.span.kind": "TOOL"})) == "TOOL"
    assert kind(process.end(outer, {"gen_ai.operation.name": "chat"})) == "CHAIN"


def test_a_span_that_ends_before_its_call_does(process):
    """A program that leaves a stream ends the framework's span first."""
    outer = process.start()
    call = process.start(outer, call=True)
    assert kind(process.end(outer)) == "CHAIN"
    assert kind(process.end(call, call=True)) == "LLM"


@pytest.mark.parametrize(
    "attributes",
    [LLM, COUNTED, {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3}, {"a": 1}],
    ids=["llm", "counted", "genai", "other"],
)
def test_without_a_call_a_span_is_what_it_was(process, attributes):
    process.call()
    outer = process.start(trace=2)
    assert process.end(outer, attributes, start=20, end=30).attributes == attributes


def test_a_span_beneath_a_call_is_what_it_was(process):
    """Its HTTP request, or what a local model's server traces in the same process."""
    call = process.start(call=True)
    inner = process.start(call, 2)
    assert process.end(inner, COUNTED, 2, 7).attributes == COUNTED
    assert kind(process.end(call, call=True)) == "LLM"


def test_tokens_of_an_agent_are_those_of_its_calls(process):
    agent = process.start()
    process.call(parent=agent)
    attributes = {"openinference.span.kind": "AGENT", "llm.token_count.total": 15, "input.value": "Hi"}
    assert process.end(agent, attributes).attributes == {"openinference.span.kind": "AGENT", "input.value": "Hi"}


@pytest.mark.parametrize(
    ("outer", "call", "expected"),
    [
        (COUNTED, COUNTED, "CHAIN"),
        ({**LLM, "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 4}, COUNTED, "CHAIN"),
        ({**COUNTED, "llm.token_count.prompt": 12}, COUNTED, "LLM"),
        (SAID, {**COUNTED, **SAID}, "CHAIN"),
        (
            SAID,
            {**LLM, "output.value": json.dumps({"choices": [{"message": {"content": "Hello there. "}}]})},
            "CHAIN",
        ),
        (SAID, {**LLM, "llm.output_messages.0.message.content": "Goodbye."}, "LLM"),
        (LLM, COUNTED, "LLM"),
        (LLM, LLM, "LLM"),
        ({"openinference.span.kind": "CHAIN", "a": 1}, COUNTED, "CHAIN"),
    ],
    ids=[
        "tokens",
        "genai-tokens",
        "other-tokens",
        "text",
        "text-in-body",
        "other-text",
        "silent",
        "both-silent",
        "chain",
    ],
)
def test_a_span_that_is_nobody_s_parent_is_known_by_its_answer(process, outer, call, expected):
    """LangChain's: it surrounds the call in time only."""
    span = process.start(trace=2)
    process.call(call)
    record = process.end(span, outer)
    assert kind(record) == expected
    assert ("llm.token_count.prompt" in record.attributes) is (expected == "LLM" and "llm.token_count.prompt" in outer)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(1, 8, "CHAIN"), (0, 9, "CHAIN"), (-5, 8, "LLM"), (1, 12, "LLM")],
    ids=["within", "the-same", "before", "after"],
)
def test_only_a_call_within_its_time(process, start, end, expected):
    span = process.start(trace=2)
    process.call(COUNTED, start=start, end=end)
    assert kind(process.end(span, COUNTED)) == expected


def test_a_call_explains_one_span_of_a_framework(process):
    """Two LLM spans at once, one of a client that nobody records."""
    spans = [process.start(trace=2), process.start(trace=3)]
    process.call(COUNTED)
    assert sorted(kind(process.end(span, COUNTED)) for span in spans) == ["CHAIN", "LLM"]
    another = process.start(trace=4)
    assert kind(process.end(another, COUNTED, scope="openinference.instrumentation.llama_index")) == "CHAIN"


@pytest.mark.parametrize(
    ("outer", "call", "expected"),
    [
        ("huggingface_hub.errors.HfHubHTTPError", "huggingface_hub.errors.HfHubHTTPError", "CHAIN"),
        ("HfHubHTTPError", None, "LLM"),
        (None, "HfHubHTTPError", "LLM"),
        ("GeneratorExit", None, "CHAIN"),
        ("asyncio.exceptions.CancelledError", "CancelledError", "CHAIN"),
    ],
)
def test_failures(process, outer, call, expected):
    span = process.start(trace=2)
    process.call(error=call)
    assert kind(process.end(span, error=outer)) == expected


def test_a_stream_left_early_whose_call_is_still_open(process):
    span = process.start(trace=2)
    call = process.start(start=1, call=True)
    assert kind(process.end(span, error="GeneratorExit")) == "CHAIN"
    assert kind(process.end(call, call=True)) == "LLM"
    late = process.start(trace=3, start=20)
    assert kind(process.end(late, start=20, end=30, error="GeneratorExit")) == "LLM"


def test_what_a_chain_no_longer_says(process):
    outer = process.start()
    process.call(parent=outer)
    kept = {"input.value": "Hi", "output.value": "Hello", "llm.model_name": "m", "gen_ai.request.model": "m", "x": 1}
    gone = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.details.reasoning": 1,
        "gen_ai.usage.cost": 0.1,
        "llm.token_count.prompt_details.cache_read": 1,
        "llm.cost.total": 0.1,
        "llm.input_messages.0.message.content": "Hi",
        "gen_ai.completion.0.content": "Hello",
        "llm.request.type": "chat",
        "traceloop.span.kind": "task",
        "operation.cost": 0.1,
        "logfire.metrics": "{}",
    }
    assert process.end(outer, {**LLM, **kept, **gone}).attributes == {**kept, "openinference.span.kind": "CHAIN"}


def test_memory_is_bounded(process):
    for _ in range(5000):
        process.start()
    for _ in range(300):
        process.call()  # within spans that are open
    assert len(process.nesting._open) <= nesting._OPEN_CAPACITY
    assert len(process.nesting._calls) <= nesting._ENDED_CAPACITY


def test_a_call_that_nothing_surrounds_is_not_remembered(process):
    process.call(COUNTED)
    assert process.nesting._calls == process.nesting._open == {}


def test_threads_do_not_disturb_each_other():
    process, failures = Process(), []

    def work(trace):
        try:
            for _ in range(500):
                outer = process.start(trace=trace)
                call = process.start(outer, call=True, trace=trace)
                process.end(call, call=True)
                assert kind(process.end(outer)) == "CHAIN"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(10 + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert process.nesting._open == {}
