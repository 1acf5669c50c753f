"""How long a program of five calls takes to end, by what the server that is to take its spans does at that time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from typing import Callable, Dict, Iterator, List, NamedTuple, Tuple

import processes
from environments import HERE, Environment
from figures import Samples

STATES = ("up", "refuses", "hangs", "500", "slow")
"""``slow``: it answers after ``servers.SLOW_S`` seconds, which is longer than the agent waits at an exit."""
_SERVERS = {"up": "sink", "hangs": "hang", "500": "error", "slow": "slow"}
_CALLS = 5
_SPAN_MARKER = b"\xf5HFs"


class Fate(NamedTuple):
    """What became of the spans of one program: those that the server has got, those that wait on disk.

    A span may be both.
    """

    delivered: int
    kept: int


def measure(
    samples: Samples,
    setup: processes.Setup,
    made: Dict[str, Environment],
    rounds: int,
    stock_every: int,
    say: Callable[[str], None],
) -> Dict[Tuple[str, str], List[Fate]]:
    """Milliseconds from the program's last act to the end of its process, as ``exit <state>``; and the spans' fates."""
    fates: Dict[Tuple[str, str], List[Fate]] = {}
    for state in STATES:
        say(f"exit, server: {state}")
        # The first round is not counted: it fills the disk's cache and writes bytecode.
        for number in range(-1, rounds):
            for name in _turn(number, stock_every):
                took_ms, fate = run(setup, made[name], state)
                if number >= 0:
                    samples.add("exit " + state, name, number, took_ms)
                    fates.setdefault((state, name), []).append(fate)
    return fates


def _turn(number: int, stock_every: int) -> Iterator[str]:
    names = ["bare", "agent"] if number % 2 else ["agent", "bare"]
    yield from names
    if number >= 0 and number % stock_every == 0:
        yield "stock"


def run(setup: processes.Setup, environment: Environment, state: str) -> Tuple[float, Fate]:
    """One program of five calls: milliseconds from its last act to the end of its process, and its spans' fate."""
    with ExitStack() as stack:
        url = stack.enter_context(processes.server(_SERVERS[state]) if state in _SERVERS else processes.closed_port())
        home = tempfile.mkdtemp(dir=str(setup.directory))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        environ = setup._replace(sink_url=url).environ(environment, door=True)
        environ.pop("OPENOBSERVE_HF_EXIT_TIMEOUT_S", None)  # the default is what is measured
        if environment.name == "agent":
            environ["OPENOBSERVE_HF_OUTBOX_DIR"] = home
        process = subprocess.Popen(
            [environment.python, str(HERE / "worker.py"), "five", setup.model_url],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # stock tells of its failures there
        )
        assert process.stdout is not None
        last_act = process.stdout.readline()
        _, status, _ = os.wait4(process.pid, 0)
        ended = time.monotonic()
        process.returncode = status
        process.stdout.close()
        if status != 0 or not last_act:
            raise RuntimeError(f"{environment.name}: the program of five calls ended with {status}")
        delivered = 0
        if state in ("up", "slow"):
            delivered = processes.delivered(url).get(setup.traces_path(environment), 0)
        return (ended - float(last_act)) * 1e3, Fate(delivered, _waiting(home))


def _waiting(outbox: str) -> int:
    """Spans in an outbox, by the markers of their records (docs/outbox-format.md)."""
    count = 0
    for directory, _, names in os.walk(outbox):
        for name in names:
            if name.endswith(".seg"):
                with open(os.path.join(directory, name), "rb") as file:
                    count += file.read().count(_SPAN_MARKER)
    return count


def lines(fates: Dict[Tuple[str, str], List[Fate]]) -> List[str]:
    """One line per state: what became of five spans per program."""
    result = []
    for state in STATES:
        parts = []
        for name in ("agent", "stock"):
            runs = fates.get((state, name), [])
            if runs:
                made = _CALLS * len(runs)
                delivered, kept = sum(fate.delivered for fate in runs), sum(fate.kept for fate in runs)
                parts.append(f"{name} {delivered} at the server, {kept} kept on disk of {made}")
        result.append(f"{state}: " + "; ".join(parts))
    return result
