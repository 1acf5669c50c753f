"""Spans in, the same with what their calls cost out; and what waits in the outbox stays as it was."""

from __future__ import annotations

import json
import time

import pytest

from hf_openobserve.cli import spans
from hf_openobserve.openobserve.answers import ACCEPTED, RETRY, Verdict
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.outbox.pricing import OFF, Pricing
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord
from senders import StubClient

CALL = {
    "llm.observation.type": "GENERATION",
    "hf.model.base": "Test/Model",
    "hf.provider.served": "novita",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.usage.cache_read.input_tokens": 400,
}


def payload(attributes):
    return encode_span(
        SpanRecord(
            trace_id=1,
            span_id=2,
            name="ChatCompletion",
            start_time_unix_nano=1_000,
            end_time_unix_nano=3_600_001_000,
            resource=ResourceRecord({"service.name": "tests"}),
            scope=ScopeRecord("tests"),
            attributes=attributes,
        )
    )


def added(pricing, attributes):
    (before,), (after,) = spans.decode(payload(attributes)), spans.decode(pricing(payload(attributes)))
    more = {name: value for name, value in after["attributes"].items() if name not in attributes}
    assert {**after, "attributes": before["attributes"]} == before
    return more


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "prices.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return str(path)

    return write


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch, _quick):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "hf-openobserve"


def price_list(**price):
    return {"date": "2026-11-29", "per_million_tokens": {"Test/Model": {"novita": {"input": 1, "output": 2, **price}}}}


@pytest.mark.matrix
def test_the_users_list_goes_before_the_routers_and_that_before_the_packages(file, state):
    assert added(Pricing(), CALL) == {}
    state.mkdir(parents=True)
    (state / "prices.json").write_text(json.dumps(price_list()))
    assert added(Pricing(), CALL)["gen_ai.usage.cost"] == 0.0012
    assert added(Pricing(file(price_list(cached_input=0.5))), CALL) == {
        "gen_ai.usage.cost": 0.001,
        "gen_ai.usage.cost.input": 0.0008,
        "gen_ai.usage.cost.output": 0.0002,
        "gen_ai.usage.cost.amount": 0.001,
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
        "hf.cost.price_date": "2026-11-29",
        "llm.cost.total": 0.001,
        "llm.cost.prompt": 0.0008,
        "llm.cost.completion": 0.0002,
    }
    assert added(Pricing(file({"per_hour": {"one.example": 2}})), {**CALL, "server.address": "one.example"})[
        "gen_ai.usage.cost"
    ] == pytest.approx(0.002)
    assert "hf.cost.price_date" in added(Pricing(), {**CALL, "hf.model.base": "openai/gpt-oss-20b"})


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {name: value for name, value in CALL.items() if name != "llm.observation.type"},
        {**CALL, "gen_ai.usage.cost": 0.0},
        {**CALL, "hf.provider.served": "nobody"},
        {"input.value": "llm.observation.type gen_ai.usage.input_tokens"},
    ],
)
def test_what_has_no_cost_keeps_its_bytes(attributes, file):
    pricing, before = Pricing(file(price_list())), payload(attributes)
    assert pricing(before) is before


def test_no_cost_is_computed_where_that_is_asked_for():
    before = payload({**CALL, "hf.model.base": "openai/gpt-oss-20b"})
    assert Pricing()(before) is not before
    assert Pricing(OFF)(before) is before


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "Expecting"), ("[]", "has neither"), (price_list(input="1"), "test/model at novita: is not")],
)
def test_a_list_that_cannot_be_used_is_said_and_done_without(file, capsys, text, what):
    pricing = Pricing(file(text))
    assert added(pricing, CALL) == added(pricing, CALL) == {}
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "OPENOBSERVE_HF_PRICES" in line
    assert what in line.lower() or what in line


def test_bytes_that_are_no_request_are_sent_as_they_are(file):
    broken = payload(CALL)[:-3]
    assert Pricing(file(price_list()))(broken) is broken


def test_what_waits_stays_as_it_was_recorded(outbox, file):
    made = outbox(client=StubClient(Verdict(RETRY, "busy"), Verdict(ACCEPTED)), backoff_base_s=0.0)
    made.delivery.pricing = Pricing(file(price_list()))
    made.store.append(time.time_ns(), payload(CALL))
    assert [made.delivery.deliver() for _ in range(2)] == [False, True]
    for sent in made.client.sent:
        assert [span["attributes"]["gen_ai.usage.cost"] for span in spans.decode(b"".join(sent))] == [0.0012]
        assert b"".join(sent).count(b"gen_ai.usage.cost.amount") == 1
