"""From OTLP spans to stored records: who is let in, and what columns a span becomes (contract sections 1.4 and 2)."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, Dict, Iterable, List, NamedTuple, Optional
from urllib.parse import urlsplit

from . import llm
from .organization import Objects
from .personality import Personality
from .streams import Record, number_text

_STATUS = {1: "OK", 2: "ERROR"}
_KIND_CLIENT, _KIND_PRODUCER = 3, 4

DAY_US = 24 * 3600 * 1000000


class Batch(NamedTuple):
    """What one request comes to.

    ``collisions``: one sentence for each column whose winner is random on a real server.
    """

    records: List[Record]
    rejected: int
    has_llm_spans: bool
    collisions: List[str]


def stream_name(header: Optional[str]) -> str:
    """1.1 "Stream header": default ``default``; runs of other characters become ``_``, then lower case."""
    return re.sub(r"[^a-zA-Z0-9_:]+", "_", header or "default").lower()


def build(
    message: Any, stream: str, personality: Personality, now_us: int, allowed_upto_us: int, prices: Objects
) -> Batch:
    """Records of all spans of one ``ExportTraceServiceRequest`` accepted at ``now_us`` (epoch microseconds)."""
    records: List[Record] = []
    collisions: List[str] = []
    rejected = 0
    has_llm_spans = False
    # Section 2: the name of a resource without service.name is that of the resource before it, else the stream's.
    service_name = stream
    for resource_spans in message.resource_spans:
        resource = attributes_of(resource_spans.resource.attributes)
        if "service.name" in resource:
            service_name = _as_text(resource["service.name"])
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if not _is_accepted(span, now_us, allowed_upto_us):
                    rejected += 1
                    continue
                attributes = attributes_of(span.attributes)
                is_llm = llm.enrich(
                    attributes,
                    resource,
                    scope_spans.scope.name,
                    [dict(attributes_of(event.attributes), name=event.name) for event in span.events],
                    personality=personality,
                    prices=prices,
                    collisions=collisions,
                )
                has_llm_spans = has_llm_spans or is_llm
                record = _record(
                    span, attributes, resource, service_name, personality=personality, collisions=collisions
                )
                if personality.stamps_arrival:
                    record["_o2_ingest_ts"] = now_us
                records.append(record)
    return Batch(records, rejected, has_llm_spans, collisions)


def attributes_of(pairs: Iterable[Any]) -> Dict[str, Any]:
    """Attributes under their keys as sent. Of a repeated key the last value stands."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: Any) -> Any:
    """One AnyValue as str, list, dict or None: numbers and booleans are text before anything else (section 0.1)."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind in ("int_value", "double_value"):
        return number_text(getattr(value, kind))
    if kind == "bytes_value":
        try:
            return value.bytes_value.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return None


def normalised(key: str) -> str:
    """Section 2, "Keys": upper case to lower, everything outside ``[a-z0-9_]`` to ``_``."""
    return re.sub(r"[^a-z0-9_]", "_", re.sub(r"[A-Z]", lambda letter: letter.group().lower(), key))


def _is_accepted(span: Any, now_us: int, allowed_upto_us: int) -> bool:
    # 1.3 "bad id length". Of parents and links the contract says so for JSON only; a wrong length is wrong here too.
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or len(span.parent_span_id) not in (0, 8):
        return False
    if any(len(link.trace_id) != 16 or len(link.span_id) != 8 for link in span.links):
        return False
    # 1.4: the start alone decides.
    start_us = span.start_time_unix_nano // 1000
    return now_us - allowed_upto_us <= start_us <= now_us + DAY_US


def _record(
    span: Any,
    attributes: Dict[str, Any],
    resource: Dict[str, Any],
    service_name: str,
    *,
    personality: Personality,
    collisions: List[str],
) -> Record:
    columns = _Columns(collisions)
    for key, value in resource.items():
        if key == "service.name":
            continue
        # Section 2, "Collisions": "resource likewise service_attr_".
        column = "service_" + normalised(key)
        columns.flatten("service_attr_" + normalised(key) if column in personality.reserved else column, value, key)
    of_resource = frozenset(columns.row) if personality.derives_gen_ai else frozenset()
    for key, value in attributes.items():
        column = normalised(key)
        columns.flatten("attr_" + column if column in personality.reserved | of_resource else column, value, key)
    llm.normalise_numbers(columns.row, personality)

    for column, value in _fixed(span, service_name, attributes, personality).items():
        taken = columns.row.get(column, value)
        if taken != value and column not in ("status_code", "status_message"):
            collisions.append(f"column {column} belongs to the server and to an attribute ({taken!r})")
            # Not protected (before 0.91): the attribute wins here, because that is the outcome that hurts.
            if not personality.derives_gen_ai:
                continue
        columns.row[column] = value
    return columns.row


def _fixed(span: Any, service_name: str, attributes: Dict[str, Any], personality: Personality) -> Record:
    trace_id = span.trace_id.hex()
    fixed: Record = {
        "trace_id": trace_id,
        "span_id": span.span_id.hex(),
        "flags": 1,
        # An absent status reads as 0: UNSET.
        "span_status": _STATUS.get(span.status.code, "UNSET"),
        "span_kind": str(span.kind),
        "operation_name": span.name,
        "start_time": span.start_time_unix_nano,
        "end_time": span.end_time_unix_nano,
        # 1.4: u64 arithmetic, an end before the start wraps.
        "duration": (span.end_time_unix_nano - span.start_time_unix_nano) % 2**64 // 1000,
        "service_name": service_name,
        "events": _json([_event(event) for event in span.events]),
        "links": _json([_link(link) for link in span.links]),
        "_timestamp": span.start_time_unix_nano // 1000,
        "status_code": span.status.code,
        "status_message": span.status.message,
    }
    if span.parent_span_id:
        fixed["reference_parent_span_id"] = span.parent_span_id.hex()
        fixed["reference_parent_trace_id"] = trace_id
        fixed["reference_ref_type"] = "ChildOf"
    # Section 5: the dependency a CLIENT or PRODUCER span calls.
    if personality.derives_gen_ai and span.kind in (_KIND_CLIENT, _KIND_PRODUCER):
        dependency = _dependency(attributes)
        if dependency:
            fixed["infer_service_name"] = dependency
            fixed["infer_service_type"] = "external"
    return fixed


class _Columns:
    """One record in the making: flattens values into ``row`` and notes where two attributes meet in one column."""

    def __init__(self, collisions: List[str]) -> None:
        self.row: Record = {}
        self._collisions = collisions

    def flatten(self, column: str, value: Any, key: str) -> None:
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                self.flatten(column + "_" + normalised(inner), inner_value, key)
            return
        if isinstance(value, list):
            # Section 2: an array is one JSON string, an empty one nothing.
            value = _json(value) if value else None
        if value is None:
            return
        if self.row.get(column, value) != value:
            self._collisions.append(f"attribute {key} meets another one in column {column}")
        self.row[column] = value


def _event(event: Any) -> Record:
    # Section 2: attributes inlined, their keys not flattened.
    inlined: Record = {"name": event.name, "_timestamp": event.time_unix_nano}
    inlined.update(attributes_of(event.attributes))
    return inlined


def _link(link: Any) -> Record:
    inlined: Record = {
        "context": {
            "traceId": link.trace_id.hex(),
            "spanId": link.span_id.hex(),
            "traceFlags": link.flags & 0xFF,
            "traceState": link.trace_state,
        }
    }
    inlined.update(attributes_of(link.attributes))
    inlined["droppedAttributesCount"] = link.dropped_attributes_count
    return inlined


def _dependency(attributes: Dict[str, Any]) -> Optional[str]:
    if isinstance(attributes.get("peer.service"), str):
        return attributes["peer.service"]
    for key in ("server.address", "net.peer.name", "http.host", "url.full"):
        text = attributes.get(key)
        if not isinstance(text, str) or not text:
            continue
        try:
            host = urlsplit(text if key == "url.full" else "//" + text).hostname
        except ValueError:
            continue
        if host and not _is_address(host):
            return host
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
