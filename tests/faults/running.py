"""Runs one row with one variant of the program: bare, under the agent, or under the stock pipeline."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote

import harness
from fakes.openobserve import FakeOpenObserve, Limits
from hf_openobserve.process import diagnostics

from . import disks
from .rows import PROCESS, SHIP, Row
from .servers import Fault, ModelEndpoint

BARE, AGENT, STOCK = "bare", "agent", "stock"

EXIT_TIMEOUT_S = 1.0
"""The agent's default."""
PATIENT_EXIT_TIMEOUT_S = 20.0
"""For rows that deliver at exit: a loaded machine must not turn "arrives" into "arrives with the next run"."""
EXIT_MARGIN_S = 0.5
"""What the end of a process with the agent's modules may take longer. A busy machine adds more: then a row is run
again.
"""
ATTEMPTS = 3
PATIENCE_S = {AGENT: 60.0, STOCK: 15.0}
"""How long a paused program waits for its spans to arrive. The stock pipeline sends every 5 s, and tries for 10 s."""
RUN_S = 150
SHIP_S = 60


class Outcome(NamedTuple):
    """What came of one run."""

    ended: int
    by_process: int
    """Spans at the server when the process had ended, each counted once."""
    delivered: int
    """The same, after ``ship``."""
    repeated: int
    """Rows beyond the first one of a span."""
    waiting: int
    """Spans left in the outbox in the end."""
    set_aside: int
    reported: int
    """Spans that the agent has told the server it will not get."""
    outbox_bytes: int
    """When the process had ended."""
    exports: int
    """Requests with spans that had arrived then, where the fault's server counts them."""
    numbers: List[int]
    """``faults.number`` of the delivered spans, in order of size."""
    exit_delay_s: float
    """From the last moment of the program's own work to the end of its process."""
    stdout: str
    stderr: str
    returncode: int
    ship: str
    """What ``ship`` printed; empty if it did not run."""
    how: str

    @property
    def own_stderr(self) -> str:
        """The program's."""
        return "".join(line for line in self.stderr.splitlines(True) if not line.startswith(diagnostics.PREFIX))

    @property
    def said(self) -> str:
        """The agent's."""
        return "".join(line for line in self.stderr.splitlines(True) if line.startswith(diagnostics.PREFIX))


class Account:
    """What the program says of itself, see ``programs``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"")

    def _lines(self) -> List[List[str]]:
        return [line.split() for line in self.path.read_text().splitlines()]

    @property
    def ended(self) -> int:
        return sum(int(line[1]) for line in self._lines() if line[0] == "ended")

    @property
    def pauses(self) -> int:
        return sum(line[0] == "pause" for line in self._lines())

    @property
    def left_at(self) -> Optional[float]:
        """Monotonic clock, which all processes of a machine share; None if the program broke off."""
        stamps = [float(line[1]) for line in self._lines() if line[0] == "leaving"]
        return stamps[-1] if stamps else None

    def go_on(self, number: int) -> None:
        Path(f"{self.path}.go{number}").touch()


class Stage:
    """What a row's pauses can act upon."""

    def __init__(self, row: Row, variant: str, fake: FakeOpenObserve, fault: Fault, directory: Path) -> None:
        self.row = row
        self.variant = variant
        self.fake = fake
        self.fault = fault
        self.place = row.place(directory)
        self.account = Account(directory / "account")
        self.process: Any = None

    def arrived(self, wanted: int = 0, timeout_s: float = 0) -> Tuple[Dict[Any, int], List[int]]:
        """How often each span of a model call is at the server, and the numbers in them. Waits for so many rows."""
        rows = self.fake.rows(timeout=timeout_s, count=wanted)
        calls = [row for row in rows if row.get("openinference_span_kind") == "LLM"]
        counts = collections.Counter((row["trace_id"], row["span_id"]) for row in calls)
        return counts, sorted({int(row["faults_number"]) for row in calls if "faults_number" in row})

    def reported(self) -> int:
        """Spans that the agent has told the server it will not get."""
        return sum(int(row.get("hf_outbox_lost", 0)) for row in self.fake.rows())

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing of the program moves within this block."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def until_delivered(self) -> None:
        """Until all that can arrive has arrived, nothing waits and the rest is accounted for; or patience ends."""
        wanted = self.account.ended - (self.row.missing or 0)
        end = time.monotonic() + PATIENCE_S[self.variant]
        while time.monotonic() < end:
            complete = len(self.arrived(wanted, timeout_s=0.5)[0]) >= wanted
            if complete and self.variant == AGENT:
                complete = not disks.waiting(self.place.outbox) and self.reported() >= (self.row.missing or 0)
            if complete:
                return
            time.sleep(0.02)


