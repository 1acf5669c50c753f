"""What is in an outbox, as every command finds and reads it: nothing is changed, and what is not read is said.

Programs write to it and senders empty it meanwhile: what goes while we look is left out.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import click

from hf_openobserve.outbox import counters, locks, places, segment
from hf_openobserve.outbox.directory import Directory, OutboxUnavailableError, RefusedError, user
from hf_openobserve.outbox.directory import read as read_file

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Settings

NO_PLACE = "a home directory, of which there is none"
_META_BYTES = 64 * 1024


class Segment(NamedTuple):
    """One segment file.

    ``starts``: of its spans, in nanoseconds since the epoch. ``held``: some process has its lock.
    """

    name: str
    destination: Optional[str]
    size: int
    starts: List[int]
    held: bool
    holder_pid: Optional[int]
    """Of the process that holds it; None if nobody does, or it is in another container."""


class Unread:
    """What is there and was left alone, a line each.

    ``others``: of other users, who have no part in what is asked for.
    """

    def __init__(self) -> None:
        self.lines: List[str] = []
        self.others: List[str] = []


class Contents(NamedTuple):
    """What is in the directory of one destination."""

    destination: Optional[str]
    """Its identity, as the segments say; None if there is none that tells."""
    segments: List[Segment]
    set_aside: List[Segment]


def roots(directory: Optional[str], settings: Settings) -> List[str]:
    """Where to look: ``directory`` if given, else where the agent keeps its outbox, whether that exists or not.

    Unless the user has chosen a place these may be two: where the state directory cannot be written, the agent takes a
    temporary one.
    """
    if directory or settings.outbox_dir:
        return [os.path.abspath(directory or settings.outbox_dir or "")]
    found = []
    with contextlib.suppress(OutboxUnavailableError):
        found.append(places.default_root())
    temporary = places.temporary_root()
    with contextlib.suppress(OSError):
        # Its name can be guessed, so somebody else may have made it.
        Directory(os.path.dirname(temporary), (user(),)).subdirectory(os.path.basename(temporary), (user(),))
        found.append(temporary)
    return found


def directories(root: str, unread: Unread, ids: Optional[Set[str]] = None) -> List[Directory]:
    """The destinations' directories in an outbox, and the outbox itself if there are segments in it.

    Root looks into anybody's, others into their own. Another user's is left unread, unless he has it beside ours
    under the same id, or under none of ``ids``.
    """
    as_root = user() == 0
    try:
        outbox = Directory(root, None if as_root else (user(), 0))
        found, refused = places.destinations(outbox, None if as_root else (user(),))
        files = outbox.files(places.SEGMENTS)
    except FileNotFoundError:
        return []
    except OSError as error:
        unread.lines.append(reason(root, error))
        return []
    ours = {places.id_of(directory.path) for directory in found}
    for name, line in refused.items():
        asked_for = places.id_of(name) not in ours and (ids is None or places.id_of(name) in ids)
        (unread.lines if asked_for else unread.others).append(line)
    # Where there are destinations, anybody may have put a file beside them: it does not make this one of them.
    if any(not file.refused for file in files) or (files and not found):
        found.insert(0, outbox)
    return found


def segments(directory: Directory, unread: Unread) -> Iterator[Tuple[Directory, str]]:
    """Where the segments of a destination are, and their names, oldest first; those set aside after the others.

    ``unread`` gets a line for each that cannot be, or is none.
    """
    for aside in (False, True):
        try:
            place = places.rejected(directory) if aside else directory
            files = place.files(places.SEGMENTS)
        except FileNotFoundError:
            continue
        except OSError as error:
            unread.lines.append(
                reason(os.path.join(directory.path, places.REJECTED) if aside else directory.path, error)
            )
            continue
        for file in files:
            if file.refused:
                unread.lines.append(f"{os.path.join(place.path, file.name)} {file.refused}")
            else:
                yield place, file.name


@contextlib.contextmanager
def noted(place: Directory, name: str, unread: Unread) -> Iterator[None]:
    """``unread`` gets a line if reading this file fails, unless it is gone."""
    try:
        yield
    except FileNotFoundError:  # delivered
        pass
    except OSError as error:
        unread.lines.append(reason(os.path.join(place.path, name), error))


def say(command: str, unread: Unread) -> None:
    """On standard error: what was left alone, and why."""
    for line in unread.lines:
        click.echo(f"hf-openobserve {command}: cannot read {one_line(line)}", err=True)
    for line in unread.others:
        click.echo(f"hf-openobserve {command}: left alone: {one_line(line)}", err=True)


def one_line(text: Any) -> str:
    """As it may be printed: spans hold other people's words, and a terminal obeys what is not printable."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split()))


