"""From what the instrumentation says of a call to the columns OpenObserve shows. Pure: a finished span in, the same out.

``STAGES`` is the whole program: each stage takes the call under work and fills in attributes. The promised columns stand
in the README; the GenAI names are OpenTelemetry's semantic conventions, the ``llm.*`` ones OpenInference's and the six
that servers from 0.91 on no longer derive themselves. Sent for such a server; for an older one the sender takes
``llm.usage.tokens.*`` out again.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.record import KIND_CLIENT, STATUS_ERROR, STATUS_OK, STATUS_UNSET, SpanRecord


class CallFacts(NamedTuple):
    """What was seen of the request beside the span. ``host`` and ``port`` are the server's."""

    host: str = ""
    port: Optional[int] = None
    model: Optional[str] = None
    max_tokens: Optional[int] = None
    status_code: Optional[int] = None
    error_type: Optional[str] = None


class Work(NamedTuple):
    """One LLM span under work. ``attributes`` is written to; the rest is read."""

    record: SpanRecord
    attributes: Dict[str, Any]
    facts: CallFacts
    request: Mapping[str, Any]
    response: Mapping[str, Any]


OPERATIONS = {
    "ChatCompletion": "chat",
    "Completion": "text_completion",
    "Response": "chat",
    "CreateEmbeddings": "embeddings",
    "CreateEmbeddingResponse": "embeddings",
    "ImagesResponse": "generate_content",
}
"""``gen_ai.operation.name`` by OpenInference's span name, which is the response's class."""

OBSERVATION_TYPES = {"LLM": "GENERATION", "EMBEDDING": "EMBEDDING"}
"""``llm.observation.type`` as servers before 0.91 derived it, by ``openinference.span.kind``."""

LLM_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})

INDEXED_PREFIXES = ("llm.input_messages.", "llm.output_messages.", "llm.prompts", "llm.choices", "llm.tools.")
"""Left out once they are in the JSON messages: the server deletes most of them, and each would be a column."""

FORBIDDEN_PREFIXES = ("gen_ai.prompt", "gen_ai.completion")
"""The server deletes every name that begins so, and lets it replace the messages."""


def is_llm_span(attributes: Mapping[str, Any]) -> bool:
    """True for the span of one call to a model: OpenInference's or, by their operation, the GenAI conventions'."""
    kind = attributes.get("openinference.span.kind")
    if kind is not None:
        return kind in OBSERVATION_TYPES
    return attributes.get("gen_ai.operation.name") in LLM_OPERATIONS


def apply(record: SpanRecord, facts: Optional[CallFacts] = None) -> SpanRecord:
    """Fill in the columns of an LLM span, in place; any other span only learns its conversation."""
    attributes = record.attributes
    _conversation(attributes)
    if not is_llm_span(attributes):
        return record
    work = Work(
        record,
        attributes,
        facts or CallFacts(),
        _json_object(attributes.get("llm.invocation_parameters") or attributes.get("embedding.invocation_parameters")),
        _response_body(attributes),
    )
    for stage in STAGES:
        stage(work)
    for key in [key for key in attributes if key.startswith(INDEXED_PREFIXES + FORBIDDEN_PREFIXES)]:
        del attributes[key]
    return record


def _conversation(attributes: Dict[str, Any]) -> None:
    """The server's session pages group by ``gen_ai.conversation.id`` and derive it for LLM spans only."""
    session = attributes.get("session.id") or attributes.get("gen_ai.conversation.id")
    if session:
        attributes.setdefault("session.id", session)
        attributes.setdefault("gen_ai.conversation.id", session)


def _identity(work: Work) -> None:
    """What kind of call this is, and where it went."""
    attributes, facts = work.attributes, work.facts
    kind = attributes.get("openinference.span.kind")
    operation = attributes.get("gen_ai.operation.name") or OPERATIONS.get(work.record.name)
    if operation is None:
        operation = "embeddings" if kind == "EMBEDDING" else "chat"
    if kind is None:
        kind = attributes["openinference.span.kind"] = "EMBEDDING" if operation == "embeddings" else "LLM"
    attributes["gen_ai.operation.name"] = operation
    attributes["llm.observation.type"] = OBSERVATION_TYPES[kind]
    attributes.setdefault("llm.system", "openai")
    if facts.host:
        attributes.setdefault("server.address", facts.host)
        if facts.port:
            attributes.setdefault("server.port", facts.port)
    attributes.setdefault("gen_ai.provider.name", provider_name(str(attributes.get("server.address") or "")))
    # The server draws a node for what a CLIENT span calls, and none for OpenInference's INTERNAL.
    work.record.kind = KIND_CLIENT


