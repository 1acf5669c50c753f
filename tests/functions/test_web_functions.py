"""Cloud Run and its like: a web server is stopped once its answer has arrived, and goes on with the next request."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness
import outboxes
from router import ScriptedRouter
from slow_servers import SLOW, Drip

PROGRAMS = Path(__file__).parent / "programs"
BUDGET_S = 1.0
WAIT_S = 60

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops processes")
UVICORN = ("uvicorn", "--log-level", "warning", "--port", "{port}")
GUNICORN = ("gunicorn", "--log-level", "warning", "--threads", "2", "--bind", "127.0.0.1:{port}", "wsgi_function:app")


class Function:
    """One server, in a process group of its own."""

    def __init__(self, command, env, stderr):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        arguments = [argument.replace("{port}", str(self.port)) for argument in command]
        with stderr.open("wb") as said:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]],
                env=harness.through("pythonpath", env),
                cwd=str(PROGRAMS),
                stderr=said,
                start_new_session=True,
            )
        end = time.monotonic() + WAIT_S
        while self._connect() != 0:
            assert self.process.poll() is None, stderr.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def _connect(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port))

    def get(self, path):
        """(body, seconds) of a request that wakes the process, which is stopped when its answer is there."""
        os.killpg(self.process.pid, signal.SIGCONT)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        began = time.monotonic()
        try:
            connection.request("GET", path)
            body = connection.getresponse().read().decode()
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)
            connection.close()
        return body.strip('"'), time.monotonic() - began

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def router():
    with ScriptedRouter() as router:
        yield router


@pytest.fixture
def start(openobserve, router, tmp_path):
    """``start(*command, **environment)``: a server on Cloud Run."""
    started = []

    def start(*command, **more):
        env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": router.url})
        env.update({"OPENAI_API_KEY": "x" * 20, "K_SERVICE": "asking", **more})
        started.append(Function(command, env, tmp_path / "stderr"))
        return started[-1]

    yield start
    for one in started:
        one.end()


def labels(openobserve):
    return [json.loads(row["llm_invocation_parameters"])["user"] for row in openobserve.rows()]


@pytest.mark.parametrize("application", ["asgi_function:app", "fastapi_function:app"])
def test_uvicorn_answers_when_the_row_stands(start, openobserve, tmp_path, application):
    pytest.importorskip("uvicorn")
    if application.startswith("fastapi"):
        pytest.importorskip("fastapi")
    function = start(*UVICORN, application)
    done = []
    for how in ("async", "stream", "thread", "async"):
        done.append(f"{len(done)}-{how}")
        assert function.get(f"/{how}/{done[-1]}")[0] == ("Hello there." if how == "stream" else "plain")
        assert labels(openobserve) == done
    assert openobserve.collisions == []
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.parametrize("command", [("python", "wsgi_function.py", "{port}"), GUNICORN], ids=["wsgiref", "gunicorn"])
def test_a_call_on_a_thread_returns_when_its_row_stands(start, openobserve, command):
    pytest.importorskip("gunicorn")
    function = start(*command)
    for number in (1, 2):
        assert function.get(f"/{number}")[0] == "plain"
        assert labels(openobserve) == ["1", "2"][:number]


def test_where_nobody_sees_the_answer_a_row_comes_at_once_or_with_the_next_request(start, openobserve):
    function = start("python", "asyncio_function.py", "{port}")
    assert function.get("/first")[0] == "plain"
    os.killpg(function.process.pid, signal.SIGCONT)
    openobserve.wait_for_rows(1)
    assert labels(openobserve) == ["first"]


AZURE = """
from opentelemetry.instrumentation import auto_instrumentation

auto_instrumentation.initialize()

from web_calls import call

print(call("azure"))
"""


def test_the_two_lines_for_a_worker_that_is_there_before_its_settings(openobserve, router, tmp_path):
    """The first two of docs/functions.md, without a door; the row stands while the process lives on."""
    page = (harness.REPOSITORY / "docs" / "functions.md").read_text(encoding="utf-8")
    assert AZURE.strip().startswith(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1).strip())
    settings = {"FUNCTIONS_WORKER_RUNTIME": "python", "HF_BASE_URL": router.url, "OPENAI_API_KEY": "x" * 20}
    for name in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
        assert f"`{name}=hf_openobserve`" in page
        settings[name] = "hf_openobserve"
    env = harness.environment(tmp_path, openobserve.environment, settings, {"PYTHONPATH": str(PROGRAMS)})
    program = AZURE + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    done = harness.run(["-u", "-c", program], door=None, env=env, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("plain\n", "")
    assert labels(openobserve) == ["azure"]


def test_a_silent_server_delays_one_answer_and_stops_no_event_loop(start, tmp_path):
    pytest.importorskip("uvicorn")
    with Drip(*SLOW["silence"]) as silent:
        function = start(
            *UVICORN,
            "asgi_function:app",
            OPENOBSERVE_URL=silent.url,
            OPENOBSERVE_HF_EXIT_TIMEOUT_S=str(2 * BUDGET_S),
        )
        function.get("/gap")
        _, first = function.get("/async/first")
        _, second = function.get("/async/second")
        gap, _ = function.get("/gap")
        assert 2 * BUDGET_S <= first < 2 * BUDGET_S + 2
        assert second < BUDGET_S
        assert float(gap) < 2 * BUDGET_S, "the first call has activated meanwhile, which takes its time"
        assert sum(len(outboxes.spans(path)) for path in outboxes.segments(tmp_path)) == 2


def test_a_silent_server_delays_one_call_of_a_thread(start, tmp_path):
    with Drip(*SLOW["silence"]) as silent:
        function = start(
            "python",
            "wsgi_function.py",
            "{port}",
            OPENOBSERVE_URL=silent.url,
            OPENOBSERVE_HF_EXIT_TIMEOUT_S=str(BUDGET_S),
        )
        _, first = function.get("/first")
        _, second = function.get("/second")
        assert BUDGET_S <= first < BUDGET_S + 2
        assert second < BUDGET_S
        assert sum(len(outboxes.spans(path)) for path in outboxes.segments(tmp_path)) == 2
