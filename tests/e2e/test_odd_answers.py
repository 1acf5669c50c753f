"""Answers that come by an odd way, or are odd themselves: each call has its row, with what the answer counts."""

from __future__ import annotations

import json

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

PROGRAM = """
import os, sys, openai
url = os.environ["HF_BASE_URL"]
httpx = sys.modules.get("httpx2") or sys.modules["httpx"]
ASKED = [{"role": "user", "content": "Hi"}]

def call(client, model, **options):
    try:
        return client.chat.completions.create(model=model, messages=ASKED, **options)
    except Exception as error:
        print(model, type(error).__name__)

class Copying(httpx.Client):
    # Reads the answer itself, and hands out a response that nobody has read.
    def send(self, request, **options):
        response = super().send(request, **{**options, "stream": True})
        headers = {"content-type": "application/json"}
        return httpx.Response(200, headers=headers, stream=response.stream, request=request)

plain = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
call(plain, "long")
plain.chat.completions.with_raw_response.create(model="long-raw", messages=ASKED)
call(openai.OpenAI(base_url=url, api_key="x", max_retries=0, http_client=Copying()), "copied")
stream = call(plain, "streamed", extra_body={"stream": True})
print(type(stream).__name__)
call(plain, "text")
"""


class Endpoint(ScriptedEndpoint):
    """Answers by the model of the request."""

    def __init__(self):
        super().__init__(self._answer_to)

    def _answer_to(self, _path, body):
        model = str(body.get("model"))
        if body.get("stream"):
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "served"}
            delta = {"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            usage = chat_body()["usage"]
            return Reply(events=[{**chunk, "choices": [delta], "usage": usage}, "[DONE]"])
        if model == "text":
            return Reply(raw=[b"no JSON"], headers={"content-type": "text/plain"})
        return Reply(body=chat_body(content="x" * (9 << 20) if model.startswith("long") else "Hello"))


def test_each_has_its_row(door, tmp_path, openobserve):
    with Endpoint() as endpoint:
        more = {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_STREAM_USAGE": "on"}
        env = harness.environment(tmp_path, openobserve.environment, more)
        bare = harness.run(PROGRAM, door=None, env=env, cwd=tmp_path)
        done = harness.run(PROGRAM, door=door, env=env, cwd=tmp_path)
        asked = [body for _, _, body in endpoint.calls if body and body.get("stream")]
    assert done == bare
    assert not [body for body in asked if "stream_options" in body], "the program reads that stream itself"
    rows = openobserve.wait_for_rows(5)
    found = {row["llm_request_parameters_model"]: row for row in rows}
    assert set(found) == {"long", "long-raw", "copied", "streamed", "text"}
    for label in ("long", "long-raw", "streamed"):
        assert found[label]["llm_token_count_total"] == "15", label
    assert json.loads(found["streamed"]["gen_ai_output_messages"])[0]["content"] == "Hello"
