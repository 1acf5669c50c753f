"""Law 1, in full: both clients, sync and async, against the scripted router, with the agent and without.

Every chunk, value, exception and header that a program gets is the same, and so is every request that the router gets:
but for the usage that the agent asks streams for.
"""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import harness
import router_answers
from fakes.openobserve import FakeOpenObserve
from router import ScriptedRouter

pytestmark = pytest.mark.matrix

PROGRAMS = Path(__file__).parent / "programs"
VOLATILE = ("x-amzn-trace-id", "content-length")
"""Headers of a request that differ between two runs of the same program, or with the body."""


DOORS = (("pythonpath", "auto"), ("wrapper", "off"))
"""Each door, and whether streams are asked for their usage: the router is a host that accepts the question."""


@pytest.fixture
def routers(llama):
    """One for each run: the programs wait more than they compute, and run at the same time."""
    kept = {}
    with contextlib.ExitStack() as running:
        yield [running.enter_context(ScriptedRouter(llama.url, kept)) for _ in (None, *DOORS)]


def run(program, door, router, directory, settings):
    tables = {
        "ERRORS": router_answers.ERRORS,
        "STREAMS": router_answers.STREAMS,
        "REFUSALS": router_answers.REFUSED_OPTION,
    }
    cases = {name: json.dumps(sorted(table)) for name, table in tables.items()}
    env = harness.environment(directory, router.environment, cases, {"ROUTER": router.by_name}, settings)
    done = harness.run([str(PROGRAMS / program)], door=door, env=env, cwd=directory)
    return done, list(router.calls)


def run_with_agent(program, door, router, directory, usage):
    with FakeOpenObserve() as server:
        done, calls = run(
            program, door, router, directory, {**server.environment, "OPENOBSERVE_HF_STREAM_USAGE": usage}
        )
        return done, calls, server.wait_for_rows(51)


@pytest.mark.timeout(400)  # three whole programs
@pytest.mark.parametrize(
    ("library", "program"),
    [("openai", "differential_openai.py"), ("huggingface_hub", "differential_hub.py")],
    ids=["openai", "huggingface_hub"],
)
def test_nothing_differs(library, program, routers, tmp_path):
    pytest.importorskip(library)
    directories = [tmp_path / name for name in ("bare", *(door for door, _ in DOORS))]
    for directory in directories:
        directory.mkdir()
    with ThreadPoolExecutor() as pool:
        without_us = pool.submit(run, program, None, routers[0], directories[0], {})
        with_us = [
            (door, usage, pool.submit(run_with_agent, program, door, router, directory, usage))
            for (door, usage), router, directory in zip(DOORS, routers[1:], directories[1:])
        ]
    bare, without = without_us.result()
    assert bare.returncode == 4, bare.stderr
    for door, usage, running in with_us:
        done, calls, rows = running.result()
        assert done.stdout.splitlines() == bare.stdout.splitlines(), door
        assert (done.stderr, done.returncode) == (bare.stderr, bare.returncode), door
        if usage == "auto":
            calls = unasked(calls, without)
        assert [visible(call) for call in calls] == [visible(call) for call in without], door
        # Else there would be nothing to compare. Retries have no row of their own.
        assert len(rows) > 0.8 * len([call for call in without if call.method == "POST"]) > 50, door


def unasked(calls, without):
    """The calls as they were without our question for the usage.

    What may have been refused for it goes out twice, once.
    """
    result, repeated, asked = [], [], 0
    for call, following in zip(calls, [*calls[1:], None]):
        counterpart = without[len(result)] if len(result) < len(without) else call
        if is_asked(call) and not is_asked(counterpart):
            asked += 1
            assert call.body["stream"] is True
            assert call.body["stream_options"] == {"include_usage": True}
            body = {name: value for name, value in call.body.items() if name != "stream_options"}
            # What is compressed cannot be taken out of a stream.
            assert call.headers.get("accept-encoding") in ("identity", counterpart.headers.get("accept-encoding"))
            encoding = {name: value for name, value in counterpart.headers.items() if name == "accept-encoding"}
            as_sent = call._replace(headers={**call.headers, **encoding})
            if call.status in (400, 422) and following is not None and following.body == body:
                repeated.append(body["model"].partition("/")[2])
                continue
            result.append(as_sent._replace(body=body))
        else:
            result.append(call)
    assert sorted(repeated) == sorted([*router_answers.REFUSED_OPTION, "a-list", "context", "invalid"])
    assert asked > 20, "the router is a host that is asked"
    return result


def is_asked(call):
    return isinstance(call.body, dict) and "stream_options" in call.body


def visible(call):
    headers = {name: value for name, value in call.headers.items() if name not in VOLATILE}
    headers["host"] = headers["host"].partition(":")[0]  # each run has a router of its own
    return (call.method, call.path, call.status, call.body, headers)
