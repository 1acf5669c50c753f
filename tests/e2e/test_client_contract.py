"""The contract of a client, the same for each: what every one of them is recorded as, and when it is not.

litellm is no dependency of the tests' main environment: ``nox -s litellm`` runs this with its newest release and an
older one.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.clients.table import BY_NAME
from scripted import Reply, ScriptedEndpoint, chat_body

PROGRAM = Path(__file__).parent / "programs" / "client_contract.py"
SENTENCE = "You have exceeded your monthly included credits."
HEADERS = {"x-inference-provider": "together", "x-request-id": "req-of-the-contract"}
PLAIN = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

CLIENTS = [
    pytest.param(
        name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
    )
    for name in BY_NAME
]


def chunk(content=None, finish=None, **more):
    delta = {"role": "assistant", "content": content} if content else {}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "served", "choices": choices, **more}


class Endpoint(ScriptedEndpoint):
    """Answers by the model of the request; ``retried`` is refused once."""

    def __init__(self):
        super().__init__(self._answer_to)
        self.seen = Counter()

    def _answer_to(self, _path, body):
        name = str(body.get("model")).rpartition("/")[2]
        self.seen[name] += 1
        if name == "refused" or (name == "retried" and self.seen[name] == 1):
            return Reply(429, {"error": SENTENCE}, {**HEADERS, "retry-after": "0"})
        if body.get("stream"):
            usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
            events = [chunk("Hel"), chunk("lo"), chunk(finish="stop", usage=usage), "[DONE]"]
            return Reply(events=events, headers=HEADERS)
        return Reply(body=chat_body("served"), headers=HEADERS)


def run(name, door, tmp_path, *more):
    """What the program printed and its rows by the last part of their model; its output is that of the bare program."""
    outputs = []
    for through in (None, door):
        with FakeOpenObserve() as server, Endpoint() as endpoint:
            env = harness.environment(tmp_path, server.environment, PLAIN, {"HF_BASE_URL": endpoint.url}, *more)
            done = harness.run([str(PROGRAM), name], door=through, env=env, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            outputs.append((done.stdout, done.stderr))
            rows = server.rows()
            bodies = [body for _, _, body in endpoint.calls if body]
    assert outputs[1] == outputs[0], "the program is the same with the agent"
    found = {}
    for row in rows:
        label = row["llm_request_parameters_model"].rpartition("/")[2]
        assert label not in found, "one call is one row"
        found[label] = row
    return found, bodies


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    return request.param


@pytest.fixture(scope="module", params=harness.DOORS)
def rows(request, client, tmp_path_factory):
    return client, run(client, request.param, tmp_path_factory.mktemp("contract"))[0]


def test_each_call_is_one_row(rows):
    name, found = rows
    labels = {"chat", "stream", "left", "refused", "async", "astream"} | (
        {"retried"} - {name} if name != "huggingface_hub" else set()
    )
    assert set(found) == labels
    for label, row in found.items():
        assert row["operation_name"] == "ChatCompletion", label
        assert row["openinference_span_kind"] == "LLM", label
        assert row["llm_system"] == "openai", label
        assert row["hf_provider_served"] == "together", label
        assert row["hf_request_id"] == "req-of-the-contract", label
        assert row["hf_endpoint_kind"] == "local", label
        assert "Say hello" in row["gen_ai_input_messages"], label


@pytest.mark.parametrize("label", ["chat", "async"])
def test_a_whole_answer_has_its_tokens_and_its_text(rows, label):
    row = rows[1][label]
    assert row["span_status"] == "OK"
    assert (row["llm_token_count_prompt"], row["llm_token_count_total"]) == ("11", "15")
    assert row["llm_model_name"] == "served"
    assert "Hello there." in row["gen_ai_output_messages"]


@pytest.mark.parametrize("label", ["stream", "astream"])
def test_a_stream_has_its_tokens_its_text_and_its_pace(rows, label):
    row = rows[1][label]
    assert row["span_status"] == "OK"
    assert row["llm_token_count_total"] == "5"
    assert '"Hello"' in row["gen_ai_output_messages"]
    assert int(row["hf_stream_chunks"]) == 3
    assert float(row["gen_ai_response_time_to_first_chunk"]) > 0


def test_a_stream_that_is_left_ends_well(rows):
    row = rows[1]["left"]
    assert row["span_status"] == "OK"
    assert "Hel" in row["gen_ai_output_messages"]


def test_an_error_has_the_servers_sentence(rows):
    name, found = rows
    row = found["refused"]
    assert row["span_status"] == "ERROR"
    assert SENTENCE in row["status_message"]
    assert row["hf_error_kind"] == "credits_exhausted"
    assert row["error_type"].startswith(name + ".")
    assert str(row["http_response_status_code"]) == "429"
    harness.assert_nothing_counted(row)


def test_attempts_are_counted(rows):
    name, found = rows
    if name == "huggingface_hub":
        pytest.skip("huggingface_hub repeats no request of itself")
    assert str(found["retried"]["http_request_resend_count"]) == "1"
    assert found["retried"]["span_status"] == "OK"


@pytest.mark.parametrize("how", ["unsampled", "disabled"])
def test_what_is_not_to_be_recorded_is_not(client, tmp_path, how):
    more = {"OTEL_TRACES_SAMPLER": "always_off"}
    if how == "disabled":  # of litellm's calls openai's client sends none here
        more = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": f"something, {client}"}
    found, _ = run(client, "pythonpath", tmp_path, more)
    assert found == {}
