"""The fault table itself: one ``Row`` per fault of the server, the process and the disk, and what has to come of it."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple

from fakes.openobserve import FakeOpenObserve

from . import disks, servers

if TYPE_CHECKING:
    from .running import Outcome, Stage

PROCESS = "the process"
SHIP = "the next `ship`"

SERVER, LIFE, DISK = "The server", "The process", "The disk, the clock, the queue"


@dataclass(frozen=True)
class Row:
    """One fault.

    The program is started with ``steps`` (see ``programs``), and each of its pauses is answered in turn.
    """

    kind: str
    name: str
    steps: str
    ended: int
    """Calls, or spans, that the program brings to their end."""
    by: str
    """Who delivers them: ``PROCESS`` or ``SHIP``."""
    fault: Callable[[FakeOpenObserve, Path], servers.Fault] = servers.Fault
    pauses: Sequence[Callable[[Stage], None]] = ()
    place: Callable[[Path], disks.Place] = disks.ordinary
    before_ship: Optional[Callable[[Path], None]] = None
    """What befalls the outbox when the program has ended."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Of the fake server."""
    environment: Mapping[str, str] = field(default_factory=dict)
    missing: Optional[int] = 0
    """How many of ``ended`` cannot arrive, for the reason in ``why``; None: that depends, and ``check`` looks closer.
    """
    why: str = ""
    """What the published table has to say about it."""
    repeats: bool = False
    """Whether the one request in flight may arrive twice: the contract is at least once."""
    at_exit: bool = False
    """Whether the process delivers in its very last moment, for which a test gives it more time than its users do."""
    says: str = ""
    """What one of the agent's lines on stderr has to contain."""
    check: Optional[Callable[[Outcome], Sequence[str]]] = None
    """Complaints about the agent's outcome that are this row's own."""
    impossible: Callable[[], str] = lambda: ""
    """Why the row cannot run on this machine, if so."""


def mend_and_wait(stage: Stage) -> None:
    stage.fault.mend()
    stage.until_delivered()


def until_delivered(stage: Stage) -> None:
    stage.until_delivered()


def delete_outbox(stage: Stage) -> None:
    deleted = not stage.place.outbox.exists()
    while not deleted:
        with stage.stopped():
            deleted = disks.delete_if_held(stage.place.outbox)
        time.sleep(0.02)


def front(make: Callable[[], servers.Behaviour]) -> Callable[[FakeOpenObserve, Path], servers.Fault]:
    return functools.partial(servers.Front, make=make)


def always(behaviour: servers.Behaviour) -> Callable[[FakeOpenObserve, Path], servers.Fault]:
    return front(lambda: behaviour)


def status(*arguments: Any, **options: Any) -> Callable[[FakeOpenObserve, Path], servers.Fault]:
    return front(servers.refuses_exports(*arguments, **options))


def exports(count: int) -> Callable[[Outcome], Sequence[str]]:
    """So many requests had been made when the process had ended, and no more."""
    return lambda outcome: [] if outcome.exports == count else [f"{outcome.exports} requests, not {count}"]


def set_aside(count: int) -> Callable[[Outcome], Sequence[str]]:
    return lambda outcome: [] if outcome.set_aside == count else [f"{outcome.set_aside} spans set aside, not {count}"]


def within_bound(max_mb: int) -> Callable[[Outcome], Sequence[str]]:
    """The outbox keeps to its size, and uses it; the newest spans stay.

    That is looked at for a third of what stays: what a request under way carries is not dropped, however old.
    """

    def check(outcome: Outcome) -> Sequence[str]:
        complaints = []
        if outcome.outbox_bytes > max_mb * 1024 * 1024 + 4096:  # and the file of its counters
            complaints.append(f"the outbox has {outcome.outbox_bytes} bytes")
        if not 0 < outcome.delivered < outcome.ended:
            complaints.append(
                f"{outcome.delivered} of {outcome.ended} delivered: the bound was not reached, or all lost"
            )
        third = outcome.delivered // 3
        if outcome.numbers[-third:] != list(range(outcome.ended - third, outcome.ended)):
            complaints.append(f"not the newest ones were kept: {outcome.numbers}")
        return complaints

    return check


def no_openssl() -> str:
    return "" if shutil.which("openssl") else "there is no openssl command to make a certificate with"


def no_fork() -> str:
    return "" if hasattr(os, "fork") else "this platform does not fork"


def not_linux() -> str:
    return "" if sys.platform == "linux" else "a full queue does not make connecting wait on this platform"


