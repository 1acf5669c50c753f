"""What streams and unsampled calls cost on the calling thread, with both clients.

``benchmarks/chunks.py [--quick] [--markdown] [--json FILE] [--openai REQUIREMENT]``; about three minutes, one with
``--quick``. Targets that are not met are printed as such; the exit status is 0 unless the benchmark itself breaks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Sequence

import environments
import processes
from environments import Environment
from figures import Row, Samples, compare
from printing import header, load_note, say, table, write_json
from processes import in_turn

CHUNKS = 500
OWN_PER_CHUNK_US = 20.0
UNSAMPLED_CALL_US = 30.0

ROWS = (
    Row("openai, stream of 500 chunks: added per chunk", "openai stream", "us", "agent", "stock", 1.0, base="bare"),
    Row("  all that is added, per chunk", "openai stream", "us", "agent", "bare", OWN_PER_CHUNK_US, True),
    Row("  stock", "openai stream", "us", "stock", "bare", None, True),
    Row("  whole stream", "openai stream", "us", "agent", "stock"),
    Row("huggingface_hub: added per chunk", "huggingface_hub stream", "us", "agent", "bare", OWN_PER_CHUNK_US, True),
    Row("  whole stream", "huggingface_hub stream", "us", "agent", "bare"),
    Row("openai, unsampled call: added", "openai unsampled chat", "us", "agent", "bare", UNSAMPLED_CALL_US, True),
    Row("  stock", "openai unsampled chat", "us", "stock", "bare", None, True),
    Row(
        "huggingface_hub, unsampled call: added",
        "huggingface_hub unsampled chat",
        "us",
        "agent",
        "bare",
        UNSAMPLED_CALL_US,
        True,
    ),
    Row("openai, unsampled stream: added per chunk", "openai unsampled stream", "us", "agent", "bare", None, True),
    Row("  stock", "openai unsampled stream", "us", "stock", "bare", None, True),
    Row(
        "huggingface_hub, unsampled stream: added per chunk",
        "huggingface_hub unsampled stream",
        "us",
        "agent",
        "bare",
        None,
        True,
    ),
)
"""Own time is all that is added to the bare client: calls that are not sampled go past OpenInference, so that what it
would have taken cannot be set off against ours."""


class Case(NamedTuple):
    """A client, the variants that trace it, and whether its calls are sampled."""

    client: str
    variants: Sequence[str]
    sampled: bool

    @property
    def name(self) -> str:
        """As rows begin."""
        return self.client if self.sampled else self.client + " unsampled"


CASES = (
    Case("openai", ("bare", "agent", "stock"), sampled=True),
    Case("huggingface_hub", ("bare", "agent"), sampled=True),
    Case("openai", ("bare", "agent", "stock"), sampled=False),
    Case("huggingface_hub", ("bare", "agent"), sampled=False),
)


class Repetitions:
    """Rounds, and calls per round: a round's value is the median of its calls."""

    def __init__(self, *, quick: bool) -> None:
        self.rounds = 20 if quick else 80
        self.streams = 3
        self.chats = 20
        self.warm_up = (("stream", 8), ("chat", 60))


def measure(samples: Samples, setup: processes.Setup, made: Dict[str, Environment], repeat: Repetitions) -> None:
    """Per call of a chat, per chunk of a stream: microseconds."""
    for case in CASES:
        say(case.name)
        variables: Mapping[str, str] = {} if case.sampled else {"OTEL_TRACES_SAMPLER": "always_off"}
        before = processes.delivered(setup.sink_url)
        with ExitStack() as stack:
            program = ("streamer.py", case.client, setup.model_url)
            workers = {
                name: stack.enter_context(processes.Worker(setup, made[name], program, variables))
                for name in case.variants
            }
            for worker in workers.values():
                for kind, count in repeat.warm_up:
                    worker.calls(kind, count)
            for number in range(repeat.rounds):
                for kind, count, parts in (("stream", repeat.streams, CHUNKS), ("chat", repeat.chats, 1)):
                    for name in in_turn(case.variants, number):
                        cost_us = statistics.median(workers[name].calls(kind, count)) / parts
                        samples.add(f"{case.name} {kind}", name, number, cost_us)
            for name, worker in workers.items():
                worker.finish()
                if name != "bare":
                    path = setup.traces_path(made[name])
                    arrived = processes.delivered(setup.sink_url).get(path, 0) - before.get(path, 0)
                    expect(case, name, arrived, worker.made)


def expect(case: Case, name: str, arrived: int, calls: int) -> None:
    """Raise RuntimeError if what arrived is not what was to be measured."""
    say(f"  {name}: {arrived} spans of {calls} calls arrived")
    wrong = arrived > 0
    if case.sampled:  # stock drops some
        wrong = arrived != calls if name == "agent" else arrived == 0
    if wrong:
        raise RuntimeError(f"{case.name}, {name}: {arrived} spans of {calls} calls arrived")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: about a minute, wider spreads")
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/benchmarks.md has it")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument("--openai", default="openai", help='the client to measure with, e.g. "openai<3"')
    options = parser.parse_args(arguments)
    made = environments.prepare(say, openai=options.openai)
    samples = Samples()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=str(environments.CACHE))))
        model_url = stack.enter_context(processes.server("model", str(CHUNKS))) + "/v1"
        sink_url = stack.enter_context(processes.server("sink"))
        measure(samples, processes.Setup(model_url, sink_url, directory), made, Repetitions(quick=options.quick))
    results: List = [compare(row, samples) for row in ROWS]
    title = header(environments.versions(made["agent"]))
    print(title)
    print()
    print(table(results, markdown=options.markdown))
    if load_note():
        print()
        print(load_note())
    if options.json:
        write_json(options.json, title, results, samples)


if __name__ == "__main__":
    main(sys.argv[1:])
