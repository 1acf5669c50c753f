"""What a POST leaves behind, seen by the next GET: dashboards, alerts, prices, metrics, users."""

from __future__ import annotations

import json
import time
from typing import Any, Dict

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from fake_requests import CHAT, exported, post
from fakes.openobserve import FakeOpenObserve, Limits

DASHBOARD = {"title": "Calls", "tabs": [{"tabId": "t", "name": "T", "panels": []}]}
ALERT = {
    "name": "errors",
    "stream_type": "traces",
    "stream_name": "default",
    "query_condition": {"type": "sql", "sql": 'SELECT count(*) AS n FROM "default"'},
    "trigger_condition": {"period": 15, "operator": ">=", "threshold": 1, "frequency": 5, "frequency_type": "minutes"},
    "destinations": ["hook"],
}


def call(server: FakeOpenObserve, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    """The parsed answer; ``path`` begins after ``/api/``."""
    headers = {"Authorization": server.auth_token}
    answer = requests.request(method, f"{server.url}/api/{path}", json=body, headers=headers, timeout=10)
    assert answer.status_code == status, answer.text
    return answer.json()


def create_dashboard(server: FakeOpenObserve, folder: str = "default", **changes: Any) -> Dict[str, Any]:
    created = call(server, "POST", f"default/dashboards?folder={folder}", dict(DASHBOARD, **changes))
    return {"id": created["v8"]["dashboardId"], "hash": created["hash"]}


def test_a_dashboard_is_found_by_title_in_every_folder_and_listed_by_its_own(server):
    folder = call(server, "POST", "v2/default/folders/dashboards", {"name": "ours"})["folderId"]
    made = create_dashboard(server, folder, title="Overview of calls")
    other = create_dashboard(server)
    found = call(server, "GET", "default/dashboards?title=overview")["dashboards"]
    assert [(item["dashboard_id"], item["folder_name"], item["hash"]) for item in found] == [
        (made["id"], "ours", made["hash"])
    ]
    assert [item["dashboard_id"] for item in call(server, "GET", "default/dashboards")["dashboards"]] == [other["id"]]


def test_a_dashboard_is_replaced_once_by_each_hash(server):
    made = create_dashboard(server)
    path = f"default/dashboards/{made['id']}?folder=default&hash="
    changed = dict(DASHBOARD, description="changed", dashboardId="mine", owner="mine")
    replaced = call(server, "PUT", path + made["hash"], changed)
    assert replaced["hash"] != made["hash"]
    stored = call(server, "GET", f"default/dashboards/{made['id']}")
    assert stored == replaced
    assert (stored["v8"]["description"], stored["v8"]["dashboardId"]) == ("changed", made["id"])
    assert stored["v8"]["owner"] == "root@example.com"
    call(server, "PUT", path + made["hash"], changed, 409)
    call(server, "PUT", path + replaced["hash"], changed)


def test_what_is_deleted_is_gone(server):
    folder = call(server, "POST", "v2/default/folders/dashboards", {"name": "ours"})["folderId"]
    made = create_dashboard(server, folder)
    call(server, "DELETE", f"v2/default/folders/dashboards/{folder}", status=400)
    call(server, "DELETE", f"default/dashboards/{made['id']}", status=404)
    call(server, "DELETE", f"default/dashboards/{made['id']}?folder={folder}")
    call(server, "GET", f"default/dashboards/{made['id']}", status=404)
    call(server, "DELETE", f"v2/default/folders/dashboards/{folder}")
    assert call(server, "GET", "v2/default/folders/dashboards") == {"list": []}


@pytest.mark.parametrize(
    ("panel", "missing"),
    [
        ({"type": "line"}, "id"),
        ({"config": {}}, "show_legends"),
        ({"queries": [{"customQuery": True, "config": {}}]}, "fields"),
        ({"queries": [{"customQuery": True, "config": {}, "fields": {"stream": "s"}}]}, "stream_type"),
    ],
)
def test_a_panel_without_a_field_it_needs_is_refused(server, panel, missing):
    whole = {"type": "line", "title": "", "description": "", "config": {"show_legends": True}, "queryType": "sql"}
    body = dict(whole, queries=[], **({} if missing == "id" else {"id": "p"}))
    tabs = [{"tabId": "t", "name": "T", "panels": [dict(body, **panel)]}]
    headers = {"Authorization": server.auth_token}
    answer = requests.post(
        server.url + "/api/default/dashboards", json={"title": "x", "tabs": tabs}, headers=headers, timeout=10
    )
    assert (answer.status_code, f"missing field `{missing}`" in answer.text) == (422, True)
    assert call(server, "GET", "default/dashboards") == {"dashboards": []}


def test_a_template_and_a_destination_are_replaced_by_name_and_deleted(server):
    template = {"name": "text", "body": "{}", "type": "http"}
    call(server, "PUT", "default/alerts/templates/text", template, 404)
    call(server, "POST", "default/alerts/templates", template)
    call(server, "PUT", "default/alerts/templates/text", dict(template, body="[]"))
    assert call(server, "GET", "default/alerts/templates/text")["body"] == "[]"
    create_destination(server)
    url = "http://127.0.0.1:10/"
    call(server, "PUT", "default/alerts/destinations/hook", {"url": url, "template": "nothing"}, 404)
    call(server, "PUT", "default/alerts/destinations/hook", {"url": url, "template": "text"})
    assert call(server, "GET", "default/alerts/destinations/hook")["url"] == url
    call(server, "DELETE", "default/alerts/destinations/hook")
    assert call(server, "GET", "default/alerts/destinations") == []
    call(server, "DELETE", "default/alerts/templates/text")
    call(server, "GET", "default/alerts/templates/text", status=404)


def create_destination(server: FakeOpenObserve, url: str = "http://127.0.0.1:9/", status: int = 200) -> None:
    body = {"name": "hook", "url": url, "method": "post", "type": "http", "template": "text"}
    call(server, "POST", "default/alerts/destinations", body, status)


def test_an_alert_needs_a_stream_a_destination_and_a_query_that_counts(server):
    call(server, "POST", "default/alerts/templates", {"name": "text", "body": "{}", "type": "http"})
    create_destination(server)
    call(server, "POST", "v2/default/alerts", ALERT, 404)
    post(server)
    all_columns = {"type": "sql", "sql": 'SELECT * FROM "default"'}
    call(server, "POST", "v2/default/alerts", dict(ALERT, query_condition=all_columns), 400)
    call(server, "POST", "v2/default/alerts", dict(ALERT, destinations=[]), 400)
    call(server, "POST", "v2/default/alerts", dict(ALERT, name="no good"), 400)
    assert call(server, "GET", "v2/default/alerts") == {"list": []}

    made = call(server, "POST", "v2/default/alerts", ALERT)["id"]
    call(server, "PUT", f"v2/default/alerts/{made}", dict(ALERT, enabled=True, description="louder"))
    [listed] = call(server, "GET", "v2/default/alerts")["list"]
    assert (listed["alert_id"], listed["enabled"], listed["description"]) == (made, True, "louder")
    assert call(server, "GET", f"v2/default/alerts/{made}")["trigger_condition"]["threshold"] == 1
    call(server, "DELETE", f"v2/default/alerts/{made}")
    call(server, "GET", f"v2/default/alerts/{made}", status=404)


def test_alerts_have_folders_of_their_own(server):
    call(server, "POST", "v2/default/folders/dashboards", {"name": "ours"})
    folder = call(server, "POST", "v2/default/folders/alerts", {"name": "ours"})["folderId"]
    call(server, "POST", "default/alerts/templates", {"name": "text", "body": "{}"})
    create_destination(server)
    post(server)
    call(server, "POST", f"v2/default/alerts?folder={folder}", ALERT)
    [listed] = call(server, "GET", f"v2/default/alerts?folder={folder}")["list"]
    assert (listed["folder_id"], listed["folder_name"]) == (folder, "ours")
    assert call(server, "GET", "v2/default/alerts?folder=default") == {"list": []}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://10.0.0.1/", "http://nowhere.invalid/", "/relative"])
def test_the_guard_refuses_destinations_that_are_not_public(url):
    with FakeOpenObserve(limits=Limits(ssrf_guard=True)) as server:
        call(server, "POST", "default/alerts/templates", {"name": "text", "body": "{}"})
        create_destination(server, url, 400)
        assert call(server, "GET", "default/alerts/destinations") == []


PRICE = {
    "name": "llama",
    "match_pattern": "(?i)llama-?3\\.1-8b",
    "tiers": [{"name": "Default", "prices": {"input": 2e-8, "output": 5e-8}}],
}


@pytest.mark.parametrize(
    ("version", "attributes", "cost"),
    [
        ("0.93.0", {}, 30 * 2e-8 + 12 * 5e-8),
        ("0.93.0", {"gen_ai.usage.cost": 0.5}, 0.5),
        ("0.93.0", {"llm.model_name": "other"}, -0.0),
        # Off by default up to 0.91.
        ("0.91.5", {}, -0.0),
    ],
)
def test_a_price_makes_calls_cost(version, attributes, cost):
    with FakeOpenObserve(version) as server:
        call(server, "POST", "default/llm/models", PRICE, 201)
        row = exported(server, dict(CHAT, **attributes))
        assert repr(row["gen_ai_usage_cost"]) == repr(cost)


def test_a_price_is_replaced(server):
    made = call(server, "POST", "default/llm/models", PRICE, 201)
    call(server, "PUT", f"default/llm/models/{made['id']}", dict(PRICE, enabled=False))
    [listed] = call(server, "GET", "default/llm/models")
    assert (listed["id"], listed["enabled"], listed["created_at"]) == (made["id"], False, made["created_at"])


@pytest.mark.parametrize("temporality", ["DELTA", "CUMULATIVE"])
@pytest.mark.parametrize("version", ["0.91.5", "0.90.3"])
def test_metrics_of_an_sdk_become_streams(version, temporality):
    with FakeOpenObserve(version) as server:
        exporter = OTLPMetricExporter(
            endpoint=server.url + "/api/default/v1/metrics",
            headers={"Authorization": server.ingestion_auth_token},
            preferred_temporality={Counter: AggregationTemporality[temporality]},
        )
        reader = PeriodicExportingMetricReader(exporter)
        provider = MeterProvider(metric_readers=[reader], resource=Resource({"service.name": "shop"}))
        meter = provider.get_meter("ours", "1")
        meter.create_counter("gen_ai.calls").add(3, {"Gen.Model": "m"})
        histogram = meter.create_histogram("gen_ai.duration", unit="s")
        histogram.record(0.5)
        histogram.record(7)
        provider.shutdown()

        names = [stream["name"] for stream in call(server, "GET", "default/streams?type=metrics")["list"]]
        suffixes = ("", "_bucket", "_count", "_max", "_min", "_sum")
        assert names == ["gen_ai_calls", *("gen_ai_duration" + suffix for suffix in suffixes)]
        [row] = server.sql("SELECT * FROM gen_ai_calls", "metrics")
        kept = ("value", "gen_model", "service_name", "instrumentation_library_name", "aggregation_temporality")
        assert [row[name] for name in kept] == [3.0, "m", "shop", "ours", "AGGREGATION_TEMPORALITY_" + temporality]
        assert abs(row["_timestamp"] - time.time() * 1e6) < 60 * 1e6
        values = {
            suffix: server.sql(f'SELECT value FROM "gen_ai_duration{suffix}"', "metrics")[0]["value"]
            for suffix in suffixes[2:]
        }
        assert values == {"_count": 2.0, "_max": 7.0, "_min": 0.5, "_sum": 7.5}
        buckets = server.sql('SELECT le, value FROM "gen_ai_duration_bucket"', "metrics")
        assert [(row["le"], row["value"]) for row in buckets][:3] == [("0", 0.0), ("5", 1.0), ("10", 2.0)]
        assert (buckets[-1]["le"], buckets[-1]["value"]) == ("inf", 2.0)


@pytest.mark.parametrize(
    ("body", "content_type", "encoding", "status"),
    [
        (b"{", "application/json", None, 400),
        (b"\xff\xff", "application/x-protobuf", None, 400),
        (b"", "text/plain", None, 400),
        (b"", "application/x-protobuf", "lz4", 415),
    ],
)
def test_metrics_that_cannot_be_read(server, body, content_type, encoding, status):
    answer = post(server, body, "/api/default/v1/metrics", Content_Type=content_type, Content_Encoding=encoding)
    assert answer.status_code == status


def test_a_user_reads_and_a_passcode_of_an_old_server_is_the_users_own(old_server):
    call(old_server, "POST", "default/users", {"email": "a@example.com", "password": "Complex#1"})
    plain = requests.get(
        old_server.url + "/api/default/passcode", auth=("a@example.com", "Complex#1"), timeout=10
    ).json()["data"]
    own = call(old_server, "GET", "default/passcode")["data"]
    assert (plain["user"], own["user"]) == ("a@example.com", "root@example.com")
    assert plain["passcode"] != own["passcode"]
    as_metrics = {"Content-Type": "application/json"}
    url = old_server.url + "/api/default/v1/metrics"
    body = json.dumps({"resourceMetrics": []})
    for user, status in (("a@example.com", 200), ("root@example.com", 401)):
        answer = requests.post(url, body, headers=as_metrics, auth=(user, plain["passcode"]), timeout=10)
        assert answer.status_code == status


def test_an_organization_that_does_not_exist_has_nothing(server):
    assert call(server, "GET", "nowhere/dashboards", status=404)["message"] == "Organization not found"