def run(row: Row, variant: str, directory: Path, exit_timeout_s: float = EXIT_TIMEOUT_S) -> Outcome:
    """Run the row in an empty directory. Raises subprocess.TimeoutExpired if the program does not end."""
    limits = Limits(**row.limits)  # type: ignore[arg-type]
    with FakeOpenObserve(limits=limits) as fake, ModelEndpoint() as model, row.fault(fake, directory) as fault:
        stage = Stage(row, variant, fake, fault, directory)
        environment = _environment(stage, directory, model.url, exit_timeout_s)
        returncode, exit_delay_s = _run_program(stage, environment, directory)
        by_process, _ = stage.arrived()
        outbox_bytes, exports = disks.size(stage.place.outbox), fault.exports
        fault.mend()
        left = row.by == SHIP or disks.waiting(stage.place.outbox)
        shipped = _ship(stage, environment) if variant == AGENT and left else ""
        counts, numbers = stage.arrived()
        if variant == AGENT:
            assert fake.collisions == []
        return Outcome(
            ended=stage.account.ended,
            by_process=len(by_process),
            delivered=len(counts),
            repeated=sum(counts.values()) - len(counts),
            waiting=disks.waiting(stage.place.outbox),
            set_aside=disks.set_aside(stage.place.outbox),
            reported=stage.reported(),
            outbox_bytes=outbox_bytes,
            exports=exports,
            numbers=numbers,
            exit_delay_s=exit_delay_s,
            stdout=(directory / "stdout").read_text(),
            stderr=(directory / "stderr").read_text(),
            returncode=returncode,
            ship=shipped,
            how=stage.place.how,
        )


def complaints(row: Row, outcome: Outcome, bare: Outcome, exit_timeout_s: float) -> List[str]:
    """What is wrong with the agent's outcome, by the row's expectations and by the bare program's run."""
    wrong = []
    expected = None if row.missing is None else row.ended - row.missing
    if outcome.ended != row.ended:
        wrong.append(f"the program ended {outcome.ended} calls, not {row.ended}")
    if expected is not None and outcome.delivered != expected:
        wrong.append(f"{outcome.delivered} of {expected} spans were delivered")
    in_time = not row.at_exit or exit_timeout_s > EXIT_TIMEOUT_S  # with its one second, that is the machine's matter
    if expected is not None and row.by == PROCESS and in_time and outcome.by_process != expected:
        wrong.append(f"{outcome.by_process} of {expected} spans were delivered by the process")
    if outcome.repeated > (min(512, row.ended) if row.repeats else 0):
        wrong.append(f"{outcome.repeated} rows are repetitions")
    if outcome.waiting:
        wrong.append(f"{outcome.waiting} spans still wait")
    if outcome.reported != outcome.ended - outcome.delivered:
        wrong.append(f"{outcome.reported} spans are reported to be lost")
    if (outcome.stdout, outcome.returncode) != (bare.stdout, bare.returncode):
        wrong.append(f"status {outcome.returncode} {outcome.stdout!r}, bare {bare.returncode} {bare.stdout!r}")
    if outcome.own_stderr != bare.stderr:
        wrong.append(f"stderr {outcome.own_stderr!r}, bare {bare.stderr!r}")
    if row.says not in outcome.said:
        wrong.append(f"nothing about {row.says!r} was said: {outcome.said!r}")
    if not row.says and outcome.said:
        wrong.append("the agent said something where nothing is wrong or lost for good")
    if late(outcome, bare, exit_timeout_s):
        wrong.append(f"exit was delayed by {outcome.exit_delay_s - bare.exit_delay_s:.1f} s")
    if row.check is not None:
        wrong.extend(row.check(outcome))
    return [*wrong, f"the agent said {outcome.said!r}, ship {outcome.ship!r}"] if wrong else []


