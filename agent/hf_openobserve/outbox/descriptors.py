"""The files of the outbox that this process holds open, for a forked child to close.

A segment's lock goes with its descriptor: a child that kept the parent's would hold its segments when it is dead.
"""

from __future__ import annotations

import os
import threading
from typing import Dict, NamedTuple

from hf_openobserve.outbox.directory import Identity, identity_of


class Held(NamedTuple):
    """A descriptor that we have opened, and the file that it stands for."""

    fd: int
    identity: Identity


class Descriptors:
    """What is open now. ``lock`` is held from the opening to the note of it, and across a fork."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Re-entrant: the garbage collector may end a span on a thread that appends another one."""
        self._held: Dict[int, Held] = {}

    def add(self, fd: int) -> Held:
        """Note a descriptor that has been opened. Call with the lock held. Raises OSError if it is none."""
        held = self._held[fd] = Held(fd, identity_of(os.fstat(fd)))
        return held

    def close(self, held: Held) -> None:
        """Close it, unless its number stands for another file by now. Idempotent.

        That may be the application's, which closed ours, or one that an append within an append has opened.
        """
        if self._held.get(held.fd) is not held:  # the very one: a file system gives a free inode out again
            return
        del self._held[held.fd]
        try:
            if identity_of(os.fstat(held.fd)) == held.identity:
                os.close(held.fd)
        except OSError:
            pass

    def after_fork_in_child(self) -> None:
        """Let go of what the parent holds: close, never unlock (``LOCK_UN`` here would release the parent's lock)."""
        self.lock = threading.RLock()
        for held in list(self._held.values()):
            self.close(held)
