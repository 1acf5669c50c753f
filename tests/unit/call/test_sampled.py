"""Which spans nobody would record."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from hf_openobserve.call.sampled import is_dropped


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
