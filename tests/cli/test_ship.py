from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

import outboxes
import slow_servers
from fakes.openobserve import Answer, FakeOpenObserve, Limits
from hf_openobserve.cli import ship, shipment
from hf_openobserve.config.settings import Destination
from hf_openobserve.openobserve import answers
from hf_openobserve.outbox import counters, losses, segment, store
from outboxes import HOUR_S, call, record

ELSEWHERE = "openobserve http://elsewhere/api/default/v1/traces stream=default"
OLD_S = 5 * HOUR_S + 60


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture
def env(tmp_path, root, openobserve):
    return outboxes.environment(
        tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(root), "COLUMNS": "120"}, openobserve.environment
    )


@pytest.fixture
def identity(openobserve):
    return identity_of(openobserve)


def identity_of(server):
    return f"openobserve {server.url}/api/default/v1/traces stream=default"


def ship_json(arguments, env):
    done = outboxes.invoke(["ship", "--json", *arguments], env)
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    return done.exit_code, json.loads(lines[0])


def names(rows):
    return sorted(row["operation_name"] for row in rows)


def spans_in(path):
    return [payload for _, payload in outboxes.spans(path)]


# --- What is delivered -----------------------------------------------------------------------------------------------


def test_what_waits_for_the_configured_server_and_for_none_is_delivered(env, root, openobserve, identity):
    outboxes.leave(root, identity, record(name="a"), record(name="b"))
    outboxes.leave(root, identity, record(name="c"))
    outboxes.leave(root, "local", record(name="d"))
    status, shown = ship_json([], env)
    assert names(openobserve.rows()) == ["a", "b", "c", "d"]
    assert (status, shown) == (
        0,
        {
            "destination": f"{openobserve.url}/api/default/v1/traces",
            "accepted": 4,
            "rejected": 0,
            "rejected_reason": "",
            "set_aside": 0,
            "expired": 0,
            "remaining": 0,
            "too_old": 0,
            "held": 0,
            "others": {},
            "unreadable_segments": 0,
            "failure": None,
            "complete": True,
        },
    )
    # Nothing of ours is left either, but for the counts.
    assert {path.name for path in root.rglob("*") if path.is_file()} == {counters.FILE_NAME}


def test_a_second_run_sends_nothing_again(env, root, openobserve):
    outboxes.leave(root, "local", call())
    assert ship_json([], env)[1]["accepted"] == 1
    assert ship_json([], env)[1]["accepted"] == 0
    assert len(openobserve.rows()) == 1


def test_another_servers_spans_stay(env, root, openobserve):
    outboxes.leave(root, ELSEWHERE, call(), call())
    before = outboxes.segments(root)
    status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["others"]) == (0, 0, {ELSEWHERE: 2})
    assert openobserve.requests == []
    assert outboxes.segments(root) == before


def test_what_a_running_program_holds_is_left_to_it_until_it_is_dead(env, root, openobserve, identity):
    outboxes.leave(root, identity, call())
    with outboxes.writer(root, identity, 2) as process:
        status, shown = ship_json([], env)
        assert (status, shown["accepted"], shown["held"]) == (0, 1, 2)
        process.kill()
        process.wait()
        status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["held"]) == (0, 2, 0)
    assert len(openobserve.rows()) == 3


def test_more_than_one_request_of_spans(env, root, openobserve):
    outboxes.leave(root, "local", *(call() for _ in range(1200)))
    assert ship_json([], env)[1]["accepted"] == 1200
    assert len(openobserve.rows()) == 1200
    assert [request.spans for request in openobserve.requests if request.spans] == [512, 512, 176]


def test_an_older_server_gets_no_column_that_it_derives(env, root):
    with FakeOpenObserve("0.90.3") as server:
        outboxes.leave(root, "local", call(more={"llm.usage.tokens.input": 30}))
        assert ship_json([], dict(env, **server.environment))[0] == 0
        assert server.columns()["llm_usage_tokens_input"] == "Int64"


