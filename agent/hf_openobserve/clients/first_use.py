"""Stage one for a client library: methods of its classes are replaced until the first client is built or used.

Nothing of OpenTelemetry is imported here: a program that imports a client library and never uses it pays for no more.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, List, Tuple

from hf_openobserve import clients
from hf_openobserve.process import diagnostics, signals


class Arming:
    """The replaced methods of one library."""

    def __init__(self) -> None:
        self._armed: List[Tuple[Any, str, Any, Any]] = []
        self._wrapped: List[Any] = []
        """Ours that somebody has wrapped after us: they stay in that chain, and just pass on."""
        self._postponed: List[Any] = []

    def __bool__(self) -> bool:
        """True while a class of the library waits for its first client to be built or used."""
        return bool(self._armed)

    def arm(self, client_class: Any, name: str) -> None:
        """Let the next call of ``client_class.name`` activate, and then run what activation has put in its place."""
        original = getattr(client_class, name)
        if any(entry[2] is original for entry in self._armed):
            return
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def armed(*args: Any, **kwargs: Any) -> Any:
                return await self._instead_of(armed, original, client_class, name)(*args, **kwargs)

        else:

            @functools.wraps(original)
            def armed(*args: Any, **kwargs: Any) -> Any:
                return self._instead_of(armed, original, client_class, name)(*args, **kwargs)

        self._armed.append((client_class, name, armed, original))
        setattr(client_class, name, armed)

    def activate(self) -> None:
        """Activate, then disarm: until it is done, a client built or used on another thread waits for it too.

        Where the program's own exception interrupts it everything stays armed, and the next client activates.
        """
        if self._armed:
            self._postponed.clear()
            diagnostics.guarded("activate", activate)
            self.disarm()

    def postpone(self, client_class: Any) -> None:
        """Called while activating: the class cannot be instrumented now, it stays armed."""
        self._postponed.append(client_class)

    def disarm(self) -> None:
        """Put the methods back, but those of classes that were postponed."""
        # Several threads may be here at once; whoever finds the list empty finds the methods in place.
        for entry in list(self._armed):
            client_class, name, ours, original = entry
            if any(postponed is client_class for postponed in self._postponed):
                continue
            if vars(client_class).get(name) is ours:
                setattr(client_class, name, original)
            elif vars(client_class).get(name) is not original:
                self._wrapped.append(ours)
            if entry in self._armed:
                self._armed.remove(entry)

    def _instead_of(self, ours: Any, original: Any, client_class: Any, name: str) -> Any:
        if vars(client_class).get(name) is ours and not any(entry[2] is ours for entry in self._armed):
            # Put back by somebody who had it replaced while we activated, as a test's patch does at its end.
            self._wrapped = [wrapped for wrapped in self._wrapped if wrapped is not ours]
            setattr(client_class, name, original)
            diagnostics.guarded("activate", activate)
        else:
            diagnostics.guarded("activate", self.activate)
        current = getattr(client_class, name)
        # Beneath somebody's wrapper the class's method is that wrapper: it would be entered a second time.
        return original if current is ours or any(wrapped is ours for wrapped in self._wrapped) else current


def activate() -> None:
    """Activate, or finish what could not be done before."""
    with signals.handled_after():
        clients.agent().activate()


def is_mocked(value: Any) -> bool:
    """True for what ``unittest.mock`` puts in place of something for a while: it is not to be instrumented."""
    mock: Any = sys.modules.get("unittest.mock")
    return mock is not None and isinstance(getattr(value, "mock", value), mock.NonCallableMock)
