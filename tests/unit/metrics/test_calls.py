"""A call's columns in, what each instrument is told out."""

from types import MappingProxyType

import pytest

from hf_openobserve.metrics import calls

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "huggingface",
    "gen_ai.request.model": "meta-llama/Llama-3.1-8B-Instruct:groq",
    "gen_ai.response.model": "llama-3.1-8b",
    "hf.provider.served": "groq",
    "server.address": "router.huggingface.co",
    "server.port": 443,
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.usage.cache_read.input_tokens": 0,
    "llm.token_count.completion_details.reasoning": 3,
    "gen_ai.input.messages": "not a label",
}
LABELS = {name: value for name, value in CHAT.items() if name in calls.LABELS}
USAGE = "gen_ai.client.inference.usage."
UNKNOWN = {"gen_ai.token.modality": "unknown"}


def told(attributes, seconds=2.0, cost=MappingProxyType({}), **options):
    call = calls.measured(attributes, 10**18, 10**18 + int(seconds * 1e9))
    found = list(calls.samples(call, cost, **options))
    assert len({(sample.instrument, sample.labels) for sample in found}) == len(found)
    return {sample.instrument.name: (dict(sample.labels), sample.value) for sample in found}


def test_a_chat():
    assert told(CHAT) == {
        "gen_ai.client.inference.duration": (LABELS, 2.0),
        USAGE + "input_tokens": ({**LABELS, **UNKNOWN}, 12),
        USAGE + "output_tokens": ({**LABELS, **UNKNOWN}, 5),
        USAGE + "cache_read.input_tokens": ({**LABELS, **UNKNOWN}, 0),
        USAGE + "reasoning.output_tokens": ({**LABELS, **UNKNOWN}, 3),
    }


@pytest.mark.parametrize(
    ("chunks", "per_chunk"), [(5, 0.375), (2, 1.5), (1, None), (0, None), (None, None), ("5", None)]
)
def test_a_stream(chunks, per_chunk):
    found = told({**CHAT, "gen_ai.response.time_to_first_chunk": 0.5, "hf.stream.chunks": chunks})
    assert found["gen_ai.client.inference.time_to_first_chunk"] == (LABELS, 0.5)
    expected = None if per_chunk is None else (LABELS, per_chunk)
    assert found.get("gen_ai.client.inference.time_per_output_chunk") == expected


@pytest.mark.parametrize("count", [None, "12", True, -1, 1.5])
def test_what_is_no_count_is_no_zero(count):
    found = told({**CHAT, "gen_ai.usage.input_tokens": count, "http.request.resend_count": count})
    assert USAGE + "input_tokens" not in found
    assert "hf.client.retries" not in found


def test_a_failed_call_that_was_repeated():
    failure = {"error.type": "openai.RateLimitError", "hf.error.kind": "rate_limited", "http.request.resend_count": 2}
    found = told({**CHAT, **failure, "gen_ai.usage.input_tokens": 0})
    labels = {**LABELS, "error.type": "openai.RateLimitError", "hf.error.kind": "rate_limited"}
    assert found["gen_ai.client.inference.duration"] == (labels, 2.0)
    assert found["hf.client.retries"] == (labels, 2)
    assert found[USAGE + "input_tokens"] == ({**labels, **UNKNOWN}, 0)


@pytest.mark.parametrize(("amount", "told_of"), [(0.25, 0.25), (0.0, None), (-1.0, None), ("1", None), (None, None)])
def test_a_cost_is_counted_by_currency(amount, told_of):
    found = told(CHAT, cost={"gen_ai.usage.cost": amount, "gen_ai.usage.cost.currency": "EUR"})
    expected = ({**LABELS, "gen_ai.usage.cost.currency": "EUR"}, told_of)
    assert found.get("hf.client.cost") == (None if told_of is None else expected)


def test_embeddings_generate_nothing():
    found = told({"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 7})
    operation = {"gen_ai.operation.name": "embeddings"}
    assert found == {
        "gen_ai.client.operation.duration": (operation, 2.0),
        USAGE + "input_tokens": ({**operation, **UNKNOWN}, 7),
    }


def test_the_names_from_before():
    call = calls.measured({**CHAT, "gen_ai.response.time_to_first_chunk": 0.5}, 0, 10**9)
    found = [
        (s.instrument.name, dict(s.labels).get("gen_ai.token.type"), s.value)
        for s in calls.samples(call, {}, legacy=True)
    ]
    assert found == [
        ("gen_ai.client.operation.duration", None, 1.0),
        ("gen_ai.client.token.usage", "input", 12),
        ("gen_ai.client.token.usage", "output", 5),
    ]


def test_an_end_before_the_start_takes_no_time():
    assert told({}, -1.0) == {"gen_ai.client.inference.duration": ({}, 0.0)}
