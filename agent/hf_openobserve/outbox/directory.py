"""A directory of an outbox, and the one way to the files in it: for the agent and for every command.

An outbox may stand where other users can write, so what is found there may be theirs. A directory counts if it
belongs to our user (for a command that root runs: to any one user, and root works in it as that user). A file counts
if it is a regular one of the directory's owner, and no larger than a segment can be. Links are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import stat
import time
from typing import Iterator, List, NamedTuple, Optional, Pattern, Tuple

LARGEST_FILE_BYTES = 264 * 1024 * 1024
"""Of a segment: of one that is not full yet, and the largest record in it (see ``segment``)."""

# A directory that may be searched need not be readable, where the kernel tells these apart.
_DIRECTORY_ALONE = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NAMED = getattr(os, "O_PATH", os.O_RDONLY) | _DIRECTORY_ALONE
_FOUND = _NAMED | getattr(os, "O_NOFOLLOW", 0)
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

Identity = Tuple[int, int]
Owners = Optional[Tuple[int, ...]]
"""Users whose directories are entered; None: anybody's, for a command of root's, which then acts as the owner."""


class OutboxUnavailableError(OSError):
    """No directory can be written, or it cannot be locked. The text says which and why."""


class RefusedError(OutboxUnavailableError):
    """What stands there is not ours. The text says what it is."""


class File(NamedTuple):
    """What has a name that a file of ours may have. ``refused``: why it is not opened; empty if it counts."""

    name: str
    size: int
    refused: str


class Directory:
    """A directory of one user. Each step opens it anew, and fails where another one stands in its place by now.

    It keeps no descriptor: a child would inherit that, and the application might close it.
    """

    def __init__(self, path: str, owners: Owners, above: Optional[Directory] = None) -> None:
        """Without ``above`` the user has named it, and it may be a link.

        Raises ``RefusedError`` for another's and for what is no directory, OSError where there is none.
        """
        self.path = path
        self._above = above
        self._as_owner: bool = owners is None or (above is not None and above._as_owner)  # noqa: SLF001 - same class
        self._identity: Optional[Identity] = None
        with self._open() as fd:
            status = os.fstat(fd)
        self.owner = status.st_uid
        if owners is not None and self.owner not in owners:
            raise RefusedError(f"{path} belongs to another user (uid {self.owner})")
        self._identity = identity_of(status)

    def subdirectory(self, name: str, owners: Owners, *, create: bool = False) -> Directory:
        """The directory ``name`` in this one. ``create``: made where there is none, and private in any case.

        Raises as the constructor does.
        """
        made = False
        if create:
            with self._entered() as above, contextlib.suppress(FileExistsError):
                make(name, above)
                made = True
        try:
            found = Directory(os.path.join(self.path, name), owners, self)
        except RefusedError as error:
            if not made:
                raise
            with self._entered() as above:
                os.rmdir(name, dir_fd=above)
            raise OutboxUnavailableError(f"what is made in {self.path} is another user's: {error}") from error
        if create and not found.is_private():
            with found._entered() as inside:
                os.chmod(".", 0o700, dir_fd=inside)
        return found

    def entries(self, pattern: Pattern[str], within_s: float = math.inf) -> List[Tuple[str, os.stat_result]]:
        """What has such a name, in order, and what it is. Raises OSError where the directory cannot be read.

        ``within_s``: what is not found in so many seconds is left out.
        """
        until = time.monotonic() + within_s
        found = []
        with self._entered() as above:
            fd = os.open(".", os.O_RDONLY | _DIRECTORY_ALONE, dir_fd=above)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        if pattern.fullmatch(entry.name):
                            with contextlib.suppress(FileNotFoundError):  # delivered meanwhile
                                found.append((entry.name, entry.stat(follow_symlinks=False)))
                        if time.monotonic() > until:
                            break
            finally:
                os.close(fd)
        return sorted(found, key=lambda entry: entry[0])

    def files(self, pattern: Pattern[str]) -> List[File]:
        """The same, with its size and whether it counts as a file of ours."""
        return [File(name, status.st_size, self._objection(status)) for name, status in self.entries(pattern)]

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the file ``name``.

        Waits for nothing. Raises OSError; ``RefusedError`` if it does not count.
        """
        with self._entered() as above:
            fd = os.open(name, flags | _FILE, dir_fd=above)
        refused = self._objection(os.fstat(fd))
        if refused:
            os.close(fd)
            raise RefusedError(f"{os.path.join(self.path, name)} {refused}")
        return fd

    def create(self, name: str, flags: int = os.O_RDWR) -> int:
        """A descriptor of the new file ``name``, the owner's alone whatever the umask. Raises OSError."""
        with self._entered() as above:
            fd = os.open(name, flags | _FILE | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=above)
            os.fchmod(fd, 0o600)
        return fd

    def read(self, name: str, most: int = LARGEST_FILE_BYTES) -> bytes:
        """The first bytes of a file, at most so many. Raises as ``open`` does."""
        fd = self.open(name)
        try:
            return read(fd, most)
        finally:
            os.close(fd)

    def unlink(self, name: str) -> None:
        """Delete the file ``name``. Raises OSError."""
        with self._entered() as above:
            os.unlink(name, dir_fd=above)

    def rename(self, name: str, new_name: str) -> None:
        """Give the file ``name`` another one, of a file that may be there. Raises OSError."""
        with self._entered() as above:
            os.rename(name, new_name, src_dir_fd=above, dst_dir_fd=above)

    def has(self, name: str) -> bool:
        """Whether anything has that name. Raises OSError where the directory is gone."""
        with self._entered() as above:
            try:
                os.stat(name, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                return False
            return True

    def is_private(self) -> bool:
        """Whether other users are kept out. Raises OSError."""
        with self._open() as fd:
            return not stat.S_IMODE(os.fstat(fd).st_mode) & 0o077

    def can_be_emptied(self) -> bool:
        """Whether files in it can be found and deleted. Raises OSError."""
        with self._entered() as above:
            return os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=above, effective_ids=True)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        """Its descriptor, if it is still the directory that it was."""
        try:
            if self._above is None:
                fd = os.open(self.path, _NAMED)
            else:
                with self._above._open() as above:  # noqa: SLF001 - of the same class
                    fd = os.open(os.path.basename(self.path), _FOUND, dir_fd=above)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise RefusedError(f"{self.path} is no directory of its own") from error
            raise
        try:
            if self._identity not in (None, identity_of(os.fstat(fd))):
                raise FileNotFoundError(errno.ENOENT, "another directory stands there by now", self.path)
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[int]:
        """Its descriptor. Root acts as the owner meanwhile, who thereby makes it do nothing that he could not do."""
        with self._open() as fd:
            if not self._as_owner or self.owner == 0:
                yield fd
                return
            os.seteuid(self.owner)
            try:
                yield fd
            finally:
                os.seteuid(0)

    def _objection(self, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "is no regular file"
        if status.st_uid != self.owner:
            return f"belongs to another user (uid {status.st_uid})"
        return "is larger than a segment can be" if status.st_size > LARGEST_FILE_BYTES else ""


def user() -> int:
    """The number of the user whose files are ours; -1 where users have none."""
    return os.geteuid() if hasattr(os, "geteuid") else -1


def identity_of(status: os.stat_result) -> Identity:
    """Device and inode: what tells one file from another, whatever its name and number."""
    return status.st_dev, status.st_ino


def read(fd: int, most: int = LARGEST_FILE_BYTES) -> bytes:
    """What stands in an open file now, from its beginning: not what is written to it meanwhile. Raises OSError."""
    left = min(os.fstat(fd).st_size, most)
    chunks = []
    while left > 0:
        chunk = os.read(fd, min(left, 1 << 20))
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def make(name: str, above: Optional[int]) -> None:
    """Make a directory for our user alone, whatever the umask. Raises OSError."""
    os.mkdir(name, 0o700, dir_fd=above)
    if stat.S_IMODE(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode) & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=above)  # the umask has taken the user's own rights
