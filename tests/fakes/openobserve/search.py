"""The search API and the list of latest traces (contract 6.1, recorded)."""

from __future__ import annotations

import re
import uuid
from typing import Any, Dict, List, Tuple

from . import sql
from .http import Answer, json_answer
from .organization import TRACES
from .routing import Call, Route, failed
from .streams import Record
from .streams_api import streams_of_type


def _search(call: Call) -> Answer:
    body = call.json()
    try:
        query = body["query"]
        statement = str(query["sql"])
        start_us, end_us, first, size = (
            int(query.get(key, default))
            for key, default in (("start_time", 0), ("end_time", 0), ("from", 0), ("size", 100))
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return failed(400, f"Invalid json: {error!r}")
    if not 0 < start_us <= end_us:
        # 6.1: "times in microseconds, non-zero".
        return failed(400, "invalid time range")
    statement = sql.with_default_order(sql.without_dashboard_all(statement))
    streams = streams_of_type(call)
    try:
        rows = sql.run(statement, streams, (start_us, end_us))
    except sql.SqlError as error:
        return _refusal(call, error)
    # Recorded: a column without a value is left out.
    hits = [{column: value for column, value in row.items() if value is not None} for row in rows]
    answer: Dict[str, Any] = {
        **_took(),
        "hits": hits[first : first + size],
        "total": len(hits),
        "from": first,
        "size": size,
        "cached_ratio": 0,
        "scan_size": 0,
        "idx_scan_size": 0,
        "scan_records": sum(
            start_us <= row["_timestamp"] < end_us
            for name in sql.tables(statement)
            if name in streams
            for row in streams[name].rows
        ),
        "trace_id": uuid.uuid4().hex,
        "is_partial": False,
        "result_cache_ratio": 0,
        "is_histogram_eligible": True,
        "peak_memory_usage": 0.0,
    }
    if re.search(r"\bhistogram\s*\(", statement, re.IGNORECASE):
        answer["histogram_interval"] = sql.histogram_seconds(end_us - start_us)
    order = sql.order_by(statement)
    if order:
        answer.update(order_by=order[0][1], order_by_metadata=order)
    return json_answer(200, answer)


def _refusal(call: Call, error: sql.SqlError) -> Answer:
    if error.code >= 1000:
        body = {"code": error.code, "message": str(error), "error_detail": error.detail, "trace_id": uuid.uuid4().hex}
        return json_answer(400, body)
    # Recorded: 0.90 answers a query it cannot read with 500.
    return failed(400 if call.api.personality.derives_gen_ai else 500, str(error))


def _took() -> Dict[str, Any]:
    detail = {"total": 1, "cache_took": 0, "file_list_took": 0, "wait_in_queue": 0, "idx_took": 0, "search_took": 1}
    return {"took": 1, "took_detail": detail}


def _latest(call: Call) -> Answer:
    """Traces with spans that begin within the time range and match ``filter``, the latest first."""
    start_us, end_us, first, size = (int(call.query(name) or 0) for name in ("start_time", "end_time", "from", "size"))
    [name] = call.names
    condition = call.query("filter")
    statement = f'SELECT * FROM "{name}"' + (f" WHERE {condition}" if condition else "")
    try:
        spans = sql.run(statement, call.org.streams[TRACES], (start_us, end_us))
    except sql.SqlError as error:
        return _refusal(call, error)
    traces: Dict[str, List[Record]] = {}
    for span in spans:
        row = {column: value for column, value in span.items() if value is not None}
        traces.setdefault(row["trace_id"], []).append(row)
    hits = sorted((_trace(rows) for rows in traces.values()), key=lambda hit: hit["start_time"], reverse=True)
    answer = {"took": 1, "total": len(hits), "from": first, "size": size, "hits": hits[first : first + size]}
    return json_answer(200, dict(answer, trace_id=uuid.uuid4().hex))


def _trace(spans: List[Record]) -> Dict[str, Any]:
    begin = min(spans, key=lambda span: span["start_time"])
    start, end = begin["start_time"], max(span["end_time"] for span in spans)
    services: Dict[str, List[Record]] = {}
    for span in spans:
        services.setdefault(span["service_name"], []).append(span)
    return {
        # Recorded: a signed number here, where the column of the same name is unsigned.
        "duration": (end - start) // 1000,
        "end_time": end,
        "first_event": {"operation_name": begin["operation_name"], "service_name": begin["service_name"]},
        "gen_ai_input_messages": begin.get("gen_ai_input_messages"),
        **{name: sum((span.get(name, 0) for span in spans), zero) for name, zero in _SUMS},
        "models": sorted({span["gen_ai_response_model"] for span in spans if "gen_ai_response_model" in span}),
        "service_name": [
            {"count": len(found), "duration": sum(span["duration"] for span in found), "service_name": name}
            for name, found in services.items()
        ],
        "spans": [len(spans), sum(span["span_status"] == "ERROR" for span in spans)],
        "start_time": start,
        "trace_id": begin["trace_id"],
    }


_SUMS: Tuple[Tuple[str, float], ...] = (
    ("gen_ai_usage_cost", 0.0),
    ("gen_ai_usage_input_tokens", 0),
    ("gen_ai_usage_output_tokens", 0),
    ("gen_ai_usage_total_tokens", 0),
)

ROUTES = (
    Route("POST", r"/api/([^/]+)/_search", _search),
    Route("GET", r"/api/([^/]+)/([^/]+)/traces/latest", _latest),
)
