"""A span of the agent's own, of no call: what was lost, the columns that panels need, doctor's test."""

from __future__ import annotations

import os
import time
from types import MappingProxyType
from typing import Any, Dict, Mapping, Optional

from hf_openobserve import __version__
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord

SERVICE = "hf-openobserve"
RESOURCE: Mapping[str, Any] = MappingProxyType({"service.name": SERVICE, "telemetry.distro.name": "hf-openobserve"})


def now(name: str, scope: str, attributes: Dict[str, Any], resource: Optional[ResourceRecord] = None) -> SpanRecord:
    """It begins and ends now, since the server takes no old span. ``resource``: ``RESOURCE`` if None."""
    moment = time.time_ns()
    return SpanRecord(
        # Not from ``random``: an application that seeds it gets the numbers it would get without us.
        trace_id=int.from_bytes(os.urandom(16), "big") or 1,
        span_id=int.from_bytes(os.urandom(8), "big") or 1,
        name=name,
        start_time_unix_nano=moment,
        end_time_unix_nano=moment,
        resource=resource or ResourceRecord(RESOURCE),
        scope=ScopeRecord(scope, __version__),
        attributes=attributes,
    )
