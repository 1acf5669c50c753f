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
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union

from hf_openobserve import diagnostics
from hf_openobserve.openobserve import answers
from hf_openobserve.openobserve.client import import_requests
from hf_openobserve.outbox import counters, events, fork_warning

if TYPE_CHECKING:
    from hf_openobserve.openobserve.client import Client
    from hf_openobserve.outbox.memory import MemoryClaim, MemoryStore
    from hf_openobserve.outbox.store import Claim, DirectoryStore, Record
    from hf_openobserve.record import ResourceRecord

    Store = Union[DirectoryStore, MemoryStore]
    AnyClaim = Union[Claim, MemoryClaim]

_random = random.SystemRandom()

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
MAX_BATCH_BYTES = 5 * 1024 * 1024
"""Of one request: those of a whole segment."""
MAX_BATCH_SEGMENTS = 32
"""Segments sent as one request. Each one is an open file, and the host may be short of descriptors."""
_PORTIONS_IN_BOUND = 8
SMALLEST_BATCH_BYTES = 64 * 1024
"""However little a gateway takes in one request: one span more or less is not what it minds."""
_MOST_HALVINGS = 6
_MOST_LEFT = 256
NO_SPAN = b"\x0a\x00"
"""A serialised request with one ResourceSpans that has no span in it."""
SMALLEST_CUT_BYTES = 16 * 1024
"""A span that is still too large for the server at this size is not cut further."""


