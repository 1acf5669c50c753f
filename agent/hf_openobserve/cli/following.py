"""Spans of an outbox as they are written. Nothing is locked, claimed or changed.

A sender may deliver and delete a segment a fifth of a second after its first span. So each segment is opened as soon as
it is seen, and what is open can be read to its end though it has no name any more. What is missed is a segment that
comes and goes between two looks.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import OrderedDict
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

from hf_openobserve.cli import contents
from hf_openobserve.outbox import places, segment
from hf_openobserve.outbox.directory import Directory

LOOK_EVERY_S = 0.02
DIRECTORIES_EVERY_S = 0.1
"""How often destinations are looked for: the first segment of one lies there for longer."""

_MOST_OPEN = 128
"""Descriptors. Of more segments, those that have not grown for the longest are closed, and opened when they grow."""
_MOST_SEEN = 100_000
"""Records that are remembered: one that is moved to another segment has been read."""

_Place = Tuple[str, str]


class Follower:
    """What comes into some outboxes."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.unread = contents.Unread()
        """What was there at the beginning and cannot be read."""
        self._roots = roots
        self._directories: Dict[str, Directory] = {}
        self._directories_at = 0.0
        self._files: OrderedDict[_Place, _File] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self.pause_s = LOOK_EVERY_S
        """Until the next look: longer where one takes long, so that we never take more than a tenth of a processor."""

    def look(self) -> List[bytes]:
        """The payloads of the spans that have been written since the last look; at the first one, of all."""
        began = time.monotonic()
        if began - self._directories_at >= DIRECTORIES_EVERY_S:
            self._find_directories()
            self._directories_at = began
        found = [payload for payload in self._read() if self._is_new(payload)]
        self.pause_s = max(LOOK_EVERY_S, 9 * (time.monotonic() - began))
        return found

    def close(self) -> None:
        """Close what is open."""
        for file in self._files.values():
            file.close()

    def _find_directories(self) -> None:
        unread = self.unread if not self._directories_at else contents.Unread()
        found = [directory for root in self._roots for directory in contents.directories(root, unread)]
        self._directories = {directory.path: directory for directory in found}

    def _read(self) -> Iterator[bytes]:
        there: Set[_Place] = set()
        for path, directory in self._directories.items():
            # A directory that cannot be listed has been taken away, or is another's by now.
            with contextlib.suppress(OSError):
                for entry in directory.files(places.SEGMENTS):
                    if entry.refused:
                        continue
                    there.add((path, entry.name))
                    file = self._files.setdefault((path, entry.name), _File(directory, entry.name))
                    if entry.size > file.position:
                        self._files.move_to_end((path, entry.name))
                        yield from file.read()
        for place in [place for place in self._files if place not in there]:
            file = self._files.pop(place)
            yield from file.rest()
            file.close()
        for file in list(self._files.values())[: max(0, len(self._files) - _MOST_OPEN)]:
            file.close()

    def _is_new(self, payload: bytes) -> bool:
        key = hash(payload)
        is_new = key not in self._seen
        self._seen[key] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return is_new


class _File:
    """A segment, and how far it has been read."""

    def __init__(self, directory: Directory, name: str) -> None:
        self.position = 0
        """Bytes that have been read."""
        self._directory = directory
        self._name = name
        self._fd: Optional[int] = None
        self._unfinished = b""
        """What stands behind the last intact record: the beginning of the next one, or what was torn."""

    def read(self) -> Iterator[bytes]:
        """The payloads of the spans that have come. A segment that is gone, or cannot be read, has none."""
        with contextlib.suppress(OSError):
            if self._fd is None:
                self._fd = self._directory.open(self._name)
            yield from self._spans()

    def rest(self) -> Iterator[bytes]:
        """The same of a segment that has no name any more."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                yield from self._spans()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _spans(self) -> Iterator[bytes]:
        assert self._fd is not None
        data, self._unfinished = self._unfinished + self._come(self._fd), b""
        end = 0
        for record in segment.parse(data):
            framed = segment.frame(*record)
            end = data.index(framed, end) + len(framed)
            if record[0] == segment.SPAN_MARKER:
                yield record[2]
        self._unfinished = data[end:]

    def _come(self, fd: int) -> bytes:
        pieces: List[bytes] = []
        while True:
            piece = os.pread(fd, 1 << 20, self.position)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            self.position += len(piece)
