"""What is made of exceptions: bodies in every form, and the real exceptions of openai, huggingface_hub and beneath."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_openobserve.wire import errors
from hf_openobserve.wire.errors import KINDS, Failure, describe, sentence_of

pytestmark = pytest.mark.matrix

CREDITS = (
    "You have depleted your monthly included credits. Purchase pre-paid credits to continue using Inference Providers."
)
UNSUPPORTED = "The requested model 'org/name' is not supported by any provider you have enabled."
PAGE = "<!DOCTYPE html>\n<html><head><title>{}</title></head><body><h1>Sorry</h1></body></html>"


# Bodies.


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": CREDITS}, CREDITS),
        (
            {"error": {"message": UNSUPPORTED, "type": "invalid_request_error", "code": "model_not_supported"}},
            UNSUPPORTED,
        ),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "too long"),  # old vLLM
        ({"error": ["one", "two"]}, "one; two"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Field required"}]},
            "messages.0.role: Field required",
        ),
        ({"detail": [{"loc": ["body"], "msg": "Field required", "input": {"messages": "secret"}}]}, "Field required"),
        ({"detail": {"error": {"message": "deep"}}}, "deep"),
        ({"error": "invalid_grant", "error_description": "The token is old."}, "invalid_grant: The token is old."),
        ({"error": "Bad Request", "message": "model is required", "statusCode": 400}, "Bad Request: model is required"),
        ({"error": "infra_overload", "detail": "At maximum capacity"}, "infra_overload: At maximum capacity"),
        ({"error": True, "message": "yes"}, "yes"),
        ({"error": None, "message": "yes"}, "yes"),
        ({"error": {"message": "", "code": "model_not_found"}}, "model_not_found"),
        ({"title": "Unauthenticated", "detail": "No token was passed", "status": 401}, "No token was passed"),
        ({"error": {"message": json.dumps({"error": {"message": "the provider's own"}})}}, "the provider's own"),
        ({"error": "{not json"}, "{not json"),
        ("upstream\n  request timeout", "upstream request timeout"),
        (PAGE.format("502 Bad Gateway"), "502 Bad Gateway"),
        ("<html><body>Bad Gateway</body></html>", ""),
        (b"no text \xff", "no text \ufffd"),
        ({}, ""),
        ([], ""),
        (None, ""),
        (17, ""),
        ({"error": {"error": {"error": {"error": {"error": {"error": {"error": {"error": "too deep"}}}}}}}}, ""),
    ],
)
def test_the_sentence_of_a_body(body, sentence):
    assert sentence_of(body) == sentence


# Answers, as the two clients turn them into exceptions.


ANSWERS = {
    "string": (402, {"error": CREDITS}, "402 Payment Required: " + CREDITS, "credits_exhausted"),
    "object": (
        400,
        {"error": {"message": UNSUPPORTED, "type": "invalid_request_error", "code": "model_not_supported"}},
        "400 Bad Request: " + UNSUPPORTED,
        "model_not_supported",
    ),
    "budget as 429": (429, {"error": CREDITS}, "429 Too Many Requests: " + CREDITS, "credits_exhausted"),
    "code beside a string": (
        429,
        {"error": "Please wait", "error_type": "overloaded"},
        "429 Too Many Requests: Please wait",
        "provider_overloaded",
    ),
    "estimated time": (
        503,
        {"error": "Soon", "estimated_time": 20.0},
        "503 Service Unavailable: Soon",
        "model_loading",
    ),
    "fastapi": (
        422,
        {
            "detail": [
                {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"x": "prompt"}}
            ]
        },
        "messages: Field required",
        "bad_request",
    ),
    "a code in a list": (
        422,
        {"detail": [{"type": "content_policy_violation", "msg": "No."}]},
        "No.",
        "content_filter",
    ),
    "page of a gateway": (502, PAGE.format("502 Bad Gateway"), "502 Bad Gateway", "server_error"),
    "page of a firewall": (
        403,
        PAGE.format("Attention Required! | Cloudflare"),
        "403 Forbidden: Attention Required! | Cloudflare",
        None,
    ),
    "plain text": (504, "upstream request timeout", "504 Gateway Timeout: upstream request timeout", "gateway_timeout"),
    "the phrase again": (404, {"detail": "Not Found"}, "404 Not Found", "bad_request"),
    "no body": (503, "", "503 Service Unavailable", "provider_overloaded"),
    "no object": (500, [1, 2], "500 Internal Server Error", "server_error"),
    "null": (500, "null", "500 Internal Server Error", "server_error"),
    "truncated": (400, '{"error": {"mess', '400 Bad Request: {"error": {"mess', "bad_request"),
    "unassigned status": (
        529,
        {"error": {"type": "overloaded_error", "message": "Overloaded"}},
        "529: Overloaded",
        "provider_overloaded",
    ),
}


def raw(body):
    text = body if isinstance(body, str) else json.dumps(body)
    html = text.startswith("<")
    kind = "text/html" if html else "application/json" if text.startswith(("{", "[")) else "text/plain"
    return text.encode(), {"content-type": kind, "x-request-id": "Root=1-abc", "x-inference-provider": "together"}


def of_openai(status, body, *, is_async=False, stream=False, more_headers=None):
    """The exception of openai's client, which is given this answer."""
    openai = pytest.importorskip("openai")
    httpx = importlib.import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
    content, headers = raw(body)
    headers.update(more_headers or {})

    def handle(_request):
        return httpx.Response(status, content=content, headers=headers)

    http_client = (httpx.AsyncClient if is_async else httpx.Client)(transport=httpx.MockTransport(handle))
    options = {"base_url": "http://x.invalid/v1", "api_key": "x", "max_retries": 0, "http_client": http_client}
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}

    async def ask():
        async with openai.AsyncOpenAI(**options) as client:
            answer = await client.chat.completions.create(**request)
            return [chunk async for chunk in answer]

    def ask_and_wait():
        with openai.OpenAI(**options) as client:
            list(client.chat.completions.create(**request))

    with pytest.raises(Exception) as raised:
        asyncio.run(ask()) if is_async else ask_and_wait()
    return raised.value


