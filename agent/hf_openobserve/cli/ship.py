"""``hf-openobserve ship``: deliver what waits in an outbox, in the foreground.

It is also the one way in which spans leave that were recorded without a destination.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Type

import click

from hf_openobserve.cli import contents, outbox
from hf_openobserve.cli.interruption import TICK_S, Interruption, sleep
from hf_openobserve.cli.options import MISCONFIGURED, directory_option
from hf_openobserve.cli.shipment import Left, Shipment, UnsuitableDirectoryError, spans
from hf_openobserve.openobserve import answers
from hf_openobserve.outbox.directory import OutboxUnavailableError
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Settings

FOLLOW_SCAN_S = 2.0
"""How often --follow looks for segments that have been left."""

LAST_S = 5.0
"""For one more delivery after SIGTERM: a pod's sidecar gets it right after the program whose spans it delivers has
ended.
"""

LINE_EVERY_S = 5.0


@click.command("ship")
@directory_option(must_exist=False)
@click.option("--follow", is_flag=True, help="Stay, and deliver what comes, until Ctrl-C or SIGTERM.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def ship_command(directory: Optional[str], follow: bool, as_json: bool) -> None:
    """Deliver the spans that wait in the outbox to the configured server.

    Those are the spans left for this server by processes that are gone, and those recorded while no server was
    configured. What a running process holds is left to it, and so are the spans of other servers. An OpenObserve server
    takes no span that began more than 5 hours ago (OPENOBSERVE_HF_MAX_AGE_H): such spans stay where they are if no
    server was configured when they were recorded, and are dropped and counted otherwise, as a running program does.

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

    display, interruption = Display(silent=as_json), Interruption()
    shipment = Shipment(
        settings.destination,
        settings.window_s,
        contents.roots(directory, settings),
        display.advance,
        interruption.asked,
        settings.metrics,
        Pricing(settings.prices),
    )
    status = 0
    with suppress_instrumentation(), display, interruption:
        try:
            if follow:
                _follow(shipment, display, interruption, as_json)
            else:
                _once(shipment, display)
        except (OutboxUnavailableError, UnsuitableDirectoryError) as error:
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
        text = diagnostics.without_secrets(text)
        if self._bar is not None and sys.stdout.isatty():
            self._bar.console.print(text, soft_wrap=True)
        elif not self._silent:
            click.echo(text)


def _once(shipment: Shipment, display: Display) -> None:
    shipment.open()
    before = shipment.look()
    _say_what_stays(shipment, before)
    if before.sendable:
        display.start(f"Delivering {spans(before.sendable)} to {shipment.destination.shown_endpoint}", before.sendable)
    elif not before.unread.lines:
        display.line(f"Nothing waits in {' or '.join(shipment.roots) or contents.NO_PLACE}")
    # Also then: segments without a span in them are removed.
    shipment.deliver()
    _say_failure(shipment, "")


def _follow(shipment: Shipment, display: Display, interruption: Interruption, as_json: bool) -> None:
    shipment.open()
    before = shipment.look()
    _say_what_stays(shipment, before)
    display.start(f"Delivering to {shipment.destination.shown_endpoint} what comes", before.sendable)
    failure = ""
    while not shipment.ending():
        settled = shipment.tally.settled
        delivered = shipment.deliver()
        if shipment.tally.settled != settled:
            left = shipment.look()
            display.advance(shipment.tally.settled, shipment.tally.settled + left.sendable)
            if as_json:
                click.echo(json.dumps(shipment.as_dictionary(left)))
            else:
                display.line(shipment.sentence(left))
        failure = _say_failure(shipment, failure)
        sleep(FOLLOW_SCAN_S if delivered else max(TICK_S, shipment.wait_s()), shipment.ending)
    if interruption.signal_number == signal.SIGTERM:
        interruption.grant(LAST_S)
        shipment.deliver()
        _say_failure(shipment, failure)


def _say_what_stays(shipment: Shipment, left: Left) -> None:
    """Before anything is sent: what will not be."""
    contents.say("ship", left.unread)
    if left.too_old:
        _complain(
            f"{spans(left.too_old)} began more than {shipment.window_text} ago, "
            f"and {shipment.destination.shown_endpoint} takes none so old: not sent, they stay in the outbox"
        )
    if left.held:
        _complain(f"{spans(left.held)} held by running processes: left to them")
    for identity, count in sorted(left.others.items()):
        if count:
            _complain(f"{spans(count)} of another server ({contents.one_line(identity)}): left alone")


def _say_failure(shipment: Shipment, said: str) -> str:
    """Say why the server did not take spans, unless that has been ``said``. Returns what has been said now."""
    failure, reason = shipment.failure, shipment.reason
    # What only a person can mend the sender says itself.
    if failure is not None and failure.outcome != answers.BLOCKED and reason != said:
        _complain(f"{shipment.destination.shown_endpoint} took no spans: {reason}")
    return reason


def _complain(text: str) -> None:
    click.echo(f"hf-openobserve ship: {diagnostics.without_secrets(text)}", err=True)
