"""A server that reads its requests' trace has its spans in the call's trace, and the program sees nothing of it."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import harness
from fakes.openobserve import FakeOpenObserve
from scripted import Reply, ScriptedEndpoint, chat_body

pytest.importorskip("httpx2")  # with an older huggingface_hub the synchronous client is built on requests

PROGRAM = """
import asyncio, os
import huggingface_hub, openai
url, messages = os.environ["HF_BASE_URL"], [{"role": "user", "content": "Hi"}]
client = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
raw = client.chat.completions.with_raw_response.create(model="org/openai", messages=messages)
print(sorted(raw.http_request.headers))
for _ in client.chat.completions.create(model="org/stream", messages=messages, stream=True): pass
huggingface_hub.InferenceClient(base_url=url, api_key="x").chat_completion(messages, model="org/hub")
try:
    huggingface_hub.InferenceClient(base_url=url, api_key="x").chat_completion(messages, model="org/error")
except huggingface_hub.errors.HfHubHTTPError as error:
    print(sorted(error.response.request.headers))
try:
    client.chat.completions.create(model="org/error", messages=messages)
except openai.APIStatusError as error:
    print(sorted(error.response.request.headers), sorted(error.request.headers))
async def main():
    async with huggingface_hub.AsyncInferenceClient(base_url=url, api_key="x") as hub:
        await hub.chat_completion(messages, model="org/async-hub")
    await openai.AsyncOpenAI(base_url=url, api_key="x").chat.completions.create(model="org/async", messages=messages)
asyncio.run(main())
own = {"traceparent": "00-" + "c" * 32 + "-" + "d" * 16 + "-01"}
client.chat.completions.create(model="org/own", messages=messages, extra_headers=own)
"""
CALLS = ("openai", "stream", "hub", "error", "error", "async-hub", "async", "own")


def answer(_path, body):
    if body["model"] == "org/error":
        return Reply(400, {"error": "No."})
    if body.get("stream"):
        delta = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
        return Reply(events=[{**chat_body(), "object": "chat.completion.chunk", "choices": [delta]}, "[DONE]"])
    return Reply(body=chat_body())


@pytest.mark.parametrize("door", harness.DOORS)
def test_the_servers_spans_join_the_trace(door, tmp_path):
    with ScriptedEndpoint(answer) as endpoint, FakeOpenObserve() as server:
        env = harness.environment(tmp_path, server.environment, {"HF_BASE_URL": endpoint.url})
        bare = harness.run(PROGRAM, door=None, env=env, cwd=tmp_path)
        assert bare.returncode == 0, bare.stderr
        without = list(endpoint.calls)
        endpoint.calls.clear()
        assert harness.run(PROGRAM, door=door, env=env, cwd=tmp_path) == bare
        rows = server.wait_for_rows(len(CALLS))
    told = []
    for (_, before, _), (_, sent, body) in zip(without, endpoint.calls):
        headers = {name.lower(): value for name, value in sent.items()}
        if body["model"] != "org/own":
            assert "traceparent" not in map(str.lower, before)
            span = trace.get_current_span(TraceContextTextMapPropagator().extract(headers)).get_span_context()
            told.append((f"{span.trace_id:032x}", f"{span.span_id:016x}", body["model"]))
            del headers["traceparent"]
        assert set(headers) == set(map(str.lower, before))
        assert body["model"] != "org/own" or headers["traceparent"].startswith("00-cccc")
    expected = [(row["trace_id"], row["span_id"], row["gen_ai_request_model"]) for row in rows]
    assert sorted(told) == sorted(row for row in expected if row[2] != "org/own")
    assert tuple(body["model"].partition("/")[2] for _, _, body in endpoint.calls) == CALLS


def test_a_call_that_is_not_recorded_tells_nothing(tmp_path):
    with ScriptedEndpoint(answer) as endpoint, FakeOpenObserve() as server:
        settings = {"HF_BASE_URL": endpoint.url, "OTEL_TRACES_SAMPLER": "always_off", "OPENOBSERVE_HF_METRICS": "auto"}
        env = harness.environment(tmp_path, server.environment, settings)
        harness.run_ok(PROGRAM, door="pythonpath", env=env, cwd=tmp_path)
    told = [body["model"] for _, sent, body in endpoint.calls if "traceparent" in map(str.lower, sent)]
    assert told == ["org/own"]
    assert len(endpoint.calls) == len(CALLS)
