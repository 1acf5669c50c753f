from __future__ import annotations

import json
import re
import resource
import shutil

import pytest

import harness
import outboxes
from hf_openobserve.cli import calls, report
from hf_openobserve.outbox import segment
from outboxes import LLAMA, call, failed_call, record
from scripted import Reply, ScriptedEndpoint, chat_body

NOON = 1_700_000_000 * 10**9
SECOND = 10**9
QWEN = "Qwen/Qwen3-8B:fastest"


@pytest.fixture
def env(tmp_path):
    return outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"), "COLUMNS": "120"})


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture
def filled(root):
    """Eight calls of two services in three directories, among them other spans."""
    outboxes.leave(
        root,
        "local",
        *(call(start=NOON + n * SECOND, duration_ms=100 * (n + 1)) for n in range(4)),
        record({"openinference.span.kind": "CHAIN"}, name="chain"),
        record({"http.request.method": "GET"}, name="GET /"),
    )
    outboxes.leave(
        root,
        "openobserve http://a/api/default/v1/traces stream=default",
        failed_call(start=NOON + 10 * SECOND, duration_ms=20),
        failed_call(start=NOON + 11 * SECOND, duration_ms=20),
        failed_call(
            start=NOON + 12 * SECOND, duration_ms=60_000, error_type="openai.APITimeoutError", status_code=None
        ),
    )
    outboxes.leave(
        root,
        "openobserve http://b/api/default/v1/traces stream=default",
        call(QWEN, "Qwen/Qwen3-8B", tokens=None, start=NOON - SECOND, duration_ms=1250.5, service="desk"),
    )


# --- As JSON ---------------------------------------------------------------------------------------------------------


def report_json(arguments, env):
    done = outboxes.invoke(["report", "--json", *arguments], env)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_figures_per_model(env, root, filled):
    shown = report_json([], env)
    assert shown == {
        "outboxes": [str(root)],
        "openobserve": None,
        "older_left_out": False,
        "html": None,
        "since": None,
        "models": [
            {
                "model": LLAMA,
                "answered_by": ["llama3.1-8b"],
                "calls": 7,
                "errors": 3,
                "errors_by_kind": [
                    {"kind": "rate_limited", "type": "openai.RateLimitError", "status_code": 429, "count": 2},
                    {"kind": None, "type": "openai.APITimeoutError", "status_code": None, "count": 1},
                ],
                "tokens": {"prompt": 120, "completion": 48, "total": 168},
                "cost": None,
                "calls_without_usage": 0,
                "duration_us": {"p50": 200_000, "p95": 60_000_000},
            },
            {
                "model": QWEN,
                "answered_by": ["Qwen/Qwen3-8B"],
                "calls": 1,
                "errors": 0,
                "errors_by_kind": [],
                "tokens": {"prompt": None, "completion": None, "total": None},
                "cost": None,
                "calls_without_usage": 1,
                "duration_us": {"p50": 1_250_500, "p95": 1_250_500},
            },
        ],
        "total": {
            "calls": 8,
            "errors": 3,
            "errors_by_kind": [
                {"kind": "rate_limited", "type": "openai.RateLimitError", "status_code": 429, "count": 2},
                {"kind": None, "type": "openai.APITimeoutError", "status_code": None, "count": 1},
            ],
            "tokens": {"prompt": 120, "completion": 48, "total": 168},
            "cost": None,
            "calls_without_usage": 1,
            "duration_us": {"p50": 200_000, "p95": 60_000_000},
        },
        "costs": [
            {"model": LLAMA, "provider": None, "calls": 7, "cost": None},
            {"model": QWEN, "provider": None, "calls": 1, "cost": None},
        ],
        "other_spans": 2,
        "unreadable_segments": 0,
    }


def test_the_calls_one_by_one(env, filled):
    shown = report_json(["--calls"], env)["calls"]
    assert [call["time"][11:19] for call in shown] == [
        *("22:13:19", "22:13:20", "22:13:21", "22:13:22", "22:13:23", "22:13:30", "22:13:31", "22:13:32")
    ]
    ids = {name: shown[0].pop(name) for name in ("trace_id", "span_id")}
    assert (len(ids["trace_id"]), len(ids["span_id"])) == (32, 16)
    assert shown[0] == {
        "time": "2023-11-14T22:13:19.000Z",
        "service": "desk",
        "model": QWEN,
        "answered_by": "Qwen/Qwen3-8B",
        "served_by": None,
        "duration_us": 1_250_500,
        "time_to_first_token_s": None,
        "tokens_per_second": None,
        "tokens": dict.fromkeys(calls.TOKENS),
        "cost": None,
        "retries": 0,
        "status": "OK",
        "error": None,
    }
    assert (shown[5]["status"], shown[5]["error"], shown[5]["answered_by"]) == (
        "ERROR",
        {"kind": "rate_limited", "type": "openai.RateLimitError", "status_code": 429, "message": "slow down"},
        None,
    )


