"""Failed calls beside a good one on a fresh stream: the queries people write work at once."""

from __future__ import annotations

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

CREDITS = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers."
)
PROGRAM = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
for word in ("fine", "402", "429"):
    try:
        client.chat.completions.create(
            model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": word}], max_tokens=8)
    except openai.APIStatusError as error:
        print(error.status_code)
"""


def answer(_path, body):
    word = body["messages"][0]["content"]
    if word == "402":
        return Reply(402, {"error": CREDITS})
    if word == "429":
        return Reply(429, {"error": {"message": "Too many requests.", "type": "rate_limit"}}, {"retry-after": "3"})
    return Reply(body=chat_body())


def test_one_success_one_402_one_429(tmp_path, openobserve, door):
    with ScriptedEndpoint(answer) as endpoint:
        env = harness.environment(
            tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"}
        )
        done = harness.run_ok(PROGRAM, door=door, env=env, cwd=tmp_path)
    assert done.stdout == "402\n429\n"
    openobserve.wait_for_rows(3)
    assert len(openobserve.sql(f'SELECT {", ".join(harness.PROMISED)} FROM "default"')) == 3
    counted = openobserve.sql(
        'SELECT llm_request_parameters_model AS model, count(*) AS calls FROM "default" GROUP BY model'
    )
    assert counted == [{"model": "meta-llama/Llama-3.1-8B-Instruct", "calls": 3}]
    failed = openobserve.sql(
        "SELECT http_response_status_code AS status, error_type, SUM(CAST(llm_token_count_total AS BIGINT)) AS tokens "
        "FROM \"default\" WHERE span_status = 'ERROR' GROUP BY status, error_type ORDER BY status"
    )
    assert failed == [
        {"status": "402", "error_type": "openai.APIStatusError", "tokens": 0},
        {"status": "429", "error_type": "openai.RateLimitError", "tokens": 0},
    ], "gen_ai_usage_* would add what the server estimates"
    (total,) = openobserve.sql('SELECT SUM(CAST(llm_token_count_total AS BIGINT)) AS tokens FROM "default"')
    assert total == {"tokens": 15}
