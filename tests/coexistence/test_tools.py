"""Tools that see the same calls: each does what it does without the agent, and one call is one row of a model.

``nox -s coexistence`` has them all, and OpenObserve's SDK 0.2.0; `make test` those whose packages it has anyway.
"""

from __future__ import annotations

import pytest

import harness
from router import ScriptedRouter

ASK = """
import os
MESSAGES = [{"role": "user", "content": "Hi"}]

def openai_client():
    import openai
    return openai.OpenAI(base_url=os.environ["ROUTER"], api_key="hf_x", max_retries=0)

def hub_client():
    import huggingface_hub
    return huggingface_hub.InferenceClient(base_url=os.environ["ROUTER"], api_key="hf_x")

def ask(client, **options):
    return client.chat.completions.create(model="scripted/plain", messages=MESSAGES, **options)
"""

ANNOUNCED = (
    ASK
    + """
from opentelemetry.util.genai.handler import get_telemetry_handler

for client in (openai_client(), hub_client()):
    with get_telemetry_handler().inference("huggingface", request_model="scripted/plain") as inference:
        for chunk in ask(client, stream=True):
            pass
        inference.input_tokens, inference.output_tokens = 11, 4
"""
)

BENEATH = (
    ASK
    + """
import httpx, huggingface_hub
from opentelemetry.util.genai.handler import get_telemetry_handler

def also_recorded(request):
    with get_telemetry_handler().inference("huggingface", request_model="scripted/plain"):
        print("beneath")

huggingface_hub.set_client_factory(lambda: httpx.Client(event_hooks={"request": [also_recorded]}))
ask(hub_client())
"""
)

SENTRY = (
    ASK
    + """
import sentry_sdk
from sentry_sdk.transport import Transport

class Printing(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "span":
                for span in item.payload.json["items"]:
                    print(span["name"], sorted(span["attributes"]))

sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", traces_sample_rate=1.0, transport=Printing, send_default_pii=True)
with sentry_sdk.start_transaction(name="work"):
    for client in (openai_client(), hub_client()):
        print(ask(client).choices[0].message.content)
        print("".join(chunk.choices[0].delta.content or "" for chunk in ask(client, stream=True) if chunk.choices))
sentry_sdk.flush()
"""
)


@pytest.fixture(scope="module")
def router():
    with ScriptedRouter() as running:
        yield running


@pytest.fixture
def env(tmp_path, router, openobserve):
    return harness.environment(tmp_path, router.environment, openobserve.environment, {"ROUTER": router.by_name})


def of_models(rows):
    return [row for row in rows if row.get("gen_ai_operation_name") == "chat"]


def test_an_announced_inference_around_calls_is_no_row_of_a_model(env, tmp_path, openobserve):
    pytest.importorskip("opentelemetry.util.genai")
    harness.run_ok(ANNOUNCED, door="wrapper", env=env, cwd=tmp_path)
    rows = openobserve.wait_for_rows(4)
    assert sorted(row["openinference_span_kind"] for row in rows) == ["CHAIN", "CHAIN", "LLM", "LLM"]
    assert len(of_models(rows)) == 2
    assert all(row["hf_endpoint_kind"] for row in of_models(rows)), "ours know more"


def test_a_call_is_announced_to_what_is_beneath(env, tmp_path, openobserve):
    pytest.importorskip("opentelemetry.util.genai")
    bare = harness.run_ok(BENEATH, door=None, env=env, cwd=tmp_path)
    done = harness.run_ok(BENEATH, door="wrapper", env=env, cwd=tmp_path)
    assert done.stdout == bare.stdout != ""
    assert len(openobserve.wait_for_rows(1)) == 1


@pytest.mark.parametrize("door", harness.DOORS)
def test_sentry_sees_what_it_sees_without_the_agent(env, tmp_path, openobserve, door):
    pytest.importorskip("sentry_sdk")
    bare = harness.run_ok(SENTRY, door=None, env=env, cwd=tmp_path)
    done = harness.run_ok(SENTRY, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (bare.stdout, bare.stderr)
    assert "gen_ai" in bare.stdout, "Sentry records the calls"
    assert len(of_models(openobserve.wait_for_rows(4))) == 4
