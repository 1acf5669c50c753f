"""An event between the application's threads and the sender's, which holds where ``threading.Event`` does not.

``threading.Event`` takes a lock in ``set``: a span that the garbage collector ends within ``set`` or ``clear`` on the
same thread would wait for ever. And it makes a new lock at each ``wait``, by ``threading``'s global of that moment:
once gevent or eventlet has patched that, a thread from before waits on a lock of the wrong kind. This one takes no
lock.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Callable, Deque


def is_native(lock: Any) -> bool:
    """Whether a lock is the interpreter's.

    gevent's and eventlet's may switch to another greenlet, also where merely asked.
    """
    return type(lock).__module__ == "_thread"


class Event:
    """As ``threading.Event``; ``new_lock`` makes the locks that its waiters wait on."""

    def __init__(self, new_lock: Callable[[], Any]) -> None:
        self._new_lock = new_lock
        self._flag = False
        self._waiters: Deque[Any] = deque()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._flag

    def set(self) -> None:
        """Set it, and wake all that wait. May be called within another call of it."""
        self._flag = True
        while self._waiters:
            try:
                waiter = self._waiters.popleft()
            except IndexError:  # another thread was faster
                return
            waiter.release()

    def clear(self) -> None:
        """Unset it."""
        self._flag = False

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, at most ``timeout_s`` seconds. True if it was."""
        if self._flag or timeout_s <= 0:
            return self._flag
        waiter = self._new_lock()
        waiter.acquire()
        self._waiters.append(waiter)
        # It may have been set before we stood in the queue: then perhaps nobody wakes us.
        woken = self._flag or bool(waiter.acquire(True, timeout_s))
        try:
            self._waiters.remove(waiter)
        except ValueError:  # whoever set it has taken it
            pass
        return woken or self._flag
