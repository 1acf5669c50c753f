"""Kernel locks (``flock``).

A segment belongs to whoever holds its lock, never to a pid; the lock ends with its holder.
"""

from __future__ import annotations

try:
    import fcntl
except ImportError:  # not on this platform: spans wait in memory, see ``store.open_store``
    fcntl = None  # type: ignore[assignment]


def are_there() -> bool:
    """Whether this platform has them."""
    return fcntl is not None


def take(fd: int) -> None:
    """Take the lock of an open file.

    Raises BlockingIOError if another opening of it has that, and OSError if it cannot be.
    """
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def share(fd: int) -> None:
    """Take it beside others who share it. Raises as ``take`` does."""
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def give_back(fd: int) -> None:
    """Give it back before the file is closed. Raises OSError."""
    fcntl.flock(fd, fcntl.LOCK_UN)
