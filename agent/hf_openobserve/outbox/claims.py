"""Claims: the segments that nobody holds, each locked by whoever takes it, so that one process at a time sends it."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Callable, Iterator, List, Optional, Set, Tuple

from hf_openobserve.outbox import directory, locks, places, segment
from hf_openobserve.outbox.descriptors import Descriptors, Held
from hf_openobserve.outbox.directory import Directory, OutboxUnavailableError
from hf_openobserve.outbox.names import Names
from hf_openobserve.outbox.segment import Record
from hf_openobserve.process import diagnostics


class Claims:
    """Of the segments in one destination's directory, which ``place`` finds (it raises OSError where that is gone)."""

    def __init__(
        self,
        place: Callable[[], Directory],
        destination: str,
        *,
        names: Optional[Names] = None,
        descriptors: Optional[Descriptors] = None,
        is_ours: Callable[[str], bool] = lambda _: False,
        lives_on: bool = True,
    ) -> None:
        """``is_ours``: whether we write to the segment at a path.

        ``lives_on``: we try again what could not be deleted.
        """
        self.lives_on = lives_on
        self.descriptors = Descriptors() if descriptors is None else descriptors
        self.finished: Set[str] = set()
        """Segments that are delivered, and could not be deleted: they are not sent again."""
        self._place = place
        self._destination = destination
        self._names = names or Names()
        self._is_ours = is_ours

    def waiting(self) -> List[Tuple[Directory, str]]:
        """Where the segments of this destination are, oldest first (their names begin with the time of creation)."""
        try:
            place = self._place()
            return [(place, file.name) for file in place.files(places.SEGMENTS) if not file.refused]
        except OSError as error:
            diagnostics.pass_the_programs_own()
            diagnostics.debug(f"outbox: {error}")
            return []

    def claim(self, is_wanted: Callable[[Directory, str], bool] = lambda *_: True) -> Iterator[Claim]:
        """Segments nobody holds, oldest first, each locked while the caller works on it. Empty ones are removed."""
        for place, name in self.waiting():
            claimed = self.take(place, name) if is_wanted(place, name) else None
            if claimed is None:
                continue
            try:
                if claimed.records and claimed.path not in self.finished:
                    yield claimed
                else:
                    claimed.delete()
            finally:
                if not claimed.held:
                    claimed.release()

    def take(self, place: Directory, name: str) -> Optional[Claim]:
        """One segment, locked; None if somebody writes or sends it, or it cannot be read by us."""
        path = os.path.join(place.path, name)
        with self.descriptors.lock:
            if self._is_ours(path):
                return None
            try:
                claimed = Claim(self, place, name, self.descriptors.add(_open_to_lock(place, name)))
            except OSError:
                diagnostics.pass_the_programs_own()
                return None
        try:
            locks.take(claimed.fd)
            # Between opening and locking another sender may have delivered and deleted it.
            if os.fstat(claimed.fd).st_nlink > 0 and claimed.read():
                return claimed
        except BlockingIOError:
            pass
        except OSError as error:
            claimed.release()
            diagnostics.pass_the_programs_own()
            diagnostics.say_once(
                f"{path} can be neither locked nor read ({error}): its spans wait in the outbox", about="claim"
            )
        claimed.release()
        return None

    def set_aside(self, record: Record) -> None:
        """Keep a span that the server refuses by itself under ``rejected/``, where nobody sends it again.

        Raises OSError if it cannot be kept.
        """
        rejected = places.rejected(self._place(), create=True)
        self.descriptors.close(self.write(rejected, self._names.new(), [record]))

    def write(self, place: Directory, name: str, records: List[Record]) -> Held:
        """Write a whole segment under a name that appears, or changes its contents, only when it is complete.

        Returns its descriptor, locked. Raises OSError, and then nothing has changed.
        """
        data = b"".join(
            [segment.meta_record(self._destination), *(segment.span_record(start, load) for start, load in records)]
        )
        with self.descriptors.lock:  # no fork between the opening and the note of it
            with contextlib.suppress(FileNotFoundError):
                place.unlink(name + ".tmp")  # of a process that was killed: who writes here holds the segment's lock
            held = self.descriptors.add(place.create(name + ".tmp", os.O_WRONLY))
        try:
            locks.take(held.fd)
            _write_all(held.fd, data)
            place.rename(name + ".tmp", name)
        except OSError:
            self.descriptors.close(held)
            place.unlink(name + ".tmp")
            raise
        return held

    def prove_locks(self) -> None:
        """Raises ``OutboxUnavailableError`` where a second opener is not kept out by a lock, or cannot ask for it.

        Network file systems have locks that work for who writes a file and not for who comes to send it.
        """
        place, name = self._place(), self._names.new() + ".tmp"
        with self.descriptors.lock:  # no fork while these are open: they are in no list
            first = place.create(name)
            try:
                locks.take(first)
                second = _open_to_lock(place, name)
                try:
                    locks.take(second)
                except BlockingIOError:
                    return
                finally:
                    os.close(second)
            except OSError as error:
                raise OutboxUnavailableError(f"files in {place.path} cannot be locked: {error}") from error
            finally:
                os.close(first)
                place.unlink(name)
        raise OutboxUnavailableError(f"locks keep nobody out in {place.path}")


