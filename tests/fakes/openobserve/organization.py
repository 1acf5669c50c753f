"""What one organization holds. Everything is kept in order of creation."""

from __future__ import annotations

from typing import Any, Dict

from .streams import Stream

TRACES, METRICS = "traces", "metrics"

Objects = Dict[str, Dict[str, Any]]


class Organization:
    def __init__(self, name: str) -> None:
        self.name = name
        # Type to name to stream; logs are never written here.
        self.streams: Dict[str, Dict[str, Stream]] = {TRACES: {}, METRICS: {}}
        # By kind ("dashboards", "alerts"), then by id: each kind has folders of its own.
        self.folders: Dict[str, Objects] = {}
        self.dashboards: Objects = {}
        self.alerts: Objects = {}
        self.templates: Objects = {}
        self.destinations: Objects = {}
        self.prices: Objects = {}
