"""``make bench-peers``: what the agent costs and records beside what a user would pick instead, in one table.

``benchmarks/peers.py [TOOL ...] [--rounds N] [--write] [--json FILE]``. The tools are those of ``tools.py``, each in an
environment of its own; bare Python, the agent and the others are interleaved round by round. ``--write`` puts the table
between its markers in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Dict, Mapping, Sequence, Tuple

import environments
import exits
import processes
import recorded
import tools
from environments import Environment
from figures import Row, Samples, compare
from printing import header, load_note, say
from processes import in_turn
from tools import STOCK, Made

DOCUMENT = environments.REPOSITORY / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: peers -->", "<!-- end: peers -->"
CALLS_PER_ROUND = (("chat", 16), ("stream", 2))
WARM_UP = (("chat", 60), ("stream", 10))
COLUMNS = (
    "",
    "`python -c pass`",
    "`import openai`",
    "first client",
    "chat: x bare",
    "chat: x stock",
    "stream: x bare",
    "stream: x stock",
    "exit, server refuses",
    "spans of a chat",
    "messages",
    "tokens of a stream",
    "HF's sentence",
    "huggingface_hub",
)


class Rounds:
    """How often each part is measured, in proportion to one number."""

    def __init__(self, rounds: int) -> None:
        self.processes = rounds
        self.calls = 4 * rounds
        self.exits = max(1, rounds // 5)


def variants(made: Sequence[Made]) -> Dict[str, Environment]:
    """Everything that is measured, the bare environments among it, by name."""
    found: Dict[str, Environment] = {}
    for each in made:
        found.setdefault(each.bare.name, each.bare)
        found[each.environment.name] = each.environment
    return found


def measure_processes(samples: Samples, setup: processes.Setup, made: Mapping[str, Environment], rounds: int) -> None:
    """Whole processes; the first of each variant is not counted: it writes bytecode and warms the disk's cache."""
    for what, code in (("pass", "pass"), ("import", "import openai")):
        say(f"python -c '{code}'")
        for number in range(-1, rounds):
            for name in in_turn(list(made), number):
                command = [made[name].python, "-c", code]
                cost = processes.cost(command, setup.environ(made[name], door=True), may_talk=True)
                if number >= 0:
                    samples.add(what, name, number, cost.cpu_ms)


def measure_first(samples: Samples, setup: processes.Setup, made: Mapping[str, Environment], rounds: int) -> None:
    say("first client")
    for number in range(-1, rounds):
        for name in in_turn(list(made), number):
            cost_ms = setup.first(made[name], may_talk=True)["first_client"]["cpu_ms"]
            if number >= 0:
                samples.add("first client", name, number, cost_ms)


def measure_calls(samples: Samples, setup: processes.Setup, made: Mapping[str, Environment], rounds: int) -> None:
    """One warm worker per variant, in turn; each has a sink, which must have got something in the end."""
    say("calls")
    with ExitStack() as stack:
        workers, sinks = {}, {}
        for name, environment in made.items():
            sinks[name] = stack.enter_context(processes.server("sink"))
            workers[name] = stack.enter_context(processes.Worker(setup._replace(sink_url=sinks[name]), environment))
            for kind, count in WARM_UP:
                workers[name].calls(kind, count)
        for number in range(rounds):
            for kind, count in CALLS_PER_ROUND:
                for name in in_turn(list(made), number):
                    samples.add(kind, name, number, statistics.median(workers[name].calls(kind, count)))
        for name, worker in workers.items():
            worker.finish()
            if made[name].door is None:
                continue
            spans = recorded.spans(sinks[name])
            say(f"  {name}: {spans} spans of {worker.made} calls arrived")
            if not spans or (name == tools.OURS.name and spans != worker.made):
                raise RuntimeError(f"{name}: spans are missing at the sink: the figures would compare unlike things")


def measure_exits(samples: Samples, setup: processes.Setup, made: Mapping[str, Environment], rounds: int) -> None:
    say("exit, server refuses")
    for number in range(rounds):
        for name in in_turn(list(made), number):
            took_ms, _ = exits.run(setup, made[name], "refuses")
            samples.add("exit", name, number, took_ms)


def table(made: Sequence[Made], samples: Samples, found: Mapping[str, Mapping[str, recorded.Recorded]]) -> str:
    """Markdown: the bare clients first, then a row per tool."""
    bares = dict.fromkeys(each.bare.name for each in made)
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_bare(bare, samples) for bare in bares)]
    rows.extend((each.tool.title, *_costs(each, made, samples), *_records(found[each.tool.name])) for each in made)
    return "\n".join("| " + " | ".join(row).strip() + " |" for row in rows)


def _bare(name: str, samples: Samples) -> Tuple[str, ...]:
    def median(what: str) -> str:
        return f"{statistics.median(samples.of(what, name)):.3g} ms"

    calls = (median("chat"), "", median("stream"), "")
    return (name, median("pass"), median("import"), median("first client"), *calls, median("exit"), *[""] * 5)


