"""The conversation of a call as ``[{role, content}]``, from the attributes of a span that no call of ours is known of.

Pure.

Forms that are read: OpenInference's indexed attributes (old and new), older instrumentors', and the GenAI conventions'
``parts``. Content is text wherever it can be, as in ``wire.bodies``, which reads request and answer bodies.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Dict, List, Mapping, Tuple

from hf_openobserve.wire.bodies import Message, show_tool_calls
from hf_openobserve.wire.member import at, objects

PREFIXES = (
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.choices.",
    "llm.tools.",
    "gen_ai.prompt.",
    "gen_ai.completion.",
)
"""Indexed attributes: ``llm.input_messages.0.message.role`` and so on."""

_DEEPEST = 16
"""Levels of a name that are told apart; OpenInference's have nine."""

_LONGEST_INDEX = 9


class _Node(Dict[str, Any]):
    """A branch of the tree ``unflatten`` makes, as against a mapping that is some attribute's value."""


def unflatten(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """``a.b.0.c.d`` = v as ``{"a.b": {"0": {"c": {"d": v}}}}``, for names under ``PREFIXES``."""
    tree = _Node()
    for key, value in attributes.items():
        way = _way(key)
        if not way:
            continue
        node = tree
        for name in way[:-1]:
            inner = node.get(name)
            if not isinstance(inner, _Node):
                inner = node[name] = _Node()
            node = inner
        node[way[-1]] = value
    return tree


@functools.lru_cache(maxsize=1024)
def _way(key: str) -> Tuple[str, ...]:
    """From the root of the tree to an attribute's value; empty for one that is not indexed.

    The same names come with every span.
    """
    if not key.startswith(PREFIXES):
        return ()
    first, second, *rest = key.split(".", _DEEPEST)
    return (first + "." + second, *rest)


def sent(attributes: Mapping[str, Any], indexed: Mapping[str, Any]) -> List[Message]:
    """What was asked, as far as the attributes say. ``indexed`` is ``unflatten``'s."""
    return (
        [_openinference_message(entry) for entry in _entries(indexed, "llm.input_messages")]
        or [{"role": "user", "content": text} for text in _prompts(attributes, indexed)]
        or [_plain_message(entry, "user") for entry in _entries(indexed, "gen_ai.prompt")]
        or _genai_messages(attributes.get("gen_ai.input.messages"))
    )


def received(attributes: Mapping[str, Any], indexed: Mapping[str, Any]) -> List[Message]:
    """What was answered; a reply of nothing but tool calls gets them as its content too, or it would look empty."""
    messages = (
        [_openinference_message(entry, "assistant") for entry in _entries(indexed, "llm.output_messages")]
        or [{"role": "assistant", "content": text} for text in _texts(_entries(indexed, "llm.choices"), "completion")]
        or [_plain_message(entry, "assistant") for entry in _entries(indexed, "gen_ai.completion")]
        or _genai_messages(attributes.get("gen_ai.output.messages"))
    )
    for message in messages:
        show_tool_calls(message)
    return messages


def tools(indexed: Mapping[str, Any]) -> List[Any]:
    """The definitions of the tools that were offered."""
    return [_schema(at(entry, ("tool", "json_schema"))) for entry in _entries(indexed, "llm.tools")]


def json_object(text: Any) -> Mapping[str, Any]:
    """The JSON object in ``text``; an empty one if it is none."""
    if not isinstance(text, str) or not text.startswith("{"):
        return {}
    value = _parsed(text)
    return value if isinstance(value, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entries(tree: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    """The entries ``name.0``, ``name.1`` ... in the order of their numbers."""
    node = tree.get(name)
    if not isinstance(node, _Node):
        return []
    numbers = sorted((key for key in node if key.isdecimal() and len(key) <= _LONGEST_INDEX), key=int)
    return [node[key] for key in numbers if isinstance(node[key], _Node)]


def _openinference_message(entry: Mapping[str, Any], role: str = "user") -> Message:
    """``message.role``, ``.content``, ``.contents.N``, ``.tool_calls.N`` ... as a message of the chat API.

    role: of a message that names none, as the pieces of some servers' streams do not.
    """
    source = entry.get("message")
    source = source if isinstance(source, _Node) else _Node()
    message: Message = {"role": str(source.get("role") or role)}
    parts = [_part(part.get("message_content")) for part in _entries(source, "contents")]
    content = source.get("content")
    message["content"] = content if content is not None else _joined([part for part in parts if part])
    calls = [_tool_call(call.get("tool_call")) for call in _entries(source, "tool_calls")]
    if source.get("function_call_name"):  # the API's older form of a call
        arguments = source.get("function_call_arguments_json") or ""
        calls.append(_function_call(source["function_call_name"], arguments))
    if calls:
        message["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if source.get(name):
            message[name] = source[name]
    return message


def _joined(parts: List[Dict[str, Any]]) -> Any:
    """One text where all parts are text, else the list of parts."""
    texts = [part["text"] for part in parts if part.get("type") == "text" and "text" in part]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _part(content: Any) -> Dict[str, Any]:
    if not isinstance(content, _Node):
        return {}
    if "text" in content:
        return {"type": "text", "text": str(content["text"])}
    url = at(content, ("image", "image", "url"))
    if url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": str(content.get("type") or "unknown"), **{k: v for k, v in content.items() if k != "type"}}


def _tool_call(call: Any) -> Dict[str, Any]:
    result = _function_call(at(call, ("function", "name")), at(call, ("function", "arguments")))
    identifier = at(call, ("id",))
    if identifier:
        result["id"] = identifier
    return result


def _function_call(name: Any, arguments: Any) -> Dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}


def _schema(schema: Any) -> Any:
    parsed = _parsed(schema) if isinstance(schema, str) else None
    return schema if parsed is None else parsed


def _prompts(attributes: Mapping[str, Any], tree: Mapping[str, Any]) -> List[str]:
    """Prompts of the legacy completions API: indexed by the newer OpenInference, a list in the older one."""
    older = attributes.get("llm.prompts")
    return _texts(_entries(tree, "llm.prompts"), "prompt") or [
        str(prompt) for prompt in (older if isinstance(older, (list, tuple)) else ())
    ]


def _texts(entries: List[Mapping[str, Any]], name: str) -> List[str]:
    return [str(text) for text in (at(entry, (name, "text")) for entry in entries) if text is not None]


def _plain_message(entry: Mapping[str, Any], role: str) -> Message:
    """``gen_ai.prompt.N.role`` and ``.content``, as older instrumentors write them."""
    return {"role": str(entry.get("role") or role), "content": entry.get("content") or ""}


def _genai_messages(text: Any) -> List[Message]:
    """``gen_ai.*.messages`` in the conventions' own form, ``parts``, of which the server's side bar shows nothing."""
    parsed = _parsed(text) if isinstance(text, str) else None
    messages = []
    for source in objects(parsed):
        message = {key: value for key, value in source.items() if key != "parts"}
        message["role"] = str(source.get("role") or "user")
        if "content" not in message:
            parts = objects(source.get("parts"))
            texts = [
                str(part.get("content") or part.get("response") or "")
                for part in parts
                if part.get("type") != "tool_call"
            ]
            message["content"] = "\n".join(text for text in texts if text)
            calls = [part for part in parts if part.get("type") == "tool_call"]
            if calls:
                message["tool_calls"] = [_function_call(call.get("name"), call.get("arguments")) for call in calls]
        messages.append(message)
    return messages
