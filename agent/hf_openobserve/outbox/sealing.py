"""Closes the segment of a process that sends nothing itself, so that ``ship`` beside it can take what is in it.

A process with a destination closes its segment to send it. Without one, calls would wait in it for 511 more, or for the
end of the process, and after five hours no server takes them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hf_openobserve.process import daemon, diagnostics

if TYPE_CHECKING:
    from hf_openobserve.outbox.store import DirectoryStore


class Sealing:
    """Seals a store's segment ``after_s`` seconds after the first span in it; a thread is there for that time alone."""

    def __init__(self, store: DirectoryStore, after_s: float) -> None:
        self._store = store
        self._after_s = after_s
        self._may_start = [True]
        """Empty while a thread waits. No lock: a fork would have to wait for it."""

    def begin(self) -> None:
        """A span has been appended. Called on the application's threads."""
        try:
            self._may_start.pop()
        except IndexError:  # it will be sealed
            return
        if daemon.start(self._seal, "hf-openobserve-sealing") is None:
            self._may_start.append(True)

    def _seal(self) -> None:
        try:
            time.sleep(self._after_s)
            self._may_start.append(True)  # before: a span that comes from now on may be too late for this one
            self._store.seal()
        except Exception:  # noqa: BLE001 - a thread of the host process must not print a traceback
            diagnostics.account("sealing")

    def after_fork_in_child(self) -> None:
        """The thread stayed in the parent."""
        self._may_start = [True]
