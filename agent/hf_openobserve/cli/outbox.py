"""``hf-openobserve outbox``: what waits on this machine, for which destination, and who holds it. Nothing is changed.

Here too is what the commands ``report`` and ``ship`` have in common with it: where the outbox is, and what is in it.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

import click

from hf_openobserve import diagnostics
from hf_openobserve.outbox import counters, segment, store

if TYPE_CHECKING:
    from rich.console import Console

    from hf_openobserve.settings import Settings

_DESTINATION_NAME = re.compile(r"local|[0-9a-f]{16}")
"""The names that ``store.destination_id`` gives."""

_PLAIN_WIDTH = 100


class Segment(NamedTuple):
    """One segment file. ``starts``: of its spans, in nanoseconds since the epoch. ``held``: some process has its lock."""

    path: str
    size: int
    starts: List[int]
    held: bool
    holder_pid: Optional[int]
    """Of the process that holds it; None if nobody does or the kernel does not tell (it may be in another container)."""


class Contents(NamedTuple):
    """What is in the directory of one destination."""

    directory: str
    destination: Optional[str]
    """Its identity, as the segments say; None if there is none that tells."""
    segments: List[Segment]
    set_aside: List[Segment]
    unreadable: List[str]
    """One line for each segment that is there and cannot be read."""


@click.command("outbox")
@click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    metavar="D",
    help="An outbox, or one destination's directory in it. Default: where the agent keeps it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def outbox_command(directory: Optional[str], as_json: bool) -> None:
    """Show what waits in the outbox, and how full it is.

    A segment is a file of one process's spans. It is held while that process writes it, or another one sends it;
    otherwise it waits to be sent.

    \b
    The shape of --json (ages in seconds, sizes in bytes):
    {"outboxes": [{"path", "bytes", "max_bytes", "destinations": [
      {"directory", "destination", "configured", "segments", "held_segments",
       "spans", "held_spans", "bytes", "oldest_span_age_s", "set_aside_spans",
       "set_aside_bytes", "unreadable", "holders": [{"segment", "pid"}],
       "counters"}]}]}
    "segments", "spans" and "bytes" include the held ones and not what was set
    aside. "destination", "oldest_span_age_s", "pid" and "counters" may be null.
    """  # noqa: D301 - click looks for the character
    settings = load_settings()
    roots = places(directory, settings)
    shown = [_as_json(root, settings) for root in roots]
    if as_json:
        click.echo(json.dumps({"outboxes": shown}, indent=2))
        return
    if not any(outbox["destinations"] for outbox in shown):
        click.echo(f"No outbox in {' or '.join(roots) or NO_PLACE}: no program has kept a span there.")
        return
    console = plain_console()
    for outbox in shown:
        if outbox["destinations"]:
            _show(console, outbox)


def load_settings() -> Settings:
    """The settings as a program started here would find them. What is wrong with them goes to stderr."""
    from hf_openobserve import settings as settings_module

    try:
        cwd: Optional[str] = os.getcwd()
    except OSError:
        cwd = None
    settings = settings_module.load(os.environ, script_dir=None, cwd=cwd)
    if settings.debug:
        diagnostics.debug_from_now_on()
    for line in settings.problems:
        click.echo(f"hf-openobserve: {line}", err=True)
    return settings


NO_PLACE = "a home directory, of which there is none"


def places(directory: Optional[str], settings: Settings) -> List[str]:
    """Where to look: ``directory`` if given, else where the agent keeps its outbox, whether that exists or not.

    Unless the user has chosen a place these may be two: where the state directory cannot be written, the agent takes a
    temporary one.
    """
    if directory or settings.outbox_dir:
        return [os.path.abspath(directory or settings.outbox_dir or "")]
    found = []
    try:
        found.append(store.default_root())
    except store.OutboxUnavailableError:
        pass
    temporary = store.temporary_root()
    # Its name can be guessed, so somebody else may have made it.
    if os.path.isdir(temporary) and (not hasattr(os, "getuid") or os.stat(temporary).st_uid == os.getuid()):
        found.append(temporary)
    return found


def destination_directories(place: str) -> List[str]:
    """The destinations' directories in an outbox; ``place`` itself if it is such a directory."""
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    if any(name.endswith(store.SUFFIX) for name in names):
        return [place]
    found = [os.path.join(place, name) for name in names if _DESTINATION_NAME.fullmatch(name)]
    return [path for path in found if os.path.isdir(path)]


def read_contents(directory: str) -> Contents:
    """Read one destination's directory, while programs write to it and senders empty it: what goes meanwhile is left out."""
    contents = Contents(directory, identity_of(directory), [], [], [])
    holders = _flock_holders()
    for parent, into in (
        (directory, contents.segments),
        (os.path.join(directory, store.REJECTED), contents.set_aside),
    ):
        for path in segment_paths(parent):
            try:
                into.append(_read_segment(path, holders))
            except FileNotFoundError:
                continue  # delivered
            except OSError as error:
                contents.unreadable.append(f"{path}: {error.strerror or error}")
    return contents


def segment_paths(directory: str) -> List[str]:
    """The segment files in a directory, the oldest first; none if it cannot be read."""
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if name.endswith(store.SUFFIX)]
    except OSError:
        return []


def identity_of(directory: str) -> Optional[str]:
    """The identity of a destination's directory: as its first readable segment says, else ``local`` by its name."""
    for parent in (directory, os.path.join(directory, store.REJECTED)):
        for path in segment_paths(parent):
            named = segment_identity(path)
            if named:
                return named
    return "local" if os.path.basename(directory) == "local" else None


