"""The huggingface_hub instrumentor by hand, as under the stock distro: how calls and streams end, what they leave."""

from __future__ import annotations

import asyncio
import collections.abc
import functools
import gc
import http.server
import importlib.util
import inspect
import itertools
import json
import pickle
import threading
import time
import types
import warnings

import pytest

import hub_endpoint

huggingface_hub = pytest.importorskip("huggingface_hub")

from huggingface_hub import AsyncInferenceClient, InferenceClient
from openinference.instrumentation import TraceConfig, suppress_tracing, using_session
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from hf_openobserve.call import stream_timing
from hf_openobserve.clients import usage_question
from hf_openobserve.instrumentors.huggingface_hub import HuggingFaceHubInstrumentor
from hf_openobserve.wire import openinference, routing
from hf_openobserve.wire.chunks import StreamedAnswer

MESSAGES = [{"role": "user", "content": "Hi"}]
NO_LIMITS = SpanLimits(max_span_attributes=SpanLimits.UNSET)
ON_HTTPX = int(huggingface_hub.__version__.split(".")[0]) >= 1
needs_async = pytest.mark.skipif(
    not ON_HTTPX and importlib.util.find_spec("aiohttp") is None, reason="this huggingface_hub needs aiohttp for async"
)


@pytest.fixture(scope="module")
def endpoint():
    with hub_endpoint.endpoint() as scripted:
        yield scripted


class Traced:
    """An instrumented process, and the spans of it."""

    def __init__(self, root):
        self.root = root
        self.exporter = InMemorySpanExporter()

    def instrument(self, sampler=ALWAYS_ON, limits=NO_LIMITS, **options):
        provider = TracerProvider(sampler=sampler, span_limits=limits)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        HuggingFaceHubInstrumentor().instrument(tracer_provider=provider, **options)
        return provider

    def client(self, case, kind=InferenceClient, **options):
        return kind(base_url=f"{self.root}/{case}", token="x", **options)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    @property
    def span(self):
        (span,) = self.spans
        return span


@pytest.fixture
def uninstrumented(endpoint):
    yield Traced(hub_endpoint.root_of(endpoint))
    HuggingFaceHubInstrumentor().uninstrument()


@pytest.fixture
def traced(uninstrumented):
    uninstrumented.instrument()
    return uninstrumented


def outcome(span):
    return span.status.status_code.name, span.status.description


# How streams end.


def leave_by_break(stream):
    for _ in stream:
        break
    del stream


def leave_by_close(stream):
    next(stream)
    stream.close()


def never_start(stream):
    del stream


def read_to_the_end(stream):
    assert len(list(stream)) == 51
    assert list(stream) == []


@pytest.mark.parametrize(
    ("leave", "words"), [(leave_by_break, 1), (leave_by_close, 1), (never_start, 0), (read_to_the_end, 50)]
)
def test_a_stream_ends_its_span_once_and_well(traced, leave, words):
    client = traced.client("long")
    leave(client.chat_completion(MESSAGES, stream=True))
    gc.collect()
    assert outcome(traced.span) == ("OK", None)
    text = traced.span.attributes.get("llm.output_messages.0.message.content", "")
    assert text == "".join(f" word{index}" for index in range(words))
    assert ("output.value" in traced.span.attributes) is (words > 0)
    counted = [name for name in traced.span.attributes if name.startswith("llm.token_count")]
    assert len(counted) == (3 if words == 50 else 0), "no usage, no tokens"


def test_a_stream_is_lazy_and_its_span_is_open_while_it_is_read(traced):
    client = traced.client("long")
    stream = client.chat_completion(MESSAGES, stream=True)
    assert traced.spans == ()
    assert not trace.get_current_span().get_span_context().is_valid, "the program's context is its own"
    next(stream)
    assert traced.spans == ()
    stream.close()
    assert len(traced.spans) == 1


def test_an_abandoned_stream_ends_with_its_last_chunk(traced):
    client = traced.client("long")
    stream = client.chat_completion(MESSAGES, stream=True)
    next(stream)
    seen = time.time_ns()
    time.sleep(0.2)
    del stream
    gc.collect()
    assert traced.span.end_time <= seen


