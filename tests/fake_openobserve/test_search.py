"""SQL and the search API beyond what recordings show."""

from __future__ import annotations

import importlib
import json
import time
from typing import Any

import pytest
import requests

from fake_requests import (
    CHAT,
    FAILED,
    export,
    exported,
    post,
)
from fakes.openobserve import FakeOpenObserve, FieldNotFound, SqlError, StreamNotFound
from fakes.openobserve.sql import order_by, with_default_order


def search(server: FakeOpenObserve, sql: str, stream_type: str = "traces", **changes: Any):
    now = time.time_ns() // 1000
    query = {"sql": sql, "start_time": now - 10**9, "end_time": now + 10**6, "from": 0, "size": 100}
    query.update(changes)
    return post(server, json.dumps({"query": query}), f"/api/default/_search?type={stream_type}")


def test_search(server):
    for tokens in (1, 2, 3):
        export(server, {"llm.model_name": "m", "llm.token_count.prompt": tokens})
    answer = search(
        server, 'SELECT llm_token_count_prompt AS t, gen_ai_provider_name FROM "default" ORDER BY t', size=2
    )
    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in ("hits", "total", "from", "size")} == {
        "hits": [{"t": "1"}, {"t": "2"}],
        "total": 3,
        "from": 0,
        "size": 2,
    }
    assert search(server, 'SELECT * FROM "default"', start_time=1, end_time=2).json()["hits"] == []
    [hit] = search(server, """SELECT count(*) AS n FROM "default" WHERE str_match(llm_model_name, 'm')""").json()[
        "hits"
    ]
    assert hit == {"n": 3}


@pytest.mark.parametrize(
    ("sql", "stream_type", "status", "code"),
    [
        ('SELECT never_sent FROM "default"', "traces", 400, 20004),
        # SQLite would read this as a text.
        ('SELECT "never_sent" FROM "default"', "traces", 400, 20004),
        ("""SELECT service_name FROM "default" WHERE "no""thing" = 'x'""", "traces", 400, 20004),
        ('SELECT t.never_sent FROM "default" AS t', "traces", 400, 20004),
        ('SELECT * FROM "other"', "traces", 400, 20002),
        ('SELECT * FROM "default"', "logs", 400, 20002),
        ('SELECT * FROM "default" WHERE', "traces", 400, 400),
        ('SELECT avg(llm_token_count_prompt) FROM "default"', "traces", 400, 20008),
    ],
)
def test_search_errors(server, sql, stream_type, status, code):
    exported(server, CHAT)
    answer = search(server, sql, stream_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("changes", [{"start_time": 0}, {"end_time": 0}, {"start_time": "soon"}])
def test_search_needs_a_time_range(server, changes):
    assert search(server, 'SELECT * FROM "default"', **changes).status_code == 400


def test_sql_on_the_rows(server):
    export(server, dict(CHAT, say='it\'s "so"'))
    export(server, FAILED)
    server.wait_for_rows(2)
    assert server.sql("""SELECT say FROM "default" WHERE say = 'it''s "so"'""") == [{"say": 'it\'s "so"'}]
    assert server.sql('SELECT "llm_system" AS "System", count(*) AS n FROM "default" GROUP BY "System"') == [
        {"System": "openai", "n": 2}
    ]
    assert server.sql('SELECT sum(gen_ai_usage_output_tokens) AS n, avg(gen_ai_usage_cost) AS c FROM "default"') == [
        {"n": 12, "c": 0.0}
    ]
    [minute] = server.sql("SELECT histogram(_timestamp, '1 day') AS day, count(*) AS n FROM \"default\" GROUP BY day")
    assert minute["day"].endswith("T00:00:00")
    with pytest.raises(FieldNotFound):
        server.sql('SELECT "never_sent" FROM "default"')
    with pytest.raises(StreamNotFound):
        server.sql('SELECT * FROM "other"')
    with pytest.raises(StreamNotFound):
        server.sql('SELECT * FROM "default"', stream_type="logs")


@pytest.fixture(params=["sql_datafusion", "sql_sqlite"])
def engine(request, monkeypatch):
    """Each of the two engines: what both can, both do alike."""
    module = importlib.import_module("fakes.openobserve." + request.param)
    monkeypatch.setattr("fakes.openobserve.sql._engine", lambda: module.run)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ('SELECT count(*) AS n FROM "default"', [{"n": 2}]),
        ('SELECT never_sent FROM "default"', 20004),
        ('SELECT "never_sent" FROM "default"', 20004),
        ("SELECT COALESCE(never_sent, 'x') AS k, count(*) AS n FROM \"default\" GROUP BY k", 20004),
        ('SELECT * FROM "nowhere"', 20002),
        ("SELEC 1", 400),
        ('SELECT sum(llm_token_count_prompt) FROM "default"', 20008),
        ('SELECT sum(CAST(llm_token_count_prompt AS BIGINT)) AS t FROM "default"', [{"t": 30}]),
        ('SELECT llm_system AS s FROM "default" WHERE llm_model_name IS NULL', [{"s": "openai"}]),
        ("SELECT count(*) AS n FROM \"default\" WHERE str_match(llm_model_name, '3.1')", [{"n": 1}]),
        ("SELECT 'histogram(x)' AS s, count(*) AS n FROM \"default\"", [{"s": "histogram(x)", "n": 2}]),
        ("SELECT histogram(_timestamp, '1 day') AS d, count(*) AS n FROM \"default\" GROUP BY d", [{"n": 2}]),
        ('SELECT histogram(_timestamp) AS d, count(*) AS n FROM "default" GROUP BY d', [{"n": 2}]),
    ],
)
def test_both_engines(sql, expected):
    now = int(time.time()) // 86400 * 86400 + 3600
    with FakeOpenObserve(now=lambda: now) as server:
        export(server, CHAT, start_ns=now * 10**9)
        export(server, FAILED, start_ns=now * 10**9)
        if isinstance(expected, int):
            with pytest.raises(SqlError) as caught:
                server.sql(sql)
            assert caught.value.code == expected
            return
        rows = server.sql(sql)
        for row in rows:
            day = row.pop("d", None)
            assert day is None or day.startswith(time.strftime("%Y-%m-%dT", time.gmtime(now)))
        assert rows == expected


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT * FROM x", [("_timestamp", "desc")]),
        ("SELECT a FROM x LIMIT 5", [("_timestamp", "desc")]),
        ('SELECT a FROM x ORDER BY a DESC, "b" LIMIT 5', [("a", "desc"), ("b", "asc")]),
        ("SELECT 'order by' FROM x", [("_timestamp", "desc")]),
        ("SELECT a, count(*) FROM x GROUP BY a ORDER BY count(*) DESC, a", [("count(*)", "desc"), ("a", "asc")]),
        ("SELECT count(*) FROM x", []),
        ("SELECT a FROM x GROUP BY a", []),
    ],
)
def test_rows_that_nobody_ordered_come_latest_first(sql, columns):
    assert order_by(with_default_order(sql)) == columns


