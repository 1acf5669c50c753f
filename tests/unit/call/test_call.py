"""What is known of a call when its span ends: where it went, what was answered, how it failed, how its stream came."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from hf_openobserve.call.attempts import Attempt
from hf_openobserve.call.call import LONGEST_ANSWER, Call
from hf_openobserve.call.stream_timing import StreamTiming
from hf_openobserve.wire.apis import APIS

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ROUTER = "https://router.huggingface.co/v1/chat/completions"
ANSWER = {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]}


def made(body=None, url=ROUTER, host="router.huggingface.co", **options):
    return Call(url=url, host=host, request=body or {"model": MODEL}, client_error="openai.APIError", **options)


def answered(content, status_code=200, call=None, **headers):
    """A call whose client has read this answer."""
    call = call or made()
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    call.response = SimpleNamespace(status_code=status_code, content=content, headers=headers)
    return call


def test_what_was_asked_and_where():
    body = {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    known = made(body).facts()
    assert (known.host, known.port, known.model, known.max_tokens) == ("router.huggingface.co", 443, MODEL, 64)
    assert known.attributes == {"hf.endpoint.kind": "router", "hf.model.base": MODEL}
    assert (known.request, known.answer, known.failed) == (body, {}, False)


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
def test_only_what_has_the_right_type_is_a_fact(body, model, max_tokens):
    known = made(body).facts()
    assert (known.model, known.max_tokens) == (model, max_tokens)


def test_a_stream_keeps_its_request_as_it_was_sent():
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    call = made(body)
    call.streams()
    body["messages"].append({"role": "assistant", "content": "Hello"})
    assert len(call.facts().request["messages"]) == 1


class StatusError(Exception):
    status_code = 402
    response = SimpleNamespace(
        status_code=402, headers={"x-request-id": "Root=1"}, json=lambda: {"error": "No credits."}
    )
    body = "No credits."


def test_a_failure_is_added():
    call = made()
    call.failed(StatusError("Error code: 402"))
    known = call.facts()
    assert (known.failed, known.status_code, known.model) == (True, 402, MODEL)
    assert known.error_type.endswith("StatusError")
    assert "No credits." in known.message
    assert known.attributes["hf.request_id"] == "Root=1"


# Who was asked, who answered, and how often.


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
def test_who_was_asked_and_who_answered(url, model, headers, expected):
    call = made({"model": model}, url)
    call.attempts.answer = headers
    assert expected.items() <= call.facts().attributes.items()


def test_another_servers_model_is_no_hub_id():
    known = made({"model": "gpt-4o"}, "https://api.openai.com/v1/chat/completions").facts()
    assert known.attributes == {"hf.endpoint.kind": "provider"}


def test_the_last_requests_own_address_and_headers_win():
    call = made()
    call.attempts.url = "https://x.eu-west-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
    call.attempts.request_headers = {"X-HF-Bill-To": "my-org"}
    known = call.facts()
    assert known.host == "x.eu-west-1.aws.endpoints.huggingface.cloud"
    assert known.attributes["hf.endpoint.kind"] == "dedicated"
    assert known.attributes["hf.bill_to"] == "my-org"


def test_retries_are_counted_and_told():
    call = made()
    call.attempts.done.extend([Attempt(1, 10, 429), Attempt(510, 520, None, "ReadTimeout"), Attempt(1520, 1600, 200)])
    call.attempts.last_start = 1520
    known = call.facts()
    assert known.attributes["http.request.resend_count"] == 2
    assert known.last_attempt == 1520
    assert [(event.time_unix_nano, dict(event.attributes)) for event in known.events] == [
        (10, {"hf.retry.wait": 5e-7, "http.response.status_code": 429}),
        (520, {"hf.retry.wait": 1e-6, "error.type": "ReadTimeout"}),
    ]


def test_one_attempt_is_no_retry():
    call = made()
    call.attempts.done.append(Attempt(1, 10, 200))
    known = call.facts()
    assert "http.request.resend_count" not in known.attributes
    assert (known.events, known.last_attempt) == ((), None)


# The answer.


@pytest.mark.parametrize(
    ("content", "status_code", "answer"),
    [
        (ANSWER, 200, ANSWER),
        (b"\n \r\n" + json.dumps(ANSWER).encode(), 200, ANSWER),
        (b"\xef\xbb\xbf" + json.dumps(ANSWER).encode(), 200, ANSWER),
        ([ANSWER], 200, ANSWER),
        ([1, 2], 200, {}),
        ({"error": "No credits."}, 402, {}),
        (b"", 200, {}),
        (b"{", 200, {}),
        (b"Hello", 200, {}),
        (b"[" * 100_000, 200, {}),
        (b'{"a": "' + b"x" * LONGEST_ANSWER + b'"}', 200, {}),
    ],
    ids=["object", "behind white space", "behind a mark", "list of one", "other list", "error", "nothing", "broken",
         "text", "deep", "too long"],
)  # fmt: skip
def test_the_answer_is_the_body_that_the_client_has_read(content, status_code, answer):
    known = answered(content, status_code).facts()
    assert (known.answer, known.failed) == (answer, False)


def test_of_vectors_and_media_only_what_stands_behind_them_is_read():
    content = b'{"data": [' + b"0," * LONGEST_ANSWER + b'0], "model": "m", "usage": {"prompt_tokens": 7}}'
    known = answered(content, call=made(api=APIS["embeddings"])).facts()
    assert known.answer == {"model": "m", "usage": {"prompt_tokens": 7}}


@pytest.mark.parametrize(
    ("content", "headers", "kind", "message"),
    [
        ({"error": {"message": "No credits.", "code": 402}}, {}, "credits_exhausted", "APIError: No credits."),
        ({**ANSWER, "error": "died"}, {}, "server_error", "APIError: died"),
        (
            {"object": "response", "status": "failed", "error": {"message": "died", "code": "server_error"}},
            {},
            "server_error",
            "APIError: died",
        ),
        (
            {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            {},
            "length_limit",
            "incomplete: max_output_tokens",
        ),
        (
            {"output": [], "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            {},
            "content_filter",
            "incomplete: content_filter",
        ),
        ({"output": [], "status": "cancelled"}, {}, "cancelled", "cancelled"),
        (b"<!doctype html><title>Sign in</title>", {}, "server_error", "web page: Sign in"),
        (b"\n <html><title>Sign in</title>", {"content-type": "text/html"}, "server_error", "web page: Sign in"),
    ],
)
def test_an_answer_under_a_200_that_is_none_is_a_failure(content, headers, kind, message):
    known = answered(content, **headers).facts()
    assert (known.failed, known.error_type, known.message) == (True, "openai.APIError", message)
    assert known.attributes["hf.error.kind"] == kind


def test_how_the_client_failed_goes_before_what_the_answer_says():
    call = answered({"error": "died"})
    call.failed(TimeoutError("slow"))
    assert call.facts().message == "TimeoutError: slow"


# Streams.


def streamed(*chunks):
    call = made()
    call.streams()
    for chunk in chunks:
        call.streamed.add(chunk)
    return call


def test_the_answer_of_a_stream_is_put_together():
    chunk = {"model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]}
    known = streamed(chunk, {"choices": [], "usage": {"total_tokens": 3}}).facts()
    assert known.answer["choices"][0]["message"]["content"] == "Hi"
    assert known.answer["usage"] == {"total_tokens": 3}
    assert known.attributes.keys() == {"hf.endpoint.kind", "hf.model.base"}, "nobody has looked at the clock"


def test_an_error_within_a_stream_is_a_failure():
    known = streamed({"error": {"message": "died", "code": "server_error"}}).facts()
    assert (known.failed, known.message, known.attributes["hf.error.kind"]) == (True, "APIError: died", "stream_broken")


def timed(usage, *, pieces=3):
    call = streamed({"model": "m", "choices": [], "usage": usage})
    timing = call.timing = StreamTiming(began=1.0)
    timing.chunks = call.streamed.pieces = pieces
    timing.first_content, timing.last_content = 2.0, 4.0
    return call.facts().attributes


@pytest.mark.parametrize("tokens", [3, "3", None, 3.5])
def test_a_servers_odd_count_costs_no_more_than_what_needs_it(tokens):
    attributes = timed({"completion_tokens": tokens})
    assert attributes["gen_ai.response.time_to_first_chunk"] == 1.0
    assert attributes.get("hf.stream.tokens_per_second") == (1.0 if tokens == 3 else None)


@pytest.mark.parametrize(
    "usage",
    [
        {"completion_tokens": 1000, "completion_tokens_details": {"reasoning_tokens": 997}},
        {"output_tokens": 1000, "output_tokens_details": {"reasoning_tokens": 997}},
        {"completion_tokens": 3, "completion_tokens_details": None},
    ],
)
def test_the_pace_is_of_the_tokens_that_came(usage):
    attributes = timed(usage)
    assert attributes["hf.stream.tokens_per_second"] == attributes["hf.stream.time_per_output_token"] == 1.0


def test_a_stream_that_was_left_ended_with_its_last_chunk():
    call = streamed()
    assert call.left_with_last_chunk() is None, "none has come"
    call.timing.came()
    assert call.left_with_last_chunk() == call.facts().ended


# What cannot be had costs no more than itself.


def test_what_is_wrong_with_an_answer_is_not_wrong_with_the_rest():
    call = made()
    call.response = object()
    known = call.facts()
    assert (known.answer, known.model, known.host) == ({}, MODEL, "router.huggingface.co")


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("routing.request_attributes", "hf.endpoint.kind"),
        ("routing.response_attributes", "hf.provider.served"),
        ("retry_events", "http.request.resend_count"),
        ("Tokens", "hf.stream.chunks"),
    ],
)
def test_a_part_that_cannot_be_built_costs_that_part_only(monkeypatch, name, lost):
    def fails(*_, **__):
        raise LookupError("of a form that nobody knows")

    call = streamed()
    call.attempts.done.extend([Attempt(1, 10, 429), Attempt(520, 600, 200)])
    call.attempts.answer = {"x-inference-provider": "together"}
    call.timing.came()
    monkeypatch.setattr("hf_openobserve.call.call." + name, fails)
    everything = {"hf.endpoint.kind", "hf.provider.served", "http.request.resend_count", "hf.stream.chunks"}
    assert everything - set(call.facts().attributes) == {lost}
