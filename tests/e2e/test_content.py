"""Law 8 and content capture, end to end: what must not leave is neither on the wire nor in a file of the outbox."""

from __future__ import annotations

import json

import pytest

import harness
import outboxes
from scripted import Reply, ScriptedEndpoint, chat_body

TOKEN = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNm12345678"
PROGRAM = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key=os.environ["HF_TOKEN"], max_retries=0)
chat = client.chat.completions
tools = [{"type": "function", "function": {"name": "canary_tool", "description": "canary-in-tool", "parameters": {}}}]
chat.create(model="m", max_tokens=8, tools=tools, messages=[
    {"role": "system", "content": "canary-in-system"},
    {"role": "user", "content": [
        {"type": "text", "text": "canary-in-question " + os.environ["HF_TOKEN"]},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 300}}]}])
list(chat.create(model="stream", stream=True, messages=[{"role": "user", "content": "canary-in-question"}]))
client.completions.create(model="completion", prompt="canary-in-prompt", max_tokens=8)
try:
    chat.create(model="fail", messages=[{"role": "user", "content": "canary-in-question"}])  # canary-in-source-line
except openai.APIStatusError:
    pass
client.embeddings.create(model="embed", input=["canary-in-embedding"])
"""
CALLS = 5


def answer(_path, body):
    if body["model"] == "fail":
        return Reply(400, {"error": f"canary-in-error echoes your prompt and Bearer {TOKEN}"})
    if body["model"] == "stream":
        delta = {"role": "assistant", "content": "canary-in-answer"}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        chunk["choices"] = [{"index": 0, "delta": delta, "finish_reason": "stop"}]
        return Reply(events=[chunk, "[DONE]"])
    if body["model"] == "completion":
        choice = {"index": 0, "text": "canary-in-answer", "finish_reason": "stop"}
        return Reply(body={"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})
    if body["model"] == "embed":
        data = [{"object": "embedding", "index": 0, "embedding": [0.1] * 64}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return Reply(body={"object": "list", "data": data, "model": "m", "usage": usage})
    return Reply(body=chat_body(content="canary-in-answer"))


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(answer) as scripted:
        yield scripted


def run(tmp_path, endpoint, server, door, **more):
    """All that left the process: its outbox as it ends without a server, and the requests that ship makes of it."""
    env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url, "HF_TOKEN": TOKEN}, more)
    harness.run_ok(PROGRAM, door=door, env=env, cwd=tmp_path)
    files = b"".join(path.read_bytes() for path in (tmp_path / "outbox").rglob("*.seg"))
    assert outboxes.invoke(["ship"], {**env, **server.environment}).exit_code == 0
    rows = server.wait_for_rows(CALLS)
    sent = b"".join(r.message.SerializeToString() for r in server.requests if r.message is not None)
    return files + sent, rows


@pytest.mark.parametrize("content", ["full", "none"])
def test_no_token_leaves_whatever_is_captured(tmp_path, endpoint, openobserve, door, content):
    left, _ = run(tmp_path, endpoint, openobserve, door, OPENOBSERVE_HF_CAPTURE_CONTENT=content)
    assert TOKEN.encode() not in left
    assert openobserve.auth_token.split()[1].encode() not in left


def test_images_become_type_size_and_digest(tmp_path, endpoint, openobserve):
    left, rows = run(tmp_path, endpoint, openobserve, "pythonpath")
    assert b"QUJDQUJD" not in left
    assert b"data:image/png;base64,<900 bytes, sha256:" in left
    assert b"canary-in-question" in left, "text is captured by default"
    assert len(rows) == CALLS


def test_without_content_no_text_of_prompt_or_answer_leaves(tmp_path, endpoint, openobserve, door):
    left, rows = run(tmp_path, endpoint, openobserve, door, OPENOBSERVE_HF_CAPTURE_CONTENT="none")
    assert b"canary" not in left
    succeeded = [row for row in rows if row["span_status"] == "OK" and row["openinference_span_kind"] == "LLM"]
    assert len(succeeded) == 3
    for row in succeeded:
        assert row["input_mime_type"] == row["output_mime_type"] == "application/json"
        assert row["llm_request_parameters_model"]
        assert row["llm_model_name"]
    (failed,) = [row for row in rows if row["span_status"] == "ERROR"]
    assert failed["status_message"] == "BadRequestError"
    assert failed["gen_ai_usage_total_tokens"] == 0


ECHOED = """
import os
import openai
from huggingface_hub import InferenceClient
url = os.environ["HF_BASE_URL"]
client = openai.OpenAI(base_url=url, api_key="opaque-key-99", max_retries=0)
parts = [
    {"type": "text", "text": "canary-in-question"},
    {"type": "image_url", "image_url": {"url": "https://canary-in-image/1"}},
]
tools = [
    {"type": "function", "function": {"name": "canary-in-tool", "description": "canary-in-tool", "parameters": {}}}
]
chat = client.chat.completions
for call in (
    lambda: chat.create(
        model="m", messages=[{"role": "user", "content": parts}], stop=["canary-in-parameter"], tools=tools
    ),
    lambda: client.responses.create(model="m", input="canary-in-question"),
    lambda: client.embeddings.create(model="m", input="canary-in-question"),
    lambda: InferenceClient(base_url=url[:-3], api_key="opaque-key-99").chat_completion(
        [{"role": "user", "content": "canary-in-question"}], stop=["canary-in-parameter"]
    ),
):
    try:
        call()
    except Exception:
        pass
