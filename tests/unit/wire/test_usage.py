"""Token counts: every place where an answer carries them, and what is no count."""

from __future__ import annotations

import pytest

from hf_openobserve.wire.usage import counts_of, usage_of

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTS = {"prompt": 3, "completion": 2, "total": 5}
CACHED, REASONED = "prompt_details.cache_read", "completion_details.reasoning"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, {}),
        ({}, {}),
        ("many", {}),
        (USAGE, COUNTS),
        ({"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}, COUNTS),
        ({"prompt_tokens_details": {"cached_tokens": 1}}, {CACHED: 1}),
        ({"input_tokens_details": {"cached_tokens": 0}}, {CACHED: 0}),
        ({"cached_tokens": 8}, {CACHED: 8}),
        ({"prompt_cache_hit_tokens": 8, "prompt_tokens_details": None}, {CACHED: 8}),
        ({"completion_tokens_details": {"reasoning_tokens": 2}}, {REASONED: 2}),
        ({"output_tokens_details": {"reasoning_tokens": 2}}, {REASONED: 2}),
        ({"prompt_tokens": None, "completion_tokens": "2", "total_tokens": True, "cached_tokens": 1.5}, {}),
        ({"prompt_tokens": None, "input_tokens": 3}, {"prompt": 3}),
    ],
)
def test_counts_are_taken_as_far_as_they_go(usage, counts):
    assert counts_of(usage) == counts


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ({"usage": USAGE}, COUNTS),
        ({"x_groq": {"usage": USAGE}}, COUNTS),
        ({"usage": None, "details": None}, {}),
        ({"details": {"generated_tokens": 2, "prefill": []}}, {"completion": 2}),
        ({"details": {"generated_tokens": 2, "prefill": [{"id": 1}] * 3}}, {"prompt": 3, "completion": 2}),
        ({"details": {"generated_tokens": 2, "input_length": 3}}, {"prompt": 3, "completion": 2}),
        ({"usage": [1]}, {}),
        ({}, {}),
    ],
)
def test_where_an_answer_has_its_usage(answer, counts):
    assert counts_of(usage_of(answer)) == counts
