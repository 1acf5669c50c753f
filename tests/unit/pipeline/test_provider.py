"""Our TracerProvider, and how it stands aside for the application's (docs/laws.md#7), on the installed SDK and API."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
import threading
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import harness
from hf_openobserve.pipeline import provider

pytestmark = pytest.mark.matrix

AGENT = Path(provider.__file__).resolve().parents[2]


class Recorder(SpanProcessor):
    """The spans that ended, and what else was asked of it."""

    def __init__(self):
        self.ended = []
        self.asked = []

    def on_end(self, span):
        self.ended.append(span)

    def force_flush(self, timeout_millis=30000):
        self.asked.append("force_flush")
        return True

    def shutdown(self):
        self.asked.append("shutdown")

    @property
    def names(self):
        return [span.name for span in self.ended]


def sdk_provider():
    recorder = Recorder()
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(recorder)
    return made, recorder


@pytest.fixture
def application(monkeypatch):
    """Sets the application's provider, as ``provider.application_provider`` reports it; none at first."""
    current = [None]
    monkeypatch.setattr(provider, "application_provider", lambda: current[0])

    def set_provider(value):
        current[0] = value

    return set_provider


# What ``build`` makes.


@pytest.fixture
def otel_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def attributes_kept(attributes, events=0):
    recorder = Recorder()
    with provider.build(recorder).get_tracer("t").start_as_current_span("x") as span:
        for number in range(attributes):
            span.set_attribute(f"a{number}", number)
        for _ in range(events):
            span.add_event("e")
    return [len(span.attributes) for span in recorder.ended], [len(span.events) for span in recorder.ended]


def test_a_chat_of_a_thousand_messages_loses_nothing(otel_environment):
    assert attributes_kept(5000) == ([5000], [0])


@pytest.mark.parametrize("name", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
def test_a_limit_of_the_users_is_kept(otel_environment, name):
    otel_environment.setenv(name, "7")
    assert attributes_kept(20) == ([7], [0])


def test_the_other_limits_keep_their_meaning(otel_environment):
    otel_environment.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "3")
    assert attributes_kept(200, events=5) == ([200], [3])


def test_the_sampler_is_the_environments(otel_environment):
    otel_environment.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert attributes_kept(1) == ([], [])


def test_its_resource_is_ours(otel_environment):
    otel_environment.setenv("OTEL_SERVICE_NAME", "shop")
    attributes = provider.build(Recorder()).resource.attributes
    assert attributes["service.name"] == "shop"
    assert attributes["telemetry.distro.name"] == "hf-openobserve"


# Who gets a span.


def test_spans_are_ours_until_the_application_has_a_provider(application):
    ours, our_spans = sdk_provider()
    theirs, their_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("early", "1.0")
    with tracer.start_as_current_span("before"):
        pass
    application(theirs)
    with tracer.start_as_current_span("after"):
        pass
    tracer.start_span("by hand").end()
    assert our_spans.names == ["before"]
    assert their_spans.names == ["after", "by hand"]
    scope = their_spans.ended[0].instrumentation_scope
    assert (scope.name, scope.version) == ("early", "1.0")


def test_a_span_that_began_with_us_ends_with_us(application):
    ours, our_spans = sdk_provider()
    theirs, their_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("t")
    with tracer.start_as_current_span("outer") as outer:
        application(theirs)
        with tracer.start_as_current_span("inner"):
            pass
    assert (our_spans.names, their_spans.names) == (["outer"], ["inner"])
    assert their_spans.ended[0].parent.span_id == outer.get_span_context().span_id


def test_our_provider_is_made_at_the_first_span_and_not_before(application):
    made = []

    def ours():
        made.append(sdk_provider())
        return made[-1][0]

    tracer = provider.ResolvingTracerProvider(ours).get_tracer("t")
    assert made == []
    tracer.start_span("x").end()
    assert len(made) == 1


def test_where_nobody_records_spans_do_nothing(application):
    tracer = provider.ResolvingTracerProvider(lambda: None).get_tracer("t")
    with tracer.start_as_current_span("x") as span:
        assert not span.is_recording()
    assert not tracer.start_span("y").is_recording()