def test_an_exception_thrown_into_a_stream_is_an_error(traced):
    client = traced.client("long")
    stream = client.chat_completion(MESSAGES, stream=True)
    next(stream)
    with pytest.raises(KeyError):
        stream.throw(KeyError("mine"))
    assert outcome(traced.span) == ("ERROR", "KeyError: 'mine'")
    assert list(stream) == []


def test_a_stream_is_what_the_client_returned(traced, uninstrumented):
    client = traced.client("no-usage")
    stream = client.chat_completion(MESSAGES, stream=True)
    assert isinstance(stream, types.GeneratorType)
    assert isinstance(stream, collections.abc.Generator)
    assert not isinstance(stream, collections.abc.AsyncIterable)
    assert inspect.isgenerator(stream)
    assert inspect.getgeneratorstate(stream) == inspect.GEN_CREATED
    assert iter(stream) is stream
    assert repr(stream).startswith("<generator object _stream_chat_completion_response")
    with pytest.raises(TypeError, match="generator"):
        pickle.dumps(stream)
    first = next(stream)
    assert stream.gi_frame is not None
    assert type(first).__name__ == "ChatCompletionStreamOutput"

    def delegate():
        return (yield from stream)

    traced_chunks = [first, *delegate()]
    HuggingFaceHubInstrumentor().uninstrument()
    assert traced_chunks == list(client.chat_completion(MESSAGES, stream=True))


@needs_async
def test_async_streams_end_like_the_others(traced):
    async def main():
        async with traced.client("long", AsyncInferenceClient) as client:

            async def open_stream():
                return await client.chat_completion(MESSAGES, stream=True)

            stream = await open_stream()
            assert isinstance(stream, types.AsyncGeneratorType)
            assert isinstance(stream, collections.abc.AsyncGenerator)
            assert inspect.isasyncgen(stream)
            assert not isinstance(stream, collections.abc.Iterable)
            assert len([chunk async for chunk in stream]) == 51

            stream = await open_stream()
            await stream.__anext__()
            await stream.aclose()

            stream = await open_stream()
            async for _ in stream:
                break
            del stream
            gc.collect()

            stream = await open_stream()
            await stream.__anext__()
            with pytest.raises(KeyError):
                await stream.athrow(KeyError("mine"))

    asyncio.run(main())
    assert [outcome(span) for span in traced.spans] == [("OK", None)] * 3 + [("ERROR", "KeyError: 'mine'")]