def of_hub(status, body, *, url="http://x.invalid/v1/chat/completions", more_headers=None):
    """The exception of huggingface_hub's clients but for the asynchronous one up to 0.36."""
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.utils import hf_raise_for_status

    content, headers = raw(body)
    headers.update(more_headers or {})
    major = int(hub.__version__.split(".")[0])
    if major >= 1:
        httpx = importlib.import_module("httpx2" if major >= 2 else "httpx")
        response = httpx.Response(status, content=content, headers=headers, request=httpx.Request("POST", url))
    else:
        requests = importlib.import_module("requests")
        response = requests.Response()
        response.status_code, response._content, response.url = status, content, url
        response.headers.update(headers)
        response.request = requests.Request("POST", url).prepare()
    with pytest.raises(Exception) as raised:
        hf_raise_for_status(response)
    return raised.value


def of_aiohttp(status, body):
    """As huggingface_hub up to 0.36 raises it from its asynchronous client, with the payload attached."""
    aiohttp = pytest.importorskip("aiohttp")
    multidict = importlib.import_module("multidict")
    content, headers = raw(body)
    error = aiohttp.ClientResponseError(
        SimpleNamespace(real_url="http://user:secret@x.invalid/v1?token=secret"),
        (),
        status=status,
        message="as the status line has it",
        headers=multidict.CIMultiDict(headers),
    )
    try:
        error.response_error_payload = json.loads(content)
    except ValueError:
        error.response_error_payload = None
    return error


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_openai_raises(case, is_async):
    status, body, message, kind = ANSWERS[case]
    error = of_openai(status, body, is_async=is_async)
    told = describe(error)
    assert told.message.startswith(type(error).__name__ + ": " + str(status))
    assert told.message.endswith(message)
    assert (told.kind, told.status_code) == (kind, status)
    assert told.error_type == "openai." + type(error).__name__
    assert told.headers["x-request-id"] == "Root=1-abc"
    assert describe(of_openai(status, body, is_async=is_async, stream=True)) == told._replace(headers=told.headers)


