"""Whose call it was, in the rows of both clients: from baggage, and from the request itself."""

from __future__ import annotations

import harness
from fakes.openobserve import FakeOpenObserve
from stream_endpoint import StreamEndpoint

PROGRAM = """
import os
import huggingface_hub, openai
from opentelemetry import baggage, context
url = os.environ["HF_BASE_URL"]
messages = [{"role": "user", "content": "Hi"}]
client = openai.OpenAI(base_url=url, api_key="x")
hub = huggingface_hub.InferenceClient(base_url=url, api_key="x")
client.chat.completions.create(model="org/request", messages=messages, user="asked", metadata={"session_id": "said"})
for key, value in (("session.id", "s"), ("user.id", "u"), ("tenant", "t"), ("unnamed", "x")):
    context.attach(baggage.set_baggage(key, value))
client.chat.completions.create(model="org/openai", messages=messages, user="asked")
hub.chat_completion(messages, model="org/hub")
"""


def test_session_user_and_agent_without_code(tmp_path):
    with StreamEndpoint() as endpoint, FakeOpenObserve() as server:
        env = {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_BAGGAGE": "tenant", "OPENOBSERVE_AGENT_NAME": "mine"}
        env = harness.environment(tmp_path, server.environment, env)
        harness.run_ok(PROGRAM, door="wrapper", env=env, cwd=tmp_path)
        rows = server.wait_for_rows(3)
    names = ("session_id", "gen_ai_conversation_id", "user_id", "tenant", "gen_ai_agent_name")
    found = {tuple(row.get(name) for name in names) for row in rows if "unnamed" not in row}
    carried = ("s", "s", "u", "t", "mine")
    assert found == {("said", "said", "asked", None, "mine"), carried}
    assert len(rows) == 3
