"""Who was asked, who answered and after how many tries, in the row of a call of openai's client."""

from __future__ import annotations

import json

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from stream_endpoint import CREDITS, StreamEndpoint

pytestmark = pytest.mark.matrix

PROGRAM = """
import asyncio, os
import openai
url = os.environ["HF_BASE_URL"]
headers = {"X-HF-Bill-To": "my-org"}
messages = [{"role": "user", "content": "Hi"}]
models = ("org/plain:fastest", "org/pinned:together", "org/retried-plain", "org/limited", "org/credits:novita")
client = openai.OpenAI(base_url=url, api_key="x", max_retries=2, default_headers=headers)
for model in models:
    try:
        retried = client.with_options(max_retries=0) if "limited" in model else client
        print(retried.chat.completions.create(model=model, messages=messages).id)
    except openai.APIStatusError as error:
        print(type(error).__name__, error, error.body)
answer = client.chat.completions.with_raw_response.create(model="org/raw", messages=messages)
print(answer.headers["x-inference-provider"], answer.parse().id, answer.retries_taken)
elsewhere = url.replace("127.0.0.1", "localhost") + "/chat/completions"
nowhere = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=2)
body = {"model": "org/retried-elsewhere", "messages": messages}
print(nowhere.post(elsewhere, body=body, cast_to=object)["id"])
async def main():
    async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=2) as aclient:
        print((await aclient.chat.completions.create(model="org/retried-async", messages=messages)).id)
        stream = await aclient.chat.completions.create(model="org/retried-stream", messages=messages, stream=True)
        print([chunk.choices[0].delta.content async for chunk in stream])
asyncio.run(main())
try:
    openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=1).chat.completions.create(
        model="org/nobody", messages=messages)
except openai.APIConnectionError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("routing")
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"per_million_tokens": {"org/plain": {"together": {"input": 1, "output": 2}}}}))
    with StreamEndpoint() as endpoint, FakeOpenObserve() as server:
        more = {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_PRICES": str(prices)}
        env = harness.environment(tmp_path, server.environment, more)
        bare = harness.run(PROGRAM, door=None, env=env, cwd=tmp_path)
        endpoint.reset()
        done = harness.run(PROGRAM, door="wrapper", env=env, cwd=tmp_path)
        assert (done.stdout.splitlines(), done.stderr) == (bare.stdout.splitlines(), bare.stderr)
        assert done.returncode == bare.returncode == 0
        found = server.wait_for_rows(10)
        assert len(found) == 10
        yield {row["llm_request_parameters_model"].split("/")[1].partition(":")[0]: row for row in found}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (
            "plain",
            {
                "hf_model_base": "org/plain",
                "hf_model_policy": "fastest",
                "hf_provider_served": "together",
                "hf_request_id": "Root=1-200",
                "hf_inference_id": "0-1",
                "hf_bill_to": "my-org",
                "hf_endpoint_kind": "local",
                "gen_ai_provider_name": "huggingface",
                "server_address": "127.0.0.1",
            },
        ),
        ("pinned", {"hf_model_base": "org/pinned", "hf_provider_requested": "together"}),
        ("raw", {"hf_provider_served": "together", "hf_request_id": "Root=1-200"}),
        (
            "credits",
            {
                "hf_provider_requested": "novita",
                "hf_provider_served": "novita",
                "hf_request_id": "Root=1-402",
                "hf_error_kind": "credits_exhausted",
                "http_response_status_code": "402",
                "error_type": "openai.APIStatusError",
                "span_status": "ERROR",
            },
        ),
        (
            "limited",
            {
                "hf_retry_after": "3",
                "hf_ratelimit_limit_requests": "60",
                "hf_error_kind": "rate_limited",
                "http_response_status_code": "429",
            },
        ),
        (
            "retried-elsewhere",
            {"server_address": "localhost", "http_request_resend_count": "2", "hf_provider_served": "together"},
        ),
        ("nobody", {"hf_error_kind": "connection", "http_request_resend_count": "1", "span_status": "ERROR"}),
    ],
)
def test_who_was_asked_and_who_answered(rows, label, expected):
    assert {name: rows[label].get(name) for name in expected} == expected


def test_what_it_cost_by_who_answered(rows):
    row = rows["plain"]
    expected = (row["gen_ai_usage_input_tokens"] + 2 * row["gen_ai_usage_output_tokens"]) / 1e6
    assert row["gen_ai_usage_cost"] == pytest.approx(expected) != 0
    assert (row["gen_ai_usage_cost_source"], row["gen_ai_usage_cost_currency"]) == ("local", "USD")
    assert "gen_ai_usage_cost_source" not in rows["pinned"], "nobody knows its price"


def test_the_servers_sentence_is_the_status_message(rows):
    assert CREDITS in rows["credits"]["status_message"]
    assert "Error code" not in rows["credits"]["status_message"]


@pytest.mark.parametrize("label", ["retried-plain", "retried-async", "retried-stream"])
def test_retries_are_counted_and_each_is_an_event(rows, label):
    row = rows[label]
    assert row["span_status"] == "OK"
    assert row["http_request_resend_count"] == "2"
    retries = [event for event in json.loads(row["events"]) if event["name"] == "hf.retry"]
    assert [str(event["http.response.status_code"]) for event in retries] == ["429", "503"]
    assert [float(event["hf.retry_after"]) for event in retries] == [1, 1], "which the client may know better"
    assert all(float(event["hf.retry.wait"]) > 0 for event in retries)
    whole = row["duration"] / 1e6
    waited = sum(float(event["hf.retry.wait"]) for event in retries)
    assert 0 < float(row["hf_last_attempt_duration"]) < whole - waited + 0.001


@pytest.mark.parametrize("label", ["plain", "raw", "credits", "limited"])
def test_a_call_that_was_not_retried_says_nothing_of_it(rows, label):
    assert not {"http_request_resend_count", "hf_last_attempt_duration"} & set(rows[label])
    assert "hf.retry" not in rows[label]["events"]
