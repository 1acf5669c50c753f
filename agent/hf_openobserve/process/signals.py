"""Lets the program's signals wait for what must not be interrupted in its middle, and keeps them off our threads."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Set

_Handler = Callable[[int, Any], Any]


@contextmanager
def handled_after() -> Iterator[None]:
    """Signals for which the program has a handler are handled when the block ends, and what the handler raises passes.

    Within, the import system would lose an exception: it takes an OSError for a file that is not there, and the
    callbacks of its locks can raise nothing. A signal without a handler does at once what it does without us.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = _handlers(before)
    standing_in = _StandIn(handlers)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        if _has_more_threads():
            standing_in.begin()
        yield
    finally:
        try:
            standing_in.end()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def left_to_the_application() -> Iterator[None]:
    """A thread started within blocks all signals, as it inherits.

    A signal that the application blocks in its own thread, to take it by ``sigwait``, would kill the process if this
    thread were open for it. Faults stay open, or faulthandler would not see them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # a signal that came before may raise in between: what is blocked is given back all the same
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()) - faults)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _StandIn:
    """In the handlers' place: what one thread blocks, the system gives to another, and Python still handles it here."""

    def __init__(self, handlers: Dict[int, _Handler]) -> None:
        self._handlers = handlers
        self._came: List[int] = []
        self._waits = True

    def __call__(self, signum: int, frame: Any) -> None:
        if self._waits:
            self._came.append(signum)
        else:  # left in place, by the exception of a handler that was put back before
            self._handlers[signum](signum, frame)

    def begin(self) -> None:
        """Remember what comes from here on."""
        for number in self._handlers:
            signal.signal(number, self)

    def end(self) -> None:
        """Put the handlers back.

        What came is pending until this thread takes signals again, as if it had come to it.
        """
        self._send_again()
        self._waits = False
        self._send_again()  # what came between the last look and the end
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is self:
                signal.signal(number, handler)

    def _send_again(self) -> None:
        while self._came:
            signal.raise_signal(self._came.pop())


def _handlers(blocked: Set[int]) -> Dict[int, _Handler]:
    """The program's handlers of signals that it does not block.

    But asyncio's: it does nothing, and the event loop is told by other means.
    """
    found: Dict[int, _Handler] = {}
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and number not in blocked and getattr(handler, "__module__", "") != "asyncio.unix_events":
            found[number] = handler
    return found


def _has_more_threads() -> bool:
    """True if another thread, of Python's or of a library in C, may be given a signal."""
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return threading.active_count() > 1
