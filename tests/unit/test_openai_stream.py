"""The classes that openai's client builds its streams from, and what of a chunk is an answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

openai = pytest.importorskip("openai")

from openai.types.chat import ChatCompletionChunk

from hf_openobserve.capture import attempts, openai_stream
from hf_openobserve.capture.calls import Call
from hf_openobserve.capture.pace import Pace

pytestmark = pytest.mark.matrix


def delta(**members):
    defaults = {"content": None, "role": None}
    return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(**{**defaults, **members}))])


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (delta(content="x"), True),
        (delta(tool_calls=[object()]), True),
        (delta(reasoning_content="x"), True),
        (delta(reasoning="x"), True),
        (delta(refusal="x"), True),
        (delta(role="assistant", content=""), False),
        (delta(), False),
        (SimpleNamespace(choices=[]), False),
        (SimpleNamespace(choices=[SimpleNamespace(text="x")]), True),
        (SimpleNamespace(choices=[SimpleNamespace(text="")]), False),
        (SimpleNamespace(type="response.output_text.delta"), True),
        (SimpleNamespace(type="response.completed"), False),
        (SimpleNamespace(type=None), False),
        (object(), False),
    ],
)
def test_what_of_a_chunk_is_an_answer(chunk, expected):
    assert openai_stream.carries_content(chunk) is expected


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (delta(content="x"), False),
        (delta(content="x", reasoning="y"), False),
        (delta(content=""), False),
        (delta(reasoning_content="x"), True),
        (delta(content="", reasoning="x"), True),
        (delta(content=[{"type": "thinking", "thinking": []}]), True),
        (delta(content=[{"type": "text", "text": "x"}]), False),
        (SimpleNamespace(choices=[SimpleNamespace(text="x")]), False),
        (SimpleNamespace(type="response.output_text.delta"), False),
        (SimpleNamespace(type="response.reasoning_summary_text.delta"), True),
        (object(), False),
    ],
)
def test_what_of_a_chunk_is_reasoning(chunk, expected):
    assert openai_stream.carries_reasoning(chunk) is expected


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (SimpleNamespace(choices=[], usage="u"), "u"),
        (SimpleNamespace(choices=[1], usage="u"), "u"),
        (SimpleNamespace(choices=[1], usage=None), None),
        (SimpleNamespace(response=SimpleNamespace(usage="u")), "u"),
        (SimpleNamespace(response=None), None),
        (object(), None),
    ],
)
def test_where_a_chunk_has_its_usage(chunk, expected):
    assert openai_stream.usage_of(chunk) == expected


class Response:
    def __init__(self, call=None):
        self.headers = {"content-type": "text/event-stream"}
        self.extensions = {} if call is None else {attempts.EXTENSION: call}
        self.closed = 0

    def close(self):
        self.closed += 1

    def iter_bytes(self):
        yield b""


CLIENT = SimpleNamespace(_make_sse_decoder=lambda: None)


def built(stream_cls, call=None):
    return openai_stream.watched(stream_cls)(cast_to=ChatCompletionChunk, response=Response(call), client=CLIENT)


@pytest.mark.parametrize("base", [openai.Stream, openai.AsyncStream])
def test_the_class_of_a_stream_is_made_once_and_looks_like_the_one_asked_for(base):
    asked_for = base[ChatCompletionChunk]
    made = openai_stream.watched(asked_for)
    assert openai_stream.watched(asked_for) is made
    assert issubclass(made, base)
    assert (made.__module__, made.__qualname__, made.__doc__) == (base.__module__, base.__qualname__, base.__doc__)
    stream = built(asked_for)
    assert isinstance(stream, base)
    assert stream.__class__ is base


def test_a_programs_own_class_keeps_what_it_adds():
    class Own(openai.Stream[ChatCompletionChunk]):
        extra = 5

    stream = built(Own)
    assert isinstance(stream, Own)
    assert stream.extra == 5


@pytest.mark.parametrize("other", [object, "openai.Stream", None])
def test_what_is_no_stream_is_left_alone(other):
    assert openai_stream.watched(other) is other


def test_classes_made_per_call_are_not_kept(monkeypatch):
    monkeypatch.setattr(openai_stream, "_classes", {})
    monkeypatch.setattr(openai_stream, "_CLASSES", 2)
    classes = [type(f"S{number}", (openai.Stream,), {}) for number in range(4)]
    assert [openai_stream.watched(one) is one for one in classes] == [False, False, True, True]


class WithSpan:
    def __init__(self):
        self.ends = []

    def record_exception(self, error):
        self.ends.append(type(error).__name__)

    def finish_tracing(self, status, attributes, extra_attributes):
        self.ends.append((status.status_code.name, attributes, extra_attributes))


def watch(ours=True):
    call = Call("http://127.0.0.1/v1/chat/completions", "127.0.0.1", {})
    call.pace = Pace()
    call.streams = openai_stream.Watch(call, ours=ours, asked=False)
    with_span = WithSpan()
    accumulator = SimpleNamespace(get_attributes=lambda: {"a": 1}, get_extra_attributes=lambda: {"b": 2})
    call.streams.ends_with(with_span, accumulator)
    return call, with_span


def chunked(stream):
    stream._hf_watch.asked()
    stream._hf_watch.came(delta(content="x"))


@pytest.mark.parametrize("leave", [lambda stream: stream.close(), lambda stream: stream.response.close()])
def test_closed_it_ends_once_and_its_response_is_as_it_was(leave, monkeypatch):
    monkeypatch.setattr(openai_stream, "Joining", lambda accumulator, _: accumulator)
    call, with_span = watch()
    stream = built(openai.Stream[ChatCompletionChunk], call)
    chunked(stream)
    response = stream.response
    leave(stream)
    leave(stream)
    assert response.closed == 2
    assert "close" not in vars(response)
    del stream
    assert with_span.ends == [("OK", {"a": 1}, {"b": 2})]
    assert call.streams not in openai_stream._open
    assert call.ended is not None


def test_dropped_it_ends_at_once_with_its_last_chunk(monkeypatch):
    monkeypatch.setattr(openai_stream, "Joining", lambda accumulator, _: accumulator)
    call, with_span = watch()
    stream = built(openai.Stream[ChatCompletionChunk], call)
    chunked(stream)
    assert call.streams in openai_stream._open
    del stream
    assert with_span.ends == [("OK", {"a": 1}, {"b": 2})]


def test_what_is_not_ours_is_not_ended_by_us():
    call, with_span = watch(ours=False)
    stream = built(openai.Stream[ChatCompletionChunk], call)
    chunked(stream)
    stream.close()
    del stream
    assert with_span.ends == []
    assert call.ended is not None, "but we know when it was over"


def test_a_stream_open_at_a_fork_is_the_parents(monkeypatch):
    call, with_span = watch()
    stream = built(openai.Stream[ChatCompletionChunk], call)
    monkeypatch.setattr(openai_stream.os, "getpid", lambda: -1)
    stream.close()
    del stream
    assert with_span.ends == []


def test_held_at_exit_it_ends_there(monkeypatch):
    monkeypatch.setattr(openai_stream, "Joining", lambda accumulator, _: accumulator)
    monkeypatch.setattr(openai_stream, "_open", set())
    call, with_span = watch()
    held = built(openai.Stream[ChatCompletionChunk], call)
    chunked(held)
    openai_stream._abandon_all()
    openai_stream._abandon_all()
    assert with_span.ends == [("OK", {"a": 1}, {"b": 2})]
    held.close()
    assert len(with_span.ends) == 1
