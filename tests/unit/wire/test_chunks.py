"""Streams put together again: pieces of every API, as servers really send them, and the one body that they are."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hf_openobserve.wire.chunks import StreamedAnswer

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chunk(*choices, **members):
    """A chunk of the chat API; a choice is its delta, or (index, delta), with ``finish_reason`` within."""
    made = []
    for choice in choices:
        index, delta = choice if isinstance(choice, tuple) else (0, dict(choice))
        made.append({"index": index, "finish_reason": delta.pop("finish_reason", None), "delta": delta})
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": made, **members}


def objects(value):
    """The same as objects with attributes, as the clients parse it."""
    if isinstance(value, dict):
        # Arguments are parsed by nobody.
        return SimpleNamespace(**{name: one if name == "arguments" else objects(one) for name, one in value.items()})
    return [objects(member) for member in value] if isinstance(value, list) else value


def put_together(chunks):
    answer = StreamedAnswer()
    carried = [answer.add(piece) for piece in chunks]
    return answer, carried


def message_of(*deltas):
    answer, _ = put_together([chunk(delta) for delta in deltas])
    (choice,) = answer.body()["choices"]
    return choice["message"]


@pytest.fixture(params=["dictionaries", "objects"])
def form(request):
    return objects if request.param == "objects" else lambda value: value


def test_a_chat_stream(form):
    answer, carried = put_together(
        map(
            form,
            [
                chunk({"role": "assistant", "content": None}, system_fingerprint="vllm-0.21.0-955d20dc"),
                chunk({"content": "Hel"}, (1, {"role": "assistant", "content": "Ho"})),
                chunk({"content": "lo", "reasoning": "why"}),
                chunk({"finish_reason": "stop"}, (1, {"finish_reason": "length"})),
                chunk(usage=USAGE),
            ],
        )
    )
    assert (carried, answer.pieces, answer.reasoned) == ([False, True, True, False, False], 2, True)
    body = answer.body()
    usage = body.pop("usage")
    assert usage == form(USAGE)
    assert body == {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "system_fingerprint": "vllm-0.21.0-955d20dc",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "reasoning": "why"},
                "finish_reason": "stop",
            },
            {"index": 1, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "length"},
        ],
    }


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        ([chunk(usage=USAGE)], USAGE),
        ([chunk({"finish_reason": "stop"}, usage=USAGE)], USAGE),
        ([chunk({"content": "a"}, usage={"total_tokens": 1}), chunk({"content": "b"}, usage=USAGE)], USAGE),
        ([chunk({"finish_reason": "stop"}, x_groq={"usage": USAGE})], USAGE),
        ([chunk(usage=USAGE), chunk(usage=None)], USAGE),
        ([{"usage": USAGE}], USAGE),
        ([chunk({"content": "a"}, usage=None)], None),
    ],
    ids=["alone", "at the end", "on every chunk", "Groq's", "then null", "without choices", "null"],
)
def test_where_the_usage_stands(chunks, usage):
    assert put_together(chunks)[0].usage == usage


def test_what_the_server_says_of_its_own_time_is_kept():
    timings, metrics = {"predicted_ms": 240.5}, {"ttft_ms": 187}
    chunks = [chunk({"content": "a"}, sla_metrics=metrics), chunk(usage=USAGE, timings=timings), chunk(timings=None)]
    body = put_together(chunks)[0].body()
    assert (body["timings"], body["sla_metrics"]) == (timings, metrics)


# Tool calls. A case is the deltas' ``tool_calls``, and (id, name, arguments) of the calls that they are.


def call(identifier=None, name=None, arguments=None, index=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    members = {"id": identifier, "index": index, "function": function or None}
    return {key: value for key, value in members.items() if value is not None}


TOOL_CALLS = {
    "by their indexes": (
        [
            [call("a", "look", "", 0)],
            [call(None, None, '{"at":', 0)],
            [call(None, None, " 1}", 0), call("b", "wait", "{}", 1)],
        ],
        [("a", "look", '{"at": 1}'), ("b", "wait", "{}")],
    ),
    "interleaved": (
        [[call("a", "f", "1", 0), call("b", "g", "2", 1)], [call(None, None, "4", 1)], [call(None, None, "3", 0)]],
        [("a", "f", "13"), ("b", "g", "24")],
    ),
    "name and arguments on every piece": (
        [[call("a", "f", "1", 0)], [call("a", "f", "2", 0)], [call("a", "f", "3", 0)]],
        [("a", "f", "123")],
    ),
    "an empty name and id behind the first": ([[call("a", "f", "1", 0)], [call("", "", "2", 0)]], [("a", "f", "12")]),
    "no index": (
        [[call("a", "f", "1")], [call(None, None, "2")], [call("b", "g", "3")]],
        [("a", "f", "12"), ("b", "g", "3")],
    ),
    "no index, in turn": (
        [[call("a", "f", "1")], [call("b", "g", "2")], [call("a", None, "3")]],
        [("a", "f", "13"), ("b", "g", "2")],
    ),
    "all of index 0": (
        [[call("a", "f", "1", 0)], [call("b", "g", "2", 0)], [call("c", "f", "3", 0)]],
        [("a", "f", "1"), ("b", "g", "2"), ("c", "f", "3")],
    ),
    "all of index 0, in pieces": (
        [[call("a", "f", "1", 0)], [call(None, None, "2", 0)], [call("b", "g", "3", 0)], [call(None, None, "4", 0)]],
        [("a", "f", "12"), ("b", "g", "34")],
    ),
    "no ids": ([[call(None, "f", "1", 0)], [call(None, "g", "2", 1)]], [(None, "f", "1"), (None, "g", "2")]),
    "no ids, and one index": (
        [[call(None, "f", "1", 0)], [call(None, "g", "2", 0)]],
        [(None, "f", "1"), (None, "g", "2")],
    ),
    "neither id nor index": (
        [[call(None, "f", "1")], [call(None, None, "2")], [call(None, "g")]],
        [(None, "f", "12"), (None, "g", "")],
    ),
    "the id behind the first piece": ([[call(None, "f", "1", 0)], [call("a", None, "2", 0)]], [("a", "f", "12")]),
    "ids that are numbers": (
        [[call(7, "f", "1", 0)], [call(7, None, "2", 0)], [call(0, "g", "3", 1)]],
        [("7", "f", "12"), ("0", "g", "3")],
    ),
    "indexes that are texts": ([[call("a", "f", "1", "0")], [call(None, None, "2", "0")]], [("a", "f", "12")]),
    "indexes of no form": ([[call("a", "f", "1", "x")], [call(None, None, "2", [])]], [("a", "f", "12")]),
    "arguments as an object": ([[call("a", "f", {"at": 1}, 0)]], [("a", "f", '{"at": 1}')]),
    "one call for a list": ([call("a", "f", {"at": 1}, 0)], [("a", "f", '{"at": 1}')]),
    "one call for a list, in pieces": ([call("", "f", '{"a', 0), call("", "f", '": 1}', 0)], [(None, "f", '{"a": 1}')]),
    "no function": ([[call("a", index=0)]], [("a", "", "")]),
}  # fmt: skip


@pytest.mark.parametrize("case", TOOL_CALLS)
def test_tool_calls(case, form):
    pieces, expected = TOOL_CALLS[case]
    answer, carried = put_together(form(chunk({"tool_calls": calls})) for calls in pieces)
    assert all(carried)
    message = answer.body()["choices"][0]["message"]
    assert [
        (made.get("id"), made["function"]["name"], made["function"]["arguments"]) for made in message["tool_calls"]
    ] == expected
    assert {made["type"] for made in message["tool_calls"]} == {"function"}


def test_tool_calls_of_several_choices_are_not_mixed_up():
    answer, _ = put_together(
        [
            chunk((0, {"tool_calls": [call("a", "f", "1", 0)]}), (1, {"tool_calls": [call("b", "g", "2", 0)]})),
            chunk((1, {"tool_calls": [call(None, None, "4", 0)]}), (0, {"tool_calls": [call(None, None, "3", 0)]})),
        ]
    )
    made = [choice["message"]["tool_calls"][0]["function"] for choice in answer.body()["choices"]]
    assert made == [{"name": "f", "arguments": "13"}, {"name": "g", "arguments": "24"}]


# What else a message has.

THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([{"content": "Fo"}, {"content": "ur"}], {"content": "Four"}),
        ([{"role": "critic", "content": "a"}], {"role": "critic", "content": "a"}),
        # Reasoning.
        ([{"reasoning_content": "h"}, {"reasoning_content": "m", "content": "a"}], {"content": "a", "reasoning": "hm"}),
        ([{"reasoning": "hm"}], {"content": "", "reasoning": "hm"}),
        ([{"reasoning": "hm", "reasoning_content": "hm"}], {"content": "", "reasoning": "hm"}),
        ([{"reasoning": [{"type": "text", "text": "hm"}], "content": "a"}], {"content": "a", "reasoning": "hm"}),
        ([{"reasoning": {"why": 1}, "content": "a"}], {"content": "a", "reasoning": '{"why": 1}'}),
        ([{"content": THINKING}, {"content": THINKING}, {"content": "a"}], {"content": "a", "reasoning": "hmhm"}),
        # Content in parts.
        ([{"content": [{"type": "text", "text": "Fo"}, "ur"]}, {"content": "."}], {"content": "Four."}),
        ([{"content": {"type": "text", "text": "Four"}}], {"content": "Four"}),
        (
            [{"content": "See"}, {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            {"content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ),
        ([{"content": 4}], {"content": [4]}),
        # The rest.
        ([{"refusal": "I "}, {"refusal": "will not"}], {"content": "", "refusal": "I will not"}),
        (
            [{"audio": {"id": "a", "transcript": "Fo"}}, {"audio": {"data": "AAAA"}}, {"audio": {"transcript": "ur"}}],
            {"content": "", "audio": {"id": "a", "transcript": "Four"}},
        ),
        (
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
            {"content": "", "function_call": {"name": "f", "arguments": "{}"}},
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else json.dumps(value)[:60],
)
def test_the_message_of_a_choice(deltas, message):
    assert message_of(*deltas) == {"role": "assistant", **message}
    assert all(StreamedAnswer().add(chunk(delta)) for delta in deltas), "each is a part of the answer"


@pytest.mark.parametrize(
    ("piece", "carries", "reasoned"),
    [
        (chunk({"role": "assistant", "content": ""}), False, False),
        (chunk({"finish_reason": "stop"}), False, False),
        (chunk(usage=USAGE), False, False),
        (chunk(), False, False),
        ({"choices": [{"index": 0}]}, False, False),
        ({"choices": [{"index": 0, "text": ""}]}, False, False),
        ({"choices": [{"index": 0, "text": "x"}]}, True, False),
        (chunk({"content": "x"}), True, False),
        (chunk({"reasoning": "x"}), True, True),
        (chunk({"content": THINKING}), True, True),
        (chunk({"content": [{"type": "text", "text": "x"}]}), True, False),
        ({"type": "response.output_text.delta", "delta": "x"}, True, False),
        ({"type": "response.reasoning_summary_text.delta", "delta": "x"}, True, True),
        ({"type": "response.created", "response": {}}, False, False),
        ({"type": "image_generation.partial_image", "b64_json": "x"}, True, False),
        ({"token": {"text": "x"}}, True, False),
        ("x", True, False),
        ("", False, False),
        ({"type": None}, False, False),
        ({}, False, False),
        (None, False, False),
        (5, False, False),
        ([], False, False),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, (dict, str)) else None,
)
def test_what_of_a_stream_is_a_part_of_the_answer(piece, carries, reasoned):
    answer = StreamedAnswer()
    assert (answer.add(piece), answer.reasoned) == (carries, reasoned)


def test_indexes_of_any_form_cost_nothing_but_their_order():
    answer, _ = put_together([chunk((index, {"content": "a"})) for index in (None, "1", "b", [], 2)])
    choices = answer.body()["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "aaa"), (1, "a"), (2, "a")]


def test_a_whole_answer_under_a_streams_name():
    whole = {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Four."}}]}
    assert put_together([whole])[0].body()["choices"][0]["message"]["content"] == "Four."


@pytest.mark.parametrize("error", [{"message": "died"}, "died"])
@pytest.mark.parametrize("begun", [True, False])
def test_an_error_within_a_stream(error, begun):
    body = put_together([*([chunk({"content": "Fo"})] if begun else ()), {"error": error}])[0].body()
    assert body["error"] == error
    assert ("choices" in body) is begun


def test_nothing_has_come():
    assert StreamedAnswer().body() == {}


# The completions API.


def test_a_streamed_text_completion(form):
    body = {"id": "c", "object": "text_completion", "model": "m"}
    pieces = [
        {**body, "choices": [{"index": 0, "text": "Fo", "finish_reason": None}]},
        {**body, "choices": [{"index": 1, "text": "Fi"}, {"index": 0, "text": "ur"}]},
        {**body, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
    ]
    assert put_together(map(form, pieces))[0].body() == {
        **body,
        "choices": [
            {"index": 0, "text": "Four", "finish_reason": "stop"},
            {"index": 1, "text": "Fi", "finish_reason": None},
        ],
    }


# Typed events.

RESPONSE = {"id": "r", "object": "response", "model": "m", "status": "in_progress", "output": []}
TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Four"}]}
CREATED = {"type": "response.created", "response": RESPONSE}
TEXT_BEGUN = {"type": "response.output_item.added", "output_index": 0, "item": {**TEXT, "content": []}}
TEXT_DELTAS = [{"type": "response.output_text.delta", "output_index": 0, "delta": piece} for piece in ("Fo", "ur")]
CALL_BEGUN = {
    "type": "response.output_item.added",
    "output_index": 1,
    "item": {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""},
}
CALL_DELTAS = [
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": piece} for piece in ("{", "}")
]
CALL = {**CALL_BEGUN["item"], "arguments": "{}"}


@pytest.mark.parametrize(
    ("events", "body"),
    [
        (
            [
                CREATED,
                TEXT_BEGUN,
                *TEXT_DELTAS,
                {
                    "type": "response.completed",
                    "response": {**RESPONSE, "status": "completed", "output": [TEXT], "usage": USAGE},
                },
            ],
            {**RESPONSE, "status": "completed", "output": [TEXT], "usage": USAGE},
        ),
        ([CREATED], RESPONSE),
        ([CREATED, TEXT_BEGUN, *TEXT_DELTAS], {**RESPONSE, "output": [TEXT]}),
        ([CREATED, *TEXT_DELTAS], {**RESPONSE, "output": [TEXT]}),
        ([CREATED, TEXT_BEGUN, *TEXT_DELTAS, CALL_BEGUN, *CALL_DELTAS], {**RESPONSE, "output": [TEXT, CALL]}),
        (
            [CREATED, {"type": "response.output_item.done", "output_index": 0, "item": TEXT}, CALL_BEGUN],
            {**RESPONSE, "output": [TEXT, CALL_BEGUN["item"]]},
        ),
        (
            [CREATED, *TEXT_DELTAS, {"type": "error", "code": "server_error", "message": "died", "param": None}],
            {**RESPONSE, "output": [TEXT], "error": {"code": "server_error", "message": "died", "param": None}},
        ),
        (
            [
                CREATED,
                {"type": "response.failed", "response": {**RESPONSE, "status": "failed", "error": {"message": "died"}}},
            ],
            {**RESPONSE, "status": "failed", "error": {"message": "died"}},
        ),
        ([{"type": "error", "error": {"message": "died"}}], {"error": {"message": "died"}}),
        # Other APIs.
        (
            [
                {"type": "transcript.text.delta", "delta": "Fo"},
                {"type": "transcript.text.delta", "delta": "ur"},
                {"type": "transcript.text.done", "text": "Four.", "usage": USAGE},
            ],
            {"text": "Four.", "usage": USAGE},
        ),
        ([{"type": "transcript.text.delta", "delta": "Fo"}], {"text": "Fo"}),
        (
            [
                {"type": "image_generation.partial_image", "b64_json": "AAAA"},
                {"type": "image_generation.completed", "b64_json": "AAAA", "size": "1x1", "usage": USAGE},
            ],
            {"size": "1x1", "usage": USAGE},
        ),
        (
            [{"type": "speech.audio.delta", "audio": "AAAA"}, {"type": "speech.audio.done", "usage": USAGE}],
            {"usage": USAGE},
        ),
    ],
    ids=[
        "completed", "nothing came", "cut off in a text", "its item was not announced", "cut off in a call",
        "behind a whole item", "broken off by an error", "failed", "an error alone", "transcription",
        "transcription, cut off", "images", "speech",
    ],
)  # fmt: skip
def test_typed_events(events, body):
    assert put_together(events)[0].body() == body


# Text Generation Inference.


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        (["The", " sea", ""], {"generated_text": "The sea"}),
        ([{"token": {"text": "The", "special": False}}, {"token": {"text": " sea"}}], {"generated_text": "The sea"}),
        (
            [
                {"token": {"text": "The", "special": False}, "generated_text": None, "details": None},
                {"token": {"text": "</s>", "special": True}, "generated_text": "The sea", "details": {"seed": 1}},
            ],
            {"generated_text": "The sea", "details": {"seed": 1}},
        ),
    ],
)
def test_a_streamed_generation(pieces, body):
    assert put_together(pieces)[0].body() == body
