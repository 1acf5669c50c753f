"""Test suites that put a mock or a recorder in the network's place, and compare the body of the request with their own.

What is installed of respx, pytest-httpx, vcrpy, responses and aioresponses is tried, and httpx's own MockTransport
always.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import huggingface_hub
import openai

URL = "https://router.huggingface.co/v1"
ENDPOINT = URL + "/chat/completions"
BODY = {"messages": [{"role": "user", "content": "hi"}], "model": "m", "stream": True}
CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hello"}, "finish_reason": "stop"}],
}
SSE = f"data: {json.dumps(CHUNK)}\n\ndata: [DONE]\n\n"
EVENTS = {"content-type": "text/event-stream"}


def has(name):
    return importlib.util.find_spec(name) is not None


def http_library():
    """The one that the installed openai sends with."""
    return sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]


def ask(**how):
    client = openai.OpenAI(api_key="k", base_url=how.pop("url", URL), max_retries=0, **how)
    try:
        return "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**BODY))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def ask_hub(url=URL):
    client = huggingface_hub.InferenceClient(base_url=url, api_key="hf_x")
    try:
        chunks = client.chat_completion(BODY["messages"], model="m", stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    except Exception as error:
        return type(error).__name__


def answering(library):
    def answer(request):
        print("  asked", sorted(json.loads(request.content)), request.headers.get("accept-encoding"))
        return library.Response(200, headers=EVENTS, content=SSE.encode())

    return answer


def own_transports():
    library = http_library()
    print("MockTransport", ask(http_client=library.Client(transport=library.MockTransport(answering(library)))))

    class Answers(library.BaseTransport):
        def handle_request(self, request):
            return answering(library)(request)

    class Inherits(library.HTTPTransport):
        def handle_request(self, request):
            return answering(library)(request)

    print("a transport", ask(http_client=library.Client(transport=Answers())))
    print("a subclass", ask(http_client=library.Client(transport=Inherits())))
    print("mounted", ask(http_client=library.Client(mounts={"all://": Answers()})))
    print("default client", ask(http_client=openai.DefaultHttpxClient(transport=Answers())))
    client = library.Client()
    client._transport = Answers()
    print("put there", ask(http_client=client))


def seen():
    """The program's own functions on the way to a real network."""
    library, url = http_library(), os.environ["HF_BASE_URL"]

    def refusing(request):
        if b"stream_options" in request.content:
            raise ValueError("unknown field")

    class Signed(library.Auth):
        requires_request_body = True

        def auth_flow(self, request):
            request.headers["x-signature"] = hashlib.sha256(request.content).hexdigest()
            print("  signed", request.headers["x-signature"])
            yield request

    class Retrying(library.HTTPTransport):
        def handle_request(self, request):
            print("  sends", sorted(json.loads(request.content)))
            return super().handle_request(request)

    hooks = {"request": [lambda request: print("  hook", request.content)], "response": [lambda r: print(r.request)]}
    print("hooks", ask(url=url, http_client=library.Client(event_hooks=hooks)))
    print("refusing", ask(url=url, http_client=library.Client(event_hooks={"request": [refusing]})))
    print("signed", ask(url=url, http_client=library.Client(auth=Signed())))
    print("retrying", ask(url=url, http_client=library.Client(transport=Retrying())))
    transport = library.HTTPTransport(retries=2)
    print("plain", ask(url=url, http_client=library.Client(transport=transport, auth=("user", "password"))))


async def asynchronous():
    library = http_library()
    http_client = library.AsyncClient(transport=library.MockTransport(answering(library)))
    client = openai.AsyncOpenAI(api_key="k", base_url=URL, max_retries=0, http_client=http_client)
    print("async", [chunk.id async for chunk in await client.chat.completions.create(**BODY)])


def hub_session():
    """From 1.0 on a client of httpx's is the user's to make."""
    make = getattr(huggingface_hub, "set_client_factory", None)
    if make is None:
        return
    library = sys.modules.get("httpx2") or http_library()
    make(lambda: library.Client(transport=library.MockTransport(answering(library))))
    print("hub", ask_hub())


def by_respx():
    import httpx
    import respx

    with respx.mock() as mock:
        route = mock.post(ENDPOINT, json=BODY).mock(return_value=httpx.Response(200, text=SSE, headers=EVENTS))
        print("respx", ask(), route.call_count)
    with respx.mock(using="httpx") as mock:
        route = mock.post(ENDPOINT, json=BODY).mock(return_value=httpx.Response(200, text=SSE, headers=EVENTS))
        print("respx of httpx", ask(), route.call_count)


def by_vcr():
    """Recorded against the server that ``HF_BASE_URL`` names, and played back: the body is part of the match."""
    import vcr

    with tempfile.TemporaryDirectory() as place:
        for turn in ("recorded", "played"):
            recorder = vcr.VCR(match_on=["method", "uri", "body"], record_mode="once" if turn == "recorded" else "none")
            with recorder.use_cassette(str(Path(place) / "c.yaml")) as cassette:
                said = ask(url=os.environ["HF_BASE_URL"])
                print("vcr", turn, said, [sorted(json.loads(request.body)) for request in cassette.requests])
            with recorder.use_cassette(str(Path(place) / "h.yaml")) as cassette:
                said = ask_hub(os.environ["HF_BASE_URL"])
                print("vcr hub", turn, said, [sorted(json.loads(request.body)) for request in cassette.requests])


def by_pytest_httpx():
    import pytest

    with tempfile.TemporaryDirectory() as place:
        test = Path(place) / "test_mocked.py"
        test.write_text(
            f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport mocked_network as m\n"
            "def test_it(httpx_mock):\n"
            "    httpx_mock.add_response(match_json=m.BODY, text=m.SSE, headers=m.EVENTS)\n"
            "    assert m.ask() == 'hello'\n"
        )
        with contextlib.redirect_stdout(io.StringIO()):
            status = pytest.main(["-q", "-p", "no:cacheprovider", "--no-summary", str(test)])
        print("pytest-httpx", int(status))


def by_responses():
    import responses

    with responses.RequestsMock() as mock:
        matcher = responses.matchers.json_params_matcher({**BODY, "stream": True}, strict_match=False)
        mock.add(responses.POST, ENDPOINT, body=SSE, headers=EVENTS, match=[matcher])
        print("responses", ask_hub(), [sorted(json.loads(call.request.body)) for call in mock.calls])


def main():
    own_transports()
    seen()
    asyncio.run(asynchronous())
    hub_session()
    if http_library().__name__ == "httpx":
        if has("respx"):
            by_respx()
        if has("vcr"):
            by_vcr()
        if has("pytest_httpx"):
            by_pytest_httpx()
    if has("responses") and not hasattr(huggingface_hub, "set_client_factory"):
        by_responses()


if __name__ == "__main__":
    main()
