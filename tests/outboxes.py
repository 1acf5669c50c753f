"""Real outboxes for the tests of the command line: spans as the agent writes them.

As a program (``python outboxes.py <root> <destination> <number of spans>``) it keeps its segment until its standard
input ends, as a program under the agent does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from click.testing import CliRunner

from hf_openobserve.cli import main
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.outbox import counters, segment, store
from hf_openobserve.outbox.directory import Directory
from hf_openobserve.row.record import (
    STATUS_ERROR,
    STATUS_OK,
    EventRecord,
    ResourceRecord,
    ScopeRecord,
    SpanRecord,
)

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
HOUR_S = 3600
_ids = itertools.count(1)


def record(
    attributes=None,
    *,
    name="ChatCompletion",
    start=None,
    age_s=0.0,
    duration_ms=250,
    error="",
    service="shop",
    events=(),
):
    """(start, payload) of one span, as the store takes it. ``start``: nanoseconds since the epoch."""
    start = time.time_ns() - int(age_s * 1e9) if start is None else start
    span = SpanRecord(
        trace_id=next(_ids) << 64 | os.getpid(),
        span_id=next(_ids),
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(duration_ms * 1e6),
        resource=ResourceRecord({"service.name": service}),
        scope=ScopeRecord("tests"),
        attributes=attributes or {},
        events=[EventRecord(event, start, {}) for event in events],
        status_code=STATUS_ERROR if error else STATUS_OK,
        status_message=error,
    )
    return start, encode_span(span)


def call(model=LLAMA, answered_by="llama3.1-8b", *, tokens=(30, 12), kind="LLM", more=None, **span):
    """(start, payload) of one call to a model. ``tokens``: prompt and completion, or None."""
    attributes = {"openinference.span.kind": kind}
    if model:
        attributes["llm.request.parameters.model"] = model
    if answered_by:
        attributes["llm.model_name"] = answered_by
    if tokens:
        attributes.update(
            {
                "llm.token_count.prompt": tokens[0],
                "llm.token_count.completion": tokens[1],
                "llm.token_count.total": sum(tokens),
            }
        )
    attributes.update(more or {})
    return record(attributes, **span)


def failed_call(model=LLAMA, error_type="openai.RateLimitError", status_code=429, error="slow down", **span):
    more = {"error.type": error_type}
    if status_code is not None:
        more["http.response.status_code"] = status_code
    if status_code == 429:
        more["hf.error.kind"] = "rate_limited"
    return call(model, None, tokens=(0, 0), more=more, error=error, **span)


def leave(root, destination, *records):
    """One segment that waits: the process that wrote it is done with it."""
    left = store.DirectoryStore(str(root), destination, sys.maxsize)
    for start, payload in records:
        left.append(start, payload)
    left.seal()
    return Path(left.directory)


@contextlib.contextmanager
def writer(root, destination, spans=1):
    """A process that holds a segment with so many calls in it, until the block ends or it is killed."""
    command = [sys.executable, __file__, str(root), destination, str(spans)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def environment(tmp_path, *more):
    """For ``run`` and ``invoke``: nothing of the developer's, a home of the test's own, the default outbox alone."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    result = {name: None for name in os.environ if name.startswith(("OPENOBSERVE_", "OTEL_", "XDG_"))}
    result.update(HOME=str(home), TMPDIR=str(tmp_path), OPENOBSERVE_HF_DOTENV="false", COLUMNS=None)
    for extra in more:
        result.update(extra)
    return result


def invoke(arguments, env):
    """The command in this process, without a terminal."""
    try:
        runner = CliRunner(mix_stderr=False)
    except TypeError:  # click 8.2 and newer never mixes
        runner = CliRunner()
    return runner.invoke(main, [str(argument) for argument in arguments], env=env, catch_exceptions=False)


def start(arguments, env, **options):
    """The command as a process of its own. Both of its streams are pipes."""
    given = {**os.environ, **env}
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from hf_openobserve.cli import main; sys.exit(main())"]
        + [str(argument) for argument in arguments],
        env={name: value for name, value in given.items() if value is not None},
        **options,
    )


def run(arguments, env, timeout=30):
    """The command as a process of its own: (exit status, standard output, standard error)."""
    process = start(arguments, env)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    return process.returncode, stdout.decode(), stderr.decode()


def place(directory):
    """A directory of ours, as the agent's own code has it."""
    return Directory(str(directory), (os.getuid(),))


def counts(directory):
    return counters.read(place(directory))


def spans(path):
    """(start, payload) of every intact span in a segment file."""
    return list(segment.spans(Path(str(path)).read_bytes()))


def meta(path):
    """What a segment file says of itself."""
    return segment.meta(Path(str(path)).read_bytes())


def segments(root):
    """The segment files below ``root``, but not what was set aside."""
    return sorted(path for path in Path(str(root)).rglob("*.seg") if path.parent.name != "rejected")


if __name__ == "__main__":
    held = store.DirectoryStore(sys.argv[1], sys.argv[2], sys.maxsize)
    for _ in range(int(sys.argv[3])):
        held.append(*call())
    print("ready", flush=True)
    sys.stdin.read()
