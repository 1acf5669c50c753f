"""The fake OpenObserve against recordings of real ones: each recorded request, and what the server made of it.

What is not compared, and why: times, ids and hashes that the server makes, what an answer says of its own cost
(``took``, memory), and the order of keys in ``events``, which changes from row to row. Ids are compared all the same:
one recorded id is one of the fake's, in all answers.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.openobserve import FakeOpenObserve

HERE = Path(__file__).parents[1] / "recordings"
VERSIONS = ("0.91.5", "0.90.3")


def stored(name: str) -> str:
    return gzip.decompress((HERE / name).read_bytes()).decode("utf-8")


# -- spans: each body becomes the recorded rows

BODIES = {
    version: [json.loads(line) for line in stored(f"spans-{version}.jsonl.gz").splitlines()] for version in VERSIONS
}


@pytest.mark.parametrize(
    ("version", "number"), [(version, number) for version in VERSIONS for number in range(len(BODIES[version]))]
)
def test_rows(version: str, number: int) -> None:
    recorded = BODIES[version][number]
    body = base64.b64decode(recorded["otlp"])
    starts = [
        span.start_time_unix_nano
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    with FakeOpenObserve(version, now=lambda: max(starts) / 1e9) as server:
        headers = {"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"}
        answer = requests.post(f"{server.url}/api/default/v1/traces", data=body, headers=headers, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        query = {"sql": 'SELECT * FROM "default"', "start_time": 1, "end_time": 2 * max(starts) // 1000, "size": 1000}
        hits = requests.post(
            f"{server.url}/api/default/_search?type=traces",
            json={"query": query},
            headers={"Authorization": server.auth_token},
            timeout=10,
        ).json()["hits"]
    assert by_span(hits) == by_span(recorded["rows"])


def by_span(rows: List[Dict[str, Any]]) -> Dict[str, Dict[str, str]]:
    """Rows by their span, values as text that tells 1 from 1.0 and 0.0 from -0.0."""
    found = {row["span_id"]: {column: value_text(column, value) for column, value in row.items()} for row in rows}
    assert len(found) == len(rows)
    return found


def value_text(column: str, value: Any) -> str:
    if column == "events":
        return repr([sorted(event.items()) for event in json.loads(value)])
    if column.startswith("llm_usage_tokens_"):
        # The streams of 0.90.3 had seen these as text from earlier spans, or had not: the type is not of the body.
        return str(value)
    return repr(value)


# -- the other requests: each is answered as it was, in the recorded order

IDS = {"folderId", "folder_id", "dashboardId", "dashboard_id", "hash", "id", "alert_id", "passcode", "__hash__"}
TIMES = {"created", "created_at", "updated_at", "build_date", "last_triggered_at"}
"""Not compared: each is the server's clock."""
OF_THE_BUILD = {"version", "instance", "commit_hash"}
COSTS = {"took", "took_detail", "peak_memory_usage"}
OF_EARLIER_RUNS = {
    "streams": {"total"},
    "search a metric": {"total", "size", "scan_records", "result_cache_ratio"},
    "search a histogram's buckets": {"total", "size", "scan_records", "result_cache_ratio"},
    "metric streams": {"stats"},
}
"""Here the server had streams, rows of the same metrics, files and a cache from before."""


class Played(NamedTuple):
    name: str
    recorded: Dict[str, Any]
    answer: requests.Response
    ids: Dict[str, str]
    run: str


def recordings(version: str) -> List[Dict[str, Any]]:
    return json.loads(stored(f"api-{version}.json.gz"))["recordings"]


CALLS = [(version, number) for version in VERSIONS for number in range(len(recordings(version)))]
NAMES = {version: [recording["name"] for recording in recordings(version)] for version in VERSIONS}


@pytest.fixture(scope="module")
def played() -> Dict[str, List[Played]]:
    return {version: list(play(version)) for version in VERSIONS}


def play(version: str) -> Iterator[Played]:
    calls = recordings(version)
    [run] = {found for call in calls for found in re.findall(r"\brec(\d+)", call["request"]["path"])}
    ids: Dict[str, str] = {}
    with FakeOpenObserve(version, now=lambda: int(run) + 0.5) as server:
        if version == "0.91.5":
            # This server had the user from an earlier run.
            user = next(call["request"] for call in calls if call["name"] == "user create")
            assert send(server, user, ids).status_code == 200
        for call in calls:
            answer = send(server, call["request"], ids)
            learn(ids, parsed(call["response"]["text"]), parsed(answer.text))
            yield Played(call["name"], call["response"], answer, ids, run)


