"""How long the server says that it took: whoever says it, in whatever unit, the columns hold seconds."""

from __future__ import annotations

import pytest

from hf_openobserve.wire import server_timings
from hf_openobserve.wire.usage import usage_of

pytestmark = pytest.mark.matrix

TGI = {
    "x-compute-time": "0.61",
    "x-total-time": "612",
    "x-validation-time": "1",
    "x-queue-time": "102",
    "x-inference-time": "508",
    "x-time-per-token": "12.7",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        (
            TGI,
            {
                "hf.server.total_time": 0.612,
                "hf.server.validation_time": 0.001,
                "hf.server.queue_time": 0.102,
                "hf.server.inference_time": 0.508,
                "hf.server.time_per_token": 0.0127,
            },
        ),
        ({"openai-processing-ms": "412"}, {"hf.server.total_time": 0.412}),
        ({"x-queue-time": "5"}, {}),  # nobody knows whose, nor in which unit
        ({"x-inference-time": "0"}, {"hf.server.inference_time": 0.0}),
        ({"openai-processing-ms": "soon"}, {}),
        ({"openai-processing-ms": "nan"}, {}),
        ({"openai-processing-ms": "-1"}, {}),
        ({"openai-processing-ms": "1e999"}, {}),
    ],
)
def test_headers(headers, expected):
    assert server_timings.of_headers(headers) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({}, {}),
        (
            {"timings": {"prompt_n": 12, "prompt_ms": 30.5, "predicted_ms": 240, "predicted_per_token_ms": 24.0}},
            {
                "hf.server.prompt_time": 0.0305,
                "hf.server.completion_time": 0.24,
                "hf.server.time_per_token": 0.024,
            },
        ),
        ({"sla_metrics": {"ttft_ms": 187, "ts_us": 1764150000000000}}, {"hf.server.time_to_first_token": 0.187}),
        (
            {"time_info": {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.3, "total_time": 0.32}},
            {
                "hf.server.queue_time": 0.01,
                "hf.server.prompt_time": 0.002,
                "hf.server.completion_time": 0.3,
                "hf.server.total_time": 0.32,
            },
        ),
        (
            {"usage": {"prompt_tokens": 3, "queue_time": 0.037, "prompt_time": 0.001, "completion_time": 0.46}},
            {"hf.server.queue_time": 0.037, "hf.server.prompt_time": 0.001, "hf.server.completion_time": 0.46},
        ),
        ({"x_groq": {"usage": {"queue_time": 0.5}}}, {"hf.server.queue_time": 0.5}),
        ({"timings": None, "sla_metrics": [], "time_info": "fast"}, {}),
        ({"timings": {"prompt_ms": True, "predicted_ms": {}, "predicted_per_token_ms": None}}, {}),
        ({"timings": {"prompt_ms": 10**400}}, {}),
        ({"usage": {"queue_time": -1}}, {}),
    ],
)
def test_bodies(answer, expected):
    assert server_timings.of_answer(answer, usage_of(answer)) == expected
