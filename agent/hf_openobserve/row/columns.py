"""From what the instrumentation says of a call to the columns OpenObserve shows. Pure: a finished span in, the same out.

``STAGES`` is the whole program: each stage takes the call under work and fills in attributes. The promised columns stand
in the README; the GenAI names are OpenTelemetry's semantic conventions, the ``llm.*`` ones OpenInference's and the six
that servers from 0.91 on no longer derive themselves. Sent for such a server; for an older one the sender takes
``llm.usage.tokens.*`` out again.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.process import diagnostics
from hf_openobserve.row import conversation
from hf_openobserve.row.conversation import json_object
from hf_openobserve.row.cost_columns import COST, LLM_COST
from hf_openobserve.row.record import (
    CUT_BYTES,
    KIND_CLIENT,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    EventRecord,
    SpanRecord,
)
from hf_openobserve.wire import bodies, providers, server_timings
from hf_openobserve.wire.apis import APIS, Api
from hf_openobserve.wire.bodies import as_json
from hf_openobserve.wire.member import at
from hf_openobserve.wire.usage import USAGE_PATHS, counts_of, usage_of


class CallFacts(NamedTuple):
    """What was seen of a call beside its span. ``host`` and ``port`` are the server's, times nanoseconds since the epoch."""

    host: str = ""
    port: Optional[int] = None
    model: Optional[str] = None
    max_tokens: Optional[int] = None
    failed: bool = False
    """True if it failed, also where only the answer itself says so and the client raised nothing."""
    status_code: Optional[int] = None
    error_type: Optional[str] = None
    message: Optional[str] = None
    """The status message of a failed call: the server's sentence, which openai 3.x leaves out of its own."""
    attributes: Mapping[str, Any] = MappingProxyType({})
    """Under their final names; what the span says itself wins."""
    api: Optional[Api] = None
    """OpenAI's API that was called, if it is one of those."""
    request: Optional[Mapping[str, Any]] = None
    """The request's body; None where it is not known."""
    answer: Mapping[str, Any] = MappingProxyType({})
    """The answer's body; empty where there is none, or it is not known."""
    events: Tuple[EventRecord, ...] = ()
    last_attempt: Optional[int] = None
    """When the last of several requests was sent."""
    ended: Optional[int] = None
    """When a stream was over that nobody read to its end: its span may end as late as the garbage collector comes."""


class Work(NamedTuple):
    """One LLM span under work. ``attributes`` is written to; the rest is read."""

    record: SpanRecord
    attributes: Dict[str, Any]
    facts: CallFacts
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    usage: Optional[Mapping[str, Any]]
    """Of the response, where it has one."""


OPERATIONS = {
    **{api.span_name: api.operation for api in APIS.values()},
    "CreateEmbeddingResponse": "embeddings",
    "ImagesResponse": "generate_content",
    "Transcription": "generate_content",
}
"""``gen_ai.operation.name`` by the span's name, ours or OpenInference's, which is the response's class."""

OBSERVATION_TYPES = {"LLM": "GENERATION", "EMBEDDING": "EMBEDDING"}
"""``llm.observation.type`` as servers before 0.91 derived it, by ``openinference.span.kind``, of calls that count tokens."""

LONGEST_ID = 512
"""Characters of what a request names a user or a session by; a longer text is none."""

LLM_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})

INDEXED_PREFIXES = ("llm.input_messages.", "llm.output_messages.", "llm.prompts", "llm.choices", "llm.tools.")
"""Left out once they are in the JSON messages: the server deletes most of them, and each would be a column."""

COMPLETION_TEXTS = frozenset({"llm.prompts.0.prompt.text", "llm.choices.0.completion.text"})
"""Kept of the indexed names where a completion is one: OpenObserve's page of vLLM promises the two columns."""

FORBIDDEN_PREFIXES = ("gen_ai.prompt", "gen_ai.completion")
"""The server deletes every name that begins so, and lets it replace the messages."""


