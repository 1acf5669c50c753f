"""The fake as a test double: what it keeps, scripted answers, faults of transport and of its own."""

from __future__ import annotations

import base64
import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from opentelemetry.exporter.otlp.proto.http import Compression

from fake_requests import (
    CHAT,
    export,
    get,
    message,
    post,
    server_address,
)
from fakes.openobserve import Answer, FakeOpenObserve


def test_requests_are_recorded(server):
    export(server, CHAT, headers={"stream-name": "mine"}, compression=Compression.Gzip)
    get(server, "/config")
    first, second = server.requests
    assert (first.method, first.path, first.status, first.spans) == ("POST", "/api/default/v1/traces", 200, 1)
    assert (first.headers["stream-name"], first.headers["content-encoding"]) == ("mine", "gzip")
    assert len(gzip.decompress(first.body)) == first.decoded_size
    assert first.time <= second.time <= time.time()
    assert (second.method, second.path, second.status, second.spans) == ("GET", "/config", 200, 0)
    assert server.connections == 2


def test_connections_count_not_requests(server):
    with requests.Session() as session:
        for _ in range(3):
            session.get(server.url + "/healthz", timeout=5)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_scripted_answers_come_first_and_once_each(server):
    server.script(503, Answer(429, {"Retry-After": "7"}, "slow down"), Answer(302, {"Location": "/login"}))
    assert get(server, "/config").status_code == 200
    first = post(server, Authorization=None)
    assert (first.status_code, first.json()["code"]) == (503, 503)
    second = post(server)
    assert (second.status_code, second.headers["retry-after"], second.text) == (429, "7", "slow down")
    third = requests.post(server.url + "/api/default/traces", data=b"", allow_redirects=False, timeout=5)
    assert (third.status_code, third.headers["location"]) == (302, "/login")
    assert server.rows() == []
    assert post(server).status_code == 200
    assert len(server.rows()) == 1
    assert [request.spans for request in server.requests if request.method == "POST"] == [1, 1, 0, 1]


def test_store_makes_a_failure_ambiguous_and_nothing_is_deduplicated(server):
    # 0.6: a replay doubles the span.
    server.script(Answer(500, store=True))
    assert post(server).status_code == 500
    assert post(server).status_code == 200
    first, second = server.rows()
    assert first["span_id"] == second["span_id"]


def test_delay_keeps_the_servers_own_answer(server):
    server.script(Answer(delay_s=0.3, headers={"x-slow": "yes"}))
    begin = time.monotonic()
    answer = post(server)
    assert time.monotonic() - begin >= 0.3
    assert (answer.status_code, answer.headers["x-slow"]) == (200, "yes")
    assert len(server.rows()) == 1


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("behaviour", ["reset", "hang", "half"])
def test_broken_answers(server, behaviour, store, capfd):
    server.script(Answer(behaviour=behaviour, store=store))
    with pytest.raises(requests.exceptions.RequestException) as caught:
        requests.post(
            server.url + "/api/default/v1/traces",
            data=message().SerializeToString(),
            headers={"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"},
            timeout=0.3,
        )
    assert isinstance(caught.value, requests.exceptions.Timeout) is (behaviour == "hang")
    assert len(server.rows()) == int(store)
    assert server.requests[0].status == (200 if behaviour == "half" else 0)
    assert post(server).status_code == 200
    assert capfd.readouterr() == ("", "")


def test_reset_is_a_reset(server):
    server.script(Answer(behaviour="reset"))
    with socket.create_connection(server_address(server), timeout=5) as client:
        client.sendall(b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_half_of_a_body(server):
    server.script(Answer(200, body=b"x" * 100, behaviour="half"))
    with pytest.raises(requests.exceptions.RequestException):
        post(server)


def test_misspelled_behaviour_is_refused(server):
    with pytest.raises(ValueError):
        server.script(Answer(behaviour="explode"))


def test_clients_that_leave_print_nothing(server, capfd):
    server.script(Answer(200, body=b"x" * 5000000, delay_s=0.1))
    head = b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
    chunked = b"POST /api/default/v1/traces HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"
    bad_length = b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n"
    nonsense = b"\x16\x03\x01nonsense\r\n\r\n"
    for sent in (
        b"",
        head[:9],
        head,
        head + b"12345",
        head + b"1234567890",
        chunked,
        chunked + b"x",
        bad_length,
        nonsense,
    ):
        with socket.create_connection(server_address(server)) as client:
            client.sendall(sent)
    time.sleep(0.3)
    assert post(server).status_code == 200
    # Requests that never arrived completely are none.
    assert [len(request.body) for request in server.requests[:-1]] == [10]
    server.stop()
    assert capfd.readouterr() == ("", "")


def test_outage_keeps_port_and_rows(server):
    with requests.Session() as session:
        url = server.url
        session.get(url + "/healthz", timeout=5)
        post(server)
        server.stop()
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(url + "/healthz", timeout=5)
    server.start()
    assert server.url == url
    post(server)
    assert len(server.rows()) == 2
    assert server.connections == 3


def test_stop_ends_hanging_connections(server):
    server.script(Answer(behaviour="hang"))
    with socket.create_connection(server_address(server), timeout=5) as client:
        client.sendall(b"POST /api/default/v1/traces HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while not server.requests:
            time.sleep(0.01)
        server.stop()
        assert client.recv(1) == b""


def test_concurrent_senders_lose_nothing(server):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(server).status_code, range(80)))
    assert (answers, len(server.rows()), len(server.requests)) == ([200] * 80, 80, 80)


def test_waiting_for_rows(server):
    post(server)
    assert len(server.rows(timeout=5)) == 1
    begin = time.monotonic()
    assert len(server.rows(timeout=0.2, count=2)) == 1
    assert time.monotonic() - begin >= 0.2
    with pytest.raises(AssertionError, match=r"1 of 2 rows.*by hand.*POST /api/default/v1/traces -> 200, 1 spans"):
        server.wait_for_rows(2, timeout=0.1)


def test_an_error_of_the_fakes_own_is_raised(monkeypatch):
    def broken(request):
        raise OSError("a bug")

    server = FakeOpenObserve()
    server.start()
    monkeypatch.setattr(server._api, "answer", broken)
    assert get(server, "/config").status_code == 500
    with pytest.raises(AssertionError, match="a bug"):
        server.__exit__(None, None, None)


def test_environment(server):
    assert server.environment == {
        "OPENOBSERVE_URL": server.url,
        "OPENOBSERVE_ORG": "default",
        "OPENOBSERVE_AUTH_TOKEN": server.auth_token,
    }
    assert base64.b64decode(server.auth_token[len("Basic ") :]) == b"root@example.com:Complexpass#123"
