"""What a tool recorded of one call, read from what it sent to the sink: OTLP, ddtrace's LLM spans, Sentry's envelopes.

Each call is made by a process of its own (``caller.py``), so that all the sink got belongs to that call. Texts and
numbers are those that ``caller.py`` asks and ``servers.py router`` answers: what is found was recorded, under whatever
name.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

import caller
import processes
import servers
from environments import HERE, Environment
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TIMEOUT_S = 120


class Recorded(NamedTuple):
    """Of one call: the number of spans, and whether question, answer, tokens and the refusal's sentence are known."""

    spans: int
    question: bool
    answer: bool
    tokens: bool
    sentence: bool


def measure(setup: processes.Setup, environment: Environment) -> Dict[str, Recorded]:
    """Every case of ``caller.py``, all at once: much of their time is waiting at the exit."""
    with processes.server("router") as url, ThreadPoolExecutor() as pool:
        setups = []
        for number in range(len(caller.CASES)):
            directory = setup.directory / f"{environment.name} {number}"
            directory.mkdir()
            setups.append(setup._replace(model_url=url + "/v1", directory=directory))
        cases = list(caller.CASES)
        return dict(zip(cases, pool.map(lambda own, case: _one(own, environment, case), setups, cases)))


def _one(setup: processes.Setup, environment: Environment, case: str) -> Recorded:
    with processes.server("sink") as sink:
        done = subprocess.run(
            [environment.python, str(HERE / "caller.py"), case, setup.model_url],
            env=setup._replace(sink_url=sink).environ(environment, door=True),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{environment.name}, {case}: {done.stderr.decode()[-2000:]}")
        records = list(_taken(sink))
    text = "\n".join(json.dumps(record.content) for record in records)
    return Recorded(
        sum(record.is_span for record in records),
        _is_in(caller.QUESTION, text),
        _is_in(servers.ANSWER.strip(), text),
        all(re.search(rf"\b{servers.USAGE[name]}\b", text) for name in ("prompt_tokens", "completion_tokens")),
        _is_in(servers.SENTENCE, text),
    )


def spans(sink: str) -> int:
    """How many the sink has got."""
    return sum(record.is_span for record in _taken(sink))


def _taken(sink: str) -> Iterator[_Record]:
    with urllib.request.urlopen(sink + "/taken", timeout=TIMEOUT_S) as answer:
        requests = json.load(answer)
    for path, _, body in requests:
        yield from _records(path, base64.b64decode(body))


def _is_in(sentence: str, text: str) -> bool:
    """Also where the sentence is within JSON that is within JSON: none of them has a character that JSON escapes."""
    return sentence in text


class _Record(NamedTuple):
    is_span: bool
    content: Any


def _records(path: str, body: bytes) -> Iterator[_Record]:
    for ending, read in _READERS.items():
        if path.partition("?")[0].endswith(ending):
            yield from read(body)


def _otlp_traces(body: bytes) -> Iterator[_Record]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from (_Record(True, MessageToDict(span)) for span in scope.spans)


def _otlp_logs(body: bytes) -> Iterator[_Record]:
    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        for scope in resource.scope_logs:
            yield from (_Record(False, MessageToDict(record)) for record in scope.log_records)


def _llmobs(body: bytes) -> Iterator[_Record]:
    for event in json.loads(body):
        yield from (_Record(True, span) for span in event["spans"])


def _envelope(body: bytes) -> Iterator[_Record]:
    """A header, then items: each a header of its own and as many bytes as that says, or one line."""
    _, _, rest = body.partition(b"\n")
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line:
            continue
        header = json.loads(line)
        size = header.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
        item, rest = rest[:size], rest[size:]
        kind = header["type"]
        if kind == "transaction":
            transaction = json.loads(item)
            spans: List[Any] = transaction.pop("spans", [])
            yield _Record(True, transaction)
            yield from (_Record(True, span) for span in spans)
        elif kind == "span":
            yield from (_Record(True, span) for span in json.loads(item)["items"])
        elif kind in ("event", "log"):
            yield _Record(False, json.loads(item))


_READERS: Dict[str, Callable[[bytes], Iterator[_Record]]] = {
    "/v1/traces": _otlp_traces,
    "/v1/logs": _otlp_logs,
    "/api/v2/llmobs": _llmobs,
    "/envelope/": _envelope,
}
