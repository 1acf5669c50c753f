"""Places for an outbox: a full disk, a directory that cannot be written; and what can befall the files in it.

Nothing here needs more than the machine allows: a mount in a namespace of the program's own where that is possible (as
root, or with user namespaces), else the nearest thing to it that is real.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Sequence, Tuple

from hf_openobserve.outbox import segment

DISK_BYTES = 64 * 1024


class Place(NamedTuple):
    """Where the outbox is, the command that the program is run by to see it, and how that was done."""

    outbox: Path
    command: Tuple[str, ...] = ()
    how: str = ""


def ordinary(directory: Path) -> Place:
    return Place(directory / "outbox")


def full(directory: Path) -> Place:
    """A disk that takes ``DISK_BYTES`` and no more."""
    outbox = directory / "outbox"
    outbox.mkdir(mode=0o700)
    unshare = _namespace()
    if unshare:
        mount = f'mount -t tmpfs -o size={DISK_BYTES},mode=0700 tmpfs "$0" && exec "$@"'
        return Place(outbox, (*unshare, "sh", "-c", mount, str(outbox)), "a tmpfs")
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
    run = limit.format(DISK_BYTES) + "; os.execvp(sys.argv[1], sys.argv[1:])"
    return Place(outbox, (sys.executable, "-I", "-S", "-c", run), "a limit on the size of files")


def read_only(directory: Path) -> Place:
    """A directory in which nothing can be created."""
    outbox = directory / "outbox"
    outbox.mkdir(mode=0o700)
    unshare = _namespace()
    if unshare:
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        return Place(outbox, (*unshare, "sh", "-c", mount, str(outbox)), "a read-only mount")
    if os.getuid() != 0:
        outbox.chmod(0o500)
        return Place(outbox, (), "mode 0500")
    # The administrator may write anywhere, but not below a file.
    outbox.rmdir()
    outbox.write_bytes(b"")
    return Place(outbox / "outbox", (), "a path below a file")


def with_own_clock(directory: Path) -> Place:
    """An ordinary place, and a program whose clock can be set back."""
    first = 'PYTHONPATH="$0${PYTHONPATH:+:$PYTHONPATH}" exec "$@"'
    return Place(directory / "outbox", ("sh", "-c", first, str(Path(__file__).parent / "clock")))


def waiting(outbox: Path) -> int:
    """Spans in the segments that are to be sent."""
    return sum(_spans_in(path) for path in outbox.rglob("*.seg") if path.parent.name != "rejected")


def set_aside(outbox: Path) -> int:
    """Spans that the server refused by themselves."""
    return sum(_spans_in(path) for path in outbox.rglob("rejected/*.seg"))


def size(outbox: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in outbox.rglob("*") if path.is_file())


def delete_if_held(outbox: Path) -> bool:
    """Delete it, unless spans of it are just changing hands: then False.

    What a process has let go of, and no sender has read, is in its files alone. Everything else the agent still has.
    """
    if not all(_is_held(path) for path in outbox.rglob("*.seg") if _spans_in(path)):
        return False
    shutil.rmtree(str(outbox))
    return True


def truncate(outbox: Path) -> None:
    """The process was killed within the write of one more record: the half of it is there."""
    for path in _left(outbox):
        data = path.read_bytes()
        record = data[data.rindex(segment.SPAN_MARKER) :]
        path.write_bytes(data + record[: len(record) // 2])


def spoil(outbox: Path) -> None:
    """Bytes that are no record stand in front of the spans, and a segment of nothing else beside them."""
    garbage = bytes(range(256)) * 64 + segment.SPAN_MARKER + b"\xff" * 40
    for path in _left(outbox):
        data = path.read_bytes()
        first = data.index(segment.SPAN_MARKER)
        path.write_bytes(data[:first] + garbage + data[first:])
        beside = path.with_name(path.name.replace(path.name[:20], "0" * 20))
        beside.write_bytes(garbage)
        beside.chmod(0o600)


def _left(outbox: Path) -> Sequence[Path]:
    found = [path for path in outbox.rglob("*.seg") if _spans_in(path)]
    assert found, f"no segment was left in {outbox}"
    return found


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _spans_in(path: Path) -> int:
    try:
        return sum(1 for _ in segment.spans(path.read_bytes()))
    except FileNotFoundError:  # delivered meanwhile
        return 0


@functools.lru_cache(maxsize=None)
def _namespace() -> Tuple[str, ...]:
    """The command that gives a program mounts of its own; empty where the machine does not allow it."""
    for command in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        try:
            tried = subprocess.run(
                [*command, "sh", "-c", "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True, timeout=10
            )
        except OSError:
            return ()
        if tried.returncode == 0:
            return command
    return ()
