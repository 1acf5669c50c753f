"""One request of an OpenAI client as it is sent: with a stream that is watched, and asked for its usage.

Imported with the first call: it needs OpenTelemetry.
"""

from __future__ import annotations

import copy
from typing import Any, Optional

from opentelemetry import trace

from hf_openobserve import diagnostics
from hf_openobserve.capture import attempts, calls, errors, openai_stream, routing, stream_usage
from hf_openobserve.capture.pace import Pace


class Sending:
    """``args`` and ``kwargs`` are what ``request`` is to be called with."""

    def __init__(self, call: calls.Call, args: Any, kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs
        self._call = call
        self._token: Any = None
        self._unasked = args
        """The arguments without our question for the usage."""
        self._question: Optional[stream_usage.Question] = None

    def watch(self, *, ours: bool, stream_usage_mode: str) -> None:
        """Have the stream watched, and asked for its usage where the program does not."""
        stream_cls = self.kwargs.get("stream_cls")
        if not self.kwargs.get("stream") or stream_cls is None:
            return
        call = self._call
        self.kwargs = {**self.kwargs, "stream_cls": openai_stream.watched(stream_cls)}
        question = _question(self.args[1], call, stream_usage_mode) if len(self.args) > 1 else None
        asks = question is not None and question.asks
        if asks:
            self.args = (self.args[0], _asking(self.args[1]), *self.args[2:])
        self._question = question
        call.pace = Pace()
        call.streams = openai_stream.Watch(call, ours=ours, asked=asks)

    def enter(self) -> None:
        """What is sent from now on belongs to the call."""
        self._token = attempts.current.set(self._call)

    def leave(self) -> None:
        """It has been sent."""
        self._call.attempts.close()  # a task that was started meanwhile keeps the context, and the call, for good
        try:
            attempts.current.reset(self._token)
        except ValueError:  # a coroutine that was thrown away in another context than it ran in
            diagnostics.swallowed("openai request")

    def answered(self, result: Any) -> None:
        """A raw answer is parsed later: it must know its call, also where ``send`` was not seen."""
        raw = getattr(result, "http_response", None)
        if self._call.streams is not None and raw is not None:
            raw.extensions.setdefault(attempts.EXTENSION, self._call)
        if self._question is not None:
            response = raw if raw is not None else getattr(result, "response", None)
            self._question.answered(routing.served_by(self._call.url, getattr(response, "headers", None)))

    def refused(self, error: Exception) -> bool:
        """True if the error may answer what we added to the request: then the arguments are without it."""
        if self._question is None or not self._question.asks:
            return False
        told = errors.describe(error)
        text = f"{told.message} {getattr(error, 'body', '')} {error}"
        if not self._question.refused(told.status_code, text, routing.served_by(self._call.url, told.headers)):
            return False
        self.args = self._unasked
        self._call.attempts.forget(told.status_code)
        self._call.streams.not_asked()
        return True

    def failed(self, error: BaseException) -> None:
        """It could not be sent, or was answered with an error."""
        if self._question is not None:
            self._question.failed()
        self._call.failed(error)


def begin(client: Any, args: Any, kwargs: Any, passage: Any, stream_usage_mode: str) -> Optional[Sending]:
    """Remember the request for the span that is current; None where no span of an instrumentation's records it.

    passage: the openai module's, None if the span is not of our own instrumentation.
    """
    options = args[1] if len(args) > 1 else kwargs.get("options")
    body = getattr(options, "json_data", None)
    url, host = calls.address_of(client, options)
    call = calls.begin(url=url, host=host, body=body if isinstance(body, dict) else {})
    if call is None:
        return None
    if passage is not None:
        passage.span = trace.get_current_span()
    sending = Sending(call, args, kwargs)
    if kwargs.get("stream"):
        diagnostics.guarded(
            "openai stream", lambda: sending.watch(ours=passage is not None, stream_usage_mode=stream_usage_mode)
        )
    return sending


def _question(options: Any, call: calls.Call, mode: str) -> Optional[stream_usage.Question]:
    if not str(options.url).endswith("/chat/completions") or "stream_options" in (options.extra_json or ()):
        return None
    return stream_usage.question(options.json_data, mode, routing.endpoint_kind_of(call.url), call.url)


def _asking(options: Any) -> Any:
    """A copy of the request's options that asks for the usage."""
    asking = copy.copy(options)
    asking.json_data = stream_usage.body_asking(options.json_data)
    return asking
