"""Capture of huggingface_hub's inference clients: arm them, then let our own instrumentor trace.

Imported when one of the clients' modules has been imported, which huggingface_hub does when a program first touches
``InferenceClient`` or ``AsyncInferenceClient``: who uses it for downloads alone never gets here.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from hf_openobserve import diagnostics
from hf_openobserve.capture.arming import Arming

_arming = Arming()

_imported = False

_instrumentor: Any = None
"""Our instance of the instrumentor while it is in place."""

_yielded = False
"""True once the application instruments huggingface_hub itself: then its instrumentation stays the only one (law 7)."""


def arm(module: Any) -> None:
    """Replace the public methods of the module's client, and its constructor, until the first one is built or used.

    A client that was pickled in another process is used without having been built in this one.
    """
    global _imported
    _imported = True
    if _yielded or _instrumentor is not None:
        return
    for class_name in ("InferenceClient", "AsyncInferenceClient"):
        client_class = getattr(module, class_name, None)
        if client_class is None or client_class.__module__ != module.__name__:
            continue
        for name, function in list(vars(client_class).items()):
            if name == "__init__" or (not name.startswith("_") and inspect.isfunction(function)):
                _arming.arm(client_class, name)


def instrument(tracer_provider: Any, stream_usage: str = "off") -> None:
    """Put our hooks on the clients, if the program has imported one and does not instrument them itself.

    stream_usage: one of ``stream_usage.MODES``.
    """
    global _instrumentor
    if not _imported or _yielded or _instrumentor is not None:
        return
    from hf_openobserve.capture.trace_config import trace_config
    from hf_openobserve.instrumentors.huggingface_hub import HuggingFaceHubInstrumentor

    class AgentInstrumentor(HuggingFaceHubInstrumentor):
        # A singleton of its own: the application's HuggingFaceHubInstrumentor() reports what it would without us.
        _instance = None
        _is_instrumented_by_opentelemetry = False

    instrumentor: Any = AgentInstrumentor()
    config = trace_config()
    _arming.disarm()  # the hooks go on the methods themselves
    instrumentor.instrument(
        tracer_provider=tracer_provider, skip_dep_check=True, config=config, stream_usage=stream_usage
    )
    _instrumentor = instrumentor


def watch(module: Any) -> None:
    """Make way when the application itself calls ``instrument`` of the module's ``HuggingFaceHubInstrumentor``."""
    instrumentor_class = module.HuggingFaceHubInstrumentor
    original = instrumentor_class.instrument

    @functools.wraps(original)
    def instrument(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self).__name__ != "AgentInstrumentor":
            kwargs = diagnostics.guarded("own instrument", _make_way, kwargs, default=kwargs)
        return original(self, *args, **kwargs)

    instrumentor_class.instrument = instrument


def _make_way(kwargs: Any) -> Any:
    """Step back, and see to it that the spans reach us too. Returns the arguments to instrument with."""
    global _instrumentor, _yielded
    from hf_openobserve.capture import foreign

    _yielded = True
    _arming.disarm()
    if _instrumentor is not None:
        _instrumentor.uninstrument()
        _instrumentor = None
    return foreign.shared(kwargs)
