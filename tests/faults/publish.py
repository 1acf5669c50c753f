"""``make faults``: every row with the agent and with the stock pipeline, written to ``docs/reliability.md``.

``python tests/faults/publish.py [--rows REGEX] [--output FILE]``. Exit status 1 if a row of the agent's is not as it
has to be (the document is written all the same). About a quarter of an hour: the stock pipeline takes its time at exit.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults import rows, running

REPOSITORY = Path(__file__).resolve().parent.parent.parent

INTRODUCTION = """\
# Reliability

What becomes of the spans, and of the program, when the server, the process or the disk fails: every row is a real
program in a real process with real sockets, run under the agent and under the stock pipeline. This page is written by
`make faults` (`tests/faults/publish.py`); `make test` holds the agent's half of it.

How to read it:

- **arrived**: "4 of 5" means that five model calls had returned to the program (or as many spans of such calls had
  ended, where the number counts and not the call), and that four of them stood in OpenObserve in the end. Each is
  counted once; rows beyond that are noted. The server is the tests' own, strict one, healthy once the fault is over.
- **delivered by**: *the process* itself, while it runs or as it ends, or *the next `ship`*: the program is gone, and
  what it left on disk was delivered by one `hf-openobserve ship`. Any later program with the same destination does that
  too.
- **exit**: how much later than the bare program the process ended, from the last line of its own code on. The agent's
  budget is `OPENOBSERVE_HF_EXIT_TIMEOUT_S`, 1 s by default, and these rows run with the default; where the server
  answers, exit takes as long as the last delivery. One run each, but for rows of the agent that end half a second past
  the budget: these are run again, up to three times, since a busy machine (its load stands below) adds some tenths.
- In each row the agent's stdout and exit status, and its stderr but for the agent's own lines, are those of the bare
  program.
- The contract is *at least once*: a process that is killed, or a server that breaks off, between storing a request and
  saying so, makes that one request arrive twice. The spans have the same ids then.
- The rows are about spans. [Metrics](metrics.md) wait in the same outbox, a record an interval, and are delivered, kept
  and taken over as spans are: `tests/e2e/test_metrics.py` holds that. Their one loss of their own: a process that is
  killed takes the interval with it that it had not written.
- **stock** is `opentelemetry-instrument` with `opentelemetry-distro`, `openinference-instrumentation-openai` and the
  OTLP/HTTP exporter, as they come: same program, same virtual environment, same faults. It keeps nothing on disk, so
  that no later process can deliver for it. Metrics and logs are switched off. Where a program is held until its spans
  have arrived, it is given {patience:.0f} s of working server before the program ends.
"""

MEASURED = "Measured on"
KINDS = (rows.SERVER, rows.LIFE, rows.DISK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", default="", metavar="REGEX", help="only rows whose names match; the others keep their lines"
    )
    parser.add_argument("--output", default=str(REPOSITORY / "docs" / "reliability.md"), metavar="FILE")
    options = parser.parse_args()
    output = Path(options.output)
    before = output.read_text(encoding="utf-8").splitlines() if options.rows and output.exists() else []
    measured = _measured_on()
    begun = time.monotonic()
    bare: Dict[Any, running.Outcome] = {}
    lines: Dict[str, List[str]] = {kind: [] for kind in KINDS}
    failed = False
    for row in rows.ROWS:
        if not re.search(options.rows, row.name):
            lines[row.kind] += [line for line in before if line.startswith(f"| {row.name} |")]
            continue
        line, wrong = _row(row, bare)
        lines[row.kind].append(line)
        failed = failed or bool(wrong)
        print(line, flush=True)
        for complaint in wrong:
            print("  " + complaint, flush=True)
    measured += f"; the run took {(time.monotonic() - begun) / 60:.0f} minutes."
    measured = next((line for line in before if line.startswith(MEASURED)), measured)
    output.write_text(_document(lines, measured), encoding="utf-8")
    return int(failed)


def _row(row: rows.Row, bare: Dict[Any, running.Outcome]) -> Tuple[str, List[str]]:
    """The line of the table, and what is wrong with the agent's result."""
    if row.impossible():
        return f"| {row.name} | | not run here: {row.impossible()} | | | |", []
    key = (row.steps, row.place)
    if key not in bare:
        bare[key] = _run(row, running.BARE)
    with tempfile.TemporaryDirectory() as directory:
        agent = running.run_in_time(row, Path(directory), bare[key])
    wrong = running.complaints(row, agent, bare[key], running.EXIT_TIMEOUT_S)
    try:
        stock: Optional[running.Outcome] = _run(row, running.STOCK)
    except subprocess.TimeoutExpired:
        stock = None
    # A row that delivers at exit may need the next one's help where one second is short.
    by = rows.SHIP if agent.ship and agent.by_process < agent.delivered else row.by
    notes = [note for note in (_why(row), _twice(agent), _how(agent), _stock_note(row, stock, bare[key])) if note]
    cells = [row.name, by, _counts(agent), _delay(agent, bare[key])]
    cells += ["", f"over {running.RUN_S} s"] if stock is None else [_counts(stock), _delay(stock, bare[key])]
    return "| " + " | ".join([*cells, ". ".join(notes)]) + " |", wrong


def _run(row: rows.Row, variant: str) -> running.Outcome:
    with tempfile.TemporaryDirectory() as directory:
        return running.run(row, variant, Path(directory))


def _counts(outcome: running.Outcome) -> str:
    repeated = f", {outcome.repeated:,} more than once" if outcome.repeated else ""
    counts = f"{outcome.delivered:,} of {outcome.ended:,}"
    return (counts if outcome.delivered >= outcome.ended else f"**{counts}**") + repeated


def _delay(outcome: running.Outcome, bare: running.Outcome) -> str:
    delay = outcome.exit_delay_s - bare.exit_delay_s
    return "" if math.isnan(delay) else f"{max(0.0, delay):.1f} s"


def _why(row: rows.Row) -> str:
    return row.why[:1].upper() + row.why[1:]


def _twice(outcome: running.Outcome) -> str:
    return "The request in flight was stored, and its answer never came: it is sent again" if outcome.repeated else ""


def _how(outcome: running.Outcome) -> str:
    return f"Here: {outcome.how}" if outcome.how else ""


def _stock_note(row: rows.Row, stock: Optional[running.Outcome], bare: running.Outcome) -> str:
    if stock is None:
        return "Stock: killed"
    if stock.returncode != bare.returncode:
        return f"Stock: exit status {stock.returncode}, bare {bare.returncode}"
    if stock.stdout != bare.stdout:
        return "Stock: another stdout than the bare program's"
    return ""


def _measured_on() -> str:
    packages = ("openai", "opentelemetry-sdk", "opentelemetry-distro", "openinference-instrumentation-openai")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    return f"{MEASURED} {machine}; load of the machine when the run began: {load:.1f}"


def _document(lines: Dict[str, List[str]], measured: str) -> str:
    parts = [INTRODUCTION.format(patience=running.PATIENCE_S[running.STOCK]), measured]
    for kind in KINDS:
        parts += [
            f"\n## {kind}\n",
            "| fault | delivered by | agent: arrived | exit | stock: arrived | exit | |",
            "|---|---|---|---|---|---|---|",
            *lines[kind],
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
