"""Answers of servers as public reports describe them.

The first part of a model's name says which; the rest is a label.
"""

from __future__ import annotations

import gzip
import json
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from scripted import CUT, Reply, event

USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
STREAM: Mapping[str, str] = MappingProxyType({"Content-Type": "text/event-stream"})
TIMINGS = {"prompt_n": 12, "predicted_n": 3, "predicted_per_second": 41.5}
DONE = event("[DONE]")
PAGE = b"<!DOCTYPE html><html><head><title>Please log in</title></head><body>Captive portal</body></html>"

ANSWERS: Dict[str, Callable[[Dict[str, Any]], Reply]] = {}


def answer(path: str, body: Dict[str, Any]) -> Reply:
    """What ``ScriptedEndpoint`` is given. A model whose name starts with nothing known gets a plain answer."""
    del path
    return ANSWERS.get(str(body.get("model")).partition("/")[0], _plain)(body)


def _named(name: str) -> Callable[[Callable[[Dict[str, Any]], Reply]], Callable[[Dict[str, Any]], Reply]]:
    def remember(function: Callable[[Dict[str, Any]], Reply]) -> Callable[[Dict[str, Any]], Reply]:
        ANSWERS[name] = function
        return function

    return remember


# The parts that answers are made of.


def chunk(delta: Any = None, reason: Optional[str] = None, *, index: int = 0, **more: Any) -> Dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "real-model",
        "choices": [{"index": index, "delta": delta or {}, "finish_reason": reason}],
        **more,
    }


def usage_chunk(**more: Any) -> Dict[str, Any]:
    return {**chunk(), "choices": [], "usage": USAGE, **more}


def whole(message: Any = None, reason: str = "stop", **more: Any) -> Dict[str, Any]:
    message = message or {"role": "assistant", "content": "hello"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "real-model",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": USAGE,
        **more,
    }