"""


@pytest.mark.parametrize(
    ("hidden", "gone"),
    [
        ("INPUTS", ["question", "image", "tool"]),
        ("INPUT_IMAGES", ["image"]),
        ("LLM_TOOLS", ["tool"]),
        ("LLM_INVOCATION_PARAMETERS", ["parameter"]),
        ("", ["question", "image", "tool", "parameter"]),
    ],
)
def test_what_is_hidden_is_in_no_error_that_echoes_it(tmp_path, hidden, gone):
    switch = {f"OPENINFERENCE_HIDE_{hidden}": "true"} if hidden else {"OPENOBSERVE_HF_CAPTURE_CONTENT": "none"}

    def refuse(_path, body):
        text = json.dumps(body)
        detail = [{"loc": ["body"], "msg": f"not accepted: {text}", "input": body}]
        return Reply(422, {"detail": detail}, headers={"x-error-message": "canary-in-question"})

    with ScriptedEndpoint(refuse) as endpoint:
        env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url}, switch)
        harness.run_ok(ECHOED, door="pythonpath", env=env, cwd=tmp_path)
    left = b"".join(path.read_bytes() for path in (tmp_path / "outbox").rglob("*.seg"))
    assert b"UnprocessableEntity" in left
    assert [name for name in gone if f"canary-in-{name}".encode() in left] == []
    assert b"opaque-key-99" not in left


@pytest.mark.parametrize(
    ("hidden", "gone", "stays"),
    [
        ({"INPUTS"}, ["question", "system", "prompt", "source-line", "error", "embedding"], ["answer"]),
        ({"OUTPUTS"}, ["answer", "error"], ["question"]),
        ({"INPUT_TEXT"}, ["question", "system"], ["answer"]),
        ({"OUTPUT_TEXT"}, ["answer"], ["question"]),
        ({"INPUT_MESSAGES"}, ["question", "system"], ["answer"]),
        ({"OUTPUT_MESSAGES"}, ["answer"], ["question"]),
        ({"INPUTS", "OUTPUTS"}, ["question", "system", "prompt", "answer", "error", "source-line", "embedding"], []),
        ({"LLM_TOOLS", "INPUTS"}, ["tool", "question"], ["answer"]),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else "",
)
def test_openinference_hide_switches_hold_everywhere(tmp_path, endpoint, openobserve, hidden, gone, stays):
    switches = {f"OPENINFERENCE_HIDE_{name}": "true" for name in hidden}
    left, rows = run(tmp_path, endpoint, openobserve, "pythonpath", **switches)
    leaked = [name for name in gone if f"canary-in-{name}".encode() in left]
    assert leaked == []
    assert [name for name in stays if f"canary-in-{name}".encode() not in left] == []
    assert all(row["llm_request_parameters_model"] for row in rows), "the model is no content"
