"""The outbox where no disk can be written: ``store.DirectoryStore``'s interface, bounded, gone with the process."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, Iterator, List

from hf_openobserve.outbox import counters
from hf_openobserve.outbox.segment import Record
from hf_openobserve.outbox.tuning import DEFAULT, Tuning
from hf_openobserve.process import diagnostics

MAX_BYTES = 8 * 1024 * 1024
"""Bound of what waits in memory. The host's memory is not ours: less than the disk may hold."""


class MemoryStore:
    """Spans waiting in memory, oldest first."""

    def __init__(self, max_bytes: int = MAX_BYTES, tuning: Tuning = DEFAULT) -> None:
        self._tuning = tuning
        self.max_bytes = max_bytes
        self.lock = threading.RLock()
        self._waiting: Deque[Record] = deque()
        self._bytes = 0
        self._in_hand: List[MemoryClaim] = []
        """What is being sent."""
        self._lost: List[int] = []
        """How many since the last ``make_room``, and the start of the first and the last of them."""
        self.counters = counters.Counters(tuning=tuning)

    def append(self, start_unix_nano: int, payload: bytes) -> None:
        """Keep one span; beyond the bound the oldest goes, and is counted."""
        with self.lock:
            self._waiting.append((start_unix_nano, payload))
            self._bytes += len(payload)
            while self._bytes > self.max_bytes and len(self._waiting) > 1:
                oldest = self._waiting.popleft()
                self._bytes -= len(oldest[1])
                # Not a note for each: where there is no sender nobody takes those away.
                count, first, last = self._lost or (0, oldest[0], oldest[0])
                self._lost = [count + 1, min(first, oldest[0]), max(last, oldest[0])]
        if self._lost:
            diagnostics.say_once("too many spans wait in memory: the oldest are dropped")

    def seal(self) -> None:
        """Nothing to close."""

    def leave(self) -> None:
        """Nothing stays behind."""

    def claim(self) -> Iterator[MemoryClaim]:
        """What waits now, in portions of about one request."""
        with self.lock:
            remaining = len(self._waiting)
        while remaining > 0:
            claimed = self._take(remaining)
            remaining -= len(claimed.records)
            if not claimed.records:
                claimed.release()
                return
            try:
                yield claimed
            finally:
                if not claimed.held:
                    claimed.release()

    def has_others(self) -> bool:
        """Nobody else can leave anything here."""
        return False

    def set_aside(self, record: Record) -> None:  # noqa: ARG002 - the interface of ``store.DirectoryStore``
        """Raises OSError: a refused span has nowhere to be kept."""
        raise OSError("there is no outbox on disk")

    def make_room(self) -> int:
        """The number of spans lost to the bound since the last call."""
        with self.lock:
            lost, self._lost = self._lost, []
        if not lost:
            return 0
        self.counters.add(counters.EVICTED, lost[1:], lost[0])
        return lost[0]

    def take_all(self, *, in_hand: bool = False) -> List[Record]:
        """All that waits, which is the caller's then.

        ``in_hand``: also what is being sent, and may arrive all the same.
        """
        with self.lock:
            taken = [record for claimed in self._in_hand if in_hand for record in claimed.take()]
            taken += self._waiting
            self._waiting.clear()
            self._bytes = 0
        return taken

    def after_fork_in_child(self) -> None:
        """The parent sends what it has: the child starts empty, so that nothing is sent twice."""
        self.lock = threading.RLock()
        self._waiting.clear()
        self._in_hand = []
        self._bytes, self._lost = 0, []
        self.counters.after_fork_in_child()

    def _take(self, limit: int) -> MemoryClaim:
        taken: List[Record] = []
        size = 0
        with self.lock:
            while self._waiting and len(taken) < limit and size < self._tuning.segment_bytes:
                taken.append(self._waiting.popleft())
                size += len(taken[-1][1])
            self._bytes -= size
            claimed = MemoryClaim(self, taken)
            self._in_hand.append(claimed)
        return claimed

    def put_back(self, claimed: MemoryClaim) -> None:
        """It is no longer in hand; what of it has not been delivered waits again, before all others."""
        with self.lock:
            if claimed not in self._in_hand:  # put back already, or of the process that this one was forked from
                return
            self._in_hand.remove(claimed)
            records = claimed.take()
            self._waiting.extendleft(reversed(records))
            self._bytes += sum(len(payload) for _, payload in records)


class MemoryClaim:
    """Spans taken out of the store; what is not deleted goes back at ``release``."""

    path = ""
    """As of ``claims.Claim``: there is none."""

    def __init__(self, store: MemoryStore, records: List[Record]) -> None:
        self._store = store
        self.records = records
        self._left = records
        self._taken = False
        self.expired: List[Record] = []
        self.held = False
        """As of ``claims.Claim``."""

    def delete(self) -> None:
        """The spans are delivered, or accounted for."""
        self._left = []

    def keep(self, records: List[Record]) -> None:
        """Only ``records`` remain to be sent."""
        if not self._taken:
            self._left = records

    def take(self) -> List[Record]:
        """What has not been delivered, which is the caller's from now on."""
        self._taken = True
        left, self._left = self._left, []
        return left

    def release(self) -> None:
        """Put back what is left. Idempotent."""
        self._store.put_back(self)
