"""The active segment: the one file that this process appends its spans to, until it is full or somebody seals it.

Its lock is held as long as it is open; sealing closes it, and then any sender may claim it.
"""

from __future__ import annotations

import os
from typing import Callable, NamedTuple, Optional, Tuple

from hf_openobserve.outbox import locks, segment
from hf_openobserve.outbox.descriptors import Descriptors, Held
from hf_openobserve.outbox.directory import Directory, RefusedError, identity_of
from hf_openobserve.outbox.names import Names
from hf_openobserve.outbox.tuning import Tuning
from hf_openobserve.process import diagnostics

_CREATE_ATTEMPTS = 10
_APPEND_ATTEMPTS = 3


class _Active(NamedTuple):
    held: Held
    place: Directory
    name: str
    empty_size: int
    """In bytes, without a span."""


class Writer:
    """Called on the application's threads.

    Re-entrant: the garbage collector, or a signal, may end another span on this thread within any of these calls.
    """

    def __init__(
        self,
        place: Callable[[], Directory],
        make_place: Callable[[], object],
        destination: str,
        names: Names,
        descriptors: Descriptors,
        tuning: Tuning,
    ) -> None:
        """``place`` finds the directory and raises OSError where it is gone; ``make_place`` makes it then."""
        self.segment_bytes = tuning.segment_bytes
        """What a segment may grow to: less where many write, so that each keeps little from being dropped for room."""
        self._place = place
        self._make_place = make_place
        self._destination = destination
        self._names = names
        self._descriptors = descriptors
        self._tuning = tuning
        self._active: Optional[_Active] = None
        self._rescued = b""
        """Records of an active segment that was deleted under us, for the next one."""
        self._spans = 0
        self._appending = 0

    def is_active(self, path: str) -> bool:
        """Whether this is the file that we append to."""
        active = self._active
        return active is not None and path == os.path.join(active.place.path, active.name)

    def open(self) -> None:
        """Begin a segment before the first span comes. Raises OSError."""
        with self._descriptors.lock:
            self._open()

    def append(self, record: bytes) -> None:
        """Write one record with one ``write``; on disk when this returns.

        Raises OSError when the disk does not take it.
        """
        with self._descriptors.lock:
            self._appending += 1
            try:
                size = self._append(record)
            finally:
                self._appending -= 1
            self._spans += 1
            full = (
                size >= min(self._tuning.segment_bytes, self.segment_bytes) or self._spans >= self._tuning.segment_spans
            )
            if full:
                self.close()

    def seal(self) -> None:
        """Close the active segment, so that it can be claimed. The next span opens a new one."""
        with self._descriptors.lock:
            if self._active is not None:
                self._is_still_there(self._active)
            if self._rescued:
                self._append(b"")
            active = self._active
            if active is not None and not _is_empty(active):
                self._close(active)

    def close(self) -> None:
        """The same whatever is in it, unless an append is under way further up on this thread."""
        with self._descriptors.lock:
            active = self._active  # read once: a signal's append may close it before we do
            if active is not None and self._appending == 0:
                self._close(active)

    def leave(self) -> None:
        """The process ends: no segment without a span stays behind. A span that comes all the same opens another."""
        with self._descriptors.lock:
            active = self._active
            if active is None or self._appending or not self._is_still_there(active):
                return
            if _is_empty(active):
                active.place.unlink(active.name)
                self._close(active)

    def after_fork_in_child(self) -> None:
        """The parent's segment is the parent's."""
        self._appending = 0
        self._active = None
        self._rescued = b""

    def _append(self, record: bytes) -> int:
        """Write to the active segment, which an append within this one (a signal's, say) may replace."""
        for attempt in range(_APPEND_ATTEMPTS):
            active = self._active
            if active is None or not self._is_still_there(active):
                self._open()
                active = self._active
            if active is None:
                continue
            rescued, self._rescued = self._rescued, b""
            try:
                return _write(active.held.fd, rescued + record)
            except OSError:
                self._rescued = rescued + self._rescued
                if active is self._active or attempt == _APPEND_ATTEMPTS - 1:
                    raise
        raise OSError("no segment of the outbox stays open")

    def _is_still_there(self, active: _Active) -> bool:
        """False if the segment was deleted under us, or its descriptor closed, or reused, by the application."""
        try:
            status = os.fstat(active.held.fd)
            if identity_of(status) == active.held.identity:
                if status.st_nlink > 0:
                    return True
                # Deleted, and readable as long as it is open. An append within this one may have been here before.
                rescued = os.pread(active.held.fd, status.st_size, active.empty_size)
                last, self._active = self._active is active, None if self._active is active else self._active
                self._rescued += rescued if last else b""
        except OSError:
            diagnostics.pass_the_programs_own()
        self._close(active)
        return False

    def _open(self) -> None:
        place, name, fd = self._create()
        try:
            written = os.write(fd, segment.meta_record(self._destination))
            held = self._descriptors.add(fd)
        except OSError:
            os.close(fd)
            place.unlink(name)
            raise
        # A full disk may have taken a part of the description: the next record's check of its own write says so.
        opened = _Active(held, place, name, written)
        # One step, since an append within this one may have opened a segment meanwhile: then that one stays.
        self._active = self._active or opened
        if self._active is opened:
            self._spans = 0
        else:
            self._descriptors.close(held)
            place.unlink(name)

    def _create(self) -> Tuple[Directory, str, int]:
        """A new file of ours, locked. Until it is, a sender of another process may take it for one that was left."""
        for _ in range(_CREATE_ATTEMPTS):
            name = self._names.new()
            try:
                place = self._place()
                # Readable, so that what is in it can be rescued if somebody deletes it.
                fd = place.create(name, os.O_RDWR | os.O_APPEND)
            except (FileNotFoundError, RefusedError):  # deleted under us, or another's by now
                self._make_place()
                continue
            try:
                locks.take(fd)
            except BlockingIOError:
                os.close(fd)  # whoever took it finds it empty, and removes it
                continue
            except OSError:
                os.close(fd)
                place.unlink(name)
                raise
            if os.fstat(fd).st_nlink > 0:
                return place, name, fd
            os.close(fd)
        raise OSError("no file can be kept in the outbox")

    def _close(self, active: _Active) -> None:
        # Not what an append within this one may have opened in its place.
        self._active = None if self._active is active else self._active
        self._descriptors.close(active.held)


def _is_empty(active: _Active) -> bool:
    return os.fstat(active.held.fd).st_size <= active.empty_size


def _write(fd: int, record: bytes) -> int:
    """One ``write``; the size of the segment after it. Raises OSError when the disk does not take all of it."""
    before = os.fstat(fd).st_size
    written = os.write(fd, record)
    if written == len(record):
        return before + written
    # A full disk: what was written of it is taken back, unless an append within this one stands behind it (then a
    # reader passes over it).
    if os.fstat(fd).st_size == before + written:
        os.ftruncate(fd, before)
    raise OSError(f"short write to the outbox: {written} of {len(record)} bytes")
