"""Capture of the OpenAI client: arm its constructors, then let OpenInference trace, with our facts beneath it.

Imported when ``openai`` has been imported, so nothing of OpenTelemetry is imported at the top. Only public names of
openai are used: ``OpenAI``, ``AsyncOpenAI``, their ``request`` methods and ``base_url``. Around ``request`` stands, from the
outside in: the passage (what need not be traced goes past), OpenInference, and the request's own facts.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any, Dict

from hf_openobserve import diagnostics, trigger
from hf_openobserve.capture.arming import Arming

_arming = Arming()

_imported = False

_instrumentor: Any = None
"""Our instance of OpenInference's instrumentor while it is in place."""

_yielded = False
"""True once the application instruments OpenAI itself: then its instrumentation stays the only one (law 7)."""

_following = False
"""True once clients of httpx, and OpenInference's streams, tell us what they do."""

_stream_usage = "off"
"""``OPENOBSERVE_HF_STREAM_USAGE``, once it has been read."""

_originals: Dict[Any, Any] = {}
"""Our ``request`` -> the client's own. Where somebody has wrapped ours, what goes past OpenInference still meets theirs."""

_begin_sending: Any = None
"""``openai_sending.begin``, once there has been a call: an import statement in each one costs more than what it looks up."""

_passage: ContextVar[Any] = ContextVar("hf_openobserve.openai", default=None)
"""The ``_Passage`` of the request under way, if our own instrumentation traces it."""


class _Passage:
    """One request on its way through our own instrumentation. ``span`` is OpenInference's, once the request is sent."""

    __slots__ = ("span",)

    def __init__(self) -> None:
        self.span: Any = None

    def interrupted(self, error: BaseException) -> None:
        """End the span where OpenInference does not: its older versions look at no exception but ``Exception``."""
        span = self.span
        if span is not None and span.is_recording():
            from opentelemetry.trace import Status, StatusCode

            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            span.end()


def arm(openai: Any) -> None:
    """Replace the constructors until the first client is built, and ``request`` for good, beneath OpenInference."""
    global _imported
    _imported = True
    for name, make in (("OpenAI", _request), ("AsyncOpenAI", _async_request)):
        client_class = getattr(openai, name, None)
        if client_class is None or not hasattr(client_class, "request"):
            diagnostics.debug(f"openai.{name} has no request method: its calls are not captured")
            continue
        _arming.arm(client_class, "__init__")
        original = client_class.request
        client_class.request = make(original)
        _originals[client_class.request] = original


# Beneath OpenInference.


def _request(original: Any) -> Any:
    @functools.wraps(original)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _arming:
            # A client from before we were armed: what activation puts around this method must see this call too.
            _arming.activate()
            return self.request(*args, **kwargs)
        sending = diagnostics.guarded("openai request", _begin, self, args, kwargs)
        if sending is None:
            return original(self, *args, **kwargs)
        sending.enter()
        again = False
        try:
            try:
                result = original(self, *sending.args, **sending.kwargs)
            except Exception as error:
                if not diagnostics.guarded("openai request", sending.refused, error, default=False):
                    raise
                again = True
            if again:  # outside the handler: an error of the second request has no other one as its context
                result = original(self, *sending.args, **sending.kwargs)
            diagnostics.guarded("openai request", sending.answered, result)
            return result
        except BaseException as error:
            diagnostics.guarded("openai request", sending.failed, error)
            raise
        finally:
            sending.leave()

    return request


def _async_request(original: Any) -> Any:
    @functools.wraps(original)
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _arming:
            _arming.activate()
            return await self.request(*args, **kwargs)
        sending = diagnostics.guarded("openai request", _begin, self, args, kwargs)
        if sending is None:
            return await original(self, *args, **kwargs)
        sending.enter()
        again = False
        try:
            try:
                result = await original(self, *sending.args, **sending.kwargs)
            except Exception as error:
                if not diagnostics.guarded("openai request", sending.refused, error, default=False):
                    raise
                again = True
            if again:
                result = await original(self, *sending.args, **sending.kwargs)
            diagnostics.guarded("openai request", sending.answered, result)
            return result
        except BaseException as error:
            diagnostics.guarded("openai request", sending.failed, error)
            raise
        finally:
            sending.leave()

    return request


def _begin(client: Any, args: Any, kwargs: Any) -> Any:
    """The call to be sent; None where no span records it."""
    global _begin_sending
    if _begin_sending is None:
        from hf_openobserve.capture import openai_sending

        _begin_sending = openai_sending.begin
    passage = _passage.get()
    _passage.set(None)  # what is called within this call is another one
    return _begin_sending(client, args, kwargs, passage, _stream_usage)


# Around OpenInference.


_THROUGH, _PAST, _LAZILY = "through OpenInference", "past it", "past it, with a span of ours"