def test_the_applications_provider_is_joined_before_its_first_span(application):
    ours, _ = sdk_provider()
    theirs, _ = sdk_provider()
    joined = []
    tracer = provider.ResolvingTracerProvider(lambda: ours, joined.append).get_tracer("t")
    tracer.start_span("ours").end()
    assert joined == []
    application(theirs)
    tracer.start_span("theirs").end()
    assert joined[0] is theirs


def test_tracers_take_every_argument_of_the_installed_api(application):
    ours, our_spans = sdk_provider()
    resolving = provider.ResolvingTracerProvider(lambda: ours)
    resolving.get_tracer("t", "1.0", "https://schema", {"a": 1}).start_span("x").end()
    resolving.get_tracer(instrumenting_module_name="n", instrumenting_library_version="2").start_span("y").end()
    scopes = [span.instrumentation_scope for span in our_spans.ended]
    assert [(scope.name, scope.version) for scope in scopes] == [("t", "1.0"), ("n", "2")]
    assert (scopes[0].schema_url, dict(scopes[0].attributes)) == ("https://schema", {"a": 1})


def test_it_is_one_of_the_apis_proxies():
    assert isinstance(provider.ResolvingTracerProvider(lambda: None), trace.ProxyTracerProvider)
    assert isinstance(provider.ResolvingTracerProvider(lambda: None).get_tracer("t"), trace.Tracer)


def test_threads_that_start_spans_while_the_provider_changes(application):
    ours, our_spans = sdk_provider()
    theirs, their_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("t")

    def work():
        for _ in range(100):
            with tracer.start_as_current_span("x"):
                pass

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    application(theirs)
    for thread in threads:
        thread.join()
    assert len(our_spans.ended) + len(their_spans.ended) == 1600


# ``start_as_current_span`` as a decorator, too.


def test_a_decorated_function_is_traced_by_the_provider_of_its_call(application):
    ours, our_spans = sdk_provider()
    theirs, their_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("t")

    @tracer.start_as_current_span("call", attributes={"a": 1})
    def double(number):
        """Twice the number."""
        assert trace.get_current_span().is_recording()
        return number * 2

    assert [double(2), double(number=3)] == [4, 6]
    application(theirs)
    assert double(4) == 8
    assert (our_spans.names, their_spans.names) == (["call", "call"], ["call"])
    assert dict(our_spans.ended[0].attributes) == {"a": 1}
    assert (double.__name__, double.__doc__) == ("double", "Twice the number.")


def test_a_decorated_coroutine_is_within_its_span(application):
    ours, our_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("t")

    @tracer.start_as_current_span("call")
    async def work(number):
        await asyncio.sleep(0)
        return trace.get_current_span().is_recording(), number

    async def both():
        return await asyncio.gather(work(1), work(2))

    assert asyncio.iscoroutinefunction(work)
    assert asyncio.run(both()) == [(True, 1), (True, 2)]
    assert our_spans.names == ["call", "call"]


def test_an_exception_passes_and_is_recorded(application):
    ours, our_spans = sdk_provider()
    tracer = provider.ResolvingTracerProvider(lambda: ours).get_tracer("t")

    @tracer.start_as_current_span("call")
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(KeyError), tracer.start_as_current_span("block"):
        raise KeyError("x")
    assert our_spans.names == ["call", "block"]
    assert [span.status.status_code for span in our_spans.ended] == [trace.StatusCode.ERROR] * 2
    assert trace.get_current_span() is trace.INVALID_SPAN


# What programs call on the provider that the stock distro would have set.


def test_calls_go_to_the_provider_in_use(application):
    ours, our_spans = sdk_provider()
    theirs, their_spans = sdk_provider()
    resolving = provider.ResolvingTracerProvider(lambda: ours)
    more = Recorder()
    resolving.add_span_processor(more)
    resolving.get_tracer("t").start_span("x").end()
    assert (our_spans.names, more.names) == (["x"], ["x"])
    assert resolving.force_flush() is True
    assert resolving.resource is ours.resource
    application(theirs)
    resolving.force_flush(100)
    resolving.shutdown()
    assert our_spans.asked == ["force_flush"]
    assert their_spans.asked == ["force_flush", "shutdown"]


def test_a_program_runs_on_where_nothing_is_recorded(application):
    # Switched off in the .env, or a wrong token: under the stock distro these calls would work, and so they do here.
    resolving = provider.ResolvingTracerProvider(lambda: None)
    resolving.add_span_processor(Recorder())
    assert resolving.force_flush() is True
    assert isinstance(dict(resolving.resource.attributes), dict)
    resolving.shutdown()