def segment_identity(path: str) -> Optional[str]:
    """The destination a segment was written for; None if it cannot be read or does not say."""
    try:
        named = segment.read_meta(path).get("destination")
    except (OSError, ValueError):
        return None
    return named if isinstance(named, str) and named else None


def one_line(text: Any) -> str:
    """As it may be printed: spans hold other people's words, and a terminal obeys what is not printable."""
    return "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split()))


def plain_console() -> Console:
    """House style: nothing in the data is markup, and a file or a pipe is 100 columns wide."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH)
    return console


def plain_table() -> Any:
    """A ``rich.table.Table`` in house style."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))


def _read_segment(path: str, holders: Dict[str, int]) -> Segment:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        status = os.fstat(descriptor)
        held = _is_locked(descriptor)
    finally:
        os.close(descriptor)
    starts = [start for start, _ in segment.iter_records(path)]
    key = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}:{status.st_ino}"
    return Segment(path, status.st_size, starts, held, holders.get(key) if held else None)


def _is_locked(descriptor: int) -> bool:
    """Whether another open file holds the lock. Asked with a shared lock, for an instant: no sender waits for one."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # no kernel locks here: then the agent keeps no outbox either
        return False
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


def _counters(directory: str) -> Optional[Dict[str, int]]:
    """What has become of this destination's spans so far; None if nobody counts."""
    try:
        return counters.read(directory)
    except OSError:
        return None


def _as_json(root: str, settings: Settings) -> Dict[str, Any]:
    """One outbox, in the shape that the command documents."""
    destinations = []
    total = 0
    for directory in destination_directories(root):
        contents = read_contents(directory)
        entry = _destination_as_json(contents, settings)
        total += entry["bytes"] + entry["set_aside_bytes"]
        destinations.append(entry)
        for line in contents.unreadable:
            click.echo(f"hf-openobserve outbox: cannot read {one_line(line)}", err=True)
    return {"path": root, "bytes": total, "max_bytes": settings.outbox_max_bytes, "destinations": destinations}


def _destination_as_json(contents: Contents, settings: Settings) -> Dict[str, Any]:
    held = [found for found in contents.segments if found.held]
    starts = [start for found in contents.segments for start in found.starts]
    configured = settings.destination.identity
    destination = contents.destination
    if destination is None and os.path.basename(contents.directory) == store.destination_id(configured):
        destination = configured
    return {
        "directory": contents.directory,
        "destination": destination,
        "configured": destination == configured,
        "segments": len(contents.segments),
        "held_segments": len(held),
        "spans": len(starts),
        "held_spans": sum(len(found.starts) for found in held),
        "bytes": sum(found.size for found in contents.segments),
        "oldest_span_age_s": round(max(0.0, time.time() - min(starts) / 1e9), 3) if starts else None,
        "set_aside_spans": sum(len(found.starts) for found in contents.set_aside),
        "set_aside_bytes": sum(found.size for found in contents.set_aside),
        "unreadable": len(contents.unreadable),
        "holders": [{"segment": os.path.basename(found.path), "pid": found.holder_pid} for found in held],
        "counters": _counters(contents.directory),
    }


def _show(console: Console, outbox: Dict[str, Any]) -> None:
    console.print(outbox["path"], soft_wrap=True)
    table = plain_table()
    table.add_column("destination", overflow="fold")
    for title in ("segments", "held", "spans", "size", "oldest span", "set aside"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in outbox["destinations"]:
        age = entry["oldest_span_age_s"]
        table.add_row(
            _destination_text(entry),
            f"{entry['segments']:,}",
            f"{entry['held_segments']:,}",
            f"{entry['spans']:,}",
            size_text(entry["bytes"]),
            "-" if age is None else age_text(age),
            f"{entry['set_aside_spans']:,}",
        )
    console.print(table)
    for entry in outbox["destinations"]:
        for holder in entry["holders"]:
            who = "another process" if holder["pid"] is None else f"process {holder['pid']}"
            console.print(f"{one_line(holder['segment'])} is held by {who}", soft_wrap=True)
    _show_counters(console, outbox["destinations"])
    console.print(
        f"{size_text(outbox['bytes'])} of {size_text(outbox['max_bytes'])} (OPENOBSERVE_HF_OUTBOX_MAX_MB)",
        soft_wrap=True,
    )


def _show_counters(console: Console, destinations: List[Dict[str, Any]]) -> None:
    counted = [entry for entry in destinations if entry["counters"] is not None]
    if not counted:
        return
    table = plain_table()
    table.add_column("so far", overflow="fold")
    for name in counters.NAMES:
        table.add_column(one_line(name).replace("_", " "), justify="right", no_wrap=True)
    for entry in counted:
        counts = (entry["counters"][name] for name in counters.NAMES)
        table.add_row(_destination_text(entry), *(f"{count:,}" for count in counts))
    console.print()
    console.print(table)


def _destination_text(entry: Dict[str, Any]) -> str:
    if entry["destination"] == "local":
        return "local (no destination was configured)"
    text = one_line(entry["destination"] or f"unknown ({os.path.basename(entry['directory'])})")
    return text + (" (configured)" if entry["configured"] else "")


def size_text(size: int) -> str:
    """Bytes for people, in the unit of OPENOBSERVE_HF_OUTBOX_MAX_MB from about 100 KiB on."""
    return f"{size / 1024:.1f} KiB" if size < 100 * 1024 else f"{size / 1024 / 1024:,.1f} MiB"


def age_text(seconds: float) -> str:
    """An age for people: the two largest units."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