def is_llm_span(attributes: Mapping[str, Any]) -> bool:
    """True for the span of one call to a model: OpenInference's or, by their operation, the GenAI conventions'."""
    kind = attributes.get("openinference.span.kind")
    if isinstance(kind, str):
        return kind in OBSERVATION_TYPES
    operation = attributes.get("gen_ai.operation.name")
    return isinstance(operation, str) and operation in LLM_OPERATIONS


def apply(record: SpanRecord, facts: Optional[CallFacts] = None) -> SpanRecord:
    """Fill in the columns of an LLM span, in place; any other span only learns its conversation."""
    attributes = record.attributes
    _conversation(attributes)
    if facts is not None and facts.request is not None and CUT_BYTES in attributes:
        facts = facts._replace(request=None)  # too long for a row: what the span's attributes hold of it has been cut
    api = None if facts is None else facts.api
    if api is not None:
        record.name, attributes["openinference.span.kind"] = api.span_name, api.kind
    elif not is_llm_span(attributes):
        return record
    answer = (facts.answer if facts is not None else None) or _response_body(attributes)
    work = Work(
        record,
        attributes,
        facts or CallFacts(),
        _request_parameters(attributes) if facts is None or facts.request is None else bodies.parameters(facts.request),
        answer,
        usage_of(answer),
    )
    if work.facts.failed:
        record.status_code = STATUS_ERROR  # also where the client took the answer for one: the answer says better
    for stage in STAGES:
        try:
            stage(work)
        except Exception:  # noqa: BLE001 - what one cannot fill in is not the others' loss
            diagnostics.swallowed("columns")
    kept = COMPLETION_TEXTS if attributes.get("gen_ai.operation.name") == "text_completion" else ()
    for key in list(filter(_is_left_out, attributes)):
        if key not in kept:
            del attributes[key]
    return record


@functools.lru_cache(maxsize=1024)
def _is_left_out(key: str) -> bool:
    """The same names come with every span."""
    return key.startswith(INDEXED_PREFIXES + FORBIDDEN_PREFIXES)


def _conversation(attributes: Dict[str, Any]) -> None:
    """The server's session pages group by ``gen_ai.conversation.id`` and derive it for LLM spans only."""
    session = attributes.get("session.id") or attributes.get("gen_ai.conversation.id")
    if session:
        attributes.setdefault("session.id", session)
        attributes.setdefault("gen_ai.conversation.id", session)


def _course(work: Work) -> None:
    """What was seen beneath the instrumentation: who served the call, its retries, the pace of its stream."""
    record, attributes, facts = work.record, work.attributes, work.facts
    for name, value in facts.attributes.items():
        attributes.setdefault(name, value)
    record.events.extend(facts.events)
    if facts.ended is not None and record.start_time_unix_nano < facts.ended < record.end_time_unix_nano:
        record.end_time_unix_nano = facts.ended
    if facts.last_attempt is not None and facts.last_attempt < record.end_time_unix_nano:
        attributes["hf.last_attempt.duration"] = (record.end_time_unix_nano - facts.last_attempt) / 1e9
    first_chunk = attributes.get("gen_ai.response.time_to_first_chunk")
    if isinstance(first_chunk, (int, float)):
        # The server's page reads its time to first token from this name alone, spelled so, in microseconds of the epoch.
        attributes["gen_ai_completion_start_time"] = int(record.start_time_unix_nano / 1e3 + first_chunk * 1e6)


def _identity(work: Work) -> None:
    """What kind of call this is, and where it went."""
    attributes, facts = work.attributes, work.facts
    kind = attributes.get("openinference.span.kind")
    operation = attributes.get("gen_ai.operation.name")
    if facts.api is not None:
        operation = facts.api.operation
    elif not isinstance(operation, str) or not operation:
        operation = OPERATIONS.get(work.record.name) or ("embeddings" if kind == "EMBEDDING" else "chat")
    if not isinstance(kind, str):
        kind = attributes["openinference.span.kind"] = "EMBEDDING" if operation == "embeddings" else "LLM"
    attributes["gen_ai.operation.name"] = operation
    attributes["llm.observation.type"] = OBSERVATION_TYPES.get(kind, kind)
    if facts.host:
        attributes.setdefault("server.address", facts.host)
        if facts.port:
            attributes.setdefault("server.port", facts.port)
    named = attributes.get("gen_ai.provider.name") or attributes.get("gen_ai.system")
    system = attributes.setdefault("llm.system", named or "openai")
    if "hf.provider.served" in attributes:  # only Hugging Face's router names one, whatever host stands in front of it
        named = "huggingface"
    host = str(attributes.get("server.address") or "")
    attributes["gen_ai.provider.name"] = provider_name(host, named or system)
    known = providers.of_host(host)
    offered_by = known.llm if known is not None else attributes.get("hf.endpoint.gateway")
    if offered_by:
        attributes.setdefault("llm.provider", offered_by)
    # The server draws a node for what a CLIENT span calls, and none for OpenInference's INTERNAL.
    work.record.kind = KIND_CLIENT


