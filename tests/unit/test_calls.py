"""Facts beside the span: found by its ids, forgotten with it, and never more of them than the bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext

from hf_openobserve.capture import calls
from hf_openobserve.capture.attempts import Attempt
from hf_openobserve.capture.pace import Pace

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SCOPE = "openinference.instrumentation.openai"
ROUTER = "https://router.huggingface.co/v1/chat/completions"


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch):
    monkeypatch.setattr(calls, "_calls", OrderedDict())


@pytest.fixture(scope="module")
def tracer():
    return TracerProvider(shutdown_on_exit=False).get_tracer(SCOPE)


def begin(body, url=ROUTER, host="router.huggingface.co"):
    return calls.begin(url=url, host=host, body=body)


def facts_of(span):
    context = span.get_span_context()
    return calls.take(context.trace_id, context.span_id)


def facts(tracer, body=None, change=lambda call: None, **options):
    with tracer.start_as_current_span("call") as span:
        change(begin(body or {"model": MODEL}, **options))
    return facts_of(span)


def test_the_facts_of_a_call_come_with_its_span_and_go_with_it(tracer):
    with tracer.start_as_current_span("call") as span:
        begin({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "secret"}]})
    known = facts_of(span)
    assert (known.host, known.port, known.model, known.max_tokens) == ("router.huggingface.co", 443, MODEL, 64)
    assert known.attributes == {"hf.endpoint.kind": "router", "hf.model.base": MODEL}
    assert facts_of(span) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/chat/completions", (ROUTER, "router.huggingface.co")),
        ("chat/completions", (ROUTER, "router.huggingface.co")),
        ("http://Other.test:8080/v1/x", ("http://Other.test:8080/v1/x", "other.test")),
        ("https://[::1]/v1/x", ("https://[::1]/v1/x", "::1")),
        (
            "x?then=http://other.test",
            (ROUTER[: -len("chat/completions")] + "x?then=http://other.test", "router.huggingface.co"),
        ),
    ],
)
def test_a_request_goes_to_the_clients_address_or_to_its_own(url, address):
    class Base(str):
        __slots__ = ()
        host = "router.huggingface.co"

    client = SimpleNamespace(base_url=Base("https://router.huggingface.co/v1/"))
    assert calls.address_of(client, SimpleNamespace(url=url)) == address


def test_nothing_of_the_prompts_is_kept(tracer):
    body = {"model": MODEL, "messages": ["a prompt"], "prompt": "a prompt", "input": "a prompt"}
    assert "a prompt" not in repr(facts(tracer, body))


@pytest.mark.parametrize(
    ("body", "model", "max_tokens"),
    [
        ({"x": 1}, None, None),
        ({"model": None, "max_tokens": None}, None, None),
        ({"model": 5, "max_tokens": "5"}, None, None),
        ({"model": ["x"], "max_tokens": 5.5}, None, None),
        ({"model": "", "max_tokens": 0}, "", 0),
    ],
)
def test_only_what_has_the_right_type_is_a_fact(tracer, body, model, max_tokens):
    known = facts(tracer, body)
    assert (known.model, known.max_tokens) == (model, max_tokens)


class StatusError(Exception):
    status_code = 402
    response = SimpleNamespace(
        status_code=402, headers={"x-request-id": "Root=1"}, json=lambda: {"error": "No credits."}
    )
    body = "No credits."


def test_a_failure_is_added(tracer):
    known = facts(tracer, change=lambda call: call.failed(StatusError("Error code: 402")))
    assert known.status_code == 402
    assert known.error_type.endswith("StatusError")
    assert "No credits." in known.message
    assert known.attributes["hf.request_id"] == "Root=1"
    assert known.model == MODEL


@pytest.mark.parametrize(
    ("url", "model", "headers", "expected"),
    [
        (
            ROUTER,
            MODEL + ":together",
            {"x-inference-provider": "together", "inference-id": "i"},
            {
                "hf.endpoint.kind": "router",
                "hf.model.base": MODEL,
                "hf.provider.requested": "together",
                "hf.provider.served": "together",
                "hf.inference_id": "i",
            },
        ),
        (ROUTER, MODEL + ":fastest", None, {"hf.model.base": MODEL, "hf.model.policy": "fastest"}),
        (
            "https://router.huggingface.co/novita/v3/openai/chat/completions",
            "meta-llama/llama-3.1-8b-instruct",
            None,
            {"hf.endpoint.kind": "router_provider", "hf.provider.served": "novita"},
        ),
        (
            "http://127.0.0.1:8080/v1/chat/completions",
            MODEL + ":novita",
            {"x-inference-provider": "novita"},
            {"hf.endpoint.kind": "local", "hf.model.base": MODEL, "hf.provider.requested": "novita"},
        ),
        (
            "http://127.0.0.1:8080/v1/chat/completions",
            "llama3:8b",
            {"server": "llama.cpp"},
            {"hf.endpoint.kind": "local", "hf.model.base": "llama3:8b", "hf.endpoint.server": "llama.cpp"},
        ),
    ],
)
def test_who_was_asked_and_who_answered(tracer, url, model, headers, expected):
    def answer(call):
        call.attempts.answer = headers

    known = facts(tracer, {"model": model}, answer, url=url)
    assert expected.items() <= known.attributes.items()


def test_another_servers_model_is_no_hub_id(tracer):
    known = facts(tracer, {"model": "gpt-4o"}, url="https://api.openai.com/v1/chat/completions")
    assert known.attributes == {"hf.endpoint.kind": "other"}


def test_the_last_requests_own_address_and_headers_win(tracer):
    def sent(call):
        call.attempts.url = "https://x.eu-west-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
        call.attempts.request_headers = {"X-HF-Bill-To": "my-org"}

    known = facts(tracer, change=sent)
    assert known.host == "x.eu-west-1.aws.endpoints.huggingface.cloud"
    assert known.attributes["hf.endpoint.kind"] == "dedicated"
    assert known.attributes["hf.bill_to"] == "my-org"


def test_retries_are_counted_and_told(tracer):
    def tried(call):
        call.attempts.done.extend(
            [Attempt(1, 10, 429), Attempt(510, 520, None, "ReadTimeout"), Attempt(1520, 1600, 200)]
        )
        call.attempts.last_start = 1520

    known = facts(tracer, change=tried)
    assert known.attributes["http.request.resend_count"] == 2
    assert known.last_attempt == 1520
    assert [(event.time_unix_nano, dict(event.attributes)) for event in known.events] == [
        (10, {"hf.retry.wait": 5e-7, "http.response.status_code": 429}),
        (520, {"hf.retry.wait": 1e-6, "error.type": "ReadTimeout"}),
    ]


def test_one_attempt_is_no_retry(tracer):
    known = facts(tracer, change=lambda call: call.attempts.done.append(Attempt(1, 10, 200)))
    assert "http.request.resend_count" not in known.attributes
    assert (known.events, known.last_attempt) == ((), None)


@pytest.mark.parametrize("tokens", [3, "3", None, 3.5])
def test_a_servers_odd_count_costs_no_more_than_what_needs_it(tracer, tokens):
    def streamed(call):
        call.usage = {"completion_tokens": tokens}
        call.pace = Pace(began=1.0)
        call.pace.chunks, call.pace.first_content, call.pace.last_content = 3, 2.0, 4.0

    known = facts(tracer, change=streamed)
    assert known.attributes["gen_ai.response.time_to_first_chunk"] == 1.0
    assert known.attributes.get("hf.stream.tokens_per_second") == (1.0 if tokens == 3 else None)


def test_what_is_wrong_with_the_facts_is_not_wrong_with_the_span(tracer):
    def broken(call):
        call.usage = object()

    known = facts(tracer, change=broken)
    assert known.usage is None
    assert (known.model, known.host) == (MODEL, "router.huggingface.co")


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("routing.request_attributes", "hf.endpoint.kind"),
        ("routing.response_attributes", "hf.provider.served"),
        ("retry_events", "http.request.resend_count"),
        ("_tokens", "hf.stream.chunks"),
    ],
)
def test_a_part_that_cannot_be_built_costs_that_part_only(tracer, monkeypatch, name, lost):
    def fails(*_, **__):
        raise LookupError("of a form that nobody knows")

    def streamed(call):
        call.attempts.done.extend([Attempt(1, 10, 429), Attempt(520, 600, 200)])
        call.attempts.answer = {"x-inference-provider": "together"}
        call.pace = Pace()
        call.pace.came()

    monkeypatch.setattr("hf_openobserve.capture.calls." + name, fails)
    everything = {"hf.endpoint.kind", "hf.provider.served", "http.request.resend_count", "hf.stream.chunks"}
    assert everything - set(facts(tracer, change=streamed).attributes) == {lost}


@pytest.mark.parametrize(
    "usage",
    [
        {"completion_tokens": 1000, "completion_tokens_details": {"reasoning_tokens": 997}},
        {"output_tokens": 1000, "output_tokens_details": {"reasoning_tokens": 997}},
        {"completion_tokens": 3, "completion_tokens_details": None},
    ],
)
def test_the_pace_is_of_the_tokens_that_came(tracer, usage):
    def streamed(call):
        call.usage = usage
        call.pace = Pace(began=1.0)
        call.pace.chunks = call.pace.pieces = 3
        call.pace.first_content, call.pace.last_content = 2.0, 4.0

    known = facts(tracer, change=streamed)
    assert known.attributes["hf.stream.tokens_per_second"] == 1.0
    assert known.attributes["hf.stream.time_per_output_token"] == 1.0


def test_where_nobody_records_nothing_is_kept():
    assert begin({"model": MODEL}) is None
    unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer(SCOPE)
    with unsampled.start_as_current_span("call"):
        assert begin({"model": MODEL}) is None
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True))
    with trace.use_span(remote):
        assert begin({"model": MODEL}) is None
    assert calls.take(1, 2) is None


def test_a_span_that_is_no_openai_instrumentors_has_no_facts():
    own = TracerProvider(shutdown_on_exit=False).get_tracer("the.application")
    with own.start_as_current_span("work"):
        assert begin({"model": MODEL}) is None


def test_the_span_itself_is_not_written_to(tracer):
    with tracer.start_as_current_span("call", attributes={"a": 1}) as span:
        begin({"model": MODEL}).failed(ValueError("x"))
    assert dict(span.attributes) == {"a": 1}
    assert span.events == ()


def test_calls_within_each_other_stay_apart(tracer):
    with tracer.start_as_current_span("outer") as outer:
        begin({"model": "outer"})
        with tracer.start_as_current_span("inner") as inner:
            begin({"model": "inner"})
    assert facts_of(inner).model == "inner"
    assert facts_of(outer).model == "outer"


def test_spans_that_never_end_do_not_grow_the_host(tracer, monkeypatch):
    monkeypatch.setattr(calls, "_CAPACITY", 100)
    spans = []
    for number in range(250):
        with tracer.start_as_current_span("call") as span:
            begin({"model": str(number)})
        spans.append(span)
    assert len(calls._calls) == 100
    assert facts_of(spans[149]) is None
    assert [facts_of(span).model for span in spans[150:]] == [str(number) for number in range(150, 250)]


def test_threads_at_the_bound(tracer, monkeypatch):
    monkeypatch.setattr(calls, "_CAPACITY", 4)
    errors = []

    def work():
        try:
            for number in range(300):
                with tracer.start_as_current_span("call") as span:
                    begin({"model": str(number)}).failed(ValueError("x"))
                known = facts_of(span)
                if known is not None and known.model != str(number):
                    errors.append(known)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(calls._calls) <= 4
