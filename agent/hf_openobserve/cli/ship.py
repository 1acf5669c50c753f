"""``hf-openobserve ship``: deliver what waits in an outbox, in the foreground: a volume of containers that are gone, a cron job.

It is the agent's own store, sender and client, without their thread. It is also the one way in which spans leave that
were recorded without a destination.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Type, cast

import click

from hf_openobserve.cli import outbox
from hf_openobserve.openobserve import answers
from hf_openobserve.openobserve.client import Client
from hf_openobserve.outbox import store
from hf_openobserve.outbox.sender import Sender

if TYPE_CHECKING:
    from hf_openobserve.settings import Destination, Settings

FOLLOW_SCAN_S = 2.0
"""How often --follow looks for segments that have been left."""

_TICK_S = 0.2
LINE_EVERY_S = 5.0

MISCONFIGURED = 2


class Tally:
    """What has become of the spans since the start."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.rejected_reason = ""
        self.set_aside = 0
        self.expired = 0
        self.failure: Optional[answers.Verdict] = None
        """Why the last attempt ended early; None if it did not."""

    @property
    def reason(self) -> str:
        """Of ``failure``, in one line; empty if there is none."""
        text = "" if self.failure is None else self.failure.reason
        return outbox.one_line(text)

    @property
    def settled(self) -> int:
        """The number of spans that left the outbox, or at least its queue."""
        return self.accepted + self.rejected + self.set_aside + self.expired


class Waiting(NamedTuple):
    """What is left in an outbox, in spans."""

    sendable: int
    too_old: int
    held: int
    others: Dict[str, int]
    """Of other destinations, by identity."""
    unreadable: List[str]


