"""Who was asked, who offers it and how fast it came, in the rows of calls that go to real names, from both clients.

The names are resolved by the test's proxy, which is the scripted router: nothing leaves the machine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from router import ScriptedRouter

pytestmark = pytest.mark.matrix
pytest.importorskip("huggingface_hub")

PROGRAM = str(Path(__file__).parent / "programs" / "by_real_names.py")
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
DEDICATED = "abc.us-east-1.aws.endpoints.huggingface.cloud"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("real-names")
    with ScriptedRouter() as router, FakeOpenObserve() as server:
        env = harness.environment(tmp_path, server.environment, router.environment, {"LOCAL_URL": router.url})
        bare = harness.run([PROGRAM], door=None, env=env, cwd=tmp_path)
        assert (bare.returncode, bare.stderr) == (0, "")
        router.reset()
        assert harness.run([PROGRAM], door="pythonpath", env=env, cwd=tmp_path) == bare
        count = len(bare.stdout.splitlines())
        yield {row["hf_bill_to"]: row for row in server.wait_for_rows(count)}


@pytest.mark.parametrize(
    ("label", "kind", "host", "provider"),
    [
        ("openai router", "router", "router.huggingface.co", "huggingface"),
        ("openai router_provider", "router_provider", "router.huggingface.co", "huggingface"),
        ("openai dedicated", "dedicated", DEDICATED, "huggingface"),
        ("openai local", "local", "127.0.0.1", "huggingface"),  # the scripted router, which says who served
        ("openai other", "other", "llm.example.com", "openai"),
        ("hub router", "router", "router.huggingface.co", "huggingface"),
        ("hub router_provider", "router_provider", "router.huggingface.co", "huggingface"),
        ("hub dedicated", "dedicated", DEDICATED, "huggingface"),
        ("hub local", "local", "127.0.0.1", "huggingface"),
        ("hub other", "other", "llm.example.com", "openai"),
        ("hub provider", "provider", "api.together.xyz", "together"),
    ],
)
def test_a_chat_says_where_it_went_and_who_offers_that(rows, label, kind, host, provider):
    row = rows[label]
    assert (row["hf_endpoint_kind"], row["server_address"]) == (kind, host)
    assert (row["gen_ai_provider_name"], row["llm_system"]) == (provider, "openai")
    assert (row["span_status"], row["operation_name"]) == ("OK", "ChatCompletion")
    sent = MODEL + (":together" if kind == "router" else "")
    assert row["llm_request_parameters_model"] == row["gen_ai_request_model"] == sent


@pytest.mark.parametrize("client", ["openai", "hub"])
def test_a_chat_through_the_router_has_every_promised_value(rows, client):
    row = rows[f"{client} router"]
    assert (row["hf_model_base"], row["hf_provider_requested"], row["hf_provider_served"]) == (
        MODEL,
        "together",
        "together",
    )
    assert row["llm_model_name"] == row["gen_ai_response_model"] == "llama-3.1-8b-instruct"
    absent = {"llm_request_parameters_max_tokens"}  # not sent
    assert [column for column in harness.PROMISED if row.get(column) in (None, "")] == sorted(absent)


def test_a_provider_of_the_routers_path_served_the_call(rows):
    for client in ("openai", "hub"):
        assert rows[f"{client} router_provider"]["hf_provider_served"] == "together"
    own = rows["hub provider"]
    assert own["hf_provider_requested"] == "together"
    assert "hf_provider_served" not in own


@pytest.mark.parametrize("client", ["openai", "hub"])
def test_the_limits_that_an_answer_tells_are_in_the_row(rows, client):
    row = rows[f"{client} limited"]
    assert {name: row.get(name) for name in row if name.startswith(("hf_retry", "hf_ratelimit"))} == {
        "hf_retry_after": "1",
        "hf_ratelimit_limit_requests": "60",
        "hf_ratelimit_remaining_requests": "0",
        "hf_ratelimit_reset_requests": "12s",
    }
    assert (row["hf_error_kind"], row["http_response_status_code"]) == ("rate_limited", "429")


@pytest.mark.parametrize("client", ["openai", "hub"])
def test_a_dedicated_endpoint_that_does_not_run_is_loading(rows, client):
    row = rows[f"{client} asleep"]
    assert (row["hf_error_kind"], row["http_response_status_code"]) == ("model_loading", "502")


@pytest.mark.parametrize("client", ["openai", "hub"])
def test_the_pace_of_a_stream_is_in_the_row(rows, client):
    row = rows[f"{client} stream"]
    assert row["hf_stream_chunks"] == "51"
    assert row["llm_token_count_completion"] == "4"
    per_token, per_second = float(row["hf_stream_time_per_output_token"]), float(row["hf_stream_tokens_per_second"])
    assert per_token > 0
    assert per_token * per_second == pytest.approx(1)
    assert float(row["gen_ai_response_time_to_first_chunk"]) > 0
    assert float(row["hf_stream_longest_wait"]) >= 0


@pytest.mark.parametrize(
    ("label", "model", "system"),
    [
        ("hub generation", "scripted/sea", "huggingface"),
        ("hub recommended generation", "scripted/sea", "huggingface"),
        ("hub recommended chat", "scripted/plain", "openai"),
        ("hub recommended classes", "scripted/classes", "huggingface"),
    ],
)
def test_a_model_that_the_hub_recommends_is_the_requested_one(rows, label, model, system):
    row = rows[label]
    assert row["gen_ai_request_model"] == row["hf_model_base"] == model
    assert (row["gen_ai_provider_name"], row["hf_endpoint_kind"]) == ("huggingface", "router_provider")
    assert (row["llm_system"], row["span_status"]) == (system, "OK")
    assert "hf_provider_model" not in row
