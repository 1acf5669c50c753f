"""Which requests are calls of a model, and which spans nobody would record."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from hf_openobserve.clients.openai.model_calls import is_dropped, is_model_call

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


class Own(sampling.Sampler):
    def should_sample(self, *args, **kwargs):
        raise AssertionError("it is not ours to ask")

    def get_description(self):
        return "own"


@pytest.mark.parametrize(
    ("sampler", "without", "below_sampled", "below_unsampled"),
    [
        (sampling.ALWAYS_ON, False, False, False),
        (sampling.ALWAYS_OFF, True, True, True),
        (sampling.DEFAULT_ON, False, False, True),
        (sampling.DEFAULT_OFF, True, False, True),
        (sampling.ParentBasedTraceIdRatio(0.5), False, False, True),
        (sampling.TraceIdRatioBased(0.5), False, False, False),
        (Own(), False, False, False),
        (sampling.ParentBased(Own()), False, False, False),
    ],
    ids=["on", "off", "parent on", "parent off", "parent ratio", "ratio", "own", "parent own"],
)
def test_what_is_dropped_for_certain(sampler, without, below_sampled, below_unsampled):
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    assert is_dropped(provider) is without
    for flags, expected in ((TraceFlags.SAMPLED, below_sampled), (TraceFlags.DEFAULT, below_unsampled)):
        parent = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(flags)))
        with trace.use_span(parent):
            assert is_dropped(provider) is expected


def test_a_provider_that_is_not_the_sdks_is_not_judged():
    assert is_dropped(object()) is False
