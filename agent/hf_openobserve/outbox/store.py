"""The outbox directory: one active segment per process, and every other segment a sender may claim.

A segment belongs to whoever holds its kernel lock (``flock``), never to a pid. The writer of an active segment holds its
lock; sealing closes it, and the lock goes with the descriptor, as it does when the process dies. A sender claims a
segment by taking the lock, so a segment is sent by one process at a time, whoever wrote it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import threading
import time
import uuid
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from hf_openobserve import diagnostics
from hf_openobserve.outbox import counters, segment

try:
    import fcntl
except ImportError:  # no kernel locks on this platform: the memory store takes over, see ``open_store``
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".seg"
MAX_SEGMENT_BYTES = 4 * 1024 * 1024
MAX_SEGMENT_SPANS = 512
"""A segment is sealed beyond these, so that one segment is one request: what a sender that is killed sends twice."""
_LEAST_BYTES = 16 * 1024
"""Of a segment, and of what a process writes before it looks again whether there is room."""
_LOOKS_IN_BOUND = 128
"""The most that a process writes before it looks again is this part of the bound."""
_MOST_WRITERS = 64
_LOOK_AGAIN_S = 10.0
"""What was free then, others may have taken by now."""
_SEGMENTS_IN_BOUND = 16
"""A small outbox has small segments: what a process writes now cannot be dropped for room."""
_LARGEST_SHARE = 2
"""A span that is larger than this part of the bound would drop all others, and is left out."""
_CREATE_ATTEMPTS = 10
_APPEND_ATTEMPTS = 3
_OUR_NAME = re.compile(r"\d{20}-\d+-[0-9a-f]{8}\.seg(\.tmp)?")
_OUR_DIRECTORY = re.compile(r"local|[0-9a-f]{16}")
REJECTED = "rejected"
"""Subdirectory of spans that the server refuses by themselves: kept for inspection, bounded by the outbox's size."""

Record = Tuple[int, bytes]
"""Start of the span in ns since the epoch, and its payload (see ``segment``)."""


_Identity = Tuple[int, int]


class OutboxUnavailableError(OSError):
    """No directory can be written, or it cannot be locked. The text says which and why."""


class _Active(NamedTuple):
    """The segment this process appends to. ``empty_size`` is its size without a span, in bytes."""

    fd: int
    path: str
    identity: _Identity
    empty_size: int


