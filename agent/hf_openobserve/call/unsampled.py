"""Calls that the sampler leaves out: no span, no row, and a few numbers, where metrics are made.

A whole answer is looked at as the client has parsed it: that costs a few microseconds. A stream is watched as if it
were recorded, since its usage is in its last chunk.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable, Dict, Mapping, Tuple

from hf_openobserve.call.call import Call
from hf_openobserve.row import columns
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord
from hf_openobserve.wire import errors, routing
from hf_openobserve.wire.apis import api_at

Note = Callable[[Mapping[str, Any], int, int], None]
"""Takes the columns, the start and the end of a call."""

_INPUT, _OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_CACHED, _REASONING = "gen_ai.usage.cache_read.input_tokens", "llm.token_count.completion_details.reasoning"
_RESOURCE, _SCOPE = ResourceRecord({}), ScopeRecord()


def answered(note: Note, url: str, model: Any, result: Any, began: int, operation: str = "") -> None:
    """A whole answer has come, as the client has parsed it. operation: where the address does not tell it."""
    attributes = _of_call(url, model, operation)
    attributes["gen_ai.response.model"] = getattr(result, "model", None)
    # A model of the client's raises for a member that it has not, which takes long: its dictionary does not.
    usage = _members(getattr(result, "usage", None))
    if usage:
        sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
        attributes[_INPUT] = usage.get("input_tokens") if sent is None else sent
        attributes[_OUTPUT] = usage.get("output_tokens") if received is None else received
        details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
        attributes[_CACHED] = _members(details).get("cached_tokens") or 0
        details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
        attributes[_REASONING] = _members(details).get("reasoning_tokens") or 0
    note(attributes, began, time.time_ns())


def failed(note: Note, url: str, model: Any, error: BaseException, began: int, operation: str = "") -> None:
    """The client has raised."""
    failure = errors.describe(error)
    attributes = _of_call(url, model, operation)
    attributes.update(
        {
            "error.type": failure.error_type,
            "hf.error.kind": failure.kind,
            _INPUT: 0,
            _OUTPUT: 0,
        }
    )
    note(attributes, began, time.time_ns())


def ended(note: Note, call: Call, attributes: Dict[str, Any], began: int) -> None:
    """A call that was watched is over. ``attributes`` are those that its span would have."""
    end = call.ended or time.time_ns()
    record = SpanRecord(
        trace_id=0,
        span_id=0,
        name="",
        start_time_unix_nano=began,
        end_time_unix_nano=max(began, end),
        resource=_RESOURCE,
        scope=_SCOPE,
        attributes=attributes,
    )
    record = columns.apply(record, call.facts())
    if columns.is_llm_span(record.attributes):
        note(record.attributes, record.start_time_unix_nano, record.end_time_unix_nano)


def _of_call(url: str, model: Any, operation: str) -> Dict[str, Any]:
    attributes: Dict[str, Any] = dict(_of_address(url))
    attributes["gen_ai.request.model"] = model
    if operation:
        attributes["gen_ai.operation.name"] = operation
    return attributes


@functools.lru_cache(maxsize=256)
def _of_address(url: str) -> Tuple[Tuple[str, Any], ...]:
    """What the address tells: the operation, the provider, the server."""
    known = routing.request_attributes(url=url, model=None, provider=None, headers={}, by_address=True)
    host, port = known.get("server.address"), known.get("server.port")
    api = api_at(url)
    return (
        ("gen_ai.operation.name", "chat" if api is None else api.operation),
        ("gen_ai.provider.name", columns.provider_name(str(host or ""))),
        ("server.address", host),
        ("server.port", port),
    )


def _members(value: Any) -> Mapping[str, Any]:
    return getattr(value, "__dict__", None) or {}
