"""Applications that instrument a client library themselves: theirs stays the only one, and our processor joins it.

Imported when one of a library's ``instrumentors`` has been imported, by the application or by our own activation.
"""

from __future__ import annotations

import functools
from typing import Any

from hf_openobserve import clients
from hf_openobserve.clients import contract
from hf_openobserve.process import diagnostics


def watch(module: Any, library: contract.ClientLibrary) -> None:
    """Wrap ``instrument`` of the module's instrumentor of the library. Other instrumentors are left as they are."""
    name = library.client.instrumentor_class
    instrumentor_class = getattr(module, name, None)
    original = getattr(instrumentor_class, "instrument", None)
    if instrumentor_class is None or original is None:
        diagnostics.debug(f"{module.__name__} has no {name}.instrument")
        return

    if getattr(original, "_hf_makes_way", False):
        return  # its module was reloaded, and holds the class it held

    @functools.wraps(original)
    def instrument(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not contract.is_agents(self):
            kwargs = diagnostics.guarded("application's instrument", _make_way, library, kwargs, default=kwargs)
        return original(self, *args, **kwargs)

    instrument._hf_makes_way = True  # type: ignore[attr-defined]  # noqa: SLF001
    instrumentor_class.instrument = instrument


def _make_way(library: contract.ClientLibrary, kwargs: Any) -> Any:
    """The arguments of the application's ``instrument``, such that its spans reach us too and its config is ours."""
    library.yield_to()
    agent = clients.agent()
    agent.adopt_config(kwargs.get("config"))
    return {**kwargs, "tracer_provider": agent.shared(kwargs.get("tracer_provider"))}
