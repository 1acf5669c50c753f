"""The HTTP client against the strict server of the tests: what goes over the wire, and what comes of each answer."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from fakes.openobserve import Answer, FakeOpenObserve
from hf_openobserve import __version__
from hf_openobserve.config import settings as settings_module
from hf_openobserve.openobserve import ingest
from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED, REFUSED, RETRY, TOO_LARGE
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.otlp import encode as otlp
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord

pytestmark = pytest.mark.matrix

AGENT = Path(ingest.__file__).resolve().parents[2]
USAGE = {f"llm.usage.tokens.{name}": number for number, name in enumerate(("input", "output", "total"), 3)}


def span(number=1, start=None, **attributes):
    start = time.time_ns() if start is None else start
    return otlp.encode_span(
        SpanRecord(
            trace_id=0xABC0 + number,
            span_id=number,
            name=f"span {number}",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1000,
            resource=ResourceRecord({"service.name": "tests"}),
            scope=ScopeRecord("tests"),
            attributes=attributes,
        )
    )


def destination(server, **changes):
    environ = {**server.environment, "OPENOBSERVE_HF_DOTENV": "false", "OPENOBSERVE_TIMEOUT": "10"}
    return dataclasses.replace(
        settings_module.load(environ, script_dir=None, cwd=None).destination, **{"timeout_s": 10.0, **changes}
    )


@pytest.fixture
def client(openobserve):
    made = Client(destination(openobserve))
    yield made
    made.close()


def exports(server):
    return [request for request in server.requests if request.method == "POST"]


# What is sent.


def test_one_request_as_the_server_wants_it(client, openobserve):
    verdict = client.send([span(1), span(2)])
    assert verdict.outcome == ACCEPTED
    assert [row["operation_name"] for row in openobserve.rows()] == ["span 1", "span 2"]
    (request,) = exports(openobserve)
    assert request.path == "/api/default/v1/traces"
    assert request.spans == 2
    wanted = {
        "authorization": openobserve.auth_token,
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "stream-name": "default",
        "user-agent": f"hf-openobserve/{__version__}",
    }
    assert {name: request.headers.get(name) for name in wanted} == wanted
    assert "organization" not in request.headers
    assert gzip.decompress(request.body)


def test_without_gzip_the_body_is_as_it_is(openobserve):
    payloads = [span(1), span(2)]
    client = Client(destination(openobserve, gzip=False))
    assert client.send(payloads).outcome == ACCEPTED
    client.close()
    (request,) = exports(openobserve)
    assert "content-encoding" not in request.headers
    assert request.body == b"".join(payloads)


@pytest.mark.parametrize("base_path", ["", "/o2", "/a/b"])
def test_a_path_prefix_is_kept(base_path):
    with FakeOpenObserve(base_path=base_path) as server:
        client = Client(destination(server))
        assert client.send([span()]).outcome == ACCEPTED
        client.close()
        assert [request.path for request in server.requests] == [
            f"{base_path}/config",
            f"{base_path}/api/default/v1/traces",
        ]


def test_connections_are_kept(client, openobserve):
    for number in range(5):
        assert client.send([span(number)]).outcome == ACCEPTED
    assert openobserve.connections == 1


def test_the_users_netrc_does_not_replace_the_authorization(client, openobserve, tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\ndefault login any password any\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert requests.utils.get_netrc_auth(openobserve.url) == ("somebody", "else")
    assert client.send([span()]).outcome == ACCEPTED
    assert {request.headers["authorization"] for request in openobserve.requests} == {openobserve.auth_token}


def closing_server(first_bytes):
    """A server that reads a little of what the client says, answers with these bytes, and closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(64)
                    connection.sendall(first_bytes)

    threading.Thread(target=serve, daemon=True).start()
    return listening


HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
"""TLS 1.2, alert 40: no version, cipher or certificate that both can agree upon."""


@pytest.mark.parametrize(
    ("first_bytes", "outcome"),
    [(b"", RETRY), (b"HTTP/1.1 400 Bad Request\r\n\r\n", BLOCKED), (HANDSHAKE_FAILURE, BLOCKED)],
    ids=["closes", "speaks-no-tls", "cannot-agree"],
)
def test_a_connection_that_breaks_while_it_is_made_is_nobodys_mistake(openobserve, first_bytes, outcome):
    with closing_server(first_bytes) as listening:
        address = f"https://127.0.0.1:{listening.getsockname()[1]}"
        client = Client(destination(openobserve, base_url=address, endpoint=address + "/v1/traces"))
        verdict = client.send([span()])
        client.close()
    assert (verdict.outcome, verdict.timed_out) == (outcome, False)


