"""Every panel and every alert, run by OpenObserve's engine over rows that a server made of the agent's spans."""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import itertools
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import requests

from fakes.openobserve import FakeOpenObserve
from hf_openobserve.config import settings as settings_module
from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.provisioning import columns as provisioned
from hf_openobserve.openobserve.provisioning import sources
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.outbox import counters, losses
from hf_openobserve.row import agent_span, columns
from hf_openobserve.row.record import STATUS_ERROR, STATUS_OK, ResourceRecord, ScopeRecord, SpanRecord
from hf_openobserve.row.work import CallFacts

pytest.importorskip("datafusion", reason="what answers without it takes nearly everything for SQL")

RECORDINGS = Path(__file__).parents[3] / "recordings"
VERSIONS = ("v0.91.5", "v0.90.3")
STREAM = "llm_calls"
SECOND_US, MINUTE_US = 1000000, 60000000
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
_ids = itertools.count(1)


def call(age_s=0.0, **of_it):
    """Makes the body of one call when it is sent: an alert looks back a few minutes, and the suite runs for longer."""
    return functools.partial(encoded_call, age_s, **of_it)


def encoded_call(
    age_s, *, kind="", status=None, first_piece=None, tokens=(30, 12), service="shop", duration_s=0.5, **more
):
    """One call, as the agent encodes it. ``kind``: of its error; ``more``: attributes, ``__`` for a dot."""
    start = time.time_ns() - int((age_s + duration_s) * 1e9)
    attributes = {"openinference.span.kind": "LLM"}
    attributes.update((name.replace("__", "."), value) for name, value in more.items())
    facts = {}
    if kind:
        facts["hf.error.kind"] = kind
        if status:
            facts["http.response.status_code"] = status
    if first_piece is not None:
        facts.update({"gen_ai.response.time_to_first_chunk": first_piece, "hf.stream.tokens_per_second": 61.5})
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    record = SpanRecord(
        trace_id=next(_ids),
        span_id=next(_ids),
        name="ChatCompletion",
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(duration_s * 1e9),
        resource=ResourceRecord({"service.name": service, "deployment.environment.name": "production"}),
        scope=ScopeRecord("openinference.instrumentation.openai"),
        attributes=attributes,
        status_code=STATUS_ERROR if kind else STATUS_OK,
        status_message="the server's sentence" if kind else "",
    )
    seen = CallFacts(
        host="router.huggingface.co",
        model=MODEL,
        failed=bool(kind),
        attributes={"hf.provider.served": "novita", "hf.endpoint.kind": "router", **facts},
        answer={} if kind else {"model": "llama3.1-8b", "usage": usage},
    )
    return encode_span(columns.apply(record, seen))


def lost(spans):
    return lambda: losses.encode(counters.Losses({counters.EXPIRED: spans}, 0, 0))


RICH = [
    call(user__id="ada", session__id="s1", gen_ai__usage__cost=0.25, tokens=(1000, 200)),
    call(first_piece=0.2),
    call(kind="rate_limited", status=429, hf__retry_after=7, http__request__resend_count=2),
    call(kind="gated_model", status=403, hf__request_id="Root=1-2"),
    call(kind="credits_exhausted", status=402, hf__bill_to="acme"),
]
"""What the recorded programs did not do."""


@contextlib.contextmanager
def server(version, *, now=None, payloads=()):
    """A server with these bodies, each made by a function, and the API of a stream of it that has every column."""
    with FakeOpenObserve(version, now=now or time.time) as fake:
        environ = {**fake.environment, "OPENOBSERVE_HF_DOTENV": "false", "OPENOBSERVE_TRACES_STREAM_NAME": STREAM}
        destination = settings_module.load(environ, script_dir=None, cwd=None).destination
        with Api(destination) as api:
            # Of the server's time: a recording gets older, and from its server's past ours is too far in the future.
            with mock.patch.object(
                agent_span, "time", SimpleNamespace(time_ns=lambda: int((now or time.time)() * 1e9))
            ):
                provisioned.make(api, provisioned.missing(api))
            headers = {"Content-Type": "application/x-protobuf", **destination.headers}
            for payload in payloads:
                assert (
                    requests.post(destination.endpoint, data=payload(), headers=headers, timeout=10).status_code == 200
                )
            yield fake, api