ROWS: Tuple[Row, ...] = (
    Row(SERVER, "refuses connections", "calls=5", 5, SHIP, servers.Refuses),
    Row(SERVER, "hangs before accept", "calls=5", 5, SHIP, servers.HangsBeforeAccept, impossible=not_linux),
    Row(SERVER, "hangs after reading", "calls=5", 5, SHIP, always(servers.hangs_after_reading)),
    Row(SERVER, "resets in the middle of the body", "calls=5", 5, SHIP, always(servers.resets_in_the_body)),
    Row(
        SERVER,
        "answers half a response",
        "calls=5",
        5,
        PROCESS,
        always(servers.answers_half),
        repeats=True,
        at_exit=True,
    ),
    Row(SERVER, "500, three times", "calls=5 pause", 5, PROCESS, status(500, times=3), [until_delivered]),
    Row(
        SERVER,
        "503 without Retry-After, three times",
        "calls=5 pause",
        5,
        PROCESS,
        status(503, times=3),
        [until_delivered],
    ),
    Row(
        SERVER,
        "429 with Retry-After: 30",
        "calls=5 wait=3",
        5,
        SHIP,
        status(429, {"Retry-After": "30"}),
        check=exports(1),
    ),
    Row(SERVER, "302", "calls=5", 5, SHIP, status(302, {"Location": "https://elsewhere.invalid/"}), says="redirects"),
    Row(SERVER, "401, then the token is put right", "calls=5", 5, SHIP, servers.WrongToken, says="credentials"),
    Row(
        SERVER,
        "400 on one bad span in 512",
        "spans=256 wide_span=90 spans=255 pause",
        512,
        PROCESS,
        pauses=[until_delivered],
        limits={"columns": 100},
        missing=1,
        why="the server will never take this span; it is kept under `rejected/`, counted and said",
        says="set aside",
        check=set_aside(1),
    ),
    Row(
        SERVER,
        "413: 20 spans of 10 KB and one of 100 KB, 64 KiB a request",
        "spans=10,10000 spans=1,100000 spans=10,10000 pause",
        21,
        PROCESS,
        pauses=[until_delivered],
        limits={"payload_bytes": 64 * 1024},
        says="longest texts are cut",
        check=set_aside(0),
    ),
    Row(
        SERVER,
        "partial_success: 2 of 7 spans too old for the server",
        "spans=5 old_spans=2,7200 pause",
        7,
        PROCESS,
        pauses=[until_delivered],
        limits={"ingest_allowed_upto_h": 1},
        missing=2,
        why="the server will never take these two; they are counted, and said with its reason",
        says="rejected",
    ),
    Row(SERVER, "DNS failure", "calls=5", 5, SHIP, servers.UnknownName),
    Row(SERVER, "TLS failure: unknown authority", "calls=5", 5, SHIP, servers.Tls, says="TLS", impossible=no_openssl),
    Row(SERVER, "slow: answers 1 byte/s", "calls=5", 5, SHIP, always(servers.answers_a_byte_a_second), repeats=True),
    Row(LIFE, "SIGTERM", "calls=5 kill=SIGTERM", 5, SHIP, repeats=True),
    Row(LIFE, "SIGINT", "calls=5 kill=SIGINT", 5, PROCESS, at_exit=True),
    Row(LIFE, "SIGKILL right after the call returned", "calls=5 kill=SIGKILL", 5, SHIP, repeats=True),
    Row(LIFE, "`os._exit`", "calls=5 underscore_exit=3", 5, SHIP, repeats=True),
    Row(LIFE, "uncaught exception", "calls=5 fail", 5, PROCESS, at_exit=True),
    Row(LIFE, "`sys.exit` in a thread", "exit_in_thread=5", 5, PROCESS, at_exit=True),
    Row(LIFE, "fork with 8 children", "calls=1 children=fork,8,3", 25, PROCESS, at_exit=True, impossible=no_fork),
    Row(
        LIFE,
        "17 workers, server down all the time",
        "workers=17,12",
        204,
        SHIP,
        servers.Refuses,
        impossible=no_fork,
    ),
    Row(
        LIFE,
        "forkserver with 2 children",
        "calls=1 children=forkserver,2,3",
        7,
        PROCESS,
        at_exit=True,
        impossible=no_fork,
    ),
    Row(LIFE, "8 daemon threads", "daemons=8,3", 24, PROCESS, at_exit=True),
    Row(LIFE, "2,000 calls in flight in asyncio", "in_flight=2000", 2000, PROCESS, at_exit=True),
    Row(
        LIFE,
        "two processes, one outbox, one killed",
        "calls=3 killed_child=5 calls=2 pause",
        10,
        PROCESS,
        pauses=[until_delivered],
        repeats=True,
    ),
    Row(
        DISK,
        "disk full, server down for a while",
        "spans=200,1000 pause",
        200,
        PROCESS,
        servers.Refuses,
        [mend_and_wait],
        place=disks.full,
        why="what waits in memory ends with the process, if that comes before the server",
        says="cannot be written",
    ),
    Row(
        DISK,
        "read-only directory",
        "calls=5 pause",
        5,
        PROCESS,
        pauses=[until_delivered],
        place=disks.read_only,
        why="in memory only: a process that is killed takes with it what the server does not have yet",
        says="OPENOBSERVE_HF_OUTBOX_DIR",
    ),
    Row(
        DISK,
        "outbox deleted under us",
        "calls=5 pause calls=5 pause",
        10,
        PROCESS,
        pauses=[delete_outbox, until_delivered],
        why="what the process holds open is rescued; finished segments that wait for a server go with the directory",
    ),
    Row(DISK, "truncated segment", "calls=5", 5, SHIP, servers.Refuses, before_ship=disks.truncate),
    Row(DISK, "garbage segment", "calls=5", 5, SHIP, servers.Refuses, before_ship=disks.spoil),
    Row(
        DISK,
        "clock jumps back 2 h",
        "calls=5 jump_back=7200 calls=5 pause",
        10,
        PROCESS,
        servers.Refuses,
        [mend_and_wait],
        place=disks.with_own_clock,
    ),
    Row(
        DISK,
        "10,000 spans queued, then the server comes back",
        "spans=10000 pause",
        10000,
        PROCESS,
        servers.Refuses,
        [mend_and_wait],
    ),
    Row(
        DISK,
        "outbox at its bound: 40 MB of spans, 16 MB of room",
        "spans=200,200000",
        200,
        SHIP,
        servers.Refuses,
        environment={"OPENOBSERVE_HF_OUTBOX_MAX_MB": "16"},
        missing=None,
        why="the bound is hard: the oldest spans go first, counted and said",
        says="oldest spans",
        check=within_bound(16),
    ),
)