class Claim:
    """A segment this process has locked. Ends with ``release``; until ``delete`` the file stays what it is."""

    def __init__(self, claims: Claims, place: Directory, name: str, held: Held) -> None:
        self._claims = claims
        self._descriptor: Optional[Held] = held
        self._staying: List[Record] = []
        self.place = place
        self.name = name
        self.path = os.path.join(place.path, name)
        self.records: List[Record] = []
        """To be sent."""
        self.expired: List[Record] = []
        """Of ``records``, those too old to be sent that could not be taken out: counted when the file goes."""
        self.held = False
        """True while the caller keeps it over the next one: then it is for the caller to ``release``."""

    @property
    def fd(self) -> int:
        """Its descriptor, until it is released."""
        assert self._descriptor is not None
        return self._descriptor.fd

    def read(self) -> bool:
        """Read the spans; False for a segment of a later format, which is for newer processes to read.

        What is torn is left out: the process died in the middle of a write.
        """
        data = directory.read(self.fd)
        if segment.version(data) > segment.VERSION:
            return False
        self.records = list(segment.spans(data))
        return True

    def let_stay(self, start_unix_nano: int) -> None:
        """What began before that is not sent, and stays in the outbox whatever becomes of the others."""
        self._staying = [record for record in self.records if record[0] < start_unix_nano]
        self.records = [record for record in self.records if record[0] >= start_unix_nano]

    def delete(self) -> bool:
        """The spans are delivered, or accounted for: remove the file while it is locked. False if it stays.

        Raises OSError then, where nobody would remember that it is delivered.
        """
        if self._staying:
            self._replace(self._staying)
            return True
        finished = self._claims.finished
        try:
            self.place.unlink(self.name)
        except FileNotFoundError:
            pass
        except OSError as error:  # the disk is read-only by now: the next turn tries again
            if not self._claims.lives_on:
                raise
            finished.add(self.path)
            diagnostics.say_once(f"what was delivered cannot be deleted from the outbox ({error})", about="not deleted")
            return False
        finished.discard(self.path)
        return True

    def keep(self, records: List[Record]) -> None:
        """Only ``records`` remain to be sent.

        They replace the segment under its name, so that the oldest stay first.
        """
        if {id(record) for record in records} == {id(record) for record in self.records}:
            return
        if records:
            self._replace(self._staying + records)
            self.records = records
        else:
            self.delete()

    def release(self) -> None:
        """Give the lock back by closing. Idempotent."""
        with self._claims.descriptors.lock:
            held, self._descriptor = self._descriptor, None
            if held is not None:
                self._claims.descriptors.close(held)

    def _replace(self, records: List[Record]) -> None:
        held = self._claims.write(self.place, self.name, records)
        self.release()
        self._descriptor = held


def _write_all(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError where the disk does not take it."""
    written = os.write(fd, data)
    if written != len(data):
        raise OSError(f"short write to the outbox: {written} of {len(data)} bytes")


def _open_to_lock(place: Directory, name: str) -> int:
    """For reading and writing, as locks on network file systems ask for it; for reading where the disk is read-only."""
    try:
        return place.open(name, os.O_RDWR)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return place.open(name)