def test_segments_without_a_span_are_removed(env, root, openobserve):
    directory = outboxes.leave(root, "local", call())
    (directory / "1-1-1.seg").write_bytes(segment.meta_record("local"))
    (directory / "2-2-2.seg").write_bytes(b"")
    assert ship_json([], env)[1]["accepted"] == 1
    assert outboxes.segments(root) == []


# --- Where it looks --------------------------------------------------------------------------------------------------


def test_dir_is_an_outbox_or_one_destination(env, root, openobserve, identity):
    here = outboxes.leave(root, identity, call())
    outboxes.leave(root, "local", call(), call())
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    assert ship_json(["--dir", here], env)[1]["accepted"] == 1
    assert ship_json(["--dir", root], env)[1]["accepted"] == 2


def test_a_directory_of_any_name_is_sent_from_by_what_its_segments_say(env, root, tmp_path, openobserve, identity):
    copy = tmp_path / "from the other machine"
    shutil.copytree(str(outboxes.leave(root, identity, call())), str(copy))
    for path in outboxes.segments(outboxes.leave(tmp_path / "third", ELSEWHERE, call())):
        shutil.copy(str(path), str(copy))
    status, shown = ship_json(["--dir", copy], env)
    assert (status, shown["accepted"], sum(shown["others"].values())) == (0, 1, 1)
    assert len(openobserve.rows()) == 1
    (left,) = copy.glob("*.seg")
    assert outboxes.meta(left)["destination"] == ELSEWHERE
    assert len(outboxes.segments(root)) == 1, "what it was copied from"


def test_a_public_directory_is_not_made_private_and_not_sent_from(env, root, tmp_path, openobserve, identity):
    copy = tmp_path / "public"
    shutil.copytree(str(outboxes.leave(root, identity, call())), str(copy))
    copy.chmod(0o755)
    done = outboxes.invoke(["ship", "--dir", copy], env)
    assert (done.exit_code, done.stdout, done.stderr) == (
        2,
        "",
        f"hf-openobserve ship: {copy} is open to other users: chmod 700 it first\n",
    )
    assert copy.stat().st_mode & 0o777 == 0o755
    assert openobserve.requests == []


def test_nothing_there_is_success(env, root):
    done = outboxes.invoke(["ship"], env)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Nothing waits in {root}",
        "0 spans accepted, 0 rejected by the server, 0 set aside, 0 remaining.",
    ]
    assert not root.exists()


# --- What the server does not take -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [503, 500, 429, 302, 403, 404, Answer(behaviour="reset"), Answer(503, behaviour="half")]
)
def test_one_pass_keeps_what_is_not_accepted(env, root, openobserve, identity, answer):
    outboxes.leave(root, identity, call(), call())
    outboxes.leave(root, "local", call())
    openobserve.script(answer)
    status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["remaining"], shown["complete"]) == (1, 0, 3, False)
    assert shown["failure"]
    # Who has been told to wait does not ask again for the next directory.
    assert len([request for request in openobserve.requests if request.method == "POST"]) == 1
    assert ship_json([], env)[1]["accepted"] == 3
    assert len(openobserve.rows()) == 3


def test_a_server_that_is_not_there_is_said(env, root, openobserve, identity):
    outboxes.leave(root, identity, call())
    openobserve.stop()
    done = outboxes.invoke(["ship"], env)
    assert done.exit_code == 1
    assert "refused" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 spans accepted, 0 rejected by the server, 0 set aside, 1 remaining."
    openobserve.start()


def test_the_end_of_a_segment_that_was_half_delivered_is_kept(env, root, openobserve):
    outboxes.leave(root, "local", *(call() for _ in range(600)))
    openobserve.script(Answer(), 503)
    status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["remaining"]) == (1, 512, 88)
    assert ship_json([], env)[1]["accepted"] == 88
    assert len({row["span_id"] for row in openobserve.rows()}) == len(openobserve.rows()) == 600


