"""Which requests are calls of a model."""

from __future__ import annotations

import pytest

from hf_openobserve.clients.openai.model_calls import is_model_call

NAMED = {"model": "m"}


@pytest.mark.parametrize(
    ("method", "url", "body", "expected"),
    [
        ("post", "/chat/completions", NAMED, True),
        ("POST", "chat/completions", {}, True),
        ("post", "/embeddings", NAMED, True),
        ("post", "/responses", NAMED, True),
        ("post", "/moderations", {"input": "x"}, True),
        ("post", "/audio/transcriptions", None, True),
        ("post", "https://gateway.example/team/v1/chat/completions", {}, True),
        ("post", "/rerank", NAMED, True),
        ("post", "/rerank", {"query": "x"}, False),
        ("get", "/models", None, False),
        ("get", "/responses/resp_1", None, False),
        ("get", "/chat/completions", None, False),
        ("delete", "/models/m", None, False),
        ("post", "/files", {"purpose": "batch"}, False),
        ("post", "/responses/resp_1/cancel", None, False),
        ("post", "/responses/input_tokens", NAMED, False),
        ("post", "/assistants", NAMED, False),
        ("post", "/threads/t/runs", NAMED, False),
        ("post", "/fine_tuning/jobs", NAMED, False),
        ("post", "/chat/completions/c-1", {"metadata": {}}, False),
    ],
)
def test_a_call_of_a_model(method, url, body, expected):
    assert is_model_call(method, url, body) is expected
