"""A finished span as plain data: what the pure stages read and write, and what the outbox encodes.

Nothing here knows the SDK, so the stages after it are tested as tables. The fields are those of
``opentelemetry.proto.trace.v1.Span``; numbers are the protocol's own.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

KIND_INTERNAL = 1
KIND_SERVER = 2
KIND_CLIENT = 3
KIND_PRODUCER = 4
KIND_CONSUMER = 5

STATUS_UNSET = 0
STATUS_OK = 1
STATUS_ERROR = 2

CUT_BYTES = "hf.outbox.cut_bytes"
"""Attribute on a shortened span: how many bytes of its texts are gone."""


class EventRecord(NamedTuple):
    """One span event; ``time_unix_nano`` is nanoseconds since the epoch."""

    name: str
    time_unix_nano: int
    attributes: Mapping[str, Any]
    dropped_attributes_count: int = 0


class LinkRecord(NamedTuple):
    """One link to another span."""

    trace_id: int
    span_id: int
    attributes: Mapping[str, Any]
    dropped_attributes_count: int = 0
    is_remote: bool = False


class ResourceRecord:
    """The resource of one provider. ``encoded`` is the writer's cache: one object per provider, encoded once."""

    __slots__ = ("attributes", "encoded", "schema_url")

    def __init__(self, attributes: Mapping[str, Any], schema_url: str = "") -> None:
        self.attributes = attributes
        self.schema_url = schema_url
        self.encoded: Optional[bytes] = None


class ScopeRecord:
    """The instrumentation scope of one tracer. ``encoded`` is the writer's cache, as in ``ResourceRecord``."""

    __slots__ = ("attributes", "encoded", "name", "schema_url", "version")

    def __init__(
        self, name: str = "", version: str = "", attributes: Optional[Mapping[str, Any]] = None, schema_url: str = ""
    ) -> None:
        self.name = name
        self.version = version
        self.attributes = attributes or {}
        self.schema_url = schema_url
        self.encoded: Optional[bytes] = None


class SpanRecord:
    """One finished span. Stages change it in place and return it; it is never shared between threads.

    ``attributes`` and the attributes of events are dictionaries of the record's own: a stage may write to them
    without touching what the application's processors see.
    """

    __slots__ = (
        "attributes",
        "dropped_attributes_count",
        "dropped_events_count",
        "dropped_links_count",
        "end_time_unix_nano",
        "events",
        "kind",
        "links",
        "name",
        "parent_is_remote",
        "parent_span_id",
        "resource",
        "scope",
        "span_id",
        "start_time_unix_nano",
        "status_code",
        "status_message",
        "trace_id",
        "trace_state",
    )

    def __init__(
        self,
        *,
        trace_id: int,
        span_id: int,
        name: str,
        start_time_unix_nano: int,
        end_time_unix_nano: int,
        resource: ResourceRecord,
        scope: ScopeRecord,
        parent_span_id: Optional[int] = None,
        parent_is_remote: bool = False,
        trace_state: str = "",
        kind: int = KIND_INTERNAL,
        attributes: Optional[Dict[str, Any]] = None,
        events: Optional[List[EventRecord]] = None,
        links: Optional[List[LinkRecord]] = None,
        status_code: int = STATUS_UNSET,
        status_message: str = "",
        dropped_attributes_count: int = 0,
        dropped_events_count: int = 0,
        dropped_links_count: int = 0,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.parent_is_remote = parent_is_remote
        self.trace_state = trace_state
        self.name = name
        self.kind = kind
        self.start_time_unix_nano = start_time_unix_nano
        self.end_time_unix_nano = end_time_unix_nano
        self.attributes = attributes if attributes is not None else {}
        self.events = events if events is not None else []
        self.links = links if links is not None else []
        self.status_code = status_code
        self.status_message = status_message
        self.dropped_attributes_count = dropped_attributes_count
        self.dropped_events_count = dropped_events_count
        self.dropped_links_count = dropped_links_count
        self.resource = resource
        self.scope = scope