def test_a_span_that_the_server_cannot_read_is_set_aside(env, root, openobserve):
    directory = outboxes.leave(root, "local", record(name="bad"), record(name="good"))
    openobserve.script(400, Answer(), 400)  # both together, none, the bad one
    status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["set_aside"], shown["remaining"]) == (1, 1, 1, 0)
    assert names(openobserve.rows()) == ["good", "hf-openobserve outbox"]
    assert openobserve.rows()[-1]["hf_outbox_set_aside"] == "1"
    (aside,) = (directory / "rejected").glob("*.seg")
    assert len(spans_in(aside)) == 1
    # Whoever runs it again is not told of it again.
    assert ship_json([], env)[0] == 0


def test_a_server_that_refuses_whatever_it_is_sent_costs_no_span(env, root, openobserve):
    outboxes.leave(root, "local", call(), call())
    openobserve.script(*[400] * 4)
    status, shown = ship_json([], env)
    assert (status, shown["accepted"], shown["set_aside"], shown["remaining"]) == (1, 0, 0, 2)
    assert "refuses every request" in shown["failure"]


def test_a_span_that_can_be_neither_sent_nor_set_aside_is_counted(env, root, openobserve):
    directory = outboxes.leave(root, "local", call())
    (directory / "rejected").write_bytes(b"")
    openobserve.script(400)
    status, shown = ship_json([], env)
    assert (status, shown["rejected"], shown["set_aside"], shown["remaining"]) == (1, 1, 0, 0)
    assert "could not be set aside" in shown["rejected_reason"]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("", ""),
        ("503: no\x1b[31m", "503: no?[31m"),
    ],
)
def test_reasons_are_the_same_each_time(reason, shown):
    run = shipment.Shipment(Destination("local"), None, [], print, lambda: False)
    run.failure = answers.Verdict(answers.RETRY, reason)
    assert run.reason == shown


def test_what_the_server_rejects_is_counted_and_the_window_named(tmp_path, root):
    with FakeOpenObserve(limits=Limits(ingest_allowed_upto_h=1)) as server:
        env = outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(root)}, server.environment)
        outboxes.leave(root, "local", call(age_s=2 * HOUR_S), call())
        done = outboxes.invoke(["ship"], env)
        rows = server.rows()
    assert [row.get("hf_outbox_rejected") for row in rows] == [None, "1"], "the call, and the loss"
    assert done.exit_code == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith("1 span accepted, 1 rejected by the server (Some spans were rejected")
    assert "began more than 5 h ago" in last
    assert outboxes.segments(root) == []


# --- Spans past the server's window ----------------------------------------------------------------------------------


def test_too_old_spans_recorded_without_a_server_are_said_not_sent_and_kept(env, root, openobserve):
    outboxes.leave(root, "local", record(name="new"), record(name="old", age_s=OLD_S), record(name="new too"))
    outboxes.leave(root, "local", record(name="older", age_s=10 * OLD_S))
    outboxes.leave(root, ELSEWHERE, record(age_s=OLD_S))
    done = outboxes.invoke(["ship"], env)
    assert done.exit_code == 1
    assert names(openobserve.rows()) == ["new", "new too"]
    assert [request.spans for request in openobserve.requests if request.method == "POST"] == [2]
    assert "2 spans began more than 5 h ago" in done.stderr.splitlines()[0]
    assert done.stdout.splitlines()[-1] == (
        "2 spans accepted, 0 rejected by the server, 0 set aside, 0 remaining, "
        "2 too old (began more than 5 h ago: not sent, they stay in the outbox)."
    )
    kept = b"".join(b"".join(spans_in(path)) for path in outboxes.segments(root))
    assert [kept.count(name) for name in (b"old", b"older", b"new")] == [2, 1, 0]


