"""Where a request of an OpenAI client goes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_openobserve.clients.openai.request import address_of

ROUTER = "https://router.huggingface.co/v1/chat/completions"


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
    assert address_of(client, SimpleNamespace(url=url)) == address