def provider_name(host: str) -> str:
    """``gen_ai.provider.name``: ``huggingface`` for its hosts, else the API's own, as the conventions ask."""
    for domain in ("huggingface.co", "huggingface.cloud", "hf.co"):
        if host == domain or host.endswith("." + domain):
            return "huggingface"
    return "openai"


def _models(work: Work) -> None:
    """The requested and the resolved model stay two things; the latter is absent on a failed call."""
    attributes = work.attributes
    requested = work.request.get("model") or work.facts.model or attributes.get("gen_ai.request.model")
    if requested:
        attributes["llm.request.parameters.model"] = attributes["gen_ai.request.model"] = str(requested)
    if _failed(work) and not work.response:
        return
    resolved = (
        attributes.get("llm.model_name")
        or attributes.get("embedding.model_name")
        or work.response.get("model")
        or attributes.get("gen_ai.response.model")
    )
    if resolved:
        attributes["llm.model_name"] = attributes["gen_ai.response.model"] = str(resolved)


_REQUEST_PARAMETERS = (
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("frequency_penalty", "gen_ai.request.frequency_penalty"),
    ("presence_penalty", "gen_ai.request.presence_penalty"),
    ("seed", "gen_ai.request.seed"),
    ("n", "gen_ai.request.choice.count"),
    ("max_output_tokens", "gen_ai.request.max_tokens"),
    ("max_completion_tokens", "gen_ai.request.max_tokens"),
    ("max_tokens", "gen_ai.request.max_tokens"),
)


