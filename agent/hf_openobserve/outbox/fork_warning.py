"""Python 3.12 and newer warn at ``os.fork`` of threads: the sender's must not be the reason (docs/laws.md#1).

The warning comes after the last fork hook, so an ignoring filter is put up before each fork where the application
itself has one thread, and taken down before the next one where it has more: then the warning is the application's
own.
"""

from __future__ import annotations

import re
import sys
import threading
import warnings
from typing import Any

_WARNS = sys.version_info >= (3, 12)
_MESSAGE = r"This process \(pid=\d+\) is multi-threaded, use of fork"


def prepare(own_threads: int) -> None:
    """Call before a fork. ``own_threads``: how many of the process's threads are the agent's."""
    if not _WARNS:
        return
    ours = [entry for entry in warnings.filters if _is_ours(entry)]
    for entry in ours:
        warnings.filters.remove(entry)  # type: ignore[attr-defined]
    if _threads() - own_threads <= 1:
        warnings.filterwarnings("ignore", _MESSAGE, DeprecationWarning)


def _is_ours(entry: Any) -> bool:
    return isinstance(entry[1], re.Pattern) and entry[1].pattern == _MESSAGE


def _threads() -> int:
    """The number of threads as the interpreter counts them: the kernel's where it tells, else Python's."""
    try:
        with open("/proc/self/stat", "rb") as file:
            # Field 20; the second one is the program's name in parentheses, which may hold anything.
            return int(file.read().rpartition(b")")[2].split()[17])
    except (OSError, ValueError, IndexError):
        return threading.active_count()