def send(server: FakeOpenObserve, request: Dict[str, Any], ids: Dict[str, str]) -> requests.Response:
    path, body, headers = request["path"], request["body"], dict(request["headers"])
    for recorded, own in ids.items():
        path = path.replace(recorded, own)
    if request["auth"] == "root":
        headers["Authorization"] = server.auth_token
    elif request["auth"] != "none":
        headers["Authorization"] = with_own_passcode(request["auth"][len("as given: ") :], ids)
    if isinstance(body, dict) and set(body) == {"base64"}:
        data = base64.b64decode(body["base64"])
    elif body is None:
        data = None
    else:
        data = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    return requests.request(
        request["method"], server.url + path, data=data, headers=headers, timeout=10, allow_redirects=False
    )


def with_own_passcode(authorization: str, ids: Dict[str, str]) -> str:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return authorization
    return scheme + " " + base64.b64encode(f"{user}:{ids.get(password, password)}".encode()).decode()


def learn(ids: Dict[str, str], recorded: Any, own: Any) -> None:
    """Note which of the fake's ids stands for a recorded one."""
    if isinstance(recorded, dict) and isinstance(own, dict):
        for key, value in recorded.items():
            if key in IDS and key in own and isinstance(value, str) and value != "default":
                ids.setdefault(value, own[key])
            learn(ids, value, own.get(key))


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("version", "number"), CALLS, ids=[f"{version}-{number}-{NAMES[version][number]}" for version, number in CALLS]
)
def test_answer(played: Dict[str, List[Played]], version: str, number: int) -> None:
    name, recorded, answer, ids, run = played[version][number]
    assert answer.status_code == recorded["status"]
    for header in ("content-type", "location", "www-authenticate"):
        assert answer.headers.get(header) == recorded["headers"].get(header), header
    assert ("x-api-node" in answer.headers) == ("x-api-node" in recorded["headers"])
    expected, own = parsed(recorded["text"]), parsed(answer.text)
    if expected is None:
        assert answer.text == recorded["text"]
        return
    differences = list(compare(name, without_earlier_runs(expected, run), own, ids))
    assert differences == []


def without_earlier_runs(answer: Any, run: str) -> Any:
    """The answer without the objects and rows of other runs than this one."""
    if isinstance(answer, dict):
        return {key: without_earlier_runs(value, run) for key, value in answer.items()}
    if isinstance(answer, list):
        return [without_earlier_runs(item, run) for item in answer if not is_of_another_run(item, run)]
    return answer


def is_of_another_run(item: Any, run: str) -> bool:
    if not isinstance(item, dict):
        return False
    named = re.match(r"rec(\d+)", str(item.get("name")))
    made = int(named.group(1)) if named else item.get("_timestamp", 0) // 1000000
    return bool(made) and made != int(run)


def compare(path: str, expected: Any, own: Any, ids: Dict[str, str]) -> Iterator[Tuple[str, Any, Any]]:
    name, _, key = path.partition("/")
    last = path.rsplit("/", 1)[-1]
    if last in TIMES | OF_THE_BUILD | COSTS | OF_EARLIER_RUNS.get(name, set()):
        if own is None and expected is not None:
            yield path, expected, own
    elif expected == "...":
        # Left out of the recording.
        if own is None:
            yield path, expected, own
    elif last in IDS or key == "trace_id":
        if key != "trace_id" and not isinstance(expected, int) and own != ids.get(expected, expected):
            yield path, ids.get(expected, expected), own
    elif isinstance(expected, dict) and isinstance(own, dict):
        if set(expected) != set(own):
            yield path, sorted(set(expected) - set(own)), sorted(set(own) - set(expected))
        for field in set(expected) & set(own):
            yield from compare(f"{path}/{field}", expected[field], own[field], ids)
    elif isinstance(expected, list) and isinstance(own, list):
        yield from compare_lists(path, expected, own, ids)
    elif (type(expected), repr(expected)) != (type(own), repr(own)):
        yield path, expected, own


def compare_lists(
    path: str, expected: List[Any], own: List[Any], ids: Dict[str, str]
) -> Iterator[Tuple[str, Any, Any]]:
    name, _, key = path.partition("/")
    if name in ("streams", "metric streams") and key == "list":
        # "four streams of many".
        names = [stream["name"] for stream in expected]
        own = [stream for stream in own if stream["name"] in names]
    if key == "hits" and name in ("traces latest", "search a histogram's buckets"):
        # All have the same time.
        expected, own = (sorted(rows, key=in_any_order) for rows in (expected, own))
    if len(expected) != len(own):
        yield path, expected, own
    for number, (one, other) in enumerate(zip(expected, own)):
        yield from compare(f"{path}/{number}", one, other, ids)


def in_any_order(row: Dict[str, Any]) -> str:
    return f"{row.get('trace_id')} {row.get('le')}"
