"""Trace ingest (contract 1.1, 1.3)."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from . import llm, otlp, records
from .http import Answer, json_answer
from .organization import TRACES
from .routing import Call, Route, failed
from .streams import Stream

# 1.3: the same sentence whatever the cause.
REJECTED = "Some spans were rejected due to exceeding the allowed retention period"
_HOUR_US = 3600 * 1000000


def _ingest(call: Call) -> Answer:
    request, limits, personality = call.request, call.api.limits, call.api.personality
    if request.fault is not None:
        return request.fault
    # 1.1 "Org header": it overrides the organization that the credentials were checked against.
    org = call.api.organization(request.headers.get("organization") or call.org.name)
    name = records.stream_name(request.headers.get("stream-name"))
    now_us = int(call.api.now() * 1000000)
    prices = org.prices if personality.prices_models else {}
    batch = records.build(
        request.message, name, personality, now_us, int(limits.ingest_allowed_upto_h * _HOUR_US), prices
    )
    columns = {column for record in batch.records for column in record}
    if len(columns) > limits.columns:
        # 1.3 "schema refused": the whole request is dropped.
        message = (
            f"error while writing trace data: Got {len(columns)} columns for stream {org.name}/{TRACES}/{name}, only "
            f"{limits.columns} columns accept. Data discarded. You can adjust ingestion columns limit by setting the "
            "environment variable ZO_COLS_PER_RECORD_LIMIT=<max_columns>"
        )
        refused = failed(400, message)
        return refused._replace(headers=dict(refused.headers, **{"x-error-message": message}))
    if batch.records:
        stream = org.streams[TRACES].setdefault(name, Stream(name, TRACES))
        if batch.has_llm_spans:
            llm.mark(stream, personality)
        stream.append(batch.records)
        call.api.collisions.extend(batch.collisions)
    return _answer(otlp.is_json(request.headers.get("content-type")), batch.rejected)


def _answer(as_json: bool, rejected: int) -> Answer:
    if as_json:
        partial: Any = {"rejectedSpans": rejected, "errorMessage": REJECTED} if rejected else None
        return json_answer(206 if rejected else 200, {"partialSuccess": partial})
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = REJECTED
    return Answer(200, {"content-type": otlp.PROTOBUF}, response.SerializeToString())


PATH = r"/api/([^/]+)/(?:v1/traces|traces|otel/v1/traces)"
ROUTES = (Route("POST", PATH, _ingest, writes=True),)