@pytest.mark.parametrize(
    ("model", "answered_by", "shown", "names"),
    [
        (LLAMA, "llama3.1-8b", LLAMA, ["llama3.1-8b"]),
        ("llama3.1-8b", "llama3.1-8b", "llama3.1-8b", []),
        (LLAMA, None, LLAMA, []),
        (None, "llama3.1-8b", "llama3.1-8b", []),
        (None, None, None, []),
    ],
)
def test_which_model_a_call_counts_for(env, root, model, answered_by, shown, names):
    outboxes.leave(root, "local", call(model, answered_by))
    (figures,) = report_json([], env)["models"]
    assert (figures["model"], figures["answered_by"]) == (shown, names)


@pytest.mark.parametrize(
    ("kind", "counts"), [("LLM", True), ("EMBEDDING", True), ("CHAIN", False), ("TOOL", False), ("AGENT", False)]
)
def test_only_calls_to_a_model_count(env, root, kind, counts):
    outboxes.leave(root, "local", call(kind=kind))
    shown = report_json([], env)
    assert (shown["total"]["calls"], shown["other_spans"]) == ((1, 0) if counts else (0, 1))


def test_an_error_without_a_type_has_the_conventional_one(env, root):
    outboxes.leave(root, "local", call(error="no"))
    assert report_json([], env)["total"]["errors_by_kind"] == [
        {"kind": None, "type": "_OTHER", "status_code": None, "count": 1}
    ]


def test_of_no_calls_every_key_is_there(env, root):
    total = report_json(["--calls"], env)
    assert total["calls"] == total["models"] == []
    assert total["total"] == {
        "calls": 0,
        "errors": 0,
        "errors_by_kind": [],
        "tokens": {"prompt": None, "completion": None, "total": None},
        "cost": None,
        "calls_without_usage": 0,
        "duration_us": {"p50": None, "p95": None},
    }


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (1, 50, 1),
        (1, 95, 1),
        (2, 50, 1),
        (3, 50, 2),
        (4, 50, 2),
        (19, 95, 19),
        (20, 95, 19),
        (100, 95, 95),
        (0, 50, None),
    ],
)
def test_percentiles_are_latencies_of_real_calls(count, percent, expected):
    assert calls.percentile(range(1, count + 1), percent) == expected


# --- Which of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2H", 7200), ("1d", 86400), ("1w", 604800), ("1h30m", 5400)],
)
def test_durations(text, expected):
    assert report.seconds(None, None, text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "-5m", "5 m", "h", "5x", "1h30"])
