"""Where a request goes and who answered it, as the address and the headers say."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from hf_openobserve.wire import routing

ROUTER = "https://router.huggingface.co/v1/chat/completions"


def route(url, model="org/name", provider=None, headers=None, by_address=False):
    return routing.request_attributes(
        url=url, model=model, provider=provider, headers=headers or {}, by_address=by_address
    )


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("org/name", ("org/name", None, None)),
        ("org/name:fastest", ("org/name", "fastest", None)),
        ("org/name:cheapest", ("org/name", "cheapest", None)),
        ("org/name:preferred", ("org/name", "preferred", None)),
        ("org/name:together", ("org/name", None, "together")),
        ("org/name:fal-ai", ("org/name", None, "fal-ai")),
        ("org/name:", ("org/name:", None, None)),
        (":together", (":together", None, None)),
    ],
)
def test_a_model_id_has_a_base_and_a_policy_or_a_provider(model, parts):
    assert tuple(routing.split_model(model)) == parts


@pytest.mark.parametrize(
    ("url", "pinned", "kind"),
    [
        (ROUTER, False, "router"),
        ("https://router.huggingface.co/together/v1/chat/completions", True, "router_provider"),
        ("https://router.huggingface.co/hf-inference/models/org/name", False, "router_provider"),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions", False, "dedicated"),
        ("http://127.0.0.1:8080/v1/chat/completions", True, "local"),
        ("http://localhost:8080/v1", False, "local"),
        ("https://api.together.xyz/v1/chat/completions", True, "provider"),
        ("https://llm.example.com/v1", False, "other"),
        ("https://endpoints.huggingface.cloud.example.com/v1", False, "other"),
    ],
)
def test_the_kind_of_endpoint_is_what_the_address_says(url, pinned, kind):
    parts = urlsplit(url)
    assert routing.endpoint_kind(parts.hostname, parts.path, pinned=pinned) == kind


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            {"url": ROUTER, "model": "org/name:cheapest"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.model.policy": "cheapest"},
        ),
        (
            {"url": ROUTER, "model": "org/name:together"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.provider.requested": "together"},
        ),
        (
            {"url": "https://router.huggingface.co/novita/v3/openai/chat/completions", "provider": "novita"},
            {
                "hf.endpoint.kind": "router_provider",
                "hf.model.base": "org/name",
                "hf.provider.requested": "novita",
                "hf.provider.served": "novita",
            },
        ),
        (
            {"url": ROUTER, "provider": "fastest"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.model.policy": "fastest"},
        ),
        ({"url": ROUTER, "provider": "auto"}, {"hf.endpoint.kind": "router", "hf.model.base": "org/name"}),
        (
            {"url": "https://api.together.xyz/v1/chat/completions", "provider": "together"},
            {"hf.endpoint.kind": "provider", "hf.model.base": "org/name", "hf.provider.requested": "together"},
        ),
        (
            {"url": "https://llm.example.com/v1", "provider": "together", "by_address": True, "model": "llama3:8b"},
            {"hf.endpoint.kind": "other", "hf.model.base": "llama3:8b"},
        ),
        (
            {"url": ROUTER, "model": None, "headers": {"X-HF-Bill-To": "my-org", "authorization": "Bearer x"}},
            {"hf.endpoint.kind": "router", "hf.bill_to": "my-org"},
        ),
    ],
)
def test_a_request_says_where_it_goes_and_no_more(call, expected):
    attributes = route(**call)
    assert {name: value for name, value in attributes.items() if name.startswith("hf.")} == expected


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        (ROUTER, "router.huggingface.co", 443),
        ("http://127.0.0.1:8080/v1", "127.0.0.1", 8080),
        ("http://[::1]/v1", "::1", 80),
    ],
)
def test_server_address_and_port(url, address, port):
    attributes = route(url)
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"x-inference-provider": "together"}, {"hf.provider.served": "together"}),
        ({"x-request-id": "Root=1-a", "x-amzn-trace-id": "b"}, {"hf.request_id": "Root=1-a"}),
        ({"x-amz-cf-id": "c"}, {"hf.request_id": "c"}),
        ({"inference-id": "0-019ff"}, {"hf.inference_id": "0-019ff"}),
        ({"server": "llama.cpp"}, {"hf.endpoint.server": "llama.cpp"}),
        ({"server": "uvicorn"}, {}),
        ({"x-time-per-token": "12"}, {"hf.endpoint.server": "tgi"}),
        ({"retry-after": "3"}, {"hf.retry_after": 3.0}),
        ({"retry-after": "0.5"}, {"hf.retry_after": 0.5}),
        (
            {"retry-after": "Mon, 23 Nov 2026 18:00:00 GMT"},
            {"hf.retry_after.date": "Mon, 23 Nov 2026 18:00:00 GMT"},
        ),
        ({"OpenAI-Processing-Ms": "412"}, {"hf.server.total_time": 0.412}),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-colour": "red"},
            {"hf.ratelimit.remaining_requests": "0", "hf.ratelimit.reset_tokens": "6m0s"},
        ),
    ],
)
def test_response_headers_say_who_answered(headers, expected):
    assert routing.response_attributes(headers) == expected


@pytest.mark.parametrize(
    ("url", "headers", "served"),
    [
        (ROUTER, {"x-inference-provider": "novita"}, "novita"),
        (ROUTER, {}, None),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", {}, "novita"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", {"x-inference-provider": "a"}, "a"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", None, "novita"),
        ("http://localhost:8080/novita/v1/chat/completions", None, None),
    ],
)
def test_who_served_an_answer(url, headers, served):
    assert routing.served_by(url, headers) == served


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (ROUTER, "openai"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", "openai"),
        ("https://router.huggingface.co/together/v1/completions?x=1", "openai"),
        ("http://127.0.0.1:8080/v1/embeddings", "openai"),
        ("https://router.huggingface.co/hf-inference/models/org/name", "huggingface"),
        ("http://127.0.0.1:8080", "huggingface"),
        ("", "huggingface"),
    ],
)
def test_the_api_that_is_spoken_is_what_the_address_says(url, api):
    assert routing.api_of(url) == api


def test_tokens_in_headers_are_taken_as_numbers_only():
    counts = routing.header_token_counts({"x-prompt-tokens": "7", "x-generated-tokens": "many"})
    assert counts == {"llm.token_count.prompt": 7}
