"""What delivery costs beside the stock one: per span on the calling thread, the drain, memory in an outage, exit.

``benchmarks/delivery.py [--quick] [--markdown] [--json FILE] [PART ...]``; about twelve minutes, four with ``--quick``.
Targets that are not met are printed as such; the exit status is 0 unless the benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import environments
import exits
import processes
from environments import Environment
from figures import Row, Samples, compare
from printing import header, load_note, say, table, write_json
from processes import in_turn

PARTS = ("on_end", "drain", "memory", "exit")
ON_END = ("agent", "stock", "encode + append", "read", "columns", "privacy", "encode", "append")
DRAIN_SPANS = 50_000
MEMORY_SPANS = 10_000
MEMORY_LIMIT_MIB = 8.0
EXIT_LIMIT_MS = 1100.0
"""The exit budget of one second, and what the end of more modules and of a thread takes."""

ROWS = {
    "on_end": (
        Row("one span, calling thread: all of on_end", "on_end", "us", "agent", "stock", difference=True),
        Row("  encode + append alone", "on_end", "us", "encode + append", "stock", difference=True),
        *(Row(f"    {name}", "on_end", "us", name, "stock", difference=True) for name in ON_END[3:]),
    ),
    "drain": (
        Row("drain of 50,000 spans, wall time", "drain wall", "us/span", "agent", "stock", 1.0),
        Row("  CPU of the process", "drain cpu", "us/span", "agent", "stock", 1.0),
        Row("  CPU, to a server before 0.91", "drain cpu", "us/span", "agent, 0.90", "stock", 1.0),
        Row("  CPU, stock with gzip too (the agent's default)", "drain cpu", "us/span", "agent", "stock gzip"),
        Row("encode + append + drain against on_end + drain, CPU", "same work cpu", "us/span", "agent", "stock", 1.0),
        Row("  stock with gzip too", "same work cpu", "us/span", "agent", "stock gzip"),
        Row("all of on_end + drain, CPU", "whole cpu", "us/span", "agent", "stock"),
    ),
    "memory": (
        *(
            Row(
                f"10,000 spans, server {state}: growth",
                f"memory {state}",
                "MiB",
                "agent",
                "bare",
                MEMORY_LIMIT_MIB,
                True,
            )
            for state in ("refuses", "500")
        ),
        *(
            Row(f"  stock, server {state}", f"memory {state}", "MiB", "stock", "bare", None, True)
            for state in ("refuses", "500")
        ),
    ),
    "exit": tuple(
        row
        for state in exits.STATES
        for row in (
            Row(f"exit, server {state}: time over bare", "exit " + state, "ms", "agent", "bare", EXIT_LIMIT_MS, True),
            Row("  stock", "exit " + state, "ms", "stock", "bare", None, True),
        )
    ),
}


class Repetitions:
    """Rounds per part."""

    def __init__(self, *, quick: bool) -> None:
        self.on_end, self.on_end_spans = (15, 64) if quick else (60, 64)
        self.drain = 2 if quick else 5
        self.memory = 1 if quick else 2
        self.exit, self.exit_stock = (2, 2) if quick else (6, 3)


def measure_on_end(samples: Samples, setup: processes.Setup, agent: Environment, repeat: Repetitions) -> None:
    say("on_end")
    with _pipelines(setup, agent, "on_end", "both", setup.sink_url) as worker:
        for number in range(-5, repeat.on_end):
            for name, value_us in worker.ask(str(repeat.on_end_spans)).items():
                if number >= 0:
                    samples.add("on_end", name, number, value_us)


def measure_drain(samples: Samples, setup: processes.Setup, agent: Environment, repeat: Repetitions) -> None:
    say(f"drain of {DRAIN_SPANS} spans")
    ours, stocks = setup.traces_path(agent), "/v1/traces"
    with processes.server("sink", "v0.90.3") as old:
        cases = {
            "agent": (setup.sink_url, ours),
            "agent, 0.90": (old, ours),
            "stock": (setup.sink_url, stocks),
            "stock gzip": (setup.sink_url, stocks),
        }
        for number in range(repeat.drain):
            for name in in_turn(list(cases), number):
                url, path = cases[name]
                before = processes.delivered(url).get(path, 0)
                with _pipelines(setup, agent, "drain", name.partition(",")[0], url) as worker:
                    costs = worker.ask(str(DRAIN_SPANS))
                arrived = processes.delivered(url).get(path, 0) - before
                if arrived != DRAIN_SPANS:
                    raise RuntimeError(f"{name}: {arrived} of {DRAIN_SPANS} spans arrived")
                for what, value_us in costs.items():
                    samples.add(what, name, number, value_us)


def measure_memory(samples: Samples, setup: processes.Setup, agent: Environment, repeat: Repetitions) -> None:
    servers = {"refuses": processes.closed_port, "500": lambda: processes.server("error")}
    for state, server in servers.items():
        say(f"memory, server: {state}")
        with server() as url:
            for number in range(repeat.memory):
                for name in in_turn(("bare", "agent", "stock"), number):
                    with _pipelines(setup, agent, "memory", name, url) as worker:
                        samples.add(f"memory {state}", name, number, worker.ask(str(MEMORY_SPANS))["grown"])


def _pipelines(setup: processes.Setup, agent: Environment, kind: str, variant: str, url: str) -> processes.Worker:
    # Not through the door: the pieces are what is measured. Its token is in the environment all the same.
    return processes.Worker(
        setup, agent, ("pipelines.py", kind, variant, url), {"PYTHONPATH": "", "OPENOBSERVE_HF_DOTENV": "false"}
    )


def measure(
    made: Dict[str, Environment], parts: Sequence[str], repeat: Repetitions, samples: Samples
) -> Tuple[List[Row], List[str]]:
    """The rows that were measured, and lines to print below them."""
    notes: List[str] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=str(environments.CACHE))))
        model_url = stack.enter_context(processes.server("model")) + "/v1"
        sink_url = stack.enter_context(processes.server("sink"))
        setup = processes.Setup(model_url, sink_url, directory)
        if "on_end" in parts:
            measure_on_end(samples, setup, made["agent"], repeat)
        if "drain" in parts:
            measure_drain(samples, setup, made["agent"], repeat)
        if "memory" in parts:
            measure_memory(samples, setup, made["agent"], repeat)
        if "exit" in parts:
            notes += exits.lines(exits.measure(samples, setup, made, repeat.exit, repeat.exit_stock, say))
    return list(_rows(parts)), notes


def _rows(parts: Sequence[str]) -> Iterator[Row]:
    for part in parts:
        yield from ROWS[part]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(PARTS) + "; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: about four minutes, wider spreads")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/benchmarks.md has it")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error("no such part: " + ", ".join(sorted(unknown)))
    made = environments.prepare(say)
    samples = Samples()
    rows, notes = measure(made, options.parts or PARTS, Repetitions(quick=options.quick), samples)
    results = [compare(row, samples) for row in rows]
    title = header(environments.versions(made["agent"]))
    print(title)
    print()
    print(table(results, markdown=options.markdown))
    if notes:
        print()
    for note in notes:
        print("- " + note)
    if load_note():
        print()
        print(load_note())
    if options.json:
        write_json(options.json, title, results, samples, notes=notes)


if __name__ == "__main__":
    main(sys.argv[1:])
