"""A traced server in front of llama.cpp joins the trace of the call: slow model or slow network, seen in one trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import harness

PROXY = """
import os
import fastapi, httpx, uvicorn
from fastapi.responses import StreamingResponse

app = fastapi.FastAPI()
behind = httpx.AsyncClient(base_url=os.environ["LLAMA"], timeout=60)

@app.get("/health")
def health():
    return {}

@app.post("/v1/{path:path}")
async def forward(path: str, request: fastapi.Request):
    headers = {"content-type": "application/json"}
    sent = behind.build_request("POST", "/" + path, content=await request.body(), headers=headers)
    answer = await behind.send(sent, stream=True)
    kept = {"content-type": answer.headers["content-type"]}
    return StreamingResponse(answer.aiter_raw(), answer.status_code, headers=kept)

uvicorn.run(app, port=int(os.environ["PORT"]), log_level="warning")
"""

PROGRAM = """
import os
import openai, huggingface_hub
url, ask = os.environ["ROUTER"], [{"role": "user", "content": "Hi"}]
client = openai.OpenAI(base_url=url, api_key="x")
client.chat.completions.create(model="tiny", messages=ask, max_tokens=3)
for _ in client.chat.completions.create(model="tiny", messages=ask, max_tokens=3, stream=True):
    pass
huggingface_hub.InferenceClient(base_url=url, api_key="x").chat_completion(ask, model="org/tiny", max_tokens=3)
"""


@pytest.fixture
def proxy(llama, tmp_path, openobserve):
    """Its URL: FastAPI under the agent's wrapper, which instruments FastAPI, with health checks left out."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {"LLAMA": llama.url, "PORT": port, "OTEL_SERVICE_NAME": "proxy"}
    own["OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"] = "health"
    (tmp_path / "proxy").mkdir()
    env = harness.through("wrapper", harness.environment(tmp_path / "proxy", openobserve.environment, own))
    command = harness.command("wrapper", sys.executable, ["-c", PROXY])
    process = subprocess.Popen(command, env=env, cwd=tmp_path)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.skipif("HF_OPENOBSERVE_COEXISTENCE" not in os.environ, reason="in nox's session of that name alone")
def test_the_servers_spans_join_the_trace_of_the_call(proxy, tmp_path, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"ROUTER": proxy, "OTEL_SERVICE_NAME": "caller"})
    harness.run_ok(PROGRAM, door="pythonpath", env=env, cwd=tmp_path)
    until, served = time.monotonic() + 30, []
    while time.monotonic() < until and len(served) < 3:
        rows = openobserve.rows(timeout=2)
        served = [row for row in rows if row["service_name"] == "proxy" and row["span_kind"] == "2"]
    calls = {row["span_id"]: row for row in rows if row["service_name"] == "caller"}
    assert len(calls) == len(served) == 3
    for row in served:
        call = calls[row["reference_parent_span_id"]]
        assert row["trace_id"] == call["trace_id"]
        assert call["hf_endpoint_kind"] == "local"
        assert call["start_time"] <= row["start_time"] <= call["end_time"], "how long the network took is seen"