def provider_name(host: str, otherwise: str = "openai") -> str:
    """``gen_ai.provider.name``: ``huggingface`` for its hosts, a provider's for its own, else the API's, as the conventions ask.

    otherwise: what the span says. ``openai`` is what instrumentations say of every host.
    """
    for domain in ("huggingface.co", "huggingface.cloud", "hf.co"):
        if host == domain or host.endswith("." + domain):
            return "huggingface"
    known = providers.of_host(host) if otherwise == "openai" else None
    return otherwise if known is None else known.name


_NAMING = frozenset(("user", "safety_identifier", "metadata", "conversation"))
"""Members of a request that say whose it is. ``prompt_cache_key`` does not: all users of a prompt share it."""


def _asker(work: Work) -> None:
    """Whose call it is, where the request alone says so: what its span and its context say has come before."""
    attributes, request = work.attributes, work.request
    if not _NAMING.isdisjoint(request):
        metadata, conversation_of = request.get("metadata"), request.get("conversation")
        metadata = metadata if isinstance(metadata, dict) else {}
        user = request.get("user") or request.get("safety_identifier") or metadata.get("user_id")
        if "user.id" not in attributes and _is_id(user):
            attributes["user.id"] = str(user)
        if isinstance(conversation_of, dict):
            conversation_of = conversation_of.get("id")
        session = metadata.get("session_id") or conversation_of
        if "session.id" not in attributes and _is_id(session):
            attributes["session.id"] = str(session)
    _conversation(attributes)


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and 0 < len(str(value)) <= LONGEST_ID


def _models(work: Work) -> None:
    """The requested and the resolved model stay two things; the latter is absent on a failed call."""
    attributes = work.attributes
    requested = work.facts.model or work.request.get("model") or attributes.get("gen_ai.request.model")
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
    ("top_k", "gen_ai.request.top_k"),
    ("dimensions", "gen_ai.embeddings.dimension.count"),
    ("max_new_tokens", "gen_ai.request.max_tokens"),
    ("max_output_tokens", "gen_ai.request.max_tokens"),
    ("max_completion_tokens", "gen_ai.request.max_tokens"),
    ("max_tokens", "gen_ai.request.max_tokens"),
)

_REQUEST_LABELS = (
    (("reasoning_effort",), "gen_ai.request.reasoning.level"),
    (("reasoning", "effort"), "gen_ai.request.reasoning.level"),
    (("previous_response_id",), "gen_ai.request.previous_response.id"),
    (("service_tier",), "openai.request.service_tier"),
)

_LESS_COMMON = frozenset(
    {*(path[0] for path, _ in _REQUEST_LABELS), "encoding_format", "response_format", "text", "modalities"}
)
"""Members of a request of which most have none."""

_OUTPUT_TYPES = {"text": "text", "json_object": "json", "json_schema": "json", "json": "json"}
"""``gen_ai.output.type`` by the type of the request's format: OpenAI's names and Text Generation Inference's."""