@pytest.mark.parametrize("case", [name for name in ANSWERS if name not in ("no object", "null")])
def test_what_huggingface_hub_raises(case):  # which raises an AttributeError of its own for a body that is no object
    status, body, message, kind = ANSWERS[case]
    error = of_hub(status, body)
    told = describe(error)
    assert told.message.startswith(type(error).__name__ + ": " + str(status))
    assert told.message.endswith(message)
    assert (told.kind, told.status_code) == (kind, status)
    assert told.error_type == "huggingface_hub." + type(error).__name__
    assert told.headers["x-request-id"] == "Root=1-abc"


@pytest.mark.parametrize("case", [name for name, answer in ANSWERS.items() if isinstance(answer[1], dict)])
def test_what_aiohttp_raises(case):
    status, body, message, kind = ANSWERS[case]
    told = describe(of_aiohttp(status, body))
    assert told.error_type == "aiohttp.ClientResponseError"
    assert told.message.endswith(message)
    assert "secret" not in told.message
    assert (told.kind, told.status_code) == (kind, status)
    assert told.headers["X-Request-Id"] == "Root=1-abc"


@pytest.mark.parametrize("make", [of_openai, of_hub])
def test_an_error_of_the_hub_is_told_by_its_headers(make):
    headers = {"x-error-code": "GatedRepo", "x-error-message": "Access to model org/name is not for you."}
    told = describe(make(403, "", more_headers=headers))
    assert told.kind == "gated_model"
    assert told.message.endswith(": 403 Forbidden: Access to model org/name is not for you.")


def test_a_model_that_hf_inference_does_not_have():
    url = "https://router.huggingface.co/hf-inference/models/org/name"
    assert describe(of_hub(404, "Not Found", url=url)).kind == "model_not_supported"


@pytest.mark.parametrize(
    ("body", "raises", "kind"),
    [
        ({"error": "Model is overloaded", "error_type": "overloaded"}, "OverloadedError", "provider_overloaded"),
        (
            {"error": "`inputs` must have less than 4095 tokens", "error_type": "validation"},
            "ValidationError",
            "context_length",
        ),
        ({"error": "`temperature` must be positive", "error_type": "validation"}, "ValidationError", "bad_request"),
        ({"error": "Request failed during generation", "error_type": "generation"}, "GenerationError", "server_error"),
        ({"error": "Incomplete", "error_type": "incomplete_generation"}, "IncompleteGenerationError", "server_error"),
    ],
)
def test_an_error_of_text_generation_has_the_status_of_its_cause(body, raises, kind):
    status = {"OverloadedError": 429, "ValidationError": 422, "GenerationError": 424}.get(raises, 500)
    http_error = of_hub(status, body)
    from huggingface_hub.inference._common import raise_text_generation_error

    with pytest.raises(Exception) as raised:
        raise_text_generation_error(http_error)
    told = describe(raised.value)
    assert (type(raised.value).__name__, told.kind, told.status_code) == (raises, kind, status)
    assert told.message.startswith(f"{raises}: {status} ")
    assert told.message.endswith(": " + body["error"])


def test_a_model_is_loading_says_the_server_not_the_clock():
    """Where huggingface_hub gives up waiting for a model, its time out has the answer with it."""
    error = pytest.importorskip("huggingface_hub").InferenceTimeoutError("Model not loaded")
    error.__cause__ = of_hub(503, {"error": "Model org/name is currently loading"})
    assert describe(error).kind == "model_loading"


def test_an_answer_that_is_no_error_does_not_get_into_the_message():
    openai = pytest.importorskip("openai")
    response = of_openai(400, {}).response
    response.status_code = 200
    told = describe(openai.APIResponseValidationError(response, body={"choices": "the answer"}))
    assert told.kind is None
    assert told.message == "APIResponseValidationError: 200 OK: Data returned by API invalid for expected schema."


# Inside a stream.


