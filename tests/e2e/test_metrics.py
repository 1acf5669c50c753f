"""Metrics of real programs, as they stand in OpenObserve: what was called is counted, and counted once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from scripted import Reply, ScriptedEndpoint, chat_body

CALLS = """
import os
import huggingface_hub
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
asked = {"model": "meta-llama/Llama-3.1-8B-Instruct", "messages": [{"role": "user", "content": "Hi"}]}
for _ in range(2):
    client.chat.completions.create(**asked)
for _ in client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **asked):
    pass
try:
    client.chat.completions.create(**{**asked, "model": "none"})
except openai.NotFoundError:
    pass
huggingface_hub.InferenceClient(base_url=os.environ["HF_BASE_URL"]).chat_completion(**asked)
"""
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
STREAM = [
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "llama3.1-8b", **more}
    for more in (
        {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": " there."}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    )
]
INPUT = "gen_ai_client_inference_usage_input_tokens"
OUTPUT = "gen_ai_client_inference_usage_output_tokens"
DURATION = "gen_ai_client_inference_duration"


def answer(_path, body):
    if body.get("model") == "none":
        return Reply(404, {"error": {"message": "The model `none` does not exist"}})
    return Reply(events=[*STREAM, "[DONE]"]) if body.get("stream") else Reply(body=chat_body())


@pytest.fixture
def run(tmp_path):
    with ScriptedEndpoint(answer) as endpoint:

        def run(server, *, door="pythonpath", **more):
            env = harness.environment(
                tmp_path,
                server.environment,
                {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x", "OPENOBSERVE_HF_METRICS": "auto", **more},
            )
            return harness.run_ok(CALLS, door=door, env=env, cwd=tmp_path)

        yield run


def ship(server, tmp_path):
    env = harness.environment(tmp_path, server.environment, {"OPENOBSERVE_HF_METRICS": "auto"})
    return harness.run(
        [str(Path(sys.executable).with_name("hf-openobserve")), "ship"], door=None, env=env, cwd=tmp_path
    )


def stored(server, name):
    """The newest rows of a metric, as their values by whether the call failed."""
    values = {}
    for row in server.sql(f'SELECT * FROM "{name}"', "metrics"):
        values[row.get("error_type") or ""] = values.get(row.get("error_type") or "", 0) + row["value"]
    return values


@pytest.mark.matrix
@pytest.mark.parametrize(("sampler", "rows"), [("always_on", 5), ("always_off", 0), ("traceidratio", 0)])
def test_the_calls_of_a_program_are_there_when_it_has_ended(run, tmp_path, sampler, rows):
    """The last one keeps no call either, but only a span that has begun says so."""
    prices = tmp_path / "prices.json"
    prices.write_text('{"per_million_tokens": {"meta-llama/Llama-3.1-8B-Instruct": {"*": {"input": 1, "output": 2}}}}')
    with FakeOpenObserve() as server:
        run(
            server,
            OTEL_TRACES_SAMPLER=sampler,
            OTEL_TRACES_SAMPLER_ARG="0",
            OPENOBSERVE_HF_PRICES=str(prices),
        )
        found = server.wait_for_rows(rows)
        assert len(found) == rows
        cost = (44 * 1 + stored(server, OUTPUT)[""] * 2) / 1e6
        assert stored(server, "hf_client_cost") == {"": pytest.approx(cost)}
        assert sum(row["gen_ai_usage_cost"] for row in found) == (pytest.approx(cost) if rows else 0)
        assert stored(server, DURATION + "_count") == {"": 4, "openai.NotFoundError": 1}
        assert stored(server, INPUT) == {"": 44, "openai.NotFoundError": 0}
        assert stored(server, "gen_ai_client_inference_time_to_first_chunk_count") == {"": 1}
        (row, *_) = server.sql(f'SELECT * FROM "{INPUT}"', "metrics")
        assert row["gen_ai_operation_name"] == "chat"
        assert row["gen_ai_request_model"] == "meta-llama/Llama-3.1-8B-Instruct"
        assert row["gen_ai_response_model"] == "llama3.1-8b"
        assert row["gen_ai_token_modality"] == "unknown"
        assert row["aggregation_temporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE"
        assert row["service_name"]
        assert len(row["service_instance_id"]) == 36


def test_what_was_counted_while_the_server_was_down_arrives_once(run, tmp_path):
    with FakeOpenObserve() as server:
        server.stop()
        delta = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
        run(server, OPENOBSERVE_HF_EXIT_TIMEOUT_S="0.2", **delta)
        assert list(tmp_path.glob("outbox/*/metrics/*.seg"))
        server.start()
        shipped = ship(server, tmp_path)
        assert (shipped.returncode, shipped.stderr) == (0, "")
        assert shipped.stdout.splitlines()[-1].startswith("5 spans accepted, 0 rejected")
        assert stored(server, INPUT) == {"": 44, "openai.NotFoundError": 0}
        run(server, **delta)
        assert stored(server, DURATION + "_count") == {"": 8, "openai.NotFoundError": 2}
        assert stored(server, INPUT) == {"": 88, "openai.NotFoundError": 0}
        assert list(tmp_path.glob("outbox/*/metrics/*.seg")) == []
