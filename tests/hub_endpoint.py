"""A scripted endpoint with the forms of answers that huggingface_hub's clients know, one under each path."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from scripted import Reply, ScriptedEndpoint, chat_body

SERVED = {"x-inference-provider": "together", "x-request-id": "Root=1-abc", "inference-id": "0-019ff"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
ERRORS = {
    "402": "You have depleted your monthly included credits. Purchase pre-paid credits to continue.",
    "429": "Rate limit exceeded for this model.",
    "503": "Model org/name is currently loading",
}
WEATHER = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}


def chunk(content: Any = None, *, finish: Optional[str] = None, usage: Any = None, **delta: Any) -> Dict[str, Any]:
    """One chunk of a chat stream; without content and reason, one of usage alone."""
    choices: List[Any] = []
    if content is not None or finish or delta:
        choices = [{"index": 0, "delta": {"role": "assistant", "content": content, **delta}, "finish_reason": finish}]
    body = {"id": "chatcmpl-s", "object": "chat.completion.chunk", "created": 1, "model": "llama3.1-8b"}
    return {**body, "choices": choices, **({"usage": usage} if usage else {})}


WORDS = [chunk("Hello"), chunk(" there"), chunk(".")]
TOKENS = [
    {"index": 1, "token": {"id": 5, "text": "is", "logprob": -0.1, "special": False}},
    {
        "index": 2,
        "token": {"id": 6, "text": " blue", "logprob": -0.2, "special": False},
        "generated_text": "is blue",
        "details": {"finish_reason": "length", "generated_tokens": 2, "input_length": 3, "seed": None},
    },
]
DETAILS = {
    "finish_reason": "length",
    "generated_tokens": 4,
    "seed": None,
    "prefill": [{"id": 1, "text": "The", "logprob": None}, {"id": 2, "text": " sea", "logprob": -1.0}],
    "tokens": [],
}
CALL_PIECES = [
    chunk(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]),
    chunk(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "", "arguments": '{"a":'}}]),
    chunk(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "", "arguments": " 1}"}}]),
    chunk(finish="tool_calls"),
]


def answer(path: str, body: Any) -> Reply:
    """The answer under ``/<case>``, whatever the client appends to it."""
    case = path.strip("/").partition("/")[0]
    if case in ERRORS:
        return Reply(int(case), {"error": ERRORS[case]}, SERVED)
    if case == "usage-if-asked" and (body.get("stream_options") or {}).get("include_usage"):
        return Reply(events=[*WORDS, chunk(finish="stop"), chunk(usage=USAGE), "[DONE]"], headers=SERVED)
    if case == "not-tgi" and "top_n_tokens" in body["parameters"]:
        return Reply(400, {"error": "The following `model_kwargs` are not used by the model: ['top_n_tokens']"})
    if case in REFUSALS:
        if "stream_options" in body:
            return REFUSALS[case]
        return Reply(events=[*WORDS, chunk(finish="stop"), "[DONE]"])
    if case == "groq":
        asked = {"usage": USAGE} if "stream_options" in body else {}
        last = {**chunk(finish="stop"), "x_groq": {"id": "req_1", "usage": USAGE}, **asked}
        return Reply(events=[*WORDS, last, "[DONE]"])
    if case == "bad":
        with_it = "with" if "stream_options" in body else "without"
        return Reply(400, {"error": f"Bad Request, {with_it} the option"})
    return REPLIES[case]


REFUSALS = {
    "refuses-option": Reply(
        422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs not permitted"}]}
    ),
    "refuses-unnamed": Reply(422, {"error": "Input validation error: unknown field", "error_type": "validation"}),
    "refuses-plainly": Reply(400, "Bad Request"),
    "falls": Reply(500, {"error": "Internal Server Error"}),
}


REPLIES = {
    "served": Reply(body=chat_body(), headers=SERVED),
    "tool-calls": Reply(
        body={
            **chat_body(),
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": None, "tool_calls": [WEATHER]},
                    "finish_reason": "tool_calls",
                }
            ],
        }
    ),
    "streamed-tool-calls": Reply(events=[*CALL_PIECES, "[DONE]"]),
    "usage-on-finish": Reply(events=[*WORDS, chunk(finish="stop", usage=USAGE), "[DONE]"]),
    "usage-if-asked": Reply(events=[*WORDS, chunk(finish="stop"), "[DONE]"], headers=SERVED),
    "thinking": Reply(
        events=[
            chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "Two"}]}]),
            chunk([{"type": "thinking", "thinking": [{"type": "text", "text": " and two"}]}]),
            chunk([{"type": "text", "text": "Four"}]),
            chunk("."),
            chunk(finish="stop", usage=USAGE),
            "[DONE]",
        ]
    ),
    "hidden-reasoning": Reply(
        events=[
            *WORDS,
            chunk(
                finish="stop",
                usage={
                    "prompt_tokens": 5,
                    "completion_tokens": 1000,
                    "total_tokens": 1005,
                    "completion_tokens_details": {"reasoning_tokens": 997},
                },
            ),
            "[DONE]",
        ]
    ),
    "no-usage": Reply(events=[*WORDS, chunk(finish="stop"), "[DONE]"]),
    "long": Reply(events=[*[chunk(f" word{index}") for index in range(50)], chunk(usage=USAGE), "[DONE]"]),
    "generation": Reply(
        body=[{"generated_text": " is blue"}], headers={"x-prompt-tokens": "3", "x-generated-tokens": "2"}
    ),
    "details": Reply(body={"generated_text": " is blue", "details": DETAILS}),
    "generation-stream": Reply(events=TOKENS),
    "not-tgi": Reply(body=[{"generated_text": " is blue"}]),
    "embedding": Reply(body=[[0.25, 0.5, 0.125]]),
    "similarity": Reply(body=[0.9, 0.1]),
    "summary": Reply(body=[{"summary_text": "Wide."}]),
    "classes": Reply(body=[[{"label": "joy", "score": 0.9}]]),
    "overloaded": Reply(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "broken": Reply(events=[*WORDS, {"error": {"message": "The provider went away", "type": "server_error"}}]),
    "broken-generation": Reply(
        events=[TOKENS[0], {"error": "Request failed during generation", "error_type": "generation"}]
    ),
    "nonsense": Reply(body=[1, 2]),
}


def endpoint() -> ScriptedEndpoint:
    """The endpoint, to be entered; ``root_of`` is its address without ``/v1``."""
    return ScriptedEndpoint(answer)


def root_of(scripted: ScriptedEndpoint) -> str:
    return scripted.url[: -len("/v1")]


def header(call: Any, name: str) -> Optional[str]:
    """A header of a request the endpoint has seen."""
    return {key.lower(): value for key, value in call[1].items()}.get(name.lower())
