"""The span of a call that we make ourselves, from its start to its end, or the end of its stream."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, Mapping, Optional

from openinference.instrumentation import OITracer
from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode

from hf_openobserve.call import announcement, open_calls, unsampled
from hf_openobserve.call.call import Call
from hf_openobserve.process import diagnostics


class _Started(trace.Tracer):
    """A tracer that hands out a span which has begun: OpenInference's puts its masking and its context's attributes on it."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def start_span(self, *_: Any, **__: Any) -> Any:
        return self._span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def start(
    tracer: trace.Tracer, config: Any, name: str, attributes: Dict[str, Any], start_time: Optional[int] = None
) -> Any:
    """A span of ``tracer`` with ``attributes``; what OpenInference's ``config`` hides is kept off it if it is recorded.

    start_time: nanoseconds since the epoch, now if None.
    """
    span = tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=start_time)
    if not span.is_recording():
        return span
    # OpenInference's tracer costs many times what the SDK's does: only for a span that is recorded.
    return OITracer(_Started(span), config=config).start_span(name, attributes=attributes)


class OwnSpan:
    """One span, current while its call is sent. Everything happens once, whatever comes after."""

    def __init__(
        self,
        span: Any,
        call: Call,
        answer_attributes: Callable[[Mapping[str, Any]], Dict[str, Any]],
        kind: str = "LLM",
    ) -> None:
        """``kind``: OpenInference's. Of a span that is not sampled the call is counted, see ``unsampled``."""
        self.call = call
        self._is_sampled = span.is_recording()
        self._kind = kind
        self._began = time.time_ns()
        self._span = span
        self._answer_attributes = answer_attributes
        self._token: Any = None
        self._over = False
        self._pid = os.getpid()
        if self._is_sampled:
            open_calls.remember(span, call)

    def enter(self) -> None:
        """Make it the current span. Nothing of the context outlives the sending: the answer is read anywhere."""
        self._token = context.attach(announcement.context_of(self._span))

    def leave(self) -> None:
        """Make the one before it the current one again."""
        if trace.get_current_span() is self._span:  # else thrown away in another context: OpenTelemetry would log that
            context.detach(self._token)

    def end(self, error: Optional[BaseException] = None) -> None:
        """The call is over; ``error`` is what ended it, if one did."""
        if self._over:
            return
        self._over = True
        if self._pid != os.getpid():  # open at a fork: the parent's copy ends it
            return
        if not self._is_sampled:
            diagnostics.guarded("metrics", self._count)
            return
        diagnostics.guarded("own span", self._write, error)
        diagnostics.guarded("own span", self._span.end, self.call.ended)

    def _count(self) -> None:
        answer = diagnostics.guarded("answer", self._answer_attributes, self.call.answer(), default={})
        unsampled.ended(self.call, {"openinference.span.kind": self._kind, **answer}, self._began)

    def _write(self, error: Optional[BaseException]) -> None:
        call, span = self.call, self._span
        span.set_attributes(diagnostics.guarded("answer", self._answer_attributes, call.answer(), default={}))
        failure = call.outcome()
        span.set_attributes(call.known_attributes())
        if error is not None:
            diagnostics.guarded("own span", span.record_exception, error)
        if failure is None:
            span.set_status(Status(StatusCode.OK))
            return
        span.set_attribute("error.type", failure.error_type)
        if failure.status_code is not None:
            span.set_attribute("http.response.status_code", failure.status_code)
        span.set_status(Status(StatusCode.ERROR, failure.message))
