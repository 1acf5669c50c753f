"""A client's own key and headers are literals that are never stored, whatever their form and whoever repeats them."""

from __future__ import annotations

import json

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

PROGRAM = """
import os
import openai
from huggingface_hub import InferenceClient
url = os.environ["HF_BASE_URL"]
messages = [
    {"role": "user", "content": "what are plain-opaque-one, header-opaque-two, request-opaque-three and EMPTY?"}
]
asked = [{"role": "user", "content": "what is hub-opaque-four?"}]
client = openai.OpenAI(
    base_url=url, api_key="plain-opaque-one", default_headers={"X-Team-Token": "header-opaque-two"}, max_retries=0
)
local = openai.OpenAI(base_url=url, api_key="EMPTY", max_retries=0)
hub = InferenceClient(base_url=url[:-3], api_key="hub-opaque-four")
by_url = InferenceClient(model=url[:-3] + "/nosuch/m?api_key=QuerySecret123", token="hub-opaque-four")
extra = {"x-api-key": "request-opaque-three"}
for call in (
    lambda: client.chat.completions.create(model="m", messages=messages, extra_headers=extra),
    lambda: client.chat.completions.create(model="fail", messages=messages),
    lambda: list(client.chat.completions.create(model="fail", messages=messages, stream=True)),
    lambda: client.chat.completions.with_streaming_response.create(model="m", messages=messages).__enter__().close(),
    lambda: local.chat.completions.create(model="m", messages=messages),
    lambda: hub.chat_completion(asked),
    lambda: hub.chat_completion(asked, model="fail"),
    lambda: by_url.summarization("hub-opaque-four"),
    lambda: by_url.text_generation("hub-opaque-four"),
):
    try:
        call()
    except Exception:
        pass
"""
SECRETS = ("plain-opaque-one", "header-opaque-two", "request-opaque-three", "hub-opaque-four", "QuerySecret123")


def answer(path, body):
    if "nosuch" in path or body.get("model") == "fail":
        return Reply(502, {"error": {"message": f"Incorrect API key in {path}: {json.dumps(body)}"}})
    return Reply(body=chat_body(content="You said: " + json.dumps(body)))


def test_a_clients_own_key_is_stored_nowhere(tmp_path, door):
    with ScriptedEndpoint(answer) as endpoint:
        env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url})
        harness.run_ok(PROGRAM, door=door, env=env, cwd=tmp_path)
    left = b"".join(path.read_bytes() for path in (tmp_path / "outbox").rglob("*.seg"))
    assert [secret for secret in SECRETS if secret.encode() in left] == []
    assert b"what are ***, ***, *** and EMPTY?" in left
    assert b"what is ***?" in left
    assert b"api_key=***" in left