@pytest.mark.parametrize("answer", [Answer(), 503], ids=["taken", "not taken"])
def test_too_old_spans_of_this_server_expire_as_they_do_in_a_running_program(env, root, openobserve, answer):
    openobserve.script(answer)
    identity = identity_of(openobserve)
    directory = outboxes.leave(root, identity, record(name="new"), record(name="old", age_s=OLD_S))
    done = outboxes.invoke(["ship"], env)
    assert done.exit_code == 1
    accepted = int(answer != 503)
    assert done.stdout.splitlines()[-1] == (
        f"{shipment.spans(accepted)} accepted, 0 rejected by the server, 0 set aside, {1 - accepted} remaining, "
        "1 expired (began more than 5 h ago: dropped)."
    )
    assert outboxes.counts(directory)["expired"] == 1
    assert outboxes.invoke(["ship"], env).exit_code == 0, "counted once"
    assert names(openobserve.rows()) == [losses.SPAN_NAME, "new"]
    (lost,) = [row for row in openobserve.rows() if row["operation_name"] == losses.SPAN_NAME]
    assert (lost["hf_outbox_lost"], lost["hf_outbox_expired"]) == ("1", "1")


@pytest.mark.parametrize(("hours", "accepted"), [("0", 1), ("12", 1), ("1", 0)])
def test_the_window_is_a_setting(tmp_path, root, hours, accepted):
    with FakeOpenObserve(limits=Limits(ingest_allowed_upto_h=24)) as server:
        place = {"OPENOBSERVE_HF_OUTBOX_DIR": str(root), "OPENOBSERVE_HF_MAX_AGE_H": hours}
        env = outboxes.environment(tmp_path, place, server.environment)
        outboxes.leave(root, identity_of(server), call(age_s=OLD_S))
        assert ship_json([], env)[1]["accepted"] == accepted


def test_when_the_server_takes_nothing_old_and_new_stay_as_they_are(env, root, openobserve):
    outboxes.leave(root, "local", record(name="new"), record(name="old", age_s=OLD_S))
    before = [(path, path.read_bytes()) for path in outboxes.segments(root)]
    openobserve.script(503)
    _, shown = ship_json([], env)
    assert (shown["accepted"], shown["remaining"], shown["too_old"]) == (0, 1, 1)
    assert [(path, path.read_bytes()) for path in outboxes.segments(root)] == before


def test_a_half_delivered_segment_keeps_its_old_spans_and_the_undelivered_ones(env, root, openobserve):
    outboxes.leave(root, "local", *(call() for _ in range(520)), record(name="old", age_s=OLD_S))
    openobserve.script(Answer(), 503)
    _, shown = ship_json([], env)
    assert (shown["accepted"], shown["remaining"], shown["too_old"]) == (512, 8, 1)
    _, shown = ship_json([], env)
    assert (shown["accepted"], shown["remaining"], shown["too_old"]) == (8, 0, 1)
    assert "old" not in names(openobserve.rows())


def test_just_within_the_window_is_sent(env, root, openobserve):
    outboxes.leave(root, "local", call(age_s=5 * HOUR_S - 60))
    assert ship_json([], env)[1]["accepted"] == 1
    assert len(openobserve.rows()) == 1


def test_a_collector_has_no_window_that_is_known(tmp_path, root, openobserve):
    endpoint = f"{openobserve.url}/api/default/v1/traces"
    env = outboxes.environment(
        tmp_path,
        {
            "OPENOBSERVE_HF_OUTBOX_DIR": str(root),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=" + openobserve.auth_token.replace(" ", "%20"),
        },
    )
    outboxes.leave(root, "local", call(age_s=OLD_S), call())
    status, shown = ship_json([], env)
    # It is up to the server behind it.
    assert (status, shown["accepted"], shown["rejected"], shown["too_old"]) == (1, 1, 1, 0)
    assert "retention" in shown["rejected_reason"]


# --- Wrong configuration ---------------------------------------------------------------------------------------------

