"""What was lost, as a span: visible in OpenObserve where people look, not only on a stderr that nobody kept.

It is no LLM span and carries no tokens. It begins now, since the server takes no old span; the time range of what was
lost stands in its attributes.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.outbox import counters
from hf_openobserve.row import agent_span
from hf_openobserve.row.record import ResourceRecord

SPAN_NAME = "hf-openobserve outbox"

_TEXTS = {
    counters.REJECTED: "rejected by the server",
    counters.EXPIRED: "too old for the server when it could be reached again",
    counters.EVICTED: "dropped because the outbox was full",
    counters.SET_ASIDE: "refused by the server and kept under rejected/",
}


def encode(losses: counters.Losses, resource: Optional[ResourceRecord] = None) -> bytes:
    """A serialised request with this one span.

    ``resource``: of the process that reports, if it has recorded anything.
    """
    attributes = {"hf.outbox.lost": losses.total, "hf.outbox.message": sentence(losses)}
    attributes.update({f"hf.outbox.{name}": count for name, count in losses.counts.items()})
    for name, nanoseconds in (("hf.outbox.lost_from", losses.first), ("hf.outbox.lost_to", losses.last)):
        if nanoseconds:
            attributes[name] = _iso(nanoseconds)
    return encode_span(agent_span.now(SPAN_NAME, "hf_openobserve.outbox", attributes, resource))


def sentence(losses: counters.Losses) -> str:
    """For a person: how many spans, why, and when they began."""
    reasons = ", ".join(f"{losses.counts[name]:,} {text}" for name, text in _TEXTS.items() if name in losses.counts)
    between = f"; they began between {_iso(losses.first)} and {_iso(losses.last)}" if losses.first else ""
    return f"{losses.total:,} spans did not arrive: {reasons}{between}"


def _iso(nanoseconds: int) -> str:
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return f"{nanoseconds} ns"
