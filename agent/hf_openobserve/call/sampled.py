"""Which calls will be recorded at all, as far as that is known before their span is started."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import sampling


def is_dropped(provider: Any) -> bool:
    """True if a span that ``provider`` starts in this context is not sampled, whatever its trace id and attributes.

    Only the samplers of ``OTEL_TRACES_SAMPLER`` are known; a root span that a ratio may keep or drop is not decided
    here.
    """
    sampler = getattr(provider, "sampler", None)
    if sampler is sampling.ALWAYS_OFF:
        return True
    root_dropped = sampler is sampling.DEFAULT_OFF
    if not (root_dropped or sampler is sampling.DEFAULT_ON or type(sampler) is sampling.ParentBasedTraceIdRatio):
        return False
    parent = trace.get_current_span().get_span_context()
    return not parent.trace_flags.sampled if parent.is_valid else root_dropped
