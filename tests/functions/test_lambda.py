"""A function of AWS Lambda's under its real runtime client: it is stopped as soon as its answer has been posted."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

import harness
import outboxes
from lambda_service import LambdaService
from router import ScriptedRouter
from slow_servers import SLOW, Drip

pytest.importorskip("awslambdaric", reason="AWS's runtime client is not installed: make matrix has it")

PROGRAMS = Path(__file__).parent / "programs"
BUDGET_S = 1.0


@pytest.fixture(scope="module")
def router():
    with ScriptedRouter() as router:
        yield router


@pytest.fixture
def service(openobserve):
    """Looks at the moment of each answer which calls stand in OpenObserve."""
    with LambdaService(lambda: labels(openobserve)) as service:
        yield service


@pytest.fixture
def start(service, openobserve, router, tmp_path):
    """``start(**environment)``: the process of the function, with the default outbox: in the temporary directory."""

    def start(**more):
        env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": router.url})
        env.update({"OPENAI_API_KEY": "x" * 20, **service.environment, **more})
        if "OPENOBSERVE_HF_OUTBOX_DIR" not in more:
            del env["OPENOBSERVE_HF_OUTBOX_DIR"]
        stderr = tmp_path / "stderr"
        with stderr.open("ab") as said:
            service.start(
                [sys.executable, "-m", "awslambdaric", "asking_function.handle"],
                env=harness.through("pythonpath", env),
                cwd=str(PROGRAMS),
                stderr=said,
            )
        return stderr

    return start


def labels(openobserve):
    return [json.loads(row["llm_invocation_parameters"])["user"] for row in openobserve.rows()]


def kept(tmp_path):
    """The number of calls that wait on the function's disk."""
    return sum(len(outboxes.spans(path)) for path in outboxes.segments(tmp_path))


def test_rows_stand_when_the_answer_goes_back(service, start, openobserve):
    stderr = start(OPENOBSERVE_HF_METRICS="auto", OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta")
    done = []
    for how, expected in (
        ("plain", "response"),
        ("streamed", "response"),
        ("nothing", "response"),
        ("in_a_loop", "response"),
        ("broken", "error"),
        ("plain", "response"),
    ):
        label = f"{len(done)}-{how}"
        answer = service.invoke({"how": how, "label": label})
        assert answer.kind == expected, answer
        done += [label] if how != "nothing" else []
        assert answer.seen == done
    assert answer.body == "plain"
    assert openobserve.collisions == []
    # The numbers, too, before their minute is over: Lambda kills an environment without a word.
    counted = openobserve.sql('SELECT * FROM "gen_ai_client_inference_duration_count"', "metrics")
    assert sum(row["value"] for row in counted) == len(done)
    assert "hf-openobserve" not in stderr.read_text()


def test_a_server_that_is_down_costs_no_call_and_gets_it_by_the_next_invocation(service, start, openobserve, tmp_path):
    start(OPENOBSERVE_HF_EXIT_TIMEOUT_S="1")
    openobserve.stop()
    answer = service.invoke({"how": "plain", "label": "down"})
    assert answer.kind == "response"
    assert answer.seen == []
    assert kept(tmp_path) == 1
    openobserve.start()
    time.sleep(1.1)
    # It makes no call of its own.
    assert service.invoke({"how": "nothing"}).seen == ["down"]
    assert kept(tmp_path) == 0


def test_a_silent_server_delays_an_answer_by_the_budget_once(service, start, tmp_path):
    with Drip(*SLOW["silence"]) as silent:
        start(OPENOBSERVE_URL=silent.url, OPENOBSERVE_HF_EXIT_TIMEOUT_S=str(BUDGET_S))
        service.invoke({"how": "nothing"})
        first = service.invoke({"how": "plain", "label": "first"})
        second = service.invoke({"how": "plain", "label": "second"})
        assert BUDGET_S <= first.seconds < BUDGET_S + 2
        assert second.seconds < BUDGET_S
        assert kept(tmp_path) == 2
        service.kill()  # while it is frozen
        assert kept(tmp_path) == 2


def test_an_invocation_is_not_delayed_beyond_its_own_time(service, start):
    with Drip(*SLOW["silence"]) as silent:
        start(OPENOBSERVE_URL=silent.url, OPENOBSERVE_HF_EXIT_TIMEOUT_S="20")
        service.invoke({"how": "nothing"})
        answer = service.invoke({"how": "plain", "label": "late"}, deadline_s=3)
        assert answer.kind == "response"
        assert answer.seconds < 3


def test_what_a_killed_environment_kept_its_successor_delivers(service, start, openobserve, tmp_path):
    """Lambda starts a process anew in the same place: after a crash, after a time that was exceeded."""
    start(OPENOBSERVE_HF_EXIT_TIMEOUT_S="1")
    openobserve.stop()
    service.invoke({"how": "plain", "label": "before"})
    service.kill()
    openobserve.start()
    start()
    assert sorted(service.invoke({"how": "plain", "label": "after"}).seen) == ["after", "before"]


def test_without_a_disk_calls_wait_in_memory(service, start, openobserve, tmp_path):
    (tmp_path / "file").write_text("")
    start(OPENOBSERVE_HF_OUTBOX_DIR=str(tmp_path / "file" / "outbox"), OPENOBSERVE_HF_EXIT_TIMEOUT_S="1")
    openobserve.stop()
    assert service.invoke({"how": "plain", "label": "down"}).seen == []
    openobserve.start()
    time.sleep(1.1)
    assert sorted(service.invoke({"how": "plain", "label": "up"}).seen) == ["down", "up"]


def test_exit_waits_for_no_answer(service, start):
    with Drip(*SLOW["silence"]) as silent:
        start(OPENOBSERVE_URL=silent.url, OPENOBSERVE_HF_EXIT_TIMEOUT_S="20", OPENOBSERVE_HF_FLUSH="exit")
        service.invoke({"how": "nothing"})
        assert service.invoke({"how": "plain", "label": "quick"}).seconds < 10
