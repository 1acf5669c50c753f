"""Metrics: whether, where to, how often, and as what."""

from __future__ import annotations

import dataclasses
import re
from types import MappingProxyType
from typing import NamedTuple, Optional

from hf_openobserve.config import collector
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.destination import Destination
from hf_openobserve.config.variables import Variables

MODES = ("auto", "on", "off", "legacy")
DEFAULT_INTERVAL_MS = 60000.0
SHORTEST_INTERVAL_S = 1.0
_OWN_VARIABLES = "OTEL_EXPORTER_OTLP_METRICS_"
_TEMPORALITIES = ("cumulative", "delta", "lowmemory")


class Metrics(NamedTuple):
    """What is to be done."""

    destination: Destination
    """Its ``identity`` is that of the spans: both wait in one directory of the outbox."""
    is_asked_for: bool = False
    """By ``on`` or ``legacy``: then a destination that takes none is wrong, and said."""
    legacy: bool = False
    is_delta: bool = False
    interval_s: float = DEFAULT_INTERVAL_MS / 1000


def read(variables: Variables, spans: Destination) -> Optional[Metrics]:
    """What the variables say beside the destination of the spans; None: no metrics."""
    mode = variables.choice(names.OPENOBSERVE_HF_METRICS, MODES, "is neither auto, on, off nor legacy")
    exporters = [name.strip().lower() for name in variables.value(names.OTEL_METRICS_EXPORTER).split(",")]
    temporality = variables.choice(
        names.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
        _TEMPORALITIES,
        "is neither cumulative, delta nor lowmemory",
    )
    interval_ms = variables.number(names.OTEL_METRIC_EXPORT_INTERVAL, DEFAULT_INTERVAL_MS, unit="milliseconds")
    if mode == "off" or (mode == "auto" and "none" in exporters):
        return None
    destination = _destination(variables, spans, is_asked_for=mode != "auto")
    if destination is None:
        return None
    return Metrics(
        destination,
        is_asked_for=mode != "auto",
        legacy=mode == "legacy",
        # "lowmemory" is delta for all that is measured here: counters that grow, and histograms.
        is_delta=temporality != "cumulative",
        interval_s=max(SHORTEST_INTERVAL_S, interval_ms / 1000),
    )


def _destination(variables: Variables, spans: Destination, *, is_asked_for: bool) -> Optional[Destination]:
    if spans.kind == "openobserve":
        return dataclasses.replace(
            spans,
            endpoint=f"{spans.base_url}/api/{spans.organization}/v1/metrics",
            base_url="",  # nothing of it depends on the server's version: it is not asked for
            headers=MappingProxyType({k: v for k, v in spans.headers.items() if k != "stream-name"}),
        )
    if spans.kind != "otlp":
        return None
    if variables.otlp("ENDPOINT", "METRICS")[0]:
        before = len(variables.problems)
        own = collector.read(variables, "METRICS")
        # What is wrong with the general variables has been said of the spans.
        variables.problems[before:] = [line for line in variables.problems[before:] if line.startswith(_OWN_VARIABLES)]
        return None if own is None else dataclasses.replace(own, identity=spans.identity)
    # Only where traces go is known: that server may take nothing else.
    endpoint = re.sub(r"/v1/traces(?=/?(?:\?|$))", "/v1/metrics", spans.endpoint)
    return dataclasses.replace(spans, endpoint=endpoint) if is_asked_for and endpoint != spans.endpoint else None
