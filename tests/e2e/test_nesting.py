"""One call is one LLM row where a framework's own LLM span is around it, for both clients and streams left early."""

from __future__ import annotations

import pytest

import harness
from router import ScriptedRouter

FRAMEWORK = """
import os, sys
from opentelemetry import trace

client_library = sys.argv[1]
tracer = trace.get_tracer("a.framework")
MESSAGES = [{"role": "user", "content": "Hi"}]

if client_library == "openai":
    import openai
    client = openai.OpenAI(base_url=os.environ["ROUTER"], api_key="hf_x", max_retries=0)
    create = client.chat.completions.create
else:
    import huggingface_hub
    create = huggingface_hub.InferenceClient(base_url=os.environ["ROUTER"]).chat.completions.create

def call(model="scripted/plain", **options):
    return create(model=model, messages=MESSAGES, **options)

def says(span):
    span.set_attribute("llm.token_count.prompt", 11)
    span.set_attribute("llm.token_count.completion", 4)
    span.set_attribute("llm.cost.total", 0.5)

def current():
    with tracer.start_as_current_span("current", attributes={"openinference.span.kind": "LLM"}) as span:
        with tracer.start_as_current_span("step"):
            call()
        says(span)

def not_current():
    span = tracer.start_span("not_current", attributes={"openinference.span.kind": "LLM"})
    call()
    says(span)
    span.end()

def left_early():
    with tracer.start_as_current_span("left_early", attributes={"gen_ai.operation.name": "chat"}):
        stream = call("scripted/long", stream=True)
        next(iter(stream))
    stream.close()

def refused():
    try:
        with tracer.start_as_current_span("refused", attributes={"openinference.span.kind": "LLM"}):
            call("scripted/no-credits")
    except Exception as error:
        print(type(error).__name__)

def refused_beside():
    # As LangChain does it: the span is no parent of the call's.
    span = tracer.start_span("refused_beside", attributes={"openinference.span.kind": "LLM"})
    try:
        call("scripted/no-credits")
    except Exception as error:
        span.record_exception(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, str(error)))
    span.end()

def another():
    call()
    with tracer.start_as_current_span("another", attributes={"openinference.span.kind": "LLM"}) as span:
        says(span)

for way in (current, not_current, left_early, refused, refused_beside, another):
    way()
"""


WAYS = ("current", "not_current", "left_early", "refused", "refused_beside")


@pytest.fixture(scope="module")
def router():
    with ScriptedRouter() as running:
        yield running


@pytest.mark.parametrize("library", ["openai", "huggingface_hub"])
def test_the_outer_span_is_a_chain(library, router, tmp_path, openobserve):
    """Under the wrapper command: there a framework's spans come to us too."""
    script = tmp_path / "program.py"
    script.write_text(FRAMEWORK, encoding="utf-8")
    env = harness.environment(tmp_path, router.environment, openobserve.environment, {"ROUTER": router.by_name})
    harness.run_ok([str(script), library], door="wrapper", env=env, cwd=tmp_path)
    rows = openobserve.wait_for_rows(13)
    calls = [row for row in rows if row["operation_name"] == "ChatCompletion"]
    assert [(row["openinference_span_kind"], row["gen_ai_operation_name"]) for row in calls] == [("LLM", "chat")] * 6
    assert sorted(row["span_status"] for row in calls) == ["ERROR", "ERROR", "OK", "OK", "OK", "OK"]
    by_name = {row["operation_name"]: row for row in rows}
    assert set(by_name) == {*WAYS, "another", "step", "ChatCompletion"}
    for way in WAYS:
        outer = by_name[way]
        assert outer["openinference_span_kind"] == "CHAIN"
        counts = ("llm_token_count", "llm_usage", "llm_cost", "gen_ai_usage", "gen_ai_operation")
        assert not [name for name in outer if name.startswith(counts)], "to the server it is no call of a model"
    # A model that no client of ours calls: its tokens are counted nowhere else.
    assert by_name["another"]["openinference_span_kind"] == "LLM"
    assert by_name["another"]["llm_token_count_prompt"] == "11"
