"""What one process, one ``ship`` and one core of the gateway's Collector carry and what a call weighs: docs/scaling.md.

``benchmarks/scaling.py [--spans N] [PART ...]``, by an interpreter that has the agent (``.venv/bin/python``), after
``make collector``; about four minutes. Rates of the Collector are by its CPU, not by the clock: who feeds it takes the
other cores.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence, Tuple
from urllib.parse import urlsplit

import environments
import llm_spans
import processes
from environments import AGENT_VARIABLES, REPOSITORY, Environment, clean_environ
from printing import header, load_note, say

PARTS = ("bytes", "process", "ship", "collector", "backlog")
ROUNDS = 3
CHATS = {"short chat": (25, 50), "long chat": (1500, 300)}
"""Words of the question and of the answer: a question asked by itself, and one with documents beside it."""
POOL = 2000
CONNECTIONS = 32
GZIP_LEVEL = 3
RECORD_HEADER = 20
COLLECTOR = REPOSITORY / ".collector" / "otelcol"
GATEWAY = REPOSITORY / "deploy" / "collector" / "gateway.yaml"
TICK = os.sysconf("SC_CLK_TCK")
OURS = Environment("agent", Path(sys.prefix), None, AGENT_VARIABLES)


def payloads(words: Tuple[int, int], content: bool = True) -> List[bytes]:
    """Of spans as the agent writes them: each a whole request of one span."""
    from hf_openobserve import privacy
    from hf_openobserve.otlp.encode import encode_span
    from hf_openobserve.pipeline.span_reader import SpanReader
    from hf_openobserve.row import columns

    policy = privacy.build_policy(capture_content=content, environ={}, secrets=())
    reader = SpanReader(lambda attributes: privacy.mask_resource(attributes, policy))
    return [
        encode_span(privacy.apply(columns.apply(reader.read(span)), policy))
        for span in llm_spans.iter_spans(POOL, words=words)
    ]


def measure_bytes() -> None:
    print("Bytes of a call: in the outbox; on the wire (gzip) in requests of 1, 16 and 512")
    for name, words in CHATS.items():
        for content in (True, False):
            made = payloads(words, content)
            stored = statistics.mean(len(payload) + RECORD_HEADER for payload in made)
            wire = [statistics.mean(len(body) for body in _bodies(made, size)) / size for size in (1, 16, 512)]
            print(
                f"  {name}{', without content' * (not content)}: {stored:,.0f}; "
                + ", ".join(f"{each:,.0f}" for each in wire)
            )


def measure_process(setup: processes.Setup, count: int) -> None:
    with processes.Worker(setup, OURS, ("pipelines.py", "sustained", "agent", setup.sink_url), _plain()) as worker:
        rates = [worker.ask(str(count)) for _ in range(ROUNDS)]
    rate, cpu = (statistics.median(each[name] for each in rates) for name in ("a second", "us of cpu"))
    print(f"One process, columns to delivery, short chats: {rate:,.0f} calls/s, {cpu:.0f} us of CPU a call")


def measure_ship(setup: processes.Setup, count: int) -> None:
    walls, cpus, stored = [], [], 0.0
    command = [str(Path(sys.prefix) / "bin" / "hf-openobserve"), "ship", "--json", "--dir"]
    for number in range(ROUNDS):
        outbox = setup.directory / f"ship{number}"
        with processes.Worker(setup, OURS, ("pipelines.py", "left", "agent", str(outbox)), _plain()) as worker:
            stored = worker.ask(str(count))["bytes"]
        environ = {**setup.environ(OURS, door=False), **_plain()}
        before = processes.delivered(setup.sink_url).get("/api/default/v1/traces", 0)
        began, cpu = time.perf_counter(), os.times()
        subprocess.run([*command, str(outbox)], env=environ, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - began)
        after = os.times()
        cpus.append(after.children_user + after.children_system - cpu.children_user - cpu.children_system)
        arrived = processes.delivered(setup.sink_url)["/api/default/v1/traces"] - before
        if arrived != count:
            raise RuntimeError(f"ship: {arrived} of {count} spans arrived")
    rate, cpu_us = count / statistics.median(walls), statistics.median(cpus) * 1e6 / count
    print(
        f"One ship of {count:,} short chats ({stored:,.0f} bytes each): "
        f"{rate:,.0f} calls/s, {cpu_us:.0f} us of CPU a call"
    )


class Case(NamedTuple):
    """What the Collector is fed."""

    chat: str
    spans: int
    """Of a request."""
    fsync: bool = False


CASES = (
    Case("short chat", 1),
    Case("short chat", 2),
    Case("short chat", 16),
    Case("short chat", 512),
    Case("long chat", 1),
    Case("long chat", 64),
    Case("short chat", 1, fsync=True),
    Case("short chat", 512, fsync=True),
)


def measure_collector(setup: processes.Setup, count: int) -> None:
    print("One core of the Collector, receiver to OpenObserve (a second of its CPU):")
    for case in CASES:
        number = min(count, 8000) if case.spans < 16 else count
        if case.chat == "long chat":
            number //= 4
        bodies = list(_bodies(payloads(CHATS[case.chat]), case.spans))
        rates = []
        for _ in range(ROUNDS):
            with tempfile.TemporaryDirectory(dir=setup.directory) as queue, collector(
                setup.sink_url, queue, case
            ) as made:
                _feed(made, bodies, number // case.spans // 10)  # connections, and a queue that is there
                _arrived(setup.sink_url, made, number // case.spans // 10 * case.spans)
                cpu = made.cpu_s()
                _feed(made, bodies, number // case.spans)
                _arrived(setup.sink_url, made, number // case.spans * case.spans)
                rates.append((made.cpu_s() - cpu) / (number // case.spans))
        cpu_s = statistics.median(rates)
        print(
            f"  {case.chat}, {case.spans} a request{', fsync' * case.fsync}: {case.spans / cpu_s:,.0f} calls/s,"
            f" {1 / cpu_s:,.0f} requests/s, {cpu_s * 1e6 / case.spans:,.0f} us a call"
        )


def measure_backlog(setup: processes.Setup, count: int) -> None:
    """OpenObserve is away: what the queue takes on disk, and how fast it is sent when it is back."""
    bodies = list(_bodies(payloads(CHATS["short chat"]), 16))
    requests = count // 16
    with tempfile.TemporaryDirectory(dir=setup.directory) as queue:
        with processes.closed_port() as away, collector(away, queue, CASES[0]) as made:
            began, cpu = time.perf_counter(), made.cpu_s()
            _feed(made, bodies, requests)
            wall, cpu = time.perf_counter() - began, made.cpu_s() - cpu
            stored = sum(path.stat().st_blocks * 512 for path in Path(queue).iterdir()) / requests / 16
            memory = made.memory_mib()
        with collector(setup.sink_url, queue, CASES[0]) as made:
            began = time.perf_counter()
            _arrived(setup.sink_url, made, requests * 16)
            drained = time.perf_counter() - began
    print(
        f"Backlog of {requests * 16:,} short chats, 16 a request: {stored:,.0f} bytes on disk a call,"
        f" {memory:,.0f} MiB resident;"
        f" taken at {requests * 16 / wall:,.0f} calls/s ({cpu * 1e6 / requests / 16:.0f} us), sent at"
        f" {requests * 16 / drained:,.0f} calls/s after a restart"
    )


class Collector:
    """The gateway's, running."""

    def __init__(self, port: int, process: Any) -> None:
        self.port = port
        self._process = process
        self.seen = 0

    def cpu_s(self) -> float:
        """Of all its threads until now."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_mib(self) -> float:
        """Resident, the mapped queue included."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


