"""LLM enrichment: what the server derives from a span's attributes, and what it deletes (contract section 3).

Works on attributes under their keys as sent, with values as text, list, dict or None. Servers before 0.91 have the
same gate, sources and I/O keys under other names. Left out, because the contract gives no values for them: the built-in
price list (every cost nobody sent is -0.0), ``llm.evaluation.*`` renaming, the organisation's agent mapping, and all of
the Enterprise edition.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, MutableMapping, Optional, Tuple

from .messages import extract_io, is_io_key
from .organization import Objects
from .personality import Personality
from .prices import cost_of
from .streams import FLOAT64, INT64, UTF8, Stream
from .tokens import estimate

Attributes = Dict[str, Any]

# Section 3, "Gate is_llm_trace", but for openinference.span.kind: a span that has only that is none (recorded).
_GATE = frozenset(
    [
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.input.messages",
        "gen_ai.agent.name",
        "gen_ai.agent.id",
        "llm.request.type",
        "ai.model.id",
        "ai.prompt",
        "ai.prompt.messages",
        "llm.model_name",
        "langfuse.observation.type",
        "agent.name",
        "tool.name",
        "tool_call.function.name",
        "gcp.vertex.agent.name",
        "crewai.task.agent",
        "crewai.task.tools",
        "langchain.tool.name",
        "gcp.vertex.agent.llm_request",
        "prompt",
        "mlflow.spanInputs",
        "traceloop.span.kind",
        "input",
        "input.value",
    ]
)

# 3.1, row gen_ai.operation.name. Where the contract gives a source value without an arrow, the value is the name.
_OPERATIONS = frozenset(
    [
        "chat",
        "text_completion",
        "generate_content",
        "embeddings",
        "invoke_agent",
        "create_agent",
        "execute_tool",
        "invoke_workflow",
        "retrieval",
    ]
)
_BY_REQUEST_TYPE = {
    "chat": "chat",
    "completion": "text_completion",
    "embedding": "embeddings",
    "rerank": "rerank",
}
_BY_TRACELOOP = {"workflow": "workflow", "task": "task", "agent": "agent", "tool": "tool"}
_BY_OPENINFERENCE = {
    "LLM": "chat",
    "CHAIN": "chain",
    "EMBEDDING": "embeddings",
    "AGENT": "invoke_agent",
    "TOOL": "execute_tool",
    "RETRIEVER": "retrieval",
    "EVALUATOR": "evaluator",
    "GUARDRAIL": "guardrail",
}
# "GENERATION->chat..." is all the contract says; the rest of these follow OpenInference's row.
_BY_LANGFUSE = {
    "GENERATION": "chat",
    "EMBEDDING": "embeddings",
    "AGENT": "invoke_agent",
    "TOOL": "execute_tool",
    "SPAN": "span",
}
_MODEL_KEYS = (
    "gen_ai.response.model",
    "ai.model.id",
    "gen_ai.request.model",
    "langfuse.observation.model.name",
    "llm.response.model",
    "llm.model_name",
    "model",
)

# 3.1: output attribute, its sources in order, and whether the resource is asked after the span.
_COPIED = (
    (
        "gen_ai.provider.name",
        ("gen_ai.provider.name", "gen_ai.system", "ai.model.provider", "langfuse.observation.metadata.ls_provider"),
        False,
    ),
    ("user.id", ("user.id", "ai.telemetry.metadata.userId", "service_user.id"), True),
    (
        "gen_ai.conversation.id",
        (
            "session.id",
            "gen_ai.conversation.id",
            "ai.telemetry.metadata.sessionId",
            "langfuse.observation.metadata.langfuse_session_id",
            "langfuse.observation.metadata.session_id",
            "service_session.id",
        ),
        True,
    ),
    ("gen_ai.prompt.name", ("gen_ai.prompt.name", "langfuse.observation.prompt.name"), False),
    (
        "gen_ai.tool.name",
        (
            "gen_ai.tool.name",
            "tool.name",
            "tool_call.function.name",
            "langchain.tool.name",
            "crewai.task.tools",
            "langfuse.observation.metadata.tool.name",
        ),
        False,
    ),
    ("gen_ai.tool.call.id", ("gen_ai.tool.call.id", "langfuse.observation.metadata.tool.call.id"), False),
    ("gen_ai.tool.call.arguments", ("gen_ai.tool.call.arguments",), False),
    ("gen_ai.tool.call.result", ("gen_ai.tool.call.result",), False),
    (
        "gen_ai.agent.name",
        ("gen_ai.agent.name", "agent.name", "llm.agent.name", "gcp.vertex.agent.name", "crewai.task.agent"),
        True,
    ),
    ("gen_ai.agent.id", ("gen_ai.agent.id", "agent.id", "agent_id", "llm.agent.id", "llm.agent_id"), True),
    (
        "deployment.environment.name",
        ("deployment.environment.name", "deployment.environment", "env", "environment", "k8s.namespace.name"),
        True,
    ),
    ("gen_ai.agent.version", ("gen_ai.agent.version", "service.version", "app.version", "git.commit.sha"), True),
)

# 3.1, usage rows. For the counts each later source overrides, for the caches the first one that has a number wins.
_INPUT_TOKENS = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.prompt_cache_miss_tokens",
    "llm.token_count.prompt",
)
_OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_TOTAL_TOKENS = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens")
_CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "cache_read_input_tokens",
    "gen_ai.usage.prompt_tokens_details.cached_tokens",
    "prompt_tokens_details.cached_tokens",
    "gen_ai.usage.cache_read_tokens",
    "gen_ai.usage.cached_tokens",
    "cached_tokens",
    "gen_ai.usage.prompt_cache_hit_tokens",
)
_CACHE_CREATION = (
    "gen_ai.usage.cache_creation.input_tokens",
    "cache_creation_input_tokens",
    "gen_ai.usage.cache_write_tokens",
)
# 3.1 "Fallback tiktoken estimate for op ...".
_ESTIMATED = frozenset(("chat", "text_completion", "generate_content", "embeddings"))

# Recorded: the text columns of a stream that has seen one LLM span, whatever that span had.
_TEXT_COLUMNS = (
    "gen_ai_conversation_id",
    "gen_ai_input_messages",
    "gen_ai_operation_name",
    "gen_ai_output_messages",
    "gen_ai_provider_name",
    "gen_ai_response_model",
    "gen_ai_system_instructions",
    "user_id",
)

# 3.5, "Old observation values GENERATION/EMBEDDING/AGENT/TOOL/SPAN", by today's operation.
_OLD_OBSERVATION = {
    "chat": "GENERATION",
    "text_completion": "GENERATION",
    "generate_content": "GENERATION",
    "embeddings": "EMBEDDING",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
    "agent": "AGENT",
    "execute_tool": "TOOL",
    "tool": "TOOL",
}


def enrich(
    attributes: Attributes,
    resource: Mapping[str, Any],
    scope: str,
    events: List[Attributes],
    *,
    personality: Personality,
    prices: Objects,
    collisions: List[str],
) -> bool:
    """Change ``attributes`` in place as the server does; False, and no change, for a span that is not an LLM span.

    ``events`` are the attributes of each event with its ``name``. Derived numbers are int or float. ``collisions``
    gets a sentence for each value whose winner is random on a real server.
    """
    if scope != "ai" and _GATE.isdisjoint(attributes):
        return False
    if personality.derives_gen_ai:
        _derive(attributes, resource, scope, events, personality, prices)
    else:
        _derive_old(attributes, events, scope, collisions)
    return True


def mark(stream: Stream, personality: Personality) -> None:
    """Section 3: the first LLM span marks the stream and provisions the gen_ai columns (before 0.91 too: recorded)."""
    stream.is_llm_stream = True
    stream.provision(personality.int_columns, INT64)
    stream.provision(personality.float_columns, FLOAT64)
    stream.provision(_TEXT_COLUMNS, UTF8)


def normalise_numbers(row: MutableMapping[str, Any], personality: Personality) -> None:
    """Section 0.1: some columns are turned back into numbers, on any span; text that is none becomes 0."""
    for column in personality.int_columns:
        if column in row:
            row[column] = int(_number(row[column]))
    for column in personality.float_columns:
        if column in row:
            row[column] = _number(row[column])


def operation_name(attributes: Mapping[str, Any], scope: str) -> str:
    own = attributes.get("gen_ai.operation.name")
    if isinstance(own, str) and own in _OPERATIONS:
        return own
    for key, names in (
        ("llm.request.type", _BY_REQUEST_TYPE),
        ("traceloop.span.kind", _BY_TRACELOOP),
        ("openinference.span.kind", _BY_OPENINFERENCE),
        ("langfuse.observation.type", _BY_LANGFUSE),
    ):
        value = attributes.get(key)
        if isinstance(value, str) and value in names:
            return names[value]
    if scope == "ai":
        # Rule 6 names no value; the scope is the Vercel AI SDK's, whose spans are calls of a model.
        return "chat"
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return "execute_tool"
    return "chat" if any(key in attributes for key in _MODEL_KEYS) else "span"


def response_model(attributes: Mapping[str, Any]) -> Optional[str]:
    """3.1: the first key that is present wins, and if that is no text there is none."""
    for key in _MODEL_KEYS:
        if key in attributes:
            return attributes[key] if isinstance(attributes[key], str) else None
    return None


def _derive(
    attributes: Attributes,
    resource: Mapping[str, Any],
    scope: str,
    events: List[Attributes],
    personality: Personality,
    prices: Objects,
) -> None:
    # Section 3, "Order: extract -> delete I/O keys -> usage+cost -> emit".
    derived: Attributes = {"gen_ai.operation.name": operation_name(attributes, scope)}
    derived["gen_ai.response.model"] = response_model(attributes)
    for target, sources, also_resource in _COPIED:
        derived[target] = _first_text(sources, attributes)
        if derived[target] is None and also_resource:
            derived[target] = _first_text(sources, resource)
    for key, value in _request_parameters(attributes, scope).items():
        if key != "model":
            derived["gen_ai.request." + key] = _json_text(value)
    derived["gen_ai.response.time_to_first_chunk"] = _langfuse_first_chunk(attributes)
    messages = extract_io(attributes, events)
    derived["gen_ai.input.messages"], derived["gen_ai.output.messages"] = messages

    for key in [key for key in attributes if is_io_key(key)]:
        del attributes[key]

    usage = _usage(attributes, derived["gen_ai.operation.name"], *messages)
    if prices and usage["gen_ai.usage.cost"] <= 0 and derived["gen_ai.operation.name"] in _ESTIMATED:
        counts = {name: usage[f"gen_ai.usage.{name}_tokens"] for name in ("input", "output")}
        usage["gen_ai.usage.cost"] = cost_of(derived["gen_ai.response.model"], counts, prices)
    numbers = (*personality.int_columns, *personality.float_columns)
    attributes.update((key, value) for key, value in derived.items() if value is not None)
    for key, value in usage.items():
        # 3.1, "overwrite?": only if absent; 0.91 overwrote.
        if personality.usage_overwrites or key not in attributes:
            # What is no number for this version is text, as everything else.
            attributes[key] = value if key.replace(".", "_") in numbers else str(value)


def _derive_old(attributes: Attributes, events: List[Attributes], scope: str, collisions: List[str]) -> None:
    # 3.5, column "v0.80-0.90.x", and what the recording of 0.90.3 adds to it.
    operation = operation_name(attributes, scope)
    messages = extract_io(attributes, events)
    derived: Attributes = {
        "llm.observation.type": _OLD_OBSERVATION.get(operation, "SPAN"),
        "gen_ai.response.model": response_model(attributes),
        "gen_ai.system": _first_text(_COPIED[0][1], attributes),
        "llm.input": messages[0],
        "llm.output": messages[1],
    }
    for key, value in _request_parameters(attributes, scope).items():
        derived["llm.request.parameters." + key] = _json_text(value)

    for key in [key for key in attributes if is_io_key(key)]:
        del attributes[key]

    usage = _usage(attributes, operation, *messages)
    attributes.update((key, value) for key, value in derived.items() if value is not None)
    attributes["llm.usage.cost.total"] = usage["gen_ai.usage.cost"]
    for name in ("input", "output", "total"):
        key = "llm.usage.tokens." + name
        if key in attributes:
            # 3.5, "Conflict rules": random winner. The client's text won in all 112 rows of the recording.
            collisions.append(f"{key} was sent to a server that derives it as a number")
        else:
            attributes[key] = usage[f"gen_ai.usage.{name}_tokens"]


def _request_parameters(attributes: Mapping[str, Any], scope: str) -> Dict[str, Any]:
    # 3.1, row gen_ai.request.<k>: one source, whatever the others hold.
    if scope == "ai":
        # The "scope ai set" is not spelled out; ai.settings.* is where that SDK documents its call settings.
        return _with_prefix("ai.settings.", attributes)
    for key in ("llm.invocation_parameters", "langfuse.observation.model.parameters", "model_config"):
        if key in attributes:
            return _json_object(attributes[key])
    return _with_prefix("gen_ai.request.", attributes)


def _with_prefix(prefix: str, attributes: Mapping[str, Any]) -> Dict[str, Any]:
    return {key[len(prefix) :]: value for key, value in attributes.items() if key.startswith(prefix)}


def _usage(
    attributes: Mapping[str, Any], operation: str, input_text: Optional[str], output_text: Optional[str]
) -> Dict[str, Any]:
    input_tokens, output_tokens = _counts(attributes)
    if operation in _ESTIMATED:
        input_tokens = input_tokens or estimate(input_text)
        output_tokens = output_tokens or estimate(output_text)
    cache_read = _first_count(_CACHE_READ, attributes)
    cache_creation = _first_count(_CACHE_CREATION, attributes)
    total = _last_count(_TOTAL_TOKENS, attributes) or input_tokens + cache_read + cache_creation + output_tokens
    usage: Dict[str, Any] = {
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        "gen_ai.usage.total_tokens": total,
        # 3.6: the client's total if it is above zero.
        "gen_ai.usage.cost": _client_cost(attributes),
    }
    if cache_read:
        usage["gen_ai.usage.cache_read.input_tokens"] = cache_read
    if cache_creation:
        usage["gen_ai.usage.cache_creation.input_tokens"] = cache_creation
    return usage


def _counts(attributes: Mapping[str, Any]) -> Tuple[int, int]:
    details = _json_object(attributes.get("langfuse.observation.usage_details"))
    return (
        _count(details.get("input")) or _last_count(_INPUT_TOKENS, attributes),
        _count(details.get("output")) or _last_count(_OUTPUT_TOKENS, attributes),
    )


def _client_cost(attributes: Mapping[str, Any]) -> float:
    cost = _number(attributes.get("gen_ai.usage.cost"))
    if cost <= 0:
        cost = _number(_json_object(attributes.get("langfuse.observation.cost_details")).get("total"))
    # Recorded: negative zero where no price is known.
    return cost if cost > 0 else -0.0


def _langfuse_first_chunk(attributes: Mapping[str, Any]) -> Optional[float]:
    # 3.1: "converted as absolute epoch seconds (looks like a bug)".
    text = attributes.get("langfuse.observation.completion_start_time")
    try:
        return datetime.fromisoformat(str(text).strip('"').replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _first_text(keys: Iterable[str], attributes: Mapping[str, Any]) -> Optional[str]:
    for key in keys:
        if isinstance(attributes.get(key), str):
            return str(attributes[key])
    return None


def _first_count(keys: Iterable[str], attributes: Mapping[str, Any]) -> int:
    return next((count for count in (_count(attributes.get(key)) for key in keys) if count), 0)


def _last_count(keys: Iterable[str], attributes: Mapping[str, Any]) -> int:
    count = 0
    for key in keys:
        count = _count(attributes.get(key)) or count
    return count


def _count(value: Any) -> int:
    """A token count; values of zero and below are ignored (3.1), as 0."""
    return max(int(_number(value)), 0)


def _number(value: Any) -> float:
    # What Python's float reads and Rust's parse does not: surrounding space and digits grouped by underscores.
    if isinstance(value, str) and ("_" in value or value != value.strip()):
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if abs(number) < 2**63 else 0.0


def _json_object(value: Any) -> Dict[str, Any]:
    if isinstance(value, dict):
        return value
    try:
        parsed = json.loads(value)
    except (TypeError, ValueError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _json_text(value: Any) -> Optional[str]:
    if value is None or isinstance(value, str):
        return value
    # Recorded: what the server parsed and writes again has sorted keys.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