def asks(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def stream(body: Mapping[str, Any], chunks: Sequence[Dict[str, Any]], **how: Any) -> Reply:
    """A stream of chunks, and of the usage where it is asked for."""
    events = [event(one, **how) for one in chunks]
    if asks(body):
        events.append(event(usage_chunk(), **how))
    return Reply(raw=[*events, event("[DONE]", **how)], headers=STREAM)


WORDS = [chunk({"role": "assistant", "content": ""}), chunk({"content": "a"}), chunk({"content": "b"})]
FINISH = chunk({}, "stop")


def _plain(body: Dict[str, Any]) -> Reply:
    if "input" in body:
        return Reply(body=response())
    return stream(body, [*WORDS, FINISH]) if body.get("stream") else Reply(body=whole())


# A. What the question for the usage brings.


def _moving(body: Dict[str, Any], *, headers: Mapping[str, str] = STREAM, **moved: Any) -> Reply:
    """Members that stand on the last chunk, which is the usage's where that is asked for."""
    chunks = [*WORDS, FINISH, *([usage_chunk()] if asks(body) else [])]
    chunks[-1] = {**chunks[-1], **moved}
    return Reply(raw=[*map(event, chunks), DONE], headers=headers)


@_named("llamacpp")
def _timings(body: Dict[str, Any]) -> Reply:
    return _moving(body, headers={**STREAM, "Server": "llama.cpp"}, timings=TIMINGS)


@_named("moving")
def _others(body: Dict[str, Any]) -> Reply:
    """Members of other servers: a text, a list, an object that holds a usage too."""
    return _moving(body, citations=["https://a.b/é"], note="}{", metrics={"usage": 1, "seconds": 0.5})


@_named("choices")
def _several_choices(body: Dict[str, Any]) -> Reply:
    """Two choices, each with a reason of its own."""
    chunks = [
        chunk({"content": "a"}),
        chunk({"content": "x"}, index=1),
        chunk({}, "stop"),
        chunk({}, "length", index=1),
    ]
    chunks += [usage_chunk()] if asks(body) else []
    chunks[-1] = {**chunks[-1], "timings": TIMINGS}
    return Reply(raw=[*map(event, chunks), DONE], headers=STREAM)


@_named("crlf")
def _crlf(body: Dict[str, Any]) -> Reply:
    return stream(body, [*WORDS, FINISH], end="\r\n")


@_named("cr")
def _cr(body: Dict[str, Any]) -> Reply:
    return stream(body, [*WORDS, FINISH], end="\r")


@_named("comments")
def _comments(body: Dict[str, Any]) -> Reply:
    """Comments that keep the connection alive, before the usage too, and no ``[DONE]``."""
    events: List[Any] = [b": start\n\n", *map(event, WORDS), b": wait\n\n", event(FINISH), b": wait\n\n", b": more\n\n"]
    return Reply(raw=[*events, *([event(usage_chunk())] if asks(body) else [])], headers=STREAM)


@_named("onepiece")
def _one_piece(body: Dict[str, Any]) -> Reply:
    whole_stream = b"".join(piece for piece in stream(body, [*WORDS, FINISH]).raw or () if isinstance(piece, bytes))
    return Reply(raw=[whole_stream], headers=STREAM)


@_named("bytewise")
def _byte_by_byte(body: Dict[str, Any]) -> Reply:
    pieces = b"".join(
        piece for piece in stream(body, [*WORDS, FINISH], end="\r\n").raw or () if isinstance(piece, bytes)
    )
    return Reply(raw=[pieces[at : at + 1] for at in range(len(pieces))], headers=STREAM)


@_named("gzip")
def _gzip(body: Dict[str, Any]) -> Reply:
    """A server that compresses whatever the request says of it."""
    pieces = b"".join(piece for piece in stream(body, [*WORDS, FINISH]).raw or () if isinstance(piece, bytes))
    return Reply(raw=[gzip.compress(pieces)], headers={**STREAM, "Content-Encoding": "gzip"})


@_named("untyped")
def _untyped(body: Dict[str, Any]) -> Reply:
    return stream(body, [*WORDS, FINISH])._replace(headers={})


@_named("plaintext")
def _as_text(body: Dict[str, Any]) -> Reply:
    return stream(body, [*WORDS, FINISH])._replace(headers={"Content-Type": "text/plain; charset=utf-8"})


@_named("nulled")
def _with_nulls(body: Dict[str, Any]) -> Reply:
    nulled = {"usage": None} if asks(body) else {}
    return stream(body, [{**one, **nulled} for one in (*WORDS, FINISH)])


@_named("errorinusage")
def _usage_with_an_error(body: Dict[str, Any]) -> Reply:
    """A server that fails while it counts."""
    last = usage_chunk(error={"message": "The counter broke.", "code": 500}) if asks(body) else None
    return Reply(raw=[*map(event, [*WORDS, FINISH, *([last] if last else [])]), DONE], headers=STREAM)


@_named("slowusage")
def _slow_usage(body: Dict[str, Any]) -> Reply:
    """The last chunk, and a moment later the rest."""
    rest = [event(usage_chunk())] if asks(body) else []
    return Reply(raw=[*map(event, [*WORDS, FINISH]), 0.2, *rest, DONE], headers=STREAM)


@_named("slow")
def _slow(body: Dict[str, Any]) -> Reply:
    """A whole answer that is a moment in coming."""
    text = json.dumps(whole()).encode()
    return Reply(raw=[text[:40], 0.2, text[40:]], headers={"Content-Type": "application/json"})


@_named("strict")
def _strict(body: Dict[str, Any]) -> Reply:
    if "stream_options" in body:
        return Reply(status=400, body={"error": {"message": "Unrecognized request argument supplied: stream_options"}})
    return _plain(body)


# B 6. The outcome is not the exception alone.


@_named("length")
def _cut_at_the_limit(body: Dict[str, Any]) -> Reply:
    if body.get("stream"):
        return stream(body, [chunk({"role": "assistant", "content": '{"a":'}), chunk({}, "length")])
    return Reply(body=whole({"role": "assistant", "content": '{"a": 1'}, "length"))


@_named("mismatch")
def _not_of_the_schema(body: Dict[str, Any]) -> Reply:
    if body.get("stream"):
        return stream(body, [chunk({"role": "assistant", "content": '{"b": 1}'}), FINISH])
    return Reply(body=whole({"role": "assistant", "content": '{"b": 1}'}))


@_named("filtered")
def _filtered(body: Dict[str, Any]) -> Reply:
    if body.get("stream"):
        return stream(body, [chunk({"role": "assistant", "content": "I "}), chunk({}, "content_filter")])
    return Reply(body=whole({"role": "assistant", "content": "I "}, "content_filter"))


def response(status: str = "completed", **more: Any) -> Dict[str, Any]:
    text = {"type": "output_text", "text": "hello", "annotations": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [text]}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "real-model",
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": {
            "input_tokens": 12,
            "output_tokens": 7,
            "total_tokens": 19,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
        **more,
    }


def _responses(body: Dict[str, Any], status: str, **more: Any) -> Reply:
    last = response(status, **more)
    if not body.get("stream"):
        return Reply(body=last)
    first = response("in_progress", output=[], usage=None)
    events = [("response.created", first), (f"response.{status}", last)]
    typed = [
        event({"type": kind, "sequence_number": at, "response": one}, name=kind)
        for at, (kind, one) in enumerate(events)
    ]
    return Reply(raw=typed, headers=STREAM)


@_named("rfailed")
def _failed_response(body: Dict[str, Any]) -> Reply:
    error = {"code": "server_error", "message": "The model failed to generate a response."}
    return _responses(body, "failed", output=[], error=error, usage=None)


