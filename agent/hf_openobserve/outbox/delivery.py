"""Delivery: what waits in the stores is sent, and what the server's verdict means for each span. It has no thread.

Claim, POST, delete what was accepted; what failed stays. A request that is refused is cut until the guilty span stands
alone, which is shortened or set aside.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Protocol, Set, Tuple

from hf_openobserve.openobserve import answers
from hf_openobserve.openobserve.session import import_requests
from hf_openobserve.outbox import batches, counters
from hf_openobserve.outbox.backoff import Backoff
from hf_openobserve.outbox.tuning import DEFAULT, Tuning
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.openobserve.ingest import Client
    from hf_openobserve.outbox.pricing import Pricing
    from hf_openobserve.outbox.segment import Record
    from hf_openobserve.row.record import ResourceRecord

_PORTIONS_IN_BOUND = 8
_MOST_HALVINGS = 6
_MOST_LEFT = 256
NO_SPAN = b"\x0a\x00"
"""A serialised request with one ResourceSpans that has no span in it."""
INTERRUPTED = answers.Verdict(answers.RETRY, "interrupted")
"""The server was not asked."""


class Claimed(batches.Holdable, Protocol):
    """Spans that nobody else sends meanwhile: ``claims.Claim`` and ``memory.MemoryClaim``."""

    path: str
    expired: List[Record]

    def keep(self, records: List[Record]) -> None:
        """Only these remain to be sent."""

    def delete(self) -> object:
        """None does."""


class Source(Protocol):
    """Where spans wait: ``store.DirectoryStore``, ``memory.MemoryStore``, and what ``hf-openobserve ship`` finds."""

    counters: counters.Counters

    @property
    def max_bytes(self) -> int:
        """The bound of what waits."""

    def seal(self) -> None:
        """What has been written can be claimed."""

    def claim(self) -> Iterable[Claimed]:
        """What waits, oldest first."""

    def set_aside(self, record: Record) -> None:
        """Keep a span that is not sent again. Raises OSError."""

    def make_room(self) -> int:
        """Keep the bound. Returns the number of spans lost."""


class Delivery:
    """From the stores of one process to one server."""

    what = "spans"
    """That are sent, for people."""

    def __init__(
        self,
        store: Source,
        client: Client,
        window_s: Optional[float] = None,
        tuning: Tuning = DEFAULT,
        *,
        ending: Callable[[], bool] = lambda: False,
        answered: Callable[[answers.Verdict], None] = lambda _: None,
        pricing: Optional[Pricing] = None,
    ) -> None:
        """``window_s``: how long after its start the server takes a span, in seconds; None if it takes every one.

        Once it is ``ending`` the server is asked no more. ``answered`` is told what it says of spans.
        ``pricing`` adds what calls cost to what is sent, and not to what waits.
        """
        self.stores: List[Source] = [store]
        self.client = client
        self.tuning = tuning
        self.resource: Optional[ResourceRecord] = None
        """Of the last span recorded: what was lost is reported under it."""
        self._window_s = window_s
        self._ending = ending
        self._answered = answered
        self.pricing = pricing
        self._max_batch_bytes = tuning.batch_bytes
        self._reset()

    def _reset(self) -> None:
        self.failure: Optional[answers.Verdict] = None
        """Why the last attempt ended early; None if it did not."""
        self.backoff = Backoff(self.tuning)
        self.importing = threading.Lock()
        """Held while something is imported.

        A child forked meanwhile would wait for that module's import lock for ever.
        """
        self._timeouts = 0
        self._left: Dict[str, Set[int]] = {}
        """Of segments that could not be written anew: the starts of the spans that are still to be sent.

        One that has been cut keeps its own.
        """

    def also_from(self, store: Source) -> None:
        """Deliver from ``store`` too: the disk stopped taking spans, and what is on it must go all the same."""
        self.stores.append(store)

    def after_fork_in_child(self) -> None:
        """The child has connections and failures of its own; the stores are reset by who owns them."""
        self._reset()
        self.client.after_fork_in_child()

    def deliver(self) -> bool:
        """Send everything that can be claimed, until the server does not take it. True if nothing failed."""
        self.failure = None
        # One server for all stores: what it told one of them holds for the others.
        delivered = all(self._deliver_from(store) for store in self.stores)
        if delivered:
            self.backoff.succeeded()
        for store in self.stores:
            if delivered:
                diagnostics.guarded("losses", self._report_losses, store)
            else:
                diagnostics.guarded("counters", store.counters.flush)
        return delivered

    def failed(self, verdict: answers.Verdict) -> None:
        """The attempt has ended with this: what waits stays, and the next one comes later."""
        self.failure = verdict
        self.backoff.failed(verdict)
        where = self.client.destination.shown_endpoint
        diagnostics.debug(f"delivery to {where} failed: {verdict.reason}")
        if verdict.outcome == answers.BLOCKED:
            # Gateways put a request id into every refusal: its beginning tells which kind it is.
            kind = f"{self.what} blocked: " + verdict.reason[:16]
            diagnostics.say_once(f"{where} takes no {self.what}: {verdict.reason}. They wait in the outbox", about=kind)

    def _deliver_from(self, store: Source) -> bool:
        # What was rescued may find no disk: what stands there, and what waits in memory, goes all the same.
        diagnostics.guarded("seal", store.seal)
        delivered = True
        # Small against the bound: what is held while it is sent cannot be dropped for room, and it is the oldest.
        max_bytes = min(self._batch_bytes, store.max_bytes // _PORTIONS_IN_BOUND)
        for portion in batches.portions(store.claim(), max_bytes, self.tuning):
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

    def _deliver_portion(self, portion: List[Claimed], store: Source) -> bool:
        """Send what is in these segments: as one request, or else each by itself.

        False if the server is not to be asked on.
        """
        fresh = [self._fresh(claimed, store) for claimed in portion]
        if len(portion) > 1:
            together = [record for records in fresh for record in records]
            verdict = self._post(together, store) if together else answers.Verdict(answers.ACCEPTED)
            if verdict.outcome == answers.ACCEPTED:
                for claimed in portion:
                    self._done(claimed, store)
                return True
            if verdict.outcome in (answers.RETRY, answers.BLOCKED):
                self.failed(verdict)
                return False
        for claimed, records in zip(portion, fresh):
            left, verdict = self._send(records, claimed, store)
            if left:
                self._keep(claimed, left, store)
                self.failed(verdict)
                return False
            self._done(claimed, store)
        return True

    def _fresh(self, claimed: Claimed, store: Source) -> List[Record]:
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

    def _keep(self, claimed: Claimed, records: List[Record], store: Source) -> None:
        """Only ``records`` remain to be sent.

        Where that cannot be written the segment stays, and what expired in it.
        """
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

    def _done(self, claimed: Claimed, store: Source) -> None:
        """Nothing remains to be sent."""
        claimed.delete()
        self._left.pop(claimed.path, None)
        self._count_expired(claimed, store)

    def _count_expired(self, claimed: Claimed, store: Source) -> None:
        records, claimed.expired = claimed.expired, []
        if records:
            store.counters.add(counters.EXPIRED, [start for start, _ in records])
            diagnostics.say_once(
                f"spans that began more than {(self._window_s or 0) / 3600:g} h ago are dropped: "
                "the server takes none so old, see OPENOBSERVE_HF_MAX_AGE_H",
                about="expired",
            )

    def _send(self, records: List[Record], claimed: Claimed, store: Source) -> Tuple[List[Record], answers.Verdict]:
        """Send the records in batches. Returns those that must be sent again, and why."""
        verdict = answers.Verdict(answers.ACCEPTED)
        taken = False
        pending = batches.cut(records, self.tuning.batch_spans, self._batch_bytes)
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
                    nothing = self._takes_nothing(verdict)
                    if nothing is not None:
                        return [record for left in (batch, *pending) for record in left], nothing
                    taken = True
                if len(batch) > 1:
                    # One span the server cannot take spoils the request for all: halve until it stands alone.
                    pending[:0] = batches.halves(batch, by_bytes=verdict.outcome == answers.TOO_LARGE)
                elif verdict.outcome == answers.TOO_LARGE and len(batch[0][1]) > self.tuning.smallest_cut_bytes:
                    shorter = self._cut(batch[0], store, verdict)
                    pending[:0] = [[shorter]] if shorter is not None else []
                else:
                    self._set_aside(batch[0], store, verdict)
            else:
                return [record for left in (batch, *pending) for record in left], verdict
        return [], verdict

    def _takes_nothing(self, verdict: answers.Verdict) -> Optional[answers.Verdict]:
        """Why the server also refuses a request without a span, so that no span is guilty; None if it takes that."""
        empty = self._ask([NO_SPAN])
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
        smallest = min(self.tuning.smallest_batch_bytes, self._max_batch_bytes)
        return max(smallest, self._max_batch_bytes >> self._timeouts)

    def _remember_limit(self, batch: List[Record]) -> None:
        """A gateway may take less than the server: the next requests are small enough at once."""
        half = batches.size_of(batch) // 2
        self._max_batch_bytes = max(self.tuning.smallest_batch_bytes, min(self._max_batch_bytes, half))

    def _ask(self, payloads: List[bytes]) -> answers.Verdict:
        if self._ending():
            return INTERRUPTED
        with self.importing:
            import_requests()
        return self.client.send(payloads)

    def _post(self, batch: List[Record], store: Source) -> answers.Verdict:
        verdict = self._ask(self._priced([payload for _, payload in batch]))
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
                    f"the server rejected {rejected} of {len(batch)} {self.what} for good: {verdict.reason}",
                    about="rejected",
                )
        self._answered(verdict)
        return verdict

    def _priced(self, payloads: List[bytes]) -> List[bytes]:
        if self.pricing is None:
            return payloads
        with self.importing:
            diagnostics.guarded("prices", self.pricing.load)
        return [self.pricing(payload) for payload in payloads]

    def _cut(self, record: Record, store: Source, verdict: answers.Verdict) -> Optional[Record]:
        """The span at half its size; None if that is not possible, and it is set aside."""
        start, payload = record
        try:
            with self.importing:
                from hf_openobserve.otlp import shorten
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

    def _set_aside(self, record: Record, store: Source, verdict: answers.Verdict) -> None:
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

    def _report_losses(self, store: Source) -> None:
        """Now that the server takes spans, tell it of those that it will not get.

        Not through the outbox: a report that is lost as well must not be counted again.
        """
        untold = store.counters.untold()
        if untold is None:
            return
        with self.importing:
            from hf_openobserve.outbox import losses
        if self._ask([losses.encode(untold, self.resource)]).outcome == answers.ACCEPTED:
            store.counters.told(untold)
