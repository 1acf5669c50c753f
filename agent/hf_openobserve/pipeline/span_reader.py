"""Between the SDK's ``ReadableSpan`` and our ``SpanRecord``. Only public attributes of the span are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Tuple

from hf_openobserve.process import diagnostics
from hf_openobserve.row.record import EventRecord, LinkRecord, ResourceRecord, ScopeRecord, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

_CACHED = 256
"""Resources and scopes remembered: a process has a handful; beyond this somebody makes them per span."""


class SpanReader:
    """Reads spans; resources and scopes are converted once each, so that the writer encodes them once.

    mask_resource: applied to the attributes of each resource.
    """

    def __init__(self, mask_resource: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._mask_resource = mask_resource
        # The objects are kept with their records, so that an id is not reused while it is a key.
        self._resources: Dict[int, Tuple[Any, ResourceRecord]] = {}
        self._scopes: Dict[int, Tuple[Any, ScopeRecord]] = {}

    def read(self, span: ReadableSpan) -> SpanRecord:
        """The span as plain data, with dictionaries of its own."""
        context = span.get_span_context()
        assert context is not None
        parent = span.parent
        status = span.status
        return SpanRecord(
            trace_id=context.trace_id,
            span_id=context.span_id,
            parent_span_id=parent.span_id if parent is not None else None,
            parent_is_remote=parent is not None and parent.is_remote,
            trace_state=context.trace_state.to_header() if context.trace_state else "",
            name=span.name,
            kind=span.kind.value + 1,  # the API counts from 0, the protocol from 1
            start_time_unix_nano=span.start_time or 0,
            end_time_unix_nano=span.end_time or 0,
            attributes=_copied(span.attributes),
            events=[
                EventRecord(event.name, event.timestamp, dict(event.attributes or {}), event.dropped_attributes)
                for event in span.events
            ],
            links=[
                LinkRecord(
                    link.context.trace_id,
                    link.context.span_id,
                    dict(link.attributes or {}),
                    link.dropped_attributes,
                    link.context.is_remote,
                )
                for link in span.links
            ],
            status_code=status.status_code.value,
            status_message=status.description or "",
            dropped_attributes_count=span.dropped_attributes,
            dropped_events_count=span.dropped_events,
            dropped_links_count=span.dropped_links,
            resource=self._resource(span.resource),
            scope=self._scope(span.instrumentation_scope),
        )

    def _resource(self, resource: Any) -> ResourceRecord:
        known = self._resources.get(id(resource))
        if known is None:
            record = ResourceRecord(self._mask_resource(dict(resource.attributes)), resource.schema_url or "")
            known = _remember(self._resources, resource, record)
        return known[1]

    def _scope(self, scope: Any) -> ScopeRecord:
        known = self._scopes.get(id(scope))
        if known is None:
            record = (
                ScopeRecord()
                if scope is None
                else ScopeRecord(scope.name, scope.version or "", dict(scope.attributes or {}), scope.schema_url or "")
            )
            known = _remember(self._scopes, scope, record)
        return known[1]


def _copied(attributes: Any) -> Dict[str, Any]:
    """A dictionary of our own.

    ``copy`` of the SDK's mapping copies its dictionary: half the cost of reading it item by item.
    """
    try:
        copied = attributes.copy()
    except Exception:  # noqa: BLE001 - None, or a mapping of another kind
        diagnostics.pass_the_programs_own()
        copied = None
    return copied if type(copied) is dict else dict(attributes or {})


def _remember(cache: Dict[int, Tuple[Any, Any]], key: Any, record: Any) -> Tuple[Any, Any]:
    if len(cache) >= _CACHED:
        cache.clear()
    entry = (key, record)
    cache[id(key)] = entry
    return entry
