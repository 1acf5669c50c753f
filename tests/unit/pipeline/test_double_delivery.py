"""Whether a provider of the installed SDK delivers to us itself: the one question that private attributes answer."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from hf_openobserve.pipeline import double_delivery

pytestmark = pytest.mark.matrix

AGENT = Path(double_delivery.__file__).resolve().parents[2]
OURS = "http://127.0.0.1:9/api/default/v1/traces"
OTHER = "http://127.0.0.1:9/api/other/v1/traces"


@pytest.fixture
def provider():
    """``provider(processor, ...)``; shut down at the end, so that no thread of a batch processor stays."""
    made = []

    def build(*processors, **options):
        made.append(TracerProvider(shutdown_on_exit=False, **options))
        for processor in processors:
            made[-1].add_span_processor(processor)
        return made[-1]

    yield build
    for one in made:
        one.shutdown()


def within(multi, *processors):
    for processor in processors:
        multi.add_span_processor(processor)
    return multi


def batch(endpoint):
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


def simple(endpoint):
    return SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


@pytest.mark.parametrize(
    ("processors", "delivers"),
    [
        pytest.param(list, False, id="no-processor"),
        pytest.param(lambda: [batch(OURS)], True, id="batch"),
        pytest.param(lambda: [simple(OURS)], True, id="simple"),
        pytest.param(lambda: [batch(OURS + "/")], True, id="trailing-slash"),
        pytest.param(lambda: [batch(OTHER)], False, id="another-organization"),
        pytest.param(lambda: [SimpleSpanProcessor(ConsoleSpanExporter())], False, id="console"),
        pytest.param(lambda: [SimpleSpanProcessor(ConsoleSpanExporter()), batch(OURS)], True, id="beside-the-console"),
        pytest.param(lambda: [SpanProcessor(), batch(OTHER), simple(OURS)], True, id="last-of-several"),
        pytest.param(lambda: [within(SynchronousMultiSpanProcessor(), batch(OURS))], True, id="nested"),
        pytest.param(lambda: [within(SynchronousMultiSpanProcessor(), batch(OTHER))], False, id="nested-other"),
    ],
)
def test_an_exporter_to_the_same_endpoint(provider, processors, delivers):
    assert double_delivery.delivers(provider(*processors()), OURS) is delivers


def test_a_provider_with_concurrent_processors(provider):
    multi = ConcurrentMultiSpanProcessor(2)
    assert double_delivery.delivers(provider(batch(OURS), active_span_processor=multi), OURS) is True


def test_a_processor_that_holds_itself_ends(provider):
    class Endless(SpanProcessor):
        def __init__(self):
            self._span_processors = (self, self)

    assert double_delivery.delivers(provider(Endless()), OURS) is False


@pytest.mark.parametrize("endpoint", ["", OURS])
def test_where_we_deliver_nowhere_nobody_delivers_there_already(provider, endpoint):
    assert double_delivery.delivers(provider(batch(OURS)), endpoint) is bool(endpoint)


class Awkward:
    """Whatever is asked of it raises."""

    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize("theirs", [None, object(), Awkward(), 5], ids=["none", "object", "raises", "number"])
def test_a_provider_of_another_make_does_not(theirs):
    assert double_delivery.delivers(theirs, OURS) is False


class Recorder:
    def __init__(self):
        self.ended, self.asked = [], []

    def on_end(self, span):
        self.ended.append(span)

    def shutdown(self):
        self.asked.append("shutdown")

    def force_flush(self, timeout_millis):
        self.asked.append(timeout_millis)
        return True


def test_a_recorder_falls_silent_when_the_provider_gets_an_exporter_to_the_same_endpoint(provider, monkeypatch):
    theirs, recorder, asked = provider(), Recorder(), []
    delivers = double_delivery.delivers
    monkeypatch.setattr(double_delivery, "delivers", lambda *one: asked.append(1) or delivers(*one))
    unless = double_delivery.UnlessDelivered(recorder, theirs, OURS)
    theirs.add_span_processor(SpanProcessor())
    for span in ("first", "second"):
        unless.on_end(span)
    theirs.add_span_processor(batch(OTHER))
    unless.on_end("third")
    theirs.add_span_processor(batch(OURS))
    for span in ("fourth", "fifth"):
        unless.on_end(span)
    assert recorder.ended == ["first", "second", "third"]
    assert len(asked) == 3, "only when the processors have changed"
    assert unless.force_flush(7) is True
    unless.shutdown()
    assert recorder.asked == [7, "shutdown"]


def test_a_recorder_of_a_provider_that_cannot_be_looked_into_records():
    recorder = Recorder()
    double_delivery.UnlessDelivered(recorder, object(), OURS).on_end("span")
    assert recorder.ended == ["span"]


def sdk(provider, *, initialized=True):
    return types.SimpleNamespace(is_initialized=lambda: initialized, get_tracer_provider=lambda: provider)


def test_the_official_sdk_is_known_by_the_provider_it_made(provider, monkeypatch):
    theirs, another = provider(), provider()
    monkeypatch.setitem(sys.modules, "openobserve", sdk(theirs))
    assert double_delivery.delivers(theirs, "") is True
    assert double_delivery.delivers(another, "") is False
    monkeypatch.setitem(sys.modules, "openobserve", sdk(theirs, initialized=False))
    assert double_delivery.delivers(theirs, "") is False


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(types.ModuleType("openobserve"), id="the-unrelated-package"),
        pytest.param(types.SimpleNamespace(is_initialized=lambda: True), id="half-of-it"),
        pytest.param(Awkward(), id="raises"),
        pytest.param(None, id="blocked"),
    ],
)
def test_what_only_has_the_name_is_not_the_official_sdk(provider, monkeypatch, module):
    monkeypatch.setitem(sys.modules, "openobserve", module)
    assert double_delivery.delivers(provider(), OURS) is False
    assert double_delivery.delivers(provider(batch(OURS)), OURS) is True


def test_the_official_sdk_itself():
    pytest.importorskip("openobserve", reason="openobserve-telemetry-sdk is not installed")
    program = f"""
import sys
sys.path.insert(0, {str(AGENT)!r})
from openobserve import openobserve_init_traces
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from hf_openobserve.pipeline import double_delivery
openobserve_init_traces()
print(double_delivery.delivers(trace.get_tracer_provider(), ""), double_delivery.delivers(TracerProvider(), ""))
"""
    environ = {
        "OPENOBSERVE_URL": "http://127.0.0.1:9",
        "OPENOBSERVE_ORG": "default",
        "OPENOBSERVE_AUTH_TOKEN": "Basic dXNlcjpmYWtl",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True False\n", done.stderr
