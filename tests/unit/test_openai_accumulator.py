"""Chunks joined before OpenInference sees them: it makes the same of a stream, of fewer of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

openai = pytest.importorskip("openai")

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openinference.instrumentation.openai import _response_accumulator as theirs
from openinference.instrumentation.openai._response_attributes_extractor import _ResponseAttributesExtractor

from hf_openobserve.capture.openai_accumulator import Joining, text_alone

pytestmark = pytest.mark.matrix


def chunk(*deltas, usage=None, **choice_members):
    choices = [
        {"index": index, "delta": delta, "finish_reason": None, **choice_members}
        for index, delta in (delta if isinstance(delta, tuple) else (0, delta) for delta in deltas)
    ]
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return ChatCompletionChunk.model_validate({**body, **({"usage": usage} if usage else {})})


def text(content, index=0, **more):
    return chunk((index, {"content": content, **more}))


def call(arguments, **more):
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]})


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, finish_reason="stop")
COUNTED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
USAGE = chunk(usage=COUNTED)
STREAMS = {
    "text": [ROLE, text("Hel"), text("lo"), text("."), STOP, USAGE],
    "a role on each chunk": [text("Hel", role="assistant"), text("lo", role="assistant"), STOP],
    "broken off": [ROLE, text("Hel"), text("lo")],
    "text before a tool": [ROLE, text("I "), text("call"), call('{"a"', id="1", type="function"), call(": 1}"), STOP],
    "two choices by turns": [text("a", 0), text("b", 1), text("c", 0), text("d", 0), text("e", 1)],
    "two choices at once": [chunk((0, {"content": "a"}), (1, {"content": "b"})), text("c"), text("d")],
    "reasoning": [text("", reasoning_content="Hm"), text("", reasoning_content="mm"), text("So"), text("!")],
    "refusal": [chunk({"refusal": "I "}), chunk({"refusal": "will not"}), STOP],
    "usage beside text": [text("a"), chunk({"content": "b"}, usage=COUNTED), text("c")],
    "nothing": [],
}


OPEN, ENDED = SimpleNamespace(is_finished=False), SimpleNamespace(is_finished=True)


def collector():
    return theirs._ChatCompletionAccumulator(
        request_parameters={},
        chat_completion_type=ChatCompletion,
        response_attributes_extractor=_ResponseAttributesExtractor(openai=openai),
    )


def collected(accumulator, chunks):
    for piece in chunks:
        accumulator.process_chunk(piece)
    return dict(accumulator.get_attributes()), dict(accumulator.get_extra_attributes())


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_made_of_a_stream_is_the_same(name):
    chunks = STREAMS[name]
    before = [piece.model_dump_json() for piece in chunks]
    assert collected(Joining(collector(), OPEN), chunks) == collected(collector(), chunks)
    assert [piece.model_dump_json() for piece in chunks] == before, "the program's chunks are not changed"


class Listing:
    def __init__(self):
        self.seen = []

    def process_chunk(self, chunk):
        self.seen.append(chunk)

    def get_attributes(self):
        return iter([("seen", len(self.seen))])

    def get_extra_attributes(self):
        return iter(())


def test_a_long_text_is_seen_once():
    accumulator = Listing()
    chunks = [ROLE, *(text(f" word{number}") for number in range(100)), STOP]
    attributes, _ = collected(Joining(accumulator, OPEN), chunks)
    assert attributes == {"seen": 2}
    assert accumulator.seen[0].choices[0].delta.content == "".join(f" word{number}" for number in range(100))
    assert accumulator.seen[1] is STOP


def test_when_the_span_has_ended_nothing_is_made_of_it_again():
    class Once(Listing):
        def get_attributes(self):
            raise AssertionError("asked again")

        get_extra_attributes = get_attributes

    assert collected(Joining(Once(), ENDED), [ROLE, text("a"), STOP]) == ({}, {})


@pytest.mark.parametrize("odd", [None, object(), ChatCompletionChunk.model_construct(choices=None)])
def test_a_chunk_of_a_form_nobody_knows_is_left_out(odd):
    class Choosy(Listing):
        def process_chunk(self, chunk):
            super().process_chunk(chunk)
            iter(chunk.choices)

    accumulator = Choosy()
    attributes, _ = collected(Joining(accumulator, OPEN), [text("a"), odd, text("b"), STOP])
    assert attributes == {"seen": 4}
    assert [seen.choices[0].delta.content for seen in accumulator.seen if seen not in (odd, STOP)] == ["a", "b"]


@pytest.mark.parametrize(
    "other", [object(), None, STOP, USAGE, call("x"), chunk({"refusal": "x"}), text("x", reasoning="y")]
)
def test_what_is_more_than_text_is_not_text(other):
    assert text_alone(other) is None
