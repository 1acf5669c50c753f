"""``OTEL_TRACES_EXPORTER=openobserve`` under another distro: the OTLP package's exporter, with our columns.

It posts as ``OTLPSpanExporter`` does, from that distro's own processor: no outbox, and its delivery guarantees are the
processor's. What it adds is the destination from ``OPENOBSERVE_*``, the columns and privacy.
"""

from __future__ import annotations

import os
from typing import Any, Sequence

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode

from hf_openobserve import privacy
from hf_openobserve.call import open_calls
from hf_openobserve.config import settings
from hf_openobserve.openobserve import certificates
from hf_openobserve.openobserve.ingest import SERVER_DERIVED, Client
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.pipeline.span_reader import SpanReader
from hf_openobserve.process import diagnostics
from hf_openobserve.row import columns
from hf_openobserve.row.cost_columns import LLM_ROW
from hf_openobserve.row.record import SpanRecord


class OpenObserveSpanExporter(OTLPSpanExporter):
    """An ``OTLPSpanExporter`` whose destination, columns and masking are the agent's. Takes the same arguments."""

    def __init__(self, **kwargs: Any) -> None:
        loaded = settings.load(os.environ, script_dir=None, cwd=os.getcwd())
        for problem in loaded.problems:
            diagnostics.say_once(problem)
        destination = loaded.destination
        self._records_to_openobserve = loaded.enabled and destination.kind != "local"
        if self._records_to_openobserve:
            unusable = certificates.fault(destination) if destination.uses_tls else ""
            if unusable:  # the base class would raise at each export, and name no variable
                diagnostics.say_once(unusable)
            kwargs.setdefault("endpoint", destination.endpoint)
            kwargs.setdefault("headers", dict(destination.headers))
            kwargs.setdefault("timeout", max(1, int(destination.timeout_s)))
            kwargs.setdefault("compression", Compression.Gzip if destination.gzip else Compression.NoCompression)
            kwargs.setdefault("certificate_file", destination.tls.authorities)
            kwargs.setdefault("client_certificate_file", destination.tls.client_certificate)
            kwargs.setdefault("client_key_file", destination.tls.client_key)
        elif loaded.enabled:
            diagnostics.say_once(
                "OTEL_TRACES_EXPORTER=openobserve needs OPENOBSERVE_URL; nothing is sent until it is set"
            )
        super().__init__(**kwargs)
        # Names of our own that no version of the base class uses for its private parts.
        self._openobserve = Client(destination)
        self._masking = privacy.build_policy(
            capture_content=loaded.capture_content, environ=os.environ, secrets=loaded.secrets, pattern=loaded.mask
        )
        self._pricing = Pricing(loaded.prices)
        self._span_reader = SpanReader(lambda attributes: privacy.mask_resource(attributes, self._masking))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans with our columns. A span that cannot be prepared is left out: its content is not masked."""
        if not self._records_to_openobserve:
            return SpanExportResult.SUCCESS
        old = diagnostics.guarded("exporter", self._openobserve.may_derive_usage, default=True)
        prepared = [diagnostics.guarded("exporter", self._prepare, span, old) for span in spans]
        return super().export([span for span in prepared if span is not None])

    def _prepare(self, span: ReadableSpan, old_server: bool) -> ReadableSpan:
        record = self._span_reader.read(span)
        record = privacy.shorten(record, self._masking)
        call = open_calls.take(record.trace_id, record.span_id)
        record = columns.apply(record, None if call is None else open_calls.facts_of(call))
        if LLM_ROW in record.attributes:
            lasted = record.end_time_unix_nano - record.start_time_unix_nano
            cost = diagnostics.guarded("cost", self._pricing.columns, record.attributes, lasted, default={})
            record.attributes.update(cost)
        record = privacy.apply(record, self._masking)
        if old_server:
            for name in SERVER_DERIVED:
                record.attributes.pop(name, None)
        return _readable(span, record)


def _readable(span: ReadableSpan, record: SpanRecord) -> ReadableSpan:
    """The record as the SDK's span again; identity, links and scope are those of the original."""
    return ReadableSpan(
        name=record.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=Resource(dict(record.resource.attributes), record.resource.schema_url),
        attributes=record.attributes,
        events=[Event(event.name, dict(event.attributes), event.time_unix_nano) for event in record.events],
        links=span.links,
        kind=SpanKind(record.kind - 1),
        instrumentation_scope=span.instrumentation_scope,
        status=Status(
            StatusCode(record.status_code),
            record.status_message if record.status_code == StatusCode.ERROR.value else None,
        ),
        start_time=span.start_time,
        end_time=span.end_time,
    )
