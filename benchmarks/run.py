"""``make bench``: what the agent costs, as ratios against bare Python and against the stock pipeline, in one run.

Variants are interleaved round by round, so that what else the machine does falls on all of them. Nothing here is a
test: a target that is not met is printed as such, and the exit status is 0 unless the benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Sequence, Tuple

import environments
import processes
from environments import Environment
from figures import Row, Samples, compare
from printing import header, load_note, say, table, write_json
from processes import in_turn

ROWS = (
    Row("python -c pass (PYTHONPATH), CPU", "pass cpu", "ms", "agent", "bare", 1.25),
    Row("  the same, peak memory", "pass peak", "MiB", "agent", "bare", 1.0, difference=True),
    Row("  stock, CPU", "pass cpu", "ms", "stock", "bare"),
    Row("  stock, peak memory", "pass peak", "MiB", "stock", "bare", difference=True),
    Row("opentelemetry-instrument python -c pass, CPU", "wrapped cpu", "ms", "agent", "noop", 1.1),
    Row("  against stock", "wrapped cpu", "ms", "agent", "stock"),
    Row("  stock", "wrapped cpu", "ms", "stock", "noop"),
    Row("import openai (PYTHONPATH), CPU", "import cpu", "ms", "agent", "bare", 1.05),
    Row("  stock", "import cpu", "ms", "stock", "bare"),
    Row("one chat call, CPU on the calling thread, as to the router", "chat", "ms", "router", "stock", 1.15),
    Row("  against bare", "chat", "ms", "router", "bare"),
    Row("  stock", "chat", "ms", "stock", "bare"),
    Row("one chat call to a local server, which is told its trace", "chat", "ms", "agent", "stock", 1.15),
    Row("  against bare", "chat", "ms", "agent", "bare"),
    Row("one stream of 200 chunks, calling thread", "stream", "ms", "agent", "stock", 1.15),
    Row("  against bare", "stream", "ms", "agent", "bare"),
    Row("  stock", "stream", "ms", "stock", "bare"),
    Row("chat of 62 messages, 100 KB, calling thread", "long", "ms", "agent", "stock"),
    Row("  against bare", "long", "ms", "agent", "bare"),
    Row("  stock", "long", "ms", "stock", "bare"),
    Row("first client, CPU", "first_client cpu_ms", "ms", "agent", "bare", difference=True),
    Row("first client, wall", "first_client wall_ms", "ms", "agent", "bare", difference=True),
    Row("  stock, CPU", "first_client cpu_ms", "ms", "stock", "bare", difference=True),
    Row("first call, CPU", "first_call cpu_ms", "ms", "agent", "bare", difference=True),
    Row("  stock, CPU", "first_call cpu_ms", "ms", "stock", "bare", difference=True),
    Row("import openai + first client + first call, CPU", "start cpu", "ms", "agent", "bare"),
    Row("  stock", "start cpu", "ms", "stock", "bare"),
)


class Repetitions:
    """Rounds per part. Stock processes take seconds: they join every n-th round only."""

    def __init__(self, *, quick: bool) -> None:
        self.short, self.short_stock = (12, 4) if quick else (60, 6)
        self.wrapped, self.wrapped_stock = (5, 5) if quick else (24, 4)
        self.imports, self.imports_stock = (4, 2) if quick else (16, 2)
        self.first = 3 if quick else 8
        self.calls = 20 if quick else 150


CALLS_PER_ROUND = (("chat", 16), ("stream", 2), ("long", 2))
WARM_UP = (("chat", 60), ("stream", 10), ("long", 20))


def measure_processes(
    samples: Samples,
    what: str,
    commands: Dict[str, Tuple[Sequence[str], Dict[str, str]]],
    rounds: int,
    stock_every: int,
) -> None:
    """Whole processes. The first of each variant is not counted: it writes bytecode and warms the disk's cache."""
    for command, environ in commands.values():
        processes.cost(command, environ)
    for number in range(rounds):
        names = [name for name in commands if name != "stock" or number % stock_every == 0]
        for name in in_turn(names, number):
            command, environ = commands[name]
            cost = processes.cost(command, environ)
            samples.add(what + " cpu", name, number, cost.cpu_ms)
            samples.add(what + " peak", name, number, cost.peak_mib)


def measure_startup(
    samples: Samples, setup: processes.Setup, made: Dict[str, Environment], repeat: Repetitions
) -> None:
    def through_pythonpath(code: str) -> Dict[str, Tuple[Sequence[str], Dict[str, str]]]:
        return {
            name: ([made[name].python, "-c", code], setup.environ(made[name], door=True))
            for name in ("bare", "agent", "stock")
        }

    say("python -c pass through PYTHONPATH")
    measure_processes(samples, "pass", through_pythonpath("pass"), repeat.short, repeat.short_stock)
    if statistics.median(samples.of("pass peak", "bare")) <= processes.floor_mib():
        say("  peak memory: bare Python is smaller than what measures it; the difference below is too small")
    say("python -c pass through opentelemetry-instrument")
    wrapped = {
        name: ([made[name].wrapper, made[name].python, "-c", "pass"], setup.environ(made[name], door=False))
        for name in ("noop", "agent", "stock")
    }
    measure_processes(samples, "wrapped", wrapped, repeat.wrapped, repeat.wrapped_stock)
    say("import openai")
    measure_processes(samples, "import", through_pythonpath("import openai"), repeat.imports, repeat.imports_stock)


