"""Where spans go: OpenObserve, a Collector, or nowhere; and never where somebody else's file says."""

from __future__ import annotations

import base64
import json
import shutil
import time

import pytest

import harness
import slow_servers
import tls
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.cli import spans as cli_spans
from scripted import Reply, ScriptedEndpoint, chat_body

CALL = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
print(client.chat.completions.create(
    model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi"}], max_tokens=8).model)
"""


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as scripted:
        yield scripted


@pytest.fixture
def env(tmp_path, endpoint):
    return harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})


def waiting(tmp_path):
    return cli_spans.read_outbox(str(tmp_path / "outbox"))


@pytest.mark.parametrize("door", harness.DOORS)
def test_without_a_destination_the_spans_stay_in_the_outbox(env, tmp_path, door):
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    (span,) = waiting(tmp_path)
    assert span["name"] == "ChatCompletion"
    assert (tmp_path / "outbox" / "local").is_dir()


def test_they_do_not_flow_to_whoever_is_configured_next(env, tmp_path, openobserve, door):
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    harness.run_ok(CALL, door=door, env={**env, **openobserve.environment}, cwd=tmp_path)
    assert len(openobserve.wait_for_rows(1)) == 1
    assert len(waiting(tmp_path)) == 1


def test_an_old_server_gets_no_tokens_of_its_own_columns(env, tmp_path):
    with FakeOpenObserve("0.90.3") as server:
        harness.run_ok(CALL, door="wrapper", env={**env, **server.environment}, cwd=tmp_path)
        (row,) = server.wait_for_rows(1)
        assert server.columns()["llm_usage_tokens_input"] == "Int64", "the server's own, not widened"
        assert row["llm_usage_tokens_input"] == 11
        assert row["llm_observation_type"] == "GENERATION"
        assert row["llm_request_parameters_model"] == "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize("prefix", ["", "/observe"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_url_may_have_a_prefix_and_a_trailing_slash(env, tmp_path, prefix, slash):
    with FakeOpenObserve(base_path=prefix) as server:
        env.update(server.environment)
        env["OPENOBSERVE_URL"] = server.url + slash
        harness.run_ok(CALL, door="pythonpath", env=env, cwd=tmp_path)
        assert len(server.wait_for_rows(1)) == 1


def test_organization_and_stream(env, tmp_path):
    with FakeOpenObserve(orgs=("default", "acme")) as server:
        env.update(server.environment, OPENOBSERVE_ORG="acme", OPENOBSERVE_TRACES_STREAM_NAME="llm calls")
        harness.run_ok(CALL, door="pythonpath", env=env, cwd=tmp_path)
        assert len(server.wait_for_rows(1, stream="llm_calls", org="acme")) == 1


@pytest.mark.parametrize("shape", ["basic", "bare user:password", "bare base64"])
def test_the_token_may_be_written_as_people_have_it(env, tmp_path, openobserve, shape):
    encoded = openobserve.auth_token.split()[1]
    env.update(openobserve.environment)
    env["OPENOBSERVE_AUTH_TOKEN"] = {
        "basic": "Basic " + encoded,
        "bare user:password": base64.b64decode(encoded).decode(),
        "bare base64": encoded,
    }[shape]
    harness.run_ok(CALL, door="pythonpath", env=env, cwd=tmp_path)
    assert len(openobserve.wait_for_rows(1)) == 1


@pytest.mark.parametrize("exporter", ["otlp", "openobserve", "otlp,openobserve", ""])
def test_one_delivery_to_openobserve_beside_a_dead_otel_endpoint(env, tmp_path, openobserve, door, exporter):
    env.update(openobserve.environment)
    env.update({"OTEL_TRACES_EXPORTER": exporter, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    assert len(openobserve.wait_for_rows(1)) == 1
    assert [request.spans for request in openobserve.requests if request.method == "POST"] == [1]


def test_a_collector_gets_otlp_with_its_headers_and_no_question_for_its_version(env, tmp_path, door):
    with ScriptedCollector() as collector:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        env["OTEL_EXPORTER_OTLP_HEADERS"] = "x-tenant=acme,authorization=Bearer%20abcdefghijklmnop"
        harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
        (request,) = collector.requests
    method, path, headers, message = request
    assert (method, path) == ("POST", "/v1/traces")
    assert headers["x-tenant"] == "acme"
    assert headers["authorization"] == "Bearer abcdefghijklmnop"
    (resource_spans,) = message.resource_spans
    assert resource_spans.scope_spans[0].spans[0].name == "ChatCompletion"


class ScriptedCollector:
    """An OTLP/HTTP receiver: any path, any header, the empty answer."""

    def __init__(self):
        import gzip
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.requests = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                requests.append((self.command, self.path, headers, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                requests.append((self.command, self.path, {}, None))
                self.send_error(404)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


# Size


def test_a_chat_of_a_thousand_messages_loses_nothing(env, tmp_path, openobserve, door):
    program = CALL.replace(
        '[{"role": "user", "content": "Hi"}]',
        '[{"role": ("user", "assistant")[i % 2], "content": f"message {i}"} for i in range(1000)]',
    )
    harness.run_ok(program, door=door, env={**env, **openobserve.environment}, cwd=tmp_path)
    (row,) = openobserve.wait_for_rows(1)
    assert [message["content"] for message in json.loads(row["gen_ai_input_messages"])] == [
        f"message {i}" for i in range(1000)
    ]
    assert row["llm_system"] == "openai"
    assert row["openinference_span_kind"] == "LLM"
    assert row["input_mime_type"] == "application/json"


# .env files


def write_dotenv(directory, server):
    lines = [f"{name}={value}\n" for name, value in server.environment.items()]
    (directory / ".env").write_text("".join(lines))


def test_a_dotenv_beside_the_script_is_found_from_anywhere(env, tmp_path, openobserve, door):
    project = tmp_path / "proj"
    project.mkdir()
    write_dotenv(project, openobserve)
    (project / "app.py").write_text(CALL)
    from pathlib import Path

    harness.run_ok([str(project / "app.py")], door=door, env=env, cwd=Path("/"))
    assert len(openobserve.wait_for_rows(1)) == 1


def test_a_foreign_dotenv_never_redirects_a_token(env, tmp_path, openobserve, door):
    """The URL in the work directory's parent, the token in the environment: the foreign server sees no connection."""
    foreign = tmp_path / "shared"
    work = foreign / "work"
    work.mkdir(parents=True)
    with FakeOpenObserve() as evil:
        (foreign / ".env").write_text(f"OPENOBSERVE_URL={evil.url}\n")
        (foreign / "pyproject.toml").write_text("")  # even where the search reaches that directory
        env["OPENOBSERVE_AUTH_TOKEN"] = openobserve.auth_token
        done = harness.run(CALL, door=door, env=env, cwd=work)
        assert (done.stdout, done.returncode) == ("llama3.1-8b\n", 0)
        assert evil.connections == 0
    assert openobserve.auth_token.split()[1] not in done.stderr


# Where no disk can be written


def test_without_a_disk_the_spans_arrive_from_memory(env, tmp_path, openobserve, door):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the outbox should be")
    env.update(openobserve.environment, OPENOBSERVE_HF_OUTBOX_DIR=str(blocked))
    done = harness.run(CALL, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("llama3.1-8b\n", 0)
    assert done.stderr.count("\n") == 1
    assert "OPENOBSERVE_HF_OUTBOX_DIR" in done.stderr
    assert len(openobserve.wait_for_rows(1)) == 1


# Wrong values


@pytest.mark.parametrize(
    ("name", "value", "recorded"),
    [
        ("OPENOBSERVE_URL", "localhost:5080", 0),
        ("OPENOBSERVE_AUTH_TOKEN", "not-a-token", 0),
        ("OPENOBSERVE_ORG", "acme/eu", 0),
        ("OPENOBSERVE_TIMEOUT", "a minute", 1),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "soon", 1),
    ],
)
def test_a_wrong_value_is_one_line_and_the_program_runs_on(env, tmp_path, openobserve, door, name, value, recorded):
    env.update(openobserve.environment)
    env[name] = value
    done = harness.run(CALL, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("llama3.1-8b\n", 0)
    assert done.stderr.startswith("hf-openobserve: ")
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
    assert "not-a-token" not in done.stderr
    if recorded:
        # The default budget of one second may end before a loaded machine has delivered: the next run brings it.
        del env[name]
        harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
        assert len(openobserve.wait_for_rows(2)) == 2
    else:
        assert openobserve.rows() == []


@pytest.mark.parametrize("named", ["", ".env"], ids=["found", "named"])
def test_a_cloned_repositorys_dotenv_redirects_no_prompts_of_a_collector(env, tmp_path, door, named):
    with ScriptedCollector() as collector, FakeOpenObserve() as stranger:
        write_dotenv(tmp_path, stranger)
        env.update(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OPENOBSERVE_HF_DOTENV=named)
        harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
        assert [path for _, path, _, _ in collector.requests] == ["/v1/traces"]
        assert stranger.connections == 0


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_dotenv_that_others_can_write_to_is_one_line(env, tmp_path, openobserve, mode):
    write_dotenv(tmp_path, openobserve)
    (tmp_path / ".env").chmod(mode)
    done = harness.run(CALL, door="pythonpath", env=env, cwd=tmp_path)
    assert done.returncode == 0
    path = tmp_path / ".env"
    assert done.stderr == f"hf-openobserve: {path} is not read: other users can write to it; chmod go-w {path}.\n"
    assert len(waiting(tmp_path)) == 1
    assert openobserve.connections == 0


# TLS


@pytest.mark.skipif(not tls.has_openssl, reason="there is no openssl command to make certificates with")
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_file_that_is_missing_is_one_line_and_its_spans_arrive_later(env, tmp_path, openobserve, name):
    authority = tls.Authority(tmp_path / "authority")
    later = tmp_path / "later.pem"
    env.pop("SSL_CERT_FILE", None)
    with tls.TlsFront(openobserve, authority.issue("server")) as server:
        env.update(openobserve.environment, OPENOBSERVE_URL=server.url)
        env[name] = str(later)
        done = harness.run(CALL * 2, door="pythonpath", env=env, cwd=tmp_path)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, f"{name} names {later}, which does not exist; " in line) == (0, True)
        assert len(waiting(tmp_path)) == 2
        shutil.copy(authority.certificate, str(later))
        harness.run_ok(CALL, door="pythonpath", env=env, cwd=tmp_path)
        assert len(openobserve.wait_for_rows(3)) == 3


# Slow servers


@pytest.mark.parametrize("what", ["100-continue", "status-line"])
def test_the_end_of_the_program_does_not_wait_for_an_answer_that_never_ends(env, tmp_path, openobserve, what):
    with slow_servers.serve(what) as server:
        env.update(openobserve.environment, OPENOBSERVE_URL=server.url, OPENOBSERVE_HF_EXIT_TIMEOUT_S="1")
        program = CALL + "import time\nprint(time.time())\n"
        done = harness.run_ok(program, door="pythonpath", env=env, cwd=tmp_path)
        assert time.time() - float(done.stdout.split()[-1]) < 10, "the timeout is 30 s, the budget of the end 1 s"
    assert len(waiting(tmp_path)) == 1
