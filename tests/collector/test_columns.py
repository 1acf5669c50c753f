"""What a program under the agent delivers through a real Collector is, in OpenObserve, what it delivers directly."""

from __future__ import annotations

import collections
import json
from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from gateways import WAIT_S, Gateway, wait_for
from router import ScriptedRouter

CALLS = Path(__file__).with_name("calls.py")
ROWS = 14
"""Of that program."""
OF_THE_RUN = {
    *("_timestamp", "start_time", "end_time", "duration", "trace_id", "span_id", "service_service_instance_id"),
    *("gen_ai_response_time_to_first_chunk", "gen_ai_completion_start_time", "hf_stream_time_per_output_token"),
    *("hf_stream_longest_wait", "hf_stream_tokens_per_second"),
}
"""Columns that differ between two runs of one program: times and ids."""
MEASURED = ("_duration", "_time_to_first_chunk", "_time_per_output_chunk")
"""Metrics of times: of these the number of calls is compared, not the sums and the buckets."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What one program's two runs left in OpenObserve: delivered directly, and through the gateway."""
    prices = tmp_path_factory.mktemp("prices") / "prices.json"
    prices.write_text('{"per_million_tokens": {"scripted/plain": {"*": {"input": 1, "output": 2}}}}')
    settings = {
        "OPENOBSERVE_HF_METRICS": "on",
        "OPENOBSERVE_HF_PRICES": str(prices),
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production,k8s.pod.name=shop-1,team=海",
    }
    found = {}
    with ScriptedRouter() as router:
        for way in ("direct", "gateway"):
            directory = tmp_path_factory.mktemp(way)
            with FakeOpenObserve(orgs=("acme",)) as server, Gateway(directory, server, stream="LLM calls") as gateway:
                router.reset()
                there = gateway.environment
                if way == "direct":
                    there = {**server.environment, "OPENOBSERVE_TRACES_STREAM_NAME": "LLM calls"}
                env = harness.environment(directory, router.environment, there, settings, {"ROUTER": router.by_name})
                harness.run_ok([str(CALLS)], door="pythonpath", env=env, cwd=directory)
                server.wait_for_rows(ROWS, stream="llm_calls", timeout=WAIT_S)
                wait_for(lambda server=server: server.streams(stream_type="metrics"))
                found[way] = server
    return found


def calls(server):
    return sorted(server.rows("llm_calls"), key=lambda row: row["start_time"])


def comparable(row):
    """The row without what differs between two runs."""
    kept = {column: value for column, value in row.items() if column not in OF_THE_RUN}
    events = [{**event, "_timestamp": None} for event in json.loads(row.get("events") or "[]")]
    return {**kept, "events": events}


def test_every_column_is_what_direct_delivery_brings(both):
    direct, through = calls(both["direct"]), calls(both["gateway"])
    assert len(direct) == len(through) == ROWS
    for theirs, ours in zip(direct, through):
        assert sorted(ours) == sorted(theirs)
        assert comparable(ours) == comparable(theirs)
    assert both["gateway"].columns("llm_calls") == both["direct"].columns("llm_calls")
    assert both["gateway"].streams() == ["llm_calls"]
    assert both["gateway"].collisions == []


def test_so_it_does_with_cost_resource_and_text(both):
    """The comparison above would hold of nothing, too."""
    row = calls(both["gateway"])[0]
    assert row["gen_ai_usage_cost"] == pytest.approx((11 * 1 + 4 * 2) / 1e6)
    assert (row["service_name"], row["service_team"], row["service_k8s_pod_name"]) == ("shop", "海", "shop-1")
    assert "wie groß ist 海?" in row["gen_ai_input_messages"]
    assert {row["span_status"] for row in calls(both["gateway"])} == {"OK", "ERROR"}
    missing = [column for column in harness.PROMISED if not any(column in row for row in calls(both["gateway"]))]
    assert missing == []


def metrics(server):
    """Of each metric, the values by their labels; of times the number of calls alone."""
    found = {}
    for name in server.streams(stream_type="metrics"):
        if any(part in name for part in MEASURED) and not name.endswith("_count"):
            found[name] = None
            continue
        values = collections.Counter()
        for row in server.sql(f'SELECT * FROM "{name}"', "metrics"):
            labels = {k: v for k, v in row.items() if k not in {"value", "_timestamp", "start_time", "__hash__"}}
            labels.pop("service_instance_id")
            values[json.dumps(labels, sort_keys=True)] += row["value"]
        found[name] = values
    return found


def test_every_metric_is_what_direct_delivery_brings(both):
    direct, through = metrics(both["direct"]), metrics(both["gateway"])
    assert len(direct) > 5
    assert through == direct


def test_each_signal_goes_to_its_path_with_the_gateways_token(both):
    """The agent has no credentials for OpenObserve: the gateway has."""
    posts = [request for request in both["gateway"].requests if request.method == "POST"]
    assert {request.path for request in posts} == {"/api/acme/v1/traces", "/api/acme/v1/metrics"}
    assert {request.headers["authorization"] for request in posts} == {both["gateway"].auth_token}
    assert {request.headers["stream-name"] for request in posts} == {"LLM calls"}
    assert {request.status for request in posts} == {200}
