"""How commands that stay are ended: by Ctrl-C or SIGTERM, between two pieces of their work."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Callable, Dict, Optional, Type

TICK_S = 0.2
"""How late a signal may be noticed."""

SAME_S = 0.1
"""A signal so soon after the first is the same one: ``timeout`` sends it to the process, and to its group."""


class Interruption:
    """Ctrl-C and SIGTERM end the run after the step under way: a delivery that is broken off might be made twice.

    A second one breaks it off, as KeyboardInterrupt. For the main thread; a signal that is ignored stays so.
    """

    def __init__(self) -> None:
        self.signal_number: Optional[int] = None
        self._came = 0.0
        self._until = math.inf
        self._before: Dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether a signal has come, or the time is over that was granted after one."""
        return self.signal_number is not None or time.monotonic() >= self._until

    def grant(self, seconds: float) -> None:
        """Go on for so long after a signal. The next one counts as the first."""
        self.signal_number, self._until = None, time.monotonic() + seconds

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, _: Optional[FrameType]) -> None:
        now = time.monotonic()
        if self.signal_number is None:
            self.signal_number, self._came = number, now
        elif now - self._came > SAME_S:
            raise KeyboardInterrupt


def sleep(seconds: float, ending: Callable[[], bool]) -> None:
    """In small steps: an event that a signal handler sets can lock up the thread that waits for it."""
    until = time.monotonic() + seconds
    while not ending():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, TICK_S))
