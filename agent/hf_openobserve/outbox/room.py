"""Room: the bound of an outbox. Its processes keep it together, by dropping the oldest segments that nobody holds."""

from __future__ import annotations

import os
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Tuple

from hf_openobserve.outbox import places
from hf_openobserve.outbox.claims import Claim, Claims
from hf_openobserve.outbox.counters import EVICTED, Counters
from hf_openobserve.outbox.directory import Directory, user
from hf_openobserve.outbox.writer import Writer
from hf_openobserve.process import diagnostics

_LEAST_BYTES = 16 * 1024
"""Of a segment, and of what a process writes before it looks again whether there is room."""
_LOOKS_IN_BOUND = 128
"""The most that a process writes before it looks again is this part of the bound."""
_MOST_WRITERS = 64
_LOOK_AGAIN_S = 10.0
"""What was free then, others may have taken by now."""
_LOOK_S = 0.05
"""For finding the directories in an outbox where others may make as many as they like: a span's end waits for it."""
_SEGMENTS_IN_BOUND = 16
"""A small outbox has small segments: what a process writes now cannot be dropped for room."""
_LARGEST_SHARE = 2
"""A span that is larger than this part of the bound would drop all others, and is left out."""
_NO_SPANS_WAITING = (places.REJECTED, places.METRICS)
"""Those were counted when they were set aside; these are no spans."""


class _Found(NamedTuple):
    name: str
    size: int
    place: Directory


class Room:
    """Each process looks before it has written its part of what is free, so that all of them together keep the bound.

    The first bytes of each are kept free. What is being sent, and what others are writing, is not deleted.
    """

    def __init__(
        self,
        root: str,
        place: Callable[[], Directory],
        max_bytes: int,
        writer: Writer,
        claims: Claims,
        counters: Counters,
    ) -> None:
        """``place`` finds the directory of our destination, which ``counters`` are of; OSError where that is gone."""
        self.max_bytes = max_bytes
        self._root = root
        self._place = place
        self._writer = writer
        self._claims = claims
        self._counters = counters
        self._others: Dict[str, Counters] = {}
        """Of destinations whose spans were dropped for room, by directory."""
        self._looking = threading.Lock()
        self._looked_at = 0.0
        self._unlooked = 0
        """Bytes written since the last look at the whole outbox, and how many may be before the next one."""
        self._may_write = 0

    def is_for(self, size: int) -> bool:
        """Whether there is ever room for a span of so many bytes."""
        return size <= self.max_bytes // _LARGEST_SHARE

    def is_due(self, more: int) -> bool:
        """Whether to look before ``more`` bytes are written."""
        return self._unlooked + more > self._may_write or time.monotonic() - self._looked_at > _LOOK_AGAIN_S

    def wrote(self, size: int) -> None:
        """Bytes have been written. Called with the lock of the descriptors held."""
        self._unlooked += size

    def make(self, more: int = 0) -> int:
        """Delete the oldest segments until the outbox, and ``more`` bytes, are within the bound.

        Returns the spans lost.
        """
        if not self._looking.acquire(blocking=False):  # another thread is at it, or this one further up
            return 0
        try:
            for other in list(self._others.values()):
                other.flush()
            files = self._files()
            # Of the dead too, as far as they left something: from some number on it tells nothing any more.
            writers = min(_MOST_WRITERS, max(1, len({file.name.partition("-")[2] for file in files})))
            limit = self.max_bytes - min(self.max_bytes // 8, writers * _LEAST_BYTES)
            total = more + sum(file.size for file in files)
            lost = 0
            if total > limit:
                lost, total = self._drop_oldest(files, total, limit - self.max_bytes // _SEGMENTS_IN_BOUND)
            self._unlooked, self._looked_at = 0, time.monotonic()
            most = self.max_bytes // _LOOKS_IN_BOUND
            if total > limit // 2:
                most = min(most, (limit - total) // (4 * writers))
            self._may_write = max(_LEAST_BYTES, most)
            self._writer.segment_bytes = max(_LEAST_BYTES, self.max_bytes // max(_SEGMENTS_IN_BOUND, 4 * writers))
        finally:
            self._looking.release()
        if lost:
            diagnostics.say_once("the outbox is full: the oldest spans are dropped, see OPENOBSERVE_HF_OUTBOX_MAX_MB")
        return lost

    def after_fork_in_child(self) -> None:
        """The child looks before it writes."""
        self._looking = threading.Lock()
        self._may_write = 0
        self._others.clear()

    def _drop_oldest(self, files: List[_Found], total: int, goal: int) -> Tuple[int, int]:
        """Spans lost, and the bytes that are left.

        A little more than needed goes, or the next span would drop again.
        """
        self._writer.close()  # what this process writes may be all that can be dropped: where others hold the rest
        lost = 0
        for file in files:
            if total <= goal:
                break
            claimed = self._claims.take(file.place, file.name)
            if claimed is not None:
                spans, deleted = self._evict(claimed)
                lost += spans
                total -= file.size if deleted else 0
            elif not file.place.has(file.name):  # delivered, or dropped by another process that found the same
                total -= file.size
        return lost, total

    def _evict(self, claimed: Claim) -> Tuple[int, bool]:
        """Delete the segment, of whatever destination, and count its spans there.

        Returns their number, and whether it is gone.
        """
        finished = self._claims.finished
        starts = [start for start, _ in claimed.records if claimed.path not in finished]
        try:
            claimed.place.unlink(claimed.name)
        except OSError as error:
            diagnostics.pass_the_programs_own()
            diagnostics.debug(f"outbox: {error}")
            return 0, False
        finally:
            claimed.release()
        finished.discard(claimed.path)
        if os.path.basename(claimed.place.path) in _NO_SPANS_WAITING:
            return 0, True
        evicted = self._counters_of(claimed.place)
        evicted.add(EVICTED, starts)
        evicted.flush()
        return len(starts), True

    def _counters_of(self, place: Directory) -> Counters:
        try:
            if place.path == self._place().path:
                return self._counters
        except OSError:
            diagnostics.pass_the_programs_own()
        # Kept: where another process has the file in use, the count waits here.
        return self._others.setdefault(place.path, Counters(lambda: place))

    def _files(self) -> List[_Found]:
        """Every file of ours in the outbox, oldest first: of all destinations, also what was set aside, and metrics.

        The outbox may hold other programs' and other users' files: only what we have made counts.
        """
        found: List[_Found] = []
        for destination in self._destinations():
            for find in (None, places.rejected, places.metrics):
                try:
                    place = destination if find is None else find(destination)
                    files = place.files(places.OUR_FILES)
                except OSError:
                    diagnostics.pass_the_programs_own()
                    continue
                found.extend(_Found(file.name, file.size, place) for file in files if not file.refused)
        return sorted(found, key=lambda file: file.name)

    def _destinations(self) -> List[Directory]:
        """Ours in any case: others may make it impossible to list a shared outbox, or to come to an end with it."""
        found = []
        try:
            found.append(self._place())
            others, _ = places.destinations(places.outbox(self._root), (user(),), _LOOK_S)
            found.extend(other for other in others if other.path != found[0].path)
        except OSError as error:
            diagnostics.pass_the_programs_own()
            diagnostics.debug(f"outbox: {error}")
        return found
