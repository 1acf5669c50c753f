"""What public reports and attacks found: programs see what they would without the agent, and the row says what was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import field_answers
import harness
from fakes.openobserve import FakeOpenObserve
from scripted import ScriptedEndpoint

pytestmark = pytest.mark.matrix

PROGRAMS = Path(__file__).parent / "programs"
TOKENS = (12, 7)
NONE = (0, 0)
READ = "ab"
PARIS = 'weather({"city":"Paris"})'
TWO = 'read_file({"path": "a"})\nread_mail({"box": "b"})'
STREAMED = {
    "llamacpp": READ,
    "moving": READ,
    "choices": "a",
    "crlf": READ,
    "cr": READ,
    "onepiece": READ,
    "bytewise": READ,
    "untyped": READ,
    "plaintext": READ,
    "nulled": READ,
    "toolstream": PARIS,
    "sameid": PARIS,
    "emptyid": PARIS,
    "sameindex": TWO,
    "interleaved": TWO,
    "refusal": "I cannot.",
    "reasoning": "Yes",
    "legacy": "weather({})",
}
"""Answers that are streamed in full, and their text in the row."""
BROKEN = {"cut": "a", "cutatend": READ, "error200": "a"}
NO_STREAM = {
    "jsonerror": ("provider_overloaded", "The model is overloaded."),
    "page": ("server_error", "Please log in"),
}
WHOLE = ("plain", "tgi", "error200", "jsonerror", "page", "filtered")
RESPONSES = {
    "rfailed": ("ERROR", NONE, "The model failed to generate a response."),
    "rincomplete": ("ERROR", TOKENS, "max_output_tokens"),
    "rcancelled": ("ERROR", TOKENS, "cancelled"),
    "plain": ("OK", TOKENS, ""),
}
STRUCTURED = {"length": "length_limit", "mismatch": None, "filtered": "content_filter"}
CASES = {
    "STREAMED": ",".join([*STREAMED, *BROKEN, *NO_STREAM, "separators", "gzip"]),
    "WHOLE": ",".join(WHOLE),
    "RESPONSES": ",".join(RESPONSES),
    "STRUCTURED": ",".join(STRUCTURED),
}
UNASKED = ("gzip",)
"""Answers in which nothing can be hidden: the program's own request is sent, and brings no usage."""


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(field_answers.answer) as running:
        yield running


