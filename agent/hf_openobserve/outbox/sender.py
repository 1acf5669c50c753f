"""The sender: one thread per process that delivers what waits, with its first span, and again when more comes.

Nothing of it runs on the application's threads but ``wake`` and, at exit, the bounded ``drain``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Optional, Protocol

from hf_openobserve.openobserve import answers
from hf_openobserve.openobserve.session import import_requests
from hf_openobserve.outbox import fork_warning
from hf_openobserve.process import daemon, diagnostics, events

if TYPE_CHECKING:
    from hf_openobserve.outbox.delivery import Delivery
    from hf_openobserve.outbox.metering import Metering


class Answer(Protocol):
    """What the thread tells that it has tried: an ``events.Event``, or what reaches an event loop."""

    def set(self) -> None:
        """Called on the sender's thread. Raises nothing."""


class Sender:
    """The rhythm of a delivery, and its thread."""

    def __init__(self, delivery: Delivery, *, at_once: bool = False) -> None:
        """at_once: a span is not held back for others that may come: the process may be frozen soon."""
        self.delivery = delivery
        self._at_once = at_once
        self.metering: Optional[Metering] = None
        """The numbers of the calls, written and sent by the same thread."""
        self._tuning = delivery.tuning
        self._reset()

    def _reset(self) -> None:
        self._thread: Optional[threading.Thread] = None
        self._stopped = False
        self._may_start = [True]
        """Empty while a thread is being started.

        No lock: ``start`` lets greenlets run, and one would keep the others.
        """
        self._lock_kind: Any = threading.Lock
        self._work = events.Event(self._new_lock)
        self._urgent = events.Event(self._new_lock)
        self._asking: Deque[Answer] = deque()
        """One for each that waits for an answer, see ``ask``."""
        self._asks_for_numbers = False
        self._is_delivering = False
        self._flushes = 0
        self._no_drain_before = 0.0
        self._drained_for_s = 0.0

    @property
    def importing(self) -> Any:
        """A lock that is held while the thread imports, and across a fork."""
        return self.delivery.importing

    def wake(self) -> None:
        """A span has been appended: see to it that the thread runs and knows. Called on the application's threads."""
        self.ready()
        if not self._work.is_set():
            self._work.set()

    def ready(self) -> None:
        """A span has begun: see to it that the thread runs when it ends, which may be too late to start one."""
        if self._thread is None:
            self._start()

    def stop(self, timeout_s: float) -> bool:
        """End the thread for good, after the request under way. True if it has ended within ``timeout_s`` seconds."""
        self._stopped = True
        self._work.set()
        self._urgent.set()
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def drain(self, timeout_s: float) -> bool:
        """One attempt to deliver what waits, now. True if the outbox was emptied within ``timeout_s`` seconds.

        Where the server named a time to come back, or only a person can mend what is wrong, there is no attempt: the
        spans are on disk.
        """
        thread = self._thread
        now = time.monotonic()
        if thread is None or not thread.is_alive() or timeout_s <= 0:
            return False
        if now < self._no_drain_before and timeout_s <= self._drained_for_s:
            return False
        answer = self.new_answer()
        self.ask(answer)
        answered = answer.wait(timeout_s)
        drained = answered and not self.delivery.backoff.failures
        if not drained:
            # Several may ask at exit, one after the other (our own hook, and each joined provider's): one budget for
            # all.
            self._no_drain_before = now + timeout_s + self._tuning.drain_again_after_s
            self._drained_for_s = timeout_s
        return drained

    def owes(self, *, numbers: bool = False) -> bool:
        """Whether something waits, or is on its way, and there is a thread to deliver it. numbers: of metrics, too."""
        thread, metering = self._thread, self.metering
        if thread is None or not thread.is_alive():
            return False
        # In this order: what is being delivered is no work any more.
        return bool(
            self._work.is_set()
            or self._is_delivering
            or self.delivery.backoff.failures
            or (numbers and metering is not None and metering.has_news)
        )

    def ask(self, answer: Answer, *, numbers: bool = False) -> None:
        """Have the thread deliver what waits, now. It sets ``answer`` when it has tried.

        numbers: those of metrics are written before, though their interval is not over.
        """
        if numbers:
            self._asks_for_numbers = True
        self._asking.append(answer)
        self._urgent.set()
        self._work.set()

    def new_answer(self) -> events.Event:
        """For ``ask``: to be waited for on the calling thread, or greenlet."""
        return events.Event(self._new_lock)

    def before_fork(self) -> None:
        """Called after the locks are held that a child must not inherit held by the thread."""
        if (
            self._is_native()
        ):  # a greenlet is no thread to the interpreter, and asking whether it lives may switch to it
            fork_warning.prepare(1 if self._thread is not None and self._thread.is_alive() else 0)

    def after_fork_in_parent(self) -> None:
        """A process with children takes over what they leave when they are killed, so its thread starts here.

        Not a greenlet: no other one may run in a fork hook.
        """
        if events.is_native(threading.Lock()):
            self.ready()

    def after_fork_in_child(self) -> None:
        """The thread stayed in the parent; the child's own starts with its first span."""
        self._reset()
        self.delivery.after_fork_in_child()

    def _start(self) -> None:
        if self._stopped:
            return
        try:
            self._may_start.pop()
        except IndexError:  # another thread is about to
            return
        try:
            if self._thread is not None:
                return
            # What the thread waits on must be of its own kind, a thread's or a greenlet's: that is decided now.
            self._lock_kind = threading.Lock
            # None: the spans are on disk.
            self._thread = daemon.start(self._run, "hf-openobserve-sender")
        finally:
            self._may_start.append(True)

    def _new_lock(self) -> Any:
        return self._lock_kind()

    def _is_native(self) -> bool:
        """False if the thread is a greenlet, by gevent or eventlet."""
        return events.is_native(self._new_lock())

    def _run(self) -> None:
        try:
            with self.importing:
                uninstrumented = _uninstrumented()
                if self._at_once:  # while the first call waits for its model
                    import_requests()
            with uninstrumented:
                # A greenlet survives a fork, where a thread does not: in the child it is not this sender's any more.
                me = self._thread = threading.current_thread()
                while self._thread is me and not self._stopped:
                    self._turn()
        except Exception:  # noqa: BLE001 - a thread of the host process must not print a traceback
            diagnostics.account("sender")
            self._thread = None

    def _turn(self) -> None:
        """Wait for work and for its time, deliver once, and tell those who asked for it."""
        backoff, steps = self.delivery.backoff, self._tuning.flush_steps_s
        if not backoff.failures:  # what failed waits for its time below, though no further span comes
            self._wait(self._work, self._tuning.idle_scan_s)
        linger_s = 0.0 if self._at_once else steps[min(self._flushes, len(steps) - 1)]
        self._wait(self._urgent, max(linger_s, backoff.wait_s()))
        if self._stopped:
            return
        self._is_delivering = True
        # Cleared before the requests are counted: one that comes between the two is counted, or wakes the next turn.
        self._urgent.clear()
        self._work.clear()
        asking = [self._asking.popleft() for _ in range(len(self._asking))]
        if not (asking and backoff.patient and backoff.wait_s()):
            try:
                self.delivery.deliver()
            except Exception:  # noqa: BLE001 - nobody would start the thread again if no further span came
                diagnostics.account("delivery")
                self.delivery.failed(answers.Verdict(answers.RETRY, "an error of the agent's own"))
            self._deliver_metrics(now=bool(asking))
        self._flushes += 1
        self._is_delivering = False
        for answer in asking:
            answer.set()

    def _wait(self, event: events.Event, seconds: float) -> None:
        """Wait for the event. However long that takes, metrics are written at their time."""
        until = time.monotonic() + seconds
        left = seconds
        while left > 0:
            metering = self.metering
            if event.wait(left if metering is None else min(left, metering.wait_s())):
                return
            if metering is not None:
                diagnostics.guarded("metrics", metering.turn)
            left = until - time.monotonic()

    def _deliver_metrics(self, *, now: bool) -> None:
        metering = self.metering
        if metering is None:
            return
        asks_for_numbers, self._asks_for_numbers = self._asks_for_numbers, False
        try:
            if asks_for_numbers:
                metering.write()
            else:
                metering.turn()
            if not self.delivery.backoff.failures:  # else the same server would be asked in vain
                metering.deliver(now=now)
        except Exception:  # noqa: BLE001 - spans go on
            diagnostics.account("metrics")


def _uninstrumented() -> Any:
    """Our own requests are no spans, whichever HTTP instrumentor the process runs."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    return suppress_instrumentation()
