"""The requests of a call, seen at ``send``: those of its own host; and a stream that is asked for its usage there."""

from __future__ import annotations

import asyncio
import inspect
import json
from types import SimpleNamespace

import pytest

from hf_openobserve.call.call import Call
from hf_openobserve.clients import http, usage_question
from scripted import Reply, ScriptedEndpoint

pytestmark = pytest.mark.matrix


class Response:
    def __init__(self, status_code):
        self.status_code = status_code
        self.headers = {"x-request-id": str(status_code)}


class Request:
    def __init__(self, host="router.test"):
        self.host = host
        self.url = self
        self.headers = {"x-hf-bill-to": "org"}

    def __str__(self):
        return f"https://{self.host}/v1/chat/completions"


def library():
    """A library with clients as httpx has them; a response that is an exception is raised."""

    class Client:
        def send(self, request, *, stream=False, answer=None):
            """Send."""
            if isinstance(answer, BaseException):
                raise answer
            return answer() if callable(answer) else answer

    class AsyncClient:
        async def send(self, request, *, stream=False, answer=None):
            if isinstance(answer, BaseException):
                raise answer
            return answer

    return SimpleNamespace(__name__="httpx9", Client=Client, AsyncClient=AsyncClient)


@pytest.fixture(params=["sync", "async"])
def send(request):
    clients = library()
    http.install(clients)
    if request.param == "sync":
        return clients.Client().send
    client = clients.AsyncClient()
    return lambda *args, **kwargs: asyncio.run(client.send(*args, **kwargs))


@pytest.fixture
def call():
    call = Call(url="https://router.test/v1/chat/completions", host="router.test")
    sending = http.Sending(call)
    sending.enter()
    yield call
    sending.leave()


def test_an_answer_is_an_attempt(send, call):
    answer = Response(200)
    assert send(Request(), answer=answer) is answer
    (attempt,) = call.attempts.done
    assert (attempt.status_code, attempt.error_type) == (200, None)
    assert attempt.start <= attempt.end
    assert call.attempts.answer == {"x-request-id": "200"}
    assert call.attempts.url == "https://router.test/v1/chat/completions"
    assert call.attempts.request_headers == {"x-hf-bill-to": "org"}
    assert call.response is answer


@pytest.mark.parametrize("error", [TimeoutError("slow"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_no_answer_is_an_attempt_too(send, call, error):
    with pytest.raises(type(error)):
        send(Request(), answer=error)
    (attempt,) = call.attempts.done
    assert (attempt.status_code, attempt.error_type) == (None, type(error).__name__)
    send(Request(), answer=Response(200))
    assert len(call.attempts.done) == 2


def test_what_goes_elsewhere_meanwhile_is_not_counted(send, call):
    send(Request("login.test"), answer=Response(200))
    assert call.attempts.done == []


def test_what_is_sent_while_sending_is_not_counted(call):
    clients = library()
    http.install(clients)
    client = clients.Client()
    client.send(Request(), answer=lambda: client.send(Request(), answer=Response(401)))
    assert [attempt.status_code for attempt in call.attempts.done] == [401]


def test_without_a_call_nothing_is_looked_at(send):
    assert send(object(), answer="answer") == "answer"


def test_a_request_of_another_form_goes_out_as_it_would(send, call):
    assert send(object(), answer="answer") == "answer"
    assert call.attempts.done == []


def test_the_clients_look_as_before():
    before, after = library(), library()
    http.install(after)
    for name in ("Client", "AsyncClient"):
        theirs, ours = getattr(before, name).send, getattr(after, name).send
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


def test_a_library_without_them_is_left_alone():
    http.install(SimpleNamespace(__name__="httpx9"))


def test_a_library_is_seen_once():
    clients = library()
    http.install(clients)
    ours = clients.Client.send
    http.install(clients)
    assert clients.Client.send is ours


# Asking for the usage, with real clients and a real server.

CHAT = {"model": "m", "messages": [], "stream": True}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
STOPPED = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}


def answer(path, body):
    case, asked = path.strip("/").partition("/")[0], "stream_options" in body
    if case == "refuses" and asked:
        return Reply(400, {"error": "unknown field"})
    return Reply(events=[STOPPED, *([{"choices": [], "usage": USAGE}] if asked else ()), "[DONE]"])


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(answer) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    for name, empty in (("_doubted", {}), ("_accepted", {}), ("_moves_nothing", set())):
        monkeypatch.setattr(usage_question, name, empty)


def stream(real, endpoint, case, *, is_async=False, mode="on", **client_options):
    """What a program reads of a stream, the bodies that went out, and the call."""
    url = endpoint.url.replace("/v1", f"/{case}/v1/chat/completions")
    call = Call(url=url, host="127.0.0.1", request=CHAT)
    call.streams()
    sending = http.Sending(call, usage_mode=mode)
    before = len(endpoint.calls)

    async def reading():
        async with real.AsyncClient(**client_options) as client, client.stream("POST", url, json=CHAT) as response:
            return await response.aread()

    sending.enter()
    try:
        if is_async:
            content = asyncio.run(reading())
        else:
            with real.Client(**client_options) as client, client.stream("POST", url, json=CHAT) as response:
                content = response.read()
                assert json.loads(response.request.content) == CHAT, "the program finds its own request"
    finally:
        sending.leave()
    return content, ["stream_options" in body for _, _, body in endpoint.calls[before:]], call


BARE = b"data: " + json.dumps(STOPPED).encode() + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("case", "mode", "asked", "usage"),
    [
        ("accepts", "on", [True], USAGE),
        ("accepts", "off", [False], None),
        ("accepts", "auto", [False], None),
        ("refuses", "on", [True, False], None),
    ],
)
def test_the_program_reads_what_it_would_have_read(real, endpoint, is_async, case, mode, asked, usage):
    content, sent, call = stream(real, endpoint, case, is_async=is_async, mode=mode)
    assert (content, sent) == (BARE, asked)
    known = call.facts()
    assert known.answer.get("usage") == usage
    assert known.answer["choices"][0]["message"]["content"] == "Hi"
    assert known.attributes["hf.stream.chunks"] == 1
    assert "http.request.resend_count" not in known.attributes, "what we repeated is no retry of the program's"


def test_what_stands_in_the_networks_place_meets_the_programs_own_request(real, endpoint):
    seen = []

    def handle(request):
        seen.append(json.loads(request.content))
        return real.Response(200, content=BARE, headers={"content-type": "text/event-stream"})

    content, _, call = stream(real, endpoint, "mocked", transport=real.MockTransport(handle))
    assert (content, seen) == (BARE, [CHAT])
    assert call.facts().answer["choices"][0]["message"]["content"] == "Hi"
