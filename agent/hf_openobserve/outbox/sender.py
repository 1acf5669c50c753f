"""The sender: one thread per process that takes spans from the outbox to the server, and leaves them there until accepted.

It starts with the first span. Seal, claim, POST, delete what was accepted; on failure back off with full jitter and keep
everything. Nothing of it runs on the application's threads but ``wake`` and, at exit, the bounded ``drain``.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple, Union

from hf_openobserve import diagnostics
from hf_openobserve.openobserve import answers
from hf_openobserve.outbox import fork_warning

if TYPE_CHECKING:
    from hf_openobserve.openobserve.client import Client
    from hf_openobserve.outbox.memory import MemoryStore
    from hf_openobserve.outbox.store import DirectoryStore, Record

    Store = Union[DirectoryStore, MemoryStore]

FLUSH_STEPS_S = (0.2, 0.4, 0.7, 1.0)
"""Delay between a span and its delivery: short for the first ones, which somebody waits to see; about a second later on."""
IDLE_SCAN_S = 15.0
"""How often an idle sender looks for segments that dead processes left."""
BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
BLOCKED_RETRY_S = 60.0
"""After a refusal that only a person can mend: how long until it is worth asking again."""
DRAIN_AGAIN_AFTER_S = 5.0
"""After a drain that did not empty the outbox, further ones return at once for so long."""
MAX_BATCH_SPANS = 512
MAX_BATCH_BYTES = 4 * 1024 * 1024


class Sender:
    """Delivers the spans of its stores by one client."""

    def __init__(self, store: Store, client: Client) -> None:
        self.stores: List[Store] = [store]
        self.client = client
        self._reset()

    def also_from(self, store: Store) -> None:
        """Deliver from ``store`` too: the disk stopped taking spans, and what is on it must go all the same."""
        self.stores.append(store)

    def _reset(self) -> None:
        self.importing = threading.Lock()
        """Held while the thread imports. A child forked meanwhile would wait for that module's import lock for ever."""
        self._thread: Optional[threading.Thread] = None
        self._start_lock = threading.Lock()
        self._work = threading.Event()
        self._urgent = threading.Event()
        self._state = threading.Condition()
        self._requested = self._answered = 0
        self._flushes = 0
        self._failures = 0
        self._not_before = 0.0
        self._no_drain_before = 0.0
        self._drained_for_s = 0.0
        self._patient = False

    def wake(self) -> None:
        """A span has been appended: see to it that the thread runs and knows. Called on the application's threads."""
        if self._thread is None:
            self._start()
        if not self._work.is_set():
            self._work.set()

    def ready(self) -> None:
        """A span has begun: see to it that the thread runs when it ends, which may be too late to start one."""
        if self._thread is None:
            self._start()

    def adopt(self) -> None:
        """Start before the first span if there is something that others left.

        Processes that live for one call each would otherwise leave theirs to the next one, again and again.
        """
        if any(store.has_others() for store in self.stores):
            self.wake()

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
        with self._state:
            self._requested += 1
            mine = self._requested
        self._urgent.set()
        self._work.set()
        with self._state:
            answered = self._state.wait_for(lambda: self._answered >= mine, timeout_s)
        drained = answered and self._failures == 0
        if not drained:
            # Several may ask at exit, one after the other (our own hook, and each joined provider's): one budget for all.
            self._no_drain_before = now + timeout_s + DRAIN_AGAIN_AFTER_S
            self._drained_for_s = timeout_s
        return drained

    def before_fork(self) -> None:
        """Called after the locks are held that a child must not inherit held by the thread."""
        fork_warning.prepare(1 if self._thread is not None and self._thread.is_alive() else 0)

    def after_fork_in_parent(self) -> None:
        """A process with children takes over what they leave when they are killed, so its thread starts here."""
        if self._thread is None:
            self._start()

    def after_fork_in_child(self) -> None:
        """The thread stayed in the parent; the child's own starts with its first span."""
        self._reset()
        for store in self.stores:
            store.after_fork_in_child()
        self.client.after_fork_in_child()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="hf-openobserve-sender", daemon=True)
            try:
                with _signals_left_to_the_application():
                    thread.start()
            except RuntimeError:
                # The interpreter is shutting down, or the process may have no more threads: the spans are on disk.
                diagnostics.swallowed("sender start")
                return
            self._thread = thread

    def _run(self) -> None:
        try:
            with self.importing:
                uninstrumented = _uninstrumented()
            with uninstrumented:
                while True:
                    self._turn()
        except Exception:  # noqa: BLE001 - a thread of the host process must not print a traceback
            diagnostics.swallowed("sender")
            self._thread = None

    def _turn(self) -> None:
        """Wait for work and for its time, deliver once, and tell those who asked for it."""
        if not self._failures:  # what failed waits for its time below, though no further span comes
            self._work.wait(IDLE_SCAN_S)
        pause = FLUSH_STEPS_S[min(self._flushes, len(FLUSH_STEPS_S) - 1)]
        self._urgent.wait(max(pause, self._not_before - time.monotonic()))
        # Cleared before the requests are counted: one that comes between the two is counted, or wakes the next turn.
        self._urgent.clear()
        self._work.clear()
        with self._state:
            requested = self._requested
        asked = requested > self._answered
        if not (asked and self._patient and time.monotonic() < self._not_before):
            try:
                self.deliver()
            except Exception:  # noqa: BLE001 - nobody would start the thread again if no further span came
                diagnostics.swallowed("delivery")
                self._back_off(answers.Verdict(answers.RETRY, "an error of the agent's own"))
        self._flushes += 1
        with self._state:
            self._answered = requested
            self._state.notify_all()

    def deliver(self) -> bool:
        """Send everything that can be claimed, until the server does not take it. True if nothing failed."""
        delivered = [self._deliver_from(store) for store in self.stores]
        if all(delivered):
            self._failures = 0
            self._patient = False
            self._not_before = 0.0
        return self._failures == 0

    def _deliver_from(self, store: Store) -> bool:
        store.seal()
        delivered = True
        for claimed in store.claim():
            left, verdict = self._send(claimed.records, store)
            if left:
                claimed.keep(left)
                self._back_off(verdict)
                delivered = False
                break
            claimed.delete()
        store.make_room()
        return delivered

    def _send(self, records: List[Record], store: Store) -> Tuple[List[Record], answers.Verdict]:
        """Send the records in batches. Returns those that must be sent again, and why."""
        verdict = answers.Verdict(answers.ACCEPTED)
        with self.importing:
            _import_what_sending_needs()
        pending = batches(records)
        while pending:
            batch = pending.pop(0)
            verdict = self.client.send([payload for _, payload in batch])
            if verdict.outcome == answers.ACCEPTED:
                if verdict.rejected:
                    diagnostics.say_once(
                        f"the server rejected {verdict.rejected} of {len(batch)} spans for good: {verdict.reason}",
                        about="rejected",
                    )
            elif verdict.outcome == answers.REFUSED:
                if len(batch) > 1:
                    # One span the server cannot take spoils the request for all: halve until it stands alone.
                    middle = len(batch) // 2
                    pending[:0] = [batch[:middle], batch[middle:]]
                else:
                    diagnostics.guarded("set aside", store.set_aside, batch[0])
                    diagnostics.say_once(
                        f"the server refuses a span, which is set aside: {verdict.reason}", about="set aside"
                    )
            else:
                return [record for left in (batch, *pending) for record in left], verdict
        return [], verdict

    def _back_off(self, verdict: answers.Verdict) -> None:
        self._failures += 1
        where = self.client.destination.shown_endpoint
        diagnostics.debug(f"delivery to {where} failed: {verdict.reason}")
        if verdict.outcome == answers.BLOCKED:
            # Gateways put a request id into every refusal: its beginning tells which kind it is.
            kind = "blocked: " + verdict.reason[:16]
            diagnostics.say_once(f"{where} takes no spans: {verdict.reason}. They wait in the outbox", about=kind)
            delay, self._patient = BLOCKED_RETRY_S, True
        elif verdict.retry_after_s is not None:
            delay, self._patient = verdict.retry_after_s, True
        else:
            ceiling = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(self._failures - 1, 16))
            delay, self._patient = random.uniform(0, ceiling), False  # noqa: S311 - full jitter, not cryptography
        self._not_before = time.monotonic() + delay


def batches(records: List[Record]) -> List[List[Record]]:
    """Cut records into requests of at most ``MAX_BATCH_SPANS`` spans and about ``MAX_BATCH_BYTES``, in order."""
    result: List[List[Record]] = []
    size = 0
    for record in records:
        if not result or len(result[-1]) >= MAX_BATCH_SPANS or size + len(record[1]) > MAX_BATCH_BYTES:
            result.append([])
            size = 0
        result[-1].append(record)
        size += len(record[1])
    return result


def _import_what_sending_needs() -> None:
    """What ``client.send`` would import: requests, and the codec that every connection's host name goes through."""
    import encodings.idna  # noqa: F401

    import requests  # noqa: F401


@contextlib.contextmanager
def _signals_left_to_the_application() -> Iterator[None]:
    """A thread started within blocks all signals, as it inherits.

    A signal that the application blocks in its own thread, to take it by ``sigwait``, would kill the process if this
    thread were open for it. Faults stay open, or faulthandler would not see them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    faults = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.valid_signals()) - faults)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _uninstrumented() -> Any:
    """Our own requests are no spans, whichever HTTP instrumentor the process runs."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    return suppress_instrumentation()
