"""What Hugging Face's router and its providers answer: a table of bodies and headers, each by the name of its case.

Pure.

The bodies are those that public issues, documentation and recorded tests quote; a case is asked for as the model
``scripted/<case>``. Strings and objects both occur as ``error``; a 429 comes with and without ``Retry-After``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

NOTHING: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """One answer: ``events`` of a stream, else ``body``: an object as JSON, text as it is.

    then: how it goes on after the events: ``done`` sends ``[DONE]``, ``end`` just ends, ``cut`` closes the connection
    in the middle of the message, ``hang`` sends nothing more until the client leaves.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = NOTHING
    events: Optional[Sequence[Any]] = None
    then: str = "done"


USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
DEPLETED = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers. "
    "Alternatively, subscribe to PRO to get 20x more included usage."
)
FINAL_ANSWER = {
    "id": "c1",
    "type": "function",
    "function": {"name": "final_answer", "arguments": '{"answer": "The Pacific."}'},
}
NO_PERMISSION = (
    "This authentication method does not have sufficient permissions to call Inference Providers on behalf of user x"
)


def completion(model: str, message: Optional[Mapping[str, Any]] = None, **more: Any) -> Dict[str, Any]:
    """A chat completion; ``more`` replaces or adds fields of its top level."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello there."}, "finish_reason": "stop"}
    if message is not None:
        choice["message"] = {"role": "assistant", "content": None, **message}
    body: Dict[str, Any] = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 1700000000}
    return {**body, "model": model, "choices": [choice], "usage": USAGE, **more}


def chunk(
    model: str, content: Optional[str] = None, *, finish: Optional[str] = None, delta: Any = None, **more: Any
) -> Dict[str, Any]:
    """One chunk of a chat stream; without content, delta and reason, one without choices."""
    choices: List[Any] = []
    if content is not None or finish is not None or delta is not None:
        said = {"role": "assistant", "content": content, **(delta or {})}
        choices = [{"index": 0, "delta": said, "finish_reason": finish}]
    body: Dict[str, Any] = {"id": "chatcmpl-s", "object": "chat.completion.chunk", "created": 1700000000}
    return {**body, "model": model, "choices": choices, **more}


def words(model: str, *texts: str) -> List[Dict[str, Any]]:
    return [chunk(model, text) for text in texts or ("Hello", " there", ".")]


def as_object(message: str, **more: Any) -> Dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}}


RATE_LIMITS = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "12s",
}

ERRORS: Mapping[str, Reply] = {
    "wrong-token": Reply(401, {"error": "Invalid username or password."}),
    "no-credits": Reply(402, {"error": DEPLETED}),
    "no-credits-old": Reply(402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
    "no-permission": Reply(403, {"error": NO_PERMISSION}),
    "gated": Reply(
        403,
        {"error": "Access to model scripted/gated is restricted. You must have access to it and be authenticated."},
        {"x-error-code": "GatedRepo", "x-error-message": "Access to model scripted/gated is restricted."},
    ),
    "unsupported": Reply(
        400,
        as_object(
            "The requested model 'scripted/unsupported' is not supported by any provider you have enabled.",
            code="model_not_supported",
            param="model",
        ),
    ),
    "unsupported-string": Reply(400, {"error": "Model not supported by provider hf-inference"}),
    "not-found": Reply(404, {"error": "Model scripted/not-found does not exist"}),
    "gone": Reply(410, {"error": "https://api-inference.huggingface.co is no longer supported."}),
    "invalid": Reply(422, {"error": "Input validation error: `max_tokens` must be > 0", "error_type": "validation"}),
    "generation": Reply(424, {"error": "Request failed during generation", "error_type": "generation"}),
    "rate-limited": Reply(429, {"error": "Rate limit exceeded for this model."}),
    "rate-limited-wait": Reply(
        429, as_object("Too many requests", code="rate_limit_exceeded"), {"retry-after": "1", **RATE_LIMITS}
    ),
    "overloaded": Reply(429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "internal": Reply(500, as_object("Internal Server Error", type="server_error")),
    "no-upstream": Reply(502, "<html><body>Bad Gateway</body></html>", {"content-type": "text/html"}),
    "loading": Reply(503, {"error": "Model scripted/loading is currently loading", "estimated_time": 20.0}),
    "too-long": Reply(504, "upstream request timeout", {"content-type": "text/plain"}),
    "context": Reply(
        400,
        as_object(
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
            code="context_length_exceeded",
        ),
    ),
    "filtered": Reply(400, as_object("The response was filtered", code="content_filter")),
    "empty": Reply(500, ""),
    "no-json": Reply(400, "not json", {"content-type": "application/json"}),
    "a-list": Reply(400, {"error": ["one", "two"], "message": "Bad request"}),
}
"""Each kind of refusal, whole or streamed."""


def _in_stream(model: str, error: Any) -> Reply:
    return Reply(events=[*words(model), {"error": error}], then="end")


CHATS: Mapping[str, Callable[[str], Reply]] = {
    "plain": lambda model: Reply(body=completion(model)),
    "no-usage": lambda model: Reply(body={k: v for k, v in completion(model).items() if k != "usage"}),
    "tools": lambda model: Reply(body=completion(model, {"tool_calls": [TOOL_CALL]})),
    "final-answer": lambda model: Reply(body=completion(model, {"tool_calls": [FINAL_ANSWER]})),
    "reasoning": lambda model: Reply(
        body=completion(model, {"content": "Four.", "reasoning_content": "Two and two"}, system_fingerprint="fp")
    ),
    "cached": lambda model: Reply(
        body=completion(model, usage={**USAGE, "cached_tokens": 8, "estimated_cost": 0.0001, "queue_time": 0.01})
    ),
    "nonsense": lambda _: Reply(body=[1, 2]),
    "truncated": lambda _: Reply(
        body='{"id": "chatcmpl-scripted", "choices": [', headers={"content-type": "application/json"}
    ),
    "hanging": lambda _: Reply(events=[], then="hang"),
}
"""Answers in one piece, given the name of the model as its provider has it."""

STREAMS: Mapping[str, Callable[[str], Reply]] = {
    "plain": lambda model: Reply(events=[*words(model), chunk(model, finish="stop")]),
    "usage-last": lambda model: Reply(
        events=[*words(model), chunk(model, finish="stop"), chunk(model, usage=USAGE, sla_metrics={"ttft_ms": 12})]
    ),
    "usage-on-finish": lambda model: Reply(events=[*words(model), chunk(model, finish="stop", usage=USAGE)]),
    "usage-on-every": lambda model: Reply(
        events=[
            chunk(model, text, usage={"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count})
            for count, text in enumerate(("Hello", " there", "."), 1)
        ]
    ),
    "groq": lambda model: Reply(
        events=[*words(model), chunk(model, finish="stop", x_groq={"id": "1", "usage": USAGE})]
    ),
    "no-done": lambda model: Reply(events=[*words(model), chunk(model, finish="stop")], then="end"),
    "comments": lambda model: Reply(events=[": ping", *words(model), ": ping", chunk(model, finish="stop")]),
    "reasoning": lambda model: Reply(
        events=[chunk(model, "", delta={"reasoning_content": "Two"}), *words(model), chunk(model, finish="stop")]
    ),
    "tools": lambda model: Reply(
        events=[
            chunk(model, delta={"tool_calls": [{**TOOL_CALL, "index": 0}]}),
            chunk(model, finish="tool_calls"),
        ]
    ),
    "long": lambda model: Reply(events=[*words(model, *(f" word{index}" for index in range(50)))]),
    "usage-nested": lambda model: Reply(events=[*words(model), chunk(model, finish="stop")]),
    "null-choices": lambda model: Reply(events=[*words(model), {**chunk(model), "choices": None}, *words(model)]),
    "null-choice": lambda model: Reply(events=[*words(model), {**chunk(model), "choices": [None]}, *words(model)]),
    "empty-stream": lambda _: Reply(events=[]),
    "broken-string": lambda model: _in_stream(model, "The provider went away"),
    "broken-object": lambda model: _in_stream(model, {"message": "The provider went away", "type": "server_error"}),
    "broken-generation": lambda _: Reply(
        events=[{"error": "Request failed during generation", "error_type": "generation"}], then="end"
    ),
    "cut": lambda model: Reply(events=words(model), then="cut"),
    "no-event": lambda model: Reply(events=[*words(model), "{not json"], then="end"),
    "hanging": lambda model: Reply(events=words(model), then="hang"),
}
"""Streams without an extra chunk of usage, which ``asked_for_usage`` adds; the names are those of ``CHATS`` and more.
"""

HAVE_THEIR_OWN = frozenset({"usage-last", "usage-on-finish", "usage-on-every", "empty-stream"})
"""Streams whose usage does not depend on the request."""


def asked_for_usage(case: str, model: str, reply: Reply) -> Reply:
    """The same stream for a request with ``stream_options.include_usage``.

    The usage comes in a chunk of its own, or Groq's way.
    """
    if case == "groq" and reply.events is not None:
        return reply._replace(events=[*reply.events[:-1], {**reply.events[-1], "usage": USAGE}])
    if case == "usage-nested" and reply.events is not None:
        more = {"x_provider": {"usage": USAGE}}
        return reply._replace(events=[*reply.events, chunk(model, usage=USAGE, **more)])
    if case in HAVE_THEIR_OWN or reply.events is None or reply.then != "done":
        return reply
    return reply._replace(events=[*reply.events, chunk(model, usage=USAGE)])


GENERATION_TOKENS = [
    {"index": 1, "token": {"id": 5, "text": "is", "logprob": -0.1, "special": False}},
    {
        "index": 2,
        "token": {"id": 6, "text": " blue", "logprob": -0.2, "special": False},
        "generated_text": "is blue",
        "details": {"finish_reason": "length", "generated_tokens": 2, "input_length": 3, "seed": None},
    },
]
GENERATION = Reply(
    body=[{"generated_text": "is blue"}],
    headers={"x-compute-type": "gpu", "x-prompt-tokens": "3", "x-generated-tokens": "2", "x-time-per-token": "12"},
)
EMBEDDING = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]}
REFUSED_OPTION: Mapping[str, Reply] = {
    "refuses-option": Reply(
        422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}
    ),
    "refuses-unnamed": Reply(422, {"error": "Input validation error: unknown field", "error_type": "validation"}),
    "refuses-plainly": Reply(400, "Bad Request: extra fields not permitted"),
    "refuses-in-json": Reply(400, '"Bad Request"', {"content-type": "application/json"}),
}
"""Servers that do not know ``stream_options``: the first says so, the last in a form that huggingface_hub cannot read.
"""


def listed_model(name: str) -> Dict[str, Any]:
    """A model of ``/v1/models`` as the router describes it: its providers with prices and measured speed."""
    prices = {"together": (0.1, 0.2), "novita": (0.05, 0.1)}
    return {
        "id": name,
        "object": "model",
        "created": 1700000000,
        "owned_by": name.partition("/")[0],
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "providers": [
            {
                "provider": provider,
                "status": "live",
                "context_length": 8192,
                "pricing": {"input": prices[provider][0], "output": prices[provider][1]},
                "supports_tools": True,
                "supports_structured_output": False,
                "first_token_latency_ms": 100,
                "throughput": 50.0,
                "is_model_author": False,
            }
            for provider in sorted(prices)
        ],
    }
