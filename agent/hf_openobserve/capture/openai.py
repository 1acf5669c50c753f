"""Capture of the OpenAI client: arm its constructors, then let OpenInference trace, with our facts beneath it.

Imported when ``openai`` has been imported, so nothing of OpenTelemetry is imported at the top. Only public names of
openai are used: ``OpenAI``, ``AsyncOpenAI``, their ``request`` methods and ``base_url``.
"""

from __future__ import annotations

import functools
from typing import Any, Tuple

from hf_openobserve import diagnostics
from hf_openobserve.capture.arming import Arming

_arming = Arming()

_imported = False

_instrumentor: Any = None
"""Our instance of OpenInference's instrumentor while it is in place."""

_yielded = False
"""True once the application instruments OpenAI itself: then its instrumentation stays the only one (law 7)."""


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
        client_class.request = make(client_class.request)


def _request(original: Any) -> Any:
    @functools.wraps(original)
    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _arming:
            # A client from before we were armed: what activation puts around this method must see this call too.
            _arming.activate()
            return self.request(*args, **kwargs)
        call = diagnostics.guarded("openai request", _begin, self, args, kwargs)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("openai request", _failed, call, error)
            raise

    return request


def _async_request(original: Any) -> Any:
    @functools.wraps(original)
    async def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _arming:
            _arming.activate()
            return await self.request(*args, **kwargs)
        call = diagnostics.guarded("openai request", _begin, self, args, kwargs)
        try:
            return await original(self, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("openai request", _failed, call, error)
            raise

    return request


def _begin(client: Any, args: Tuple[Any, ...], kwargs: Any) -> Any:
    from hf_openobserve.capture import calls

    options = args[1] if len(args) > 1 else kwargs.get("options")
    body = getattr(options, "json_data", None)
    base_url = client.base_url
    return calls.begin(
        host=base_url.host,
        port=base_url.port or {"http": 80, "https": 443}.get(base_url.scheme),
        body=body if isinstance(body, dict) else {},
    )


def _failed(call: Any, error: BaseException) -> None:
    from hf_openobserve.capture import calls

    if call is not None:
        status_code = getattr(error, "status_code", None)
        calls.failed(
            call,
            status_code=status_code if isinstance(status_code, int) else None,
            error_type=type(error).__module__.partition(".")[0] + "." + type(error).__qualname__,
        )


def instrument(tracer_provider: Any) -> None:
    """Put OpenInference around the clients, if the program has imported openai and does not do so itself.

    The instrumentor is loaded directly: version 0.1.18 (Python 3.8) has no entry point, and its version check asks for
    an openai that works no better than 1.66 does.
    """
    global _instrumentor
    if not _imported or _yielded or _instrumentor is not None:
        return
    from openinference.instrumentation.openai import OpenAIInstrumentor

    from hf_openobserve.capture.trace_config import trace_config

    class AgentInstrumentor(OpenAIInstrumentor):  # type: ignore[misc]
        # A singleton of its own: the application's OpenAIInstrumentor() reports what it would without us.
        _instance = None
        _is_instrumented_by_opentelemetry = False

    _instrumentor = AgentInstrumentor()
    _instrumentor.instrument(tracer_provider=tracer_provider, skip_dep_check=True, config=trace_config())


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
