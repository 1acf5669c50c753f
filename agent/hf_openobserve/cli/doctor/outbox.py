"""The outbox: whether it can be written, what waits in it and for whom, and what has been lost."""

from __future__ import annotations

import os
import time
from typing import Iterator, Optional

from hf_openobserve.cli import contents
from hf_openobserve.cli.doctor.finding import Finding, green, red, yellow
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.settings import Settings
from hf_openobserve.outbox import counters, places, store
from hf_openobserve.outbox.directory import Directory, OutboxUnavailableError

_LOST = (counters.REJECTED, counters.EXPIRED, counters.EVICTED)


def check(settings: Settings) -> Iterator[Finding]:
    """Open it as a program would, then look at what is there."""
    yield _writable(settings)
    if settings.destination.kind != "local":
        yield _metrics(settings)
    unread = contents.Unread()
    for root in contents.roots(None, settings):
        for directory in contents.directories(root, unread):
            yield from _waiting(directory, settings, unread)
    for line in unread.lines:
        yield yellow("unreadable", contents.one_line(line), "Look whose it is: the agent works in its own user's alone")


def _writable(settings: Settings) -> Finding:
    remedy = f"Set {names.OPENOBSERVE_HF_OUTBOX_DIR} to a directory that the program's user can write"
    try:
        opened = store.open_store(settings.outbox_dir, settings.destination.identity, settings.outbox_max_bytes)
    except OutboxUnavailableError as error:
        what = f"no directory can be used ({error}): spans wait in memory, and end with the process"
        return red("directory", what, remedy)
    opened.leave()
    most = f"at most {settings.outbox_max_bytes // 2**20} MiB"
    if settings.outbox_dir is None and opened.root == places.temporary_root():
        what = f"{opened.root} ({most}), since the home directory cannot be used: a restart of the machine empties it"
        return yellow("directory", what, remedy, path=opened.root)
    free = _free_bytes(opened.root)
    if free < settings.outbox_max_bytes:
        what = f"{opened.root} can be written, and its disk has {free // 2**20} MiB left, less than the outbox may take"
        return yellow("directory", what, f"Free some space, or lower {names.OPENOBSERVE_HF_OUTBOX_MAX_MB}")
    return green("directory", f"{opened.root} can be written ({most})", path=opened.root)


def _metrics(settings: Settings) -> Finding:
    metrics = settings.metrics
    if metrics is None:
        return green("metrics", f"none are made ({names.OPENOBSERVE_HF_METRICS}, {names.OTEL_METRICS_EXPORTER})")
    kind = "delta" if metrics.is_delta else "cumulative"
    where = metrics.destination.shown_endpoint
    return green("metrics", f"of the calls go to {where} every {metrics.interval_s:g} s, {kind}")


def _free_bytes(path: str) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _waiting(directory: Directory, settings: Settings, unread: contents.Unread) -> Iterator[Finding]:
    found = contents.read(directory, unread)
    configured = settings.destination.identity
    name = found.destination
    if name is None and places.id_of(directory.path) == places.destination_id(configured):
        name = configured
    starts = [start for segment in found.segments if not segment.held for start in segment.starts]
    if starts:
        yield _backlog(len(starts), min(starts), name, settings)
    aside = sum(len(segment.starts) for segment in found.set_aside)
    if aside:
        what = f"{aside:,} spans that the server refused are kept in {os.path.join(directory.path, places.REJECTED)}"
        yield yellow("set aside", what, "Report it, or delete them")
    counted = contents.read_counters(directory, unread) or {}
    lost = {kind: counted[kind] for kind in _LOST if counted.get(kind)}
    if lost and name == configured:
        text = ", ".join(f"{count:,} {kind}" for kind, count in lost.items())
        yield yellow("lost", f"{text} so far, of spans for this destination", "See `hf-openobserve outbox`")


def _backlog(count: int, oldest: int, name: Optional[str], settings: Settings) -> Finding:
    hours = max(0.0, time.time() - oldest / 1e9) / 3600
    since = f"the oldest began {hours:.1f} h ago" if hours >= 0.1 else "from just now"
    ship = "`hf-openobserve ship` delivers them now; the next program does, too"
    if name == "local":
        what = f"{count:,} spans were recorded without a destination ({since})"
        return yellow("waiting", what, "`hf-openobserve report` shows them; `hf-openobserve ship` delivers them")
    if name != settings.destination.identity:
        what = f"{count:,} spans wait for {contents.one_line(name)} ({since}), which is not configured here"
        return yellow("waiting", what, "Start `hf-openobserve ship` with that destination, or delete them")
    if settings.window_s and hours * 3600 > settings.window_s:
        what = f"{count:,} spans wait; {since}, and the server takes none that began more than "
        return yellow("waiting", f"{what}{settings.window_s / 3600:g} h ago", ship)
    return green("waiting", f"{count:,} spans wait for this destination ({since}); {ship}")