@pytest.fixture
def hanging():
    """A server that sends two words of a stream, and then nothing more until the test is over."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for word in hub_endpoint.WORDS[:2]:
                self.wfile.write(b"data: " + json.dumps(word).encode() + b"\n\n")
            over.wait(30)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    over.set()
    server.shutdown()
    server.server_close()


@needs_async
@pytest.mark.parametrize("streamed", [True, False], ids=["in-a-stream", "in-a-call"])
def test_cancellation_is_an_error(traced, hanging, streamed):
    async def use():
        async with AsyncInferenceClient(base_url=hanging, token="x") as client:
            answer = await client.chat_completion(MESSAGES, stream=streamed)
            async for _ in answer:
                pass

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(use(), 1)

    asyncio.run(main())
    assert outcome(traced.span) == ("ERROR", "CancelledError")
    assert traced.span.attributes["hf.error.kind"] == "cancelled"
    if streamed:
        assert traced.span.attributes["llm.output_messages.0.message.content"] == "Hello there"


def test_a_time_out_says_so(traced, hanging):
    client = InferenceClient(base_url=hanging, token="x", timeout=0.2)
    with pytest.raises(Exception, match=r"(?i)timed out"):
        client.chat_completion(MESSAGES)
    status, message = outcome(traced.span)
    assert status == "ERROR"
    assert "timed out" in message.lower()
    assert traced.span.attributes["hf.error.kind"] == "client_timeout"


# How calls end.


def error_of(call):
    with pytest.raises(Exception) as raised:
        call()
    return raised.value


@pytest.mark.parametrize("case", ["402", "429", "503", "overloaded", "nonsense"])
def test_the_program_gets_the_error_it_would_have_got(uninstrumented, case):
    client = uninstrumented.client(case)
    call = functools.partial(client.text_generation if case == "overloaded" else client.chat_completion, MESSAGES)
    bare = error_of(call)
    uninstrumented.instrument()
    traced = error_of(functools.partial(getattr(client, call.func.__name__), MESSAGES))
    for name in ("__cause__", "__context__", "__class__", "response"):
        assert type(getattr(traced, name, None)) is type(getattr(bare, name, None))
    assert (traced.args, str(traced), traced.__suppress_context__) == (bare.args, str(bare), bare.__suppress_context__)
    assert uninstrumented.span.status.status_code.name == "ERROR"
    (event,) = uninstrumented.span.events
    assert event.name == "exception"


def test_one_span_where_the_client_calls_itself_again(traced):
    client = traced.client("generation")
    model = f"{traced.root}/not-tgi"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert client.text_generation("The sea", top_n_tokens=2, model=model) == " is blue"
    assert traced.span.attributes["llm.choices.0.completion.text"] == " is blue"
    assert "top_n_tokens" not in json.loads(traced.span.attributes["llm.invocation_parameters"])


def test_the_span_covers_what_comes_after_the_request(traced, monkeypatch):
    """As with the providers whose answer is a job that the client then polls for."""
    from huggingface_hub.inference._providers import hf_inference

    def slow(_self, answer, *_, **__):
        time.sleep(0.1)
        return answer[0] if isinstance(answer, list) else answer

    monkeypatch.setattr(hf_inference.HFInferenceTask, "get_response", slow)
    traced.client("generation").text_generation("The sea")
    assert traced.span.end_time - traced.span.start_time >= 0.1e9


def test_spans_of_the_call_are_its_children_and_it_is_a_child_of_the_programs(traced):
    import huggingface_hub.inference._client as client_module

    seen = []
    original = client_module.get_session
    client_module.get_session = lambda: seen.append(trace.get_current_span()) or original()
    try:
        with trace.use_span(TracerProvider().get_tracer("mine").start_span("work")) as work:
            traced.client("served").chat_completion(MESSAGES)
            assert trace.get_current_span() is work
    finally:
        client_module.get_session = original
    assert seen[0].get_span_context() == traced.span.get_span_context()
    assert traced.span.parent.span_id == work.get_span_context().span_id


# What a span says.


def comparable(attributes):
    """What both instrumentors say alike; JSON bodies are compared on their own."""
    left_out = ("llm.system", "input.value", "output.value", "llm.invocation_parameters", "llm.provider")
    own = ("hf.", "server.", "gen_ai.")
    return {key: value for key, value in attributes.items() if key not in left_out and not key.startswith(own)}


@pytest.mark.parametrize("case", ["served", "tool-calls"])
def test_attributes_are_openinferences_for_the_same_exchange(traced, case):
    openai = pytest.importorskip("openai")
    from openinference.instrumentation.openai import OpenAIInstrumentor

    request = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c0", "content": "sunny"},
        ],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}],
        "model": "org/name",
        "max_tokens": 8,
        "temperature": 0.5,
    }
    traced.client(case).chat_completion(**request)
    ours = dict(traced.span.attributes)
    traced.exporter.clear()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=SpanLimits.UNSET))
    provider.add_span_processor(SimpleSpanProcessor(traced.exporter))
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        client = openai.OpenAI(base_url=f"{traced.root}/{case}/v1", api_key="x", max_retries=0)
        client.chat.completions.create(**request)
    finally:
        instrumentor.uninstrument()
    theirs = dict(traced.span.attributes)
    assert traced.span.name == "ChatCompletion"
    missing = {
        key: value for key, value in comparable(theirs).items() if ours.get(key) != value and value not in ("", None)
    }
    assert missing == {}
    more = {key for key in comparable(ours) if key not in theirs}
    assert more <= {"llm.finish_reason"}, "older versions of OpenInference do not know the reason"
    parameters = json.loads(ours["llm.invocation_parameters"])
    assert parameters.pop("stream") is False, "huggingface_hub says so in its body, openai does not"
    assert parameters == json.loads(theirs["llm.invocation_parameters"])


def test_what_is_hidden_by_configuration_is_not_recorded(uninstrumented):
    uninstrumented.instrument(config=TraceConfig(hide_inputs=True, hide_outputs=True))
    client = uninstrumented.client("served")
    client.chat_completion([{"role": "user", "content": "a secret question"}])
    recorded = json.dumps(dict(uninstrumented.span.attributes))
    assert "secret" not in recorded
    assert "Hello there" not in recorded
    assert uninstrumented.span.attributes["llm.token_count.total"] == 15


def test_images_are_hidden_in_the_request_too(uninstrumented):
    uninstrumented.instrument(config=TraceConfig(hide_input_images=True))
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    uninstrumented.client("served").chat_completion([{"role": "user", "content": [part]}])
    assert "QUJD" not in json.dumps(dict(uninstrumented.span.attributes))


def test_sessions_of_the_programs_context_are_on_the_span(traced):
    with using_session("mine"):
        traced.client("served").chat_completion(MESSAGES)
    assert traced.span.attributes["session.id"] == "mine"


@needs_async
def test_headers_of_the_answer_are_seen_by_both_clients(traced):
    async def main():
        async with traced.client("served", AsyncInferenceClient) as client:
            await client.chat_completion(MESSAGES, model="org/name:together")

    traced.client("served").chat_completion(MESSAGES, model="org/name:together")
    asyncio.run(main())
    for span in traced.spans:
        assert span.attributes["hf.provider.served"] == span.attributes["hf.provider.requested"] == "together"
        assert span.attributes["hf.request_id"] == "Root=1-abc"
        assert span.attributes["hf.model.base"] == "org/name"
    assert len(traced.spans) == 2


# What cannot be had costs no more than itself.


def fails(*_, **__):
    raise LookupError("of a form that nobody knows")


EVERYTHING = {
    "hf.task",
    "hf.endpoint.kind",
    "server.address",
    "gen_ai.request.model",
    "gen_ai.provider.name",
    "llm.system",
    "gen_ai.operation.name",
    "hf.provider.served",
    "llm.invocation_parameters",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.content",
    "llm.token_count.total",
    "hf.stream.chunks",
}
OF_A_STREAM = {"llm.output_messages.0.message.content", "llm.token_count.total"}


@pytest.mark.parametrize(
    ("owner", "name", "lost"),
    [
        (StreamedAnswer, "body", OF_A_STREAM),
        (StreamedAnswer, "add", OF_A_STREAM),
        (stream_timing.StreamTiming, "attributes", {"hf.stream.chunks"}),
        (routing, "request_attributes", {"hf.endpoint.kind", "server.address"}),
        (routing, "response_attributes", {"hf.provider.served"}),
        (openinference, "_parameters", {"llm.invocation_parameters"}),
        (openinference, "messages", {"llm.input_messages.0.message.content", "llm.output_messages.0.message.content"}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_part_that_cannot_be_built_costs_that_part_only(traced, monkeypatch, owner, name, lost):
    monkeypatch.setattr(owner, name, fails)
    client = traced.client("usage-if-asked")
    answer = client.chat_completion(MESSAGES, model="org/name", stream=True, stream_options={"include_usage": True})
    assert len(list(answer)) == 5
    assert outcome(traced.span) == ("OK", None)
    assert EVERYTHING - set(traced.span.attributes) == lost


def test_the_default_limit_of_attributes_takes_old_messages_first(uninstrumented):
    uninstrumented.instrument(limits=SpanLimits(max_span_attributes=128))
    client = uninstrumented.client("usage-if-asked")
    answer = client.chat_completion(
        MESSAGES * 70, model="org/name", stream=True, stream_options={"include_usage": True}
    )
    assert len(list(answer)) == 5
    assert EVERYTHING - set(uninstrumented.span.attributes) == {"llm.input_messages.0.message.content"}


def test_an_error_that_cannot_be_recorded_is_still_told(traced, monkeypatch):
    monkeypatch.setattr("opentelemetry.sdk.trace.Span.record_exception", fails)
    monkeypatch.setattr(routing, "response_attributes", fails)
    with pytest.raises(Exception, match="402"):
        traced.client("402").chat_completion(MESSAGES)
    assert outcome(traced.span)[1].endswith(hub_endpoint.ERRORS["402"])
    assert traced.span.attributes["hf.error.kind"] == "credits_exhausted"
    assert traced.span.attributes["http.response.status_code"] == 402


def test_content_that_is_no_text_costs_nothing(traced):
    assert len(list(traced.client("thinking").chat_completion(MESSAGES, model="org/name", stream=True))) == 5
    assert EVERYTHING - set(traced.span.attributes) == {"hf.provider.served"}, "the endpoint names none"
    assert traced.span.attributes["llm.output_messages.0.message.content"] == "Four."
    (choice,) = json.loads(traced.span.attributes["output.value"])["choices"]
    assert choice["message"]["reasoning"] == "Two and two"


def test_reasoning_that_is_not_shown_counts_for_no_pace(traced, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(stream_timing, "time", types.SimpleNamespace(perf_counter=lambda: float(next(clock))))
    assert len(list(traced.client("hidden-reasoning").chat_completion(MESSAGES, stream=True))) == 4
    attributes = traced.span.attributes
    assert attributes["llm.token_count.completion"] == 1000
    assert attributes["hf.stream.time_per_output_token"] == 2.0, "three words, four readings of the clock between"


# Asking for usage.


def test_the_extra_chunk_does_not_reach_the_program(uninstrumented, endpoint):
    client = uninstrumented.client("usage-if-asked")
    bare = list(client.chat_completion(MESSAGES, stream=True))
    uninstrumented.instrument(stream_usage="on")
    assert list(client.chat_completion(MESSAGES, stream=True)) == bare
    assert endpoint.calls[-1][2]["stream_options"] == {"include_usage": True}
    span = uninstrumented.span
    assert span.attributes["llm.token_count.total"] == 15
    assert "stream_options" not in span.attributes["llm.invocation_parameters"], "what the program sent"


@needs_async
def test_nor_does_it_reach_an_asynchronous_one(uninstrumented):
    uninstrumented.instrument(stream_usage="on")

    async def main():
        async with uninstrumented.client("usage-if-asked", AsyncInferenceClient) as client:
            return [chunk async for chunk in await client.chat_completion(MESSAGES, stream=True)]

    assert all(chunk.choices for chunk in asyncio.run(main()))
    assert uninstrumented.span.attributes["llm.token_count.total"] == 15


def test_a_chunk_of_usage_that_the_program_asked_for_is_its_own(uninstrumented):
    uninstrumented.instrument(stream_usage="on")
    client = uninstrumented.client("usage-if-asked")
    chunks = list(client.chat_completion(MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 15


ONCE = [True, False, False]
REFUSING = {
    "refuses-option": ONCE,
    "refuses-unnamed": ONCE,
    "refuses-plainly": ONCE,
    # A 500 may come by chance: it is asked a second time.
    "falls": [True, False, True, False],
}
"""Servers, and which of the requests for two streams carry the option."""


@pytest.mark.parametrize("case", REFUSING)
def test_a_server_that_refuses_the_option_is_asked_once(case, uninstrumented, endpoint, monkeypatch):
    monkeypatch.setattr(usage_question, "_doubted", {})
    uninstrumented.instrument(stream_usage="on")
    client = uninstrumented.client(case)
    before = len(endpoint.calls)
    for _ in range(2):
        assert "".join(
            chunk.choices[0].delta.content or "" for chunk in client.chat_completion(MESSAGES, stream=True)
        ) == ("Hello there.")
    assert ["stream_options" in body for _, _, body in endpoint.calls[before:]] == REFUSING[case]
    assert [outcome(span) for span in uninstrumented.spans] == [("OK", None)] * 2


@needs_async
@pytest.mark.parametrize("case", REFUSING)
def test_so_is_it_by_an_asynchronous_client(case, uninstrumented, endpoint, monkeypatch):
    monkeypatch.setattr(usage_question, "_doubted", {})
    uninstrumented.instrument(stream_usage="on")
    before = len(endpoint.calls)

    async def main():
        async with uninstrumented.client(case, AsyncInferenceClient) as client:
            for _ in range(2):
                chunks = [chunk async for chunk in await client.chat_completion(MESSAGES, stream=True)]
                assert len(chunks) == 4

    asyncio.run(main())
    assert ["stream_options" in body for _, _, body in endpoint.calls[before:]] == REFUSING[case]
    assert [outcome(span) for span in uninstrumented.spans] == [("OK", None)] * 2


def test_a_bad_request_gets_the_answer_that_it_would_have_got(uninstrumented, endpoint, monkeypatch):
    monkeypatch.setattr(usage_question, "_doubted", {})
    client = uninstrumented.client("bad")

    def failing():
        try:
            client.chat_completion(MESSAGES, stream=True)
        except huggingface_hub.errors.HfHubHTTPError as error:
            chain = [error]
            while chain[-1].__context__ is not None:
                chain.append(chain[-1].__context__)
            return [type(link) for link in chain], error.response.json(), error.response.status_code
        raise AssertionError("it was answered")

    bare = failing()
    uninstrumented.instrument(stream_usage="on")
    before = len(endpoint.calls)
    assert [failing(), failing()] == [bare, bare]
    assert ["stream_options" in body for _, _, body in endpoint.calls[before:]] == [True, False, False]
    assert [span.status.status_code.name for span in uninstrumented.spans] == ["ERROR"] * 2
    assert "without the option" in uninstrumented.spans[0].status.description


def test_a_stream_has_as_many_chunks_as_the_program_has_seen(uninstrumented):
    uninstrumented.instrument(stream_usage="on")
    assert len(list(uninstrumented.client("usage-if-asked").chat_completion(MESSAGES, stream=True))) == 4
    assert uninstrumented.span.attributes["hf.stream.chunks"] == 4


def test_usage_that_stands_beside_an_answer_is_taken_from_groqs_chunk(uninstrumented):
    client = uninstrumented.client("groq")
    bare = list(client.chat_completion(MESSAGES, stream=True))
    uninstrumented.instrument(stream_usage="on")
    chunks = list(client.chat_completion(MESSAGES, stream=True))
    assert (chunks, repr(chunks)) == (bare, repr(bare))
    assert chunks[-1].usage is None
    assert uninstrumented.span.attributes["llm.token_count.total"] == 15


# On and off.


def test_nothing_is_recorded_where_tracing_is_suppressed(traced):
    with suppress_tracing():
        traced.client("served").chat_completion(MESSAGES)
    assert traced.spans == ()


def test_a_call_that_is_not_sampled_is_not_looked_at(uninstrumented, monkeypatch):
    uninstrumented.instrument(sampler=ALWAYS_OFF)
    looked_at = []
    monkeypatch.setattr(openinference, "as_json", looked_at.append)
    client = uninstrumented.client("no-usage")
    stream = client.chat_completion(MESSAGES, stream=True)
    assert type(stream) is types.GeneratorType
    assert len(list(stream)) == 4
    assert looked_at == []
    assert uninstrumented.spans == ()


def test_uninstrument_puts_everything_back_and_instrument_works_again(uninstrumented):
    def methods():
        return {
            (kind, name): value
            for kind in (InferenceClient, AsyncInferenceClient)
            for name, value in vars(kind).items()
            if callable(value)
        }

    before = methods()
    uninstrumented.instrument()
    during = methods()
    changed = {name for kind, name in before if before[kind, name] is not during[kind, name]}
    assert {"_inner_post", "chat_completion", "text_to_image", "feature_extraction", "summarization"} <= changed
    assert not changed & {"__init__", "__enter__", "get_endpoint_info", "health_check"}
    for key, method in during.items():
        assert inspect.signature(method) == inspect.signature(before[key])
        assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(before[key])
    HuggingFaceHubInstrumentor().uninstrument()
    assert methods() == before
    uninstrumented.client("served").chat_completion(MESSAGES)
    assert uninstrumented.spans == ()
    uninstrumented.instrument()
    uninstrumented.client("served").chat_completion(MESSAGES)
    assert len(uninstrumented.spans) == 1


def test_a_client_without_the_private_hook_is_left_alone(uninstrumented, monkeypatch):

    module = types.SimpleNamespace(
        __name__="huggingface_hub.inference._client", InferenceClient=type("InferenceClient", (), {"chat": print})
    )
    uninstrumented.instrument()
    HuggingFaceHubInstrumentor.hooks.install(module)
    assert vars(module.InferenceClient)["chat"] is print


def test_hooks_beneath_a_foreign_wrapper_pass_on_after_uninstrument(uninstrumented, monkeypatch):
    uninstrumented.instrument()
    ours = InferenceClient.chat_completion

    def theirs(self, *args, **kwargs):
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(InferenceClient, "chat_completion", theirs)
    HuggingFaceHubInstrumentor().uninstrument()
    assert uninstrumented.client("served").chat_completion(MESSAGES).choices
    assert uninstrumented.spans == ()
    uninstrumented.instrument()
    uninstrumented.client("served").chat_completion(MESSAGES)
    assert len(uninstrumented.spans) == 1
