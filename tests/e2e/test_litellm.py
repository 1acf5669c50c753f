"""litellm beside others that see its calls: one row of each call, and the rest of its functions.

``nox -s litellm`` runs this with litellm's newest release and one of a year ago.
"""

from __future__ import annotations

import importlib.util

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from scripted import Reply, ScriptedEndpoint, chat_body

pytest.importorskip("litellm", reason="litellm is not installed")

QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
START = """
import os, warnings
warnings.simplefilter("ignore")
{first}
import litellm
base = os.environ["HF_BASE_URL"]
common = dict(api_base=base, api_key="key-of-the-tests-only")
messages = [{{"role": "user", "content": "Say hello"}}]
"""
OPENINFERENCE = """
from {module} import {name}
from opentelemetry.sdk.trace import TracerProvider
{name}().instrument(tracer_provider=TracerProvider())
"""


def answer(path, body):
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        return Reply(body={"object": "list", "model": "served", "data": data, "usage": usage})
    return Reply(body=chat_body("served"))


def rows_of(program, tmp_path, door="pythonpath", first=""):
    with FakeOpenObserve() as server, ScriptedEndpoint(answer) as endpoint:
        env = harness.environment(tmp_path, server.environment, QUIET, {"HF_BASE_URL": endpoint.url})
        done = harness.run(START.format(first=first) + program, door=door, env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return server.rows()


def counted(rows):
    """Rows that count as a call of a model."""
    return [row for row in rows if row["openinference_span_kind"] in ("LLM", "EMBEDDING")]


def test_a_call_that_litellm_gives_to_openai_is_one_row(tmp_path, door):
    program = 'litellm.completion(model="openai/org/one", messages=messages, **common)\n'
    (row,) = rows_of(program, tmp_path, door)
    assert row["llm_request_parameters_model"] == "org/one"
    assert row["llm_token_count_total"] == "15"


def test_embeddings_and_text_are_rows_of_their_own_kind(tmp_path):
    program = """
litellm.embedding(model="openai/org/vectors", input=["a"], **common)
litellm.text_completion(model="huggingface/org/text", prompt="Say", **common)
"""
    kinds = {row["llm_request_parameters_model"]: row for row in rows_of(program, tmp_path)}
    assert kinds["org/vectors"]["operation_name"] == "CreateEmbeddings"
    assert kinds["org/vectors"]["llm_token_count_prompt"] == "5"
    assert kinds["org/text"]["operation_name"] == "Completion"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("openinference.instrumentation.litellm", "LiteLLMInstrumentor"),
        ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    ],
)
def test_an_instrumentor_of_the_applications_makes_no_second_call(tmp_path, module, name):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    program = 'litellm.completion(model="openai/org/one", messages=messages, **common)\n'
    rows = rows_of(program, tmp_path, first=OPENINFERENCE.format(module=module, name=name))
    (row,) = counted(rows)
    assert row["llm_token_count_total"] == "15"
    assert row["hf_endpoint_kind"] == "local"


def test_litellms_own_callback_makes_no_second_call_and_says_what_it_says_without_us(tmp_path, door):
    pytest.importorskip("opentelemetry.sdk", reason="the callback needs it")
    program = """
import time
litellm.callbacks = ["otel"]
litellm.completion(model="openai/org/one", messages=messages, **common)
time.sleep(1)
"""
    rows = rows_of(program, tmp_path, door)
    (row,) = [row for row in rows if row.get("openinference_span_kind") in ("LLM", "EMBEDDING")]
    assert row["llm_token_count_total"] == "15"
    others = [other for other in rows if other is not row]
    assert not [other for other in others if "llm_usage_tokens_total" in other or "gen_ai_usage_input_tokens" in other]


def test_a_call_that_fails_without_an_answer_has_no_status(tmp_path):
    program = """
try:
    litellm.completion(model="huggingface/org/one", messages=messages, api_base="http://127.0.0.1:9/v1", api_key="x")
except Exception:
    pass
"""
    (row,) = rows_of(program, tmp_path)
    assert row["hf_error_kind"] == "connection"
    assert "http_response_status_code" not in row
    assert row["error_type"].startswith("litellm.")


def test_importing_litellm_imports_nothing_of_opentelemetry_and_builds_nothing(tmp_path):
    program = "import sys\nassert 'opentelemetry.sdk' not in sys.modules\n"
    assert rows_of(program, tmp_path) == []