SERVER = {"OPENOBSERVE_URL": "http://127.0.0.1:9", "OPENOBSERVE_AUTH_TOKEN": "nobody@example.com:a fake password"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "no server is configured: set OPENOBSERVE_URL"),
        (dict(SERVER, OPENOBSERVE_URL="127.0.0.1:9"), "OPENOBSERVE_URL has no scheme"),
        (dict(SERVER, OPENOBSERVE_AUTH_TOKEN="nonsense of nobody"), "OPENOBSERVE_AUTH_TOKEN"),
        (dict(SERVER, OPENOBSERVE_ENABLED="false"), "switched off"),
        (dict(SERVER, OTEL_TRACES_EXPORTER="none"), "switched off"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--follow"], ["--json"]])
def test_it_is_said_and_nothing_is_touched(tmp_path, root, settings, expected, arguments):
    outboxes.leave(root, "local", call())
    before = outboxes.segments(root)
    env = outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(root)}, settings)
    done = outboxes.invoke(["ship", *arguments], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert expected in done.stderr
    assert "of nobody" not in done.stderr
    assert "a fake password" not in done.stderr
    assert outboxes.segments(root) == before


def test_a_value_that_is_only_ignored_is_said_too(env, root, openobserve):
    outboxes.leave(root, "local", call())
    done = outboxes.invoke(["ship"], dict(env, OPENOBSERVE_TIMEOUT="soon"))
    assert done.exit_code == 0
    assert "OPENOBSERVE_TIMEOUT" in done.stderr
    assert len(openobserve.rows()) == 1


def test_a_directory_that_is_not_there_is_said(env, tmp_path):
    done = outboxes.invoke(["ship", "--dir", tmp_path / "missing"], env)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "missing is no directory" in done.stderr


def test_what_could_not_be_deleted_is_not_sent(env, root, openobserve, monkeypatch):
    outboxes.leave(root, "local", call())
    # For root every directory can be written, but on a read-only file system.
    monkeypatch.setattr(ship.os, "access", lambda _path, mode, **_: not mode & os.W_OK)
    done = outboxes.invoke(["ship"], env)
    assert done.exit_code == 2
    assert "cannot be written, and what is delivered must be deleted there" in done.stderr
    assert openobserve.requests == []


@pytest.mark.parametrize("arguments", [[], ["--follow"]])
def test_an_outbox_that_fails_ends_it_at_once(env, root, openobserve, monkeypatch, arguments):
    outboxes.leave(root, "local", call())

    def fail(_path, **_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store.os, "unlink", fail)
    done = outboxes.invoke(["ship", *arguments], env)
    assert done.exit_code == 1
    assert "the outbox cannot be changed" in done.stderr
    assert len(openobserve.rows()) == 1


# --- As a process ----------------------------------------------------------------------------------------------------


def wait_until(condition, timeout=15):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def started():
    """Starts the command; whatever becomes of the test, no process stays."""
    processes = []

    def start(arguments, env, **options):
        processes.append(outboxes.start(arguments, env, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ended(process):
    stdout, stderr = process.communicate(timeout=15)
    return process.returncode, stdout.decode(), stderr.decode()


def test_into_a_pipe_it_writes_plain_lines(env, root, openobserve):
    outboxes.leave(root, "local", call(), call())
    status, stdout, stderr = outboxes.run(["ship"], env)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"Delivering 2 spans to {openobserve.url}/api/default/v1/traces",
        "2 spans accepted, 0 rejected by the server, 0 set aside, 0 remaining.",
    ]


def test_a_long_delivery_says_how_far_it_is(env, root, openobserve, monkeypatch):
    monkeypatch.setattr(ship, "LINE_EVERY_S", 0.0)
    outboxes.leave(root, "local", *(call() for _ in range(1100)))
    done = outboxes.invoke(["ship"], env)
    assert done.stdout.splitlines()[1:-1] == ["  512 of 1,100", "  1,024 of 1,100"]


def test_refused_credentials_are_said_once_without_them(env, root, openobserve):
    outboxes.leave(root, "local", call())
    env["OPENOBSERVE_AUTH_TOKEN"] = "root@example.com:NotThePassword"
    status, _, stderr = outboxes.run(["ship"], env)
    assert status == 1
    assert len(stderr.splitlines()) == 1
    assert "check OPENOBSERVE_AUTH_TOKEN" in stderr
    assert "NotThePassword" not in stderr


def test_on_a_terminal_there_is_a_bar_and_the_final_line_stays(env, root, openobserve, started):
    outboxes.leave(root, "local", *(call() for _ in range(600)))
    ours, theirs = pty.openpty()
    process = started(["ship"], dict(env, TERM="xterm"), stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 15)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(15) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "/600" in text
    assert text.splitlines()[-1] == "600 spans accepted, 0 rejected by the server, 0 set aside, 0 remaining."
    assert len(openobserve.rows()) == 600


def test_its_own_requests_are_no_spans(env, root, openobserve, tmp_path):
    outboxes.leave(root, "local", call())
    wrapper = os.path.join(os.path.dirname(sys.executable), "opentelemetry-instrument")
    program = "import sys; from hf_openobserve.cli import main; sys.exit(main())"
    given = {name: value for name, value in {**os.environ, **env}.items() if value is not None}
    done = subprocess.run(
        [wrapper, sys.executable, "-c", program, "ship"], env=given, stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert (done.returncode, len(openobserve.rows())) == (0, 1)
    assert outboxes.segments(root) == []


# --- Interrupted -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_one_pass_after_the_request_under_way(env, root, openobserve, started, number, status):
    outboxes.leave(root, "local", *(call() for _ in range(600)))
    openobserve.script(Answer(delay_s=1.0))
    process = started(["ship"], env)
    wait_until(lambda: any(request.spans for request in openobserve.requests))
    process.send_signal(number)
    ended_with, stdout, stderr = ended(process)
    assert (ended_with, stderr) == (status, "")
    assert stdout.splitlines()[-1] == "512 spans accepted, 0 rejected by the server, 0 set aside, 88 remaining."
    assert ship_json([], env)[1]["accepted"] == 88
    assert len(openobserve.rows()) == 600


def test_a_second_one_ends_it_at_once_and_loses_nothing(env, root, openobserve, started):
    outboxes.leave(root, "local", call(), call())
    openobserve.script(Answer(behaviour="hang"))
    process = started(["ship", "--json"], env)
    wait_until(lambda: any(request.spans for request in openobserve.requests))
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    status, stdout, stderr = ended(process)
    assert time.monotonic() - began < 5
    assert (status, stderr) == (130, "")
    assert json.loads(stdout)["remaining"] == 2


# --- Follow ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_delivers_what_comes_until_it_is_ended(env, root, openobserve, started, identity, number):
    process = started(["ship", "--follow"], env)
    # The outbox does not exist yet; then one directory, then another one.
    outboxes.leave(root, identity, call())
    openobserve.wait_for_rows(1)
    outboxes.leave(root, "local", call(), call())
    openobserve.wait_for_rows(3)
    with outboxes.writer(root, "local", 2) as held:
        held.kill()
        held.wait()
        openobserve.wait_for_rows(5)
    wait_until(lambda: not outboxes.segments(root))
    process.send_signal(number)
    began = time.monotonic()
    status, stdout, stderr = ended(process)
    assert time.monotonic() - began < 3
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1] == "5 spans accepted, 0 rejected by the server, 0 set aside, 0 remaining."
    assert len(openobserve.rows()) == 5


def test_follow_delivers_what_came_right_before_its_end(env, root, openobserve, started, identity):
    process = started(["ship", "--follow"], env)
    outboxes.leave(root, identity, call())
    openobserve.wait_for_rows(1)
    outboxes.leave(root, identity, call())  # it looks again in two seconds
    process.send_signal(signal.SIGTERM)
    status, stdout, stderr = ended(process)
    assert (status, stderr) == (0, "")
    assert stdout.splitlines()[-1].startswith("2 spans accepted")
    assert len(openobserve.rows()) == 2


def test_follow_as_json_is_one_line_per_delivery(env, root, openobserve, started):
    outboxes.leave(root, "local", call())
    process = started(["ship", "--follow", "--json"], env)
    assert json.loads(process.stdout.readline())["accepted"] == 1
    outboxes.leave(root, "local", call(), call(age_s=OLD_S))
    shown = json.loads(process.stdout.readline())
    assert (shown["accepted"], shown["too_old"], shown["complete"]) == (2, 1, False)
    process.send_signal(signal.SIGTERM)
    status, stdout, _ = ended(process)
    assert (status, [json.loads(line)["accepted"] for line in stdout.splitlines()]) == (0, [2])


def test_follow_waits_for_a_directory_to_appear(env, tmp_path, openobserve, started):
    place = tmp_path / "volume"
    process = started(["ship", "--follow", "--dir", str(place)], env)
    time.sleep(1)
    assert process.poll() is None
    outboxes.leave(place, "local", call())
    openobserve.wait_for_rows(1)
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 0


def test_follow_comes_back_when_the_server_says(env, root, openobserve, started):
    outboxes.leave(root, "local", call())
    openobserve.script(Answer(503, {"retry-after": "4"}))
    process = started(["ship", "--follow"], env)
    openobserve.wait_for_rows(1, timeout=20)
    process.send_signal(signal.SIGINT)
    status, _, stderr = ended(process)
    asked = [request.time for request in openobserve.requests if request.method == "POST"]
    assert len(asked) == 2
    assert 3.9 <= asked[1] - asked[0] < 10
    assert status == 0
    assert len(stderr.splitlines()) == 1
    assert "took no spans: 503" in stderr


def test_follow_outlives_an_outage_and_says_it_once(env, root, openobserve, started):
    openobserve.stop()
    outboxes.leave(root, "local", call())
    process = started(["ship", "--follow"], env)
    line = process.stderr.readline()
    assert b"refused" in line
    time.sleep(2)
    openobserve.start()
    openobserve.wait_for_rows(1, timeout=30)
    process.send_signal(signal.SIGINT)
    status, _, stderr = ended(process)
    assert (status, stderr) == (0, "")


def test_follow_reads_what_is_too_old_once(env, root, openobserve, monkeypatch):
    outboxes.leave(root, "local", call(age_s=OLD_S))
    waiting = shipment.Waiting(
        outboxes.place(root / "local"), "local", shipment.Tally(), lambda: time.time_ns() - 5 * HOUR_S * 10**9
    )
    assert list(waiting.claim()) == []
    taken = []
    take = waiting._claims.take
    monkeypatch.setattr(waiting._claims, "take", lambda place, name: taken.append(name) or take(place, name))
    assert (list(waiting.claim()), taken) == ([], [])
    # A new file is a new chance.
    outboxes.leave(root, "local", call())
    assert [len(claimed.records) for claimed in waiting.claim()] == [1]


@pytest.mark.parametrize("what", ["100-continue", "status-line", "body"])
def test_an_answer_that_never_ends_is_ended_by_the_timeout(env, root, openobserve, what):
    outboxes.leave(root, "local", call())
    with slow_servers.serve(what) as server:
        env.update(OPENOBSERVE_URL=server.url, OPENOBSERVE_TIMEOUT="1")
        begun = time.monotonic()
        status, stdout, _ = outboxes.run(["ship", "--json"], env)
        assert time.monotonic() - begun < 10
    shown = json.loads(stdout)
    assert (status, shown["remaining"]) == (1, 1)
    assert "timed out" in shown["failure"].lower()
