"""What is measured: short processes, measured from outside, and long-lived workers that time their own calls."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from environments import HERE, Environment, clean_environ

KIB = 1024.0


class Cost(NamedTuple):
    """What one process used: CPU (user + system) in milliseconds, peak memory in MiB."""

    cpu_ms: float
    peak_mib: float


def cost(command: Sequence[str], environ: Mapping[str, str], *, may_talk: bool = False) -> Cost:
    """Run a command to its end and measure it. Raises RuntimeError if it fails: then there is nothing to compare.

    may_talk: it may write to its standard error, as some tools do; otherwise that is a failure.
    """
    launcher = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(HERE / "launcher.py"), *command]
    done = subprocess.run(launcher, env=dict(environ), capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.decode()}")
    cpu_s, peak_kib, status = done.stdout.split()
    if int(status) != 0 or (done.stderr and not may_talk):
        raise RuntimeError(f"{command} ended with {int(status)}: {done.stderr.decode()}")
    return Cost(float(cpu_s) * 1e3, float(peak_kib) / KIB)


def floor_mib() -> float:
    """The peak memory that a process of no memory shows, which is the launcher's own: nothing smaller can be seen."""
    return cost(["/bin/true"], {}).peak_mib


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[str]:
    """``servers.py`` in a process of its own; gives its base URL, and ends it."""
    command = [sys.executable, str(HERE / "servers.py"), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environ()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """A base URL that refuses connections: its port is taken, and nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def in_turn(names: Sequence[str], number: int) -> List[str]:
    """A B C, then B C A, then C A B: none is always the one that runs after the slowest."""
    shift = number % len(names)
    return [*names[shift:], *names[:shift]]


def delivered(sink_url: str) -> Dict[str, int]:
    """Spans that the sink has counted, by path."""
    with urllib.request.urlopen(sink_url + "/counts", timeout=10) as answer:
        return dict(json.load(answer))


class Setup(NamedTuple):
    """The variables that a user of each variant sets, against the servers of this run."""

    model_url: str
    sink_url: str
    directory: Path

    def environ(self, environment: Environment, *, door: bool) -> Dict[str, str]:
        """The whole environment of a measured process; ``door`` puts the variant's directory on PYTHONPATH."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        result = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            # The form of a token, since looking for it in every text is a part of what is measured.
            "HF_TOKEN": "hf_" + "TokenOfTheBenchmarkOnly" + "x" * 11,
        }
        address = self.sink_url.partition("//")[2]
        for name, value in environment.variables.items():
            result[name] = value.format(sink=self.sink_url, address=address, directory=self.directory)
        if door and environment.door is not None:
            result["PYTHONPATH"] = str(environment.door)
        return result

    def traces_path(self, environment: Environment) -> str:
        """Where at the sink the variant's spans arrive."""
        return "/api/default/v1/traces" if environment.name == "agent" else "/v1/traces"

    def first(self, environment: Environment, *, may_talk: bool = False) -> Dict[str, Dict[str, float]]:
        """The one-time costs inside a process, see ``worker.py``. may_talk: see ``cost``."""
        command = [environment.python, str(HERE / "worker.py"), "first", self.model_url]
        environ = self.environ(environment, door=True)
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        if done.returncode != 0 or (done.stderr and not may_talk):
            raise RuntimeError(f"{environment.name}: {done.stderr.decode()}")
        return dict(json.loads(done.stdout))


class Worker:
    """A running program of one variant that answers each line with a line of JSON, by default ``worker.py calls``.

    Context manager; its end is a normal exit, which delivers. program: a script beside this one, and its arguments.
    variables: added to the variant's environment.
    """

    def __init__(
        self,
        setup: Setup,
        environment: Environment,
        program: Sequence[str] = (),
        variables: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.made = 0
        script, *arguments = program or ("worker.py", "calls", setup.model_url)
        self._name = environment.name
        # A file: the stock pipeline warns for each attribute it evicts, and whoever reads a pipe would cost CPU.
        self._said = setup.directory / f"{environment.name}.stderr"
        self._process = subprocess.Popen(
            [environment.python, str(HERE / script), *arguments],
            env={**setup.environ(environment, door=True), **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said.open("wb"),
        )

    def calls(self, kind: str, count: int) -> List[float]:
        """CPU milliseconds on the calling thread of each of ``count`` calls."""
        self.made += count
        return [float(cost_ms) for cost_ms in self.ask(f"{kind} {count}")]

    def cpu_s(self) -> float:
        """CPU seconds of the whole process until now, all threads."""
        return float(self.ask("cpu 0"))

    def ask(self, line: str) -> Any:
        """Send one line; what the program answers. Raises RuntimeError if it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker of '{self._name}' ended: {self._last_words()}")
        return json.loads(answer)

    def finish(self) -> float:
        """Let the program end; CPU seconds of its whole life. Raises RuntimeError if it failed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = status
        if status != 0:
            raise RuntimeError(f"the worker of '{self._name}' ended with {status}: {self._last_words()}")
        return usage.ru_utime + usage.ru_stime

    def _last_words(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace")[-2000:]

    def __enter__(self) -> Worker:  # noqa: PYI034 - typing.Self is newer than the oldest Python
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
