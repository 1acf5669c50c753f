"""Stage one for a client library: methods of its classes are replaced until the first client is built or used.

Nothing of OpenTelemetry is imported here: a program that imports a client library and never uses it pays for no more.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, List, Tuple

from hf_openobserve import diagnostics


class Arming:
    """The replaced methods of one library."""

    def __init__(self) -> None:
        self._armed: List[Tuple[Any, str, Any, Any]] = []
        self._wrapped: List[Any] = []
        """Ours that somebody has wrapped after us: they stay in that chain, and just pass on."""

    def __bool__(self) -> bool:
        """True while the library's first client has neither been built nor used."""
        return bool(self._armed)

    def arm(self, client_class: Any, name: str) -> None:
        """Let the next call of ``client_class.name`` activate, and then run what activation has put in its place."""
        original = getattr(client_class, name)
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def armed(*args: Any, **kwargs: Any) -> Any:
                return await self._instead_of(armed, original, client_class, name)(*args, **kwargs)

        else:

            @functools.wraps(original)
            def armed(*args: Any, **kwargs: Any) -> Any:
                return self._instead_of(armed, original, client_class, name)(*args, **kwargs)

        setattr(client_class, name, armed)
        self._armed.append((client_class, name, armed, original))

    def activate(self) -> None:
        """Activate, then disarm: until it is done, a client built or used on another thread waits for it too."""
        if self._armed:
            try:
                from hf_openobserve import activate

                diagnostics.guarded("activate", activate.activate)
            finally:  # also where that cannot be imported: our method must not stand for itself
                self.disarm()

    def disarm(self) -> None:
        """Put the methods back."""
        # Several threads may be here at once; whoever finds the list empty finds the methods in place.
        for client_class, name, ours, original in list(self._armed):
            if vars(client_class).get(name) is ours:
                setattr(client_class, name, original)
            elif vars(client_class).get(name) is not original:
                self._wrapped.append(ours)
        self._armed.clear()

    def _instead_of(self, ours: Any, original: Any, client_class: Any, name: str) -> Any:
        diagnostics.guarded("activate", self.activate)
        # Beneath somebody's wrapper the class's method is that wrapper: it would be entered a second time.
        return original if any(wrapped is ours for wrapped in self._wrapped) else getattr(client_class, name)