def _costs(each: Made, made: Sequence[Made], samples: Samples) -> Tuple[str, ...]:
    name, bare = each.tool.name, each.bare.name
    # A ratio of two client versions would say nothing of the tools.
    stock = next((other.tool.name for other in made if other.tool is STOCK and other.bare == each.bare), None)

    def ratio(what: str, against: str | None) -> str:
        if against is None or against == name:
            return ""
        result = compare(Row("", what, "ms", name, against), samples)
        return f"{result.value:.2f}x" if result.value < 10 else f"{result.value:.0f}x"

    def more(what: str, unit: str, scale: float) -> str:
        result = compare(Row("", what, "ms", name, bare, difference=True), samples)
        return f"{result.value / scale:+.2f} {unit}" if unit == "s" else f"{result.value / scale:+.0f} {unit}"

    calls = [ratio(what, against) for what in ("chat", "stream") for against in (bare, stock)]
    return (ratio("pass", bare), ratio("import", bare), more("first client", "ms", 1), *calls, more("exit", "s", 1e3))


def _records(found: Mapping[str, recorded.Recorded]) -> Tuple[str, ...]:
    chat, refused, hub = found["chat"], found["refused"], found["hub chat"]
    asked, unasked = found["stream that asks"].tokens, found["stream"].tokens
    tokens = {(True, True): "yes", (True, False): "if the program asks", (False, False): "no"}.get(
        (asked, unasked), "?"
    )
    if not hub.spans:
        of_hub = "no"
    else:
        lacks = [
            what
            for what, has in (
                ("messages", hub.question and hub.answer),
                ("tokens", hub.tokens),
                ("tokens of a stream", found["hub stream"].tokens),
                ("HF's sentence", found["hub refused"].sentence),
            )
            if not has
        ]
        of_hub = "yes" + (", without " + ", ".join(lacks) if lacks else "")
    messages = "yes" if chat.question and chat.answer else "no"
    return str(chat.spans), messages, tokens, "yes" if refused.sentence else "no", of_hub


def versions(made: Sequence[Made]) -> Dict[str, str]:
    """Of the tools and of the clients they were measured with."""
    result: Dict[str, str] = {}
    for each in made:
        found = environments.versions(each.environment, (each.tool.package, *tools.CLIENTS))
        result[each.tool.package] = found.pop(each.tool.package)
        if each.bare.name == "bare":
            result.update(found)
        else:
            result[each.tool.package] += f" (openai {found['openai']})"
    return result


def write(text: str) -> None:
    """Between the markers of the document."""
    before, begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise RuntimeError(f"{DOCUMENT} has no {BEGIN} ... {END}")
    DOCUMENT.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    names = [tool.name for tool in tools.TOOLS]
    parser.add_argument("tools", nargs="*", metavar="TOOL", help="of " + ", ".join(names) + "; all by default")
    parser.add_argument("--rounds", type=int, default=20, help="of short processes; four times as many of calls")
    parser.add_argument("--write", action="store_true", help="the table into docs/benchmarks.md, too")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew, with today's versions")
    options = parser.parse_args(arguments)
    unknown = set(options.tools) - set(names)
    if unknown:
        parser.error("no such tool: " + ", ".join(sorted(unknown)))
    chosen = [tool for tool in tools.TOOLS if not options.tools or tool.name in options.tools]
    made = tools.prepare(chosen, say, fresh=options.fresh)
    load, began = os.getloadavg()[0], time.monotonic()
    samples, rounds, everything = Samples(), Rounds(options.rounds), variants(made)
    found: Dict[str, Dict[str, recorded.Recorded]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=str(environments.CACHE))))
        model_url = stack.enter_context(processes.server("model")) + "/v1"
        sink_url = stack.enter_context(processes.server("sink"))
        setup = processes.Setup(model_url, sink_url, directory)
        for each in made:
            say(f"what {each.tool.name} records")
            found[each.tool.name] = recorded.measure(setup, each.environment)
        parts: Sequence[Tuple[Callable[..., None], int]] = (
            (measure_processes, rounds.processes),
            (measure_first, rounds.processes),
            (measure_calls, rounds.calls),
            (measure_exits, rounds.exits),
        )
        for measure, count in parts:
            measure(samples, setup, everything, count)
    title = f"{header(versions(made))}. Load at the start: {load:.1f}; rounds: {options.rounds}."
    text = "\n\n".join(part for part in (title, table(made, samples, found), load_note()) if part)
    print(text)
    say(f"measured in {time.monotonic() - began:.0f} s")
    if options.write:
        write(text)
    if options.json:
        numbers = {
            "header": title,
            "samples": samples.as_json(),
            "recorded": {name: {case: one._asdict() for case, one in cases.items()} for name, cases in found.items()},
        }
        Path(options.json).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