def _parameters(work: Work) -> None:
    """The sampling parameters under their conventional names. Only what was sent: defaults are not invented."""
    for parameter, name in _REQUEST_PARAMETERS:
        value = work.request.get(parameter)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            work.attributes[name] = value
    max_tokens = work.request.get("max_tokens", work.facts.max_tokens)
    if isinstance(max_tokens, (int, str)):
        work.attributes["llm.request.parameters.max_tokens"] = max_tokens
    stop = work.request.get("stop")
    if stop:
        work.attributes["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(s) for s in stop]


_USAGE_NAMES: Tuple[Tuple[str, Tuple[Tuple[str, ...], ...]], ...] = (
    ("prompt", (("prompt_tokens",), ("input_tokens",))),
    ("completion", (("completion_tokens",), ("output_tokens",))),
    ("total", (("total_tokens",),)),
    (
        "prompt_details.cache_read",
        (
            ("prompt_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cached_tokens"),
            ("cached_tokens",),
            ("prompt_cache_hit_tokens",),
        ),
    ),
    (
        "completion_details.reasoning",
        (("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")),
    ),
)
"""OpenInference's name of each count, and where an OpenAI-compatible answer carries it, first found wins.

Top-level ``cached_tokens`` is Together's, ``prompt_cache_hit_tokens`` DeepSeek's.
"""

_GENAI_USAGE = {
    "prompt": ("gen_ai.usage.input_tokens", "llm.usage.tokens.input"),
    "completion": ("gen_ai.usage.output_tokens", "llm.usage.tokens.output"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.tokens.total"),
    "prompt_details.cache_read": ("gen_ai.usage.cache_read.input_tokens",),
    "completion_details.reasoning": (),
}


def _usage(work: Work) -> None:
    """Token counts under all their names. None where the answer carried no usage; zeros on a failed call.

    The zeros keep the server from estimating tokens, and a price, for a call that cost nothing.
    """
    attributes = work.attributes
    counts = _counts(work)
    if not counts:
        if not _failed(work):
            return
        counts = {"prompt": 0, "completion": 0, "total": 0}
        for name in ("gen_ai.usage.cost", "gen_ai.usage.cost.input", "gen_ai.usage.cost.output"):
            attributes.setdefault(name, 0.0)
    else:
        prompt, completion = counts.setdefault("prompt", 0), counts.setdefault("completion", 0)
        counts.setdefault("total", prompt + completion)
        counts.setdefault("prompt_details.cache_read", 0)
        counts.setdefault("completion_details.reasoning", 0)
    for name, count in counts.items():
        attributes["llm.token_count." + name] = count
        for genai_name in _GENAI_USAGE[name]:
            attributes[genai_name] = count


def _counts(work: Work) -> Dict[str, int]:
    usage = work.response.get("usage")
    counts = {}
    for name, paths in _USAGE_NAMES:
        candidates = [work.attributes.get("llm.token_count." + name)]
        candidates += [work.attributes.get(genai_name) for genai_name in _GENAI_USAGE[name]]
        candidates += [_at(usage, path) for path in paths]
        # A count of zero that the instrumentor derived from a missing detail does not outrank the answer's own.
        known = [value for value in candidates if isinstance(value, int) and not isinstance(value, bool)]
        if known:
            counts[name] = max(known)
    return counts


def _outcome(work: Work) -> None:
    """OK is said, not left unset: a stream that the program leaves early ended well. Errors name their type."""
    record, attributes, facts = work.record, work.attributes, work.facts
    if record.status_code == STATUS_UNSET:
        record.status_code = STATUS_OK
    if not _failed(work):
        return
    error_type = attributes.get("error.type") or facts.error_type
    for event in record.events:
        if event.name == "exception" and not error_type:
            error_type = event.attributes.get("exception.type")
    attributes["error.type"] = str(error_type or "_OTHER")
    if facts.status_code is not None:
        attributes.setdefault("http.response.status_code", facts.status_code)


def _response_details(work: Work) -> None:
    """Why the model stopped, and the answer's id."""
    attributes = work.attributes
    choices = work.response.get("choices")
    reasons = [str(c["finish_reason"]) for c in _objects(choices) if c.get("finish_reason")]
    if not reasons and attributes.get("llm.finish_reason"):
        reasons = [str(attributes["llm.finish_reason"])]
    if reasons:
        attributes["gen_ai.response.finish_reasons"] = reasons
    if work.response.get("id"):
        attributes["gen_ai.response.id"] = str(work.response["id"])


def _messages(work: Work) -> None:
    """The conversation as JSON ``[{role, content}]``, the one form that every page of the server renders."""
    attributes, record = work.attributes, work.record
    if attributes["gen_ai.operation.name"] == "embeddings":
        return
    indexed = _unflatten(attributes, INDEXED_PREFIXES[:5])
    body = _json_object(attributes.get("input.value"))
    sent = [_openinference_message(entry) for entry in _entries(indexed, "llm.input_messages")]
    sent = sent or [{"role": "user", "content": text} for text in _prompts(attributes, indexed)] or _from_request(body)
    received = [_openinference_message(entry) for entry in _entries(indexed, "llm.output_messages")]
    received = received or [
        {"role": "assistant", "content": text} for text in _texts(_entries(indexed, "llm.choices"), "completion")
    ]
    received = received or _from_response(work.response)
    for message, reason in zip(received, attributes.get("gen_ai.response.finish_reasons", ())):
        message["finish_reason"] = reason
    for message in received:
        if not message.get("content") and message.get("tool_calls"):
            # The server's renderer shows the content only: a reply of nothing but calls would look empty.
            message["content"] = "\n".join(_call_text(call) for call in message["tool_calls"])
    if sent:
        attributes["gen_ai.input.messages"] = _json(sent)
    if received:
        attributes["gen_ai.output.messages"] = _json(received)
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        attributes["gen_ai.system_instructions"] = instructions
    tools = [_tool(entry) for entry in _entries(indexed, "llm.tools")]
    if tools:
        attributes["gen_ai.tool.definitions"] = _json(tools)
    record.events[:] = [event for event in record.events if not event.name.startswith("gen_ai.")]


STAGES: Tuple[Callable[[Work], None], ...] = (
    _identity,
    _models,
    _parameters,
    _usage,
    _outcome,
    _response_details,
    _messages,
)


def _failed(work: Work) -> bool:
    return work.record.status_code == STATUS_ERROR


def _response_body(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, parsed. Not for embeddings with known usage: their vectors are most of the text, and of no use here."""
    if attributes.get("openinference.span.kind") == "EMBEDDING" and "llm.token_count.prompt" in attributes:
        return {}
    return _json_object(attributes.get("output.value"))


def _json_object(text: Any) -> Mapping[str, Any]:
    if not isinstance(text, str) or not text.startswith("{"):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _objects(value: Any) -> List[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _at(value: Any, path: Tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _unflatten(attributes: Mapping[str, Any], prefixes: Tuple[str, ...]) -> Dict[str, Any]:
    """``a.0.b.c`` = v as ``{"a": {"0": {"b": {"c": v}}}}``, for names under ``prefixes``, three levels of which are one.

    The first two components are joined again (``llm.input_messages``), since that is how they are asked for.
    """
    tree: Dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(prefixes):
            continue
        first, second, *rest = key.split(".")
        if not rest:
            continue  # llm.prompts of the older OpenInference: a list, read by ``_prompts``
        node = tree.setdefault(first + "." + second, {})
        for name in rest[:-1]:
            inner = node.setdefault(name, {})
            node = inner if isinstance(inner, dict) else {}
        node[rest[-1]] = value
    return tree


def _entries(tree: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    """The entries ``name.0``, ``name.1`` ... in the order of their numbers."""
    return _in_order(tree.get(name))


def _in_order(node: Any) -> List[Mapping[str, Any]]:
    if not isinstance(node, dict):
        return []
    numbered = sorted(
        (int(index), entry) for index, entry in node.items() if index.isdigit() and isinstance(entry, dict)
    )
    return [entry for _, entry in numbered]


def _openinference_message(entry: Mapping[str, Any]) -> Dict[str, Any]:
    """``message.role``, ``.content``, ``.contents.N``, ``.tool_calls.N`` ... as a message of the chat API."""
    source = entry.get("message")
    source = source if isinstance(source, dict) else {}
    message: Dict[str, Any] = {"role": str(source.get("role") or "user")}
    parts = [_part(part.get("message_content")) for part in _in_order(source.get("contents"))]
    parts = [part for part in parts if part]
    content = source.get("content")
    if content is None and parts:
        texts = [part["text"] for part in parts if part.get("type") == "text" and "text" in part]
        content = "\n".join(texts) if len(texts) == len(parts) else parts
    message["content"] = content if content is not None else ""
    calls = [_tool_call(call.get("tool_call")) for call in _in_order(source.get("tool_calls"))]
    if calls:
        message["tool_calls"] = calls
    for name in ("name", "tool_call_id"):
        if source.get(name):
            message[name] = source[name]
    return message


def _part(content: Any) -> Dict[str, Any]:
    if not isinstance(content, dict):
        return {}
    kind = str(content.get("type") or "text")
    if "text" in content:
        return {"type": "text", "text": str(content["text"])}
    url = _at(content, ("image", "image", "url"))
    if url is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": kind, **{key: value for key, value in content.items() if key != "type"}}


def _tool_call(call: Any) -> Dict[str, Any]:
    call = call if isinstance(call, dict) else {}
    function = call.get("function")
    result: Dict[str, Any] = {"type": "function", "function": dict(function) if isinstance(function, dict) else {}}
    if call.get("id"):
        result["id"] = call["id"]
    return result


def _call_text(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    function = function if isinstance(function, dict) else {}
    return f"{function.get('name', '')}({function.get('arguments', '')})"


def _tool(entry: Mapping[str, Any]) -> Any:
    schema = _at(entry, ("tool", "json_schema"))
    try:
        return json.loads(schema) if isinstance(schema, str) else schema
    except (ValueError, RecursionError):
        return schema


def _prompts(attributes: Mapping[str, Any], tree: Mapping[str, Any]) -> List[str]:
    """Prompts of the legacy completions API: indexed by the newer OpenInference, a list in the older one."""
    prompts = _texts(_entries(tree, "llm.prompts"), "prompt")
    older = attributes.get("llm.prompts")
    return prompts or [str(prompt) for prompt in (older if isinstance(older, (list, tuple)) else ())]


def _texts(entries: List[Mapping[str, Any]], name: str) -> List[str]:
    return [str(text) for text in (_at(entry, (name, "text")) for entry in entries) if text is not None]


def _from_request(body: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Messages of a request whose attributes name none (Responses API under the older OpenInference)."""
    sent: List[Dict[str, Any]] = []
    if isinstance(body.get("instructions"), str):
        sent.append({"role": "system", "content": body["instructions"]})
    asked = body.get("messages") or body.get("input") or body.get("prompt")
    if isinstance(asked, str):
        sent.append({"role": "user", "content": asked})
    sent.extend(
        {"role": str(message.get("role") or "user"), "content": message.get("content") or ""}
        for message in _objects(asked)
    )
    return sent


def _from_response(response: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Messages of an answer whose attributes name none: chat choices, completion texts, or output items."""
    received: List[Dict[str, Any]] = []
    for choice in _objects(response.get("choices")):
        message = choice.get("message")
        if isinstance(message, dict):
            received.append({key: message[key] for key in ("role", "content", "tool_calls") if message.get(key)})
        elif choice.get("text") is not None:
            received.append({"role": "assistant", "content": choice["text"]})
    for item in _objects(response.get("output")):
        if item.get("type") == "function_call":
            call = {"type": "function", "function": {"name": item.get("name"), "arguments": item.get("arguments")}}
            received.append({"role": "assistant", "content": "", "tool_calls": [call]})
        elif item.get("type") == "message":
            texts = [str(part["text"]) for part in _objects(item.get("content")) if part.get("text") is not None]
            received.append({"role": str(item.get("role") or "assistant"), "content": "\n".join(texts)})
    return received