def run(name, door, endpoint, tmp_path, *settings):
    asked = {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_STREAM_USAGE": "on", **CASES}
    env = harness.environment(tmp_path, asked, *settings)
    return harness.run([str(PROGRAMS / name)], door=door, env=env, cwd=tmp_path)


@pytest.fixture(scope="module")
def bare(endpoint, tmp_path_factory):
    return run("field_cases.py", None, endpoint, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def cases(endpoint, bare, tmp_path_factory):
    """What each call of the program said, bare and under the agent, and the rows by the label of the call."""
    with FakeOpenObserve() as server:
        done = run("field_cases.py", "pythonpath", endpoint, tmp_path_factory.mktemp("cases"), server.environment)
        said = bare.stdout.splitlines()
        rows = server.rows(timeout=20, count=len(said))
    by_label = {}
    for row in rows:
        by_label.setdefault(row["llm_request_parameters_model"], []).append(row)
    return done, by_label


def said_of(text):
    """By the label; what differs from run to run anyhow is left out: addresses, and the time in gzip's header."""
    told = dict(line.partition(" ")[::2] for line in text.splitlines())
    return {
        label: what
        for label, what in told.items()
        if " at 0x" not in what and not (label.startswith("gzip/") and label.endswith("-raw"))
    }


def test_the_program_sees_what_it_would_without_us(cases, bare):
    done, _ = cases
    assert bare.returncode == 0, bare.stderr
    assert said_of(done.stdout) == said_of(bare.stdout)
    assert len(said_of(bare.stdout)) > 300
    assert done.returncode == 0


def rows_of(cases, name):
    return {label: row for label, rows in cases[1].items() if label.partition("/")[0] == name for row in rows}


def text_of(row):
    messages = json.loads(row.get("gen_ai_output_messages") or "[]")
    return messages[0]["content"] if messages else None


def tokens_of(row):
    return int(row.get("llm_token_count_prompt") or 0), int(row.get("llm_token_count_completion") or 0)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_is_read_to_its_end_whichever_way(cases, bare, name):
    said = said_of(bare.stdout)
    rows = {label: row for label, row in rows_of(cases, name).items() if not label.endswith("-helper")}
    assert len(rows) == 16
    for label, row in rows.items():
        if "JSONDecodeError" in said.get(label, ""):  # huggingface_hub 0.36 and aiohttp know no CR for a line's end
            assert row["span_status"] == "ERROR", label
            continue
        assert row["span_status"] == "OK", label
        assert text_of(row) == STREAMED[name], label
        if not (name == "choices" and label.endswith("stopped")):  # left between the reasons of its two choices
            assert tokens_of(row) == TOKENS, label


@pytest.mark.parametrize("name", ["sameindex", "interleaved"])
def test_parallel_tool_calls_are_two(cases, name):
    for label, row in rows_of(cases, name).items():
        calls = json.loads(row["gen_ai_output_messages"])[0]["tool_calls"]
        assert [(call["id"], call["function"]["name"]) for call in calls] == [
            ("call_1", "read_file"),
            ("call_2", "read_mail"),
        ], label


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_is_an_error_with_what_came(cases, name):
    rows = {label: row for label, row in rows_of(cases, name).items() if "async-" in label or "stream-" in label}
    assert len(rows) == 17
    for label, row in rows.items():
        if name == "cutatend" and label.endswith(("stopped", "helper")):
            continue  # the program has left it, or has what it wants
        assert row["span_status"] == "ERROR", label
        assert text_of(row) == BROKEN[name], label
        assert row["hf_error_kind"] == ("provider_overloaded" if name == "error200" else "stream_broken"), label


@pytest.mark.parametrize("name", NO_STREAM)
def test_an_answer_that_is_none_is_an_error(cases, name):
    kind, sentence = NO_STREAM[name]
    rows = rows_of(cases, name)
    assert len(rows) >= 17
    for label, row in rows.items():
        assert row["span_status"] == "ERROR", label
        assert row["hf_error_kind"] == kind, label
        assert sentence in row["status_message"], label


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_says_itself_how_it_ended(cases, name):
    status, tokens, sentence = RESPONSES[name]
    for way in ("plain", "raw", "stream"):
        row = next(row for row in cases[1][f"{name}/{way}"] if row["operation_name"] == "Response")
        assert (row["span_status"], tokens_of(row)) == (status, tokens)
        assert sentence in row.get("status_message", "")
        assert (row.get("hf_error_kind") is not None) == (status == "ERROR")


@pytest.mark.parametrize("name", STRUCTURED)
def test_an_answer_that_was_paid_for_has_its_tokens_whatever_the_client_raises(cases, name):
    for way in ("parse", "helper-parse"):
        if f"{name}/{way}" not in cases[1]:
            continue  # Python 3.8
        (row,) = cases[1][f"{name}/{way}"]
        assert (row["span_status"], tokens_of(row)) == ("ERROR", TOKENS)
        assert row["gen_ai_response_model"] == "real-model"
        assert row.get("hf_error_kind") == STRUCTURED[name]
        assert text_of(row)


def test_arguments_that_are_an_object_are_in_the_row(cases):
    for way in ("plain", "raw", "lazy", "back", "hub"):
        for row in cases[1][f"tgi/{way}"]:
            assert text_of(row) == 'weather({"city": "Paris", "n": 3})'


def test_text_is_split_into_events_by_the_rules_of_sse_alone(cases):
    for label, row in rows_of(cases, "separators").items():
        if "hub" not in label:  # the client itself splits it elsewhere, and fails
            assert text_of(row) == "one\u2028two\u0085three\x0bfour\x1cfive\x0c", label


def test_where_nothing_can_be_hidden_nothing_is_asked(cases):
    for label, row in rows_of(cases, "gzip").items():
        assert text_of(row) == READ, label


def test_what_stands_in_the_networks_place_meets_the_programs_own_bytes(door, endpoint, tmp_path):
    """With openai 3 httpx2's transports; with openai 2 also respx, pytest-httpx, vcrpy and responses."""
    bare = run("mocked_network.py", None, endpoint, tmp_path)
    with FakeOpenObserve() as server:
        done = run("mocked_network.py", door, endpoint, tmp_path, server.environment)
        rows = server.rows(timeout=20, count=12)
    assert bare.returncode == 0, bare.stderr
    assert done == bare
    assert "Error" not in bare.stdout
    assert len(rows) >= 12
    assert any(tokens_of(row) == TOKENS for row in rows), "a plain transport is a network: that one is asked"
