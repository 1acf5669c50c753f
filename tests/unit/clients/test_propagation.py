"""The trace on a request: whose endpoints are told, in whose words, and that the program's request is what it was."""

from __future__ import annotations

import asyncio
import json

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from hf_openobserve.call.call import Call
from hf_openobserve.clients import http, propagation
from scripted import Reply, ScriptedEndpoint, chat_body

pytestmark = pytest.mark.matrix

SPAN = trace.NonRecordingSpan(trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1)))
TRACE = f"00-{0xA1:032x}-{0xB2:016x}-01"
THEIRS = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"
CHAT = {"model": "m", "messages": []}


def answer(path, _body):
    if path.startswith("/moved"):
        return Reply(307, {}, {"location": path.replace("/moved", "/v1")})
    return Reply(body=chat_body())


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(answer) as server:
        yield server


@pytest.fixture(autouse=True)
def known_state():
    both = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(both)
    token = context.attach(trace.set_span_in_context(SPAN, baggage.set_baggage("tenant", "t")))
    yield
    context.detach(token)
    propagate.set_global_textmap(before)


def posted(real, endpoint, path="/v1", *, is_async=False, headers=None, propagate_mode="auto", **client_options):
    """The headers of each request that the server gets, and of the one that the program finds on its answer."""
    url = endpoint.url.replace("/v1", path + "/chat/completions")
    sending = http.Sending(Call(url=url, host="127.0.0.1", request=CHAT), propagate=propagate_mode)
    before = len(endpoint.calls)
    options = {"follow_redirects": True, **client_options}

    async def post():
        async with real.AsyncClient(**options) as client:
            return await client.post(url, json=CHAT, headers=headers)

    sending.enter()
    try:
        if is_async:
            response = asyncio.run(post())
        else:
            with real.Client(**options) as client:
                response = client.post(url, json=CHAT, headers=headers)
    finally:
        sending.leave()
    assert response.status_code == 200
    assert response.history or json.loads(response.request.content) == CHAT
    received = [{name.lower(): value for name, value in sent.items()} for _, sent, _ in endpoint.calls[before:]]
    return received, dict(response.request.headers)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_the_server_is_told_and_the_program_sees_its_own_request(real, endpoint, is_async):
    (received,), seen = posted(real, endpoint, is_async=is_async)
    assert (received.pop("traceparent"), received.pop("baggage")) == (TRACE, "tenant=t")
    assert received == seen


def test_what_the_program_sets_itself_stays(real, endpoint):
    (received,), seen = posted(real, endpoint, headers={"Traceparent": THEIRS})
    assert received == seen
    assert (received["traceparent"], "baggage" in received) == (THEIRS, False)


def test_nobody_is_told_where_the_program_would_see_it(real, endpoint):
    requests = []
    (received,), _ = posted(real, endpoint, event_hooks={"request": [requests.append]})
    assert "traceparent" not in received
    mock = real.MockTransport(lambda request: requests.append(request) or real.Response(200, json={}))
    assert posted(real, endpoint, transport=mock)[0] == []
    assert ["traceparent" in request.headers for request in requests] == [False, False]


def test_a_stand_in_for_send_is_called_as_the_program_would(real, endpoint, monkeypatch):
    seen = []

    def stand_in(_client, request, stream=False):
        seen.append((dict(request.headers), stream))
        return real.Response(200, json={}, request=request)

    monkeypatch.setattr(real.Client, "send", stand_in)
    http.install(real)
    sending = http.Sending(Call(url=endpoint.url, host="127.0.0.1", request=CHAT), propagate="auto")
    sending.enter()
    with real.Client() as client:
        request = real.Request("POST", endpoint.url, json=CHAT)
        client.send(request, stream=True)
    sending.leave()
    assert seen == [(dict(request.headers), True)]
    assert "traceparent" not in request.headers


def test_a_redirect_takes_the_trace_nowhere(real, endpoint):
    received, seen = posted(real, endpoint, "/moved")
    assert ["traceparent" in headers for headers in received] == [True, False, False]
    assert "traceparent" not in seen


def test_nobody_is_told_where_that_is_switched_off(real, endpoint):
    (received,), _ = posted(real, endpoint, propagate_mode="off")
    assert "traceparent" not in received


def test_the_users_propagators_write_it(real, endpoint):
    propagate.set_global_textmap(CompositePropagator([]))  # OTEL_PROPAGATORS=none
    (received,), _ = posted(real, endpoint)
    assert "traceparent" not in received


DEDICATED = "https://abc.eu-west-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
ROUTER = "https://router.huggingface.co/v1/chat/completions"
LOCAL = "http://localhost:8080/v1/chat/completions"
THIRD = "https://api.groq.com/openai/v1/chat/completions"


@pytest.mark.parametrize(
    ("mode", "url", "told"),
    [
        ("auto", DEDICATED, ["baggage", "traceparent"]),
        ("auto", LOCAL, ["baggage", "traceparent"]),
        ("auto", ROUTER, []),
        ("auto", THIRD, []),
        ("auto", "https://endpoints.huggingface.cloud.example/v1/chat/completions", []),
        ("on", ROUTER, ["traceparent"]),  # the program's baggage is nobody else's business
        ("on", THIRD, ["traceparent"]),
        ("on", LOCAL, ["baggage", "traceparent"]),
    ],
)
def test_who_is_told(real, mode, url, told):
    with real.Client() as client:
        request = real.Request("POST", url, json=CHAT)
        before = dict(request.headers)
        added = propagation.add_to(request, client, None, None, mode)
        assert sorted(added) == told
        assert dict(request.headers) == {**before, **added}
        propagation.take_from(request, added)
        assert dict(request.headers) == before


def test_a_body_that_is_read_while_it_is_sent_is_left_alone(real):
    with real.Client() as client:
        request = real.Request("POST", LOCAL, content=iter([b"{}"]))
        assert propagation.add_to(request, client, None, None, "auto") == {}


def test_what_another_instrumentation_has_put_in_its_place_stays(real):
    request = real.Request("POST", LOCAL, headers={"traceparent": THEIRS})
    propagation.take_from(request, {"traceparent": TRACE})
    assert request.headers["traceparent"] == THEIRS


def test_without_a_span_there_is_nothing_to_tell():
    token = context.attach(context.Context())
    assert propagation.headers_of(None, with_baggage=True) == {}
    context.detach(token)
    assert propagation.headers_of(SPAN, with_baggage=False) == {"traceparent": TRACE}