# Whole processes: the API's global provider can be set once.


def run(program, tmp_path, **environ):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OPENOBSERVE_"))}
    env.update(
        PYTHONPATH=str(AGENT),
        OPENOBSERVE_HF_OUTBOX_DIR=str(tmp_path / "outbox"),
        OPENOBSERVE_HF_DOTENV="false",
        HOME=str(tmp_path),
        **environ,
    )
    done = harness.run(["-c", textwrap.dedent(program)], door=None, env=env, cwd=tmp_path, timeout=60)
    return done.returncode, done.stdout, done.stderr


ENTER = "from hf_openobserve.pipeline import agent, provider; provider.become_global(agent.process.provider)"
APPLICATION = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
{enter}
early = trace.get_tracer("early")
exporter = InMemorySpanExporter()
mine = TracerProvider()
mine.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(mine)
same = trace.get_tracer_provider() is mine
early.start_span("early").end()
trace.get_tracer("late").start_span("late").end()
{more}
print(json.dumps([same, [span.name for span in exporter.get_finished_spans()]]))
"""


@pytest.mark.parametrize("more", ["", "trace.set_tracer_provider(TracerProvider())"], ids=["once", "twice"])
def test_an_application_sees_no_difference(tmp_path, more):
    ours = run(APPLICATION.format(enter=ENTER, more=more), tmp_path)
    bare = run(APPLICATION.format(enter="", more=more), tmp_path)
    assert ours == bare
    assert json.loads(ours[1]) == [True, ["early", "late"]]


def test_the_global_provider_set_as_the_global_provider(tmp_path):
    program = f"""
        from opentelemetry import trace
        {ENTER}
        trace.set_tracer_provider(trace.get_tracer_provider())
        with trace.get_tracer("t").start_as_current_span("x") as span:
            print(span.is_recording())
    """
    assert run(program, tmp_path) == (0, "True\n", "")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OPENOBSERVE_URL": "no-scheme", "OPENOBSERVE_AUTH_TOKEN": "user@example.com:fake"}, "OPENOBSERVE_URL"),
    ],
    ids=["recorded", "nothing-recorded", "wrong-url"],
)
def test_a_program_that_closes_its_provider_ends_well(tmp_path, environ, said):
    program = f"""
        from opentelemetry import trace
        {ENTER}
        with trace.get_tracer("t").start_as_current_span("x"):
            pass
        provider = trace.get_tracer_provider()
        provider.force_flush()
        provider.shutdown()
        print("done")
    """
    code, stdout, stderr = run(program, tmp_path, **environ)
    assert (code, stdout) == (0, "done\n")
    assert len(stderr.splitlines()) == bool(said)
    assert said in stderr


def test_threads_that_meet_the_applications_provider_join_it_once_and_not_before_it_is_done(tmp_path):
    # A span that ends before our processor is there is lost; a processor that is there twice makes two rows of a call.
    program = """
        import sys, threading
        from opentelemetry.sdk.trace import TracerProvider
        from hf_openobserve.pipeline.agent import Agent

        agent = Agent()
        class Theirs(TracerProvider):
            def __init__(self):
                super().__init__(shutdown_on_exit=False)
                self.added = []

            def add_span_processor(self, processor):
                self.added.append(processor)
                super().add_span_processor(processor)

        sys.setswitchinterval(1e-6)
        early = twice = 0
        for _ in range(100):
            theirs, barrier, seen = Theirs(), threading.Barrier(8), []
            def work():
                barrier.wait()
                agent.join(theirs)
                seen.append(len(theirs.added))
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            early += 0 in seen
            twice += len(theirs.added) != 1
        print("too early:", early, "not once:", twice)
    """
    assert run(program, tmp_path) == (0, "too early: 0 not once: 0\n", "")


def test_our_exit_is_not_the_sdks(tmp_path):
    program = """
        from opentelemetry.sdk.trace import SpanProcessor
        from hf_openobserve.pipeline import provider
        class Loud(SpanProcessor):
            def shutdown(self):
                print("shut down")
        provider.build(Loud())
    """
    assert run(program, tmp_path) == (0, "", "")
