"""The span of a call that we make ourselves, from its start to its end, or the end of its stream.

Where nobody reads it but our own processor, nothing of the call is put on it: the row is made of the call itself. Where
others do (an exporter beside ours, a provider of the application's), it says what OpenInference's own span would.
"""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Dict, Mapping, Optional

from openinference.instrumentation import OITracer, get_attributes_from_context
from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode

from hf_openobserve import __version__
from hf_openobserve.call import announcement, open_calls, unsampled
from hf_openobserve.call.call import Call
from hf_openobserve.call.recording import Recording
from hf_openobserve.privacy import cut
from hf_openobserve.process import diagnostics
from hf_openobserve.wire import openinference
from hf_openobserve.wire.apis import APIS

Describe = Callable[[Mapping[str, Any]], Dict[str, Any]]
"""The body of an answer -> what the span says of request and answer, but for the messages one by one."""


class _Started(trace.Tracer):
    """A tracer that hands out a begun span: OpenInference's puts its masking and its context's attributes on it."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def start_span(self, *_: Any, **__: Any) -> Any:
        return self._span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class Spans:
    """Starts our own spans under one scope. ``config`` is OpenInference's ``TraceConfig``."""

    def __init__(self, recording: Recording, scope: str, config: Any) -> None:
        self.recording = recording
        self.config = config
        self._tracer = trace.get_tracer(scope, __version__, recording.tracer_provider)

    @property
    def are_read_by_others(self) -> bool:
        """False where our own processor alone reads them."""
        return getattr(self.recording.tracer_provider, "is_read_by_others", True)

    def start(self, name: str, kind: str, start_time: Optional[int] = None) -> OwnSpan:
        """Start one. kind: OpenInference's. start_time: nanoseconds since the epoch, now if None."""
        attributes = {"openinference.span.kind": kind}
        are_read_by_others = self.are_read_by_others
        if not are_read_by_others:
            attributes.update(get_attributes_from_context())
        span: Any = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes=attributes, start_time=start_time
        )
        is_for_others = span.is_recording() and are_read_by_others
        if is_for_others:
            span = self.for_others(span, attributes)
        return OwnSpan(self, span, kind, is_for_others=is_for_others)

    def for_others(self, span: Any, attributes: Dict[str, Any]) -> Any:
        """OpenInference's span around ours: without what the configuration hides, with its context's attributes.

        It costs many times what the SDK's does.
        """
        return OITracer(_Started(span), config=self.config).start_span("", attributes=attributes)


class OwnSpan:
    """One span, current while its call is sent. Everything happens once, whatever comes after."""

    def __init__(self, spans: Spans, span: Any, kind: str, *, is_for_others: bool) -> None:
        self.span = span
        self.note = spans.recording.note
        self.is_recorded: bool = span.is_recording()
        """False for one that is not sampled: then the call is counted, see ``unsampled``."""
        self._spans = spans
        self._is_for_others = is_for_others
        self._kind = kind
        self._began = time.time_ns()
        self._call: Any = None
        self._describe: Any = None
        self._token: Any = None
        self._over = False
        self._pid = os.getpid()

    def tells_of(self, call: Call, describe: Describe) -> None:
        """``call`` is the one that it is the span of."""
        self._call, self._describe = call, describe
        if self.is_recorded:
            call.describe = self._described
            open_calls.remember(self.span, call)

    def enter(self) -> None:
        """Make it the current span. Nothing of the context outlives the sending: the answer is read anywhere."""
        self._token = context.attach(announcement.context_of(self.span))

    def leave(self) -> None:
        """Make the one before it the current one again."""
        if trace.get_current_span() is self.span:  # else thrown away in another context: OpenTelemetry would log that
            context.detach(self._token)

    def end(self, error: Optional[BaseException] = None) -> None:
        """The call is over; ``error`` is what ended it, if one did."""
        if self._over or self._pid != os.getpid():  # open at a fork: the parent's copy ends it
            return
        self._over = True
        if not self.is_recorded:
            if self.note is not None:
                diagnostics.guarded("metrics", self._count, self.note)
            return
        try:
            self._tell(error)
        finally:  # also where the program's own exception, a time limit's, comes in between
            self._end_span()

    def _tell(self, error: Optional[BaseException]) -> None:
        call = self._call
        # Once more: where very many calls are under way, the oldest are forgotten.
        open_calls.remember(self.span, call)
        if self._spans.are_read_by_others:
            diagnostics.guarded("own span", self._write)
            call.describe = None
        if error is not None:
            diagnostics.guarded("own span", self.span.record_exception, error)

    def _end_span(self) -> None:
        try:
            self.span.end(self._call.ended)
        except BaseException:  # noqa: BLE001
            if self.span.is_recording():
                self.span.end(self._call.ended)
            diagnostics.swallowed("own span")
        else:
            # Whoever keeps the call, a task with its context, say, does not keep its texts.
            self._describe = self._call.describe = None

    def _count(self, note: unsampled.Note) -> None:
        answer = diagnostics.guarded("answer", self._describe, self._call.answer(), default={})
        unsampled.ended(note, self._call, {"openinference.span.kind": self._kind, **answer}, self._began)

    def _described(self, *, for_others: bool = False) -> Dict[str, Any]:
        """What is said of the call.

        The messages are also said one by one, where they are cut, or others want them so.
        """
        call = self._call
        answer = call.answer()
        attributes: Dict[str, Any] = diagnostics.guarded("answer", self._describe, answer, default={})
        texts = (attributes.get(name, "") for name in ("input.value", "output.value"))
        if for_others or sum(map(len, texts)) > cut.LONGEST // 2:
            # First: of too many attributes OpenTelemetry evicts those that came first.
            messages = diagnostics.guarded("messages", self._messages, answer, default={})
            attributes = {**messages, **attributes}
        return attributes

    def _messages(self, answer: Mapping[str, Any]) -> Dict[str, Any]:
        call = self._call
        return openinference.messages(call.request or {}, answer, of_responses=call.api is APIS["responses"])

    def _write(self) -> None:
        call, span = self._call, self.span
        if not self._is_for_others:  # they have come since it was started
            span = self._spans.for_others(span, {})
        span.set_attributes(self._described(for_others=True))
        failure = call.outcome()
        span.set_attributes(call.known_attributes())
        if failure is None:
            span.set_status(Status(StatusCode.OK))
            return
        span.set_attribute("error.type", failure.error_type)
        if failure.status_code is not None:
            span.set_attribute("http.response.status_code", failure.status_code)
        span.set_status(Status(StatusCode.ERROR, failure.message))
