"""Who offers an API, by its host, its gateway's headers and its fingerprint."""

from __future__ import annotations

import pytest

from hf_openobserve.row import columns
from hf_openobserve.wire import providers, routing


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.deepseek.com", ("deepseek", "deepseek", "provider")),
        ("api.x.ai", ("x_ai", "xai", "provider")),
        ("eu-west-1.api.x.ai", ("x_ai", "xai", "provider")),
        ("api.mistral.ai", ("mistral_ai", "mistralai", "provider")),
        ("api.moonshot.ai", ("moonshot_ai", "moonshot", "provider")),
        ("my-resource.openai.azure.com", ("azure.ai.openai", "azure", "provider")),
        ("ark.ap-southeast.bytepluses.com", ("byteplus", "byteplus", "provider")),
        ("dbc-1.cloud.databricks.com", ("databricks", "databricks", "provider")),
        ("adb-1.2.azuredatabricks.net", ("databricks", "databricks", "provider")),
        ("openrouter.ai", ("openrouter", "openrouter", "gateway")),
        ("api.together.xyz.example.com", None),
        ("notopenrouter.ai", None),
        ("router.huggingface.co", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_a_host_is_its_providers_or_nobodys(host, expected):
    assert providers.of_host(host) == expected
    if expected is not None:
        assert columns.provider_name(host) == expected[0]
        assert routing.endpoint_kind_of(f"https://{host}/v1") == expected[2]


def test_what_a_span_says_of_its_provider_stays_unless_it_says_openai():
    assert columns.provider_name("api.deepseek.com", "together_ai") == "together_ai"
    assert columns.provider_name("api.deepseek.com", "openai") == "deepseek"


@pytest.mark.parametrize(
    ("headers", "gateway"),
    [
        ({"X-LiteLLM-Call-Id": "1"}, "litellm"),
        ({"x-litellm-version": "1.80.0"}, "litellm"),
        ({"X-Kong-Request-Id": "1"}, "kong"),
        ({"Via": "1.1 kong/3.9.0"}, "kong"),
        ({"server": "kong/3.4.2"}, "kong"),
        ({"via": "1.1 varnish", "server": "uvicorn"}, None),
        ({}, None),
    ],
)
def test_a_gateway_is_known_by_its_headers(headers, gateway):
    assert routing.response_attributes(headers).get("hf.endpoint.gateway") == gateway


@pytest.mark.parametrize(
    ("fingerprint", "server"),
    [("vllm-0.21.0-955d20dc", "vllm"), ("fp_ollama", "ollama"), ("fp_44709d6fcb", None), (None, None), (7, None)],
)
def test_a_server_is_known_by_its_fingerprint(fingerprint, server):
    assert providers.server_of(fingerprint) == server