def test_what_is_no_duration_is_said(env, text):
    done = outboxes.invoke(["report", "--since", text], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "1h30m" in done.stderr


def test_since_counts_what_began_then_or_later(env, root):
    outboxes.leave(root, "local", call(age_s=7200), call(age_s=600), record(age_s=7200), record(age_s=60))
    shown = report_json(["--since", "1h", "--calls"], env)
    assert (shown["total"]["calls"], shown["other_spans"], len(shown["calls"])) == (1, 1, 1)
    assert shown["since"] < shown["calls"][0]["time"]


def test_dir_is_an_outbox_or_a_directory_of_segments(env, root, tmp_path):
    here = outboxes.leave(root, "local", call())
    outboxes.leave(root, "openobserve elsewhere", call())
    elsewhere = tmp_path / "copy"
    shutil.copytree(str(here), str(elsewhere))
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    assert [report_json(["--dir", place], env)["total"]["calls"] for place in (root, here, elsewhere)] == [2, 1, 1]
    assert report_json([], env)["total"]["calls"] == 0


def test_a_directory_that_is_not_there_is_an_error(env, tmp_path):
    done = outboxes.invoke(["report", "--dir", tmp_path / "missing"], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "missing" in done.stderr


@pytest.mark.parametrize("directory", ["home/.local/state/hf-openobserve/outbox", "state/hf-openobserve/outbox"])
def test_by_default_it_looks_where_the_agent_keeps_it(env, tmp_path, directory):
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    if directory.startswith("state"):
        env["XDG_STATE_HOME"] = str(tmp_path / "state")
    outboxes.leave(tmp_path / directory, "local", call())
    assert report_json([], env)["total"]["calls"] == 1


def test_what_was_set_aside_was_a_call_too(env, root):
    outboxes.leave(root, "local", call())
    outboxes.leave(root, "local", call())
    aside = root / "local" / "rejected"
    aside.mkdir()
    outboxes.segments(root)[0].rename(aside / "1.seg")
    assert report_json([], env)["total"]["calls"] == 2


# --- While programs write, and after they crashed --------------------------------------------------------------------


def test_it_reads_what_a_program_is_writing(env, root):
    with outboxes.writer(root, "local", 3) as process:
        assert report_json([], env)["total"]["calls"] == 3
        process.kill()
        process.wait()
        assert report_json([], env)["total"]["calls"] == 3


def test_a_span_that_is_being_moved_counts_once(env, root):
    moved = [call(), record()]
    outboxes.leave(root, "local", call(), *moved)
    outboxes.leave(root, "local", *moved)
    shown = report_json([], env)
    assert (shown["total"]["calls"], shown["other_spans"]) == (2, 1)


def test_what_is_damaged_is_skipped(env, root):
    outboxes.leave(root, "local", call(), call())
    (path,) = outboxes.segments(root)
    data = path.read_bytes()
    (root / "local" / "torn.seg").write_bytes(data[:-3])
    (root / "local" / "garbage.seg").write_bytes(b"\xf5HFs" + bytes(range(256)))
    # An intact record that is no OTLP, though it has the words.
    (root / "local" / "foreign.seg").write_bytes(segment.span_record(1, b"\xff openinference.span.kind"))
    assert report_json([], env)["total"]["calls"] == 2


def test_a_segment_that_cannot_be_read_is_said(env, root):
    outboxes.leave(root, "local", call())
    (root / "local" / "odd.seg").symlink_to("odd.seg")
    done = outboxes.invoke(["report", "--json"], env)
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["total"]["calls"], shown["unreadable_segments"]) == (1, 1, 1)
    assert done.stderr == f"hf-openobserve report: cannot read {root}/local/odd.seg is no regular file\n"


# --- For people ------------------------------------------------------------------------------------------------------


def cells(text):
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def test_the_table(env, filled):
    done = outboxes.invoke(["report"], env)
    assert (done.exit_code, done.stderr) == (0, "")
    rows = cells(done.stdout)
    assert rows[0] == ["model", "calls", "errors", "prompt", "completion", "total", "p50", "p95"]
    assert [LLAMA, "7", "3", "120", "48", "168", "200 ms", "60.00 s"] in rows
    assert ["answered by llama3.1-8b"] in rows
    assert [QWEN, "1", "0", "-", "-", "-", "1.25 s", "1.25 s"] in rows
    assert ["all", "8", "3", "120", "48", "168", "200 ms", "60.00 s"] in rows
    assert ["2", "429", "rate_limited", LLAMA] in rows
    assert ["1", "-", "openai.APITimeoutError", LLAMA] in rows
    assert ["The answers of 1 call named no tokens."] in rows
    assert rows[-1] == ["2 other spans in the outbox: no calls to a model."]


@pytest.mark.parametrize("width", [80, 100])
def test_no_figure_is_cut_where_the_terminal_is_narrow(env, root, width):
    outboxes.leave(root, "local", *(call(tokens=(1_000_000, 999_999), duration_ms=99_999) for _ in range(11)))
    done = outboxes.invoke(["report"], dict(env, COLUMNS=str(width)))
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "11,000,000" in done.stdout
    assert "10,999,989" in done.stdout
    assert "21,999,989" in done.stdout
    assert "100.00 s" in done.stdout


def test_a_call_is_one_line(env, filled, root):
    outboxes.leave(root, "local", failed_call(error="two\nlines \x1b[31mred", start=NOON + 99 * SECOND))
    done = outboxes.invoke(["report", "--calls"], dict(env, COLUMNS="40"))
    assert done.exit_code == 0
    rows = cells(done.stdout)
    assert rows[0] == [
        *("2023-11-14T22:13:19.000Z", "desk", f"{QWEN} -> Qwen/Qwen3-8B", "1.25 s", "-", "-", "OK"),
    ]
    assert rows[1] == [
        *("2023-11-14T22:13:20.000Z", "shop", f"{LLAMA} -> llama3.1-8b", "100 ms", "30+12=42", "-", "OK"),
    ]
    assert rows[7][-1] == "ERROR openai.APITimeoutError: slow down"
    assert rows[8][-1] == "ERROR openai.RateLimitError 429: two lines ?[31mred"
    assert rows[8][2] == LLAMA
    assert rows[9:] == [[""], ["2 other spans in the outbox: no calls to a model."]]


def priced_call(served, sent, received, **span):
    more = {
        "llm.observation.type": "GENERATION",
        "hf.model.base": LLAMA,
        "hf.provider.served": served,
        "gen_ai.usage.input_tokens": sent,
        "gen_ai.usage.output_tokens": received,
    }
    return call(tokens=(sent, received), more=more, **span)


def test_what_calls_cost_by_model_and_provider(env, root, tmp_path):
    prices = tmp_path / "prices.json"
    table = {"novita": {"input": 1, "output": 2}, "groq": {"input": 10, "output": 10}}
    prices.write_text(json.dumps({"per_million_tokens": {LLAMA: table}}))
    env = {**env, "OPENOBSERVE_HF_PRICES": str(prices)}
    outboxes.leave(
        root,
        "local",
        priced_call("novita", 1000, 100, start=NOON),
        priced_call("novita", 3000, 0, start=NOON + SECOND),
        priced_call("groq", 500, 0, start=NOON + 2 * SECOND),
        priced_call("nobody", 500, 0, start=NOON + 3 * SECOND),
        failed_call(start=NOON + 4 * SECOND),
    )
    shown = report_json(["--calls"], env)
    assert [one["cost"] for one in shown["calls"]] == [0.0012, 0.003, 0.005, None, 0.0]
    assert [(one["provider"], one["calls"], one["cost"]) for one in shown["costs"]] == [
        ("groq", 1, 0.005),
        ("novita", 2, 0.0042),
        (None, 1, None),
        ("nobody", 1, None),
    ]
    assert shown["total"]["cost"] == pytest.approx(0.0092)
    rows = cells(outboxes.invoke(["report"], env).stdout)
    assert ["0.0050", "1", "groq", LLAMA] in rows
    assert ["0.0092", "3", "all"] in rows
    rows = cells(outboxes.invoke(["report", "--calls"], env).stdout)
    assert [row[5] for row in rows[:5]] == ["0.0012", "0.0030", "0.0050", "-", "-"]


def test_names_are_neither_markup_nor_emoji_nor_control_characters(env, root):
    outboxes.leave(root, "local", call("[bold]a:smile:b", "x\x1b]0;title\x07"))
    done = outboxes.invoke(["report"], env)
    assert "[bold]a:smile:b" in done.stdout
    assert "answered by x?]0;title?" in done.stdout


SERVER = {"OPENOBSERVE_URL": "http://127.0.0.1:9", "OPENOBSERVE_AUTH_TOKEN": "nobody@example.com:fake"}


@pytest.mark.parametrize(
    ("more", "arguments", "expected"),
    [
        ({}, [], "No server is configured"),
        (SERVER, [], "delivered to http://127.0.0.1:9/api/default/v1/traces and deleted here"),
        ({}, ["--since", "1h"], "No calls since 2"),
    ],
)
def test_an_empty_outbox_says_where_it_looked_and_why_it_may_be_empty(env, root, more, arguments, expected):
    done = outboxes.invoke(["report", *arguments], dict(env, **more))
    assert (done.exit_code, done.stderr) == (0, "")
    assert str(root) in done.stdout
    assert expected in done.stdout


def test_an_outbox_of_other_spans_says_so(env, root):
    outboxes.leave(root, "local", record(), record())
    assert f"No calls (only 2 other spans) in {root}\n" in outboxes.invoke(["report"], env).stdout


def test_wrong_settings_are_said_beside_the_report(env, root):
    outboxes.leave(root, "local", call())
    done = outboxes.invoke(["report", "--json"], dict(env, OPENOBSERVE_URL="localhost:5080"))
    assert (done.exit_code, json.loads(done.stdout)["total"]["calls"]) == (0, 1)
    assert "OPENOBSERVE_URL" in done.stderr


# --- As a process ----------------------------------------------------------------------------------------------------


def test_ten_thousand_calls_take_seconds(env, root):
    text = "x" * 2000
    outboxes.leave(root, "local", *(call(more={"input.value": text, "output.value": text}) for _ in range(10_000)))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, stdout, stderr = outboxes.run(["report", "--json", "--calls"], env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (status, stderr) == (0, "")
    assert len(json.loads(stdout)["calls"]) == 10_000
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s < 8


@pytest.mark.parametrize("arguments", [[], ["--calls"], ["--json"]])
def test_into_a_pipe_it_writes_plain_text(env, filled, arguments):
    del env["COLUMNS"]
    status, stdout, stderr = outboxes.run(["report", *arguments], env)
    assert (status, stderr) == (0, "")
    assert LLAMA in stdout
    assert "\x1b" not in stdout


def test_what_a_program_under_the_agent_left_is_reported(tmp_path):
    program = """
    import os, openai
    client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0)
    for model in ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B"):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=8)
    """
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:
        env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url})
        harness.run_ok(program, door="pythonpath", env=env, cwd=tmp_path)
    shown = report_json(["--dir", tmp_path / "outbox"], outboxes.environment(tmp_path))
    assert sorted(figures["model"] for figures in shown["models"]) == ["Qwen/Qwen3-8B", LLAMA]
    assert (shown["total"]["calls"], shown["total"]["errors"]) == (2, 0)
    assert shown["total"]["tokens"]["total"] > 0
