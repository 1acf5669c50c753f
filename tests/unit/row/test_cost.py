"""What a call cost, by hand: 1,000,000 tokens of a price of 1 cost 1."""

from types import MappingProxyType

import pytest

from hf_openobserve.config import prices
from hf_openobserve.row import cost
from hf_openobserve.row.cost_columns import NEEDED

OWN = prices.parse("""{
    "date": "2026-11-02", "currency": "EUR",
    "per_million_tokens": {
        "meta-llama/Llama-3.1-8B-Instruct": {"novita": {"input": 1, "output": 2, "cached_input": 0.1}},
        "mistralai/Mistral-7B": {"*": {"input": 3, "output": 4}, "Groq": {"input": 0, "output": 0}}
    },
    "per_hour": {"Abc.us-east-1.aws.endpoints.huggingface.cloud": 1.8}
}""")
GENERAL = prices.parse("""{
    "date": "2026-11-28",
    "per_million_tokens": {
        "meta-llama/llama-3.1-8b-instruct": {
            "novita": {"input": 0.02, "output": 0.05}, "hf-inference": {"input": 1, "output": 1}
        },
        "openai/gpt-oss-20b": {
            "novita": {"input": 0.04, "output": 0.15},
            "together": {"input": 0.05, "output": 0.2, "cached_input": 0.01}
        }
    }
}""")
OLDER = prices.parse('{"per_million_tokens": {"openai/gpt-oss-20b": {"groq": {"input": 0.1, "output": 0.5}}}}')

LLAMA, OSS = "meta-llama/Llama-3.1-8B-Instruct", "openai/gpt-oss-20b"


def call(model, served=None, sent=1000, received=100, cached=0, **more):
    attributes = {
        "hf.model.base": model,
        "hf.provider.served": served,
        "gen_ai.usage.input_tokens": sent,
        "gen_ai.usage.output_tokens": received,
        "gen_ai.usage.cache_read.input_tokens": cached,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return MappingProxyType({name: value for name, value in attributes.items() if value is not None})


def local(total, for_input, for_output, currency="USD", date="2026-11-28"):
    found = {
        "gen_ai.usage.cost": total,
        "gen_ai.usage.cost.input": for_input,
        "gen_ai.usage.cost.output": for_output,
        "gen_ai.usage.cost.amount": total,
        "gen_ai.usage.cost.currency": currency,
        "gen_ai.usage.cost.source": "local",
        "hf.cost.price_date": date,
        "llm.cost.total": total,
        "llm.cost.prompt": for_input,
        "llm.cost.completion": for_output,
    }
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # 1000 x 0.04 / 1e6 + 100 x 0.15 / 1e6
        (call(OSS, "novita"), local(0.000055, 0.00004, 0.000015)),
        (call(OSS.upper(), "Novita"), local(0.000055, 0.00004, 0.000015)),
        # (1000 - 600) x 0.05 / 1e6 + 600 x 0.01 / 1e6
        (call(OSS, "together", cached=600), local(0.000046, 0.000026, 0.00002)),
        (call(OSS, "novita", cached=600), local(0.000055, 0.00004, 0.000015)),
        (call(OSS, "together", cached=5000), local(0.00003, 0.00001, 0.00002)),
        (call(OSS, "together", cached=None), local(0.00007, 0.00005, 0.00002)),
        (call(OSS, None, hf__provider__requested="novita"), local(0.000055, 0.00004, 0.000015)),
        (call(OSS, "together", hf__provider__requested="novita"), local(0.00007, 0.00005, 0.00002)),
        (call(OSS, "novita", sent=0, received=0), local(0.0, 0.0, 0.0)),
        (call(OSS, "novita", sent=3, received=1), local(0.00000027, 0.00000012, 0.00000015)),
        (call(OSS, "groq"), local(0.00015, 0.0001, 0.00005, date=None)),
        (call(LLAMA, "novita", cached=500), local(0.00075, 0.00055, 0.0002, "EUR", "2026-11-02")),
        (call("mistralai/Mistral-7B", "together"), local(0.0034, 0.003, 0.0004, "EUR", "2026-11-02")),
        (call("mistralai/Mistral-7B", "groq"), local(0.0, 0.0, 0.0, "EUR", "2026-11-02")),
        (call("mistralai/Mistral-7B"), local(0.0034, 0.003, 0.0004, "EUR", "2026-11-02")),
        (
            call(None, None, gen_ai__request__model="mistralai/Mistral-7B", llm__provider="groq"),
            local(0.0, 0.0, 0.0, "EUR", "2026-11-02"),
        ),
    ],
)
def test_a_call_by_its_tokens(attributes, expected):
    assert cost.columns(attributes, 10**9, [OWN], [GENERAL, OLDER]) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        call(OSS),  # whoever served it
        call(OSS, "nscale"),
        call("openai/gpt-oss-120b", "novita"),
        call(None, "novita"),
        call(None, None, gen_ai__request__model=OSS, llm__provider="novita"),
        call(OSS, "novita", sent=None),
        call(OSS, "novita", received=None),
        call(OSS, "novita", sent=True),
        call(OSS, "novita", received=-1),
        call(OSS, "novita", sent="12"),
        call(OSS, "novita", gen_ai__usage__cost=0.0),  # a failed call
        call(OSS, "novita", gen_ai__usage__cost=0.5),  # what the provider says
        call(OSS, "hf-inference", sent=None, received=None),
    ],
)
def test_what_is_not_known_is_no_zero(attributes):
    assert cost.columns(attributes, 10**9, [OWN], [GENERAL, OLDER]) == {}


def test_hugging_faces_own_provider_bills_time():
    assert cost.columns(call(LLAMA, "hf-inference"), 10**9, [OWN], [GENERAL]) == {"hf.cost.basis": "compute_time"}


def test_a_dedicated_endpoint_is_paid_by_the_hour():
    endpoint = "abc.us-east-1.aws.endpoints.huggingface.cloud"
    attributes = call("tgi", None, None, None, server__address=endpoint)
    assert cost.columns(attributes, 5 * 10**9, [OWN], [GENERAL]) == {  # 1.8 / 3600 x 5
        "gen_ai.usage.cost": 0.0025,
        "gen_ai.usage.cost.amount": 0.0025,
        "gen_ai.usage.cost.currency": "EUR",
        "gen_ai.usage.cost.source": "local",
        "hf.cost.price_date": "2026-11-02",
        "llm.cost.total": 0.0025,
        "hf.cost.basis": "endpoint_time",
    }
    assert cost.columns(attributes, 10**9, [], [GENERAL]) == {}


def test_what_is_needed_is_all_that_is_read():
    class Read(dict):
        def get(self, name, default=None):
            assert name in NEEDED
            return super().get(name, default)

        def __contains__(self, name):
            assert name in NEEDED
            return super().__contains__(name)

    for served in ("novita", "hf-inference", None):
        cost.columns(Read(call(OSS, served)), 10**9, [OWN], [GENERAL])


def test_many_small_costs_add_up_to_the_large_one():
    """In doubles, as the server adds them."""
    one = cost.columns(call(OSS, "novita", 3, 1), 0, [], [GENERAL])["gen_ai.usage.cost"]
    all_of_them = cost.columns(call(OSS, "novita", 3000000, 1000000), 0, [], [GENERAL])["gen_ai.usage.cost"]
    assert sum([one] * 1000000) == pytest.approx(all_of_them, rel=1e-9)
    assert all_of_them == 0.27