def _passing(tracer_provider: Any, inner: Any, beneath: Any) -> Any:
    plain = _originals.get(beneath, beneath)
    choose = _choice(tracer_provider)

    @functools.wraps(inner)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            args, kwargs = diagnostics.guarded("openai request", _positional, args, kwargs, default=(args, kwargs))
        way = diagnostics.guarded("openai request", choose, args, kwargs, default=_THROUGH)
        if way is not _THROUGH:
            answer = _lazily(tracer_provider, self, args, kwargs) if way is _LAZILY else None
            if answer is None:
                return plain(self, *args, **kwargs)
            diagnostics.guarded("openai answer", answer.enter)
            try:
                result = plain(self, *args, **kwargs)
            except BaseException as error:
                diagnostics.guarded("openai answer", answer.failed, error)
                raise
            finally:
                diagnostics.guarded("openai answer", answer.leave)
            diagnostics.guarded("openai answer", answer.answered, result)
            return result
        passage = _Passage()
        _passage.set(passage)
        try:
            return inner(self, *args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            diagnostics.guarded("openai request", passage.interrupted, error)
            raise
        finally:
            _passage.set(None)

    return request


def _async_passing(tracer_provider: Any, inner: Any, beneath: Any) -> Any:
    plain = _originals.get(beneath, beneath)
    choose = _choice(tracer_provider)

    @functools.wraps(inner)
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            args, kwargs = diagnostics.guarded("openai request", _positional, args, kwargs, default=(args, kwargs))
        way = diagnostics.guarded("openai request", choose, args, kwargs, default=_THROUGH)
        if way is not _THROUGH:
            answer = _lazily(tracer_provider, self, args, kwargs) if way is _LAZILY else None
            if answer is None:
                return await plain(self, *args, **kwargs)
            diagnostics.guarded("openai answer", answer.enter)
            try:
                result = await plain(self, *args, **kwargs)
            except BaseException as error:
                diagnostics.guarded("openai answer", answer.failed, error)
                raise
            finally:
                diagnostics.guarded("openai answer", answer.leave)
            diagnostics.guarded("openai answer", answer.answered, result)
            return result
        passage = _Passage()
        _passage.set(passage)
        try:
            return await inner(self, *args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            diagnostics.guarded("openai request", passage.interrupted, error)
            raise
        finally:
            _passage.set(None)

    return request


def _choice(tracer_provider: Any) -> Any:
    """Past OpenInference where it would work for nothing (no call of a model, or nobody records it), or do harm."""
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    from hf_openobserve.capture import inference, openai_lazy

    def choose(args: Any, kwargs: Any) -> str:
        options = args[1] if len(args) > 1 else kwargs["options"]
        if not inference.is_model_call(options.method, options.url, options.json_data):
            return _PAST
        if inference.is_dropped(tracer_provider) or not is_instrumentation_enabled():
            return _PAST
        return _LAZILY if openai_lazy.is_lazy(options) else _THROUGH

    return choose


def _positional(args: Any, kwargs: Any) -> Any:
    """OpenInference takes the first two arguments by place only, and logs an error for any other call."""
    placed, named = list(args), dict(kwargs)
    placed.extend(named.pop(name) for name in ("cast_to", "options")[len(placed) :])
    return tuple(placed), named


def _lazily(tracer_provider: Any, client: Any, args: Any, kwargs: Any) -> Any:
    from hf_openobserve.capture import openai_lazy

    return diagnostics.guarded("openai answer", openai_lazy.Answer, tracer_provider, client, args, kwargs)


def instrument(tracer_provider: Any, stream_usage: str = "off") -> None:
    """Put OpenInference around the clients, if the program has imported openai and does not do so itself.

    The instrumentor is loaded directly: version 0.1.18 (Python 3.8) has no entry point, and its version check asks for
    an openai that works no better than 1.66 does. stream_usage: one of ``stream_usage.MODES``.
    """
    global _instrumentor, _stream_usage
    if not _imported:
        return
    _stream_usage = stream_usage
    _follow()
    if _yielded or _instrumentor is not None:
        return
    import openai
    from openinference.instrumentation.openai import OpenAIInstrumentor

    from hf_openobserve.capture.trace_config import trace_config

    class AgentInstrumentor(OpenAIInstrumentor):  # type: ignore[misc]
        # A singleton of its own: the application's OpenAIInstrumentor() reports what it would without us.
        _instance = None
        _is_instrumented_by_opentelemetry = False

    clients = ((openai.OpenAI, _passing), (openai.AsyncOpenAI, _async_passing))
    beneath = [client_class.request for client_class, _ in clients]
    _instrumentor = AgentInstrumentor()
    _instrumentor.instrument(tracer_provider=tracer_provider, skip_dep_check=True, config=trace_config())
    for (client_class, make), below in zip(clients, beneath):
        # OpenInference puts back what was there before it: this goes with it.
        client_class.request = make(tracer_provider, client_class.request, below)


def _follow() -> None:
    global _following
    if _following:
        return
    _following = True
    from hf_openobserve.capture import attempts, host_log, openai_stream

    for library in attempts.LIBRARIES:
        trigger.on_import(library, attempts.install)
    diagnostics.guarded("openai stream", openai_stream.follow_openinference)
    diagnostics.guarded("host's log", host_log.keep_clean, lambda: _instrumentor is not None)


def yield_to_application() -> None:
    """Take our instrumentation away: the application is about to put its own in place."""
    global _instrumentor, _yielded
    _yielded = True
    if _instrumentor is not None:
        _instrumentor.uninstrument()
        _instrumentor = None


def is_ours(instrumentor: Any) -> bool:
    """True for the instrumentor that ``instrument`` made."""
    return type(instrumentor).__name__ == "AgentInstrumentor"