@click.command("ship")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False),
    metavar="D",
    help="An outbox, or one destination's directory in it. Default: where the agent keeps it.",
)
@click.option("--follow", is_flag=True, help="Stay, and deliver what comes, until Ctrl-C or SIGTERM.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def ship_command(directory: Optional[str], follow: bool, as_json: bool) -> None:
    """Deliver the spans that wait in the outbox to the configured server.

    Those are the spans left for this server by processes that are gone, and those recorded while no server was
    configured. What a running process holds is left to it, and so are the spans of other servers. An OpenObserve server
    takes no span that began more than 5 hours ago (OPENOBSERVE_HF_MAX_AGE_H): such spans stay where they are if no server
    was configured when they were recorded, and are dropped and counted otherwise, as a running program does.

    Exit status: 0 if all that waited was accepted (with --follow: when it is ended), 1 if something was not, 2 if the
    configuration is wrong, 130 if Ctrl-C broke it off.

    \b
    The shape of --json, in spans; with --follow one line after each delivery:
    {"destination": URL, "accepted", "rejected", "rejected_reason", "set_aside",
     "expired", "remaining", "too_old", "held", "others": {destination: number},
     "unreadable_segments", "failure", "complete"}
    "rejected" are those the server said it will never take, "set_aside" those
    kept under rejected/, "expired" those dropped as too old, "too_old" those
    that stay; "remaining" leaves out "too_old" and "held". "failure"
    is why the last attempt ended early, or null.
    """  # noqa: D301 - click looks for the character
    settings = outbox.load_settings()
    wrong = complaint(settings)
    if wrong is None and directory is not None and not follow and not os.path.isdir(directory):
        wrong = f"{directory} is no directory"
    if wrong is not None:
        _complain(wrong)
        sys.exit(MISCONFIGURED)
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    interruption = Interruption()
    shipment = Shipment(
        settings.destination,
        settings.window_s,
        outbox.places(directory, settings),
        Display(silent=as_json),
        interruption.asked,
    )
    status = 0
    with suppress_instrumentation(), shipment.display, interruption:
        try:
            if follow:
                _follow(shipment, as_json)
            else:
                _once(shipment)
        except (store.OutboxUnavailableError, UnsuitableDirectoryError) as error:
            _complain(str(error))
            sys.exit(MISCONFIGURED)
        except OSError as error:
            # Delivered and not deleted would be delivered again at the next attempt, and the one after it.
            _complain(f"the outbox cannot be changed: {error}")
            status = 1
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        else:
            if not follow and interruption.signal_number is not None:
                status = 128 + interruption.signal_number
    left = shipment.look()
    if status == 0 and not follow and not shipment.complete(left):
        status = 1
    click.echo(json.dumps(shipment.as_dictionary(left)) if as_json else shipment.sentence(left))
    sys.exit(status)


def complaint(settings: Settings) -> Optional[str]:
    """Why nothing can be delivered with these settings, if so; where they are wrong, their own lines have said how."""
    if not settings.enabled and settings.problems:
        return "nothing is delivered, see above"
    if not settings.enabled:
        return "the agent is switched off here (OPENOBSERVE_ENABLED, OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER)"
    if settings.destination.kind == "local":
        return "no server is configured: set OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN"
    return None


class UnsuitableDirectoryError(OSError):
    """A directory whose segments cannot be sent from where they are; the text says why."""


class WaitingStore(store.DirectoryStore):
    """One directory of segments to be sent from: nothing is appended, evicted or created in it.

    What began before ``not_before()`` (nanoseconds since the epoch) is passed over and stays. ``identities``: only
    segments written for one of these are sent; None: all.
    """

    remembers_finished = False

    def __init__(
        self,
        directory: str,
        destination: str,
        tally: Tally,
        not_before: Callable[[], int],
        ending: Callable[[], bool],
        identities: Optional[Set[str]] = None,
    ) -> None:
        owner = os.stat(directory).st_uid
        if hasattr(os, "getuid") and owner != os.getuid():
            raise UnsuitableDirectoryError(f"{directory} belongs to another user: run ship as that one (uid {owner})")
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise UnsuitableDirectoryError(
                f"{directory} cannot be written, and what is delivered must be deleted there"
            )
        self._place = directory
        self._tally = tally
        self._not_before = not_before
        self._ending = ending
        self._identities = identities
        self._passed_over: Set[str] = set()
        super().__init__(directory, destination, sys.maxsize)

    @property
    def directory(self) -> str:
        """As it was found, whatever its name."""
        return self._place

    @directory.setter
    def directory(self, _: str) -> None:
        pass

    def segments(self) -> List[str]:
        """Those to look into: not the ones that were found to hold nothing but spans that are too old."""
        found = [path for path in super().segments() if path not in self._passed_over]
        if self._identities is not None:
            found = [path for path in found if outbox.segment_identity(path) in self._identities]
        return found

    def claim(self) -> Iterator[store.Claim]:
        """As the base class has it, but of each segment only the spans that the server still takes."""
        for claimed in super().claim():
            # The other directories are for the same server: what it told one of them holds for all.
            if self._ending() or self._tally.failure is not None:
                return
            not_before = self._not_before()
            old = [record for record in claimed.records if record[0] < not_before]
            if not old:
                yield claimed
            elif len(old) == len(claimed.records):
                self._passed_over.add(claimed.path)
            else:
                fresh = [record for record in claimed.records if record[0] >= not_before]
                yield cast("store.Claim", _PartOfClaim(claimed, fresh, old))

    def set_aside(self, record: store.Record) -> None:
        """As the base class, and counted; where it cannot be kept, as one that the server will never take."""
        try:
            super().set_aside(record)
        except OSError as error:
            self._tally.rejected += 1
            self._tally.rejected_reason = f"refused, and it could not be set aside: {error}"
            raise
        self._tally.set_aside += 1

    def _open(self) -> None:
        """There is no segment of our own: nothing is appended."""

    def _prove_locks(self) -> None:
        """Nothing is created here: a full disk must not stop what makes room. A claim that is denied says why."""


class _PartOfClaim:
    """The spans of a claimed segment that are to be sent; the ``rest`` stays in the outbox whatever becomes of them."""

    def __init__(self, whole: store.Claim, records: List[store.Record], rest: List[store.Record]) -> None:
        self._whole = whole
        self._rest = rest
        self.path = whole.path
        self.records = records
        self.expired: List[store.Record] = []

    @property
    def held(self) -> bool:
        return self._whole.held

    @held.setter
    def held(self, held: bool) -> None:
        self._whole.held = held

    def delete(self) -> None:
        self._whole.keep(self._rest)

    def keep(self, records: List[store.Record]) -> None:
        self._whole.keep(self._rest + records)

    def release(self) -> None:
        self._whole.release()


class CountingClient(Client):
    """Counts what the server says. Once the end is asked for, it is asked no more."""

    def __init__(
        self, destination: Destination, tally: Tally, ending: Callable[[], bool], progress: Callable[[], None]
    ) -> None:
        super().__init__(destination)
        self._tally = tally
        self._ending = ending
        self._progress = progress

    def send_uncounted(self, payloads: List[bytes]) -> answers.Verdict:
        """What is none of the spans that waited."""
        return answers.Verdict(answers.RETRY, "interrupted") if self._ending() else super().send(payloads)

    def send(self, payloads: List[bytes]) -> answers.Verdict:
        """As the base class."""
        if self._ending():
            return answers.Verdict(answers.RETRY, "interrupted")
        verdict = super().send(payloads)
        if verdict.outcome == answers.ACCEPTED:
            self._tally.accepted += len(payloads) - verdict.rejected
            self._tally.rejected += verdict.rejected
            if verdict.rejected:
                self._tally.rejected_reason = verdict.reason
        # A refused request has not failed: it is cut until the guilty span stands alone, which is set aside.
        if verdict.outcome in (answers.RETRY, answers.BLOCKED):
            self._tally.failure = verdict
        self._progress()
        return verdict


class ForegroundSender(Sender):
    """The agent's sender, told when to deliver by whoever runs it."""

    def __init__(
        self, store: store.DirectoryStore, client: CountingClient, window_s: Optional[float], tally: Tally
    ) -> None:
        super().__init__(store, client, window_s)
        self._tally = tally

    def expired(self, records: List[store.Record], from_store: Any) -> None:
        """As the base class, and counted."""
        super().expired(records, from_store)
        self._tally.expired += len(records)

    def takes_nothing(self, verdict: answers.Verdict) -> Optional[answers.Verdict]:
        """As the base class; then the attempt has failed."""
        nothing = super().takes_nothing(verdict)
        if nothing is not None:
            self._tally.failure = nothing
        return nothing

    def tell(self, payload: bytes) -> answers.Verdict:
        """As the base class: what it tells of is counted, not the telling."""
        return cast("CountingClient", self.client).send_uncounted([payload])


class Shipment:
    """One run: from some outboxes to one destination."""

    def __init__(
        self,
        destination: Destination,
        window_s: Optional[float],
        places: List[str],
        display: Display,
        ending: Callable[[], bool],
    ) -> None:
        self.destination = destination
        self.window_s = window_s
        self.tally = Tally()
        self.ending = ending
        self.display = display
        self.places = places
        self._client = CountingClient(destination, self.tally, self.ending, self._progressed)
        self._sender: Optional[ForegroundSender] = None
        self._open_directories: Set[str] = set()

    def not_before(self) -> int:
        """Start in nanoseconds since the epoch of the oldest span that the server still takes."""
        return 0 if self.window_s is None else time.time_ns() - int(self.window_s * 1e9)

    def open(self) -> None:
        """Find the directories that are ours and have appeared since the last time.

        Raises ``OutboxUnavailableError`` or ``UnsuitableDirectoryError`` for one that cannot be sent from.
        """
        for place in self.places:
            for directory in outbox.destination_directories(place):
                if directory in self._open_directories:
                    continue
                by_name = self._is_ours_by_name(directory)
                if not by_name and not any(self._is_ours(directory, path) for path in outbox.segment_paths(directory)):
                    continue
                if not by_name and stat.S_IMODE(os.stat(directory).st_mode) & 0o077:
                    # The store would make it private, and this may be any directory at all.
                    raise UnsuitableDirectoryError(f"{directory} is open to other users: chmod 700 it first")
                self._add(directory, by_name)
                self._open_directories.add(directory)

    def deliver(self) -> bool:
        """One attempt to deliver all that waits. True if the server took everything; see ``wait_s`` if not.

        Raises what ``open`` does, and OSError when what was delivered cannot be deleted.
        """
        self.open()
        self.tally.failure = None
        return self._sender is None or self._sender.deliver()

    def wait_s(self) -> float:
        """Seconds until the next attempt is due after one that failed."""
        return self._sender.wait_s() if self._sender is not None else 0.0

    def look(self) -> Waiting:
        """Count what is in the outboxes now. Reads every segment."""
        not_before = self.not_before()
        sendable = too_old = held = 0
        others: Dict[str, int] = {}
        unreadable: List[str] = []
        for place in self.places:
            for directory in outbox.destination_directories(place):
                contents = outbox.read_contents(directory)
                unreadable.extend(contents.unreadable)
                for found in contents.segments:
                    if not self._is_ours(directory, found.path):
                        identity = contents.destination or os.path.basename(directory)
                        others[identity] = others.get(identity, 0) + len(found.starts)
                    elif found.held:
                        held += len(found.starts)
                    else:
                        old = sum(start < not_before for start in found.starts)
                        sendable += len(found.starts) - old
                        too_old += old if _is_local(directory) else 0
        return Waiting(sendable, too_old, held, others, unreadable)

    def complete(self, left: Waiting) -> bool:
        """Whether all that waited was accepted."""
        lost = self.tally.rejected + self.tally.set_aside + self.tally.expired
        return not (left.sendable or left.too_old or left.unreadable or lost)

    def as_dictionary(self, left: Waiting) -> Dict[str, Any]:
        """The shape that the command documents."""
        return {
            "destination": self.destination.shown_endpoint,
            "accepted": self.tally.accepted,
            "rejected": self.tally.rejected,
            "rejected_reason": self.tally.rejected_reason,
            "set_aside": self.tally.set_aside,
            "expired": self.tally.expired,
            "remaining": left.sendable,
            "too_old": left.too_old,
            "held": left.held,
            "others": {identity: count for identity, count in left.others.items() if count},
            "unreadable_segments": len(left.unreadable),
            "failure": self.tally.reason or None,
            "complete": self.complete(left),
        }

    def sentence(self, left: Waiting) -> str:
        """The final line."""
        why = ""
        if self.tally.rejected:
            reasons = [outbox.one_line(self.tally.rejected_reason)] if self.tally.rejected_reason else []
            if self.destination.kind == "openobserve":
                reasons.append("unless it is set otherwise, it takes none that began more than 5 h ago")
            why = f" ({'; '.join(reasons)})" if reasons else ""
        aside = " (kept under rejected/)" if self.tally.set_aside else ""
        old = ""
        if self.tally.expired:
            old = f", {self.tally.expired:,} expired (began more than {self.window_text} ago: dropped)"
        if left.too_old:
            old += f", {left.too_old:,} too old (began more than {self.window_text} ago: not sent, they stay in the outbox)"
        return (
            f"{_spans(self.tally.accepted)} accepted, {self.tally.rejected:,} rejected by the server{why}, "
            f"{self.tally.set_aside:,} set aside{aside}, {left.sendable:,} remaining{old}."
        )

    @property
    def window_text(self) -> str:
        """The window for people."""
        return f"{(self.window_s or 0) / 3600:g} h"

    def _progressed(self) -> None:
        self.display.advance(self.tally.settled)

    def _is_ours(self, directory: str, path: str) -> bool:
        return self._is_ours_by_name(directory) or outbox.segment_identity(path) in self._identities()

    def _is_ours_by_name(self, directory: str) -> bool:
        return os.path.basename(directory) in {store.destination_id(identity) for identity in self._identities()}

    def _identities(self) -> Set[str]:
        return {self.destination.identity, "local"}

    def _add(self, directory: str, by_name: bool) -> None:
        # What is written back and set aside says of itself where it comes from.
        identity = "local" if _is_local(directory) else self.destination.identity
        waiting = WaitingStore(
            directory,
            identity,
            self.tally,
            self.not_before if _is_local(directory) else lambda: 0,
            self.ending,
            None if by_name else self._identities(),
        )
        if self._sender is None:
            self._sender = ForegroundSender(waiting, self._client, self.window_s, self.tally)
        else:
            self._sender.also_from(waiting)


class Display:
    """What is under way: a bar on a terminal (standard error), else lines on standard output, or nothing at all."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._total = 0
        self._last_line = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, text: str, total: int) -> None:
        """Say what begins; ``total`` is in spans."""
        if self._silent:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._total = total
        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            click.echo(text)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
        self._task = self._bar.add_task(text, total=total)
        self._bar.start()

    def advance(self, done: int, total: Optional[int] = None) -> None:
        """``done`` spans so far, of ``total`` if that has changed."""
        self._total = max(done, self._total if total is None else total)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self._total)
        elif not self._silent and done < self._total and time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            click.echo(f"  {done:,} of {self._total:,}")

    def line(self, text: str) -> None:
        """A line of the result, above the bar."""
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(text, soft_wrap=True)
        elif not self._silent:
            click.echo(text)


class Interruption:
    """Ctrl-C and SIGTERM end the run after the request under way: broken off, it might be delivered twice.

    A second one breaks it off, as KeyboardInterrupt. For the main thread; a signal that is ignored stays so.
    """

    def __init__(self) -> None:
        self.signal_number: Optional[int] = None
        self._before: Dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, _: Optional[FrameType]) -> None:
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number


def _once(shipment: Shipment) -> None:
    shipment.open()
    before = shipment.look()
    _say_what_stays(shipment, before)
    if before.sendable:
        shipment.display.start(
            f"Delivering {_spans(before.sendable)} to {shipment.destination.shown_endpoint}", before.sendable
        )
    else:
        shipment.display.line(f"Nothing waits in {' or '.join(shipment.places) or outbox.NO_PLACE}")
    # Also then: segments without a span in them are removed.
    shipment.deliver()
    _say_failure(shipment, "")


def _follow(shipment: Shipment, as_json: bool) -> None:
    shipment.open()
    before = shipment.look()
    _say_what_stays(shipment, before)
    shipment.display.start(f"Delivering to {shipment.destination.shown_endpoint} what comes", before.sendable)
    failure = ""
    while not shipment.ending():
        settled = shipment.tally.settled
        delivered = shipment.deliver()
        if shipment.tally.settled != settled:
            left = shipment.look()
            shipment.display.advance(shipment.tally.settled, shipment.tally.settled + left.sendable)
            if as_json:
                click.echo(json.dumps(shipment.as_dictionary(left)))
            else:
                shipment.display.line(shipment.sentence(left))
        failure = _say_failure(shipment, failure)
        _sleep(FOLLOW_SCAN_S if delivered else max(_TICK_S, shipment.wait_s()), shipment.ending)


def _say_what_stays(shipment: Shipment, left: Waiting) -> None:
    """Before anything is sent: what will not be."""
    for line in left.unreadable:
        _complain(f"cannot read {outbox.one_line(line)}")
    if left.too_old:
        _complain(
            f"{_spans(left.too_old)} began more than {shipment.window_text} ago, and {shipment.destination.shown_endpoint} takes none so "
            "old: not sent, they stay in the outbox"
        )
    if left.held:
        _complain(f"{_spans(left.held)} held by running processes: left to them")
    for identity, count in sorted(left.others.items()):
        if count:
            _complain(f"{_spans(count)} of another server ({outbox.one_line(identity)}): left alone")


def _say_failure(shipment: Shipment, said: str) -> str:
    """Say why the server did not take spans, unless that has been ``said``. Returns what has been said now."""
    failure, reason = shipment.tally.failure, shipment.tally.reason
    # What only a person can mend the sender says itself.
    if failure is not None and failure.outcome != answers.BLOCKED and reason != said:
        _complain(f"{shipment.destination.shown_endpoint} took no spans: {reason}")
    return reason


def _sleep(seconds: float, ending: Callable[[], bool]) -> None:
    """In small steps: an event that a signal handler sets can lock up the thread that waits for it."""
    until = time.monotonic() + seconds
    while not ending():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _TICK_S))


def _is_local(directory: str) -> bool:
    """True for the outbox of spans that were recorded without a destination: nothing expires there."""
    return os.path.basename(directory) == "local"


def _complain(text: str) -> None:
    click.echo(f"hf-openobserve ship: {text}", err=True)


def _spans(count: int) -> str:
    return f"{count:,} span{'' if count == 1 else 's'}"
