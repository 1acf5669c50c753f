"""What has become of a destination's spans, over all processes and restarts: one small JSON file in its directory.

Counting is a note in memory; ``flush`` merges the notes into the file. It takes no lock of Python's and waits for
none of the kernel's: if another process is at it, the notes wait for the next time.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, NamedTuple, Optional

from hf_openobserve.outbox import locks
from hf_openobserve.outbox.directory import Directory
from hf_openobserve.outbox.tuning import DEFAULT, Tuning
from hf_openobserve.process import diagnostics

FILE_NAME = "counters.json"

ACCEPTED = "accepted"
REJECTED = "rejected"  # by the server, for good: its partial_success, or a refusal of what could not be set aside
EXPIRED = "expired"  # began longer ago than the server takes
EVICTED = "evicted"  # dropped for room
SET_ASIDE = "set_aside"  # refused by itself, kept under ``rejected/``

NAMES = (ACCEPTED, REJECTED, EXPIRED, EVICTED, SET_ASIDE)
LOSSES = NAMES[1:]

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
    """The counters of one directory, which ``place`` finds; without one they are those of this process."""

    def __init__(self, place: Optional[Callable[[], Directory]] = None, tuning: Tuning = DEFAULT) -> None:
        self._place = place
        self._telling_s = tuning.telling_s
        self._notes: Deque[_Note] = deque()
        self._own: Dict[str, Any] = {}
        self._told: Optional[Losses] = None
        """Told, and not yet noted in the file."""

    def add(self, name: str, starts: Iterable[int], count: Optional[int] = None) -> None:
        """Note spans by their starts (ns since the epoch); ``count``: so many of those are meant, not known which."""
        known = list(starts)
        number = len(known) if count is None else count
        if known and number > 0:
            self._notes.append(_Note(name, number, min(known), max(known)))

    def flush(self) -> None:
        """Merge the notes into the file. If another process has it in use, or it cannot be written, they wait."""
        self._update(None)

    def untold(self) -> Optional[Losses]:
        """As ``flush``. Returns the losses that nobody has told the server yet, for the caller to do so; else None.

        They are given to one process at a time: for ``telling_s`` seconds the others are told of none.
        """
        return self._update(self._telling_s)

    def told(self, losses: Losses) -> None:
        """The server knows of these losses now."""
        self._update(None, losses)

    def after_fork_in_child(self) -> None:
        """What the parent noted, the parent writes."""
        self._notes.clear()
        self._own = {}
        self._told = None

    def _update(self, telling_s: Optional[float], told: Optional[Losses] = None) -> Optional[Losses]:
        """``telling_s``: as ``_merged`` has it."""
        taken = self._taken()
        told, self._told = told or self._told, None
        if self._place is None:
            return _merged(self._own, taken, telling_s, told)
        if not taken and told is None and telling_s is None:
            return None
        try:
            place = self._place()
            if not taken and told is None and not place.has(FILE_NAME):
                return None
            return _update_file(place, taken, telling_s, told)
        except OSError as error:
            self._notes.extendleft(reversed(taken))
            self._told = told
            diagnostics.pass_the_programs_own()
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


def read(place: Directory) -> Dict[str, int]:
    """Every counter by its name. Raises OSError if there is no file that can be read: nothing has been counted."""
    state = _parsed(place.read(FILE_NAME, _SIZE))
    return {name: _number(state.get(name)) for name in NAMES}


def _opened(place: Directory) -> int:
    try:
        return place.open(FILE_NAME, os.O_RDWR)
    except FileNotFoundError:
        return place.create(FILE_NAME)


def _update_file(
    place: Directory, notes: Iterable[_Note], telling_s: Optional[float], told: Optional[Losses]
) -> Optional[Losses]:
    fd = _opened(place)
    try:
        if os.fstat(fd).st_nlink != 1:  # it is written over: under its other name it may be anything
            raise OSError(f"{FILE_NAME} has not one name")
        locks.take(fd)
        before = os.read(fd, _SIZE)
        state = _parsed(before)
        result = _merged(state, notes, telling_s, told)
        text = json.dumps(state).encode().ljust(_SIZE - 1) + b"\n"
        if text != before:
            os.lseek(fd, 0, os.SEEK_SET)
            if os.write(fd, text) != len(text):
                raise OSError("short write to the counters")
        return result
    finally:
        try:
            locks.give_back(fd)  # a child forked meanwhile has this descriptor too, and would keep the lock
        finally:
            os.close(fd)


def _parsed(text: bytes) -> Dict[str, Any]:
    """The file's object. Damaged, it is begun anew: a count is not worth a program's trouble."""
    try:
        state = json.loads(text.decode("utf-8", "replace")) if text.strip() else {}
    except (ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _merged(
    state: Dict[str, Any], notes: Iterable[_Note], telling_s: Optional[float], told: Optional[Losses]
) -> Optional[Losses]:
    """Change ``state``.

    Returns the losses that the caller is to tell, which nobody tries for ``telling_s``; None: of none.
    """
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
    if telling_s is None or not counts or 0 <= now - _number(state.get("telling")) < telling_s:
        return None
    state["telling"] = now
    return Losses(counts, _number(untold.get("first")), _number(untold.get("last")))


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
