"""Every kind of call through both doors, against llama.cpp's real server: the columns that stand in OpenObserve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from scripted import Reply, ScriptedEndpoint

pytestmark = pytest.mark.matrix

MODEL = "meta-llama/Llama-3.1-8B-Instruct:fastest"
CHATS = ("chat", "stream", "tools", "structured", "raw", "async chat", "async stream", "async tools", "async raw")
ANSWERED = (*CHATS, "completion", "responses", "async completion", "async responses")
EMBEDDED = ("embeddings", "async embeddings", "llama embeddings")
FAILED = ("failing", "async failing")


def embeddings(_path, body):
    vectors = [{"object": "embedding", "index": index, "embedding": [0.25] * 32} for index in range(len(body["input"]))]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    if body.get("encoding_format") == "base64":
        import base64
        import struct

        for vector in vectors:
            vector["embedding"] = base64.b64encode(struct.pack("<32f", *vector["embedding"])).decode()
    return Reply(body={"object": "list", "data": vectors, "model": "bge-small-en", "usage": usage})


@pytest.fixture(scope="module", params=harness.DOORS)
def every_kind(request, llama, tmp_path_factory):
    """The server, the rows of one run of the program by the label of the call, and what the program received."""
    tmp_path = tmp_path_factory.mktemp("every-kind")
    with FakeOpenObserve() as server, ScriptedEndpoint(embeddings) as scripted:
        env = harness.environment(
            tmp_path,
            server.environment,
            {
                "HF_BASE_URL": llama.url,
                "SCRIPTED_URL": scripted.url,
                "OPENAI_API_KEY": "x",
                "RECEIVED": str(tmp_path / "received.json"),
            },
        )
        program = Path(__file__).parent / "programs" / "every_kind.py"
        bare = harness.run([str(program)], door=None, env=env, cwd=tmp_path)
        done = harness.run([str(program)], door=request.param, env=env, cwd=tmp_path)
        assert (done.stdout, done.stderr, done.returncode) == (bare.stdout, "", 3)
        rows = server.wait_for_rows(len(ANSWERED + EMBEDDED + FAILED))
        yield server, {label_of(row): row for row in rows}, json.loads((tmp_path / "received.json").read_text())
        assert len(rows) == len(ANSWERED + EMBEDDED + FAILED), "one call is one row"


def label_of(row):
    return json.loads(row.get("llm_invocation_parameters") or row["embedding_invocation_parameters"])["user"]


@pytest.mark.parametrize("label", ANSWERED)
def test_every_promised_column_of_an_answered_call_is_filled(every_kind, label):
    _, rows, _ = every_kind
    row = rows[label]
    missing = [column for column in harness.PROMISED if row.get(column) in (None, "")]
    if "responses" in label:  # its limit is called max_output_tokens
        assert row["gen_ai_request_max_output_tokens"] == "8"
        missing.remove("llm_request_parameters_max_tokens")
    assert missing == []


@pytest.mark.parametrize("label", CHATS)
def test_a_chat_row_has_the_promised_values(every_kind, llama, label):
    _, rows, _ = every_kind
    row = rows[label]
    assert row["llm_system"] == "openai"
    assert row["llm_request_parameters_model"] == row["gen_ai_request_model"] == MODEL
    assert row["llm_model_name"] == row["gen_ai_response_model"] == llama.alias
    assert row["llm_request_parameters_max_tokens"] == "8"
    assert row["llm_observation_type"] == "GENERATION"
    assert row["openinference_span_kind"] == "LLM"
    assert row["gen_ai_operation_name"] == "chat"
    assert row["operation_name"] == "ChatCompletion"
    assert row["input_mime_type"] == row["output_mime_type"] == "application/json"
    assert row["span_status"] == "OK"
    assert row["span_kind"] == "3"
    assert row["duration"] > 0
    assert row["server_address"] == "127.0.0.1"
    assert f":{row['server_port']}/" in llama.url


@pytest.mark.parametrize("label", ANSWERED)
def test_tokens_agree_under_all_their_names(every_kind, label):
    _, rows, _ = every_kind
    row = rows[label]
    prompt, completion = int(row["llm_token_count_prompt"]), int(row["llm_token_count_completion"])
    assert prompt > 0
    assert 0 < completion <= 8
    assert int(row["llm_token_count_total"]) == prompt + completion
    assert [row[f"llm_usage_tokens_{name}"] for name in ("input", "output", "total")] == [
        str(prompt),
        str(completion),
        str(prompt + completion),
    ]
    assert [row[f"gen_ai_usage_{name}_tokens"] for name in ("input", "output", "total")] == [
        prompt,
        completion,
        prompt + completion,
    ]
    assert row["gen_ai_usage_cache_read_input_tokens"] == row["llm_token_count_prompt_details_cache_read"]


@pytest.mark.parametrize("label", CHATS)
def test_messages_are_role_and_content(every_kind, label):
    _, rows, _ = every_kind
    sent = json.loads(rows[label]["gen_ai_input_messages"])
    assert sent == [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Tell me about the sea."},
    ]
    (received,) = json.loads(rows[label]["gen_ai_output_messages"])
    assert received["role"] == "assistant"
    assert received["finish_reason"] in ("stop", "length", "tool_calls")


@pytest.mark.parametrize("label", ["chat", "stream", "completion", "responses"])
def test_the_output_is_what_the_program_received(every_kind, label):
    _, rows, received = every_kind
    (message,) = json.loads(rows[label]["gen_ai_output_messages"])
    assert message.get("content", "") == received[label]


def test_completions_and_responses_show_their_messages_too(every_kind):
    _, rows, _ = every_kind
    assert json.loads(rows["completion"]["gen_ai_input_messages"]) == [{"role": "user", "content": "The sea"}]
    assert rows["completion"]["gen_ai_operation_name"] == "text_completion"
    assert [message["content"] for message in json.loads(rows["responses"]["gen_ai_input_messages"])] == [
        "Brief.",
        "Hi",
    ]
    assert rows["responses"]["gen_ai_system_instructions"] == "Brief."


def test_tool_definitions_are_one_column(every_kind):
    _, rows, _ = every_kind
    (tool,) = json.loads(rows["tools"]["gen_ai_tool_definitions"])
    assert tool["function"]["name"] == "get_weather"


@pytest.mark.parametrize("label", EMBEDDED)
def test_embeddings_show_tokens_and_no_vectors(every_kind, label):
    _, rows, _ = every_kind
    row = rows[label]
    assert row["openinference_span_kind"] == "EMBEDDING"
    assert row["gen_ai_operation_name"] == "embeddings"
    assert row["llm_observation_type"] == "EMBEDDING"
    assert int(row["llm_token_count_prompt"]) == row["gen_ai_usage_input_tokens"] > 0
    if label != "llama embeddings":
        assert row["llm_request_parameters_model"] == "BAAI/bge-small"
        assert row["llm_model_name"] == "bge-small-en"


def test_no_vector_leaves_the_process(every_kind):
    server, _, _ = every_kind
    sent = b"".join(request.message.SerializeToString() for request in server.requests if request.message is not None)
    assert b"bge-small-en" in sent
    assert b"0.25, 0.25" not in sent
    assert b"AACAPgAA" not in sent, "the vector in base64"
    assert b"sha256" in sent, "its size and digest stay"


@pytest.mark.parametrize("label", FAILED)
def test_a_failed_call_has_its_model_its_error_and_explicit_zeros(every_kind, label):
    _, rows, _ = every_kind
    row = rows[label]
    assert row["span_status"] == "ERROR"
    assert row["status_message"].startswith("BadRequestError")
    assert row["error_type"] == "openai.BadRequestError"
    assert row["http_response_status_code"] == "400"
    assert row["llm_request_parameters_model"] == MODEL
    assert row.get("llm_model_name") is None, "nothing was resolved"
    harness.assert_nothing_counted(row)
    assert row["gen_ai_usage_cost"] == 0.0
    assert row["operation_name"] == "ChatCompletion"


def test_nothing_indexed_and_no_forbidden_name_reaches_the_server(every_kind):
    server, rows, _ = every_kind
    columns = {column for row in rows.values() for column in row}
    columns -= {"llm_prompts_0_prompt_text", "llm_choices_0_completion_text"}  # promised, see docs/columns.md
    assert not [
        c for c in columns if c.startswith(("llm_tools_", "llm_prompts", "llm_choices", "embedding_embeddings"))
    ]
    sent = {
        attribute.key
        for request in server.requests
        if request.message is not None
        for resource_spans in request.message.resource_spans
        for attribute in resource_spans.scope_spans[0].spans[0].attributes
    }
    assert "llm.system" in sent
    assert not [key for key in sent if key.startswith(("gen_ai.prompt", "gen_ai.completion", "llm.input_messages"))]
