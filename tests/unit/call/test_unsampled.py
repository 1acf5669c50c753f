"""A call that is not sampled: what its client got in, the columns that its numbers are taken from out."""

from types import SimpleNamespace as Got

import pytest

from hf_openobserve.call import unsampled
from hf_openobserve.metrics import calls

URL = "https://router.huggingface.co/v1/chat/completions"
SERVER = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "huggingface",
    "server.address": "router.huggingface.co",
    "server.port": 443,
    "gen_ai.request.model": "m:groq",
}
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
CACHED, REASONING = "gen_ai.usage.cache_read.input_tokens", "llm.token_count.completion_details.reasoning"


class Noted(list):
    def __call__(self, attributes, began, ended):
        self.append((attributes, began <= ended))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Got(), {}),
        (object(), {}),
        (Got(model="r", usage=None), {"gen_ai.response.model": "r"}),
        (
            Got(usage=Got(prompt_tokens=11, completion_tokens=4, prompt_tokens_details=Got(cached_tokens=3))),
            {INPUT: 11, OUTPUT: 4, CACHED: 3, REASONING: 0},
        ),
        (
            Got(usage=Got(input_tokens=11, output_tokens=4, output_tokens_details=Got(reasoning_tokens=2))),
            {INPUT: 11, OUTPUT: 4, CACHED: 0, REASONING: 2},
        ),
        (Got(usage=Got(prompt_tokens=7, total_tokens=7)), {INPUT: 7, CACHED: 0, REASONING: 0}),
    ],
)
def test_an_answer(result, expected):
    noted = Noted()
    unsampled.answered(noted, URL, "m:groq", result, 1)
    ((attributes, in_order),) = noted
    assert in_order
    assert {name: value for name, value in attributes.items() if value is not None} == {**SERVER, **expected}
    assert {sample.instrument for sample in calls.samples(calls.measured(attributes, 0, 1), {})}


def test_a_failure():
    noted = Noted()
    unsampled.failed(noted, URL, "m:groq", TimeoutError("late"), 1)
    ((attributes, _),) = noted
    assert {name: attributes[name] for name in SERVER} == SERVER
    assert (attributes["error.type"], attributes[INPUT], attributes[OUTPUT]) == ("TimeoutError", 0, 0)
