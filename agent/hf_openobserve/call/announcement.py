"""Tells OpenTelemetry's own GenAI instrumentations that a call is recorded: one beneath ours makes no second row.

They look for a value under a key of the context. Only one of a class of ``opentelemetry-util-genai`` counts, which has
no public name. Without that class - the package is not loaded, or has moved it - nothing is announced. The other way
round, their span around a call of ours becomes a chain like any framework's, see ``row.nesting``.
"""

from __future__ import annotations

import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, set_value

from hf_openobserve.process import diagnostics

KEY = "opentelemetry.genai.client.inference.context"
_MODULE = "opentelemetry.util.genai._inference_invocation"


def context_of(span: Any) -> Context:
    """The context in which the call of ``span`` is made: that one is current, and it is announced."""
    context = trace.set_span_in_context(span)
    announced: Context = diagnostics.guarded("announcement", _announced, context, default=context)
    return announced


def _announced(context: Context) -> Context:
    data = getattr(sys.modules.get(_MODULE), "InferenceData", None)
    return context if data is None else set_value(KEY, data(), context)
