"""What request and answer bodies say: the conversation, and whether an answer under a 200 is one. Pure.

Bodies of the chat, completions, Responses, embeddings, audio and images APIs, and of Text Generation Inference, as
dictionaries. A conversation is ``[{"role", "content", ...}]``; content is text wherever it can be, since OpenObserve's
pages render nothing else.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from hf_openobserve.wire.member import at, objects

Message = Dict[str, Any]

NOT_PARAMETERS = frozenset(("messages", "input", "inputs", "prompt", "tools", "functions", "instructions"))
"""Members of a request that are its content, not what it asks of the model."""


def parameters(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of a request, those that Text Generation Inference takes one level deeper among them."""
    nested = body.get("parameters")
    return {**body, **nested} if isinstance(nested, Mapping) else body


# What was asked.


def sent(body: Mapping[str, Any]) -> List[Message]:
    """The messages of a request."""
    messages: List[Message] = []
    if isinstance(body.get("instructions"), str) and "messages" not in body:
        messages.append({"role": "system", "content": body["instructions"]})
    asked = next((body[name] for name in ("messages", "input", "inputs", "prompt") if body.get(name)), None)
    for item in asked if isinstance(asked, (list, tuple)) else [asked]:
        if isinstance(item, str):
            messages.append({"role": "user", "content": item})
        elif isinstance(item, Mapping):
            messages.extend(_sent(item))
    return messages


def sent_as_json(body: Mapping[str, Any]) -> Optional[str]:
    """The messages of a chat as JSON, where the request itself has them as a row does: a role and a text each.

    Else None.
    """
    messages = body.get("messages")
    if type(messages) is not list or not messages or "instructions" in body:
        return None
    for item in messages:
        if type(item) is not dict or tuple(item) != ("role", "content"):
            return None
        if type(item["role"]) is not str or type(item["content"]) is not str or not item["role"]:
            return None
    return as_json(messages)


def _sent(item: Mapping[str, Any]) -> Iterator[Message]:
    kind = item.get("type")
    if kind == "function_call":
        yield {"role": "assistant", "content": "", "tool_calls": [_function_call(item)]}
    elif kind == "function_call_output":
        yield {"role": "tool", "content": text_or_parts(item.get("output")), "tool_call_id": item.get("call_id")}
    elif kind != "reasoning":
        yield message(item, "user")