IN_STREAM = [
    ({"message": "The provider went away", "type": "server_error"}, "The provider went away", "stream_broken"),
    ("The provider went away", "The provider went away", "stream_broken"),
    ({"message": "Too many requests", "code": 429}, "Too many requests", "rate_limited"),
    ({"message": "No more", "code": "402"}, "No more", "credits_exhausted"),
    ({"message": "x", "code": "context_length_exceeded"}, "x", "context_length"),
    (CREDITS, CREDITS, "credits_exhausted"),
]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("error", "sentence", "kind"), IN_STREAM)
def test_an_error_inside_a_stream_of_openai(error, sentence, kind, is_async):
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in (chunk, {"error": error}))
    raised = of_openai(200, lines, is_async=is_async, stream=True, more_headers={"content-type": "text/event-stream"})
    assert describe(raised, streaming=True) == Failure("openai.APIError", "APIError: " + sentence, kind)


@pytest.mark.parametrize(("error", "sentence", "kind"), IN_STREAM)
def test_an_error_inside_a_stream_of_huggingface_hub(error, sentence, kind):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub.inference._common import _parse_text_generation_error

    raised = _parse_text_generation_error(error, None)
    told = describe(raised, streaming=True)
    assert told == Failure("huggingface_hub.UnknownError", "UnknownError: " + sentence, kind)


@pytest.mark.parametrize(
    ("error_type", "kind"),
    [
        ("generation", "stream_broken"),
        ("incomplete_generation", "stream_broken"),
        ("overloaded", "provider_overloaded"),
        ("validation", "bad_request"),
    ],
)
def test_an_error_of_text_generation_inside_a_stream(error_type, kind):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub.inference._common import _parse_text_generation_error

    assert describe(_parse_text_generation_error("No.", error_type), streaming=True).kind == kind


# No answer.


class Server:
    """Sends the first bytes of an answer, and then hangs (``hang``) or hangs up."""

    def __init__(self, first, *, hang=False):
        self._first, self._hang = first, hang
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:secret@127.0.0.1:{self._socket.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._first)
                if self._hang:
                    self._over.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\n"
BEGUN = HEAD + b'data: {"choices": []}\n\n'


def read_by_requests(url, timeout, module):
    with module.get(url, timeout=timeout, stream=True) as response:
        list(response.iter_lines())


def read_by_httpx(url, timeout, module):
    with module.stream("GET", url, timeout=timeout) as response:
        list(response.iter_lines())


def read_by_aiohttp(url, timeout, module):
    async def read():
        session = module.ClientSession(timeout=module.ClientTimeout(total=timeout))
        async with session, session.get(url) as response:
            async for _ in response.content:
                pass

    asyncio.run(read())


def read_by_openai(url, timeout, module):
    with module.OpenAI(base_url=url, api_key="x", timeout=timeout, max_retries=0) as client:
        list(client.chat.completions.create(model="m", messages=[], stream=True))


def read_by_hub(url, timeout, module):
    client = module.InferenceClient(base_url=url, token="x", timeout=timeout)
    list(client.chat_completion([{"role": "user", "content": "Hi"}], stream=True))


def read_by_async_hub(url, timeout, module):
    async def read():
        async with module.AsyncInferenceClient(base_url=url, token="x", timeout=timeout) as client:
            async for _ in await client.chat_completion([{"role": "user", "content": "Hi"}], stream=True):
                pass

    if int(module.__version__.split(".")[0]) < 1:
        pytest.importorskip("aiohttp")
        url = url.replace("user:secret@", "")  # it takes no address with credentials beside a token
    asyncio.run(read())


READERS = {
    "requests": ("requests", read_by_requests),
    "httpx": ("httpx", read_by_httpx),
    "httpx2": ("httpx2", read_by_httpx),
    "aiohttp": ("aiohttp", read_by_aiohttp),
    "openai": ("openai", read_by_openai),
    "huggingface_hub": ("huggingface_hub", read_by_hub),
    "huggingface_hub async": ("huggingface_hub", read_by_async_hub),
}


@pytest.fixture(params=READERS)
def reader(request):
    name, read = READERS[request.param]
    module = pytest.importorskip(name)

    def failed(url, timeout=10):
        with pytest.raises(Exception) as raised:
            read(url, timeout, module)
        return raised.value

    return failed


def test_nobody_listens(reader):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://user:secret@127.0.0.1:{bound.getsockname()[1]}/v1"
    told = describe(reader(url))
    assert (told.kind, told.status_code, told.headers) == ("connection", None, None)
    assert "secret" not in told.message
    assert " object at 0x" not in told.message
    assert any(reason in told.message.lower() for reason in ("refused", "connect call failed", "attempts failed")), told