def test_requests_of_ours_are_not_in_the_applications_log(client, caplog):
    caplog.set_level("DEBUG")
    assert client.send([span()]).outcome == ACCEPTED
    assert [entry.getMessage() for entry in caplog.records] == []
    requests.get(client.destination.base_url + "/config", timeout=10)
    assert any("/config" in entry.getMessage() for entry in caplog.records), "the application's own are"


# Which server it is.


@pytest.mark.parametrize(
    ("version", "kind"), [("0.80.0", "Int64"), ("v0.90.3", "Int64"), ("0.91.0", "Utf8"), ("v0.93.0", "Utf8")]
)
def test_an_older_server_gets_no_attributes_that_would_widen_its_columns(version, kind):
    usage = {
        "gen_ai.operation.name": "chat",
        "llm.token_count.prompt": 3,
        "llm.token_count.completion": 4,
        "llm.token_count.total": 7,
    }
    with FakeOpenObserve(version) as server:
        client = Client(destination(server))
        assert client.send([span(1, **{"openinference.span.kind": "LLM"}, **usage, **USAGE)]).outcome == ACCEPTED
        client.close()
        assert server.columns()["llm_usage_tokens_input"] == kind
        assert server.collisions == []


def test_the_version_is_asked_once(client, openobserve):
    for number in range(3):
        client.send([span(number)])
    assert client.server_version() == (0, 91)
    assert [request.path for request in openobserve.requests].count("/config") == 1


def test_a_collector_is_not_asked(openobserve):
    client = Client(destination(openobserve, kind="otlp", base_url=""))
    assert client.send([span(1, **USAGE)]).outcome == ACCEPTED
    client.close()
    assert [request.method for request in openobserve.requests] == ["POST"]
    assert openobserve.rows()[0]["llm_usage_tokens_input"] == "3"


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ('{"version": "v0.90.3", "build_type": "opensource"}', (0, 90)),
        ('{"version":"0.93.0"}', (0, 93)),
        ('{"a": 1, "version" : "v1.2.3-rc1"}', (1, 2)),
        ('{"version": "main"}', None),
        ('{"old_version": "0.1.2"}', None),
        ("<html>", None),
        ("", None),
    ],
)
def test_parse_version(body, version):
    assert ingest.parse_version(body) == version


