"""Functions that freeze: what was recorded is delivered before the answer goes back, or waits for the next invocation.

The delivery is the sender's, on its own thread, and begins with the end of a call. Here the thread that answers waits
for it: bounded by the exit budget, never on a thread that runs an event loop (docs/functions.md).
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.outbox.sender import Sender

_AGAIN_AFTER_FAILURE_S = 1.0
"""A server that does not take spans is not asked at each answer; by itself the sender asks it less and less."""
_AGAIN_AFTER_SILENCE_S = 5.0
"""After a wait that was in vain further ones are left out for so long: a silent server must not delay each answer."""


class Flushing:
    """The waits of one process. ``numbers``: for metrics, too, since the platform ends a process without a signal."""

    def __init__(self, sender: Sender, budget_s: float, *, numbers: bool) -> None:
        self.sees_answers = False
        """True once answers go back by a way that we see: then calls do not wait."""
        self._sender = sender
        self._budget_s = budget_s
        self._numbers = numbers
        self._not_before = 0.0

    def after_call(self) -> None:
        """A call has ended on this thread, and nobody tells us when the answer goes back that it is for."""
        if not self.sees_answers and self._is_due(self._budget_s) and not _runs_an_event_loop():
            self._wait(self._budget_s)

    def before_answer(self, left_s: float = math.inf) -> None:
        """An answer is about to go back. ``left_s``: seconds after which the platform would end the invocation."""
        seconds = min(self._budget_s, left_s)
        if self._is_due(seconds):
            self._wait(seconds)

    async def before_answer_of_task(self) -> None:
        """The same on an event loop, of asyncio's kind: other tasks go on meanwhile."""
        if not self._is_due(self._budget_s):
            return
        import asyncio

        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        self._sender.ask(_OnLoop(loop, answered), numbers=self._numbers)
        done, _ = await asyncio.wait([answered], timeout=self._budget_s)
        self._note(bool(done))

    def _is_due(self, seconds: float) -> bool:
        return seconds > 0 and self._sender.owes(numbers=self._numbers) and time.monotonic() >= self._not_before

    def _wait(self, seconds: float) -> None:
        answer = self._sender.new_answer()
        self._sender.ask(answer, numbers=self._numbers)
        self._note(answer.wait(seconds))

    def _note(self, answered: bool) -> None:
        if not answered:
            self._not_before = time.monotonic() + _AGAIN_AFTER_SILENCE_S
        elif self._sender.delivery.backoff.failures:
            self._not_before = time.monotonic() + _AGAIN_AFTER_FAILURE_S


class _OnLoop:
    """Tells a future of an event loop's, from the sender's thread."""

    def __init__(self, loop: Any, future: Any) -> None:
        self._loop = loop
        self._future = future

    def set(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:  # it has been closed meanwhile
            pass

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _runs_an_event_loop() -> bool:
    """Whether this thread runs asyncio's loop, or trio's.

    Both are asked by public functions, where they are imported.
    """
    return any(
        diagnostics.guarded("event loop", is_running, default=True)
        for is_running in (_asyncio(), _trio())
        if is_running is not None
    )


def _asyncio() -> Optional[Callable[[], bool]]:
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else lambda: _does_not_raise(asyncio.get_running_loop)


def _trio() -> Optional[Callable[[], bool]]:
    trio = sys.modules.get("trio")
    return None if trio is None else lambda: _does_not_raise(trio.lowlevel.current_task)


def _does_not_raise(call: Callable[[], Any]) -> bool:
    try:
        call()
    except RuntimeError:
        return False
    return True