def test_the_server_hangs_up_before_it_answers(reader):
    with Server(b"") as server:
        told = describe(reader(server.url))
    assert told.kind == "connection"
    assert "secret" not in told.message


@pytest.mark.parametrize("begun", [False, True], ids=["before", "inside"])
def test_the_time_of_the_client_is_up(reader, begun):
    with Server(BEGUN if begun else b"", hang=True) as server:
        told = describe(reader(server.url, timeout=0.3), streaming=begun)
    assert told.kind == "client_timeout", told
    assert told.status_code is None
    assert "secret" not in told.message


def test_a_stream_that_is_cut(reader):
    with Server(BEGUN) as server:
        error = reader(server.url)
    told = describe(error, streaming=True)
    assert told.kind == "stream_broken", told
    assert len(told.message) > len(type(error).__name__) + 2, "it says how"


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (asyncio.CancelledError(), Failure("asyncio.CancelledError", "CancelledError", "cancelled")),
        (concurrent.futures.CancelledError(), Failure("concurrent.CancelledError", "CancelledError", "cancelled")),
        (KeyboardInterrupt(), Failure("KeyboardInterrupt", "KeyboardInterrupt", "cancelled")),
        (GeneratorExit(), Failure("GeneratorExit", "GeneratorExit", "cancelled")),
        (SystemExit(3), Failure("SystemExit", "SystemExit: 3", "cancelled")),
        (TimeoutError("too\n slow"), Failure("TimeoutError", "TimeoutError: too slow", "client_timeout")),
        (
            ConnectionResetError(104, "reset"),
            Failure("ConnectionResetError", "ConnectionResetError: [Errno 104] reset", "connection"),
        ),
        (socket.gaierror(-2, "unknown"), Failure("socket.gaierror", "gaierror: [Errno -2] unknown", "connection")),
        (ssl.SSLError(1, "bad"), Failure("ssl.SSLError", "SSLError: bad", "connection")),
        (KeyError("mine"), Failure("KeyError", "KeyError: 'mine'", None)),
        (
            ValueError("monthly credits, rate limit"),
            Failure("ValueError", "ValueError: monthly credits, rate limit", None),
        ),
        (
            ValueError("Model org/name is not supported by provider together."),
            Failure(
                "ValueError",
                "ValueError: Model org/name is not supported by provider together.",
                "model_not_supported",
            ),
        ),
        (RuntimeError({"error": "said"}), Failure("RuntimeError", "RuntimeError: said", None)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_exceptions_of_python_itself(error, failure):
    assert describe(error) == failure


@pytest.mark.parametrize("make", [asyncio.TimeoutError, socket.timeout, concurrent.futures.TimeoutError])
def test_time_outs_by_their_older_names(make):
    assert describe(make()).kind == "client_timeout"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(104, "reset"), "stream_broken"),
        (json.JSONDecodeError("Expecting value", "{", 1), "stream_broken"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "stream_broken"),
        (TimeoutError(), "client_timeout"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyError("thrown in by the program"), None),
        (ValueError("Model x is not supported by provider y"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_inside_a_stream(error, kind):
    assert describe(error, streaming=True).kind == kind


def test_answers_that_openai_cannot_parse():
    openai = pytest.importorskip("openai")
    cut = openai.LengthFinishReasonError(completion=SimpleNamespace(usage=None))
    filtered = openai.ContentFilterFinishReasonError()
    for streaming in (False, True):
        assert describe(cut, streaming=streaming).kind == "length_limit"
        assert describe(filtered, streaming=streaming).kind == "content_filter"


def test_what_clients_notice_before_they_ask():
    errors_of_hub = pytest.importorskip("huggingface_hub.errors")
    assert describe(errors_of_hub.HFValidationError("Repo id must be ...")).kind == "bad_request"
    assert describe(errors_of_hub.LocalTokenNotFoundError("Token is required")).kind == "auth_invalid"
    assert describe(errors_of_hub.OfflineModeIsEnabled("Cannot reach it")).kind == "connection"


# What does not get in, and what cannot go wrong.


def test_no_credential_of_an_address_and_no_more_than_a_thousand_characters():
    error = ConnectionError(
        "no way to https://me:secret@x.invalid/v1?key=secret#secret, see http://y.invalid/?q=secret " + "x" * 5000
    )
    message = describe(error).message
    assert message.startswith("ConnectionError: no way to https://x.invalid/v1 see http://y.invalid/ xxx")
    assert (len(message), message[-3:]) == (1000, "...")
    told = describe(of_openai(400, {"error": "y" * 100_000}))
    assert (len(told.message), told.message[-3:]) == (1000, "...")


def test_a_stream_that_nobody_has_read_is_not_read():
    requests = pytest.importorskip("requests")

    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError(name)

    response = requests.Response()
    response.status_code, response.raw = 402, Untouchable()
    told = describe(requests.HTTPError("402 Client Error", response=response))
    assert told[1:4] == ("HTTPError: 402 Payment Required", "credits_exhausted", 402)


class Hostile(Exception):
    """Whatever is asked of it raises."""

    __module__ = "mine"

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __str__(self):
        raise RuntimeError

    response = body = args = property(lambda self: 1 // 0)


def test_an_exception_that_says_nothing_is_named():
    assert describe(Hostile()) == Failure("mine.Hostile", "Hostile")
    Nameless = type("Nameless", (Exception,), {"__module__": None})
    assert describe(Nameless("said")).message == "Nameless: said"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "msg", "loc", "code", "type", "status", "errors"])
            | st.text(),
            inner,
        )
    ),
    max_leaves=12,
)


