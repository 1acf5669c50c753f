"""What an instrumentation says of a call, and the columns it becomes. Pure: tables of attributes in and out."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hf_openobserve.process import diagnostics
from hf_openobserve.row import columns
from hf_openobserve.row.record import (
    KIND_CLIENT,
    KIND_INTERNAL,
    KIND_SERVER,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    EventRecord,
    ResourceRecord,
    ScopeRecord,
    SpanRecord,
)
from hf_openobserve.row.work import CallFacts
from hf_openobserve.wire.apis import APIS

MODEL = "meta-llama/Llama-3.1-8B-Instruct:fastest"
RESOLVED = "llama3.1-8b"
ROUTER = CallFacts(host="router.huggingface.co", port=443, model=MODEL, max_tokens=64)
USAGE = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}


@pytest.fixture(scope="module", autouse=True)
def unguarded():
    """No stage raises, whatever it is given: the guard around each is not to hide that here."""
    strict = SimpleNamespace(guarded=lambda _, call, *args: call(*args))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "diagnostics", strict)
        yield


def span(attributes, *, name="ChatCompletion", status=STATUS_OK, events=(), kind=KIND_INTERNAL):
    return SpanRecord(
        trace_id=1,
        span_id=2,
        name=name,
        kind=kind,
        start_time_unix_nano=10,
        end_time_unix_nano=20,
        resource=ResourceRecord({}),
        scope=ScopeRecord("openinference.instrumentation.openai"),
        attributes=dict(attributes),
        status_code=status,
        events=list(events),
    )


def applied(attributes, facts=None, **options):
    record = span(attributes, **options)
    assert columns.apply(record, facts) is record
    return record


def out(attributes, facts=None, **options):
    return applied(attributes, facts, **options).attributes


def request(parameters=None, messages=(("user", "Hi"),)):
    """What OpenInference sets before the request is sent."""
    parameters = {"model": MODEL, "max_tokens": 64} if parameters is None else parameters
    body = dict(parameters, messages=[{"role": role, "content": content} for role, content in messages])
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.system": "openai",
        "input.value": json.dumps(body),
        "input.mime_type": "application/json",
        "llm.invocation_parameters": json.dumps(parameters),
    }
    for index, (role, content) in enumerate(messages):
        attributes[f"llm.input_messages.{index}.message.role"] = role
        attributes[f"llm.input_messages.{index}.message.content"] = content
    return attributes


def response(usage=USAGE, content="Hello.", **more):
    """What OpenInference adds once the answer is there."""
    body = {
        "id": "chatcmpl-1",
        "model": RESOLVED,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"},
        ],
        "usage": usage,
    }
    body.update(more)
    attributes = {
        "output.value": json.dumps(body),
        "output.mime_type": "application/json",
        "llm.model_name": body["model"],
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": content,
    }
    for name, key in (("prompt", "prompt_tokens"), ("completion", "completion_tokens"), ("total", "total_tokens")):
        if usage and key in usage:
            attributes["llm.token_count." + name] = usage[key]
    return attributes


def chat(**more):
    return {**request(), **response(**more)}


def token_columns(attributes):
    return {
        name: value
        for name, value in attributes.items()
        if name.startswith(("llm.token_count.", "llm.usage.", "gen_ai.usage."))
    }


def tokens(prompt, completion, total, cached=0, reasoning=0):
    return {
        "llm.token_count.prompt": prompt,
        "llm.token_count.completion": completion,
        "llm.token_count.total": total,
        "llm.token_count.prompt_details.cache_read": cached,
        "llm.token_count.completion_details.reasoning": reasoning,
        "llm.usage.tokens.input": prompt,
        "llm.usage.tokens.output": completion,
        "llm.usage.tokens.total": total,
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": completion,
        "gen_ai.usage.total_tokens": total,
        "gen_ai.usage.cache_read.input_tokens": cached,
        "gen_ai.usage.reasoning.output_tokens": reasoning,
    }


NO_TOKENS = {
    "llm.token_count.prompt": 0,
    "llm.token_count.completion": 0,
    "llm.token_count.total": 0,
    "llm.usage.tokens.input": 0,
    "llm.usage.tokens.output": 0,
    "llm.usage.tokens.total": 0,
    "gen_ai.usage.input_tokens": 0,
    "gen_ai.usage.output_tokens": 0,
    "gen_ai.usage.total_tokens": 0,
    "gen_ai.usage.cost": 0.0,
    "gen_ai.usage.cost.input": 0.0,
    "gen_ai.usage.cost.output": 0.0,
}


# What was seen beneath the instrumentation.


@pytest.mark.parametrize(
    ("ended", "end"),
    [(None, 20), (15, 15), (25, 20), (10, 20), (5, 20)],
)
def test_a_stream_that_was_left_ends_when_it_was_over_not_when_that_was_noticed(ended, end):
    assert applied(chat(), CallFacts(ended=ended)).end_time_unix_nano == end


def test_facts_fill_in_what_the_span_does_not_say_and_retries_are_events():
    retry = EventRecord("hf.retry", 12, {"hf.retry.wait": 0.5})
    facts = CallFacts(attributes={"hf.request_id": "Root=1", "llm.system": "other"}, events=(retry,), last_attempt=18)
    record = applied(chat(), facts)
    assert record.attributes["hf.request_id"] == "Root=1"
    assert record.attributes["llm.system"] == "openai"
    assert record.events == [retry]
    assert record.attributes["hf.last_attempt.duration"] == 2e-9


def test_usage_that_was_kept_from_the_program_counts():
    attributes = out(chat(usage=None), CallFacts(answer={"usage": USAGE}))
    assert token_columns(attributes) == tokens(30, 12, 42)


def test_the_bodies_say_more_than_the_attributes_of_the_instrumentation():
    call = {"id": "c", "function": {"name": "f", "arguments": {"at": 1}}}
    facts = ROUTER._replace(
        request={
            "model": MODEL,
            "parameters": {"temperature": 0.5},
            "messages": [{"role": "user", "content": "Hello?"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
        answer={
            "model": RESOLVED,
            "choices": [
                {"index": 1, "message": {"content": None, "tool_calls": call}, "finish_reason": "tool_calls"},
                {
                    "index": 0,
                    "message": {"content": "Hi.", "reasoning": "hm", "refusal": "No."},
                    "finish_reason": "stop",
                },
            ],
            "usage": USAGE,
        },
    )
    result = out(chat(usage=None), facts)
    sent, received = messages(result)
    assert sent == [{"role": "user", "content": "Hello?"}]
    made = {"type": "function", "id": "c", "function": {"name": "f", "arguments": '{"at": 1}'}}
    assert received == [
        {"role": "assistant", "content": "Hi.", "reasoning": "hm", "refusal": "No.", "finish_reason": "stop"},
        {"role": "assistant", "content": 'f({"at": 1})', "tool_calls": [made], "finish_reason": "tool_calls"},
    ]
    assert result["gen_ai.response.finish_reasons"] == ["stop", "tool_calls"]
    assert json.loads(result["gen_ai.tool.definitions"]) == facts.request["tools"]
    assert result["gen_ai.request.temperature"] == 0.5
    assert token_columns(result) == tokens(30, 12, 42)


def test_a_call_that_only_its_answer_says_has_failed_is_an_error():
    facts = ROUTER._replace(
        failed=True,
        error_type="openai.APIError",
        message="incomplete: max_output_tokens",
        answer={"status": "incomplete", "model": RESOLVED, "usage": USAGE},
    )
    record = applied(request(), facts, status=STATUS_OK)
    assert (record.status_code, record.status_message) == (STATUS_ERROR, "incomplete: max_output_tokens")
    assert record.attributes["error.type"] == "openai.APIError"
    assert token_columns(record.attributes) == tokens(30, 12, 42), "it was billed"
    assert record.attributes["llm.model_name"] == RESOLVED


@pytest.mark.parametrize("path", APIS)
def test_a_row_is_called_after_the_api_that_was_called(path):
    api = APIS[path]
    record = applied(
        {"openinference.span.kind": "LLM", "output.value": "<openai.X object>"}, CallFacts(api=api), name="X"
    )
    assert (record.name, record.attributes["openinference.span.kind"]) == (api.span_name, api.kind)
    assert record.attributes["gen_ai.operation.name"] == api.operation


def test_the_time_to_the_first_chunk_also_stands_as_the_servers_page_reads_it():
    attributes = chat()
    attributes["gen_ai.response.time_to_first_chunk"] = 0.25
    record = span(attributes)
    record.start_time_unix_nano = 1_700_000_000_000_000_000
    columns.apply(record)
    assert record.attributes["gen_ai_completion_start_time"] == 1_700_000_000_250_000


@pytest.mark.parametrize(
    ("host", "served", "provider"),
    [
        ("router.huggingface.co", None, "huggingface"),
        ("127.0.0.1", "together", "huggingface"),
        ("127.0.0.1", None, "openai"),
    ],
)
def test_the_router_is_known_by_its_host_or_by_naming_a_provider(host, served, provider):
    facts = CallFacts(host=host, attributes={"hf.provider.served": served} if served else {})
    assert out(chat(), facts)["gen_ai.provider.name"] == provider


def test_the_servers_sentence_is_the_status_message_of_a_failed_call():
    facts = CallFacts(status_code=402, error_type="openai.APIStatusError", message="APIStatusError: 402: No credits.")
    assert applied(request(), facts, status=STATUS_ERROR).status_message == "APIStatusError: 402: No credits."
    assert applied(chat(), facts, status=STATUS_OK).status_message == ""


def test_a_call_that_was_interrupted_has_its_parameters_from_its_body():
    attributes = request({"model": MODEL, "max_tokens": 64, "temperature": 0.5})
    del attributes["llm.invocation_parameters"]
    applied_to = out(attributes, status=STATUS_ERROR)
    assert applied_to["gen_ai.request.temperature"] == 0.5
    assert applied_to["llm.request.parameters.model"] == MODEL


# A chat that was answered.


def test_a_chat_has_every_promised_column():
    attributes = chat()
    record = applied(attributes, ROUTER, status=STATUS_UNSET)
    messages = {
        "gen_ai.input.messages": [{"role": "user", "content": "Hi"}],
        "gen_ai.output.messages": [{"role": "assistant", "content": "Hello.", "finish_reason": "stop"}],
    }
    result = dict(record.attributes)
    assert {name: json.loads(result.pop(name)) for name in messages} == messages
    assert result == {
        "openinference.span.kind": "LLM",
        "llm.observation.type": "GENERATION",
        "llm.system": "openai",
        "llm.model_name": RESOLVED,
        "llm.request.parameters.model": MODEL,
        "llm.request.parameters.max_tokens": 64,
        "llm.invocation_parameters": attributes["llm.invocation_parameters"],
        "input.value": attributes["input.value"],
        "input.mime_type": "application/json",
        "output.value": attributes["output.value"],
        "output.mime_type": "application/json",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "huggingface",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.response.model": RESOLVED,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "server.address": "router.huggingface.co",
        "server.port": 443,
        **tokens(30, 12, 42),
    }
    assert record.kind == KIND_CLIENT
    assert record.status_code == STATUS_OK
    assert record.name == "ChatCompletion"


def test_a_stream_put_together_by_the_instrumentation_is_a_chat_like_any_other():
    parameters = {"model": MODEL, "max_tokens": 64, "stream": True, "stream_options": {"include_usage": True}}
    streamed = out({**request(parameters), **response()}, ROUTER)
    assert streamed.pop("gen_ai.request.stream") is True
    plain = out(chat(), ROUTER)
    changed = {"llm.invocation_parameters", "input.value"}
    assert {name: value for name, value in streamed.items() if name not in changed} == {
        name: value for name, value in plain.items() if name not in changed
    }


@pytest.mark.parametrize(
    ("status", "after"), [(STATUS_UNSET, STATUS_OK), (STATUS_OK, STATUS_OK), (STATUS_ERROR, STATUS_ERROR)]
)
def test_ok_is_said(status, after):
    assert applied(chat(), status=status).status_code == after


@pytest.mark.parametrize(
    ("asked", "span_says", "context_says", "user", "session"),
    [
        ({"user": "u"}, {}, {}, "u", None),
        ({"safety_identifier": "s", "metadata": {"user_id": "m"}}, {}, {}, "s", None),
        ({"metadata": {"user_id": 7, "session_id": "x"}}, {}, {}, "7", "x"),
        ({"conversation": "conv_1"}, {}, {}, None, "conv_1"),
        ({"conversation": {"id": "conv_2"}}, {}, {}, None, "conv_2"),
        ({"prompt_cache_key": "k", "previous_response_id": "r"}, {}, {}, None, "k"),
        ({"prompt_cache_key": "k", "conversation": "c"}, {}, {}, None, "c"),
        ({"previous_response_id": "r"}, {}, {}, None, None),
        ({"user": "u"}, {}, {"user.id": "b", "session.id": "c"}, "b", "c"),
        ({"user": "u"}, {"user.id": "o", "session.id": "p"}, {"user.id": "b", "session.id": "c"}, "o", "p"),
        ({"user": {"id": 1}, "metadata": ["x"], "conversation": ""}, {}, {}, None, None),
        ({"user": "u" * 513, "safety_identifier": True}, {}, {}, None, None),
    ],
)
def test_whose_call_it_is(asked, span_says, context_says, user, session):
    body = {"model": MODEL, "messages": [], **asked}
    facts = CallFacts(api=APIS["chat/completions"], request=body, attributes=context_says)
    result = out(span_says, facts)
    assert (result.get("user.id"), result.get("session.id")) == (user, session)
    assert result.get("gen_ai.conversation.id") == session


# Models and parameters.


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"stream": True}, {"gen_ai.request.stream": True}),
        ({"stream": False}, {}),
        ({"top_k": 40}, {"gen_ai.request.top_k": 40}),
        ({"dimensions": 256}, {"gen_ai.embeddings.dimension.count": 256}),
        ({"reasoning_effort": "low"}, {"gen_ai.request.reasoning.level": "low"}),
        ({"reasoning": {"effort": "high"}}, {"gen_ai.request.reasoning.level": "high"}),
        ({"previous_response_id": "resp_1"}, {"gen_ai.request.previous_response.id": "resp_1"}),
        ({"service_tier": "flex"}, {"openai.request.service_tier": "flex"}),
        ({"encoding_format": "base64"}, {"gen_ai.request.encoding_formats": ["base64"]}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"gen_ai.output.type": "json"}),
        ({"text": {"format": {"type": "text"}}}, {"gen_ai.output.type": "text"}),
        ({"modalities": ["text", "audio"]}, {"gen_ai.output.type": "speech"}),
        ({"response_format": "url", "modalities": 7, "reasoning": "x", "service_tier": None, "top_k": "4"}, {}),
    ],
)
def test_the_request_under_the_conventions_names(asked, expected):
    known = set(out({**request({"model": MODEL}), **response()}, ROUTER._replace(max_tokens=None)))
    result = out({**request({"model": MODEL, **asked}), **response()}, ROUTER._replace(max_tokens=None))
    assert {name: value for name, value in result.items() if name not in known} == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens_details": {"audio_tokens": 0}, "completion_tokens_details": {"audio_tokens": 0}}, {}),
        (
            {"prompt_tokens_details": {"audio_tokens": 9, "cache_write_tokens": 4}},
            {
                "llm.token_count.prompt_details.audio": 9,
                "gen_ai.usage.audio.input_tokens": 9,
                "llm.token_count.prompt_details.cache_write": 4,
                "gen_ai.usage.cache_write.input_tokens": 4,
                "gen_ai.usage.cache_creation.input_tokens": 4,
            },
        ),
        (
            {"completion_tokens_details": {"audio_tokens": 5, "text_tokens": 7}},
            {
                "llm.token_count.completion_details.audio": 5,
                "gen_ai.usage.audio.output_tokens": 5,
                "llm.token_count.completion_details.text": 7,
                "gen_ai.usage.text.output_tokens": 7,
            },
        ),
    ],
)
def test_tokens_by_modality_and_those_written_to_a_cache(usage, expected):
    result = out({}, CallFacts(api=APIS["chat/completions"], answer={"usage": {**USAGE, **usage}}))
    assert {name: value for name, value in token_columns(result).items() if name not in tokens(1, 1, 2)} == expected


@pytest.mark.parametrize(
    ("told", "cost"),
    [(0.0001, 0.0001), (0, 0.0), (-1, None), (True, None), ("0.1", None), (float("nan"), None), (10**400, None)],
)
def test_the_cost_that_the_answer_tells(told, cost):
    result = out({}, CallFacts(api=APIS["chat/completions"], answer={"usage": {**USAGE, "estimated_cost": told}}))
    expected = {"": cost, ".amount": cost, ".currency": "USD", ".source": "provider"} if cost is not None else {}
    names = {name for name in result if name.startswith("gen_ai.usage.cost")}
    assert {name: result[name] for name in names} == {
        "gen_ai.usage.cost" + name: value for name, value in expected.items()
    }
    assert result["gen_ai.usage.input_tokens"] == USAGE["prompt_tokens"]


def test_the_answer_under_the_conventions_names():
    answer = {"usage": USAGE, "service_tier": "default", "system_fingerprint": "fp_ollama"}
    result = out({}, CallFacts(api=APIS["chat/completions"], host="openrouter.ai", answer=answer))
    names = ("openai.response.service_tier", "openai.response.system_fingerprint", "hf.endpoint.server", "llm.provider")
    assert [result[name] for name in names] == ["default", "fp_ollama", "ollama", "openrouter"]


def test_the_servers_own_time():
    answer = {"usage": {**USAGE, "queue_time": 0.037}, "timings": {"prompt_ms": 30.5, "predicted_per_token_ms": 24}}
    headers = {"hf.server.time_per_token": 0.0127}
    result = out({}, CallFacts(api=APIS["chat/completions"], answer=answer, attributes=headers))
    assert {name: value for name, value in result.items() if name.startswith("hf.server.")} == {
        "hf.server.queue_time": 0.037,
        "hf.server.prompt_time": 0.0305,
        "hf.server.time_per_token": 0.0127,
    }


@pytest.mark.parametrize(
    ("attributes", "facts", "requested", "resolved"),
    [
        pytest.param(chat(), None, MODEL, RESOLVED, id="from-the-parameters"),
        pytest.param({**chat(), "llm.invocation_parameters": "{}"}, ROUTER, MODEL, RESOLVED, id="from-the-facts"),
        pytest.param({**chat(), "llm.invocation_parameters": "{}"}, None, None, RESOLVED, id="unknown-request"),
        pytest.param(
            {**chat(), "llm.invocation_parameters": '{"model": "sent"}'}, ROUTER, MODEL, RESOLVED, id="facts-first"
        ),
        pytest.param(
            {name: value for name, value in chat().items() if name != "llm.model_name"},
            None,
            MODEL,
            RESOLVED,
            id="resolved-from-the-answer",
        ),
        pytest.param(request(), ROUTER, MODEL, None, id="nothing-resolved"),
    ],
)
def test_requested_and_resolved_model(attributes, facts, requested, resolved):
    result = out(attributes, facts)
    assert result.get("llm.request.parameters.model") == requested
    assert result.get("gen_ai.request.model") == requested
    assert result.get("llm.model_name") == resolved
    assert result.get("gen_ai.response.model") == resolved


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"temperature": 0.5, "top_p": 1}, {"gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 1}),
        ({"frequency_penalty": 0.1}, {"gen_ai.request.frequency_penalty": 0.1}),
        ({"presence_penalty": -1}, {"gen_ai.request.presence_penalty": -1}),
        ({"seed": 7, "n": 2}, {"gen_ai.request.seed": 7, "gen_ai.request.choice.count": 2}),
        ({"max_tokens": 5}, {"gen_ai.request.max_tokens": 5, "llm.request.parameters.max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"gen_ai.request.max_tokens": 5}),
        ({"max_output_tokens": 5}, {"gen_ai.request.max_tokens": 5}),
        (
            {"max_completion_tokens": 9, "max_tokens": 5},
            {"gen_ai.request.max_tokens": 5, "llm.request.parameters.max_tokens": 5},
        ),
        ({"stop": "\n"}, {"gen_ai.request.stop_sequences": ["\n"]}),
        ({"stop": ["a", "b"]}, {"gen_ai.request.stop_sequences": ["a", "b"]}),
        ({"temperature": 0}, {"gen_ai.request.temperature": 0}),
        ({"temperature": None, "seed": "7", "n": True, "stop": None, "max_tokens": None}, {}),
        ({}, {}),
    ],
)
def test_only_what_was_sent_is_a_parameter(parameters, expected):
    result = out({**request({"model": MODEL, **parameters}), **response()})
    found = {
        name: value
        for name, value in result.items()
        if name.startswith(("gen_ai.request.", "llm.request.parameters.")) and not name.endswith("model")
    }
    assert found == expected


def test_the_limit_is_there_under_both_names_when_only_the_facts_know_it():
    result = out({**chat(), "llm.invocation_parameters": "{}"}, ROUTER)
    assert result["llm.request.parameters.max_tokens"] == result["gen_ai.request.max_tokens"] == 64


# Tokens.


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(USAGE, tokens(30, 12, 42), id="no-details"),
        pytest.param(None, {}, id="no-usage"),
        pytest.param({}, {}, id="empty-usage"),
        pytest.param(
            {
                **USAGE,
                "prompt_tokens_details": {"cached_tokens": 16},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            tokens(30, 12, 42, cached=16, reasoning=9),
            id="openai-details",
        ),
        pytest.param({**USAGE, "prompt_tokens_details": None}, tokens(30, 12, 42), id="null-details"),
        pytest.param({**USAGE, "cached_tokens": 8}, tokens(30, 12, 42, cached=8), id="together-top-level"),
        pytest.param({**USAGE, "prompt_cache_hit_tokens": 8}, tokens(30, 12, 42, cached=8), id="deepseek"),
        pytest.param(
            {**USAGE, "prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 8},
            tokens(30, 12, 42, cached=8),
            id="a-derived-zero-does-not-win",
        ),
        pytest.param(
            {
                "input_tokens": 30,
                "output_tokens": 12,
                "total_tokens": 42,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 5},
            },
            tokens(30, 12, 42, cached=4, reasoning=5),
            id="responses-api",
        ),
        pytest.param({"prompt_tokens": 30, "completion_tokens": 12}, tokens(30, 12, 42), id="no-total"),
        pytest.param({"prompt_tokens": 7, "total_tokens": 7}, tokens(7, 0, 7), id="embeddings-have-no-completion"),
        pytest.param(
            {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, tokens(0, 0, 0), id="zeros-are-usage"
        ),
        pytest.param({"prompt_tokens": "30", "completion_tokens": None, "total_tokens": True}, {}, id="no-numbers"),
    ],
)
@pytest.mark.parametrize("instrumentor_counts", [True, False], ids=["counted", "uncounted"])
def test_usage_of_an_answered_call(usage, expected, instrumentor_counts):
    attributes = chat(usage=usage)
    if not instrumentor_counts:
        attributes = {name: value for name, value in attributes.items() if "token_count" not in name}
    else:
        attributes = {
            name: value
            for name, value in attributes.items()
            if "token_count" not in name or (isinstance(value, int) and not isinstance(value, bool))
        }
    assert token_columns(out(attributes)) == expected


def test_tokens_are_integers_that_the_server_can_sum():
    assert {type(value) for value in token_columns(out(chat())).values()} == {int}


# Failures.


def exception_event(kind="openai.RateLimitError"):
    return EventRecord("exception", 15, {"exception.type": kind, "exception.message": "429"})


def test_a_failed_call_has_zeros_its_model_and_its_reason():
    facts = ROUTER._replace(status_code=429, error_type="openai.RateLimitError")
    record = applied(request(), facts, status=STATUS_ERROR, events=[exception_event()])
    result = record.attributes
    assert token_columns(result) == NO_TOKENS
    assert result["llm.request.parameters.model"] == result["gen_ai.request.model"] == MODEL
    assert result["llm.request.parameters.max_tokens"] == 64
    assert result["error.type"] == "openai.RateLimitError"
    assert result["http.response.status_code"] == 429
    assert result["llm.observation.type"] == "GENERATION"
    assert not {"llm.model_name", "gen_ai.response.model", "gen_ai.output.messages"} & set(result)
    assert json.loads(result["gen_ai.input.messages"]) == [{"role": "user", "content": "Hi"}]
    assert record.status_code == STATUS_ERROR
    assert [event.name for event in record.events] == ["exception"]


@pytest.mark.parametrize(
    ("attributes", "facts", "events", "error_type"),
    [
        ({"error.type": "timeout"}, ROUTER._replace(error_type="openai.X"), [exception_event("Y")], "timeout"),
        ({}, ROUTER._replace(error_type="openai.X"), [exception_event("Y")], "openai.X"),
        ({}, None, [exception_event("Y")], "Y"),
        ({}, None, [EventRecord("retry", 1, {"exception.type": "Z"})], "_OTHER"),
        ({}, None, [], "_OTHER"),
    ],
)
def test_what_went_wrong_has_a_type(attributes, facts, events, error_type):
    result = out({**request(), **attributes}, facts, status=STATUS_ERROR, events=events)
    assert result["error.type"] == error_type


def test_a_call_that_never_got_an_answer_has_no_status_code():
    facts = ROUTER._replace(error_type="openai.APIConnectionError")
    assert "http.response.status_code" not in out(request(), facts, status=STATUS_ERROR)


def test_a_stream_that_broke_keeps_what_it_had():
    result = out(chat(), ROUTER, status=STATUS_ERROR)
    assert token_columns(result) == tokens(30, 12, 42)
    assert result["llm.model_name"] == RESOLVED
    assert json.loads(result["gen_ai.output.messages"])[0]["content"] == "Hello."


def test_a_failure_whose_request_is_hidden_still_names_the_model():
    attributes = {"openinference.span.kind": "LLM", "llm.system": "openai", "input.value": "__REDACTED__"}
    result = out(attributes, ROUTER, status=STATUS_ERROR)
    assert result["gen_ai.request.model"] == result["llm.request.parameters.model"] == MODEL
    assert token_columns(result) == NO_TOKENS


def test_a_success_has_no_error_and_no_zeros():
    result = out(chat(usage=None), ROUTER)
    assert not {"error.type", "http.response.status_code", "gen_ai.usage.cost"} & set(result)


# Where it went.


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("router.huggingface.co", "huggingface"),
        ("huggingface.co", "huggingface"),
        ("hf.co", "huggingface"),
        ("abc123.us-east-1.aws.endpoints.huggingface.cloud", "huggingface"),
        ("api.openai.com", "openai"),
        ("127.0.0.1", "openai"),
        ("nothuggingface.co", "openai"),
        ("huggingface.co.evil.example", "openai"),
        ("", "openai"),
    ],
)
def test_the_provider_is_known_by_its_host(host, provider):
    assert columns.provider_name(host) == provider
    assert out(chat(), CallFacts(host=host, port=443))["gen_ai.provider.name"] == provider


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CallFacts(host="127.0.0.1", port=8080), {"server.address": "127.0.0.1", "server.port": 8080}),
        (CallFacts(host="llm", port=None), {"server.address": "llm"}),
        (CallFacts(), {}),
        (None, {}),
    ],
)
def test_the_server_is_named_as_far_as_it_is_known(facts, expected):
    result = out(chat(), facts)
    assert {name: value for name, value in result.items() if name.startswith("server.")} == expected


def test_what_the_instrumentation_says_of_the_server_stays():
    result = out({**chat(), "server.address": "proxy", "server.port": 1, "gen_ai.provider.name": "x"}, ROUTER)
    assert (result["server.address"], result["gen_ai.provider.name"]) == ("proxy", "x")


# Messages.


def messages(result):
    return json.loads(result["gen_ai.input.messages"]), json.loads(result["gen_ai.output.messages"])


def test_a_thousand_messages_stay_in_order():
    conversation = [("user" if index % 2 == 0 else "assistant", f"message {index}") for index in range(1000)]
    sent, _ = messages(out({**request(messages=conversation), **response()}))
    assert [(message["role"], message["content"]) for message in sent] == conversation


def test_the_order_is_that_of_the_numbers_not_of_the_attributes():
    attributes = dict(reversed(list(request(messages=[("user", f"m{n}") for n in range(25)]).items())))
    sent, _ = messages(out({**attributes, **response()}))
    assert [message["content"] for message in sent] == [f"m{n}" for n in range(25)]


def test_indexed_attributes_are_gone_once_they_are_in_the_messages():
    attributes = {
        **chat(),
        "llm.tools.0.tool.json_schema": '{"type": "function"}',
        "llm.prompts.0.prompt.text": "x",
        "llm.choices.0.completion.text": "y",
    }
    left = [name for name in out(attributes) if name.startswith(("llm.input_", "llm.output_", "llm.pro", "llm.cho"))]
    assert left == []
    assert "llm.tools.0.tool.json_schema" not in out(attributes)


def test_a_reply_of_nothing_but_tool_calls_is_not_empty():
    attributes = chat(content=None)
    del attributes["llm.output_messages.0.message.content"]
    for index, (name, arguments) in enumerate([("weather", '{"city": "Rome"}'), ("time", "{}")]):
        prefix = f"llm.output_messages.0.message.tool_calls.{index}.tool_call."
        attributes[prefix + "id"] = f"call_{index}"
        attributes[prefix + "function.name"] = name
        attributes[prefix + "function.arguments"] = arguments
    _, received = messages(out(attributes))
    assert received == [
        {
            "role": "assistant",
            "content": 'weather({"city": "Rome"})\ntime({})',
            "finish_reason": "stop",
            "tool_calls": [
                {
                    "type": "function",
                    "id": "call_0",
                    "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                },
                {"type": "function", "id": "call_1", "function": {"name": "time", "arguments": "{}"}},
            ],
        }
    ]


def test_the_whole_way_of_a_tool_is_in_the_request():
    attributes = {
        **chat(),
        "llm.input_messages.1.message.role": "assistant",
        "llm.input_messages.1.message.tool_calls.0.tool_call.id": "call_0",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "weather",
        "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": "{}",
        "llm.input_messages.2.message.role": "tool",
        "llm.input_messages.2.message.tool_call_id": "call_0",
        "llm.input_messages.2.message.content": "sunny",
        "llm.input_messages.2.message.name": "weather",
        "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": {"name": "weather"}}),
        "llm.tools.1.tool.json_schema": json.dumps({"type": "function", "function": {"name": "time"}}),
    }
    result = out(attributes)
    sent, _ = messages(result)
    assert sent[1]["tool_calls"] == [
        {"type": "function", "id": "call_0", "function": {"name": "weather", "arguments": "{}"}}
    ]
    assert sent[2] == {"role": "tool", "content": "sunny", "name": "weather", "tool_call_id": "call_0"}
    definitions = json.loads(result["gen_ai.tool.definitions"])
    assert [tool["function"]["name"] for tool in definitions] == ["weather", "time"]


def test_a_function_call_of_the_older_api_is_not_lost():
    # OpenInference: message.function_call_name and _arguments_json; the indexed attributes are deleted.
    attributes = chat(content=None)
    del attributes["llm.output_messages.0.message.content"]
    attributes["llm.output_messages.0.message.function_call_name"] = "weather"
    attributes["llm.output_messages.0.message.function_call_arguments_json"] = '{"city": "Rome"}'
    _, received = messages(out(attributes))
    assert received[0]["content"] == 'weather({"city": "Rome"})'


def test_images_stand_in_the_content_in_the_form_of_the_api():
    attributes = chat()
    del attributes["llm.input_messages.0.message.content"]
    prefix = "llm.input_messages.0.message.contents."
    attributes[prefix + "0.message_content.type"] = "text"
    attributes[prefix + "0.message_content.text"] = "What is this?"
    attributes[prefix + "1.message_content.type"] = "image"
    attributes[prefix + "1.message_content.image.image.url"] = "https://example.com/cat.png"
    sent, _ = messages(out(attributes))
    assert sent == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
            ],
        }
    ]


def test_parts_of_nothing_but_text_are_one_text():
    attributes = chat()
    del attributes["llm.input_messages.0.message.content"]
    for index in range(12):
        prefix = f"llm.input_messages.0.message.contents.{index}.message_content."
        attributes[prefix + "type"] = "text"
        attributes[prefix + "text"] = f"part {index}"
    sent, _ = messages(out(attributes))
    assert sent == [{"role": "user", "content": "\n".join(f"part {index}" for index in range(12))}]


def test_each_choice_is_a_message_with_its_own_reason():
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "length"},
    ]
    attributes = chat(choices=choices, content="one")
    attributes["llm.output_messages.1.message.role"] = "assistant"
    attributes["llm.output_messages.1.message.content"] = "two"
    result = out(attributes)
    _, received = messages(result)
    assert [(message["content"], message["finish_reason"]) for message in received] == [
        ("one", "stop"),
        ("two", "length"),
    ]
    assert result["gen_ai.response.finish_reasons"] == ["stop", "length"]


def test_a_reason_follows_its_choice_in_whatever_order_they_came():
    choices = [
        {"index": 1, "message": {"role": "assistant", "content": "two"}, "finish_reason": "length"},
        {"index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"},
    ]
    attributes = chat(choices=choices, content="one")
    attributes["llm.output_messages.1.message.role"] = "assistant"
    attributes["llm.output_messages.1.message.content"] = "two"
    _, received = messages(out(attributes))
    assert [(message["content"], message["finish_reason"]) for message in received] == [
        ("one", "stop"),
        ("two", "length"),
    ]


def test_an_answer_that_names_no_role_is_the_assistants():
    attributes = chat(content="Hi there")
    del attributes["llm.output_messages.0.message.role"]
    _, received = messages(out(attributes))
    assert [(message["role"], message["content"]) for message in received] == [("assistant", "Hi there")]


def test_other_languages_are_not_escaped():
    result = out(request(messages=[("user", "¿qué? 東京 🗼")]))
    assert "¿qué? 東京 🗼" in result["gen_ai.input.messages"]


RESPONSES_BODY = {
    "id": "resp_1",
    "model": RESOLVED,
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sure."}]},
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "c"},
    ],
    "usage": {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11},
}


def test_the_responses_api_of_an_older_instrumentation_is_read_from_the_bodies():
    # OpenInference 0.1.18 (Python 3.8) knows no Responses API: the bodies are all there is.
    parameters = {"model": MODEL, "input": "Hi", "instructions": "Be brief", "max_output_tokens": 9}
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": json.dumps(parameters),
        "input.value": json.dumps(parameters),
        "output.value": json.dumps(RESPONSES_BODY),
    }
    result = out(attributes, name="Response")
    sent, received = messages(result)
    assert sent == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    assert [message["content"] for message in received] == ["Sure.", "weather({})"]
    assert result["gen_ai.operation.name"] == "chat"
    assert result["gen_ai.system_instructions"] == "Be brief"
    assert result["gen_ai.request.max_tokens"] == 9
    assert result["llm.model_name"] == RESOLVED
    assert token_columns(result) == tokens(5, 6, 11)


def test_the_responses_api_of_the_newer_instrumentation():
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": json.dumps({"model": MODEL}),
        "input.value": json.dumps({"model": MODEL, "input": "Hi"}),
        "output.value": json.dumps(RESPONSES_BODY),
        "llm.model_name": RESOLVED,
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "Be brief",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "Hi",
        "llm.output_messages.1.message.role": "assistant",
        "llm.output_messages.1.message.contents.0.message_content.type": "text",
        "llm.output_messages.1.message.contents.0.message_content.text": "Sure.",
        "llm.output_messages.2.message.role": "assistant",
        "llm.output_messages.2.message.tool_calls.0.tool_call.function.name": "weather",
        "llm.output_messages.2.message.tool_calls.0.tool_call.function.arguments": "{}",
    }
    sent, received = messages(out(attributes, name="Response"))
    assert [message["role"] for message in sent] == ["system", "user"]
    assert [message["content"] for message in received] == ["Sure.", "weather({})"]


@pytest.mark.parametrize(
    ("prompts", "choices"),
    [
        pytest.param(
            {"llm.prompts": ("Once", "Twice")},
            {},
            id="older-shape",
        ),
        pytest.param(
            {"llm.prompts.0.prompt.text": "Once", "llm.prompts.1.prompt.text": "Twice"},
            {"llm.choices.0.completion.text": " upon", "llm.choices.1.completion.text": " over"},
            id="newer-shape",
        ),
        pytest.param({}, {}, id="bodies-alone"),
    ],
)
def test_legacy_completions(prompts, choices):
    body = {
        "id": "cmpl-1",
        "model": RESOLVED,
        "choices": [
            {"index": 0, "text": " upon", "finish_reason": "length"},
            {"index": 1, "text": " over", "finish_reason": "stop"},
        ],
        "usage": USAGE,
    }
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.invocation_parameters": json.dumps({"model": MODEL, "max_tokens": 3}),
        "input.value": json.dumps({"model": MODEL, "prompt": ["Once", "Twice"], "max_tokens": 3}),
        "output.value": json.dumps(body),
        **prompts,
        **choices,
    }
    result = out(attributes, name="Completion")
    sent, received = messages(result)
    assert sent == [{"role": "user", "content": "Once"}, {"role": "user", "content": "Twice"}]
    assert received == [
        {"role": "assistant", "content": " upon", "finish_reason": "length"},
        {"role": "assistant", "content": " over", "finish_reason": "stop"},
    ]
    assert result["gen_ai.operation.name"] == "text_completion"
    left = {name: value for name, value in result.items() if name.startswith(("llm.prompts", "llm.choices"))}
    said = {**prompts, **choices}
    assert left == {name: said[name] for name in columns.COMPLETION_TEXTS if name in said}


@pytest.mark.parametrize("name", ["CreateEmbeddings", "CreateEmbeddingResponse"])
@pytest.mark.parametrize("counted", [True, False])
def test_embeddings_have_tokens_and_no_conversation(name, counted):
    attributes = {
        "openinference.span.kind": "EMBEDDING",
        "llm.system": "openai",
        "embedding.invocation_parameters": json.dumps({"model": "BAAI/bge-small-en"}),
        "embedding.model_name": "bge-small-en",
        "input.value": json.dumps({"input": ["a", "b"], "model": "BAAI/bge-small-en"}),
        "output.value": json.dumps(
            {"model": "bge-small-en", "data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        ),
    }
    if counted:
        attributes.update({"llm.token_count.prompt": 7, "llm.token_count.total": 7})
    result = out(attributes, ROUTER._replace(model="BAAI/bge-small-en"), name=name)
    assert result["gen_ai.operation.name"] == "embeddings"
    assert result["llm.observation.type"] == "EMBEDDING"
    assert result["llm.model_name"] == result["gen_ai.response.model"] == "bge-small-en"
    assert result["gen_ai.request.model"] == "BAAI/bge-small-en"
    assert token_columns(result) == tokens(7, 0, 7)
    assert not {"gen_ai.input.messages", "gen_ai.output.messages"} & set(result)


# Spans of others.


@pytest.mark.parametrize(
    ("attributes", "added"),
    [
        ({}, {}),
        ({"http.request.method": "GET", "server.address": "x"}, {}),
        ({"openinference.span.kind": "CHAIN", "input.value": "{}"}, {}),
        ({"openinference.span.kind": "TOOL", "llm.input_messages.0.message.role": "user"}, {}),
        ({"openinference.span.kind": "AGENT", "gen_ai.operation.name": "chat"}, {}),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}, {}),
        ({"gen_ai.operation.name": "execute_tool"}, {}),
        ({"session.id": "s1"}, {"gen_ai.conversation.id": "s1"}),
        ({"gen_ai.conversation.id": "s1"}, {"session.id": "s1"}),
        ({"session.id": "s1", "gen_ai.conversation.id": "c1"}, {}),
        ({"session.id": ""}, {}),
    ],
)
def test_a_span_that_is_no_model_call_only_learns_its_conversation(attributes, added):
    record = applied(attributes, name="GET /", status=STATUS_UNSET, kind=KIND_SERVER)
    assert record.attributes == {**attributes, **added}
    assert (record.kind, record.status_code, record.name) == (KIND_SERVER, STATUS_UNSET, "GET /")


def test_a_call_that_is_none_of_a_language_model_has_its_server_its_way_and_its_outcome():
    facts = ROUTER._replace(
        attributes={"hf.provider.served": "hf-inference"}, events=(EventRecord("hf.retry", 12, {}),)
    )
    record = applied({"openinference.span.kind": "UNKNOWN"}, facts, name="summarization", status=STATUS_UNSET)
    assert record.attributes == {
        "openinference.span.kind": "UNKNOWN",
        "hf.provider.served": "hf-inference",
        "server.address": "router.huggingface.co",
        "server.port": 443,
    }
    assert (record.name, record.status_code, [event.name for event in record.events]) == (
        "summarization",
        STATUS_OK,
        ["hf.retry"],
    )
    failed = facts._replace(failed=True, status_code=503, error_type="X", message="Loading")
    record = applied({"openinference.span.kind": "UNKNOWN"}, failed, name="summarization", status=STATUS_UNSET)
    assert (record.status_code, record.status_message) == (STATUS_ERROR, "Loading")
    assert record.attributes["error.type"] == "X"
    assert record.attributes["http.response.status_code"] == 503
    assert not [name for name in record.attributes if "token" in name]


@pytest.mark.parametrize(
    "given",
    [{"session.id": "s1"}, {"gen_ai.conversation.id": "s1"}],
)
def test_a_model_call_learns_its_conversation_too(given):
    result = out({**chat(), **given})
    assert result["session.id"] == result["gen_ai.conversation.id"] == "s1"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"openinference.span.kind": "LLM"}, True),
        ({"openinference.span.kind": "EMBEDDING"}, True),
        ({"openinference.span.kind": "RERANKER"}, False),
        ({"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"}, False),
        ({"gen_ai.operation.name": "chat"}, True),
        ({"gen_ai.operation.name": "text_completion"}, True),
        ({"gen_ai.operation.name": "embeddings"}, True),
        ({"gen_ai.operation.name": "generate_content"}, True),
        ({"gen_ai.operation.name": "retrieval"}, False),
        ({"llm.model_name": "x"}, False),
        ({}, False),
    ],
)
def test_which_spans_are_model_calls(attributes, expected):
    assert columns.is_llm_span(attributes) is expected


GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "openai",
    "gen_ai.request.model": MODEL,
    "gen_ai.response.model": RESOLVED,
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.output_tokens": 12,
    "gen_ai.request.max_tokens": 64,
    "server.address": "router.huggingface.co",
    "server.port": 443,
}


def test_a_span_of_the_genai_conventions_gets_the_promised_columns():
    record = applied(GENAI, name=f"chat {MODEL}", status=STATUS_UNSET, kind=KIND_CLIENT)
    result = record.attributes
    assert token_columns(result) == tokens(30, 12, 42)
    assert result["llm.model_name"] == RESOLVED
    assert result["llm.request.parameters.model"] == MODEL
    assert result["llm.request.parameters.max_tokens"] == 64
    assert result["openinference.span.kind"] == "LLM"
    assert result["llm.observation.type"] == "GENERATION"
    assert result["gen_ai.provider.name"] == "huggingface"
    assert tuple(result["gen_ai.response.finish_reasons"]) == ("stop",)
    assert record.status_code == STATUS_OK


def test_a_failed_span_of_the_genai_conventions():
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL, "error.type": "RateLimitError"}
    result = out(attributes, name=f"chat {MODEL}", status=STATUS_ERROR)
    assert token_columns(result) == NO_TOKENS
    assert result["error.type"] == "RateLimitError"
    assert result["llm.request.parameters.model"] == MODEL
    assert "llm.model_name" not in result


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic"},
        {"gen_ai.operation.name": "chat", "gen_ai.system": "anthropic"},
        {"openinference.span.kind": "LLM", "llm.system": "anthropic"},
    ],
)
def test_another_makers_model_is_not_called_openai(attributes):
    # Through the wrapper command other instrumentors' spans pass here as well.
    result = out(attributes, name="messages")
    assert (result["llm.system"], result["gen_ai.provider.name"]) == ("anthropic", "anthropic")


def test_messages_of_the_genai_conventions_become_the_form_that_every_page_renders():
    attributes = {
        **GENAI,
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": "Hello."}], "finish_reason": "stop"}]
        ),
    }
    sent, received = messages(out(attributes))
    assert sent[0]["content"] == "Hi"
    assert received[0]["content"] == "Hello."


def test_names_that_the_server_takes_for_the_messages_are_not_sent():
    attributes = {
        **GENAI,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Hi",
        "gen_ai.prompt.name": "greeting",
        "gen_ai.completion.0.content": "Hello.",
        "gen_ai.completion_start_time": 5,
    }
    assert not [name for name in out(attributes) if name.startswith(("gen_ai.prompt", "gen_ai.completion"))]


def test_the_conversation_under_those_names_is_not_lost():
    # The older Traceloop instrumentor has it nowhere else.
    attributes = {
        **GENAI,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Hi",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "Hello.",
    }
    sent, received = messages(out(attributes))
    assert [message["content"] for message in (*sent, *received)] == ["Hi", "Hello."]


def test_events_that_the_server_takes_for_the_messages_are_not_sent_beside_them():
    events = [EventRecord("gen_ai.user.message", 1, {"content": "Hi"}), EventRecord("retry", 2, {})]
    assert [event.name for event in applied(chat(), events=events).events] == ["retry"]


# Nothing raises.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "5",
        '"text"',
        "{",
        "{}{}",
        '{"choices": 5}',
        '{"choices": [5, null, {"message": 5}, {"message": {"content": {"a": 1}, "tool_calls": 5}}]}',
        '{"choices": [{"text": ["a"]}], "usage": [1], "id": {"a": 1}, "model": ["m"]}',
        '{"usage": {"prompt_tokens": 1e400, "prompt_tokens_details": []}}',
        '{"usage": {"prompt_tokens": ' + "9" * 5000 + "}}",
        '{"output": [{"type": "message", "content": [{"text": 5}, 7]}, {"type": "function_call"}]}',
        '{"messages": [{"role": 5, "content": {"deep": []}}], "input": 5, "prompt": {"a": 1}}',
        '{"stop": 5, "max_tokens": [], "model": {}, "temperature": "hot", "n": NaN, "seed": Infinity}',
        '{"stop": {"a": 1}, "stop_sequences": 5}',
        '{"stop": true}',
        '{"instructions": ["a"], "input": [{"role": "user"}]}',
        "{" * 100000,
        '{"messages":' + "[" * 100000 + "]" * 100000 + "}",
    ],
    ids=lambda text: text[:40],
)
@pytest.mark.parametrize("where", ["input.value", "output.value", "llm.invocation_parameters"])
@pytest.mark.parametrize("status", [STATUS_OK, STATUS_ERROR])
def test_broken_bodies(text, where, status):
    attributes = {"openinference.span.kind": "LLM", where: text}
    result = out(attributes, ROUTER, status=status)
    assert result[where] == text
    assert result["llm.observation.type"] == "GENERATION"


@pytest.mark.parametrize("depth", [100, 300, 900, 980, 1000, 3000])
@pytest.mark.parametrize("where", ["input.value", "output.value"])
def test_deep_nesting_in_a_body(depth, where):
    content = "[" * depth + "]" * depth
    body = f'{{"messages":[{{"role":"user","content":{content}}}],"choices":[{{"message":{{"content":{content}}}}}]}}'
    result = out({"openinference.span.kind": "LLM", where: body})
    assert result["llm.observation.type"] == "GENERATION"


@pytest.mark.parametrize("depth", [10, 1000, 100000])
def test_deep_nesting_in_a_name(depth):
    attributes = {**chat(), "llm.input_messages.0.message.content" + ".a" * depth: "x"}
    assert out(attributes)["llm.observation.type"] == "GENERATION"


@pytest.mark.parametrize("index", ["9" * 5000, "0" * 5000, "\u0663", "\u00b2", "-1", ""], ids=lambda index: index[:3])
def test_an_index_of_any_kind(index):
    attributes = {**chat(), f"llm.input_messages.{index}.message.role": "user"}
    assert out(attributes)["llm.observation.type"] == "GENERATION"


@pytest.mark.parametrize("value", [{"a": 1}, [1], (1,), {1}, b"x", None, 5, True, 1.5, object()])
@pytest.mark.parametrize(
    "name",
    [
        "openinference.span.kind",
        "gen_ai.operation.name",
        "llm.invocation_parameters",
        "embedding.invocation_parameters",
        "input.value",
        "output.value",
        "llm.model_name",
        "llm.token_count.prompt",
        "gen_ai.usage.input_tokens",
        "gen_ai.response.finish_reasons",
        "gen_ai.input.messages",
        "llm.finish_reason",
        "llm.prompts",
        "llm.input_messages.0.message",
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.content",
        "llm.input_messages.0.message.contents.0",
        "llm.input_messages.0.message.tool_calls.0.tool_call.function",
        "llm.output_messages.0.message.tool_calls.0.tool_call",
        "llm.tools.0.tool.json_schema",
        "session.id",
        "server.address",
        "server.port",
        "error.type",
    ],
)
@pytest.mark.parametrize("conventions", ["openinference", "genai"])
def test_an_attribute_of_any_type_does_not_cost_the_span(name, value, conventions):
    attributes = {**(chat() if conventions == "openinference" else GENAI), name: value}
    for status in (STATUS_OK, STATUS_ERROR):
        applied(attributes, ROUTER, status=status, events=[exception_event()])


STEPS = [
    "0",
    "00",
    "1",
    "10",
    "²",
    "٣",
    "-1",
    "message",
    "content",
    "contents",
    "message_content",
    "tool_calls",
    "tool_call",
    "function",
    "arguments",
    "name",
    "role",
    "image",
    "url",
    "text",
    "type",
]
NAMES = st.sampled_from(sorted({*chat(), *GENAI, "llm.prompts", "llm.finish_reason", "session.id"})) | st.builds(
    lambda prefix, rest: prefix + ".".join(rest),
    st.sampled_from(["llm.input_messages.", "llm.output_messages.", "llm.tools.", "llm.prompts.", "llm.choices."]),
    st.lists(st.sampled_from([*STEPS, ""]), min_size=1, max_size=7),
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["{}", "[]", '{"choices":[{}]}', '{"usage":{"prompt_tokens":1}}', "chat", "LLM"]),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
BODIES = st.dictionaries(
    st.sampled_from(
        [
            "model",
            "messages",
            "input",
            "instructions",
            "prompt",
            "parameters",
            "tools",
            "choices",
            "output",
            "usage",
            "error",
            "status",
            "text",
            "id",
        ]
    ),
    VALUES
    | st.lists(
        st.dictionaries(st.sampled_from(["role", "content", "type", "message", "index", "name"]), VALUES), max_size=2
    ),
    max_size=4,
)
FACTS = st.none() | st.builds(
    CallFacts,
    host=st.text(max_size=5),
    port=st.none() | st.integers(),
    model=st.none() | st.text(max_size=5),
    max_tokens=st.none() | st.integers(),
    status_code=st.none() | st.integers(),
    error_type=st.none() | st.text(max_size=5),
    message=st.none() | st.text(max_size=5),
    attributes=st.dictionaries(NAMES, VALUES, max_size=3),
    failed=st.booleans(),
    api=st.none() | st.sampled_from(sorted(APIS.values())),
    request=st.none() | BODIES,
    answer=BODIES,
    described=st.just({}),
    sent_as_json=st.none() | st.just('[{"role": "user", "content": "Hi"}]'),
    events=st.just((EventRecord("hf.retry", 12, {}),)),
    last_attempt=st.none() | st.integers(),
    ended=st.none() | st.integers(),
)


# No shrinking: the attributes of a failure are small as they are.
@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.dictionaries(NAMES, VALUES, max_size=12), FACTS, st.sampled_from([STATUS_UNSET, STATUS_OK, STATUS_ERROR]))
def test_no_attributes_make_it_raise_and_its_json_parses(attributes, facts, status):
    attributes.setdefault("openinference.span.kind", "LLM")
    before = copy.deepcopy(attributes)
    result = out(attributes, facts, status=status, name="ChatCompletion")
    if columns.is_llm_span(before):
        for name in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"):
            if name in result and name not in before:
                assert isinstance(json.loads(result[name]), list)
        assert not [name for name in result if name.startswith(("gen_ai.prompt", "gen_ai.completion"))]


@pytest.mark.parametrize(
    ("fingerprint", "told", "server"),
    [
        ("vllm-0.21.0-955d20dc", {}, "vllm"),
        ("vllm-0.23.0-tp2-a536750c", {}, "vllm"),
        ("vllm-0.23.0-tp2-a536750c", {"hf.endpoint.server": "tgi"}, "tgi"),
        ("b9999-abcdef12", {"hf.endpoint.server": "llama.cpp"}, "llama.cpp"),
        ("fp_44709d6fcb", {}, None),
        (None, {}, None),
        (5, {}, None),
    ],
)
def test_a_server_that_names_itself_in_its_answer_is_known(fingerprint, told, server):
    answered = {**request(), **response(system_fingerprint=fingerprint)}
    assert out(answered, ROUTER._replace(attributes=told)).get("hf.endpoint.server") == server


@pytest.mark.parametrize("stage", columns.STAGES, ids=lambda stage: stage.__name__)
def test_a_stage_that_fails_costs_what_it_fills_in(stage, monkeypatch):
    def fails(_):
        raise LookupError("of a form that nobody knows")

    monkeypatch.setattr(columns, "diagnostics", diagnostics)
    monkeypatch.setattr(columns, "STAGES", tuple(fails if known is stage else known for known in columns.STAGES))
    kept = {"_models": "server.address", "_identity": "llm.model_name"}
    result = out(chat(), ROUTER)
    assert result["openinference.span.kind"] == "LLM"
    assert kept.get(stage.__name__, "llm.model_name") in result
    assert not [name for name in result if name.startswith("llm.input_messages")]


def test_what_the_applications_exporters_see_is_not_written_to():
    # The SDK takes mappings as values; the record's dictionary is its own, what is in it is not.
    message = {"role": "user"}
    attributes = {
        **{name: value for name, value in chat().items() if "input_messages" not in name},
        "llm.input_messages.0.message": message,
        "llm.input_messages.0.message.content": "Hi",
    }
    columns.apply(span(attributes), ROUTER)
    assert message == {"role": "user"}


def test_applying_twice_changes_nothing_more():
    record = applied(chat(), ROUTER)
    once = copy.deepcopy(record.attributes)
    columns.apply(record, ROUTER)
    assert record.attributes == once
