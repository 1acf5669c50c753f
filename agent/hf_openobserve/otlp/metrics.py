"""Points to one serialised ``ExportMetricsServiceRequest``, without protobuf: as ``encode`` has it for spans."""

from __future__ import annotations

import struct
from typing import List, Tuple

from hf_openobserve.metrics.aggregation import Collected, Point
from hf_openobserve.metrics.calls import Labels
from hf_openobserve.metrics.instruments import Instrument
from hf_openobserve.otlp.encode import append_attributes, append_message, resource_fields, scope_fields, text_field
from hf_openobserve.row.record import ResourceRecord, ScopeRecord

_DELTA, _CUMULATIVE = b"\x10\x01", b"\x10\x02"
"""Field 2 of Sum and of Histogram: AggregationTemporality."""
_MONOTONIC = b"\x18\x01"


def encode(collected: Collected, resource: ResourceRecord, scope: ScopeRecord) -> bytes:
    """One ResourceMetrics with one ScopeMetrics: several such payloads one after the other are one valid request."""
    temporality = _DELTA if collected.is_delta else _CUMULATIVE
    times = struct.pack("<BQBQ", 0x11, collected.start_unix_nano, 0x19, collected.time_unix_nano)
    in_scope: List[bytes] = [scope_fields(scope)]
    for instrument, points in collected.points:
        append_message(in_scope, b"\x12", _metric(instrument, points, times, temporality))
    in_resource: List[bytes] = [resource_fields(resource)]
    append_message(in_resource, b"\x12", b"".join(in_scope))
    request: List[bytes] = []
    append_message(request, b"\x0a", b"".join(in_resource))
    return b"".join(request)


def _metric(instrument: Instrument, points: List[Tuple[Labels, Point]], times: bytes, temporality: bytes) -> bytes:
    parts = [
        text_field(b"\x0a", instrument.name),
        text_field(b"\x12", instrument.description),
        text_field(b"\x1a", instrument.unit),
    ]
    data: List[bytes] = []
    if instrument.boundaries:
        bounds = struct.pack(f"<{len(instrument.boundaries)}d", *instrument.boundaries)
        for labels, point in points:
            append_message(data, b"\x0a", _histogram_point(labels, point, times, bounds))
        append_message(parts, b"\x4a", b"".join((*data, temporality)))
    else:
        for labels, point in points:
            append_message(data, b"\x0a", _sum_point(labels, point, times))
        append_message(parts, b"\x3a", b"".join((*data, temporality, _MONOTONIC)))
    return b"".join(parts)


def _sum_point(labels: Labels, point: Point, times: bytes) -> bytes:
    is_whole = isinstance(point.total, int) and point.total < 1 << 63
    value = struct.pack("<Bq", 0x31, point.total) if is_whole else struct.pack("<Bd", 0x21, point.total)
    parts = [times, value]
    append_attributes(parts, b"\x3a", dict(labels))
    return b"".join(parts)


def _histogram_point(labels: Labels, point: Point, times: bytes, bounds: bytes) -> bytes:
    parts = [times, struct.pack("<BQBd", 0x21, point.count, 0x29, point.total)]
    append_message(parts, b"\x32", struct.pack(f"<{len(point.buckets)}Q", *point.buckets))
    append_message(parts, b"\x3a", bounds)
    append_attributes(parts, b"\x4a", dict(labels))
    parts.append(struct.pack("<BdBd", 0x59, point.lowest, 0x61, point.highest))
    return b"".join(parts)
