"""What the outbox holds, decoded: spans as plain dictionaries, and the columns OpenObserve makes of them.

For the command line and the tests only: it reads protobuf, which the host process never imports.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Dict, Iterable, List, Tuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hf_openobserve.cli import contents

_STATUS = {1: "OK", 2: "ERROR"}

# A span attribute that comes to one of these, or to a resource's column, is stored as `attr_<column>`
# (docs/server-contract.md#collisions).
_RESERVED = frozenset(
    (
        "trace_id",
        "span_id",
        "flags",
        "span_status",
        "span_kind",
        "operation_name",
        "start_time",
        "end_time",
        "duration",
        "service_name",
        "infer_service_name",
        "infer_service_type",
        "infer_service_system",
        "events",
        "links",
        "_timestamp",
    )
)


def read_outbox(directory: str) -> List[Dict[str, Any]]:
    """The spans in every segment of the outbox ``directory``, in the order of their start.

    A span is a dictionary: ``name``, ``trace_id``, ``span_id``, ``parent_span_id`` (lower-case hex; the last one
    empty for a root), ``kind`` (the protocol's number), ``status`` (``OK``, ``ERROR``, ``UNSET``),
    ``status_message``, ``start`` and ``end`` (nanoseconds since the epoch), ``duration_us``, ``scope`` (the name),
    ``attributes``, ``resource``, and ``events``: dictionaries of ``name``, ``time`` (nanoseconds since the epoch) and
    ``attributes``. Attribute values are str, bool, int, float, bytes, list or dict. Raises OSError if a segment
    cannot be read, and protobuf's ``DecodeError`` for a record that is intact and no OTLP.
    """
    spans: List[Dict[str, Any]] = []
    unread = contents.Unread()
    for payload in contents.payloads(directory, 0, unread):
        spans.extend(decode(payload))
    if unread.lines:
        raise OSError("; ".join(unread.lines))
    return sorted(spans, key=lambda span: (span["start"], span["span_id"]))


def decode(payload: bytes) -> List[Dict[str, Any]]:
    """The spans of a serialised ``ExportTraceServiceRequest``, as ``read_outbox`` returns them."""
    spans: List[Dict[str, Any]] = []
    for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            spans.extend(_span(span, scope_spans.scope.name, resource) for span in scope_spans.spans)
    return spans


def columns(span: Dict[str, Any]) -> Dict[str, str]:
    """One span as OpenObserve stores it: column -> value, all text (docs/server-contract.md#columns).

    Without what the server adds to them or takes away (``gen_ai_*``, ``flags``, times of ingestion), and without links.
    """
    row: Dict[str, str] = {}
    for key, value in span["resource"].items():
        column = "service_name" if key == "service.name" else "service_" + _column(key)
        if column in _RESERVED and key != "service.name":
            column = "service_attr_" + _column(key)
        row.update(_flat(column, value))
    taken = _RESERVED | frozenset(row)
    for key, value in span["attributes"].items():
        column = _column(key)
        row.update(_flat("attr_" + column if column in taken else column, value))
    row.update(
        {
            "trace_id": span["trace_id"],
            "span_id": span["span_id"],
            "span_kind": str(span["kind"]),
            "span_status": span["status"],
            "status_message": span["status_message"],
            "operation_name": span["name"],
            "start_time": str(span["start"]),
            "end_time": str(span["end"]),
            "duration": str(span["duration_us"]),
            "_timestamp": str(span["start"] // 1000),
            "events": _json([_event(event) for event in span["events"]]),
        }
    )
    if span["parent_span_id"]:
        row["reference_parent_span_id"] = span["parent_span_id"]
        row["reference_parent_trace_id"] = span["trace_id"]
        row["reference_ref_type"] = "ChildOf"
    return row


def _span(span: Any, scope: str, resource: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "name": span.name,
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "kind": int(span.kind),
        "status": _STATUS.get(span.status.code, "UNSET"),
        "status_message": span.status.message,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "duration_us": (span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        "scope": scope,
        "attributes": _attributes(span.attributes),
        "events": [
            {"name": event.name, "time": event.time_unix_nano, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "resource": resource,
    }


def _attributes(pairs: Iterable[Any]) -> Dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)


def _column(key: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", re.sub(r"[A-Z]", lambda letter: letter.group().lower(), key))


def _flat(column: str, value: Any) -> Dict[str, str]:
    return dict(_leaves(column, _as_text(value)))


def _leaves(column: str, value: Any) -> Iterable[Tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(column + "_" + _column(key), inner)
    elif isinstance(value, list):
        if value:
            yield column, _json(value)
    elif value is not None:
        yield column, value


def _as_text(value: Any) -> Any:
    """Numbers and booleans become text before anything else, in arrays too; None stays, to be left out."""
    if isinstance(value, dict):
        return {key: _as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number(value)
    return value


def _number(value: float) -> str:
    """As the server, a Rust program, prints a number: no exponent, no ``.0``."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    text = format(Decimal(repr(value)), "f")
    return text[:-2] if text.endswith(".0") else text


def _event(event: Dict[str, Any]) -> Dict[str, Any]:
    inlined = {"name": event["name"], "_timestamp": event["time"]}
    inlined.update(_as_text(event["attributes"]))
    return inlined


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
