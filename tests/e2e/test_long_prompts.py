"""A prompt of 20 MB: its row arrives, cut and marked, and the call does not pay for its length again and again."""

from __future__ import annotations

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

SECRET = "QuerySecret123"
PROGRAM = f"""
import os, time
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="opaque-key-99", max_retries=0)
words = "the quick brown fox; it costs 12.50 euro, jumps over opaque-key-99 https://h/?api_key={SECRET} "
text = "begin " + words * (20_000_000 // len(words)) + " end"
def ask(content):
    began = time.thread_time()
    client.chat.completions.create(model="m", max_tokens=8, messages=[{{"role": "user", "content": content}}])
    return time.thread_time() - began
ask("short")
print(ask(text))
"""


def test_the_row_of_a_long_prompt(tmp_path, openobserve):
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:
        env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url})
        bare = harness.run_ok(PROGRAM, door=None, env=env, cwd=tmp_path)
        done = harness.run_ok(PROGRAM, door="pythonpath", env={**env, **openobserve.environment}, cwd=tmp_path)
    rows = openobserve.wait_for_rows(2)
    (row,) = [row for row in rows if "hf_outbox_cut_bytes" in row]
    assert row["span_status"] == "OK"
    assert row["gen_ai_usage_total_tokens"] == 15
    assert int(row["hf_outbox_cut_bytes"]) > 2 * 18_000_000
    sent = b"".join(
        request.message.SerializeToString() for request in openobserve.requests if request.message is not None
    )
    assert b"characters cut by hf-openobserve ...] " in sent
    assert b"begin the quick" in sent
    assert b" end" in sent
    assert b"Secret123" not in sent
    assert b"opaque-key" not in sent
    # Half a second on an idle machine; a busy one is as slow for the client alone.
    assert float(done.stdout) < 0.5 + 4 * float(bare.stdout)
