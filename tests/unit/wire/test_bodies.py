"""What bodies say: the conversation, in every API's form, and whether an answer under a 200 is one."""

from __future__ import annotations

import pytest

from hf_openobserve.wire import bodies


def choice(**message):
    return {"choices": [{"index": 0, "message": message}]}


def tool_call(name, arguments, **members):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **members}


IMAGE = {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png"}}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (
            {"messages": [{"role": "system", "content": "Be brief"}, {"content": "Hi"}]},
            [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, "b"]}]},
            [{"role": "user", "content": "a\nb"}],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]},
            [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}],
        ),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [tool_call("f", {"a": 1}, id="c")]}]},
            [{"role": "assistant", "content": "", "tool_calls": [tool_call("f", '{"a": 1}', id="c")]}],
        ),
        (
            {"messages": [{"role": "tool", "content": "sunny", "tool_call_id": "c", "name": "f"}]},
            [{"role": "tool", "content": "sunny", "tool_call_id": "c", "name": "f"}],
        ),
        # The Responses API.
        (
            {"instructions": "Be brief", "input": "Hi"},
            [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                    {"type": "reasoning", "summary": []},
                    {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
                    {"type": "function_call_output", "call_id": "c", "output": "sunny"},
                ]
            },
            [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "", "tool_calls": [tool_call("f", "{}", id="c")]},
                {"role": "tool", "content": "sunny", "tool_call_id": "c"},
            ],
        ),
        # Completions, and Text Generation Inference.
        ({"prompt": "Once"}, [{"role": "user", "content": "Once"}]),
        ({"prompt": ["a", "b"]}, [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        ({"inputs": "Once", "parameters": {}}, [{"role": "user", "content": "Once"}]),
        ({"prompt": [1, 2]}, []),
        ({"messages": [5, None]}, []),
        ({"messages": 5}, []),
        ({}, []),
    ],
)
def test_what_was_asked(body, messages):
    assert bodies.sent(body) == messages


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (choice(role="assistant", content="Hi"), [{"role": "assistant", "content": "Hi"}]),
        (choice(content="Hi"), [{"role": "assistant", "content": "Hi"}]),
        (choice(content=[THINKING, {"type": "text", "text": "Hi"}]), [{"role": "assistant", "content": "Hi"}]),
        (
            choice(content="Hi", reasoning_content="hm"),
            [{"role": "assistant", "content": "Hi", "reasoning": "hm"}],
        ),
        (choice(content="Hi", reasoning="hm"), [{"role": "assistant", "content": "Hi", "reasoning": "hm"}]),
        (choice(content=None, refusal="No."), [{"role": "assistant", "content": "No.", "refusal": "No."}]),
        (choice(content=None, audio={"transcript": "Hi"}), [{"role": "assistant", "content": "Hi"}]),
        (
            choice(content=None, tool_calls=[tool_call("f", "{}", id="a"), tool_call("g", {"b": 1}, id=2)]),
            [
                {
                    "role": "assistant",
                    "content": 'f({})\ng({"b": 1})',
                    "tool_calls": [tool_call("f", "{}", id="a"), tool_call("g", '{"b": 1}', id=2)],
                }
            ],
        ),
        (
            choice(content="", tool_calls={"function": {"name": "f", "arguments": {}}}),
            [{"role": "assistant", "content": "f({})", "tool_calls": [tool_call("f", "{}")]}],
        ),
        (
            choice(content=None, function_call={"name": "f", "arguments": "{}"}),
            [{"role": "assistant", "content": "f({})", "tool_calls": [tool_call("f", "{}")]}],
        ),
        (
            {
                "choices": [
                    {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
                    {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
                ]
            },
            [
                {"role": "assistant", "content": "a", "finish_reason": "stop"},
                {"role": "assistant", "content": "b", "finish_reason": "length"},
            ],
        ),
        ({"choices": [{"index": 0, "text": " upon"}]}, [{"role": "assistant", "content": " upon"}]),
        (
            {
                "output": [
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sure."}]},
                    {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
                    {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
                ]
            },
            [
                {"role": "assistant", "content": "Sure."},
                {"role": "assistant", "content": "No."},
                {"role": "assistant", "content": "f({})", "tool_calls": [tool_call("f", "{}", id="c")]},
            ],
        ),
        ({"generated_text": " upon"}, [{"role": "assistant", "content": " upon"}]),
        ({"text": "Four."}, [{"role": "assistant", "content": "Four."}]),
        ({"choices": [5, None, {"message": 5}, {}]}, []),
        ({"choices": 5, "output": 5, "text": 5}, []),
        ({}, []),
    ],
)
def test_what_was_answered(body, messages):
    assert bodies.received(body) == messages


def test_reasons_are_in_the_order_of_their_choices():
    choices = [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "stop"}, {"index": 2}]
    assert bodies.finish_reasons({"choices": choices}) == ["stop", "length"]


ERROR = {"message": "died", "code": "server_error"}


@pytest.mark.parametrize(
    ("body", "what", "said"),
    [
        ({"object": "response", "status": "failed", "error": ERROR}, "failed", ERROR),
        ({"output": [], "status": "cancelled"}, "cancelled", {"message": None, "code": None}),
        (
            {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "incomplete",
            {"message": "max_output_tokens", "code": "max_output_tokens"},
        ),
        ({"error": ERROR}, "error", ERROR),
        ({"choices": [], "error": "died"}, "error", "died"),
    ],
)
def test_an_answer_that_says_that_it_is_none(body, what, said):
    assert bodies.refusal_of(body) == (what, {"error": said})


@pytest.mark.parametrize(
    "body",
    [
        {"object": "response", "status": "completed", "error": None},
        {"object": "response", "status": "in_progress"},
        {"status": "failed"},
        {"choices": [{"finish_reason": "length"}], "error": None},
        {"error": {"message": None, "code": None}},
        {"error": ""},
        {},
        None,
        ["error"],
    ],
)
def test_an_answer_that_is_one(body):
    assert bodies.refusal_of(body) is None


@pytest.mark.parametrize(
    ("text", "is_page"),
    [
        ("<!DOCTYPE html><html>", True),
        ("\ufeff\n <HTML lang=en>", True),
        ("<head>", True),
        ('{"html": "<html>"}', False),
        ("<think>", False),
        ("", False),
    ],
)
def test_a_page_for_people(text, is_page):
    assert bodies.is_web_page(text) is is_page
