"""``hf-openobserve outbox``: what waits on this machine, for which destination, and who holds it.

Nothing is changed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import click

from hf_openobserve.cli import contents
from hf_openobserve.cli.options import directory_option
from hf_openobserve.outbox import counters, places
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from rich.console import Console

    from hf_openobserve.config.settings import Settings
    from hf_openobserve.outbox.directory import Directory

_PLAIN_WIDTH = 100


@click.command("outbox")
@directory_option(must_exist=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def outbox_command(directory: Optional[str], as_json: bool) -> None:
    """Show what waits in the outbox, and how full it is.

    A segment is a file of one process's spans. It is held while that process writes it, or another one sends it;
    otherwise it waits to be sent. Exit status: 1 if something is there that is not ours to read, as standard error
    says.

    \b
    The shape of --json (ages in seconds, sizes in bytes):
    {"outboxes": [{"path", "bytes", "max_bytes", "destinations": [
      {"directory", "destination", "configured", "segments", "held_segments",
       "spans", "held_spans", "bytes", "oldest_span_age_s", "set_aside_spans",
       "set_aside_bytes", "metrics_records", "metrics_bytes", "unreadable",
       "holders": [{"segment", "pid"}], "counters"}]}]}
    "segments", "spans" and "bytes" include the held ones and not what was set
    aside. "destination", "oldest_span_age_s", "pid" and "counters" may be null.
    """  # noqa: D301 - click looks for the character
    settings = load_settings()
    roots = contents.roots(directory, settings)
    unread = contents.Unread()
    shown = [_as_json(root, settings, unread) for root in roots]
    contents.say("outbox", unread)
    if as_json:
        click.echo(json.dumps({"outboxes": shown}, indent=2))
    elif any(outbox["destinations"] for outbox in shown):
        console = plain_console()
        for outbox in shown:
            if outbox["destinations"]:
                _show(console, outbox)
    elif not unread.lines:
        click.echo(f"No outbox in {' or '.join(roots) or contents.NO_PLACE}: no program has kept a span there.")
    sys.exit(1 if unread.lines else 0)


def load_settings() -> Settings:
    """The settings as a program started here would find them. What is wrong with them goes to stderr."""
    from hf_openobserve.config import settings as settings_module

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


def _as_json(root: str, settings: Settings, unread: contents.Unread) -> Dict[str, Any]:
    """One outbox, in the shape that the command documents."""
    destinations = [
        _destination_as_json(directory, settings, unread) for directory in contents.directories(root, unread)
    ]
    total = sum(entry["bytes"] + entry["set_aside_bytes"] + entry["metrics_bytes"] for entry in destinations)
    return {"path": root, "bytes": total, "max_bytes": settings.outbox_max_bytes, "destinations": destinations}


def _destination_as_json(directory: Directory, settings: Settings, unread: contents.Unread) -> Dict[str, Any]:
    before = len(unread.lines)
    found = contents.read(directory, unread)
    metrics = contents.metrics(directory, unread)
    held = [segment for segment in found.segments if segment.held]
    starts = [start for segment in found.segments for start in segment.starts]
    configured = settings.destination.identity
    destination = found.destination
    if destination is None and places.id_of(directory.path) == places.destination_id(configured):
        destination = configured
    counted = contents.read_counters(directory, unread)
    return {
        "directory": directory.path,
        "destination": destination,
        "configured": destination == configured,
        "segments": len(found.segments),
        "held_segments": len(held),
        "spans": len(starts),
        "held_spans": sum(len(segment.starts) for segment in held),
        "bytes": sum(segment.size for segment in found.segments),
        "oldest_span_age_s": round(max(0.0, time.time() - min(starts) / 1e9), 3) if starts else None,
        "set_aside_spans": sum(len(segment.starts) for segment in found.set_aside),
        "set_aside_bytes": sum(segment.size for segment in found.set_aside),
        "metrics_records": len(metrics),
        "metrics_bytes": sum(metrics),
        "unreadable": len(unread.lines) - before,
        "holders": [{"segment": segment.name, "pid": segment.holder_pid} for segment in held],
        "counters": counted,
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
            console.print(f"{contents.one_line(holder['segment'])} is held by {who}", soft_wrap=True)
        if entry["metrics_records"]:
            waiting = f"{entry['metrics_records']:,} records of metrics ({size_text(entry['metrics_bytes'])}) wait for"
            console.print(f"{waiting} {_destination_text(entry)}", soft_wrap=True)
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
        table.add_column(contents.one_line(name).replace("_", " "), justify="right", no_wrap=True)
    for entry in counted:
        counts = (entry["counters"][name] for name in counters.NAMES)
        table.add_row(_destination_text(entry), *(f"{count:,}" for count in counts))
    console.print()
    console.print(table)


def _destination_text(entry: Dict[str, Any]) -> str:
    if entry["destination"] == "local":
        return "local (no destination was configured)"
    text = contents.one_line(entry["destination"] or f"unknown ({os.path.basename(entry['directory'])})")
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
