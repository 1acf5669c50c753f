"""What has become of a destination's spans, over all processes and restarts: one small JSON file in its directory.

Counting is a note in memory; ``flush`` merges the notes into the file. It takes no lock of Python's and waits for none of
the kernel's: if another process is at it, the notes wait for the next time.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import Any, Deque, Dict, Iterable, NamedTuple, Optional

from hf_openobserve import diagnostics

try:
    import fcntl
except ImportError:  # no kernel locks on this platform: counts end with the process
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "counters.json"

ACCEPTED = "accepted"
REJECTED = "rejected"  # by the server, for good: its partial_success, or a refusal of what could not be set aside
EXPIRED = "expired"  # began longer ago than the server takes
EVICTED = "evicted"  # dropped for room
SET_ASIDE = "set_aside"  # refused by itself, kept under ``rejected/``

NAMES = (ACCEPTED, REJECTED, EXPIRED, EVICTED, SET_ASIDE)
LOSSES = NAMES[1:]

TELLING_S = 60
"""How long one process has for telling the server of losses before another one may; so often it is told at the most."""

_SIZE = 1024
"""Bytes of the file. It is written over in one ``write`` of always the same length, so it is never torn."""


class Losses(NamedTuple):
    """Spans that will not arrive. ``first`` and ``last``: start of the oldest and youngest, ns since the epoch."""

    counts: Dict[str, int]
    first: int
    last: int

    @property
    def total(self) -> int:
        """In spans."""
        return sum(self.counts.values())


class _Note(NamedTuple):
    name: str
    spans: int
    first: int
    last: int


class Counters:
    """The counters of one directory; without one they are those of this process."""

    def __init__(self, directory: Optional[str] = None) -> None:
        self._path = os.path.join(directory, FILE_NAME) if directory and fcntl is not None else None
        self._notes: Deque[_Note] = deque()
        self._own: Dict[str, Any] = {}
        self._told: Optional[Losses] = None
        """Told, and not yet noted in the file."""

    def add(self, name: str, starts: Iterable[int], count: Optional[int] = None) -> None:
        """Note spans by their starts (ns since the epoch); ``count`` if only so many of those are meant, not known which."""
        known = list(starts)
        number = len(known) if count is None else count
        if known and number > 0:
            self._notes.append(_Note(name, number, min(known), max(known)))

    def flush(self) -> None:
        """Merge the notes into the file. If another process has it in use, or it cannot be written, they wait."""
        self._update()

    def untold(self) -> Optional[Losses]:
        """As ``flush``. Returns the losses that nobody has told the server yet, for the caller to do so; else None.

        They are given to one process at a time: for ``TELLING_S`` seconds the others are told of none.
        """
        return self._update(tell=True)

    def told(self, losses: Losses) -> None:
        """The server knows of these losses now."""
        self._update(told=losses)

    def after_fork_in_child(self) -> None:
        """What the parent noted, the parent writes."""
        self._notes.clear()
        self._own = {}
        self._told = None

    def _update(self, *, tell: bool = False, told: Optional[Losses] = None) -> Optional[Losses]:
        taken = self._taken()
        told, self._told = told or self._told, None
        if self._path is None:
            return _merged(self._own, taken, tell, told)
        if not taken and told is None and not (tell and os.path.exists(self._path)):
            return None
        try:
            return _update_file(self._path, taken, tell, told)
        except OSError as error:
            self._notes.extendleft(reversed(taken))
            self._told = told
            diagnostics.debug(f"counters: {error}")
            return None

    def _taken(self) -> Deque[_Note]:
        taken: Deque[_Note] = deque()
        while self._notes:
            try:
                taken.append(self._notes.popleft())
            except IndexError:  # another thread was faster
                break
        return taken


def read(directory: str) -> Dict[str, int]:
    """Every counter by its name. Raises OSError if there is no file that can be read: nothing has been counted."""
    with open(os.path.join(directory, FILE_NAME), "rb") as file:
        state = _parsed(file.read(_SIZE))
    return {name: _number(state.get(name)) for name in NAMES}


def _update_file(path: str, notes: Iterable[_Note], tell: bool, told: Optional[Losses]) -> Optional[Losses]:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = os.read(fd, _SIZE)
        state = _parsed(before)
        result = _merged(state, notes, tell, told)
        text = json.dumps(state).encode().ljust(_SIZE - 1) + b"\n"
        if text != before:
            os.lseek(fd, 0, os.SEEK_SET)
            if os.write(fd, text) != len(text):
                raise OSError("short write to the counters")
        return result
    finally:
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile has this descriptor too, and would keep the lock
        finally:
            os.close(fd)


def _parsed(text: bytes) -> Dict[str, Any]:
    """The file's object. Damaged, it is begun anew: a count is not worth a program's trouble."""
    try:
        state = json.loads(text.decode("utf-8", "replace")) if text.strip() else {}
    except (ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _merged(state: Dict[str, Any], notes: Iterable[_Note], tell: bool, told: Optional[Losses]) -> Optional[Losses]:
    """Change ``state``. Returns the losses that the caller is to tell."""
    untold = state.get("untold")
    untold = state["untold"] = untold if isinstance(untold, dict) else {}
    for note in notes:
        state[note.name] = _number(state.get(note.name)) + note.spans
        if note.name in LOSSES:
            untold[note.name] = _number(untold.get(note.name)) + note.spans
            untold["first"] = min(_number(untold.get("first")) or note.first, note.first)
            untold["last"] = max(_number(untold.get("last")), note.last)
    if told is not None:
        for name, count in told.counts.items():
            untold[name] = _number(untold.get(name)) - count
        if not any(_number(untold.get(name)) for name in LOSSES):
            untold.clear()
    counts = {name: _number(untold.get(name)) for name in LOSSES if _number(untold.get(name))}
    now = int(time.time())
    if not tell or not counts or 0 <= now - _number(state.get("telling")) < TELLING_S:
        return None
    state["telling"] = now
    return Losses(counts, _number(untold.get("first")), _number(untold.get("last")))


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
