"""Secrets that are known letter by letter: which values are, where they come from, and what is left of a text."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hf_openobserve import privacy
from hf_openobserve.privacy import literals
from privacy_records import FULL, after


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(literals, "_known", literals._Known())


@pytest.mark.parametrize(
    "value",
    [
        "EMPTY",
        "dummy",
        "none",
        "ollama",
        "lm-studio",
        "not-needed",
        "sk-no-key-required",
        "sk-1234",
        "sk-xxx",
        "token-abc123",
        "your-api-key",
        "my-secret-key",
        "test-key",
        "fake-api-key",
        "anything",
        "changeme",
        "hf_dummy",
        "NOT_NEEDED",
        "12345678",
        "development",
        "password",
        "secret",
        "key123",
        "p@ss",
        "",
        "xxxxxxxxxxxxxxxx",
        "your api key here",
    ],
)
def test_a_placeholder_takes_no_word_out_of_a_prompt(value: str) -> None:
    literals.remember(value)
    assert literals.known() == ()


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        "mysecretpassword",
        "QuerySecret",
        "correct horse battery",
        "tr0ub4dor&3",
        "opaque-key-99",
        'a"b\\c1d2',
    ],
)
def test_a_key_of_any_form_is_masked_from_then_on(value: str) -> None:
    text = f"Incorrect API key provided: {value}. {[value]!r}"
    literals.remember(value)
    literals.remember(f"Bearer {value}")
    assert privacy.mask_text(text, FULL) == "Incorrect API key provided: ***. ['***']"
    assert value not in str(after({"input.value": text, "a": [text], "b": {"c": text}}, FULL))


def test_a_short_one_is_masked_as_a_word_only() -> None:
    literals.remember("hunter2")
    assert privacy.mask_text("hunter2, hunter25 and manhunter2 say 'hunter2'", FULL) == (
        "***, hunter25 and manhunter2 say '***'"
    )


def test_the_newest_are_known() -> None:
    for number in range(literals.CAPACITY * 2):
        literals.remember(f"opaque-key-{number:05}")
    assert len(literals.known()) == literals.CAPACITY
    assert f"opaque-key-{literals.CAPACITY * 2 - 1:05}" in literals.known()


def test_one_that_is_used_stays_known() -> None:
    literals.remember("opaque-key-of-the-first-client-1")
    for number in range(literals.CAPACITY * 2):
        literals.remember(f"opaque-key-{number:05}")
        literals.remember("opaque-key-of-the-first-client-1")
    assert "opaque-key-of-the-first-client-1" in literals.known()


class Client:
    """As openai's and huggingface_hub's."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("client", "options"),
    [
        (Client(api_key="opaque-value-1"), None),
        (Client(token="opaque-value-1"), None),
        (Client(default_headers={"X-Team-Token": "opaque-value-1", "X-Team": "blue-team-7"}), None),
        (Client(headers={"Authorization": "Bearer opaque-value-1"}), None),
        (Client(headers={"x-api-key": b"opaque-value-1"}), None),
        (Client(api_key="EMPTY"), Client(headers={"api-key": "opaque-value-1"})),
        (Client(api_key="EMPTY"), Client(headers=[("a", "b")])),
    ],
)
def test_of_a_client_and_its_request(client: Any, options: Any) -> None:
    literals.remember_client(client, options)
    assert set(literals.known()) <= {"opaque-value-1"}
    assert bool(literals.known()) is not isinstance(getattr(options, "headers", None), list)


def test_a_client_that_says_nothing_does_no_harm() -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        @property
        def api_key(self) -> str:
            raise ValueError

    literals.remember_client(Odd())
    literals.remember_client(None)
    assert literals.known() == ()


def test_threads_that_build_clients_lose_no_key() -> None:
    def build(first: int) -> None:
        for number in range(first, first + 10):
            literals.remember(f"opaque-key-{number:05}")

    threads = [threading.Thread(target=build, args=(index * 10,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(literals.known()) == 80


def test_of_an_environment() -> None:
    environ = {
        "HTTPS_PROXY": "http://bob:s3cr%40t99@proxy:3128",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20QUJDZGVmMTIz,x-key=zz998877aa",
        "HF_TOKEN": "opaque-token-1",
        "OPENAI_API_KEY": "EMPTY",
        "SSH_AUTH_SOCK": "/tmp/agent.12345",
        "SSL_KEY": "/etc/ssl/server1.key",
        "HOME": "/home/me1",
    }
    assert set(literals.of_environment(environ)) == {
        "bob:s3cr%40t99",
        "s3cr%40t99",
        "s3cr@t99",
        "Basic QUJDZGVmMTIz",
        "QUJDZGVmMTIz",
        "zz998877aa",
        "opaque-token-1",
    }


@pytest.mark.parametrize(("key", "is_secret"), [("sk-no-key-required", False), ("opaque-key-99", True)])
def test_a_placeholder_of_the_environment_is_no_secret(key: str, is_secret: bool) -> None:
    environ = {"OPENAI_API_KEY": key}
    policy = privacy.build_policy(capture_content=True, environ=environ, secrets=[key, "not-a-real-password"])
    assert (key in policy.secrets) is is_secret
    assert "not-a-real-password" in policy.secrets