@_named("rincomplete")
def _incomplete_response(body: Dict[str, Any]) -> Reply:
    return _responses(body, "incomplete", incomplete_details={"reason": "max_output_tokens"})


@_named("rcancelled")
def _cancelled_response(body: Dict[str, Any]) -> Reply:
    return _responses(body, "cancelled")


ERROR = {"error": {"message": "The model is overloaded.", "type": "overloaded", "code": 503}}


@_named("error200")
def _error_under_200(body: Dict[str, Any]) -> Reply:
    if body.get("stream"):
        return Reply(raw=[event(WORDS[0]), event(WORDS[1]), event(ERROR), DONE], headers=STREAM)
    return Reply(body=ERROR)


@_named("jsonerror")
def _error_in_place_of_a_stream(body: Dict[str, Any]) -> Reply:
    del body
    return Reply(body=ERROR)


@_named("page")
def _page(body: Dict[str, Any]) -> Reply:
    del body
    return Reply(raw=[PAGE], headers={"Content-Type": "text/html"})


# B 7. The forms that a stream's pieces have.


def _tool(index: Any, identifier: Any = None, name: Optional[str] = None, arguments: Any = None) -> Dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    piece = {"index": index, "id": identifier, "type": "function", "function": function}
    return chunk({"tool_calls": [{key: value for key, value in piece.items() if value is not None}]})


_CALLED = [chunk({"role": "assistant", "content": ""}), chunk({}, "tool_calls")]


def _tools(name: str, *pieces: Dict[str, Any]) -> None:
    ANSWERS[name] = lambda body: stream(body, [_CALLED[0], *pieces, _CALLED[1]])


_tools(
    "toolstream", _tool(0, "call_1", "weather", ""), _tool(0, None, None, '{"city":'), _tool(0, None, None, '"Paris"}')
)
_tools("sameindex", _tool(0, "call_1", "read_file", '{"path": "a"}'), _tool(0, "call_2", "read_mail", '{"box": "b"}'))
_tools("noindex", _tool(None, "call_1", "read_file", '{"path": '), _tool(None, "call_1", None, '"a"}'))
_tools("sameid", _tool(0, "call_1", "weather", '{"city":'), _tool(0, "call_1", "weather", '"Paris"}'))
_tools("emptyid", _tool(0, "call_1", "weather", '{"city":'), _tool(0, "", "", '"Paris"}'))
_tools(
    "interleaved",
    _tool(0, "call_1", "read_file", '{"path"'),
    _tool(1, "call_2", "read_mail", '{"box"'),
    _tool(0, None, None, ': "a"}'),
    _tool(1, None, None, ': "b"}'),
)


@_named("tgi")
def _object_arguments(body: Dict[str, Any]) -> Reply:
    """https://github.com/huggingface/text-generation-inference/issues/2864"""
    if body.get("stream"):
        call = {
            "index": 0,
            "id": "",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Paris"}},
        }
        return stream(body, [chunk({"role": "assistant", "tool_calls": call}), FINISH])
    function = {"description": None, "name": "weather", "arguments": {"city": "Paris", "n": 3}}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": 0, "type": "function", "function": function}],
    }
    return Reply(body=whole(message, "tool_calls"))


@_named("separators")
def _line_separators(body: Dict[str, Any]) -> Reply:
    words = [chunk({"content": text}) for text in ("one\u2028", "two\u0085", "three\x0b", "four\x1c", "five\x0c")]
    return stream(body, [*words, FINISH], ascii_only=False)


@_named("reasoning")
def _reasoning(body: Dict[str, Any]) -> Reply:
    deltas = [{"reasoning_content": "Think"}, {"reasoning": "ing."}, {"content": "Yes"}]
    return stream(body, [*map(chunk, deltas), FINISH])


@_named("refusal")
def _refusal(body: Dict[str, Any]) -> Reply:
    return stream(body, [chunk({"refusal": "I "}), chunk({"refusal": "cannot."}), FINISH])


@_named("legacy")
def _legacy(body: Dict[str, Any]) -> Reply:
    pieces = [
        chunk({"function_call": {"name": "weather", "arguments": "{"}}),
        chunk({"function_call": {"arguments": "}"}}),
    ]
    return stream(body, [*pieces, chunk({}, "function_call")])


# B 8. Streams that break.


@_named("cut")
def _cut(body: Dict[str, Any]) -> Reply:
    del body
    return Reply(raw=[event(WORDS[0]), event(WORDS[1]), b'data: {"id": "c1", "choi', CUT], headers=STREAM)


@_named("cutatend")
def _cut_after_the_last_chunk(body: Dict[str, Any]) -> Reply:
    del body
    return Reply(raw=[*map(event, (*WORDS, FINISH)), CUT], headers=STREAM)


def names() -> List[str]:
    return sorted(ANSWERS)


__all__ = ["ANSWERS", "TIMINGS", "USAGE", "answer", "json", "names"]
