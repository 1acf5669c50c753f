"""``report --from openobserve``: the same calls, as the server gives them back."""

from __future__ import annotations

import json

import pytest
import requests

import outboxes
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.cli import stored_calls
from outboxes import call, failed_call, record

SAID = {
    "gen_ai.operation.name": "chat",
    "gen_ai.input.messages": json.dumps([{"role": "user", "content": "canary-in-question"}]),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "canary-in-answer"}]),
    "gen_ai.response.time_to_first_chunk": 0.125,
    "hf.stream.tokens_per_second": 80.5,
    "hf.provider.served": "groq",
    "http.request.resend_count": 2,
    "llm.token_count.prompt_details.cache_read": 8,
    "llm.token_count.completion_details.reasoning": 3,
}


@pytest.fixture
def env(tmp_path):
    return outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"), "COLUMNS": "120"})


def records():
    return [
        call(age_s=30, more=SAID),
        failed_call(age_s=20, service="desk"),
        call("m/embed", "embed", kind="EMBEDDING", tokens=None, age_s=10),
        record({"openinference.span.kind": "CHAIN"}, age_s=5),
    ]


def deliver(server, given):
    answer = requests.post(
        f"{server.url}/api/default/v1/traces",
        b"".join(payload for _, payload in given),
        headers={"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"},
        timeout=10,
    )
    assert answer.status_code == 200


def report_json(env, *arguments):
    done = outboxes.invoke(["report", "--json", "--calls", *arguments], env)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("version", ["0.90.3", "0.91.5", "0.92.0"])
def test_calls_are_the_same_from_the_outbox_and_from_the_server(env, tmp_path, version):
    given = records()
    outboxes.leave(tmp_path / "outbox", "local", *given)
    with FakeOpenObserve(version) as server:
        deliver(server, given)
        there = report_json({**env, **server.environment}, "--from", "openobserve", "--since", "1h")
    here = report_json(env, "--since", "1h")
    assert len(here["calls"]) == 3
    assert there["calls"] == here["calls"]
    assert there["models"] == here["models"]
    assert there["openobserve"] == {"url": server.url, "organization": "default", "stream": "default"}
    assert (there["outboxes"], there["older_left_out"]) == ([], False)


@pytest.mark.parametrize("version", ["0.90.3", "0.91.5"])
def test_the_page_has_prompt_and_answer_of_either_server(env, tmp_path, version):
    path = tmp_path / "report.html"
    with FakeOpenObserve(version) as server:
        deliver(server, records())
        given = {**env, **server.environment}
        assert outboxes.invoke(["report", "--html", path, "--from", "openobserve"], given).exit_code == 0
        text = path.read_text(encoding="utf-8")
        assert "canary-in-question" in text
        assert "canary-in-answer" in text
        asked = len(server.requests)
        arguments = ["report", "--html", path, "--from", "openobserve", "--no-content"]
        assert outboxes.invoke(arguments, given).exit_code == 0
        assert "canary" not in path.read_text(encoding="utf-8")
        # Nor were they asked for.
        assert not any(b"messages" in request.body for request in server.requests[asked:])


def test_it_reads_page_by_page_the_newest_and_says_what_it_left(env, openobserve, monkeypatch):
    deliver(openobserve, [call(f"m/{n}", age_s=60 - n) for n in range(7)])
    given = {**env, **openobserve.environment}
    monkeypatch.setattr(stored_calls, "_ROWS", 2)
    shown = report_json(given, "--from", "openobserve")
    assert [found["model"] for found in shown["calls"]] == [f"m/{n}" for n in range(7)]
    monkeypatch.setattr(stored_calls.read, "__kwdefaults__", {**stored_calls.read.__kwdefaults__, "most": 4})
    done = outboxes.invoke(["report", "--json", "--calls", "--from", "openobserve"], given)
    shown = json.loads(done.stdout)
    assert [found["model"] for found in shown["calls"]] == ["m/3", "m/4", "m/5", "m/6"]
    assert shown["older_left_out"] is True
    assert done.stderr == "hf-openobserve report: only the newest 4 calls were read: shorten --since\n"


@pytest.mark.parametrize("rows", [[], [record({"http.request.method": "GET"})]])
def test_a_stream_that_never_saw_a_call_has_none(env, openobserve, rows):
    if rows:
        deliver(openobserve, rows)
    done = outboxes.invoke(["report", "--from", "openobserve"], {**env, **openobserve.environment})
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("No calls since 2")
    assert done.stdout.endswith(f" in OpenObserve {openobserve.url}, organization default, stream default\n")


def test_since_is_a_day_unless_it_is_said(env, openobserve):
    deliver(openobserve, [call("m/old", age_s=3 * 3600), call("m/new", age_s=60)])
    given = {**env, **openobserve.environment}
    assert len(report_json(given, "--from", "openobserve")["calls"]) == 2
    assert len(report_json(given, "--from", "openobserve", "--since", "1h")["calls"]) == 1


def test_a_token_that_may_only_write_is_said(env, openobserve):
    given = {**env, **openobserve.environment, "OPENOBSERVE_AUTH_TOKEN": openobserve.ingestion_auth_token}
    done = outboxes.invoke(["report", "--from", "openobserve", "--html", "never.html"], given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("hf-openobserve report: ")
    assert "OPENOBSERVE_HF_ADMIN_TOKEN" in done.stderr
