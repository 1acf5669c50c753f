"""What the tests of the fake OpenObserve send: spans by the stock exporter, and requests that no exporter makes."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Mapping, Optional, Tuple

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status

from fakes.openobserve import FakeOpenObserve

# What OpenInference puts on the span of a successful chat call, in short.
CHAT = {
    "openinference.span.kind": "LLM",
    "llm.system": "openai",
    "input.value": '{"messages": [{"role": "user", "content": "Say hello to everybody here"}]}',
    "input.mime_type": "application/json",
    "output.value": '{"choices": []}',
    "output.mime_type": "application/json",
    "llm.invocation_parameters": '{"model": "meta-llama/Llama-3.1-8B-Instruct", "max_tokens": 64, "temperature": 0.1}',
    "llm.input_messages.0.message.role": "user",
    "llm.model_name": "llama3.1-8b",
    "llm.token_count.prompt": 30,
    "llm.token_count.completion": 12,
    "llm.token_count.total": 42,
}


# And on one that failed: no model, no tokens, no output.
FAILED = {
    key: CHAT[key] for key in ("openinference.span.kind", "llm.system", "input.value", "llm.invocation_parameters")
}


ZERO_USAGE = {
    "gen_ai.usage.input_tokens": 0,
    "gen_ai.usage.output_tokens": 0,
    "gen_ai.usage.total_tokens": 0,
    "gen_ai.usage.cost": 0.0,
}


def export(
    server: FakeOpenObserve,
    attributes: Mapping[str, Any],
    *,
    resource: Optional[Mapping[str, Any]] = None,
    scope: str = "tests",
    headers: Optional[Mapping[str, str]] = None,
    compression: Compression = Compression.NoCompression,
    start_ns: Optional[int] = None,
    end_ns: Optional[int] = None,
    status: Optional[Status] = None,
    events: Any = (),
    **span_arguments: Any,
) -> None:
    """One span through the SDK and the stock OTLP/HTTP exporter."""
    exporter = OTLPSpanExporter(
        endpoint=server.url + "/api/default/v1/traces",
        headers=dict({"Authorization": server.auth_token}, **(headers or {})),
        compression=compression,
    )
    provider = TracerProvider(resource=Resource({"service.name": "shop"} if resource is None else resource))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer(scope).start_span(
        "ChatCompletion", attributes=attributes, start_time=start_ns, **span_arguments
    )
    for name, event_attributes in events:
        span.add_event(name, event_attributes, timestamp=5)
    if status is not None:
        span.set_status(status)
    span.end(end_ns)
    provider.shutdown()


def exported(server: FakeOpenObserve, attributes: Mapping[str, Any], **arguments: Any) -> Dict[str, Any]:
    """The row that the exported span became."""
    export(server, attributes, **arguments)
    return server.wait_for_rows(1, timeout=5)[-1]


def message(*spans: Mapping[str, Any], attributes: Optional[Mapping[str, str]] = None) -> ExportTraceServiceRequest:
    """A request of one resource, for what an SDK would never send. Each span is valid but for the fields given."""
    built = ExportTraceServiceRequest()
    scope_spans = built.resource_spans.add().scope_spans.add()
    for fields in spans or ({},):
        span = scope_spans.spans.add()
        now = time.time_ns()
        defaults: Dict[str, Any] = {
            "trace_id": b"\x01" * 16,
            "span_id": b"\x02" * 8,
            "name": "by hand",
            "kind": 1,
            "start_time_unix_nano": now,
            "end_time_unix_nano": now,
        }
        for field, value in dict(defaults, **fields).items():
            setattr(span, field, value)
        for key, value in (attributes or {}).items():
            span.attributes.add(key=key).value.string_value = value
    return built


def post(server: FakeOpenObserve, body: Any = None, path: str = "/api/default/v1/traces", **headers: Any):
    """POST with valid headers; a header given as None is left out."""
    if body is None:
        body = message()
    data = body.SerializeToString() if isinstance(body, ExportTraceServiceRequest) else body
    sent = {"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.post(
        server.url + path, data=data, headers={k: v for k, v in sent.items() if v is not None}, timeout=10
    )


def json_body(**fields: Any) -> Dict[str, Any]:
    span = {
        "traceId": "01" * 16,
        "spanId": "02" * 8,
        "name": "by hand",
        "kind": 1,
        "startTimeUnixNano": str(time.time_ns()),
        "endTimeUnixNano": time.time_ns(),
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [dict(span, **fields)]}]}]}


def post_json(server: FakeOpenObserve, body: Any, content_type: str = "application/json"):
    return post(server, body if isinstance(body, str) else json.dumps(body), Content_Type=content_type)


def server_address(server: FakeOpenObserve) -> Tuple[str, int]:
    return "127.0.0.1", int(server.url.rsplit(":", 1)[1])


def get(server: FakeOpenObserve, path: str, authorized: bool = True):
    headers = {"Authorization": server.auth_token} if authorized else {}
    return requests.get(server.url + path, headers=headers, timeout=10)