def _parameters(work: Work) -> None:
    """The sampling parameters under their conventional names. Only what was sent: defaults are not invented."""
    for parameter, name in _REQUEST_PARAMETERS:
        value = work.request.get(parameter)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            work.attributes[name] = value
    # Text generation's own name of the same limit.
    max_tokens = work.request.get("max_tokens", work.request.get("max_new_tokens", work.facts.max_tokens))
    if max_tokens is None and not work.request:  # a span of the GenAI conventions
        max_tokens = work.attributes.get("gen_ai.request.max_tokens")
    if isinstance(max_tokens, (int, str)):
        work.attributes["llm.request.parameters.max_tokens"] = max_tokens
        work.attributes.setdefault("gen_ai.request.max_tokens", max_tokens)
    stop = work.request.get("stop")
    if isinstance(stop, str):
        stop = [stop]
    if isinstance(stop, list) and stop:
        work.attributes["gen_ai.request.stop_sequences"] = [str(sequence) for sequence in stop]
    if work.request.get("stream") is True:
        work.attributes["gen_ai.request.stream"] = True
    if not _LESS_COMMON.isdisjoint(work.request):
        _less_common_parameters(work)


def _less_common_parameters(work: Work) -> None:
    for path, name in _REQUEST_LABELS:
        label = at(work.request, path)
        if label and isinstance(label, str):
            work.attributes[name] = label
    encoding = work.request.get("encoding_format")
    if encoding and isinstance(encoding, str):
        work.attributes["gen_ai.request.encoding_formats"] = [encoding]
    asked = at(work.request, ("response_format", "type")) or at(work.request, ("text", "format", "type"))
    output = _OUTPUT_TYPES.get(asked) if isinstance(asked, str) else None
    modalities = work.request.get("modalities")
    if isinstance(modalities, (list, tuple)) and "audio" in modalities:
        output = "speech"
    if output is not None:
        work.attributes["gen_ai.output.type"] = output


_GENAI_USAGE = {
    "prompt": ("gen_ai.usage.input_tokens", "llm.usage.tokens.input"),
    "completion": ("gen_ai.usage.output_tokens", "llm.usage.tokens.output"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.tokens.total"),
    "prompt_details.cache_read": ("gen_ai.usage.cache_read.input_tokens",),
    "prompt_details.cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",  # the older name, which the server knows
    ),
    "prompt_details.audio": ("gen_ai.usage.audio.input_tokens",),
    "prompt_details.image": ("gen_ai.usage.image.input_tokens",),
    "prompt_details.text": ("gen_ai.usage.text.input_tokens",),
    "completion_details.reasoning": ("gen_ai.usage.reasoning.output_tokens",),
    "completion_details.audio": ("gen_ai.usage.audio.output_tokens",),
    "completion_details.image": ("gen_ai.usage.image.output_tokens",),
    "completion_details.text": ("gen_ai.usage.text.output_tokens",),
}

_USAGE_ATTRIBUTES = {name: ("llm.token_count." + name, *_GENAI_USAGE[name]) for name in USAGE_PATHS}

_MOST_DOLLARS = 1e9


def _usage(work: Work) -> None:
    """Token counts under all their names. None where the answer carried no usage; zeros on a failed call.

    The zeros keep the server from estimating tokens, and a price, for a call that cost nothing.
    """
    attributes = work.attributes
    counts = _counts(work)
    attributes.update(_told_cost(work.usage))
    if not counts:
        if not _failed(work):
            return
        counts = {"prompt": 0, "completion": 0, "total": 0}
        for name in (COST, COST + ".input", COST + ".output"):
            attributes.setdefault(name, 0.0)
    else:
        if "prompt" in counts:  # an answer that counts only what it generated says nothing of the rest
            counts.setdefault("total", counts["prompt"] + counts.setdefault("completion", 0))
            counts.setdefault("prompt_details.cache_read", 0)
        counts.setdefault("completion_details.reasoning", 0)
    for name, count in counts.items():
        attributes["llm.token_count." + name] = count
        for genai_name in _GENAI_USAGE[name]:
            attributes[genai_name] = count


