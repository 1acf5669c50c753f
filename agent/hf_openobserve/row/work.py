"""What the stages of a row are given: what is known of a call, and its span under work."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.row.record import STATUS_ERROR, EventRecord, SpanRecord
from hf_openobserve.wire.apis import Api


class CallFacts(NamedTuple):
    """What was seen of a call beside its span.

    ``host`` and ``port`` are the server's, times nanoseconds since the epoch.
    """

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
    described: Mapping[str, Any] = MappingProxyType({})
    """What the span would say of request and answer, if others than us read it: under OpenInference's names."""
    api: Optional[Api] = None
    """OpenAI's API that was called, if it is one of those."""
    request: Optional[Mapping[str, Any]] = None
    """The request's body; None where it is not known."""
    sent_as_json: Optional[str] = None
    """Its messages as a row has them, where that is known."""
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

    @property
    def failed(self) -> bool:
        """Whether the call is one that failed."""
        return self.record.status_code == STATUS_ERROR
