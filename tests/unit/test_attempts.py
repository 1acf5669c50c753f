"""The requests of a call, seen at ``send``: those of the call's own host, and nobody else's."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace

import pytest

from hf_openobserve.capture import attempts
from hf_openobserve.capture.attempts import Attempt, Attempts


class Response:
    def __init__(self, status_code):
        self.status_code = status_code
        self.headers = {"x-request-id": str(status_code)}
        self.extensions = {}


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
    attempts.install(clients)
    if request.param == "sync":
        return clients.Client().send
    client = clients.AsyncClient()
    return lambda *args, **kwargs: asyncio.run(client.send(*args, **kwargs))


@pytest.fixture
def call():
    call = SimpleNamespace(attempts=Attempts("router.test"), streams=None)
    token = attempts.current.set(call)
    yield call
    attempts.current.reset(token)


def test_an_answer_is_an_attempt(send, call):
    answer = Response(200)
    assert send(Request(), answer=answer) is answer
    (attempt,) = call.attempts.done
    assert (attempt.status_code, attempt.error_type) == (200, None)
    assert attempt.start <= attempt.end
    assert call.attempts.answer == {"x-request-id": "200"}
    assert call.attempts.url == "https://router.test/v1/chat/completions"
    assert call.attempts.request_headers == {"x-hf-bill-to": "org"}
    assert answer.extensions == {}, "only a stream has to find its call again"


def test_the_answer_of_a_stream_knows_its_call(send, call):
    call.streams = object()
    assert send(Request(), answer=Response(200)).extensions == {attempts.EXTENSION: call}


@pytest.mark.parametrize("error", [TimeoutError("slow"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_no_answer_is_an_attempt_too(send, call, error):
    with pytest.raises(type(error)):
        send(Request(), answer=error)
    (attempt,) = call.attempts.done
    assert (attempt.status_code, attempt.error_type) == (None, type(error).__name__)
    send(Request(), answer=Response(200))
    assert len(call.attempts.done) == 2


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"retry-after": "2"}, {"hf.retry_after": 2.0}),
        ({"retry-after": "0.5"}, {"hf.retry_after": 0.5}),
        (
            {"retry-after": "Mon, 23 Nov 2026 18:00:00 GMT"},
            {"hf.retry_after.date": "Mon, 23 Nov 2026 18:00:00 GMT"},
        ),
        ({}, {}),
        (None, {}),
    ],
)
def test_a_retry_tells_the_wait_that_the_server_asked_for_and_the_one_it_got(headers, told):
    done = [Attempt(1, 10, status_code=429, headers=headers), Attempt(1_000_000_010, 1_000_000_020, 200)]
    (event,) = attempts.retry_events(done)
    assert (event.name, event.time_unix_nano) == ("hf.retry", 10)
    assert event.attributes == {"hf.retry.wait": 1.0, "http.response.status_code": 429, **told}


def test_what_goes_elsewhere_meanwhile_is_not_counted(send, call):
    send(Request("login.test"), answer=Response(200))
    assert call.attempts.done == []


def test_what_is_sent_while_sending_is_not_counted(call):
    clients = library()
    attempts.install(clients)
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
    attempts.install(after)
    for name in ("Client", "AsyncClient"):
        theirs, ours = getattr(before, name).send, getattr(after, name).send
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert (ours.__name__, ours.__doc__) == (theirs.__name__, theirs.__doc__)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


def test_a_library_without_them_is_left_alone():
    attempts.install(SimpleNamespace(__name__="httpx9"))


@pytest.mark.parametrize(
    ("statuses", "refusal", "kept"),
    [
        ([400], 400, []),
        ([503, 400], 400, [503]),
        ([500, 500, 500], 500, []),
        ([503, 500, 500], 500, [503]),
        ([400, 503, 400], 400, [400, 503]),
    ],
)
def test_what_was_ours_is_forgotten_and_a_retry_of_the_programs_is_not(statuses, refusal, kept, send, call):
    for status in statuses:
        send(Request(), answer=Response(status))
    call.attempts.forget(refusal)
    assert [attempt.status_code for attempt in call.attempts.done] == kept
    assert call.attempts.answer is None
