"""Metric ingest: one stream for each metric, and several for a histogram (recorded).

Not recorded, and so only plausible: gauges, exponential histograms (not read here) and resource attributes other than
``service.name``.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from . import otlp
from .http import Answer, json_answer
from .organization import METRICS, Organization
from .records import attributes_of, normalised, stream_name
from .routing import Call, Refused, Route, failed
from .streams import Record, Stream, number_text

_TEMPORALITY = (
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
)
_FLAGS = ("DATA_POINT_FLAGS_DO_NOT_USE", "DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK")


class _Series(NamedTuple):
    """Rows of one stream, and what the server says of it: type, help text and unit."""

    name: str
    kind: str
    rows: List[Record]
    family: str
    help: str = ""
    unit: str = ""


def _ingest(call: Call) -> Answer:
    as_json = otlp.is_json(call.request.headers.get("content-type"))
    for resource in _read(call, as_json).resource_metrics:
        labels = _labels(resource.resource.attributes)
        for scope in resource.scope_metrics:
            common = dict(
                labels,
                instrumentation_library_name=scope.scope.name,
                instrumentation_library_version=scope.scope.version,
            )
            for metric in scope.metrics:
                for series in _series(metric, common, call.api.personality.reads_json_metrics or not as_json):
                    _store(call.org, series)
    if as_json:
        return json_answer(200, {"partialSuccess": None})
    return Answer(200, {"content-type": otlp.PROTOBUF}, ExportMetricsServiceResponse().SerializeToString())


def _read(call: Call, as_json: bool) -> Any:
    request = call.request
    try:
        body = otlp.decompress(request.body, request.headers.get("content-encoding", ""), call.api.limits.payload_bytes)
    except otlp.BodyError as error:
        raise Refused(error.answer()) from error
    if not otlp.is_accepted(request.headers.get("content-type")):
        raise Refused(failed(400, "Bad Request"))
    try:
        if as_json:
            return json_format.Parse(body, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
        return ExportMetricsServiceRequest.FromString(body)
    except json_format.ParseError as error:
        raise Refused(failed(400, f"Invalid json: {error}")) from error
    except DecodeError as error:
        raise Refused(failed(400, otlp.protobuf_error(body))) from error


def _store(org: Organization, series: _Series) -> None:
    stream = org.streams[METRICS].setdefault(series.name, Stream(series.name, METRICS))
    stream.metrics_meta = {
        "metric_type": series.kind,
        "metric_family_name": series.family,
        "help": series.help,
        "unit": series.unit,
    }
    stream.append(series.rows)


def _series(metric: Any, common: Record, complete: bool) -> Iterable[_Series]:
    """``complete``: False for what 0.90 makes of JSON: sums without their values, histograms without anything."""
    name, kind = stream_name(metric.name), metric.WhichOneof("data")
    if kind == "histogram":
        yield from _histogram(name, metric, common) if complete else [_Series(name, "Unknown", [], name)]
    elif kind in ("sum", "gauge"):
        data = getattr(metric, kind)
        more = {"is_monotonic": "true" if data.is_monotonic else "false"} if kind == "sum" else {}
        rows = [
            _row(name, point, dict(common, **more), data, _value(point) if complete else None)
            for point in data.data_points
        ]
        counter = kind == "sum" and data.is_monotonic
        yield _Series(name, "Counter" if counter else "Gauge", rows, _quoted(name), metric.description, metric.unit)


def _histogram(name: str, metric: Any, common: Record) -> Iterable[_Series]:
    data = metric.histogram
    # Recorded: the stream of the metric's own name has no rows.
    yield _Series(name, "Histogram", [], _quoted(name), metric.description, metric.unit)
    rows: Dict[str, List[Record]] = {suffix: [] for suffix in ("_bucket", "_count", "_max", "_min", "_sum")}
    for point in data.data_points:
        total = 0
        for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts):
            total += count
            bucket = dict(common, le=number_text(bound))
            rows["_bucket"].append(_row(name + "_bucket", point, bucket, data, total))
        for suffix in ("_count", "_max", "_min", "_sum"):
            rows[suffix].append(_row(name + suffix, point, common, data, getattr(point, suffix[1:])))
    for suffix, found in rows.items():
        kind = "" if suffix in ("_max", "_min") else "Counter"
        yield _Series(name + suffix, kind, found, name + suffix, name + suffix)


def _row(name: str, point: Any, labels: Record, data: Any, value: Optional[float]) -> Record:
    row = dict(labels, **_labels(point.attributes))
    row.update(__name__=name, flag=_FLAGS[min(point.flags, 1)], start_time=str(point.start_time_unix_nano))
    if hasattr(data, "aggregation_temporality"):
        row["aggregation_temporality"] = _TEMPORALITY[data.aggregation_temporality]
    identity = json.dumps(row, sort_keys=True).encode()
    row["__hash__"] = int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "big")
    row["_timestamp"] = point.time_unix_nano // 1000
    if value is not None:
        row["value"] = float(value)
    return row


def _labels(pairs: Any) -> Record:
    texts: List[Tuple[str, Any]] = [(normalised(key), value) for key, value in attributes_of(pairs).items()]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in texts if value is not None}


def _value(point: Any) -> float:
    return float(getattr(point, point.WhichOneof("value") or "as_double"))


def _quoted(name: str) -> str:
    # Recorded: quotes within the text, of the metric's own name only.
    return f'"{name}"'


ROUTES = (Route("POST", r"/api/([^/]+)/(?:v1/metrics|otel/v1/metrics)", _ingest, writes=True),)