def recorded(version):
    text = gzip.decompress((RECORDINGS / f"spans-{version[1:]}.jsonl.gz").read_bytes()).decode()
    return [base64.b64decode(json.loads(line)["otlp"]) for line in text.splitlines()]


def panels():
    for board in sources.dashboards(STREAM).values():
        for tab in board["tabs"]:
            for panel in tab["panels"]:
                yield board, panel


def as_the_page_asks(query, **values):
    """The query with each variable replaced; one without a value is set to all."""
    return re.sub(r"\$\{(\w+):singlequote\}", lambda name: "'" + values.get(name.group(1), "_o2_all_") + "'", query)


def answers(api, around_us, **values):
    """(dashboard, panel) -> its rows."""
    found = {}
    for board, panel in panels():
        if panel["type"] != "markdown":
            query = as_the_page_asks(panel["queries"][0]["query"], **values)
            rows = api.search(query, around_us - 86400 * SECOND_US, around_us + 86400 * SECOND_US)
            found[board["title"], panel["title"], panel["id"]] = panel, rows
    return found


# Panels.


@pytest.mark.parametrize("version", VERSIONS)
def test_every_panel_answers_on_a_fresh_stream_and_counts_no_row_of_ours(version):
    with server(version) as (fake, api):
        [row] = fake.rows(STREAM)
        assert row["operation_name"] == provisioned.SPAN_NAME
        assert provisioned.missing(api) == ()
        for where, (panel, rows) in answers(api, time.time_ns() // 1000).items():
            counted = [row for row in rows if any(value for name, value in row.items() if name.startswith("y_axis"))]
            assert panel["type"] == "metric" or rows == [], where
            assert counted == [], where


@pytest.mark.parametrize("version", VERSIONS)
def test_every_panel_shows_what_the_agents_spans_hold(version):
    bodies = recorded(version)
    begun_ns = [int(row["start_time"]) for row in recorded_rows(version)]
    moment_s = max(begun_ns) / 1e9 + 1
    with server(version, now=lambda: moment_s, payloads=[functools.partial(bytes, body) for body in bodies]) as (
        fake,
        api,
    ):
        before = fake.columns(STREAM)
        calls = [row for row in fake.rows(STREAM) if row.get("openinference_span_kind") in ("LLM", "EMBEDDING")]
        found = answers(api, int(moment_s * 1e6))
        values = {where[:2]: rows for where, (_, rows) in found.items()}
        assert values["Overview", "Tokens in"] == [
            {"y_axis_1": sum(int(row.get("llm_token_count_prompt", 0)) for row in calls)}
        ]
        assert values["Errors", "Failed calls"] == [{"y_axis_1": sum(row["span_status"] == "ERROR" for row in calls)}]
        assert sum(row["y_axis_1"] for row in values["Models compared", "Calls over time"]) == len(calls)
        assert fake.columns(STREAM) == before
    with FakeOpenObserve(version, now=lambda: moment_s) as untouched:
        headers = {"Content-Type": "application/x-protobuf", "Authorization": untouched.auth_token}
        for body in bodies:
            requests.post(f"{untouched.url}/api/default/v1/traces", data=body, headers=headers, timeout=10)
        of_calls = untouched.columns()
    # The row that makes columns exist makes them of the type that calls have.
    assert {name: before[name] for name in of_calls} == of_calls


def recorded_rows(version):
    text = gzip.decompress((RECORDINGS / f"spans-{version[1:]}.jsonl.gz").read_bytes()).decode()
    return [row for line in text.splitlines() for row in json.loads(line)["rows"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_panel_has_rows_where_there_is_something_to_show(version):
    with server(version, payloads=RICH) as (_, api):
        around_us = time.time_ns() // 1000
        found = answers(api, around_us)
        empty = [where for where, (_, rows) in found.items() if not rows or not set(rows[0]) & {"y_axis_1", "x_axis_1"}]
        assert empty == []
        for where, (panel, rows) in found.items():
            named = {axis["alias"] for name in "xy" for axis in panel["queries"][0]["fields"][name]}
            named |= {axis["alias"] for axis in panel["queries"][0]["fields"]["breakdown"]}
            assert set().union(*rows) <= named, where
        by_name = {where[:2]: rows for where, (_, rows) in found.items()}
        assert by_name["Who", "The ten dearest calls"][0]["y_axis_1"] == 0.25
        assert by_name["Who", "By user"][0]["x_axis_1"] == "ada"
        assert by_name["Errors", "Longest retry-after"][0]["y_axis_1"] == 7.0
        [gated] = by_name["Errors", "Access: gated models, missing permissions, wrong tokens"]
        assert "the server's sentence" in gated["x_axis_5"]


@pytest.mark.parametrize(
    ("values", "calls"),
    [
        ({"service": "shop"}, 5),
        ({"service": "other"}, 0),
        ({"environment": "production", "model": MODEL, "provider": "novita"}, 5),
        ({"environment": "test"}, 0),
    ],
)
def test_variables_filter_every_panel(values, calls):
    with server("v0.91.5", payloads=RICH) as (_, api):
        found = answers(api, time.time_ns() // 1000, **values)
        [total] = [
            rows for where, (_, rows) in found.items() if where[:2] == ("Overview", "Calls") and where[2] == "panel_1"
        ]
        assert total == [{"y_axis_1": calls}]
        if not calls:
            assert [where for where, (panel, rows) in found.items() if rows and panel["type"] != "metric"] == []


def test_the_documents_are_of_one_form():
    for board, panel in panels():
        assert [variable["name"] for variable in board["variables"]["list"]] == [
            "service",
            "environment",
            "model",
            "provider",
        ]
        query = panel["queries"][0]
        if panel["type"] != "markdown":
            assert query["fields"]["stream"] == STREAM
            assert f'FROM "{STREAM}"' in query["query"]
    for board in sources.dashboards(STREAM).values():
        places = [panel["layout"] for panel in board["tabs"][0]["panels"]]
        for one, other in itertools.combinations(places, 2):
            apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert max(place["x"] + place["w"] for place in places) <= 192


# Alerts.

FINE, SLOW = {"first_piece": 0.3}, {"first_piece": 9.0}
FOR_AND_NOT_FOR = {
    "hf-credits-exhausted": (
        [[call(kind="credits_exhausted", status=402)]],
        [[call(), call(kind="rate_limited", status=429)]],
    ),
    "hf-rate-limited": (
        [[call(kind="rate_limited", status=429), *(call() for _ in range(9))]],
        [
            [call(kind="rate_limited", status=429), *(call() for _ in range(29))],
            [call(kind="rate_limited", status=429)],  # too few to say
            [call(kind="credits_exhausted", status=429) for _ in range(20)],
        ],
    ),
    "hf-errors-by-model": (
        [[*(call(kind="server_error", status=500) for _ in range(2)), *(call() for _ in range(10))]],
        [
            [call(kind="server_error", status=500), *(call() for _ in range(14))],
            [call(kind="cancelled") for _ in range(20)],
        ],
    ),
    "hf-first-piece-slow": (
        [[*(call(**SLOW) for _ in range(3)), *(call(**FINE) for _ in range(3))]],
        [[call(**FINE) for _ in range(9)], [call(**SLOW)], [call(duration_s=30) for _ in range(9)]],
    ),
    "hf-tokens-per-day": (
        [[call(tokens=(9000000, 1000001), age_s=4 * 3600)]],
        [[call(tokens=(9000000, 900000))]],
    ),
    "hf-cost-per-day": (
        [[call(gen_ai__usage__cost=10.5, age_s=4 * 3600), call(gen_ai__usage__cost=9.75)]],
        [[call(gen_ai__usage__cost=19.5)], [call()]],
    ),
    "hf-spans-lost": ([[lost(3)]], [[call()]]),
    "hf-service-silent": (
        [[call(age_s=3 * 3600) for _ in range(20)]],
        [[*(call(age_s=3 * 3600) for _ in range(20)), call()], [call(age_s=3 * 3600) for _ in range(5)]],
    ),
}


def fires(api, alert):
    """Whether the server would tell somebody now: it looks back, and counts rows."""
    trigger, now_us = alert["trigger_condition"], time.time_ns() // 1000
    rows = api.search(alert["query_condition"]["sql"], now_us - trigger["period"] * MINUTE_US, now_us + MINUTE_US)
    assert trigger["operator"] == ">="
    return rows if len(rows) >= trigger["threshold"] else []


def alert_named(name, **numbers):
    thresholds = sources.thresholds()
    thresholds[name].update(numbers)
    return sources.alerts(STREAM, "d", thresholds)[name]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(sources.thresholds()))
def test_an_alert_fires_on_rows_that_it_is_for_and_on_no_others(version, name):
    alert = alert_named(name)
    is_for, is_not_for = FOR_AND_NOT_FOR[name]
    with server(version) as (_, api):
        assert fires(api, alert) == []
    for payloads in is_not_for:
        with server(version, payloads=payloads) as (_, api):
            assert fires(api, alert) == []
    for payloads in is_for:
        with server(version, payloads=payloads) as (_, api):
            [row] = fires(api, alert)
            for column in re.findall(r"{(\w+)}", alert["row_template"]):
                assert column in row


def test_thresholds_stand_in_the_sql_once_and_are_the_packages():
    for name, numbers in sources.thresholds().items():
        as_shipped = json.loads((Path(sources.__file__).parent / "sources" / "alerts" / f"{name}.json").read_text())
        assert (
            alert_named(name)["query_condition"]["sql"].replace(STREAM, "default")
            == as_shipped["query_condition"]["sql"]
        )
        assert as_shipped["trigger_condition"]["period"] == numbers.pop("minutes")
        for threshold in numbers:
            assert len(re.findall(rf"[\d.]+ AS {threshold}\b", as_shipped["query_condition"]["sql"])) == 1


@pytest.mark.parametrize(("dollars", "fired"), [(0.5, True), (1.25, False)])
def test_another_threshold_decides(dollars, fired):
    with server("v0.91.5", payloads=[call(gen_ai__usage__cost=1.0)]) as (_, api):
        assert bool(fires(api, alert_named("hf-cost-per-day", most_dollars=dollars))) == fired


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"hf-rate-limited": {"least_call": 1}}', "least_calls, minutes, most_limited_percent"),
        ('{"hf-nothing": {"minutes": 1}}', "hf-cost-per-day, "),
        ('{"hf-rate-limited": {"least_calls": "1; DROP"}}', "no number"),
        ('{"hf-rate-limited": 5}', "is not of the form"),
        ("{", "cannot be read"),
    ],
)
def test_a_wrong_file_of_thresholds_says_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "thresholds.json"
    path.write_text(text)
    with pytest.raises(sources.ThresholdsError, match=re.escape(says)):
        sources.thresholds(str(path))


def test_a_file_of_thresholds_changes_what_it_names(tmp_path):
    path = tmp_path / "thresholds.json"
    path.write_text(sources.thresholds_text(sources.thresholds()))
    assert sources.thresholds(str(path)) == sources.thresholds()
    path.write_text('{"hf-rate-limited": {"most_limited_percent": 2.5, "minutes": 30}}')
    changed = sources.alerts("s", "slack", sources.thresholds(str(path)))["hf-rate-limited"]
    assert " 2.5 AS most_limited_percent" in changed["query_condition"]["sql"]
    assert (changed["trigger_condition"]["period"], changed["destinations"]) == (30, ["slack"])
