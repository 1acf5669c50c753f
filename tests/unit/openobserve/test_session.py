"""A request as a whole ends by its deadline, against real servers that never exceed the time of a single read."""

from __future__ import annotations

import itertools
import os
import time

import pytest

import slow_servers
import tls
from hf_openobserve.config.destination import Destination, TlsFiles
from hf_openobserve.openobserve import session
from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED, REFUSED, RETRY
from hf_openobserve.openobserve.ingest import Client
from outboxes import call

pytestmark = pytest.mark.matrix

TIMEOUT_S = 0.6
AT_MOST_S = 2.0
"""A busy machine adds to it."""


needs_openssl = pytest.mark.skipif(not tls.has_openssl, reason="there is no openssl command to make certificates with")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return tls.Authority(tmp_path_factory.mktemp("authority")) if tls.has_openssl else None


def timed(client, payloads):
    begun = time.monotonic()
    verdict = client.send(payloads)
    took = time.monotonic() - begun
    client.close()
    return verdict, took


OUTCOMES = {
    **dict.fromkeys(slow_servers.SLOW, RETRY),
    # The status has come, and says what became of the spans.
    **dict.fromkeys(("body", "body-until-closed", "chunks", "chunk-size"), ACCEPTED),
    "body-of-a-refusal": REFUSED,
}


@pytest.mark.parametrize(("what", "outcome"), OUTCOMES.items())
def test_a_slow_answer_ends_by_the_timeout(what, outcome):
    with slow_servers.serve(what) as server:
        verdict, took = timed(Client(Destination("otlp", endpoint=server.url, timeout_s=TIMEOUT_S)), [call()[1]])
    assert (verdict.outcome, verdict.timed_out) == (outcome, outcome == RETRY), verdict
    assert TIMEOUT_S * 0.9 < took < AT_MOST_S


@pytest.mark.parametrize("what", ["100-continue", "status-line", "body"])
def test_the_question_for_the_version_too(what):
    with slow_servers.serve(what) as server:
        destination = Destination("openobserve", server.url + "/api", server.url, timeout_s=TIMEOUT_S)
        verdict, took = timed(Client(destination), [call()[1]])
    assert verdict.outcome == RETRY
    assert took < AT_MOST_S


@needs_openssl
@pytest.mark.parametrize("what", ["100-continue", "status-line", "body"])
def test_behind_tls_too(what, authority):
    with slow_servers.serve(what, authority.server_context()) as server:
        destination = Destination("otlp", endpoint=server.url, timeout_s=TIMEOUT_S, tls=TlsFiles(authority.certificate))
        verdict, took = timed(Client(destination), [call()[1]])
    assert verdict.outcome == OUTCOMES[what]
    assert took < AT_MOST_S


def test_a_handshake_that_comes_byte_by_byte_ends_too():
    handshake = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\x00" * 10_000
    with slow_servers.Drip(b"", slow_servers.byte_by_byte(handshake)) as server:
        destination = Destination("otlp", endpoint=server.url.replace("http", "https"), timeout_s=TIMEOUT_S)
        verdict, took = timed(Client(destination), [call()[1]])
    assert verdict.outcome in (RETRY, BLOCKED)
    assert took < AT_MOST_S


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_answers_byte_by_byte_ends_too(monkeypatch, scheme):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with slow_servers.Drip(b"", slow_servers.byte_by_byte(b"HTTP/1.1 200 " + b"O" * 10_000)) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        destination = Destination("otlp", endpoint=f"{scheme}://openobserve.example/v1/traces", timeout_s=TIMEOUT_S)
        verdict, took = timed(Client(destination), [call()[1]])
    assert verdict.outcome == RETRY
    assert took < AT_MOST_S


@pytest.mark.parametrize("scheme", ["http", pytest.param("https", marks=needs_openssl)])
def test_a_server_that_takes_the_body_slowly_ends_too(authority, scheme):
    context = authority.server_context() if scheme == "https" else None
    with slow_servers.Drip(reads=20_000, context=context) as server:
        destination = Destination(
            "otlp",
            endpoint=server.url,
            timeout_s=TIMEOUT_S,
            gzip=False,
            tls=TlsFiles(authority and authority.certificate),
        )
        verdict, took = timed(Client(destination), [os.urandom(20_000_000)])
    assert (verdict.outcome, verdict.timed_out) == (RETRY, True)
    assert TIMEOUT_S * 0.9 < took < AT_MOST_S


def test_interim_answers_that_come_fast_are_not_read_for_ever():
    with slow_servers.Drip(b"", itertools.repeat(slow_servers.CONTINUE * 1000), pause_s=0) as server:
        verdict, took = timed(Client(Destination("otlp", endpoint=server.url, timeout_s=30.0)), [call()[1]])
    assert verdict.outcome == RETRY
    assert f"more than {session.MAX_RECEIVED_BYTES // 1024} KiB" in verdict.reason
    assert took < 10


def test_a_few_interim_answers_are_no_matter():
    answer = slow_servers.OK + b"content-length: 2\r\n\r\n{}"
    with slow_servers.Drip(slow_servers.CONTINUE * 3, [answer], pause_s=0) as server:
        assert timed(Client(Destination("otlp", endpoint=server.url)), [call()[1]])[0].outcome == ACCEPTED


def test_each_request_has_a_time_of_its_own(openobserve):
    environ = {"Authorization": openobserve.auth_token, "stream-name": "default"}
    destination = Destination(
        "openobserve", f"{openobserve.url}/api/default/v1/traces", openobserve.url, environ, timeout_s=TIMEOUT_S
    )
    client = Client(destination)
    for _ in range(3):
        assert client.send([call()[1]]).outcome == ACCEPTED
        time.sleep(TIMEOUT_S * 0.6)
    assert openobserve.connections == 1
    client.close()