def run_in_time(row: Row, directory: Path, bare: Outcome, exit_timeout_s: float = EXIT_TIMEOUT_S) -> Outcome:
    """The row under the agent; again, up to ``ATTEMPTS`` in all, while the program ends late: machines may be busy."""
    for attempt in range(ATTEMPTS):
        place = directory / str(attempt)
        place.mkdir()
        outcome = run(row, AGENT, place, exit_timeout_s)
        if not late(outcome, bare, exit_timeout_s):
            break
    return outcome


def late(outcome: Outcome, bare: Outcome, exit_timeout_s: float) -> bool:
    """Whether exit took longer than the budget, and what a process with more modules takes to end."""
    return outcome.exit_delay_s - bare.exit_delay_s > exit_timeout_s + EXIT_MARGIN_S


def _environment(stage: Stage, directory: Path, model_url: str, exit_timeout_s: float) -> Dict[str, str]:
    """Of the program; ``ship`` gets the same, and what mends the fault."""
    result = harness.environment(
        directory,
        {"HF_BASE_URL": model_url, "OPENAI_API_KEY": "x", "FAULTS_ACCOUNT": str(stage.account.path)},
    )
    if stage.variant == AGENT:
        result.update(
            OPENOBSERVE_URL=stage.fault.url,
            OPENOBSERVE_ORG="default",
            OPENOBSERVE_AUTH_TOKEN=stage.fault.auth_token,
            OPENOBSERVE_HF_OUTBOX_DIR=str(stage.place.outbox),
            OPENOBSERVE_HF_EXIT_TIMEOUT_S=str(exit_timeout_s),
        )
        result.update(stage.row.environment)
    if stage.variant == STOCK:
        result.update(
            OTEL_PYTHON_DISTRO="distro",
            OTEL_PYTHON_CONFIGURATOR="configurator",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=stage.fault.url + "/api/default/v1/traces",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_HEADERS="Authorization=" + quote(stage.fault.auth_token),
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="none",
            # Installed with the agent: the stock pipeline has none for it.
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="huggingface_hub",
        )
    return result


def _run_program(stage: Stage, environment: Dict[str, str], directory: Path) -> Tuple[int, float]:
    """The exit status, and the seconds from the end of the program's own work to the end of the process."""
    program = [sys.executable, str(Path(__file__).parent / "programs.py"), *stage.row.steps.split()]
    wrapper = [] if stage.variant == BARE else [str(Path(sys.executable).parent / "opentelemetry-instrument")]
    with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*wrapper, *stage.place.command, *program],
            env=environment,
            cwd=str(directory),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    stage.process = process
    try:
        end = time.monotonic() + RUN_S
        answered = 0
        while process.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(stage.row.steps, RUN_S)
            if stage.account.pauses > answered:
                if stage.variant != BARE:
                    stage.row.pauses[answered](stage)
                answered += 1
                stage.account.go_on(answered)
            time.sleep(0.01)
        ended_at = time.monotonic()
    finally:
        # What the program has left running too: the forkserver, above all.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left_at = stage.account.left_at
    return process.returncode, ended_at - left_at if left_at is not None else float("nan")


def _ship(stage: Stage, environment: Dict[str, str]) -> str:
    if stage.row.before_ship is not None:
        stage.row.before_ship(stage.place.outbox)
    mended = dict(environment, OPENOBSERVE_AUTH_TOKEN=stage.fault.auth_token, **stage.fault.environment_once_mended)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hf-openobserve"), "ship", "--json"],
        env=mended,
        capture_output=True,
        timeout=SHIP_S,
        check=False,
    )
    printed = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, printed
    assert json.loads(done.stdout.decode())["complete"], printed
    return printed
