"""The calls of this process in numbers: noted where they end, put together and written by the sender's thread.

``note`` runs on the application's threads: it takes no lock and does no I/O. What an interval brought is one record of
the outbox: from then on it waits there, as spans do, until the server has accepted it.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping

from hf_openobserve import __version__
from hf_openobserve.metrics import calls
from hf_openobserve.metrics.aggregation import MOST_POINTS, Aggregation
from hf_openobserve.openobserve import answers
from hf_openobserve.otlp import metrics as encoding
from hf_openobserve.outbox.delivery import Delivery, Source
from hf_openobserve.outbox.segment import Record
from hf_openobserve.process import diagnostics
from hf_openobserve.row.record import ResourceRecord, ScopeRecord

SCOPE = ScopeRecord("hf_openobserve.metrics", __version__)
_INSTANCE = "service.instance.id"
_MOST_NOTES = 4096
"""Put together on the calling thread beyond that: the sender's may not run any more."""
_MOST_UNWRITTEN = 64
_EXIT_WAIT_S = 1.0
_NO_SUCH_PATH = (404, 405)


class MetricsDelivery(Delivery):
    """As of spans. ``optional``: a server that has no such path is left alone, and nobody is told."""

    what = "metrics"
    optional = False

    def failed(self, verdict: answers.Verdict) -> None:
        """A server may take spans and no metrics."""
        if self.is_unwanted(verdict):
            self.failure = verdict
            diagnostics.debug(f"{self.client.destination.shown_endpoint} takes no metrics: {verdict.reason}")
        else:
            super().failed(verdict)

    def is_unwanted(self, verdict: answers.Verdict) -> bool:
        """True if there is no such path, and nobody has asked for metrics.

        OpenObserve has it: 404 is a wrong address.
        """
        return self.optional and verdict.status in _NO_SUCH_PATH and self.client.destination.kind != "openobserve"

    def _report_losses(self, store: Source) -> None:
        """What was lost of them is said on stderr, and is no span."""


