"""``report --advise``: what is measured, what the router publishes, and what ``:cheapest`` would have saved."""

from __future__ import annotations

import json
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

import outboxes
from hf_openobserve.cli.advice import ENOUGH, advise
from hf_openobserve.cli.calls import of_row
from hf_openobserve.cli.router_models import Offer, offers

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def call(provider="groq", model=MODEL, *, sent=1000, received=500, cost=0.002, **columns):
    return of_row(
        {
            "start_time": 0,
            "end_time": 10**9,
            "llm_request_parameters_model": f"{model}:{provider}",
            "hf_model_base": model,
            "hf_provider_served": provider,
            "llm_token_count_prompt": sent,
            "llm_token_count_completion": received,
            "gen_ai_usage_cost": cost,
            **columns,
        }
    )


def limited(provider="groq"):
    """A refused call: its provider is known from the request alone."""
    columns = {"span_status": "ERROR", "http_response_status_code": 429, "hf_error_kind": "rate_limited"}
    return call(provider, sent=None, received=None, cost=0.0, **columns)


def offer(sent, received, **more):
    return Offer((Decimal(sent), Decimal(received)), **more)


def test_what_the_cheapest_would_have_saved():
    cheap = {"groq": offer("0.5", "3"), "novita": offer("0.2", "0.4"), "slow": offer("0.1", "0.9")}
    (advice,) = advise([call() for _ in range(40)], {MODEL: cheap})
    cheaper = advice.cheaper
    # 40,000 x 0.2 + 20,000 x 0.4 for a million, where 40 x 0.002 was paid.
    assert (cheaper.provider, cheaper.prompt_tokens, cheaper.completion_tokens) == ("novita", 40_000, 20_000)
    assert cheaper.would_cost == pytest.approx(0.016)
    assert cheaper.paid == pytest.approx(0.08)
    assert cheaper.saved == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        ({}, "nothing is published"),
        ({"novita": Offer()}, "no price is"),
        ({"novita": offer("0.2", "0.4", is_live=False)}, "it does not answer at present"),
        ({"novita": offer("1", "2")}, "it costs what was paid"),
        ({"groq": offer("9", "1"), "novita": offer("0.1", "2")}, "the router goes by the answer's price alone"),
    ],
)
def test_no_saving_is_promised_where_there_is_none(offered, why):
    (advice,) = advise([call() for _ in range(40)], {MODEL: offered})
    assert advice.cheaper is None, why


def test_thin_evidence_is_no_advice():
    few, enough = [call() for _ in range(ENOUGH - 1)], [call("novita") for _ in range(ENOUGH)]
    assert advise(few, {MODEL: {"novita": offer("0", "0")}}) == []
    (advice,) = advise(few + enough, {})
    assert [one.provider for one in advice.providers] == ["novita"]
    free = [call(cost=None) for _ in range(40)]
    assert advise(free, {MODEL: {"novita": offer("0", "0")}})[0].cheaper is None, "what was paid is not known"
    assert advise([call()._replace(provider=None)] * 40, {}) == [], "the router has not served it"


def test_what_was_measured():
    times = [
        {"gen_ai_response_time_to_first_chunk": n / 100, "hf_stream_tokens_per_second": 100 + n} for n in range(31)
    ]
    (advice,) = advise([*(call(**time) for time in times), *(limited() for _ in range(9))], {MODEL: {}})
    (one,) = advice.providers
    assert (one.provider, one.calls, one.first_token_s, one.tokens_per_second) == ("groq", 40, 0.15, 115)
    assert one.rate_limited == 9 / 40
    assert one.cost_per_million == pytest.approx(0.002 / 1500 * 1e6)


def test_what_the_router_publishes():
    published = {
        "provider": "a",
        "status": "live",
        "first_token_latency_ms": 250,
        "throughput": 81.5,
        "pricing": {"input": 1, "output": 2},
    }
    odd = {
        "provider": "b",
        "status": "error",
        "first_token_latency_ms": "soon",
        "throughput": None,
        "pricing": {"input": 1},
    }
    found = offers({"data": [{"id": MODEL, "providers": [published, odd, 1, {}]}, {"id": 1, "providers": [published]}]})
    assert found == {MODEL: {"a": offer(1, 2, first_token_s=0.25, tokens_per_second=81.5), "b": Offer(is_live=False)}}


class Router(BaseHTTPRequestHandler):
    def do_GET(self):
        offer = {
            "provider": "novita",
            "pricing": {"input": 0.02, "output": 0.05},
            "throughput": 80,
            "first_token_latency_ms": 300,
        }
        answer = json.dumps({"data": [{"id": MODEL, "providers": [offer]}]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def filled(tmp_path):
    """An outbox with 30 calls that cost 1 + 2 for a million tokens."""
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"per_million_tokens": {MODEL: {"groq": {"input": 1, "output": 2}}}}))
    names = {"hf.model.base": MODEL, "hf.provider.served": "groq", "llm.observation.type": "GENERATION"}
    counts = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}
    records = [outboxes.call(MODEL, tokens=(1000, 500), more={**names, **counts}) for _ in range(ENOUGH)]
    outboxes.leave(tmp_path / "outbox", "local", *records)
    more = {
        "OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"),
        "OPENOBSERVE_HF_PRICES": str(prices),
        "COLUMNS": "160",
    }
    return outboxes.environment(tmp_path, more)


def test_the_command(filled):
    with HTTPServer(("127.0.0.1", 0), Router) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        asked = ["report", "--advise", "--url", f"http://127.0.0.1:{server.server_port}/v1/models"]
        text = outboxes.invoke(asked, filled).stdout
        shown = json.loads(outboxes.invoke([*asked, "--json"], filled).stdout)
        server.shutdown()
    assert (
        ":cheapest would have saved 98%: 30,000 tokens x 0.02 + 15,000 tokens x 0.05 for a million at novita is" in text
    )
    assert "0.0014 USD, and 0.060 was paid." in text
    (advice,) = shown["advice"]
    assert (advice["model"], advice["cheapest"]["provider"]) == (MODEL, "novita")
    assert [(one["provider"], one["calls"], one["published"]) for one in advice["providers"]] == [("groq", 30, None)]


def test_without_the_router_what_was_measured_is_shown(filled):
    done = outboxes.invoke(["report", "--advise", "--url", "http://127.0.0.1:9/v1/models"], filled)
    assert done.exit_code == 0
    assert "only what was measured is shown" in done.stderr
    assert "groq" in done.stdout
    assert ":cheapest" not in done.stdout


def test_nothing_to_advise_asks_nobody(filled, tmp_path):
    done = outboxes.invoke(
        ["report", "--advise", "--url", "http://127.0.0.1:9/"], {**filled, "OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path)}
    )
    assert (done.exit_code, done.stderr) == (0, "")
    assert "nothing is advised" in done.stdout
