"""From what the instrumentation says of a call to the columns OpenObserve shows.

Pure: a finished span in, the same out.

``STAGES`` is the whole program: each stage takes the call under work and fills in attributes. The promised columns
stand in the README; the GenAI names are OpenTelemetry's semantic conventions, the ``llm.*`` ones OpenInference's and
the six that servers from 0.91 on no longer derive themselves. Sent for such a server; for an older one the sender takes
``llm.usage.tokens.*`` out again.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from hf_openobserve.process import diagnostics
from hf_openobserve.row import conversation
from hf_openobserve.row.conversation import json_object
from hf_openobserve.row.parameters import parameters
from hf_openobserve.row.record import (
    CUT_BYTES,
    KIND_CLIENT,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    SpanRecord,
)
from hf_openobserve.row.usage import usage
from hf_openobserve.row.work import CallFacts, Work
from hf_openobserve.wire import bodies, providers, server_timings
from hf_openobserve.wire.apis import APIS
from hf_openobserve.wire.bodies import as_json
from hf_openobserve.wire.usage import usage_of

Stage = Callable[[Work], None]

OPERATIONS = {
    **{api.span_name: api.operation for api in APIS.values()},
    "CreateEmbeddingResponse": "embeddings",
    "ImagesResponse": "generate_content",
    "Transcription": "generate_content",
}
"""``gen_ai.operation.name`` by the span's name, ours or OpenInference's, which is the response's class."""

OBSERVATION_TYPES = {"LLM": "GENERATION", "EMBEDDING": "EMBEDDING"}
"""``llm.observation.type`` as servers before 0.91 derived it, by ``openinference.span.kind``, of calls that count
tokens.
"""

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


def complete(record: SpanRecord, facts: CallFacts) -> None:
    """Give a record what its span does not say where nobody but us reads it, in place: content, and that it failed."""
    record.attributes.update(facts.described)
    if facts.failed:
        record.status_code = STATUS_ERROR  # also where the client took the answer for one: the answer says better


def apply(record: SpanRecord, facts: Optional[CallFacts] = None) -> SpanRecord:
    """Fill in the columns of an LLM span, in place; any other span only learns its conversation."""
    attributes = record.attributes
    _conversation(attributes)
    if facts is not None and facts.request is not None and CUT_BYTES in attributes:
        facts = facts._replace(
            request=None, sent_as_json=None
        )  # too long for a row: what the span's attributes hold of it has been cut
    api = None if facts is None else facts.api
    if api is not None:
        record.name, attributes["openinference.span.kind"] = api.span_name, api.kind
    elif not is_llm_span(attributes):
        return record if facts is None else _filled(_OF_ANY_CALL, Work(record, attributes, facts, {}, {}, None))
    answer = (facts.answer if facts is not None else None) or _response_body(attributes)
    work = Work(
        record,
        attributes,
        facts or CallFacts(),
        _request_parameters(attributes) if facts is None or facts.request is None else bodies.parameters(facts.request),
        answer,
        usage_of(answer),
    )
    _filled(STAGES, work)
    kept = COMPLETION_TEXTS if attributes.get("gen_ai.operation.name") == "text_completion" else ()
    for key in list(filter(_is_left_out, attributes)):
        if key not in kept:
            del attributes[key]
    return record


def _filled(stages: Tuple[Stage, ...], work: Work) -> SpanRecord:
    if work.facts.failed:
        work.record.status_code = STATUS_ERROR
    for stage in stages:
        try:
            stage(work)
        except Exception:  # noqa: BLE001 - what one cannot fill in is not the others' loss
            diagnostics.swallowed("columns")
    return work.record


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
    if facts.host:
        attributes.setdefault("server.address", facts.host)
        if facts.port:
            attributes.setdefault("server.port", facts.port)
    record.events.extend(facts.events)
    if facts.ended is not None and record.start_time_unix_nano < facts.ended < record.end_time_unix_nano:
        record.end_time_unix_nano = facts.ended
    if facts.last_attempt is not None and facts.last_attempt < record.end_time_unix_nano:
        attributes["hf.last_attempt.duration"] = (record.end_time_unix_nano - facts.last_attempt) / 1e9
    first_chunk = attributes.get("gen_ai.response.time_to_first_chunk")
    if isinstance(first_chunk, (int, float)):
        # The server's page reads its time to first token from this name alone, spelled so, in microseconds of the
        # epoch.
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
    """``gen_ai.provider.name``: ``huggingface`` for its hosts, a provider's for its own, else the API's.

    That is what the conventions ask.
    otherwise: what the span says. ``openai`` is what instrumentations say of every host.
    """
    for domain in ("huggingface.co", "huggingface.cloud", "hf.co"):
        if host == domain or host.endswith("." + domain):
            return "huggingface"
    known = providers.of_host(host) if otherwise == "openai" else None
    return otherwise if known is None else known.name


_NAMING = frozenset(("user", "safety_identifier", "metadata", "conversation", "prompt_cache_key"))
"""Members of a request that say whose it is. ``prompt_cache_key`` comes last: clients take the session's id for it, and
some one key for all users of a prompt.
"""


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
        session = metadata.get("session_id") or conversation_of or request.get("prompt_cache_key")
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
    if work.failed and not work.response:
        return
    resolved = (
        attributes.get("llm.model_name")
        or attributes.get("embedding.model_name")
        or work.response.get("model")
        or attributes.get("gen_ai.response.model")
    )
    if resolved:
        attributes["llm.model_name"] = attributes["gen_ai.response.model"] = str(resolved)


def _outcome(work: Work) -> None:
    """OK is said, not left unset: a stream that the program leaves early ended well. Errors name their type."""
    record, attributes, facts = work.record, work.attributes, work.facts
    if record.status_code == STATUS_UNSET:
        record.status_code = STATUS_OK
    if not work.failed:
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
    asked = work.facts.sent_as_json
    if work.facts.request is not None:
        body = work.facts.request
        sent, tools = [] if asked else bodies.sent(body), bodies.tools(body)
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
    if sent or asked:
        attributes["gen_ai.input.messages"] = asked or as_json(sent)
    if received:
        attributes["gen_ai.output.messages"] = as_json(received)
    if sent or asked or received:
        # Messages as span events (an older convention) would win over ours on the server.
        record.events[:] = [event for event in record.events if not event.name.startswith("gen_ai.")]
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        attributes["gen_ai.system_instructions"] = instructions
    if tools:
        attributes["gen_ai.tool.definitions"] = as_json(tools)


STAGES: Tuple[Stage, ...] = (
    _course,
    _identity,
    _asker,
    _models,
    parameters,
    usage,
    _outcome,
    _response_details,
    _messages,
)

_OF_ANY_CALL: Tuple[Stage, ...] = (_course, _outcome)
"""Of a call that is none of a language model's: huggingface_hub's other tasks."""


def _request_parameters(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of the request. A call that was interrupted may have left only its body behind."""
    parameters = attributes.get("llm.invocation_parameters") or attributes.get("embedding.invocation_parameters")
    return json_object(parameters or (attributes.get("input.value") if "llm.system" in attributes else None))


def _response_body(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, parsed.

    Not for embeddings with known usage: their vectors are most of the text, and of no use here.
    """
    if attributes.get("openinference.span.kind") == "EMBEDDING" and "llm.token_count.prompt" in attributes:
        return {}
    return json_object(attributes.get("output.value"))
