"""huggingface_hub's failing calls through both doors: what the row says of the error, and the program unchanged."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

import harness
import router_answers
from fakes.openobserve import FakeOpenObserve
from router import ScriptedRouter

pytestmark = pytest.mark.matrix
pytest.importorskip("huggingface_hub")

PROGRAM = str(Path(__file__).parent / "programs" / "hub_errors.py")

REFUSED = {
    "wrong-token": ("auth_invalid", "401 Unauthorized: Invalid username or password."),
    "no-credits": ("credits_exhausted", "402 Payment Required: " + router_answers.DEPLETED),
    "no-permission": ("permission_missing", "403 Forbidden: " + router_answers.NO_PERMISSION),
    "gated": ("gated_model", "403 Forbidden: Access to model scripted/gated is restricted."),
    "unsupported": (
        "model_not_supported",
        "400 Bad Request: The requested model 'scripted/unsupported' is not supported",
    ),
    "unsupported-string": ("model_not_supported", "400 Bad Request: Model not supported by provider hf-inference"),
    "not-found": ("model_not_supported", "404 Not Found: Model scripted/not-found does not exist"),
    "gone": ("bad_request", "410 Gone: https://api-inference.huggingface.co is no longer supported."),
    "rate-limited": ("rate_limited", "429 Too Many Requests: Rate limit exceeded for this model."),
    "overloaded": ("provider_overloaded", "429 Too Many Requests: Model is overloaded"),
    "loading": ("model_loading", "503 Service Unavailable: Model scripted/loading is currently loading"),
    "no-upstream": ("server_error", "502 Bad Gateway"),
    "too-long": ("gateway_timeout", "504 Gateway Timeout"),
    "context": ("context_length", "400 Bad Request: This model's maximum context length is 8192 tokens."),
    "filtered": ("content_filter", "400 Bad Request: The response was filtered"),
    "internal": ("server_error", "500 Internal Server Error"),
}
"""Answers with a status, by their case of the router: the kind, and what the status message has after the class."""

BROKEN = {
    "broken-object": ("stream_broken", "The provider went away"),
    "broken-string": ("stream_broken", "The provider went away"),
    "broken-generation": ("stream_broken", "Request failed during generation"),
    "cut": ("stream_broken", ""),
    "no-event": ("stream_broken", ""),
}
"""Streams that began with a 200."""

WITHOUT_ANSWER = {"nobody": "connection", "hanging": "client_timeout", "cancelled": "cancelled"}

CASES = [
    *((case, False) for case in REFUSED),
    *((case, True) for case in ("no-credits", "rate-limited", "context", *BROKEN)),
    *((case, stream) for case in WITHOUT_ANSWER for stream in (False, True)),
]


class Run:
    """One run through a door: its rows by the label that each call has sent along."""

    def __init__(self, bare, done, rows):
        self.bare, self.done = bare, done
        self.by_label = {row["hf_bill_to"]: row for row in rows}

    def __call__(self, case, *, stream):
        label = f"{'stream' if stream else 'call'} {case}"
        rows = [self.by_label[found] for found in (label, "async " + label) if found in self.by_label]
        has_async = self.bare.stdout.endswith("True\n")
        assert len(rows) == (case != "cancelled") + has_async
        return rows


@pytest.fixture(scope="module")
def arguments():
    with ScriptedRouter() as router, socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound, and nobody listens
        yield [PROGRAM, router.url, f"http://127.0.0.1:{unheard.getsockname()[1]}/v1", json.dumps(CASES)]


@pytest.fixture(scope="module")
def bare(arguments, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("bare")
    done = harness.run(arguments, door=None, env=harness.environment(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done


@pytest.fixture(scope="module")
def run(bare, arguments, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("hub-errors")
    calls = len(CASES) - 2 + (len(CASES) if bare.stdout.endswith("True\n") else 0)
    with FakeOpenObserve() as server:
        env = harness.environment(tmp_path, server.environment)
        done = harness.run(arguments, door="pythonpath", env=env, cwd=tmp_path)
        yield Run(bare, done, server.wait_for_rows(calls))


def test_the_program_is_what_it_was(run):
    assert run.done == run.bare


@pytest.mark.parametrize(("case", "stream"), [(case, stream) for case, stream in CASES if case in REFUSED], ids=str)
def test_a_refusal_has_its_kind_and_the_servers_sentence(run, case, stream):
    kind, message = REFUSED[case]
    for row in run(case, stream=stream):
        assert row["span_status"] == "ERROR"
        assert row["hf_error_kind"] == kind
        assert row["http_response_status_code"] == message[:3]
        package, _, raised = row["error_type"].partition(".")
        assert package in ("huggingface_hub", "aiohttp")
        assert row["status_message"].startswith(f"{raised}: {message}")
        assert row["hf_request_id"].startswith("Root=1-")
        assert row["hf_provider_served"] == "together"
        assert row.get("llm_model_name") is None, "nothing was resolved"
        harness.assert_nothing_counted(row)


@pytest.mark.parametrize("case", BROKEN)
def test_a_stream_that_breaks_has_no_status_and_keeps_what_came(run, case):
    kind, message = BROKEN[case]
    for row in run(case, stream=True):
        assert (row["span_status"], row["hf_error_kind"]) == ("ERROR", kind)
        assert row.get("http_response_status_code") is None
        assert row["status_message"].partition(": ")[2].startswith(message)
        assert row["status_message"].partition(": ")[2]
        assert row["hf_request_id"].startswith("Root=1-")
        assert row["hf_provider_served"] == "together"
        if case != "broken-generation":
            assert json.loads(row["gen_ai_output_messages"])[0]["content"] == "Hello there."


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
@pytest.mark.parametrize("case", WITHOUT_ANSWER)
def test_a_call_that_gets_no_whole_answer(run, case, stream):
    for row in run(case, stream=stream):
        assert (row["span_status"], row["hf_error_kind"]) == ("ERROR", WITHOUT_ANSWER[case])
        assert row.get("http_response_status_code") is None
        assert row["error_type"]
        assert row["status_message"]
