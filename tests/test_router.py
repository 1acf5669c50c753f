"""The scripted router itself: what it says, to whom it leads, and that it says the same each time."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

import router_answers
from router import HOST, ScriptedRouter

AUTHORIZED = {"Authorization": "Bearer x", "Content-Type": "application/json"}
MESSAGES = [{"role": "user", "content": "Hi"}]


class Answer:
    def __init__(self, status, headers, payload):
        self.status, self.headers, self.payload = status, headers, payload

    def json(self):
        return json.loads(self.payload)

    @property
    def events(self):
        lines = [line[len("data: ") :] for line in self.payload.splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def running():
    with ScriptedRouter() as router:
        yield router


@pytest.fixture
def router(running):
    running.reset()
    return running


def ask(router, path, body=None, headers=AUTHORIZED, target=None):
    address = urlsplit(router.root)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, target or path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode())
    finally:
        connection.close()


def chat(router, model, path="/v1/chat/completions", **more):
    return ask(router, path, {"model": model, "messages": MESSAGES, **more})


@pytest.mark.parametrize(
    ("path", "model", "provider", "named"),
    [
        ("/v1", "scripted/Plain", "together", "plain"),
        ("/v1", "scripted/Plain:fastest", "together", "plain"),
        ("/v1", "scripted/Plain:cheapest", "novita", "scripted/plain"),
        ("/v1", "scripted/Plain:preferred", "cerebras", "plain"),
        ("/v1", "scripted/Plain:novita", "novita", "scripted/plain"),
        ("/together/v1", "scripted/Plain", "together", "plain"),
        ("/novita/v3/openai", "scripted/Plain", "novita", "scripted/plain"),
    ],
)
def test_who_serves_a_model(router, path, model, provider, named):
    answer = chat(router, model, path + "/chat/completions")
    assert (answer.status, answer.json()["model"]) == (200, named)
    assert answer.headers["x-inference-provider"] == provider
    assert answer.headers["x-request-id"].startswith("Root=1-")
    assert answer.headers["inference-id"].startswith("0-")


@pytest.mark.parametrize("case", router_answers.ERRORS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_refusal(router, case, stream):
    expected = router_answers.ERRORS[case]
    answer = chat(router, "scripted/" + case, stream=stream)
    assert answer.status == expected.status
    assert answer.payload == (expected.body if isinstance(expected.body, str) else json.dumps(expected.body))
    assert expected.headers.items() <= answer.headers.items()
    assert answer.headers["x-inference-provider"] == "together"


def test_who_is_not_served(router):
    assert chat(router, "scripted/plain:nobody").json()["error"]["code"] == "model_not_supported"
    assert ask(router, "/v1/chat/completions", {"messages": MESSAGES}).status == 400
    assert ask(router, "/v1/chat/completions", {"model": "m"}, headers={}).status == 401
    assert ask(router, "/v1/nothing", {"model": "scripted/plain"}).status == 404
    assert ask(router, "/nobody/v1/chat/completions", {"model": "scripted/plain"}).status == 404


@pytest.mark.parametrize(
    ("case", "unasked", "asked"),
    [
        ("plain", [None] * 4, [None] * 4 + [15]),
        ("usage-last", [None] * 4 + [15], [None] * 4 + [15]),
        ("usage-on-finish", [None] * 3 + [15], [None] * 3 + [15]),
        ("usage-on-every", [12, 13, 14], [12, 13, 14]),
        ("refuses-option", [None] * 4, 422),
    ],
)
def test_where_the_usage_stands(router, case, unasked, asked):
    for options, expected in (({}, unasked), ({"stream_options": {"include_usage": True}}, asked)):
        answer = chat(router, "scripted/" + case, stream=True, **options)
        if expected == 422:
            assert answer.status == 422
            continue
        *chunks, end = answer.events
        assert end == "[DONE]"
        assert [(chunk.get("usage") or {}).get("total_tokens") for chunk in chunks] == expected


@pytest.mark.parametrize("case", ["broken-string", "broken-object", "broken-generation"])
def test_an_error_after_200(router, case):
    answer = chat(router, "scripted/" + case, stream=True)
    assert answer.status == 200
    assert "error" in answer.events[-1]


def test_a_connection_that_is_cut(router):
    with pytest.raises(http.client.IncompleteRead):
        chat(router, "scripted/cut", stream=True)


@pytest.mark.parametrize(
    ("case", "statuses"), [("retried", [503, 200]), ("retried-429", [429, 200]), ("retried-twice", [500, 500, 200])]
)
def test_a_case_that_fails_first(router, case, statuses):
    answers = [chat(router, "scripted/" + case) for _ in statuses]
    assert [answer.status for answer in answers] == statuses
    assert float(answers[0].headers["retry-after-ms"]) > 0
    router.reset()
    assert chat(router, "scripted/" + case).status == statuses[0]


def test_models_and_the_hub(router):
    listed = ask(router, "/v1/models").json()["data"]
    assert {provider["provider"] for provider in listed[0]["providers"]} == {"novita", "together"}
    assert ask(router, "/v1/models/" + listed[0]["id"]).json() == listed[0]
    assert ask(router, "/v1/models/nobody/nothing").status == 404
    mapping = ask(router, "/api/models/A/B?expand=inferenceProviderMapping").json()["inferenceProviderMapping"]
    assert mapping["together"] == {"status": "live", "providerId": "a/b", "task": "conversational"}


def test_the_calls_are_kept(router):
    chat(router, "scripted/no-credits", stream=True)
    (call,) = router.calls
    assert (call.method, call.path, call.status) == ("POST", "/v1/chat/completions", 402)
    assert call.body == {"model": "scripted/no-credits", "messages": MESSAGES, "stream": True}
    assert call.headers["authorization"] == "Bearer x"


def test_it_is_a_proxy_for_its_own_name(router):
    assert ask(router, "", target=f"http://{HOST}/v1/models").status == 200
    assert router.calls[0].path == "/v1/models"


def test_llama_answers_other_models_the_same_each_time(llama):
    body = {"model": "meta-llama/Llama-3.1-8B-Instruct:cheapest", "messages": MESSAGES, "max_tokens": 4}
    with ScriptedRouter(llama.url) as router:
        first, second = (ask(router, "/v1/chat/completions", body) for _ in range(2))
        assert first.json()["model"] == llama.alias
        assert (first.payload, first.headers) == (second.payload, second.headers)
        assert first.headers["x-inference-provider"] == "novita"
        unasked = ask(router, "/v1/chat/completions", {**body, "stream": True}).events
        asked = ask(
            router, "/v1/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}
        ).events
    *chunks, last = asked[:-2]
    assert unasked[:-1] == [*chunks, {**last, "timings": asked[-2]["timings"]}], "as llama.cpp moves them"
    assert asked[-2]["usage"]["completion_tokens"] > 0