class Sender:
    """Delivers the spans of its stores by one client."""

    def __init__(self, store: Store, client: Client, window_s: Optional[float] = None) -> None:
        """``window_s``: how long after its start the server takes a span, in seconds; None if it takes every one."""
        self.stores: List[Store] = [store]
        self.client = client
        self.resource: Optional[ResourceRecord] = None
        """Of the last span recorded: what was lost is reported under it."""
        self._window_s = window_s
        self._max_batch_bytes = MAX_BATCH_BYTES
        self._reset()

    def wait_s(self) -> float:
        """Seconds until the next attempt is due: the server's ``Retry-After``, or the backoff; 0 if none failed."""
        return max(0.0, self._not_before - time.monotonic())

    def also_from(self, store: Store) -> None:
        """Deliver from ``store`` too: the disk stopped taking spans, and what is on it must go all the same."""
        self.stores.append(store)

    def _reset(self) -> None:
        self._timeouts = 0
        self._left: Dict[str, Set[int]] = {}
        """Of segments that could not be written anew: the starts of the spans that are still to be sent (one that has been
        cut keeps its own)."""
        self.importing = threading.Lock()
        """Held while the thread imports. A child forked meanwhile would wait for that module's import lock for ever."""
        self._thread: Optional[threading.Thread] = None
        self._may_start = [True]
        """Empty while a thread is being started. No lock: ``start`` lets greenlets run, and one would keep the others."""
        self._lock_kind: Any = threading.Lock
        self._work = events.Event(self._new_lock)
        self._urgent = events.Event(self._new_lock)
        self._asking: Deque[events.Event] = deque()
        """One for each drain that waits for an answer."""
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
        answer = events.Event(self._new_lock)
        self._asking.append(answer)
        self._urgent.set()
        self._work.set()
        answered = answer.wait(timeout_s)
        drained = answered and self._failures == 0
        if not drained:
            # Several may ask at exit, one after the other (our own hook, and each joined provider's): one budget for all.
            self._no_drain_before = now + timeout_s + DRAIN_AGAIN_AFTER_S
            self._drained_for_s = timeout_s
        return drained

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
        if self._thread is None and events.is_native(threading.Lock()):
            self._start()

    def after_fork_in_child(self) -> None:
        """The thread stayed in the parent; the child's own starts with its first span."""
        self._reset()
        for store in self.stores:
            store.after_fork_in_child()
        self.client.after_fork_in_child()

    def _start(self) -> None:
        try:
            self._may_start.pop()
        except IndexError:  # another thread is about to
            return
        try:
            if self._thread is not None:
                return
            # What the thread waits on must be of its own kind, a thread's or a greenlet's: that is decided now.
            self._lock_kind = threading.Lock
            thread = threading.Thread(target=self._run, name="hf-openobserve-sender", daemon=True)
            try:
                with _signals_left_to_the_application():
                    thread.start()
            except RuntimeError:
                # The interpreter is shutting down, or the process may have no more threads: the spans are on disk.
                diagnostics.swallowed("sender start")
                return
            self._thread = thread
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
            with uninstrumented:
                # A greenlet survives a fork, where a thread does not: in the child it is not this sender's any more.
                me = self._thread = threading.current_thread()
                while self._thread is me:
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
        asking = [self._asking.popleft() for _ in range(len(self._asking))]
        if not (asking and self._patient and time.monotonic() < self._not_before):
            try:
                self.deliver()
            except Exception:  # noqa: BLE001 - nobody would start the thread again if no further span came
                diagnostics.swallowed("delivery")
                self._back_off(answers.Verdict(answers.RETRY, "an error of the agent's own"))
        self._flushes += 1
        for answer in asking:
            answer.set()

    def deliver(self) -> bool:
        """Send everything that can be claimed, until the server does not take it. True if nothing failed."""
        # One server for all stores: what it told one of them holds for the others.
        delivered = all(self._deliver_from(store) for store in self.stores)
        if delivered:
            self._failures = 0
            self._patient = False
            self._not_before = 0.0
        for store in self.stores:
            if delivered:
                diagnostics.guarded("losses", self._report_losses, store)
            else:
                diagnostics.guarded("counters", store.counters.flush)
        return delivered

    def _deliver_from(self, store: Store) -> bool:
        # What was rescued may find no disk: what stands there, and what waits in memory, goes all the same.
        diagnostics.guarded("seal", store.seal)
        delivered = True
        claims = store.claim()
        # Small against the bound: what is held while it is sent cannot be dropped for room, and it is the oldest.
        for portion in _portions(claims, min(self._batch_bytes, store.max_bytes // _PORTIONS_IN_BOUND)):
            try:
                delivered = self._deliver_portion(portion, store)
            finally:
                for claimed in portion:
                    claimed.release()
            diagnostics.guarded("counters", store.counters.flush)  # a process may be killed in a long delivery
            if not delivered:
                break
        diagnostics.guarded("make room", store.make_room)
        return delivered

    def _deliver_portion(self, portion: List[AnyClaim], store: Store) -> bool:
        """Send what is in these segments: as one request, or else each by itself. False if the server is not to be asked on."""
        fresh = [self._fresh(claimed, store) for claimed in portion]
        if len(portion) > 1:
            together = [record for records in fresh for record in records]
            verdict = self._post(together, store) if together else answers.Verdict(answers.ACCEPTED)
            if verdict.outcome == answers.ACCEPTED:
                for claimed in portion:
                    self._done(claimed, store)
                return True
            if verdict.outcome in (answers.RETRY, answers.BLOCKED):
                self._back_off(verdict)
                return False
        for claimed, records in zip(portion, fresh):
            left, verdict = self._send(records, claimed, store)
            if left:
                self._keep(claimed, left, store)
                self._back_off(verdict)
                return False
            self._done(claimed, store)
        return True

    def _fresh(self, claimed: AnyClaim, store: Store) -> List[Record]:
        """The records without those that began too long ago: the server would say 200 and drop them."""
        records = claimed.records
        left = self._left.get(claimed.path)
        if left is not None:
            records = [record for record in records if record[0] in left]
        if self._window_s is None:
            return records
        oldest = time.time_ns() - int(self._window_s * 1e9)
        fresh = [record for record in records if record[0] >= oldest]
        expired = [record for record in records if record[0] < oldest]
        if expired:
            claimed.expired = expired
            self._keep(claimed, fresh, store)
        return fresh

    def _keep(self, claimed: AnyClaim, records: List[Record], store: Store) -> None:
        """Only ``records`` remain to be sent. Where that cannot be written the segment stays, and what expired in it."""
        try:
            claimed.keep(records)
        except Exception:  # noqa: BLE001 - a full disk: sending on is what makes room
            diagnostics.swallowed("keep")
            if len(self._left) >= _MOST_LEFT:  # others delivered these: to forget one costs a repetition at the most
                self._left.clear()
            self._left[claimed.path] = {start for start, _ in (*records, *claimed.expired)}
        else:
            self._left.pop(claimed.path, None)
            self._count_expired(claimed, store)  # only now: what is counted is gone

    def _done(self, claimed: AnyClaim, store: Store) -> None:
        """Nothing remains to be sent."""
        claimed.delete()
        self._left.pop(claimed.path, None)
        self._count_expired(claimed, store)

    def _count_expired(self, claimed: AnyClaim, store: Store) -> None:
        records, claimed.expired = claimed.expired, []
        if records:
            self.expired(records, store)

    def expired(self, records: List[Record], store: Store) -> None:
        """Account for spans that are not sent any more."""
        store.counters.add(counters.EXPIRED, [start for start, _ in records])
        diagnostics.say_once(
            f"spans that began more than {(self._window_s or 0) / 3600:g} h ago are dropped: the server takes none so old, "
            "see OPENOBSERVE_HF_MAX_AGE_H",
            about="expired",
        )

    def _send(self, records: List[Record], claimed: AnyClaim, store: Store) -> Tuple[List[Record], answers.Verdict]:
        """Send the records in batches. Returns those that must be sent again, and why."""
        verdict = answers.Verdict(answers.ACCEPTED)
        taken = False
        pending = batches(records, self._batch_bytes)
        while pending:
            batch = pending.pop(0)
            verdict = self._post(batch, store)
            if verdict.outcome == answers.ACCEPTED:
                if pending:  # a process that is killed now must not send them twice
                    self._keep(claimed, [record for following in pending for record in following], store)
                taken = True
            elif verdict.outcome in (answers.REFUSED, answers.TOO_LARGE):
                if verdict.outcome == answers.TOO_LARGE:
                    self._remember_limit(batch)
                elif not taken:
                    nothing = self.takes_nothing(verdict)
                    if nothing is not None:
                        return [record for left in (batch, *pending) for record in left], nothing
                    taken = True
                if len(batch) > 1:
                    # One span the server cannot take spoils the request for all: halve until it stands alone.
                    pending[:0] = _halves(batch, by_bytes=verdict.outcome == answers.TOO_LARGE)
                elif verdict.outcome == answers.TOO_LARGE and len(batch[0][1]) > SMALLEST_CUT_BYTES:
                    shorter = self._cut(batch[0], store, verdict)
                    pending[:0] = [[shorter]] if shorter is not None else []
                else:
                    self._set_aside(batch[0], store, verdict)
            else:
                return [record for left in (batch, *pending) for record in left], verdict
        return [], verdict

    def takes_nothing(self, verdict: answers.Verdict) -> Optional[answers.Verdict]:
        """Whether the server refuses a request without a span as well: then no span is guilty of it, and why is told."""
        empty = self.tell(NO_SPAN)
        if empty.outcome == answers.ACCEPTED:
            return None
        if empty.outcome in (answers.REFUSED, answers.TOO_LARGE):
            return answers.Verdict(
                answers.BLOCKED, f"it refuses every request ({verdict.reason}); check OPENOBSERVE_URL"
            )
        return empty

    @property
    def _batch_bytes(self) -> int:
        """Of one request: less after each one that was not answered in time, until one is."""
        return max(min(SMALLEST_BATCH_BYTES, self._max_batch_bytes), self._max_batch_bytes >> self._timeouts)

    def _remember_limit(self, batch: List[Record]) -> None:
        """A gateway may take less than the server: the next requests are small enough at once."""
        size = sum(len(payload) for _, payload in batch)
        self._max_batch_bytes = max(SMALLEST_BATCH_BYTES, min(self._max_batch_bytes, size // 2))

    def _post(self, batch: List[Record], store: Store) -> answers.Verdict:
        with self.importing:
            import_requests()
        verdict = self.client.send([payload for _, payload in batch])
        if verdict.timed_out:
            self._timeouts = min(_MOST_HALVINGS, self._timeouts + 1)
        if verdict.outcome == answers.ACCEPTED:
            self._timeouts = max(0, self._timeouts - 1)
            starts = [start for start, _ in batch]
            rejected = min(verdict.rejected, len(batch))
            store.counters.add(counters.ACCEPTED, starts, len(batch) - rejected)
            store.counters.add(counters.REJECTED, starts, rejected)
            if rejected:
                diagnostics.say_once(
                    f"the server rejected {rejected} of {len(batch)} spans for good: {verdict.reason}", about="rejected"
                )
        return verdict

    def _cut(self, record: Record, store: Store, verdict: answers.Verdict) -> Optional[Record]:
        """The span at half its size; None if that is not possible, and it is set aside."""
        start, payload = record
        try:
            with self.importing:
                from hf_openobserve.outbox import shorten
            shorter = shorten.to_size(payload, len(payload) // 2)
        except Exception:  # noqa: BLE001 - the host's protobuf may not fit, or the bytes may be none of ours
            diagnostics.swallowed("shorten")
            shorter = payload
        if len(shorter) > len(payload) * 3 // 4:  # it is not its texts that make it large
            self._set_aside(record, store, verdict)
            return None
        diagnostics.say_once(
            f"the server takes no span of {len(payload)} bytes ({verdict.reason}): its longest texts are cut",
            about="cut",
        )
        return start, shorter

    def _set_aside(self, record: Record, store: Store, verdict: answers.Verdict) -> None:
        try:
            store.set_aside(record)
        except OSError as error:
            store.counters.add(counters.REJECTED, [record[0]])
            diagnostics.say_once(
                f"the server refuses a span ({verdict.reason}), and it cannot be set aside ({error}): it is dropped",
                about="not set aside",
            )
        else:
            store.counters.add(counters.SET_ASIDE, [record[0]])
            diagnostics.say_once(f"the server refuses a span, which is set aside: {verdict.reason}", about="set aside")

    def _report_losses(self, store: Store) -> None:
        """Now that the server takes spans, tell it of those that it will not get."""
        losses = store.counters.untold()
        if losses is None:
            return
        with self.importing:
            from hf_openobserve.outbox import losses as losses_module

            import_requests()
        if self.tell(losses_module.encode(losses, self.resource)).outcome == answers.ACCEPTED:
            store.counters.told(losses)

    def tell(self, payload: bytes) -> answers.Verdict:
        """Send one span of the agent's own. Not through the outbox: one that is lost as well must not be counted again."""
        return self.client.send([payload])

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
            # Full jitter. The application may have seeded ``random``, and its numbers are its own.
            delay, self._patient = _random.uniform(0, ceiling), False
        self._not_before = time.monotonic() + delay


def _portions(claims: Iterable[AnyClaim], max_bytes: int) -> Iterator[List[AnyClaim]]:
    """Segments, as they come, as many together as make one request. They are the caller's to release."""
    portion: List[AnyClaim] = []
    try:
        spans = size = 0
        for claimed in claims:
            claimed.held = True
            more = sum(len(payload) for _, payload in claimed.records)
            if portion and (
                len(portion) >= MAX_BATCH_SEGMENTS
                or spans + len(claimed.records) > MAX_BATCH_SPANS
                or size + more > max_bytes
            ):
                complete, portion, spans, size = portion, [claimed], 0, 0
                yield complete
            else:
                portion.append(claimed)
            spans += len(claimed.records)
            size += more
        complete, portion = portion, []
        if complete:
            yield complete
    finally:
        for claimed in portion:
            claimed.release()


def _halves(batch: List[Record], *, by_bytes: bool) -> List[List[Record]]:
    """Two parts of a batch of at least two, in order: of as many spans, or of about as many bytes."""
    middle = len(batch) // 2
    if by_bytes:
        half, size = sum(len(payload) for _, payload in batch) / 2, 0
        for middle, (_, payload) in enumerate(batch):  # noqa: B007 - where it stops is what counts
            size += len(payload)
            if size > half:
                break
        middle = min(max(1, middle), len(batch) - 1)
    return [batch[:middle], batch[middle:]]


def batches(records: List[Record], max_bytes: int) -> List[List[Record]]:
    """Cut records into requests of at most ``MAX_BATCH_SPANS`` spans and about ``max_bytes``, in order."""
    result: List[List[Record]] = []
    size = 0
    for record in records:
        if not result or len(result[-1]) >= MAX_BATCH_SPANS or size + len(record[1]) > max_bytes:
            result.append([])
            size = 0
        result[-1].append(record)
        size += len(record[1])
    return result


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
