"""A real Collector, or OpenObserve behind it, fails: what becomes of the calls of a program under the agent."""

from __future__ import annotations

import collections
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import harness
import senders
from fakes.openobserve import Answer
from gateways import WAIT_S, Gateway, wait_for
from scripted import Reply, ScriptedEndpoint, chat_body

DURATION = "gen_ai_client_inference_duration_count"
QUEUE = "exporters::otlp_http/openobserve::sending_queue::"


PROGRAM = """
import os, signal, time
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0)
def ask(times):
    for _ in range(times):
        client.chat.completions.create(
            model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "A long question. " * 100}]
        )
def until(path):
    while not os.path.exists(path):
        time.sleep(0.05)
"""


@pytest.fixture
def program(tmp_path):
    """Starts a program that delivers to the gateway; ends it if its test does not."""
    started = []
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:

        def start(text, gateway, **more):
            script = tmp_path / "program.py"
            script.write_text(PROGRAM + text)
            env = environment(tmp_path, gateway, HF_BASE_URL=endpoint.url, **more)
            env = harness.through("pythonpath", env)
            started.append(subprocess.Popen([sys.executable, str(script)], env=env, cwd=tmp_path))
            return started[-1]

        yield start
        for process in started:
            process.kill()
            process.wait()


def environment(tmp_path, gateway, **more):
    return harness.environment(tmp_path, gateway.environment, more)


def ship(tmp_path, gateway):
    """What the agent does in its next process. True if all that waited was accepted."""
    command = [str(Path(sys.executable).with_name("hf-openobserve")), "ship"]
    return harness.run(command[1:], door=None, env=environment(tmp_path, gateway), cwd=tmp_path, python=command[0])


def waiting(tmp_path):
    return list(tmp_path.glob("outbox/*/*.seg"))


def test_nothing_is_lost_while_the_collector_is_down(tmp_path, openobserve, program):
    gateway = Gateway(tmp_path, openobserve)
    running = program("ask(3)\nuntil('back')\nask(2)", gateway, OPENOBSERVE_HF_METRICS="on")
    wait_for(lambda: waiting(tmp_path))
    time.sleep(0.5)  # the agent has tried
    with gateway:
        (tmp_path / "back").touch()
        assert running.wait(WAIT_S) == 0
        rows = openobserve.wait_for_rows(5, timeout=WAIT_S)
        assert len({row["span_id"] for row in rows}) == len(rows) == 5
        wait_for(lambda: DURATION in openobserve.streams(stream_type="metrics"))
        counted = openobserve.sql(f'SELECT * FROM "{DURATION}"', "metrics")
        assert sum(row["value"] for row in counted) == 5
    assert waiting(tmp_path) == []


def test_nothing_is_lost_when_the_collector_and_the_program_are_killed_while_the_queue_is_full(
    tmp_path, openobserve, program
):
    """OpenObserve is down all the while; then it stores a request and the Collector is killed before it knows."""
    gateway = Gateway(
        tmp_path,
        openobserve,
        # Two thirds of what the program records; the rest, one request, has room in it later.
        **{QUEUE + "queue_size": 150_000, QUEUE + "batch::min_size": 20_000, QUEUE + "batch::flush_timeout": "100ms"},
    )
    openobserve.stop()
    calls = 40
    with gateway:
        running = program(
            f"for _ in range({calls // 4}):\n    ask(4)\n    time.sleep(0.3)\nos.kill(os.getpid(), signal.SIGKILL)",
            gateway,
        )
        assert running.wait(WAIT_S) == -9
        assert "sending queue is full" in gateway.said
        assert waiting(tmp_path), "what the Collector does not take stays with the agent"
        gateway.kill()

        openobserve.start()
        openobserve.script(Answer(behaviour="hang", store=True))
        gateway.start()
        wait_for(lambda: openobserve.requests and openobserve.requests[-1].spans)
        gateway.kill()
        (unanswered,) = [request.message for request in openobserve.requests if not request.status]
        before = {row["span_id"] for row in openobserve.rows()}
        assert before == span_ids(unanswered)

        gateway.start()
        wait_for(lambda: ship(tmp_path, gateway).returncode == 0)
        wait_for(lambda: len({row["span_id"] for row in openobserve.rows()}) == calls)
        assert waiting(tmp_path) == []
    times = collections.Counter(row["span_id"] for row in openobserve.rows())
    assert {span_id for span_id, count in times.items() if count > 1} == before, "one request, twice"
    assert max(times.values()) == 2


def span_ids(message):
    return {
        span.span_id.hex()
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def test_what_the_collector_tries_again_and_what_it_gives_up(tmp_path, openobserve, program):
    """docs/scaling.md says so: of OpenObserve's answers, 500 and a refused token cost a request behind a Collector."""
    with Gateway(tmp_path, openobserve, **{QUEUE + "batch::flush_timeout": "50ms"}) as gateway:
        running = program("\n".join(f"until('{number}')\nask(1)" for number in range(4)), gateway)
        openobserve.script(503)
        (tmp_path / "0").touch()
        openobserve.wait_for_rows(1, timeout=WAIT_S)
        for number, status in enumerate((500, 401), 1):
            openobserve.script(status)
            (tmp_path / str(number)).touch()
            wait_for(lambda status=status: f"HTTP Status Code {status}" in gateway.said)
        (tmp_path / "3").touch()
        assert running.wait(WAIT_S) == 0
        assert len(openobserve.wait_for_rows(2, timeout=WAIT_S)) == 2
        assert gateway.said.count("Exporting failed. Dropping data.") == 2

        old = senders.payload(1, start=time.time_ns() - 6 * 3600 * 10**9)
        headers = {"Content-Type": "application/x-protobuf"}
        with urllib.request.urlopen(urllib.request.Request(f"{gateway.url}/v1/traces", old, headers)) as answer:
            assert answer.status == 200
        wait_for(lambda: "Partial success response" in gateway.said)
        assert len(openobserve.rows()) == 2
