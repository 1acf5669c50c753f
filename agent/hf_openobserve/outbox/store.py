"""The outbox directory: one active segment per process, and every other segment a sender may claim."""

from __future__ import annotations

import os
from typing import Callable, Iterator, List, Optional

from hf_openobserve.outbox import locks, places, segment
from hf_openobserve.outbox.claims import Claim, Claims
from hf_openobserve.outbox.counters import EVICTED, Counters
from hf_openobserve.outbox.descriptors import Descriptors
from hf_openobserve.outbox.directory import Directory, OutboxUnavailableError, user
from hf_openobserve.outbox.metrics_store import METRICS_SHARE, MetricsStore
from hf_openobserve.outbox.names import Names
from hf_openobserve.outbox.room import Room
from hf_openobserve.outbox.segment import Record
from hf_openobserve.outbox.tuning import DEFAULT, Tuning
from hf_openobserve.outbox.writer import Writer
from hf_openobserve.process import diagnostics


class DirectoryStore:
    """The spans of one destination on disk.

    ``append`` is called on the application's threads, the rest by the sender.
    """

    def __init__(self, root: str, destination: str, max_bytes: int, tuning: Tuning = DEFAULT) -> None:
        """Make the destination's directory in ``root``. Raises ``OutboxUnavailableError`` or another OSError."""
        if not locks.are_there():
            raise OutboxUnavailableError("this platform has no kernel file locks")
        self.root = root
        self.destination = destination
        self._make_place()
        self._descriptors = Descriptors()
        self._names = names = Names()
        self.counters = Counters(self.place, tuning)
        self.writer = Writer(self.place, self._make_place, destination, names, self._descriptors, tuning)
        self.claims = Claims(
            self.place, destination, names=names, descriptors=self._descriptors, is_ours=self.writer.is_active
        )
        self.room = Room(root, self.place, max_bytes, self.writer, self.claims, self.counters)
        # Locking and writing work here: known before a span depends on it.
        self.claims.prove_locks()
        self.writer.open()

    @property
    def lock(self) -> object:
        """Held across a fork."""
        return self._descriptors.lock

    @property
    def max_bytes(self) -> int:
        """The bound of the outbox."""
        return self.room.max_bytes

    def place(self) -> Directory:
        """Our directory as it stands there now. Raises OSError where it is gone, or another's by now."""
        return places.outbox(self.root).subdirectory(os.path.basename(self.directory), (user(),))

    def append(self, start_unix_nano: int, payload: bytes) -> None:
        """Write one span; on disk when this returns. Raises OSError when the disk does not take it. Re-entrant."""
        if len(payload) > segment.MAX_PAYLOAD_BYTES or not self.room.is_for(len(payload)):
            self._leave_out(start_unix_nano, payload)
            return
        record = segment.span_record(start_unix_nano, payload)
        if self.room.is_due(len(record)):
            diagnostics.guarded("make room", self.make_room, len(record))
        with self._descriptors.lock:
            self.writer.append(record)
            self.room.wrote(len(record))

    def metrics(self) -> MetricsStore:
        """Where metrics for the same destination wait."""
        return MetricsStore(
            lambda: places.metrics(self.place(), create=True),
            self.destination,
            self._names,
            self._descriptors,
            self.max_bytes // METRICS_SHARE,
        )

    def seal(self) -> None:
        """What has been written can be claimed. Raises OSError."""
        self.writer.seal()

    def leave(self) -> None:
        """The process ends: no segment without a span stays behind."""
        self.writer.leave()

    def claim(self) -> Iterator[Claim]:
        """Segments nobody holds, oldest first, each locked while the caller works on it."""
        return self.claims.claim()

    def segments(self) -> List[str]:
        """Paths of all segments of this destination, oldest first."""
        return [os.path.join(place.path, name) for place, name in self.claims.waiting()]

    def has_others(self) -> bool:
        """True if there are segments of other processes, living or dead."""
        return any(not self.writer.is_active(path) for path in self.segments())

    def set_aside(self, record: Record) -> None:
        """Keep a span that the server refuses by itself. Raises OSError if it cannot be kept."""
        self.claims.set_aside(record)

    def make_room(self, more: int = 0) -> int:
        """Keep the bound, with ``more`` bytes to come. Returns the number of spans lost."""
        return self.room.make(more)

    def after_fork_in_child(self) -> None:
        """Let go of what the parent holds: what the child writes is its own."""
        self._names.renew()
        self.writer.after_fork_in_child()
        self.room.after_fork_in_child()
        self.counters.after_fork_in_child()
        self._descriptors.after_fork_in_child()

    def _make_place(self) -> None:
        self.directory = places.make_destination(self.root, self.destination).path

    def _leave_out(self, start_unix_nano: int, payload: bytes) -> None:
        """Beyond what a reader takes for a record, or what leaves no room for anything else."""
        self.counters.add(EVICTED, [start_unix_nano])
        diagnostics.guarded("counters", self.counters.flush)
        diagnostics.say_once(
            f"a span of {len(payload)} bytes is too large for the outbox and left out, "
            "see OPENOBSERVE_HF_OUTBOX_MAX_MB",
            about="large",
        )


def open_store(explicit_root: Optional[str], destination: str, max_bytes: int) -> DirectoryStore:
    """The outbox at the configured place, the user's state directory, or a temporary one.

    Raises ``OutboxUnavailableError``.
    """
    reasons = []
    candidates: List[Callable[[], str]] = [places.default_root, places.make_temporary_root]
    if explicit_root:
        candidates = [lambda: explicit_root]
    for candidate in candidates:
        try:
            return DirectoryStore(candidate(), destination, max_bytes)
        except OSError as error:
            diagnostics.pass_the_programs_own()
            reasons.append(str(error))
            diagnostics.debug(f"outbox: {error}")
    raise OutboxUnavailableError("; ".join(reasons))