def measure_first(samples: Samples, setup: processes.Setup, made: Dict[str, Environment], repeat: Repetitions) -> None:
    say("first client, first call")
    for number in range(-1, repeat.first):
        for name in in_turn(("bare", "agent", "stock"), number):
            for step, cost in setup.first(made[name]).items():
                for unit, value in cost.items():
                    if number >= 0:
                        samples.add(f"{step} {unit}", name, number, value)


def measure_whole_start(
    samples: Samples, setup: processes.Setup, made: Dict[str, Environment], repeat: Repetitions
) -> None:
    """A short program with one call, from start to exit, delivery included."""
    say("a program with one call")
    script = str(environments.HERE / "worker.py")
    commands = {
        name: ([made[name].python, script, "first", setup.model_url], setup.environ(made[name], door=True))
        for name in ("bare", "agent", "stock")
    }
    measure_processes(samples, "start", commands, repeat.first, 1)


def measure_calls(
    samples: Samples, setup: processes.Setup, made: Dict[str, Environment], repeat: Repetitions
) -> Dict[str, float]:
    """One warm worker per variant, in turn. Returns CPU milliseconds of the whole process per round, all threads.

    ``router`` is the agent on its way to Hugging Face: the server here is a local one, which the agent tells the trace.
    """
    say("calls")
    before = processes.delivered(setup.sink_url)
    with ExitStack() as stack:
        workers = {name: stack.enter_context(processes.Worker(setup, made[name])) for name in ("bare", "stock")}
        for name, more in (("agent", {}), ("router", {"OPENOBSERVE_HF_PROPAGATE": "off"})):
            outbox = {"OPENOBSERVE_HF_OUTBOX_DIR": str(setup.directory / f"outbox of {name}")}
            worker = processes.Worker(setup, made["agent"], variables={**outbox, **more})
            workers[name] = stack.enter_context(worker)
        names = list(workers)
        for name in names:
            for kind, count in WARM_UP:
                workers[name].calls(kind, count)
        started = {name: workers[name].cpu_s() for name in names}
        for number in range(repeat.calls):
            for kind, count in CALLS_PER_ROUND:
                for name in in_turn(names, number):
                    samples.add(kind, name, number, statistics.median(workers[name].calls(kind, count)))
        used = {name: (workers[name].finish() - started[name]) * 1e3 / repeat.calls for name in names}
        after = processes.delivered(setup.sink_url)
        for name in ("agent", "stock"):
            path = setup.traces_path(made[name])
            arrived = after.get(path, 0) - before.get(path, 0)
            expected = workers[name].made + (workers["router"].made if name == "agent" else 0)
            say(f"  {name}: {arrived} of {expected} spans arrived")
            if name == "agent" and arrived != expected:
                raise RuntimeError("spans are missing at the sink: the figures would compare unlike things")
            if arrived == 0:
                raise RuntimeError(f"{name} delivered nothing: the figures would compare unlike things")
    return used


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: about two minutes, wider spreads")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/benchmarks.md has it")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument(
        "--openai", default="openai", help='the client to measure with, e.g. "openai<3" (httpx, not httpx2)'
    )
    parser.add_argument(
        "--fresh", action="store_true", help="make the environments anew, with today's package versions"
    )
    options = parser.parse_args(arguments)

    made = environments.prepare(say, openai=options.openai, fresh=options.fresh)
    repeat = Repetitions(quick=options.quick)
    samples = Samples()
    began = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=str(environments.CACHE))))
        model_url = stack.enter_context(processes.server("model")) + "/v1"
        sink_url = stack.enter_context(processes.server("sink"))
        setup = processes.Setup(model_url, sink_url, directory)
        measure_startup(samples, setup, made, repeat)
        measure_first(samples, setup, made, repeat)
        measure_whole_start(samples, setup, made, repeat)
        used = measure_calls(samples, setup, made, repeat)
    results = [compare(row, samples) for row in ROWS]
    title = header(environments.versions(made["agent"]))
    print(title)
    print()
    print(table(results, markdown=options.markdown))
    print()
    print(
        "CPU of the whole process per round of "
        + ", ".join(f"{count} {kind}" for kind, count in CALLS_PER_ROUND)
        + ", all threads, delivery included: "
        + ", ".join(f"{name} {cpu_ms:.1f} ms" for name, cpu_ms in used.items())
        + f"; agent {used['agent'] / used['stock']:.2f}x stock"
    )
    if load_note():
        print()
        print(load_note())
    say(f"measured in {time.monotonic() - began:.0f} s")
    if options.json:
        write_json(options.json, title, results, samples, whole_process_cpu_ms_per_round=used)


if __name__ == "__main__":
    main(sys.argv[1:])
