"""Applications that instrument OpenAI themselves: theirs stays the only instrumentation, and our processor joins it.

Imported when one of ``arm.OPENAI_INSTRUMENTORS`` has been imported, by the application or by our own activation.
"""

from __future__ import annotations

import functools
from typing import Any

from hf_openobserve import diagnostics


def watch(module: Any) -> None:
    """Wrap ``instrument`` of the module's ``OpenAIInstrumentor``. Other instrumentors are left as they are."""
    instrumentor_class = getattr(module, "OpenAIInstrumentor", None)
    original = getattr(instrumentor_class, "instrument", None)
    if instrumentor_class is None or original is None:
        diagnostics.debug(f"{module.__name__} has no OpenAIInstrumentor.instrument")
        return

    @functools.wraps(original)
    def instrument(self: Any, *args: Any, **kwargs: Any) -> Any:
        from hf_openobserve.capture import openai

        if not openai.is_ours(self):
            kwargs = diagnostics.guarded("foreign instrument", _make_way, kwargs, default=kwargs)
        return original(self, *args, **kwargs)

    instrumentor_class.instrument = instrument


def _make_way(kwargs: Any) -> Any:
    from hf_openobserve.capture import openai

    openai.yield_to_application()
    return shared(kwargs)


def shared(kwargs: Any) -> Any:
    """The arguments of an application's ``instrument``, such that its spans reach us too and its config is ours."""
    from hf_openobserve import activate, provider

    activate.adopt_config(kwargs.get("config"))
    theirs = kwargs.get("tracer_provider")
    if theirs is None or isinstance(theirs, provider.ResolvingTracerProvider):
        # No provider named: the global one at the time of each span, or ours while there is none.
        return {**kwargs, "tracer_provider": provider.ResolvingTracerProvider(activate.provider, activate.join)}
    activate.join(theirs)
    return kwargs