class DirectoryStore:
    """The spans of one destination on disk. ``append`` is called on the application's threads, the rest by the sender."""

    remembers_finished = True
    """Whether this process lives on to try again what it could not delete."""

    def __init__(self, root: str, destination: str, max_bytes: int) -> None:
        """Create ``root/<destination id>`` with mode 0700. Raises ``OutboxUnavailableError``."""
        self.root = root
        self.destination = destination
        self.max_bytes = max_bytes
        self.directory = os.path.join(root, destination_id(destination))
        self._writer = uuid.uuid4().hex[:8]
        """Ends the names of our segments: so many of these, so many processes write. Containers may all have the same pid."""
        self.lock = threading.RLock()
        """Held across a fork too: what is open then is in ``_descriptors``, for the child to close."""
        self.counters = counters.Counters(self.directory)
        self._others: Dict[str, counters.Counters] = {}
        """Of destinations whose spans were dropped for room, by directory."""
        self._active: Optional[_Active] = None
        self._rescued = b""
        """Records of an active segment that was deleted under us, for the next one."""
        self._active_spans = 0
        self._unlooked = 0
        """Bytes written since the last look at the whole outbox, and how many may be before the next one."""
        self._may_write = 0
        self._looked_at = 0.0
        self._looking = threading.Lock()
        self._segment_bytes = MAX_SEGMENT_BYTES
        """What a segment may grow to: the more processes write, the less each may keep from being dropped for room."""
        self._appending = 0
        self._descriptors: Dict[int, _Identity] = {}
        self.finished: Set[str] = set()
        """Segments that are delivered, and could not be deleted: this process does not send them again."""
        if fcntl is None:
            raise OutboxUnavailableError("this platform has no kernel file locks")
        self._make_directories()
        # Proof that locking and writing work here, before a span depends on it.
        self._prove_locks()
        with self.lock:
            self._open()

    def append(self, start_unix_nano: int, payload: bytes) -> None:
        """Write one span with one ``write``; on disk when this returns. Raises OSError when the disk does not take it.

        Re-entrant: the garbage collector may end another span on this thread while the lock is held.
        """
        if len(payload) > min(segment.MAX_PAYLOAD_BYTES, self.max_bytes // _LARGEST_SHARE):
            self._leave_out(start_unix_nano, payload)
            return
        record = segment.span_record(start_unix_nano, payload)
        unlooked = self._unlooked + len(record) > self._may_write
        if unlooked or time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
            diagnostics.guarded("make room", self.make_room, len(record))
        with self.lock:
            self._appending += 1
            try:
                size = self._append(record)
            finally:
                self._appending -= 1
            self._unlooked += len(record)
            self._active_spans += 1
            active = self._active
            full = size >= min(MAX_SEGMENT_BYTES, self._segment_bytes) or self._active_spans >= MAX_SEGMENT_SPANS
            if full and self._appending == 0 and active is not None:
                self._close(active)

    def _leave_out(self, start_unix_nano: int, payload: bytes) -> None:
        """Beyond what a reader takes for a record, or what leaves no room for anything else."""
        self.counters.add(counters.EVICTED, [start_unix_nano])
        diagnostics.guarded("counters", self.counters.flush)
        diagnostics.say_once(
            f"a span of {len(payload)} bytes is too large for the outbox and left out, see OPENOBSERVE_HF_OUTBOX_MAX_MB",
            about="large",
        )

    def _append(self, record: bytes) -> int:
        """Write to the active segment, which an append within this one (a signal's, the garbage collector's) may replace."""
        for attempt in range(_APPEND_ATTEMPTS):
            active = self._active
            if active is None or not self._is_still_there(active):
                self._open()
                active = self._active
            if active is None:
                continue
            rescued, self._rescued = self._rescued, b""
            try:
                return self._write(active.fd, rescued + record)
            except OSError:
                self._rescued = rescued + self._rescued
                if active is self._active or attempt == _APPEND_ATTEMPTS - 1:
                    raise
        raise OSError("no segment of the outbox stays open")

    def _write(self, fd: int, record: bytes) -> int:
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

    def seal(self) -> None:
        """Close the active segment, so that it can be claimed. The next span opens a new one."""
        with self.lock:
            if self._active is not None:
                self._is_still_there(self._active)
            if self._rescued:
                self._append(b"")
            active = self._active
            if active is None or os.fstat(active.fd).st_size <= active.empty_size:
                return
            self._close(active)

    def leave(self) -> None:
        """The process ends: no segment without a span stays behind. A span that comes all the same opens another."""
        with self.lock:
            active = self._active
            if active is None or self._appending or not self._is_still_there(active):
                return
            if os.fstat(active.fd).st_size <= active.empty_size:
                os.unlink(active.path)
                self._close(active)

    def claim(self) -> Iterator[Claim]:
        """Segments nobody holds, oldest first, each locked while the caller works on it. Empty ones are removed."""
        for path in self.segments():
            claimed = self._claim(path)
            if claimed is None:
                continue
            try:
                if claimed.records and path not in self.finished:
                    yield claimed
                else:
                    claimed.delete()
            finally:
                if not claimed.held:
                    claimed.release()

    def segments(self) -> List[str]:
        """Paths of all segments of this destination, oldest first (their names begin with the time of creation)."""
        try:
            names = sorted(name for name in os.listdir(self.directory) if name.endswith(SUFFIX))
        except OSError:
            return []
        return [os.path.join(self.directory, name) for name in names]

    def has_others(self) -> bool:
        """True if there are segments of other processes, living or dead."""
        active = self._active
        return any(active is None or path != active.path for path in self.segments())

    def set_aside(self, record: Record) -> None:
        """Keep a span that the server refuses by itself under ``rejected/``, where nobody sends it again.

        Raises OSError if it cannot be kept.
        """
        directory = os.path.join(self.directory, REJECTED)
        _private_directory(directory)
        self.close_descriptor(*self._write_segment(os.path.join(directory, self._new_name()), [record]))

    def make_room(self, more: int = 0) -> int:
        """Delete the oldest segments until the outbox, and ``more`` bytes, are within the bound. Returns the spans lost.

        The bound is one of all processes. Each looks before it has written its part of what is free, so that all of them
        together stay within it, and the first bytes of each are kept free. Only what no process holds is deleted: what is
        being sent, and what others are writing, is not.
        """
        if not self._looking.acquire(blocking=False):  # another thread is at it, or this one further up
            return 0
        try:
            for other in list(self._others.values()):
                other.flush()
            files = sorted(_files(self.root))
            # Of the dead too, as far as they left something: from some number on it tells nothing any more.
            writers = min(_MOST_WRITERS, max(1, len({name.partition("-")[2] for name, _, _ in files})))
            limit = self.max_bytes - min(self.max_bytes // 8, writers * _LEAST_BYTES)
            total = more + sum(size for _, _, size in files)
            lost = 0
            if total > limit:
                lost, total = self._drop_oldest(files, total, limit - self.max_bytes // _SEGMENTS_IN_BOUND)
            self._unlooked, self._looked_at = 0, time.monotonic()
            most = self.max_bytes // _LOOKS_IN_BOUND
            if total > limit // 2:
                most = min(most, (limit - total) // (4 * writers))
            self._may_write = max(_LEAST_BYTES, most)
            self._segment_bytes = max(_LEAST_BYTES, self.max_bytes // max(_SEGMENTS_IN_BOUND, 4 * writers))
        finally:
            self._looking.release()
        if lost:
            diagnostics.say_once("the outbox is full: the oldest spans are dropped, see OPENOBSERVE_HF_OUTBOX_MAX_MB")
        return lost

    def _drop_oldest(self, files: List[Tuple[str, str, int]], total: int, goal: int) -> Tuple[int, int]:
        """Spans lost, and the bytes that are left. A little more than needed goes, or the next span would drop again."""
        with self.lock:
            # What this process writes may be all that can be dropped: where others hold the rest.
            if self._active is not None and self._appending == 0:
                self._close(self._active)
        lost = 0
        for _, path, size in files:
            if total <= goal:
                break
            claimed = self._claim(path)
            if claimed is not None:
                spans, deleted = self._evict(claimed)
                lost += spans
                total -= size if deleted else 0
            elif not os.path.lexists(path):  # delivered, or dropped by another process that found the same
                total -= size
        return lost, total

    def _evict(self, claimed: Claim) -> Tuple[int, bool]:
        """Delete the segment, of whatever destination, and count its spans there. Returns their number, and whether it is gone."""
        directory = os.path.dirname(claimed.path)
        starts = [start for start, _ in claimed.records if claimed.path not in self.finished]
        try:
            os.unlink(claimed.path)
        except OSError as error:
            diagnostics.debug(f"outbox: {error}")
            return 0, False
        finally:
            claimed.release()
        self.finished.discard(claimed.path)
        if os.path.basename(directory) == REJECTED:  # those were counted when they were set aside
            return 0, True
        evicted = self.counters
        if directory != self.directory:
            # Kept: where another process has the file in use, the count waits here.
            evicted = self._others.setdefault(directory, counters.Counters(directory))
        evicted.add(counters.EVICTED, starts)
        evicted.flush()
        return len(starts), True

    def after_fork_in_child(self) -> None:
        """Let go of what the parent holds: close, never unlock (``LOCK_UN`` here would release the parent's lock)."""
        self.lock = threading.RLock()
        self._writer = uuid.uuid4().hex[:8]
        self._looking = threading.Lock()
        self._may_write = 0
        self._appending = 0
        self._active = None
        self._rescued = b""
        self.counters.after_fork_in_child()
        self._others.clear()
        for fd, identity in list(self._descriptors.items()):
            self.close_descriptor(fd, identity)

    def close_descriptor(self, fd: int, identity: _Identity) -> None:
        """Close the descriptor that we opened as ``identity``, unless its number stands for another file by now.

        That may be the application's, which closed ours, or one that an append within an append has opened.
        """
        if self._descriptors.get(fd) is not identity:  # the very one: a file system gives a free inode out again
            return
        del self._descriptors[fd]
        try:
            if _identity(os.fstat(fd)) == identity:
                os.close(fd)
        except OSError:
            pass

    def _make_directories(self) -> None:
        # The root may be a place the user shares with others: only our directory in it is made private.
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and os.stat(self.root).st_uid not in (0, os.getuid()):
            raise OutboxUnavailableError(f"{self.root} belongs to another user")
        _private_directory(self.directory)

    def _is_still_there(self, active: _Active) -> bool:
        """False if the segment was deleted under us, or its descriptor closed, or reused, by the application."""
        try:
            status = os.fstat(active.fd)
            if _identity(status) == active.identity:
                if status.st_nlink > 0:
                    return True
                # Deleted, and readable as long as it is open. An append within this one may have been here before.
                rescued = os.pread(active.fd, status.st_size, active.empty_size)
                last, self._active = self._active is active, None if self._active is active else self._active
                self._rescued += rescued if last else b""
        except OSError:
            pass
        self._close(active)
        return False

    def _open(self) -> None:
        path, fd = self._create()
        try:
            written = os.write(fd, segment.meta_record(self.destination))
            identity = self._descriptors[fd] = _identity(os.fstat(fd))
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
        # A full disk may have taken a part of the description: the next record's check of its own write says so.
        opened = _Active(fd, path, identity, written)
        # One step, since an append within this one may have opened a segment meanwhile: then that one stays.
        self._active = self._active or opened
        if self._active is opened:
            self._active_spans = 0
        else:
            self.close_descriptor(fd, identity)
            os.unlink(path)

    def _create(self) -> Tuple[str, int]:
        """A new file of ours, locked. Until it is, a sender of another process may take it for one that was left."""
        # Readable, so that what is in it can be rescued if somebody deletes it.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        for _ in range(_CREATE_ATTEMPTS):
            path = os.path.join(self.directory, self._new_name())
            try:
                fd = os.open(path, flags, 0o600)
            except FileNotFoundError:
                self._make_directories()  # deleted under us
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)  # whoever took it finds it empty, and removes it
                continue
            except OSError:
                os.close(fd)
                os.unlink(path)
                raise
            if os.fstat(fd).st_nlink > 0:
                return path, fd
            os.close(fd)
        raise OSError(f"no file can be kept in {self.directory}")

    def _new_name(self) -> str:
        return f"{time.time_ns():020d}-{os.getpid()}-{self._writer}{SUFFIX}"

    def _close(self, active: _Active) -> None:
        # Not what an append within this one may have opened in its place.
        self._active = None if self._active is active else self._active
        self.close_descriptor(active.fd, active.identity)

    def _claim(self, path: str) -> Optional[Claim]:
        with self.lock:
            if self._active is not None and path == self._active.path:
                return None
            try:
                fd = _open_to_lock(path)
                identity = self._descriptors[fd] = _identity(os.fstat(fd))
            except OSError:
                return None
        claimed = Claim(self, path, fd, identity)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between opening and locking another sender may have delivered and deleted it.
            if os.fstat(fd).st_nlink > 0 and claimed.read():
                return claimed
        except BlockingIOError:  # somebody writes it, or sends it
            pass
        except OSError as error:
            diagnostics.say_once(
                f"{path} can be neither locked nor read ({error}): its spans wait in the outbox", about="claim"
            )
        claimed.release()
        return None

    def _prove_locks(self) -> None:
        """Raises ``OutboxUnavailableError`` where a lock does not keep a second opener out, or cannot be asked for by one.

        Network file systems have locks that work for who writes a file and not for who comes to send it.
        """
        path = os.path.join(self.directory, self._new_name() + ".tmp")
        with self.lock:  # no fork while these are open: they are in no list
            first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
            try:
                fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
                second = _open_to_lock(path)
                try:
                    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                finally:
                    os.close(second)
            except OSError as error:
                raise OutboxUnavailableError(f"files in {self.directory} cannot be locked: {error}") from error
            finally:
                os.close(first)
                os.unlink(path)
        raise OutboxUnavailableError(f"locks keep nobody out in {self.directory}")

    def _write_segment(self, path: str, records: List[Record]) -> Tuple[int, _Identity]:
        """Write a whole segment under a name that appears, or changes its contents, only when it is complete.

        Returns its descriptor, locked, and what that stands for. Raises OSError, and then nothing has changed.
        """
        data = b"".join(
            [segment.meta_record(self.destination), *(segment.span_record(start, load) for start, load in records)]
        )
        with self.lock:  # no fork between the opening and the note of it
            if os.path.lexists(path + ".tmp"):  # of a process that was killed: who writes here holds the segment's lock
                os.unlink(path + ".tmp")
            fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
            identity = self._descriptors[fd] = _identity(os.fstat(fd))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(fd, data)
            os.rename(path + ".tmp", path)
        except OSError:
            self.close_descriptor(fd, identity)
            os.unlink(path + ".tmp")
            raise
        return fd, identity


class Claim:
    """A segment this process has locked. Ends with ``release``; until ``delete`` the file stays what it is."""

    def __init__(self, store: DirectoryStore, path: str, fd: int, identity: _Identity) -> None:
        self._store = store
        self.path = path
        self._identity = identity
        self._fd: Optional[int] = fd
        self.records: List[Record] = []
        self.expired: List[Record] = []
        """Of ``records``, those too old to be sent that could not be taken out: counted when the file goes."""
        self.held = False
        """True while the caller keeps it over the next one: then it is for the caller to ``release``."""

    def read(self) -> bool:
        """Read the spans; False for a segment of a later format, which is for newer processes to read.

        What is torn is left out: the process died in the middle of a write.
        """
        assert self._fd is not None
        chunks = []
        while True:
            chunk = os.read(self._fd, 1 << 20)
            if not chunk:
                break
            chunks.append(chunk)
        data = b"".join(chunks)
        if segment.version(data) > segment.VERSION:
            return False
        self.records = [
            (start, payload) for marker, start, payload in segment.parse(data) if marker == segment.SPAN_MARKER
        ]
        return True

    def delete(self) -> bool:
        """The spans are delivered, or accounted for: remove the file while it is locked. False if it stays.

        Raises OSError then, where nobody would remember that it is delivered.
        """
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:  # the disk is read-only by now: the next turn tries again
            if not self._store.remembers_finished:
                raise
            self._store.finished.add(self.path)
            diagnostics.say_once(f"what was delivered cannot be deleted from the outbox ({error})", about="not deleted")
            return False
        self._store.finished.discard(self.path)
        return True

    def keep(self, records: List[Record]) -> None:
        """Only ``records`` remain to be sent: they replace the segment, under its name, so that the oldest stay first."""
        if {id(record) for record in records} == {id(record) for record in self.records}:
            return
        if not records:
            self.delete()
            return
        fd, identity = self._store._write_segment(self.path, records)  # noqa: SLF001 - one module, two halves
        self.release()
        self._fd, self._identity, self.records = fd, identity, records

    def release(self) -> None:
        """Give the lock back by closing. Idempotent."""
        with self._store.lock:
            fd, self._fd = self._fd, None
            if fd is not None:
                self._store.close_descriptor(fd, self._identity)


def destination_id(destination: str) -> str:
    """The directory name of a destination: ``local``, else a short digest (a URL may hold what is no file name)."""
    return destination if destination == "local" else hashlib.sha256(destination.encode()).hexdigest()[:16]


def default_root() -> str:
    """The user's state directory, by the XDG rules. Raises ``OutboxUnavailableError`` where there is no home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home) or not os.path.isdir(home):
            raise OutboxUnavailableError("there is no home directory")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "hf-openobserve", "outbox")


def temporary_root() -> str:
    """A private directory under the system's temporary one, the same for every process of the user."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return os.path.join(tempfile.gettempdir(), f"hf-openobserve-{user}", "outbox")


def _own_temporary_root() -> str:
    root = temporary_root()
    # Anybody can make that name beforehand, and its owner could swap what we put into it.
    _private_directory(os.path.dirname(root))
    return root


def open_store(explicit_root: Optional[str], destination: str, max_bytes: int) -> DirectoryStore:
    """The outbox at the configured place, the user's state directory, or a temporary one. Raises ``OutboxUnavailableError``."""
    reasons = []
    candidates: List[Callable[[], str]] = [default_root, _own_temporary_root]
    if explicit_root:
        candidates = [lambda: explicit_root]
    for candidate in candidates:
        try:
            return DirectoryStore(candidate(), destination, max_bytes)
        except OSError as error:
            reasons.append(str(error))
            diagnostics.debug(f"outbox: {error}")
    raise OutboxUnavailableError("; ".join(reasons))


def _private_directory(path: str) -> None:
    """Create with 0700. An existing one must be ours, and is made private: others must not read or plant spans."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise OutboxUnavailableError(f"{path} is no directory of its own")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise OutboxUnavailableError(f"{path} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        os.chmod(path, 0o700)


def _write_all(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError where the disk does not take it."""
    written = os.write(fd, data)
    if written != len(data):
        raise OSError(f"short write to the outbox: {written} of {len(data)} bytes")


def _open_to_lock(path: str) -> int:
    """For reading and, as locks on network file systems ask for it, writing; for reading where the disk is read-only."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, os.O_RDWR | flags)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return os.open(path, os.O_RDONLY | flags)


def _identity(status: os.stat_result) -> _Identity:
    """Device and inode: what tells whether a descriptor's number is still the file we opened."""
    return status.st_dev, status.st_ino


def _files(root: str) -> List[Tuple[str, str, int]]:
    """Every segment of ours under ``root`` as (name, path, bytes): all destinations, also what was set aside.

    The root may be a directory that holds other programs' files: only names that we make count as ours.
    """
    found = []
    for destination in _names(root, _OUR_DIRECTORY):
        for directory in (os.path.join(root, destination), os.path.join(root, destination, REJECTED)):
            for name in _names(directory, _OUR_NAME):  # also what a process left half written
                path = os.path.join(directory, name)
                try:
                    found.append((name, path, os.stat(path).st_size))
                except OSError:
                    continue
    return found


def _names(directory: str, pattern: re.Pattern[str]) -> List[str]:
    try:
        return [name for name in os.listdir(directory) if pattern.fullmatch(name)]
    except OSError:
        return []