def test_latest_rows_come_first(server):
    now = time.time_ns()
    for age_s in (5, 3, 9):
        export(server, {"age": age_s}, start_ns=now - age_s * 10**9)
    hits = search(server, 'SELECT age FROM "default" LIMIT 2').json()["hits"]
    assert [hit["age"] for hit in hits] == ["3", "5"]


def test_a_name_that_is_no_stream_is_fine_within_the_query(server):
    exported(server, CHAT)
    sql = 'WITH calls AS (SELECT llm_system AS s FROM "default") SELECT s, 1.0 / 0.0 AS r, 1.5 AS d FROM calls'
    answer = search(server, sql).json()
    assert (answer["hits"], answer["scan_records"]) == ([{"s": "openai", "d": 1.5}], 1)


def latest(server: FakeOpenObserve, **query: Any):
    now = time.time_ns() // 1000
    query = {"start_time": now - 10**9, "end_time": now + 10**6, "from": 0, "size": 25, **query}
    headers = {"Authorization": server.auth_token}
    return requests.get(
        server.url + "/api/default/default/traces/latest", params=query, headers=headers, timeout=10
    ).json()


def test_latest_traces(server):
    now = time.time_ns()
    for age_s, attributes in ((9, FAILED), (3, CHAT)):
        export(server, attributes, start_ns=now - age_s * 10**9, end_ns=now - age_s * 10**9 + 5000)
    both = latest(server)["hits"]
    assert [hit["start_time"] for hit in both] == [now - 3 * 10**9, now - 9 * 10**9]
    assert (both[0]["duration"], both[0]["models"], both[0]["spans"]) == (5, ["llama3.1-8b"], [1, 0])
    [hit] = latest(server, filter=f"trace_id='{both[1]['trace_id']}'")["hits"]
    assert hit == both[1]
    assert latest(server, filter="never_sent = 1")["code"] == 20004
