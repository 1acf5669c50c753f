"""The APIs of OpenAI's beside the chat: what a row of each is called, and whose tokens it has."""

from __future__ import annotations

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

pytestmark = pytest.mark.matrix

PROGRAM = """
import os, openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0)
print(client.images.generate(model="image", prompt="a cat", response_format="b64_json").data[0].b64_json)
print(len(client.audio.speech.create(model="speech", input="hello", voice="alloy").content))
print(client.moderations.create(model="moderation", input="hello").results[0].flagged)
print(client.completions.create(model="completion", prompt="hello").choices[0].text)
print(len(client.embeddings.create(model="embedding", input="hello").data))
begun = client.responses.create(model="background", input="hello", background=True)
for _ in range(3):
    print(client.responses.retrieve(begun.id).status)
print(client.responses.retrieve("resp_of_somebody_else").status)
"""
USAGE = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


def response(status, **members):
    body = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "resolved", "output": []}
    return Reply(body={**body, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], **members})


def answer(path, body):
    name = path.rpartition("/v1/")[2]
    if name == "images/generations":
        return Reply(body={"created": 1, "data": [{"b64_json": "aGVsbG8="}], "usage": USAGE})
    if name == "audio/speech":
        return Reply(body={"not": "json in truth"})
    if name == "moderations":
        result = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
        return Reply(body={"id": "modr-1", "model": "resolved", "results": [result]})
    if name == "completions":
        choice = {"index": 0, "text": "there", "finish_reason": "stop"}
        return Reply(body={**chat_body(), "object": "text_completion", "choices": [choice]})
    if name == "embeddings":
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return Reply(body={"object": "list", "model": "resolved", "data": data, "usage": usage})
    if name == "responses":
        return response("queued")
    return Reply(404, {"error": "no such path"})


class Background(ScriptedEndpoint):
    """Answers a background response at the second time that it is asked for."""

    def __init__(self):
        super().__init__(answer)
        self.asked = 0

    def retrieved(self, path):
        if "somebody" in path:
            return response("completed", id="resp_of_somebody_else", usage=USAGE)
        self.asked += 1
        if self.asked % 3 == 1:
            return response("in_progress")
        part = {"type": "output_text", "text": "There.", "annotations": []}
        item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
        return response("completed", usage=USAGE, output=[item])


def test_each_api_is_called_by_its_name(door, tmp_path, openobserve):
    with Background() as endpoint:
        env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url})
        bare = harness.run_ok(PROGRAM, door=None, env=env, cwd=tmp_path)
        assert harness.run_ok(PROGRAM, door=door, env=env, cwd=tmp_path) == bare
    rows = openobserve.wait_for_rows(7)
    told = {
        (row["llm_request_parameters_model"], row["operation_name"]): (
            row["llm_observation_type"],
            row["openinference_span_kind"],
            int(row.get("llm_token_count_total", -1)),
        )
        for row in rows
        if row["operation_name"] != "Response"
    }
    assert told == {
        ("image", "ImageGeneration"): ("GENERATION", "LLM", 7),
        ("speech", "Speech"): ("GENERATION", "LLM", -1),
        ("moderation", "Moderation"): ("GUARDRAIL", "GUARDRAIL", -1),
        ("completion", "Completion"): ("GENERATION", "LLM", 15),
        ("embedding", "CreateEmbeddings"): ("EMBEDDING", "EMBEDDING", 3),
    }
    assert len(rows) == 7, "a response that is at work, or was got before, has no row"
    assert {row["llm_request_parameters_model"] for row in rows if row["operation_name"] == "Response"} == {
        "background"
    }
    tokens = sorted(int(row.get("llm_token_count_total", 0)) for row in rows if row["operation_name"] == "Response")
    assert tokens == [0, 7]
