"""Which attributes of an LLM span are its input and output, and which are deleted for it (contract 3.2 and 3.4).

The contract names the keys of the rules the product can meet; those of Vercel, Vertex, LiveKit and semantic-kernel are
the ones these projects document, one or two each: enough to lose or win against another rule.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

Attributes = Mapping[str, Any]


class _Found(NamedTuple):
    """What a rule takes: a rule that matches takes both, present or not."""

    input: Any = None
    output: Any = None


_Rule = Callable[[Attributes, Sequence[Attributes]], Optional[_Found]]


def extract_io(attributes: Attributes, events: Sequence[Attributes]) -> Tuple[Optional[str], Optional[str]]:
    """Values of ``gen_ai.input.messages`` and ``gen_ai.output.messages``: the first of the 17 rules that matches."""
    for rule in _RULES:
        found = rule(attributes, events)
        if found is not None:
            return _text(found.input), _text(found.output)
    return None, None


def is_io_key(key: str) -> bool:
    """3.2: whether the attribute is deleted. ``input.mime_type``, ``output.mime_type`` and other ``llm.*`` survive."""
    return key in _DELETED or key.startswith(_DELETED_PREFIXES)


_DELETED = frozenset(
    [
        "input.value",
        "output.value",
        "input",
        "output",
        "prompt",
        "events",
        "all_messages_events",
        "tool_arguments",
        "tool_response",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "langfuse.observation.input",
        "langfuse.observation.output",
        "traceloop.entity.input",
        "traceloop.entity.output",
        "ai.prompt",
        "ai.prompt.messages",
        "ai.response.text",
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response",
        "lk.input_text",
        "lk.response.text",
        "mlflow.spanInputs",
        "mlflow.spanOutputs",
    ]
)
_DELETED_PREFIXES = ("gen_ai.prompt", "gen_ai.completion", "llm.input_messages", "llm.output_messages")
_MESSAGE_EVENTS = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}


def _pair(input_key: str, output_key: str, output_alone: bool = False) -> _Rule:
    def rule(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
        if input_key in attributes or (output_alone and output_key in attributes):
            return _Found(attributes.get(input_key), attributes.get(output_key))
        return None

    return rule


def _message_events(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
    inputs = [
        dict({"role": _MESSAGE_EVENTS[event["name"]]}, **{key: value for key, value in event.items() if key != "name"})
        for event in events
        if event["name"] in _MESSAGE_EVENTS
    ]
    outputs = [
        {key: value for key, value in event.items() if key != "name"}
        for event in events
        if event["name"] == "gen_ai.choice"
    ]
    return _Found(inputs or None, outputs or None) if inputs or outputs else None


def _prompt_prefixes(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
    # The trap of 0.10: "gen_ai.prompt.name" or "gen_ai.completion_start_time" alone is enough.
    if any(key.startswith(("gen_ai.prompt", "gen_ai.completion")) for key in attributes):
        return _Found(_nested(attributes, "gen_ai.prompt"), _nested(attributes, "gen_ai.completion"))
    return None


def _semantic_kernel_events(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
    found = _Found(
        next((event.get("gen_ai.prompt") for event in events if event["name"] == "gen_ai.content.prompt"), None),
        next(
            (event.get("gen_ai.completion") for event in events if event["name"] == "gen_ai.content.completion"), None
        ),
    )
    return None if found == _Found() else found


def _events_attribute(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
    if "events" not in attributes:
        return None
    try:
        entries = json.loads(attributes["events"])
        choices = [entry for entry in entries if entry.get("event.name") == "gen_ai.choice"]
    except (TypeError, ValueError, AttributeError):
        return _Found(attributes["events"])
    return _Found([entry for entry in entries if entry not in choices] or None, choices or None)


def _indexed_messages(attributes: Attributes, events: Sequence[Attributes]) -> Optional[_Found]:
    found = _Found(_nested(attributes, "llm.input_messages"), _nested(attributes, "llm.output_messages"))
    return None if found == _Found() else found


# 3.4, in order. Output alone is honoured by rules 1, 4, 7, 8, 12 and 17.
_RULES: Sequence[_Rule] = (
    _message_events,  # 1
    _pair("langfuse.observation.input", "langfuse.observation.output"),
    _pair("traceloop.entity.input", "traceloop.entity.output"),
    _prompt_prefixes,  # 4
    _pair("gen_ai.input.messages", "gen_ai.output.messages"),
    _pair("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
    _semantic_kernel_events,  # 7
    _pair("ai.prompt.messages", "ai.response.text"),  # 8, Vercel
    _pair("ai.prompt", "ai.response.text", output_alone=True),
    _pair("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),  # 9
    _pair("prompt", "all_messages_events"),  # 10
    _pair("lk.input_text", "lk.response.text"),  # 11, LiveKit
    _events_attribute,  # 12
    _pair("mlflow.spanInputs", "mlflow.spanOutputs"),  # 13
    _pair("input.value", "output.value"),  # 14
    _pair("input", "output"),
    _pair("tool_arguments", "tool_response"),
    _indexed_messages,  # 17
)


def _nested(attributes: Attributes, prefix: str) -> Any:
    """``{prefix}.0.role`` and the like as nested lists and objects; ``prefix`` itself as it is; None without either."""
    if prefix in attributes:
        return attributes[prefix]
    tree: Dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix + "."):
            continue
        node = tree
        *path, leaf = key[len(prefix) + 1 :].split(".")
        for part in path:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            node = inner
        else:
            node[leaf] = value
    return _listed(tree) if tree else None


def _listed(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdigit() for key in tree):
        ordered: List[str] = sorted(tree, key=int)
        return [_listed(tree[key]) for key in ordered]
    return {key: _listed(value) for key, value in tree.items()}


def _text(value: Any) -> Optional[str]:
    if value is None or isinstance(value, str):
        return value
    # Recorded: what the server parsed and writes again has sorted keys.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