class Gateway:
    """A server whose ``/config`` answers by a list, the last one for good; exports are accepted and kept."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.exported = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                outer.asked.append(self.path)
                self.reply(*answer)

            def do_POST(self):
                outer.exported.append(gzip.decompress(self.rfile.read(int(self.headers["content-length"]))))
                self.reply(200, b"")

            def reply(self, status, body, length=None, headers=None):
                """``length``: what the header says, where the body breaks off before that."""
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) if length is None else length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.environment = {"OPENOBSERVE_URL": self.url, "OPENOBSERVE_AUTH_TOKEN": "user@example.com:fake"}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


OLD = (200, b'{"version": "v0.90.3"}')


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_cannot_say_its_version_now_is_not_taken_for_a_new_one(status):
    # As a gateway answers while the server starts: one text value would widen the old server's columns for good.
    with Gateway((status, b"starting"), OLD) as server:
        client = Client(destination(server))
        outcomes = [client.send([span(1, **USAGE)]).outcome for _ in range(2)]
        client.close()
    assert outcomes[-1] == ACCEPTED
    assert not [body for body in server.exported if b"llm.usage.tokens" in body]


@pytest.mark.parametrize("answer", [(404, b""), (200, b"<html>"), (401, b""), (302, b"")])
def test_a_server_that_has_no_version_takes_everything(answer):
    with Gateway(answer) as server:
        client = Client(destination(server))
        assert client.send([span(1, **USAGE)]).outcome == ACCEPTED
        assert client.server_version() is None
        client.close()
    assert b"llm.usage.tokens.input" in server.exported[0]


def test_a_version_that_breaks_off_is_asked_for_again():
    with Gateway((200, OLD[1][:9], 99), OLD) as server:
        client = Client(destination(server))
        outcomes = [client.send([span(1, **USAGE)]).outcome for _ in range(2)]
        client.close()
    assert outcomes == [RETRY, ACCEPTED]
    assert b"llm.usage.tokens" not in b"".join(server.exported)


def test_of_a_long_answer_only_the_beginning_is_read():
    with Gateway((200, b" " * ingest._MAX_ANSWER_BYTES + OLD[1])) as server:
        client = Client(destination(server))
        assert client.send([span(1)]).outcome == ACCEPTED
        assert client.server_version() is None
        client.close()


def test_a_gateway_that_lets_nothing_through_but_spans_gets_them(monkeypatch):
    with Gateway((503, b"no such backend")) as server:
        client = Client(destination(server))
        outcomes = [client.send([span(1, **USAGE)]).outcome for _ in range(5)]
        assert outcomes == [RETRY, RETRY, RETRY, ACCEPTED, ACCEPTED]
        assert len(server.asked) == 4, "and is not asked each time"
        assert b"llm.usage.tokens" not in b"".join(server.exported), "which an older server could not have"
        server.answers[:] = [(200, b'{"version": "v0.93.0"}')]
        monkeypatch.setattr(client, "_ask_version_after", 0.0)
        assert client.send([span(1, **USAGE)]).outcome == ACCEPTED
        client.close()
    assert b"llm.usage.tokens" in server.exported[-1]


@pytest.mark.parametrize("behaviour", ["hang", "reset"])
def test_a_gateway_that_drops_what_it_does_not_know_gets_spans_all_the_same(openobserve, monkeypatch, behaviour):
    monkeypatch.setattr(ingest, "_CONFIG_TIMEOUT_S", 0.2)
    answer = openobserve._server.application

    def drops(request):
        return Answer(behaviour=behaviour) if request.path.endswith("/config") else answer(request)

    openobserve._server.application = drops
    client = Client(destination(openobserve))
    verdicts = [client.send([span(number)]) for number in range(5)]
    client.close()
    assert [verdict.outcome for verdict in verdicts] == [RETRY, RETRY, RETRY, ACCEPTED, ACCEPTED]
    assert [verdict.timed_out for verdict in verdicts] == [False] * 5, "no span was under way"


def test_the_pause_that_is_asked_for_instead_of_the_version_is_kept():
    with Gateway((429, b"", None, {"Retry-After": "30"})) as server:
        client = Client(destination(server))
        verdict = client.send([span(1)])
        client.close()
    assert (verdict.outcome, verdict.retry_after_s) == (RETRY, 30)


def test_an_unreachable_server_is_asked_again(openobserve):
    client = Client(destination(openobserve))
    openobserve.stop()
    assert client.send([span(1)]).outcome == RETRY
    openobserve.start()
    assert client.send([span(2)]).outcome == ACCEPTED
    client.close()
    assert client.server_version() == (0, 91)


# What comes back.


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (302, BLOCKED),
        (400, REFUSED),
        (401, BLOCKED),
        (403, BLOCKED),
        (404, BLOCKED),
        (413, TOO_LARGE),
        (429, RETRY),
        (500, RETRY),
        (503, RETRY),
        (Answer(behaviour="reset"), RETRY),
        (Answer(behaviour="hang"), RETRY),
        (Answer(delay_s=1.0), RETRY),
    ],
    ids=str,
)
def test_an_answer_and_the_next_one(openobserve, answer, outcome):
    openobserve.script(answer)
    client = Client(destination(openobserve, timeout_s=0.4))
    began = time.monotonic()
    verdict = client.send([span(1)])
    assert verdict.outcome == outcome
    assert time.monotonic() - began < 3
    assert verdict.reason
    assert client.send([span(2)]).outcome == ACCEPTED
    client.close()


def test_half_an_answer_is_no_end(client, openobserve):
    openobserve.script(Answer(200, {"content-type": "application/json"}, '{"partialSuccess": null}', behaviour="half"))
    # The status has come, and with it the spans are stored: sent again they would stand there twice.
    assert client.send([span(1)]).outcome == ACCEPTED
    assert client.send([span(2)]).outcome == ACCEPTED


def test_rejected_spans_are_counted_from_the_servers_own_answer(client, openobserve):
    six_hours_ago = time.time_ns() - 6 * 3600 * 10**9
    verdict = client.send([span(1), span(2, six_hours_ago), span(3, six_hours_ago)])
    assert (verdict.outcome, verdict.rejected) == (ACCEPTED, 2)
    assert "retention" in verdict.reason
    assert len(openobserve.rows()) == 1


def test_when_to_come_back_is_told(client, openobserve):
    openobserve.script(Answer(429, {"retry-after": "17"}))
    assert client.send([span()]).retry_after_s == 17


def test_a_redirect_is_not_followed(client, openobserve):
    with FakeOpenObserve() as elsewhere:
        openobserve.script(Answer(302, {"location": elsewhere.url + "/web/login"}))
        verdict = client.send([span()])
        assert elsewhere.url + "/web/login" in verdict.reason
        assert elsewhere.connections == 0


def closed_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "outcome", "reason"),
    [
        ("http://127.0.0.1:{closed}/traces", RETRY, "refused"),
        ("http://does-not-exist.invalid/traces", RETRY, ""),
        ("https://127.0.0.1:{open}/traces", BLOCKED, "TLS"),
        ("http://[::1/traces", BLOCKED, ""),
        ("http://" + "a" * 70 + ".example/traces", None, ""),
        ("http://127.0.0.1:99999/traces", BLOCKED, ""),
        ("nothing", None, ""),
        ("ftp://127.0.0.1/traces", None, ""),
    ],
)
def test_an_address_that_does_not_work(openobserve, url, outcome, reason):
    port = openobserve.url.rpartition(":")[2]
    endpoint = url.format(closed=closed_port(), open=port)
    client = Client(destination(openobserve, endpoint=endpoint, base_url="", timeout_s=2.0))
    verdict = client.send([span()])
    assert verdict.outcome in ([outcome] if outcome else [RETRY, BLOCKED])
    assert reason in verdict.reason
    assert verdict.reason


@pytest.mark.parametrize(
    "headers",
    [{"content-encoding": "gzip"}, {"content-encoding": "deflate"}, {"content-type": "application/json; charset=no"}],
    ids=["no-gzip", "no-deflate", "no-charset"],
)
def test_a_success_whose_body_cannot_be_read_is_one(client, openobserve, headers):
    openobserve.script(Answer(200, headers, b"not what the header says"))
    assert client.send([span()]).outcome == ACCEPTED


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, {}, "[" * 100_000),
        Answer(503, {"retry-after": "inf"}, ""),
        Answer(200, {"content-type": "application/json"}, '{"partialSuccess": {"rejectedSpans": 1e999}}'),
        Answer(200, {"content-type": "application/x-protobuf"}, b"\xff" * 100),
        Answer(302, {"location": "http://[::1"}, ""),
    ],
    ids=["deep-json", "infinite-wait", "infinite-count", "no-protobuf", "no-location"],
)
def test_an_odd_answer_never_raises(client, openobserve, answer):
    openobserve.script(answer)
    assert client.send([span()]).outcome in (ACCEPTED, RETRY, BLOCKED)


SECRET = "c3Vic3RpdHV0ZTpmYWtlLXRva2Vu"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_an_answer_that_repeats_our_headers_gives_no_token_away(openobserve, status):
    # As debugging proxies and echo servers do; the reason is printed.
    headers = {"Authorization": f"Basic {SECRET}", "stream-name": "default"}
    openobserve.script(Answer(status, {"content-type": "application/json"}, json.dumps({"message": str(headers)})))
    client = Client(destination(openobserve, headers=headers))
    assert SECRET not in client.send([span()]).reason
    client.close()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:{port}/traces?key=" + SECRET,
        "https://127.0.0.1:{port}/traces?key=" + SECRET,
        "http://127.0.0.1:x{port}/traces?key=" + SECRET,
    ],
)
def test_an_address_with_an_access_key_is_not_shown(openobserve, endpoint):
    client = Client(destination(openobserve, endpoint=endpoint.format(port=closed_port()), base_url="", timeout_s=1.0))
    assert SECRET not in client.send([span()]).reason


# Its life.


def test_a_connection_that_a_frozen_process_may_have_lost_is_not_used_again(openobserve):
    client = Client(destination(openobserve), most_idle_s=0.2)
    for pause_s in (0, 0, 0.3):
        time.sleep(pause_s)
        assert client.send([span()]).outcome == ACCEPTED
    assert openobserve.connections == 2
    client.close()


def test_a_forked_child_opens_connections_of_its_own(client, openobserve):
    client.send([span(1)])
    session = client._session
    client.after_fork_in_child()
    assert client.send([span(2)]).outcome == ACCEPTED
    assert openobserve.connections == 2
    # The parent's connection is still whole.
    assert session.get(openobserve.url + "/healthz", timeout=5).status_code == 200
    assert openobserve.connections == 2
    session.close()


def test_closing_twice_and_sending_again(client, openobserve):
    client.close()
    client.send([span(1)])
    client.close()
    client.close()
    assert client.send([span(2)]).outcome == ACCEPTED


def test_requests_is_not_imported_with_the_module():
    program = "import sys; import hf_openobserve.openobserve.ingest; print('requests' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(AGENT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