class Metering:
    """The numbers of one process, from its calls to the outbox."""

    def __init__(
        self, store: Any, delivery: MetricsDelivery, interval_s: float, *, is_delta: bool, legacy: bool = False
    ) -> None:
        """``store`` and ``delivery`` are of metrics alone."""
        self.delivery = delivery
        self.resource = ResourceRecord({})
        self.mask: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda labels: labels
        """Takes secrets out of labels: those of calls without a row have not been looked at."""
        self.cost: Callable[[Mapping[str, Any], int], Mapping[str, Any]] = lambda *_: {}
        """The columns of a call's cost, from those that it is computed from and its nanoseconds."""
        self._masked: Dict[Any, Any] = {}
        self._store = store
        self._interval_s = interval_s
        self._is_delta = is_delta
        self._legacy = legacy
        self._reset()

    def _reset(self) -> None:
        self.is_on = True
        """False once the destination has said that it takes none."""
        self._notes: Deque[calls.Measured] = deque()
        self._aggregation = Aggregation(time.time_ns(), is_delta=self._is_delta)
        self._has_news = False
        self._unwritten: List[Record] = []
        """Records that the disk has not taken yet."""
        self._may_work = [True]
        """Empty while a thread is at it. No lock: a fork would have to wait for it, and a greenlet would keep others.
        """
        self._due_at = time.monotonic() + self._interval_s
        self._look_at = 0.0

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """The resource of what is written. Each process is an instance of its own: points of two are no series."""
        self.resource = ResourceRecord({_INSTANCE: str(uuid.uuid4()), **attributes})

    def note(self, attributes: Mapping[str, Any], start_unix_nano: int, end_unix_nano: int) -> None:
        """A call has ended, with these columns. On the application's threads."""
        if self.is_on:
            self._notes.append(calls.measured(attributes, start_unix_nano, end_unix_nano))
            if len(self._notes) > _MOST_NOTES:
                self._work(write=False)

    @property
    def has_news(self) -> bool:
        """Whether there is something that has not been written."""
        return bool(self._notes or self._has_news or self._unwritten)

    def wait_s(self) -> float:
        """Seconds until ``turn`` has something to do, or may have."""
        if self.has_news:
            return max(0.01, self._due_at - time.monotonic())
        return self._interval_s

    def turn(self) -> None:
        """Put together what was noted, and write it if the interval is over."""
        self._work(write=time.monotonic() >= self._due_at)

    def write(self) -> None:
        """Write what there is, now: the process ends. Waits, for a bounded time, for a thread that is at it."""
        until = time.monotonic() + _EXIT_WAIT_S
        while not self._work(write=True) and time.monotonic() < until:
            time.sleep(0.01)

    def deliver(self, *, now: bool = False) -> None:
        """Send what waits, also what other processes left: where something was written, ``now``, or once in a while."""
        delivery = self.delivery
        if not self.is_on or (delivery.backoff.wait_s() and not now):
            return
        if not (now or delivery.backoff.failures or time.monotonic() >= self._look_at):
            return
        self._look_at = time.monotonic() + delivery.tuning.idle_scan_s
        if not delivery.deliver() and delivery.failure is not None and delivery.is_unwanted(delivery.failure):
            self.is_on = False
            self._notes.clear()
            for claimed in self._store.claim():
                claimed.delete()

    def _work(self, *, write: bool) -> bool:
        """False if another thread is at it."""
        try:
            self._may_work.pop()
        except IndexError:
            return False
        try:
            self._put_together()
            if write and self.is_on:
                self._write()
        finally:
            self._may_work.append(True)
        return True

    def _put_together(self) -> None:
        while self._notes:
            diagnostics.guarded("metrics", self._take, self._notes.popleft())
            self._has_news = True

    def _take(self, call: calls.Measured) -> None:
        call = call._replace(labels=self._without_secrets(call.labels))
        columns = call.columns_of_cost()
        cost = {**columns, **diagnostics.guarded("cost", self.cost, columns, call.nanoseconds, default={})}
        for sample in calls.samples(call, cost, legacy=self._legacy):
            self._aggregation.add(sample)

    def _without_secrets(self, labels: Any) -> Any:
        """The same few come with every call of a program."""
        masked = self._masked.get(labels)
        if masked is None:
            if len(self._masked) >= MOST_POINTS:
                self._masked.clear()
            named = {name: value for name, value in zip(calls.LABELS, labels) if value is not None}
            masked = self._masked[labels] = tuple(map(self.mask(named).get, calls.LABELS))
        return masked

    def _write(self) -> None:
        self._due_at = time.monotonic() + self._interval_s
        collected = self._aggregation.collect(time.time_ns())
        self._has_news = False
        if collected is not None:
            payload = encoding.encode(collected, self.resource, SCOPE)
            self._unwritten = [*self._unwritten[-_MOST_UNWRITTEN:], (collected.time_unix_nano, payload)]
        while self._unwritten:
            try:
                self._store.append(*self._unwritten[0])
            except OSError:
                diagnostics.swallowed("metrics")
                return
            del self._unwritten[0]
            self._look_at = 0.0

    def after_fork_in_child(self) -> None:
        """The child starts from zero: what its parent noted, its parent writes."""
        self._reset()
        self.delivery.after_fork_in_child()
        self._store.after_fork_in_child()
        self.describe({name: value for name, value in self.resource.attributes.items() if name != _INSTANCE})


def of(store: Any, client: Any, interval_s: float, *, is_delta: bool, legacy: bool, optional: bool) -> Metering:
    """The metering of a process whose metrics wait in ``store``."""
    delivery = MetricsDelivery(store, client)
    delivery.optional = optional
    return Metering(store, delivery, interval_s, is_delta=is_delta, legacy=legacy)
