"""Metrics that wait on disk: the second kind of record, in a subdirectory of its own, a whole segment each.

A record comes once an interval, so no segment is kept open for it; its file appears when it is complete.
"""

from __future__ import annotations

from typing import Callable, Iterator

from hf_openobserve.outbox import places
from hf_openobserve.outbox.claims import Claim, Claims
from hf_openobserve.outbox.counters import Counters
from hf_openobserve.outbox.descriptors import Descriptors
from hf_openobserve.outbox.directory import Directory
from hf_openobserve.outbox.names import Names
from hf_openobserve.outbox.segment import Record
from hf_openobserve.process import diagnostics

METRICS_SHARE = 16
"""The part of the outbox's bound that metrics may take: where nobody takes them, the spans are not dropped for them."""


class MetricsStore:
    """The metrics for one destination, as a source for the delivery."""

    def __init__(
        self,
        place: Callable[[], Directory],
        destination: str,
        names: Names,
        descriptors: Descriptors,
        max_bytes: int,
    ) -> None:
        """``place`` finds, or makes, the directory; it raises OSError where that cannot be."""
        self.max_bytes = max_bytes
        self.counters = Counters()
        """Of this process alone: what is counted in the outbox are spans."""
        self._place = place
        self._names = names
        self._descriptors = descriptors
        self._claims = Claims(place, destination, names=names, descriptors=descriptors)

    def append(self, time_unix_nano: int, payload: bytes) -> None:
        """Write one record; on disk when this returns. Raises OSError when the disk does not take it."""
        held = self._claims.write(self._place(), self._names.new(), [(time_unix_nano, payload)])
        self._descriptors.close(held)

    def seal(self) -> None:
        """Each segment is complete."""

    def claim(self) -> Iterator[Claim]:
        """Segments nobody holds, oldest first."""
        return self._claims.claim()

    def set_aside(self, record: Record) -> None:  # noqa: ARG002 - the interface of ``store.DirectoryStore``
        """Raises OSError: what a server refuses of these is of no use to anybody."""
        raise OSError("metrics are not kept")

    def make_room(self) -> int:
        """Keep the bound: the oldest go. Returns the number of records lost."""
        files = [file for file in self._place().files(places.OUR_FILES) if not file.refused]
        total, lost = sum(file.size for file in files), 0
        for file in files:
            if total <= self.max_bytes:
                break
            claimed = self._claims.take(self._place(), file.name)
            if claimed is not None:
                try:
                    claimed.delete()
                finally:
                    claimed.release()
                lost += 1
            total -= file.size
        if lost:
            diagnostics.say_once("too many metrics wait in the outbox: the oldest are dropped")
        return lost

    def after_fork_in_child(self) -> None:
        """Nothing is held between two calls."""
        self.counters.after_fork_in_child()