def reason(path: str, error: OSError) -> str:
    """What stands at ``path`` and why it is not read, in one line."""
    return str(error) if isinstance(error, RefusedError) else f"{path}: {error.strerror or error}"


def payloads(root: str, since_ns: int, unread: Unread) -> Iterator[bytes]:
    """Of every span in an outbox that began at ``since_ns`` (nanoseconds since the epoch) or later."""
    for directory in directories(root, unread):
        for place, name in segments(directory, unread):
            with noted(place, name, unread):
                yield from (payload for start, payload in segment.spans(place.read(name)) if start >= since_ns)


def read(directory: Directory, unread: Unread) -> Contents:
    """Read one destination's directory. ``unread`` gets a line for each segment that cannot be."""
    contents = Contents(None, [], [])
    holders = _flock_holders()
    named = None
    for place, name in segments(directory, unread):
        with noted(place, name, unread):
            found = _read_segment(place, name, holders)
            (contents.segments if place is directory else contents.set_aside).append(found)
            named = named or found.destination
    return contents._replace(destination=named or ("local" if places.id_of(directory.path) == "local" else None))


def metrics(directory: Directory, unread: Unread) -> List[int]:
    """The size of each segment of metrics that waits beside the spans."""
    try:
        return [file.size for file in places.metrics(directory).files(places.SEGMENTS) if not file.refused]
    except FileNotFoundError:
        pass
    except OSError as error:
        unread.lines.append(reason(os.path.join(directory.path, places.METRICS), error))
    return []


def identity(place: Directory, name: str) -> Optional[str]:
    """The destination that a segment was written for; None if it cannot be read or does not say."""
    try:
        return _destination(place.read(name, _META_BYTES))
    except OSError:
        return None


def read_counters(directory: Directory, unread: Unread) -> Optional[Dict[str, int]]:
    """What has become of a destination's spans so far; None if nobody counts."""
    try:
        return counters.read(directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        unread.lines.append(reason(os.path.join(directory.path, counters.FILE_NAME), error))
        return None


def _destination(data: bytes) -> Optional[str]:
    named = segment.meta(data).get("destination")
    return named if isinstance(named, str) and named else None


def _read_segment(place: Directory, name: str, holders: Dict[str, int]) -> Segment:
    descriptor = place.open(name)
    try:
        status = os.fstat(descriptor)
        held = _is_locked(descriptor)
        data = read_file(descriptor)
    finally:
        os.close(descriptor)
    key = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}:{status.st_ino}"
    starts = [start for start, _ in segment.spans(data)]
    return Segment(name, _destination(data), status.st_size, starts, held, holders.get(key) if held else None)


def _is_locked(descriptor: int) -> bool:
    """Whether another open file holds the lock. Asked with a shared lock, for an instant: no sender waits for one."""
    try:
        locks.share(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return False
    locks.give_back(descriptor)
    return False


def _flock_holders() -> Dict[str, int]:
    """``major:minor:inode`` of each file locked by ``flock`` -> the process, as Linux tells; empty elsewhere."""
    holders: Dict[str, int] = {}
    try:
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                # "1: FLOCK  ADVISORY  WRITE 4242 08:01:131 0 EOF"; a waiting one has "->" in the second place.
                fields = line.split()
                if len(fields) > 5 and fields[1] == "FLOCK":
                    major, minor, inode = fields[5].split(":")
                    holders[f"{int(major, 16)}:{int(minor, 16)}:{inode}"] = int(fields[4])
    except (OSError, ValueError):
        pass
    return holders
