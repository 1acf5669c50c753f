"""Facts about a call that its span does not carry: where it went, what was asked for, how it failed.

They are kept beside the span, keyed by its ids, and joined when it ends. The span itself is not written to: it may be
the application's own, and its exporters receive what they would have received without us (law 7).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Mapping, Optional, Tuple

from opentelemetry import trace

from hf_openobserve.columns import CallFacts

_CAPACITY = 4096
"""Calls remembered at once. Beyond it the oldest is forgotten: spans that never end must not grow the host."""

Key = Tuple[int, int]
"""(trace id, span id)."""

_facts: OrderedDict[Key, CallFacts] = OrderedDict()


def begin(*, host: str, port: Optional[int], body: Mapping[str, Any]) -> Optional[Key]:
    """Remember a call for the span that is current; None when nothing records it.

    Of the request body only the model and its limit are kept: the rest are the prompts.
    """
    span = trace.get_current_span()
    if not span.is_recording():
        return None
    model, max_tokens = body.get("model"), body.get("max_tokens")
    context = span.get_span_context()
    key = (context.trace_id, context.span_id)
    _facts[key] = CallFacts(
        host=host,
        port=port,
        model=model if isinstance(model, str) else None,
        max_tokens=max_tokens if isinstance(max_tokens, int) else None,
    )
    while len(_facts) > _CAPACITY:
        try:
            _facts.popitem(last=False)
        except KeyError:  # another thread was faster
            break
    return key


def failed(key: Key, *, status_code: Optional[int], error_type: str) -> None:
    """Add how the call failed; ``status_code`` is HTTP's, None when no answer came."""
    known = _facts.get(key)
    if known is not None:
        _facts[key] = known._replace(status_code=status_code, error_type=error_type)


def take(trace_id: int, span_id: int) -> Optional[CallFacts]:
    """The facts of this span, which are then forgotten."""
    return _facts.pop((trace_id, span_id), None)