@contextlib.contextmanager
def collector(server: str, queue: str, case: Case) -> Iterator[Collector]:
    """Started with the gateway's configuration, ended by SIGKILL."""
    with contextlib.ExitStack() as stack:
        ports = [urlsplit(stack.enter_context(processes.closed_port())).port for _ in range(2)]
    settings = {
        "receivers::otlp::protocols::http::endpoint": f"127.0.0.1:{ports[0]}",
        "extensions::health_check::endpoint": f"127.0.0.1:{ports[1]}",
        "extensions::file_storage/queue::fsync": str(case.fsync).lower(),
        "service::telemetry::metrics::level": "none",
        "service::telemetry::logs::level": "error",
    }
    command = [str(COLLECTOR), "--config", str(GATEWAY)]
    for path, value in settings.items():
        command += ["--config", f"yaml:{path}: {value}"]
    environ = {"OPENOBSERVE_URL": server, "OPENOBSERVE_AUTH_TOKEN": "x", "GATEWAY_QUEUE_DIRECTORY": queue}
    with subprocess.Popen(command, env={**clean_environ(), **environ}, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while not _answers(f"http://127.0.0.1:{ports[1]}"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the Collector does not start")
                time.sleep(0.1)
            made = Collector(int(ports[0] or 0), process)
            made.seen = _counted(server)
            yield made
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _counted(server: str) -> int:
    try:
        return processes.delivered(server).get("/api/default/v1/traces", 0)
    except OSError:  # away
        return 0


def _arrived(server: str, made: Collector, count: int) -> None:
    """Wait for so many more."""
    until = time.monotonic() + 120
    while _counted(server) - made.seen < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{_counted(server) - made.seen} of {count} spans arrived")
        time.sleep(0.2)
    made.seen += count


def _bodies(made: Sequence[bytes], size: int) -> Iterator[bytes]:
    """Requests of ``size`` spans, compressed as the agent does."""
    for at in range(0, min(len(made), max(size * 8, 200)) - size + 1, size):
        yield gzip.compress(b"".join(made[at : at + size]), GZIP_LEVEL)


def _feed(made: Collector, bodies: Sequence[bytes], requests: int) -> None:
    """So many requests over some connections, each answered 200."""
    todo = itertools.islice(itertools.cycle(bodies), requests)
    lock, wrong = threading.Lock(), []

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", made.port, timeout=60)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        while not wrong:
            with lock:
                body = next(todo, None)
            if body is None:
                break
            try:
                connection.request("POST", "/v1/traces", body, headers)
                answer = connection.getresponse()
                answer.read()
            except OSError as error:
                wrong.append(repr(error))
            else:
                if answer.status != 200:
                    wrong.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(f"the Collector answered {wrong[0]}")


def _plain() -> dict:
    return {"PYTHONPATH": "", "OPENOBSERVE_HF_DOTENV": "false"}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(PARTS) + "; all by default")
    parser.add_argument("--spans", type=int, default=50_000, help="of each measurement (%(default)s)")
    options = parser.parse_args(arguments)
    parts = options.parts or PARTS
    print(header(environments.versions(OURS)))
    if "collector" in parts or "backlog" in parts:
        print(subprocess.run([COLLECTOR, "--version"], check=True, stdout=subprocess.PIPE).stdout.decode().strip())
    environments.CACHE.mkdir(exist_ok=True)  # on a disk, which /tmp may not be
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=environments.CACHE)))
        setup = processes.Setup("", stack.enter_context(processes.server("sink")), directory)
        measures: List[Tuple[str, Callable[..., None], Tuple[Any, ...]]] = [
            ("bytes", measure_bytes, ()),
            ("process", measure_process, (setup, options.spans)),
            ("ship", measure_ship, (setup, options.spans)),
            ("collector", measure_collector, (setup, options.spans)),
            ("backlog", measure_backlog, (setup, options.spans)),
        ]
        for name, measure, settings in measures:
            if name in parts:
                say(name)
                measure(*settings)
    if load_note():
        print(load_note())


if __name__ == "__main__":
    main(sys.argv[1:])