class Carrying(Exception):
    """An error with whatever members, as any client might raise it."""

    def __init__(self, *args, **members):
        super().__init__(*args)
        vars(self).update(members)


def checked(error, streaming):
    told = describe(error, streaming=streaming)
    assert told.kind in (*KINDS, None)
    assert 0 < len(told.message) <= 1000
    assert "\n" not in told.message
    assert isinstance(told.error_type, str)


@settings(max_examples=100, deadline=None)
@given(JSON, st.integers(100, 599), st.booleans())
def test_no_body_makes_it_raise(body, status, streaming):
    response = SimpleNamespace(
        status_code=status, json=lambda: body, text=str(body), headers={}, url="http://x.invalid"
    )
    checked(Carrying(body, response=response, body=body, server_message=body, response_error_payload=body), streaming)
    checked(Carrying(body, body=body, message=body, status=body), streaming)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(JSON | st.just(KeyError("inner")) | st.binary(max_size=10), max_size=3),
    st.dictionaries(
        st.sampled_from(["response", "body", "status", "status_code", "message", "headers", "request_info"]),
        JSON | st.builds(SimpleNamespace, status_code=JSON, json=JSON, text=JSON, headers=JSON, url=JSON),
    ),
    st.sampled_from(["openai", "huggingface_hub.errors", "httpx", "aiohttp.client", "requests.exceptions", "mine"]),
    st.booleans(),
)
def test_no_exception_makes_it_raise(args, members, module, streaming):
    kind = type("Anything", (Carrying,), {"__module__": module})
    error = kind(*args, **members)
    error.__cause__ = kind(*args)
    checked(error, streaming)


def test_it_brings_no_library_into_the_process():
    program = "import sys, hf_openobserve.wire.errors; print([m for m in sys.modules if m in {names!r}])"
    names = {"opentelemetry", "openai", "huggingface_hub", "httpx", "httpx2", "requests", "aiohttp", "asyncio", "ssl"}
    done = subprocess.run(
        [sys.executable, "-c", program.format(names=names)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_the_closed_list_is_public():
    assert errors.KINDS == KINDS
    assert len(set(KINDS)) == 18


@pytest.mark.parametrize(
    ("streaming", "how"), [(True, "before the end of the answer"), (False, "connection was closed")]
)
def test_an_error_without_a_word_is_put_in_words(streaming, how):
    told = describe(ConnectionResetError(), streaming=streaming)
    assert told.message.startswith("ConnectionResetError: ")
    assert told.message.endswith(how)