def message(source: Mapping[str, Any], role: str) -> Message:
    """One message of the chat API, or of the Responses API's input. role: of one that names none."""
    made: Message = {"role": str(source.get("role") or role), "content": text_or_parts(source.get("content"))}
    calls = tool_calls(source)
    if calls:
        made["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if source.get(name) is not None:
            made[name] = source[name]
    return made


def tool_calls(source: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The tool calls of a message, in whatever form: a list, one object, the API's older ``function_call``."""
    calls = source.get("tool_calls")
    made = [_tool_call(call) for call in objects([calls] if isinstance(calls, Mapping) else calls)]
    if isinstance(source.get("function_call"), Mapping):
        made.append(_function_call(source["function_call"]))
    return made


def _tool_call(call: Mapping[str, Any]) -> Dict[str, Any]:
    function = call.get("function")
    made = _function_call(function if isinstance(function, Mapping) else call)
    if call.get("id") not in (None, ""):
        made["id"] = call["id"]
    return made


def _function_call(function: Mapping[str, Any]) -> Dict[str, Any]:
    arguments = function.get("arguments", function.get("input"))
    if arguments is not None and not isinstance(arguments, str):
        arguments = as_json(arguments)
    members = {"name": function.get("name"), "arguments": arguments}
    made: Dict[str, Any] = {
        "type": "function",
        "function": {key: value for key, value in members.items() if value is not None},
    }
    if function.get("call_id"):
        made["id"] = function["call_id"]
    return made


def text_or_parts(content: Any) -> Any:
    """A content as one text where all its parts are text, else as the list of its parts. Thinking is no part of it."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [
        {"type": "text", "text": part} if isinstance(part, str) else dict(part)
        for part in (content if isinstance(content, (list, tuple)) else [content])
        if isinstance(part, str) or (isinstance(part, Mapping) and "thinking" not in part)
    ]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def tools(body: Mapping[str, Any]) -> List[Any]:
    """The definitions of the tools that were offered."""
    return list(objects(body.get("tools")) or objects(body.get("functions")))


# What was answered.


def received(body: Mapping[str, Any]) -> List[Message]:
    """The messages of an answer; one of nothing but tool calls gets them as its content too, or it would look empty."""
    messages = [*_of_choices(body), *_of_output(body)]
    if not messages:
        text = body.get("generated_text", body.get("text"))  # a generation's, a transcription's
        if isinstance(text, str):
            messages.append({"role": "assistant", "content": text})
    for made in messages:
        show_tool_calls(made)
    return messages


def show_tool_calls(made: Message) -> None:
    """Give a message of nothing but tool calls a text that shows them, in place."""
    calls = made.get("tool_calls")
    if not made.get("content") and isinstance(calls, list):
        made["content"] = "\n".join(
            f"{at(call, ('function', 'name')) or ''}({at(call, ('function', 'arguments')) or ''})" for call in calls
        )


def _of_choices(body: Mapping[str, Any]) -> Iterator[Message]:
    for choice in sorted(objects(body.get("choices")), key=index_of):
        source = choice.get("message")
        if isinstance(source, Mapping):
            made = message(source, "assistant")
            if not made["content"]:
                made["content"] = source.get("refusal") or at(source, ("audio", "transcript")) or ""
            if source.get("refusal"):
                made["refusal"] = source["refusal"]
            reasoning = source.get("reasoning") or source.get("reasoning_content")
            if isinstance(reasoning, str) and reasoning:
                made["reasoning"] = reasoning
        elif choice.get("text") is not None:
            made = {"role": "assistant", "content": str(choice["text"])}
        else:
            continue
        if choice.get("finish_reason"):
            made["finish_reason"] = str(choice["finish_reason"])
        yield made


def _of_output(body: Mapping[str, Any]) -> Iterator[Message]:
    """The output items of the Responses API."""
    for item in objects(body.get("output")):
        kind = str(item.get("type"))
        if kind == "message":
            parts = objects(item.get("content"))
            texts = [part.get("text", part.get("refusal")) for part in parts]
            made = {"role": str(item.get("role") or "assistant")}
            made["content"] = "\n".join(str(text) for text in texts if text is not None)
            yield made
        elif kind.endswith(("function_call", "tool_call", "mcp_call")) and item.get("name"):
            yield {"role": "assistant", "content": "", "tool_calls": [_function_call(item)]}


def finish_reasons(body: Mapping[str, Any]) -> List[str]:
    """Why each choice ended, in the order of their indexes."""
    choices = sorted(objects(body.get("choices")), key=index_of)
    return [str(choice["finish_reason"]) for choice in choices if choice.get("finish_reason")]


def index_of(choice: Mapping[str, Any]) -> int:
    """The index of a choice; 0 where it has none."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


# Whether it is one.


class Refusal(NamedTuple):
    """An answer under a 200 that says that the call has failed."""

    what: str
    """A word for it, where an exception's class stands otherwise: ``failed``, ``incomplete``, ``error`` ..."""
    body: Any
    """What of the answer says why."""


def refusal_of(body: Any) -> Optional[Refusal]:
    """How an answer says that it is none: a status of the Responses API, or a member ``error``. None if it is one."""
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    status = body.get("status") if "output" in body or body.get("object") == "response" else None
    if status in ("failed", "incomplete", "cancelled"):
        reason = at(body, ("incomplete_details", "reason"))
        return Refusal(str(status), {"error": error} if error else {"error": {"message": reason, "code": reason}})
    if error and not (isinstance(error, Mapping) and not any(error.values())):
        return Refusal("error", {"error": error})
    return None


def is_web_page(text: str) -> bool:
    """True for a body that is a page for people: a login, a gateway's excuse."""
    return text[:200].lstrip("\ufeff \t\r\n").lower().startswith(("<!doctype html", "<html", "<head", "<body"))


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
"""``json.dumps`` would make an encoder for each text."""


def as_json(value: Any) -> str:
    """JSON text; what JSON cannot hold becomes its text."""
    return _encode(value)