def _told_cost(usage: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """The cost that the answer itself tells, in dollars. Any other is computed where the call is sent: ``row.cost``."""
    amount = None if usage is None else usage.get("estimated_cost")
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < _MOST_DOLLARS:
        return {}
    return {
        COST: float(amount),
        LLM_COST: float(amount),
        COST + ".amount": float(amount),
        COST + ".currency": "USD",
        COST + ".source": "provider",
    }


def _counts(work: Work) -> Dict[str, int]:
    counts = counts_of(work.usage)
    for name, sources in _USAGE_ATTRIBUTES.items():
        for source in sources:
            count = work.attributes.get(source)
            # A count of zero that the instrumentor derived from a missing detail does not outrank the answer's own.
            if isinstance(count, int) and not isinstance(count, bool) and count > counts.get(name, -1):
                counts[name] = count
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
    if facts.message:
        record.status_message = facts.message
    if facts.status_code is not None:
        attributes.setdefault("http.response.status_code", facts.status_code)


def _response_details(work: Work) -> None:
    """Why the model stopped, the answer's id, and the server where the answer itself names it."""
    attributes = work.attributes
    reasons = bodies.finish_reasons(work.response)
    if not reasons and attributes.get("llm.finish_reason"):
        reasons = [str(attributes["llm.finish_reason"])]
    if reasons:
        attributes["gen_ai.response.finish_reasons"] = reasons
    if work.response.get("id"):
        attributes["gen_ai.response.id"] = str(work.response["id"])
    for member in ("service_tier", "system_fingerprint"):
        said = work.response.get(member)
        if said and isinstance(said, str):
            attributes["openai.response." + member] = said
    server = providers.server_of(work.response.get("system_fingerprint"))
    if server is not None:
        attributes.setdefault("hf.endpoint.server", server)
    for name, seconds in server_timings.of_answer(work.response, work.usage).items():
        attributes.setdefault(name, seconds)


def _messages(work: Work) -> None:
    """The conversation as JSON ``[{role, content}]``, the one form that every page of the server renders."""
    attributes, record = work.attributes, work.record
    if attributes["gen_ai.operation.name"] == "embeddings":
        return
    if str(attributes.get("output.value")).startswith("<openai."):
        del attributes["output.value"]  # OpenInference's word for a sound file
    if work.facts.request is not None:
        body = work.facts.request
        sent, tools = bodies.sent(body), bodies.tools(body)
        received = bodies.received(work.response)
    else:
        indexed = conversation.unflatten(attributes)
        # The request is parsed only where the attributes do not say it all: it is the largest text of a long chat.
        parse = record.name == "Response" or "llm.input_messages" not in indexed
        body = json_object(attributes.get("input.value")) if parse else {}
        sent = conversation.sent(attributes, indexed) or bodies.sent(body)
        received = conversation.received(attributes, indexed) or bodies.received(work.response)
        tools = conversation.tools(indexed)
    reasons = attributes.get("gen_ai.response.finish_reasons")
    for message, reason in zip(received, reasons if isinstance(reasons, (list, tuple)) else ()):
        message.setdefault("finish_reason", reason)
    if sent:
        attributes["gen_ai.input.messages"] = as_json(sent)
    if received:
        attributes["gen_ai.output.messages"] = as_json(received)
    if sent or received:
        # Messages as span events (an older convention) would win over ours on the server.
        record.events[:] = [event for event in record.events if not event.name.startswith("gen_ai.")]
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        attributes["gen_ai.system_instructions"] = instructions
    if tools:
        attributes["gen_ai.tool.definitions"] = as_json(tools)


STAGES: Tuple[Callable[[Work], None], ...] = (
    _course,
    _identity,
    _asker,
    _models,
    _parameters,
    _usage,
    _outcome,
    _response_details,
    _messages,
)


def _failed(work: Work) -> bool:
    return work.record.status_code == STATUS_ERROR


def _request_parameters(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of the request. A call that was interrupted may have left only its body behind."""
    parameters = attributes.get("llm.invocation_parameters") or attributes.get("embedding.invocation_parameters")
    return json_object(parameters or (attributes.get("input.value") if "llm.system" in attributes else None))


def _response_body(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, parsed. Not for embeddings with known usage: their vectors are most of the text, and of no use here."""
    if attributes.get("openinference.span.kind") == "EMBEDDING" and "llm.token_count.prompt" in attributes:
        return {}
    return json_object(attributes.get("output.value"))
