"""Programs with tracing of their own: their exporters receive what they would have, and one call is one row."""

from __future__ import annotations

import json

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

pytestmark = pytest.mark.matrix

CALL = """
import os, sys
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
def call(label="x"):
    return client.chat.completions.create(
        model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi " + label}], max_tokens=8
    )
"""

OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
def received():
    return [(span.name, span.kind.name, sorted(span.attributes), span.status.status_code.name)
            for span in exporter.get_finished_spans()]
"""


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as scripted:
        yield scripted


_bare = {}
"""What each program did without the agent, unless it told a server of its own."""


@pytest.fixture(params=harness.DOORS)
def both(request, tmp_path, endpoint, openobserve):
    """Run a program bare and through a door; the door's run says what the bare one said. Returns the door's rows."""

    def compare(program, rows, same_stdout=True, env=None):
        environment = harness.environment(
            tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"}, env or {}
        )
        bare_environment = {k: v for k, v in environment.items() if not k.startswith("OPENOBSERVE_")}
        bare = None if env else _bare.get(program)
        if bare is None:
            bare = _bare[program] = harness.run(program, door=None, env=bare_environment, cwd=tmp_path)
        assert bare.returncode == 0, bare.stderr
        done = harness.run(program, door=request.param, env=environment, cwd=tmp_path)
        assert (done.stderr, done.returncode) == (bare.stderr, bare.returncode)
        if same_stdout:
            assert done.stdout == bare.stdout
        return openobserve.wait_for_rows(rows, timeout=15)

    compare.door = request.param
    return compare


def llm_rows(rows):
    return [row for row in rows if row.get("openinference_span_kind") == "LLM"]


def test_a_provider_set_before_the_client(both):
    rows = both(
        OWN_PROVIDER
        + """
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
"""
        + CALL
        + """
with trace.get_tracer("mine").start_as_current_span("work"):
    call()
print(received())
""",
        rows=1,
    )
    assert [row["operation_name"] for row in rows] == ["ChatCompletion"], "its spans go to its exporters, ours to us"
    assert rows[0]["reference_parent_span_id"], "the application's span is the parent: one trace"


def test_a_provider_set_after_the_client_and_after_a_first_call(both):
    rows = both(
        CALL
        + OWN_PROVIDER
        + """
early = trace.get_tracer("early")
call("first")
trace.set_tracer_provider(provider)
assert trace.get_tracer_provider() is provider
with early.start_as_current_span("work"):
    call("second")
with trace.get_tracer("late").start_as_current_span("more"):
    pass
print(received())
""",
        rows=2,
    )
    assert len(llm_rows(rows)) == len(rows) == 2


def test_a_second_set_tracer_provider_warns_as_it_does_without_us(both):
    rows = both(
        OWN_PROVIDER
        + CALL
        + """
trace.set_tracer_provider(provider)
trace.set_tracer_provider(TracerProvider())
assert trace.get_tracer_provider() is provider
call()
""",
        rows=1,
    )
    assert len(rows) == 1


def test_an_application_that_instruments_with_its_own_provider(both):
    """Phoenix style: ``instrument(tracer_provider=p)``; ``p`` gets what it would have got, and so do we."""
    rows = both(
        OWN_PROVIDER
        + """
from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
"""
        + CALL
        + """
with provider.get_tracer("mine").start_as_current_span("work"):
    call()
print(received())
""",
        rows=1,
    )
    (row,) = rows
    assert row["operation_name"] == "ChatCompletion"
    assert row["llm_request_parameters_model"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert row["server_address"] == "127.0.0.1"


def test_an_application_that_instruments_after_its_first_calls(both):
    rows = both(
        CALL
        + OWN_PROVIDER
        + """
from openinference.instrumentation.openai import OpenAIInstrumentor
call("seen by us alone")
print(OpenAIInstrumentor().is_instrumented_by_opentelemetry)
OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
call("seen by both")
print(received())
""",
        rows=2,
    )
    assert len(llm_rows(rows)) == len(rows) == 2


def test_an_application_that_instruments_and_sets_no_provider(both):
    """Without us its spans would go nowhere; with us they are recorded, once."""
    rows = both(
        """
from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(skip_dep_check=True)
"""
        + CALL
        + "call()\n",
        rows=1,
    )
    assert len(rows) == 1


def test_an_application_that_exports_to_the_same_server_itself(both, openobserve, tmp_path):
    """Joining its provider would make two rows of one call."""
    rows = both(
        """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
import os
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(
    endpoint=os.environ["MY_URL"] + "/api/default/v1/traces", headers={"Authorization": os.environ["MY_TOKEN"]})))
from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
"""
        + CALL
        + """
call()
provider.shutdown()
""",
        rows=2,  # the bare run's and the door's
        env={"MY_URL": openobserve.url, "MY_TOKEN": openobserve.auth_token},
    )
    assert len(rows) == 2


@pytest.mark.parametrize("instrument", ["tracer_provider=provider, skip_dep_check=True", "skip_dep_check=True"])
def test_an_application_that_exports_to_the_same_server_once_it_has_instrumented(both, openobserve, instrument):
    """Joined as it instrumented, its provider delivers itself from its second call on."""
    rows = both(
        f"""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from openinference.instrumentation.openai import OpenAIInstrumentor
provider = TracerProvider()
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument({instrument})
"""
        + CALL
        + """
call("seen by us alone")
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(
    endpoint=os.environ["MY_URL"] + "/api/default/v1/traces", headers={"Authorization": os.environ["MY_TOKEN"]})))
call("delivered by itself")
provider.shutdown()
""",
        rows=3,  # the bare run's second call, and both of the door's
        env={"MY_URL": openobserve.url, "MY_TOKEN": openobserve.auth_token},
    )
    said = ["alone" if "seen by us alone" in json.dumps(row) else "itself" for row in rows]
    assert sorted(said) == ["alone", "itself", "itself"]


def test_manual_spans_go_to_openobserve_under_the_wrapper_until_a_provider_is_set(tmp_path, endpoint, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
    program = (
        CALL
        + """
from opentelemetry import trace
tracer = trace.get_tracer("mine")
with tracer.start_as_current_span("work") as span:
    span.set_attribute("a", 1)
    call()
"""
    )
    harness.run_ok(program, door="wrapper", env=env, cwd=tmp_path)
    rows = {row["operation_name"]: row for row in openobserve.wait_for_rows(2)}
    assert rows["ChatCompletion"]["trace_id"] == rows["work"]["trace_id"]
    assert rows["ChatCompletion"]["reference_parent_span_id"] == rows["work"]["span_id"]
    assert not [column for column in rows["work"] if column.startswith(("llm_", "gen_ai_"))], "tokens only on the call"


def test_through_pythonpath_the_global_provider_is_not_touched(tmp_path, endpoint, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
    program = (
        CALL
        + """
from opentelemetry import trace
call()
print(type(trace.get_tracer_provider()).__name__, trace.get_tracer_provider.__module__)
with trace.get_tracer("mine").start_as_current_span("work") as span:
    print(span.is_recording())
"""
    )
    done = harness.run_ok(program, door="pythonpath", env=env, cwd=tmp_path)
    assert done.stdout.split("\n")[:2] == ["ProxyTracerProvider opentelemetry.trace", "False"]
    assert len(openobserve.wait_for_rows(1)) == 1
