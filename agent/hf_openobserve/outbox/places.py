"""Where an outbox is, and the directories of destinations in it. Their names stand in ``docs/outbox-format.md``."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tempfile
from typing import Dict, List, Optional, Tuple

from hf_openobserve.outbox.directory import Directory, OutboxUnavailableError, Owners, RefusedError, make, user
from hf_openobserve.process import diagnostics

SUFFIX = ".seg"
SEGMENTS = re.compile(r".*\.seg", re.DOTALL)
OUR_FILES = re.compile(r"\d{20}-\d+-[0-9a-f]{8}\.seg(\.tmp)?")
"""As we name them, also what a process left half written."""
REJECTED = "rejected"
"""Subdirectory of spans that the server refuses by themselves: kept for inspection, bounded by the outbox's size."""
METRICS = "metrics"
"""Subdirectory of the second kind of record: what the calls of an interval were, in numbers."""
_DESTINATIONS = re.compile(r"(local|[0-9a-f]{16})(?:-[1-9]\d?)?")
_MOST_NAMES = 100


def outbox(path: str) -> Directory:
    """The agent's outbox: our user's own, or root's where users share it. Others could swap what is in theirs.

    Raises ``RefusedError`` for another's, OSError where there is none.
    """
    return Directory(path, (user(), 0))


def rejected(destination: Directory, *, create: bool = False) -> Directory:
    """Where the spans of a destination are that the server refuses.

    Raises OSError where it is not there, or another's.
    """
    return destination.subdirectory(REJECTED, (destination.owner,), create=create)


def metrics(destination: Directory, *, create: bool = False) -> Directory:
    """Where the metrics for a destination wait. Raises OSError where it is not there, or another's."""
    return destination.subdirectory(METRICS, (destination.owner,), create=create)


def destinations(root: Directory, owners: Owners, within_s: float = math.inf) -> Tuple[List[Directory], Dict[str, str]]:
    """The directories of destinations in an outbox; and why the others are not entered, by their names.

    ``within_s``: what is not found in so many seconds is left out. Raises OSError where it cannot be read.
    """
    found, refused = [], {}
    for name, status in root.entries(_DESTINATIONS, within_s):
        path = os.path.join(root.path, name)
        if owners is not None and status.st_uid not in owners:  # not opened to be told so: anybody can make thousands
            refused[name] = f"{path} belongs to another user (uid {status.st_uid})"
            continue
        try:
            found.append(root.subdirectory(name, owners))
        except FileNotFoundError:
            continue
        except RefusedError as error:
            refused[name] = str(error)
        except OSError as error:
            diagnostics.pass_the_programs_own()
            refused[name] = f"{path}: {error.strerror or error}"
    return found, refused


def destination_id(destination: str) -> str:
    """The directory name of a destination: ``local``, else a short digest (a URL may hold what is no file name)."""
    return destination if destination == "local" else hashlib.sha256(destination.encode()).hexdigest()[:16]


def id_of(path: str) -> str:
    """The destination's id in the name of its directory; empty if that has another name."""
    match = _DESTINATIONS.fullmatch(os.path.basename(path))
    return match.group(1) if match else ""


def make_destination(path: str, destination: str) -> Directory:
    """Our directory of a destination in the outbox ``path``, private, made where it is not there.

    Where another user has taken its name, the next free one with a number is ours. Raises ``OutboxUnavailableError``
    or another OSError.
    """
    _make_path(path)
    root = outbox(path)
    identifier = destination_id(destination)
    taken = ""
    for number in range(_MOST_NAMES):
        try:
            found = root.subdirectory(f"{identifier}-{number}" if number else identifier, (user(),), create=True)
        except RefusedError as error:
            taken = taken or str(error)
            continue
        if taken:
            diagnostics.say_once(f"{taken}: the outbox is {found.path}", about="taken")
        return found
    raise OutboxUnavailableError(taken)


def default_root() -> str:
    """The user's state directory, by the XDG rules. Raises ``OutboxUnavailableError`` where there is no home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home) or not os.path.isdir(home):
            raise OutboxUnavailableError("there is no home directory")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "hf-openobserve", "outbox")


def make_root(explicit: Optional[str]) -> Directory:
    """The outbox itself, made where it is not there: the configured one, else the first of ours. Raises OSError."""
    if explicit is None:
        try:
            return make_root(default_root())
        except OSError:
            diagnostics.pass_the_programs_own()
            explicit = make_temporary_root()
    _make_path(explicit)
    return outbox(explicit)


def temporary_root() -> str:
    """A private directory under the system's temporary one, the same for every process of the user."""
    return os.path.join(tempfile.gettempdir(), f"hf-openobserve-{user() if user() >= 0 else 'user'}", "outbox")


def make_temporary_root() -> str:
    """The same, in a directory of our user: anybody can make one of that name beforehand. Raises OSError."""
    path = temporary_root()
    temporary, name = os.path.split(os.path.dirname(path))
    Directory(temporary, (os.stat(temporary).st_uid,)).subdirectory(name, (user(),), create=True)
    return path


def _make_path(path: str) -> None:
    """Make what is not there of the directories of ``path``, for our user alone whatever the umask. Raises OSError."""
    if path and not os.path.isdir(path):
        _make_path(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            make(path, None)
