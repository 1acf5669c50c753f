"""The frameworks that call Hugging Face through its clients: one call is one LLM row, beside their instrumentors too.

They need packages that the main environment lacks, which is why ``make test`` leaves them out; ``nox -s frameworks``
installs ``requirements.txt`` and runs them, and there a missing package is a failure.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from pathlib import Path
from typing import NamedTuple, Tuple

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from router import ScriptedRouter

if not os.environ.get("HF_OPENOBSERVE_FRAMEWORKS"):
    pytest.skip("the frameworks are not in this environment: nox -s frameworks installs them", allow_module_level=True)

PROGRAMS = Path(__file__).parent / "programs"
QUESTION = "Tell me about the sea."
WARNING = re.compile(r"^\S*/openinference/instrumentation/\S*: LangChainDeprecationWarning: .*\n.*\n", re.MULTILINE)
"""What LangChain's instrumentor makes LangChain say, with the agent and without."""


class Framework(NamedTuple):
    """``loaded``: the wrapper command finds its instrumentor. ``uncounted``: streams that nobody reads to their end.

    Whether the usage of such a stream has come by then, in one piece with what was read, is the network's affair.
    """

    program: str
    package: str
    loaded: bool
    uncounted: int
    spans: Tuple[str, ...]
    """Names of its instrumentor's spans, some of which call themselves LLM."""


FRAMEWORKS = (
    Framework(
        "use_smolagents",
        "smolagents",
        loaded=True,
        uncounted=2,
        spans=("InferenceClientModel.generate", "InferenceClientModel.generate_stream", "OpenAIModel.generate"),
    ),
    Framework("use_langchain", "langchain-huggingface", loaded=True, uncounted=1, spans=("ChatHuggingFace",)),
    Framework(
        "use_pydantic_ai",
        "pydantic-ai-slim",
        loaded=False,  # it is built in, and switched on by the program
        uncounted=0,
        spans=("chat meta-llama/Llama-3.1-8B-Instruct", "chat scripted/no-credits"),
    ),
    Framework(
        "use_llama_index",
        "llama-index-llms-huggingface-api",
        loaded=False,  # the loader asks for a second package that nothing here uses
        uncounted=1,  # its asynchronous stream stops before the chunk that has the usage
        spans=("HuggingFaceInferenceAPI.chat", "HuggingFaceInferenceAPI.achat"),
    ),
)


def named(framework):
    return f"{framework.package}-{importlib.metadata.version(framework.package)}"


@pytest.fixture(scope="module")
def router(llama):
    with ScriptedRouter(llama.url) as running:
        yield running


def run(framework, door, settings, router, tmp_path):
    env = harness.environment(tmp_path, router.environment, settings)
    router.reset()
    done = harness.run([str(PROGRAMS / f"{framework.program}.py")], door=door, env=env, cwd=tmp_path)
    calls = [(call.path, without_options(call.body)) for call in router.calls if call.method == "POST"]
    return done, sorted(calls, key=json.dumps)


def without_options(body):
    return {name: value for name, value in body.items() if name != "stream_options"}


@pytest.mark.timeout(600)  # three whole programs, of libraries that are slow to import
@pytest.mark.parametrize("framework", FRAMEWORKS, ids=named)
def test_one_call_is_one_llm_row(framework, router, tmp_path):
    """Through both doors, which share the bare run.

    Through PYTHONPATH the spans of the framework's instrumentor go nowhere, as without us: the global provider is not
    ours.
    """
    bare, calls = run(framework, None, {}, router, tmp_path)
    assert bare.returncode == 0, bare.stderr
    for door in harness.DOORS:
        settings = {} if framework.loaded and door == "wrapper" else {"INSTRUMENT": "1"}
        with FakeOpenObserve() as server:
            done, same_calls = run(framework, door, {**settings, **server.environment}, router, tmp_path)
            assert done._replace(stderr=WARNING.sub("", done.stderr)) == bare, door
            assert same_calls == calls, door
            rows = server.wait_for_rows(len(calls))
        instrumented = [row for row in rows if row["operation_name"] in framework.spans]
        assert bool(instrumented) is (door == "wrapper")
        assert len(llm_rows(rows)) == len(calls), door
        check_calls(llm_rows(rows), framework)
        check_others([row for row in rows if row not in llm_rows(rows)], instrumented)


def llm_rows(rows):
    return [row for row in rows if row.get("openinference_span_kind") == "LLM"]


def check_calls(rows, framework):
    """Model, messages and tokens of each call."""
    assert {row["operation_name"] for row in rows} == {"ChatCompletion"}
    asked = {row["llm_request_parameters_model"] for row in rows}
    assert {"meta-llama/Llama-3.1-8B-Instruct", "scripted/no-credits"} <= asked
    for row in rows:
        assert "sea" in json.dumps(json.loads(row["gen_ai_input_messages"]))
        if row["span_status"] == "OK":
            assert row["llm_model_name"] in ("tiny-random-llama", "final-answer")
            assert json.loads(row["gen_ai_output_messages"])[0]["role"] == "assistant"
        else:
            assert row["http_response_status_code"] == "402"
    answered = [row for row in rows if row["span_status"] == "OK"]
    counted = [row for row in answered if int(row.get("llm_token_count_prompt", 0)) > 0]
    assert len(answered) - len(counted) <= framework.uncounted
    for row in counted:
        assert int(row["llm_token_count_total"]) == row["gen_ai_usage_total_tokens"]


def check_others(rows, instrumented):
    """Tokens stand on the calls alone, and what called itself one is a chain."""
    for row in rows:
        assert not [name for name in row if name.startswith(("llm_token_count", "llm_usage", "llm_cost"))], row
        assert row.get("gen_ai_usage_total_tokens", 0) == row.get("gen_ai_usage_cost", 0) == 0
    for row in instrumented:
        assert row["openinference_span_kind"] == "CHAIN"
        assert row.get("gen_ai_operation_name", "chain") == "chain"
        assert row.get("llm_observation_type") is None


OWN_EXPORTER = """
import sys
sys.path.insert(0, {programs!r})
import by_name
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))

from openinference.instrumentation.smolagents import SmolagentsInstrumentor

SmolagentsInstrumentor().uninstrument()  # what the wrapper command has loaded
SmolagentsInstrumentor().instrument(tracer_provider=provider)

from smolagents import InferenceClientModel

model = InferenceClientModel(model_id=by_name.MODEL, provider=by_name.PROVIDER, max_tokens=8)
model.generate([{{"role": "user", "content": [{{"type": "text", "text": {question!r}}}]}}])
for span in exporter.get_finished_spans():
    attributes = sorted(span.attributes.items())
    print(span.name, [(name, value) for name, value in attributes if "token" in name or "kind" in name])
"""


@pytest.mark.parametrize("door", harness.DOORS)
def test_an_application_s_own_exporter_receives_the_span_as_it_was(door, router, tmp_path, openobserve):
    program = OWN_EXPORTER.format(programs=str(PROGRAMS), question=QUESTION)
    env = harness.environment(tmp_path, router.environment, openobserve.environment)
    bare = harness.run(program, door=None, env=env, cwd=tmp_path)
    assert "LLM" in bare.stdout, bare.stderr
    done = harness.run(program, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.returncode) == (bare.stdout, bare.returncode)
    (row,) = llm_rows(openobserve.wait_for_rows(1))
    assert row["operation_name"] == "ChatCompletion"
