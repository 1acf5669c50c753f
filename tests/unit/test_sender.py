"""The sender thread against the strict server of the tests: everything arrives, once, whatever the server answers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from fakes.openobserve import Answer, FakeOpenObserve, Limits
from hf_openobserve import diagnostics
from hf_openobserve import settings as settings_module
from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED, RETRY, Verdict
from hf_openobserve.openobserve.client import Client
from hf_openobserve.outbox import counters, losses, otlp, segment
from hf_openobserve.outbox import sender as sender_module
from hf_openobserve.outbox.memory import MemoryStore
from hf_openobserve.outbox.sender import Sender
from hf_openobserve.outbox.store import REJECTED, DirectoryStore
from hf_openobserve.record import ResourceRecord, ScopeRecord, SpanRecord

AGENT = Path(sender_module.__file__).resolve().parents[2]
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """The same rhythm, faster; nothing said yet in this process; no proxy between us and the server."""
    monkeypatch.setattr(sender_module, "FLUSH_STEPS_S", (0.02, 0.02))
    monkeypatch.setattr(sender_module, "BACKOFF_BASE_S", 0.1)
    monkeypatch.setattr(sender_module, "BACKOFF_CAP_S", 0.2)
    monkeypatch.setattr(sender_module, "BLOCKED_RETRY_S", 0.3)
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENOBSERVE_HF_DEBUG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def payload(number, start=None, **attributes):
    start = time.time_ns() if start is None else start
    return otlp.encode_span(
        SpanRecord(
            trace_id=0xABC0 + number,
            span_id=number + 1,
            name=f"span {number}",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1000,
            resource=ResourceRecord({"service.name": "tests"}),
            scope=ScopeRecord("tests"),
            attributes=attributes,
        )
    )


def destination(server, timeout_s=5.0):
    environ = {**server.environment, "OPENOBSERVE_HF_DOTENV": "false"}
    return dataclasses.replace(
        settings_module.load(environ, script_dir=None, cwd=None).destination, timeout_s=timeout_s
    )


class Outbox:
    """A store, a client and their sender, as activation puts them together."""

    def __init__(self, store, client):
        self.store = store
        self.client = client
        self.sender = Sender(store, client)

    def append(self, *numbers, **options):
        for number in numbers:
            self.store.append(number, payload(number, **options))

    def end(self, *numbers):
        """Spans that end: appended, and the sender woken."""
        for number in numbers:
            self.append(number)
            self.sender.wake()

    def waiting(self):
        """The starts of the spans in the outbox; a segment that the sender holds counts as well."""
        found = []
        for path in self.store.segments():
            with contextlib.suppress(FileNotFoundError):
                found.extend(start for start, _ in segment.iter_records(path))
        return sorted(found)

    def emptied(self, timeout=10):
        deadline = time.monotonic() + timeout
        while self.waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture
def outbox(tmp_path):
    """``outbox(server)``; the threads end with the test."""
    made = []

    def build(server=None, *, client=None, timeout_s=5.0, max_bytes=64 * MIB, store=None):
        client = client or Client(destination(server, timeout_s))
        store = store or DirectoryStore(str(tmp_path / "outbox"), "tests", max_bytes)
        made.append(Outbox(store, client))
        return made[-1]

    yield build
    for one in made:
        end(one.sender)
        one.store.after_fork_in_child()


def end(sender):
    """End the thread: the daemon of a process never does."""

    def leave():
        raise SystemExit

    thread, hook = sender._thread, threading.excepthook
    sender._turn = leave
    sender._work.set()
    sender._urgent.set()
    if thread is None:
        return
    # Python ignores SystemExit in a thread, pytest's hook does not.
    threading.excepthook = lambda raised: None if raised.exc_type is SystemExit else hook(raised)
    try:
        thread.join(10)
    finally:
        threading.excepthook = hook
    assert not thread.is_alive()


def names(rows):
    """Of the application's spans."""
    return sorted(row["operation_name"] for row in rows if row["operation_name"] != losses.SPAN_NAME)


def reported(rows):
    """What the loss spans say, one after the other."""
    return [
        {name[len("hf_outbox_") :]: value for name, value in row.items() if name.startswith("hf_outbox_")}
        for row in rows
        if row["operation_name"] == losses.SPAN_NAME
    ]


def exports(server):
    return [request for request in server.requests if request.method == "POST"]


def sender_threads():
    return [thread for thread in threading.enumerate() if thread.name == "hf-openobserve-sender"]


class StubClient:
    """Answers by a list, the last one for good; exceptions are raised. Keeps what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.destination = settings_module.Destination("openobserve", endpoint="http://o2.example.com/v1/traces")

    def send(self, payloads):
        self.sent.append(payloads)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def after_fork_in_child(self):
        pass


# The thread.


def test_there_is_no_thread_before_the_first_span(outbox, openobserve):
    made = outbox(openobserve)
    assert sender_threads() == []
    assert made.sender.drain(1) is False
    assert openobserve.connections == 0


def test_one_daemon_serves_all_threads(outbox, openobserve):
    made = outbox(openobserve)
    barrier = threading.Barrier(16)

    def work(number):
        barrier.wait()
        made.end(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (thread,) = sender_threads()
    assert thread.daemon
    assert names(openobserve.wait_for_rows(16)) == sorted(f"span {number}" for number in range(16))
    assert made.emptied()
    assert sender_threads() == [thread]


def test_a_process_that_can_have_no_more_threads_keeps_its_spans(outbox, openobserve, monkeypatch):
    made = outbox(openobserve)

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        made.end(1)
    assert made.waiting() == [1]
    made.end(2)
    assert len(openobserve.wait_for_rows(2)) == 2


def test_spans_that_come_later_are_delivered_too(outbox, openobserve):
    made = outbox(openobserve)
    for number in range(4):
        made.end(number)
        openobserve.wait_for_rows(number + 1)
    assert made.emptied()
    assert len(openobserve.rows()) == 4


def test_segments_of_dead_processes_are_delivered(outbox, openobserve, tmp_path):
    dead = DirectoryStore(str(tmp_path / "outbox"), "tests", 64 * MIB)
    dead.append(7, payload(7))
    dead.after_fork_in_child()  # closes what it holds, as the end of a process does
    made = outbox(openobserve)
    made.end(8)
    assert names(openobserve.wait_for_rows(2)) == ["span 7", "span 8"]


def test_an_idle_sender_looks_for_segments_of_dead_processes(outbox, openobserve, tmp_path, monkeypatch):
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.1)
    made = outbox(openobserve)
    made.end(1)
    openobserve.wait_for_rows(1)
    dead = DirectoryStore(str(tmp_path / "outbox"), "tests", 64 * MIB)
    dead.append(7, payload(7))
    dead.after_fork_in_child()
    assert names(openobserve.wait_for_rows(2)) == ["span 1", "span 7"]


def test_its_own_requests_are_no_spans(outbox, openobserve):
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests", reason="instrumentor not installed")
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    seen = []

    class Recorder(SpanProcessor):
        def on_end(self, span):
            seen.append(span.name)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Recorder())
    instrumentor = instrumentation.RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        outbox(openobserve).end(1)
        openobserve.wait_for_rows(1)
    finally:
        instrumentor.uninstrument()
    assert seen == []


# Faults of the server.


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([500], id="500"),
        pytest.param([503, 503, 503], id="503-three-times"),
        pytest.param([429], id="429"),
        pytest.param([Answer(429, {"retry-after": "0"})], id="429-retry-after"),
        pytest.param([302], id="302"),
        pytest.param([401], id="401"),
        pytest.param([404], id="404"),
        pytest.param([Answer(behaviour="reset")], id="reset"),
        pytest.param([Answer(behaviour="hang")], id="hang"),
        pytest.param([Answer(500, {}, "write failed", behaviour="half")], id="half-an-error"),
        pytest.param([500, Answer(behaviour="reset"), 401, 503], id="one-after-the-other"),
    ],
)
def test_a_fault_that_passes_costs_nothing_and_doubles_nothing(outbox, openobserve, answers, monkeypatch):
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    openobserve.script(*answers)
    made = outbox(openobserve, timeout_s=0.4)
    made.append(1, 2)
    made.end(3)
    assert names(openobserve.wait_for_rows(3, timeout=8)) == ["span 1", "span 2", "span 3"]
    assert made.emptied()
    time.sleep(0.1)
    assert len(openobserve.rows()) == 3


def test_spans_that_were_stored_are_not_sent_again_though_the_answer_broke_off(outbox, openobserve, monkeypatch):
    # The status line has said it; the server has no way to tell a span that it already has.
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    body = '{"partialSuccess": null}'
    openobserve.script(Answer(200, {"content-type": "application/json"}, body, behaviour="half", store=True))
    made = outbox(openobserve)
    made.end(1)
    assert made.emptied()
    time.sleep(0.3)
    assert len(openobserve.rows()) == 1


@pytest.mark.parametrize("answer", [503, 401, Answer(429, {"retry-after": "0"})], ids=str)
def test_it_tries_again_after_its_pause_though_no_further_span_comes(outbox, openobserve, answer):
    openobserve.script(answer)
    made = outbox(openobserve)
    made.end(1)
    openobserve.wait_for_rows(1, timeout=4)


def test_a_server_that_stores_and_answers_late_is_waited_for(outbox, openobserve, monkeypatch):
    """Sent again and again as they were, the spans would be stored each time."""
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    openobserve.script(*[Answer(delay_s=0.6)] * 20)
    made = outbox(openobserve, timeout_s=0.25)
    made.append(1, 2)
    assert [made.sender.deliver() for _ in range(3)] == [False, False, True]
    for number in range(3, 10):
        made.append(number)
        assert made.sender.deliver() is True
    rows = names(openobserve.rows())
    assert sorted(set(rows)) == sorted(f"span {number}" for number in range(1, 10))
    assert len(rows) <= 9 + 2 * 2


def test_requests_that_are_not_answered_in_time_get_smaller_and_grow_again(outbox, monkeypatch):
    monkeypatch.setattr(sender_module, "BACKOFF_BASE_S", 0.0)
    slow, fine = Verdict(RETRY, "ReadTimeout", timed_out=True), Verdict(ACCEPTED)
    made = outbox(client=StubClient(slow, slow, slow, fine))
    for number in range(64):
        made.append(number, text="x" * 60_000)
    assert [made.sender.deliver() for _ in range(4)] == [False, False, False, True]
    sizes = [sum(map(len, payloads)) for payloads in made.client.sent]
    assert [max(sizes[index : index + 1]) for index in range(3)] == sorted(sizes[:3], reverse=True)
    assert sizes[3] < sizes[0] / 4
    assert sizes[-2] > sizes[3]


def test_a_server_that_was_away_gets_everything(outbox, openobserve, monkeypatch):
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    made = outbox(openobserve)
    openobserve.stop()
    made.end(1, 2)
    time.sleep(0.3)
    assert made.waiting() == [1, 2]
    openobserve.start()
    assert names(openobserve.wait_for_rows(2, timeout=8)) == ["span 1", "span 2"]


def test_the_pause_a_server_asks_for_is_kept(outbox, openobserve, monkeypatch):
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    openobserve.script(Answer(429, {"retry-after": "1"}))
    made = outbox(openobserve)
    made.end(1)
    deadline = time.monotonic() + 5
    while not exports(openobserve) and time.monotonic() < deadline:
        time.sleep(0.01)
    made.end(2)
    assert made.sender.drain(0.5) is False
    assert len(exports(openobserve)) == 1
    openobserve.wait_for_rows(2, timeout=5)
    first, second = exports(openobserve)[:2]
    assert second.time - first.time >= 0.9


class Clock:
    """``time`` for the sender: it stands still."""

    def monotonic(self):
        return 1000.0


@pytest.mark.parametrize(
    ("verdict", "least", "most"),
    [
        (Verdict(RETRY), 0, 0.2),
        (Verdict(RETRY, retry_after_s=17.0), 17, 17),
        (Verdict(BLOCKED), 0.3, 0.3),
    ],
)
def test_how_long_it_waits(outbox, monkeypatch, verdict, least, most):
    monkeypatch.setattr(sender_module, "time", Clock())
    made = outbox(client=StubClient(verdict), store=MemoryStore())
    made.store.append(1, b"x")
    for _ in range(50):
        assert made.sender.deliver() is False
        assert least <= round(made.sender._not_before - 1000.0, 6) <= most


def test_an_outage_of_many_days_is_waited_out(outbox):
    made = outbox(client=StubClient(*[Verdict(RETRY)] * 3000, Verdict(ACCEPTED)), store=MemoryStore())
    made.store.append(1, b"x")
    for _ in range(3000):
        assert made.sender.deliver() is False
    assert made.sender.deliver() is True


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError(28, "no space"), RecursionError(), ValueError("x")])
def test_an_error_of_our_own_does_not_end_the_delivery(outbox, error, capsys, monkeypatch):
    # No span comes after it: nobody would wake a thread that has ended.
    monkeypatch.setattr(sender_module, "IDLE_SCAN_S", 0.05)
    made = outbox(client=StubClient(error, Verdict(ACCEPTED)))
    made.end(1)
    assert made.emptied(timeout=3)
    assert len(made.client.sent) == 2
    assert capsys.readouterr().err == ""


# Spans that the server will not have.


@pytest.fixture
def choosy():
    """A server that refuses a request for one span in it, which has too many columns."""
    with FakeOpenObserve(limits=Limits(columns=200)) as server:
        yield server


GUILTY = {**{f"column_{number}": "x" for number in range(300)}, "text": "x" * 30_000}


@pytest.mark.parametrize("position", [0, 3, 7])
def test_the_guilty_span_is_found_and_the_others_arrive(outbox, choosy, position, capsys):
    made = outbox(choosy)
    for number in range(8):
        made.append(number, **(GUILTY if number == position else {}))
    assert made.sender.deliver() is True
    innocent = sorted(f"span {number}" for number in range(8) if number != position)
    assert names(choosy.rows()) == innocent
    assert made.waiting() == []
    (aside,) = (Path(made.store.directory) / REJECTED).iterdir()
    assert [start for start, _ in segment.iter_records(str(aside))] == [position]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hf-openobserve: ")
    assert counters.read(made.store.directory) == {
        "accepted": 7,
        "rejected": 0,
        "expired": 0,
        "evicted": 0,
        "set_aside": 1,
    }
    assert [loss["set_aside"] for loss in reported(choosy.rows())] == ["1"]


@pytest.mark.parametrize("position", [0, 3, 7])
def test_a_span_that_is_too_large_arrives_with_its_texts_cut(outbox, position, capsys):
    with FakeOpenObserve(limits=Limits(payload_bytes=40_000)) as server:
        made = outbox(server)
        for number in range(8):
            made.append(
                number, **({"text": "head " + "x" * 200_000 + " tail", "short": "s"} if number == position else {})
            )
        assert made.sender.deliver() is True
        assert made.waiting() == []
        rows = {row["operation_name"]: row for row in server.rows()}
        assert len(server.rows()) == 8
    assert sorted(rows) == [f"span {number}" for number in range(8)]
    large = rows[f"span {position}"]
    assert large["text"].startswith("head xxx")
    assert large["text"].endswith("xxx tail")
    assert "bytes cut by hf-openobserve" in large["text"]
    assert large["short"] == "s"
    assert int(large["hf_outbox_cut_bytes"]) + len(large["text"]) > 200_000
    (line,) = capsys.readouterr().err.splitlines()
    assert "its longest texts are cut" in line
    assert counters.read(made.store.directory)["accepted"] == 8


def test_what_a_gateway_takes_at_most_is_found_once(outbox):
    with FakeOpenObserve(limits=Limits(payload_bytes=100_000)) as server:
        made = outbox(server)
        for number in range(40):
            made.append(number, text="x" * 10_000)
        assert made.sender.deliver() is True
        assert names(server.rows()) == sorted(f"span {number}" for number in range(40))
        before = len(exports(server))
        for number in range(40, 60):
            made.append(number, text="x" * 10_000)
        assert made.sender.deliver() is True
        assert len(server.rows()) == 60
        assert [request.status for request in exports(server)[before:]] == [200] * (len(exports(server)) - before)


def test_a_span_too_large_for_other_reasons_is_set_aside(outbox):
    with FakeOpenObserve(limits=Limits(payload_bytes=20_000)) as server:
        made = outbox(server)
        made.append(0)
        made.append(1, **{f"column_{number}": "x" * 150 for number in range(500)})
        assert made.sender.deliver() is True
        assert names(server.rows()) == ["span 0"]
    (aside,) = (Path(made.store.directory) / REJECTED).iterdir()
    assert [start for start, _ in segment.iter_records(str(aside))] == [1]


PAGE = Answer(400, {"content-type": "text/html"}, "The plain HTTP request was sent to HTTPS port")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (PAGE, "refuses every request (400: The plain HTTP request was sent to HTTPS port); check OPENOBSERVE_URL"),
        (422, "refuses every request"),
        (Answer(200, {"content-type": "text/html"}, "<html>Please sign in"), "answers with a web page (200)"),
    ],
    ids=["400", "422", "page"],
)
def test_a_server_that_takes_nothing_costs_no_span(outbox, openobserve, answer, said, capsys):
    openobserve.script(*[answer] * 4)
    made = outbox(openobserve)
    made.append(*range(64))
    assert [made.sender.deliver() for _ in range(2)] == [False, False]
    assert len(exports(openobserve)) <= 4, "no span is looked for that is guilty of it"
    assert made.waiting() == list(range(64))
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert any(made.sender.deliver() for _ in range(4)), "until a person has mended it"
    assert len(openobserve.rows()) == 64


def test_a_server_that_fails_while_it_is_asked_whether_it_takes_anything(outbox, openobserve):
    openobserve.script(PAGE, Answer(503, {"retry-after": "7"}))
    made = outbox(openobserve)
    made.append(1, 2)
    assert made.sender.deliver() is False
    assert 6 < made.sender.wait_s() <= 7
    assert made.waiting() == [1, 2]


def test_a_refused_span_that_cannot_be_set_aside_does_not_double_the_others(outbox, choosy, monkeypatch):
    made = outbox(choosy)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store, "set_aside", full)
    for number in range(4):
        made.append(number, **(GUILTY if number == 3 else {}))
    for _ in range(3):
        with contextlib.suppress(OSError):
            made.sender.deliver()
    assert names(choosy.rows()) == ["span 0", "span 1", "span 2"]
    assert made.waiting() == []
    assert [loss["rejected"] for loss in reported(choosy.rows())] == ["1"]


def test_what_cannot_be_kept_apart_is_not_an_end(outbox, openobserve, monkeypatch):
    # A full disk, and a server that fails after the first of two requests.
    monkeypatch.setattr(sender_module, "MAX_BATCH_SPANS", 2)
    openobserve.script(Answer(), 503)
    made = outbox(openobserve)
    made.append(0, 1, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(made.store, "_write_segment", full)
        with contextlib.suppress(OSError):
            made.sender.deliver()
    made.sender.deliver()
    assert names(openobserve.rows()) == ["span 0", "span 1", "span 2"]
    assert made.waiting() == []


@pytest.mark.parametrize("turns", [1, 4])
def test_a_full_disk_repeats_nothing_that_was_accepted(outbox, openobserve, monkeypatch, turns):
    monkeypatch.setattr(sender_module, "MAX_BATCH_SPANS", 2)
    openobserve.script(*[Answer(), 503] + [503] * (turns - 1))
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 7200)  # expires, and cannot be taken out
    append_at(made, 3, 2, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store, "_write_segment", full)
    for _ in range(turns):
        assert made.sender.deliver() is False
    assert made.sender.deliver() is True
    assert len(names(openobserve.rows())) == 3
    assert counters.read(made.store.directory)["expired"] == 1
    assert made.waiting() == []
    assert made.sender._left == {}


def test_a_span_that_was_cut_is_not_forgotten_on_a_full_disk(outbox, monkeypatch):
    with FakeOpenObserve(limits=Limits(payload_bytes=40_000)) as server:
        server.script(Answer(), 503)  # the whole, too large; the half, not now
        made = outbox(server)
        made.append(1, text="x" * 60_000)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(made.store, "_write_segment", full)
        assert made.sender.deliver() is False
        assert made.sender.deliver() is True
        assert names(server.rows()) == ["span 1"]
    assert made.waiting() == []


def test_only_what_was_not_accepted_is_sent_again(outbox, openobserve, monkeypatch):
    monkeypatch.setattr(sender_module, "MAX_BATCH_SPANS", 2)
    openobserve.script(Answer(), 503)
    made = outbox(openobserve)
    made.append(0, 1, 2, 3, 4)
    assert made.sender.deliver() is False
    assert made.waiting() == [2, 3, 4]
    assert made.sender.deliver() is True
    assert names(openobserve.rows()) == [f"span {number}" for number in range(5)]


OLD = 6 * 3600 * 10**9


def test_spans_that_came_too_late_are_said_once_and_not_sent_again(outbox, openobserve, capsys):
    made = outbox(openobserve)
    made.append(1)
    made.append(2, start=time.time_ns() - OLD)
    made.append(3, start=time.time_ns() - OLD)
    assert made.sender.deliver() is True
    assert made.waiting() == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "2" in line
    assert "retention" in line
    made.append(4, start=time.time_ns() - OLD)
    made.sender.deliver()
    assert capsys.readouterr().err == ""
    assert names(openobserve.rows()) == ["span 1"]
    assert [loss["rejected"] for loss in reported(openobserve.rows())] == ["2"], "the third waits for its minute"
    assert counters.read(made.store.directory)["rejected"] == 3


def append_at(made, *ages_s):
    now = time.time_ns()
    for number, age_s in enumerate(ages_s):
        start = now - int(age_s * 1e9)
        made.store.append(start, payload(number, start=start))


def test_spans_past_the_window_expire_whether_the_server_is_there_or_not(outbox, openobserve, capsys):
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 3601, 7200, 3500, 0)
    openobserve.script(503)
    assert made.sender.deliver() is False
    assert counters.read(made.store.directory)["expired"] == 2
    assert len(made.waiting()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "more than 1 h ago" in line
    assert made.sender.deliver() is True
    assert names(openobserve.rows()) == ["span 2", "span 3"]
    assert counters.read(made.store.directory)["expired"] == 2
    (loss,) = reported(openobserve.rows())
    assert (loss["lost"], loss["expired"]) == ("2", "2")
    assert loss["lost_from"] < loss["lost_to"]
    assert "2 too old for the server" in loss["message"]


def test_a_loss_is_reported_under_the_service_that_was_recorded(outbox, openobserve):
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 7200)
    made.sender.resource = ResourceRecord({"service.name": "shop"})
    made.sender.deliver()
    (row,) = openobserve.rows()
    assert (row["operation_name"], row["service_name"]) == ("hf-openobserve outbox", "shop")
    assert not [column for column in row if column.startswith(("llm_", "gen_ai_", "openinference"))]


def test_a_loss_that_the_server_does_not_take_is_reported_later(outbox, openobserve, monkeypatch):
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 7200)
    openobserve.script(503)
    made.sender.deliver()
    assert openobserve.rows() == []
    monkeypatch.setattr(counters, "TELLING_S", 0)
    made.sender.deliver()
    assert [loss["expired"] for loss in reported(openobserve.rows())] == ["1"]
    made.sender.deliver()
    assert len(openobserve.rows()) == 1


# Many segments, one request.


def test_segments_of_many_processes_are_one_request(outbox, openobserve):
    made = outbox(openobserve)
    for number in range(70):
        made.append(number)
        made.store.seal()
    assert made.sender.deliver() is True
    assert [request.spans for request in exports(openobserve)] == [32, 32, 6]
    assert made.waiting() == []
    assert names(openobserve.rows()) == sorted(f"span {number}" for number in range(70))


def test_what_was_accepted_is_counted_before_a_long_delivery_is_over(outbox, openobserve, monkeypatch):
    monkeypatch.setattr(sender_module, "MAX_BATCH_SEGMENTS", 1)
    made = outbox(openobserve)
    seen = []
    send = made.client.send

    def counted(payloads):
        with contextlib.suppress(OSError):
            seen.append(counters.read(made.store.directory)["accepted"])
        return send(payloads)

    monkeypatch.setattr(made.client, "send", counted)
    for number in range(4):
        made.append(number)
        made.store.seal()
    assert made.sender.deliver() is True
    assert seen == [1, 2, 3]


def test_segments_of_one_refused_request_are_sent_one_by_one(outbox, choosy):
    made = outbox(choosy)
    for number in range(6):
        made.append(number, **(GUILTY if number == 3 else {}))
        made.store.seal()
    assert made.sender.deliver() is True
    assert names(choosy.rows()) == [f"span {number}" for number in (0, 1, 2, 4, 5)]
    assert made.waiting() == []


@pytest.mark.parametrize("answer", [503, Answer(behaviour="reset")])
def test_segments_of_one_failed_request_stay_as_they_are(outbox, openobserve, answer):
    made = outbox(openobserve)
    for number in range(6):
        made.append(number)
        made.store.seal()
    before = made.store.segments()
    openobserve.script(answer)
    assert made.sender.deliver() is False
    assert made.store.segments() == before
    assert made.sender.deliver() is True
    assert names(openobserve.rows()) == [f"span {number}" for number in range(6)]


def test_no_segment_stays_open_or_locked(outbox, openobserve, tmp_path):
    made = outbox(openobserve)
    for number in range(70):
        made.append(number)
        made.store.seal()
    openobserve.script(Answer(), 503)
    assert made.sender.deliver() is False
    other = DirectoryStore(str(tmp_path / "outbox"), "tests", 64 * MIB)
    assert sum(len(claimed.records) for claimed in other.claim()) == 38
    other.after_fork_in_child()
    assert made.store._descriptors == {}


def test_after_a_failure_the_other_stores_are_not_tried(outbox, openobserve):
    made = outbox(openobserve)
    memory = MemoryStore()
    made.sender.also_from(memory)
    made.append(1)
    memory.append(2, payload(2))
    openobserve.script(Answer(503, {"retry-after": "30"}))
    assert made.sender.deliver() is False
    assert len(exports(openobserve)) == 1
    assert made.sender.wait_s() > 20


# What is said.


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (401, "OPENOBSERVE_AUTH_TOKEN"),
        (403, "OPENOBSERVE_AUTH_TOKEN"),
        (404, "OPENOBSERVE_URL"),
        (Answer(302, {"location": "https://u:p@o2.example.com/?k=s3cr3t"}), "https://o2.example.com/"),
        (429, ""),
        (500, ""),
        (503, ""),
        (Answer(behaviour="reset"), ""),
    ],
    ids=str,
)
def test_one_line_once_and_no_secret(outbox, openobserve, answer, said, capsys):
    openobserve.script(*[answer] * 3)
    made = outbox(openobserve)
    made.append(1)
    for _ in range(3):
        assert made.sender.deliver() is False
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == bool(said)
    assert said in captured.err
    if said:
        assert captured.err.startswith("hf-openobserve: ")
        assert made.client.destination.endpoint in captured.err
    for secret in (openobserve.auth_token.split()[1], "s3cr3t", "u:p"):
        assert secret not in captured.err


def test_a_reason_that_differs_each_time_is_said_once(outbox, openobserve, capsys):
    # Gateways put a request id into every refusal; the sender asks again each minute, for days.
    openobserve.script(*[Answer(401, {}, f"denied, request id {number}") for number in range(3)])
    made = outbox(openobserve)
    made.append(1)
    for _ in range(3):
        made.sender.deliver()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_spans_dropped_for_room_are_said_once(outbox, capsys):
    made = outbox(client=StubClient(Verdict(RETRY)), max_bytes=3000)
    for number in range(30):
        made.append(number, text="x" * 200)
        made.sender.deliver()
    (line,) = capsys.readouterr().err.splitlines()
    assert "OPENOBSERVE_HF_OUTBOX_MAX_MB" in line
    left = made.waiting()
    assert left == list(range(30 - len(left), 30))


# The exit.


def test_drain_delivers_what_waits(outbox, openobserve, monkeypatch):
    monkeypatch.setattr(sender_module, "FLUSH_STEPS_S", (30.0,))  # only the drain can be that fast
    made = outbox(openobserve)
    made.end(1, 2, 3)
    assert made.sender.drain(5) is True
    assert len(openobserve.rows()) == 3
    assert made.waiting() == []
    assert made.sender.drain(5) is True


@pytest.mark.parametrize(
    ("answer", "bound"), [(Answer(behaviour="hang"), 0.3), (Answer(delay_s=3.0), 0.3), (Answer(behaviour="hang"), 0.0)]
)
def test_drain_takes_no_longer_than_it_may(outbox, openobserve, answer, bound):
    openobserve.script(*[answer] * 5)
    made = outbox(openobserve, timeout_s=30)
    made.end(1)
    time.sleep(0.1)
    began = time.monotonic()
    assert made.sender.drain(bound) is False
    assert time.monotonic() - began < bound + 0.3
    assert made.waiting() == [1]
    openobserve.stop()  # lets the thread go


def test_several_that_drain_at_exit_share_one_budget(outbox, openobserve):
    openobserve.script(*[Answer(behaviour="hang")] * 5)
    made = outbox(openobserve, timeout_s=30)
    made.end(1)
    began = time.monotonic()
    for _ in range(5):
        assert made.sender.drain(0.3) is False
    assert time.monotonic() - began < 0.9
    openobserve.stop()


def test_a_short_flush_of_the_applications_does_not_cost_the_exits_attempt(outbox, openobserve):
    openobserve.script(Answer(delay_s=0.4))
    made = outbox(openobserve)
    made.end(1)
    assert made.sender.drain(0.01) is False
    made.end(2)
    assert made.sender.drain(5) is True
    assert len(openobserve.rows()) == 2


@pytest.mark.parametrize("answer", [401, 302, Answer(429, {"retry-after": "60"})], ids=["401", "302", "retry-after"])
def test_drain_does_not_try_what_is_known_to_fail(outbox, openobserve, answer, monkeypatch):
    monkeypatch.setattr(sender_module, "BLOCKED_RETRY_S", 60.0)
    openobserve.script(answer)
    made = outbox(openobserve)
    made.end(1)
    deadline = time.monotonic() + 5
    while made.sender._failures == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    assert made.sender.drain(5) is False
    assert time.monotonic() - began < 1
    assert len(exports(openobserve)) == 1


def test_drain_where_the_server_is_gone(outbox, openobserve):
    made = outbox(openobserve)
    openobserve.stop()
    made.end(1)
    began = time.monotonic()
    assert made.sender.drain(5) is False
    assert time.monotonic() - began < 3
    assert made.waiting() == [1]


def test_a_drain_that_comes_while_the_thread_takes_its_flag_down_is_not_overlooked(outbox):
    # The exit would wait its whole budget for a delivery that nobody makes.
    made = outbox(client=StubClient(Verdict(ACCEPTED)), store=MemoryStore())
    drains = []

    def drain():
        began = time.monotonic()
        drains.append((made.sender.drain(5), time.monotonic() - began))

    class Raced(threading.Event):
        thread = None

        def clear(self):
            if self.thread is None:
                thread = threading.Thread(target=drain)
                thread.start()
                self.thread = thread
                self.wait(5)  # until the drain has raised it
                time.sleep(0.05)
            super().clear()

    made.store.append(1, b"x")
    made.sender.wake()
    assert made.sender.drain(5) is True  # the thread runs, and waits for work
    raced = made.sender._urgent = Raced()
    made.store.append(2, b"x")
    made.sender.wake()
    deadline = time.monotonic() + 5
    while raced.thread is None and time.monotonic() < deadline:
        time.sleep(0.01)
    raced.thread.join()
    ((drained, took),) = drains
    assert drained is True
    assert took < 3


def test_two_hundred_drains_in_a_row(outbox):
    made = outbox(client=StubClient(Verdict(ACCEPTED)), store=MemoryStore())
    for number in range(200):
        made.store.append(number, b"x")
        made.sender.wake()
        assert made.sender.drain(2) is True
    assert sum(len(payloads) for payloads in made.client.sent) == 200


# Forks.


def test_a_forked_child_sends_its_own_spans_and_the_parent_its_own(openobserve, tmp_path):
    program = """
        import dataclasses, os, sys
        sys.path.insert(0, sys.argv[2])
        import test_sender
        from hf_openobserve import settings
        from hf_openobserve.openobserve.client import Client
        from hf_openobserve.outbox.store import DirectoryStore
        destination = settings.load(os.environ, script_dir=None, cwd=None).destination
        made = test_sender.Outbox(DirectoryStore(sys.argv[1], "tests", 1 << 26), Client(destination))
        made.end(1)
        assert made.sender.drain(10)
        made.append(2)
        pid = os.fork()
        if pid == 0:
            made.store.after_fork_in_child()
            made.sender.after_fork_in_child()
            assert made.sender._thread is None
            made.end(3)
            os._exit(0 if made.sender.drain(10) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        made.end(4)
        assert made.sender.drain(10)
    """
    env = {
        **os.environ,
        **openobserve.environment,
        "OPENOBSERVE_HF_DOTENV": "false",
        "PYTHONPATH": os.pathsep.join([str(AGENT), str(Path(__file__).resolve().parents[1])]),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "outbox"), str(Path(__file__).parent)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names(openobserve.rows()) == ["span 1", "span 2", "span 3", "span 4"]


# Batches, stores.


def test_spans_from_memory_are_delivered_beside_those_on_disk(outbox, openobserve):
    made = outbox(openobserve)
    made.append(1)
    memory = MemoryStore()
    memory.append(2, payload(2))
    made.sender.also_from(memory)
    made.sender.wake()
    assert names(openobserve.wait_for_rows(2)) == ["span 1", "span 2"]
    assert made.emptied()
    assert list(memory.claim()) == []


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ([], []),
        ([1], [1]),
        ([1] * 7, [3, 3, 1]),
        ([40, 40, 40], [2, 1]),
        ([100, 1, 1], [1, 2]),
        ([500], [1]),
        ([1, 500, 1], [1, 1, 1]),
    ],
)
def test_requests_are_bounded_in_spans_and_bytes(monkeypatch, sizes, cut):
    monkeypatch.setattr(sender_module, "MAX_BATCH_SPANS", 3)
    records = [(number, b"x" * size) for number, size in enumerate(sizes)]
    batches = sender_module.batches(records, 100)
    assert [len(batch) for batch in batches] == cut
    assert [record for batch in batches for record in batch] == records


# A disk that does not let go, or does not take back.


def test_what_is_delivered_and_cannot_be_deleted_is_not_sent_again(outbox, openobserve, monkeypatch, capsys):
    made = outbox(openobserve)
    made.append(0)
    unlink = os.unlink

    def read_only(path, *more, **options):
        if str(path).endswith(".seg"):
            raise OSError(30, "Read-only file system", str(path))
        unlink(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        assert [made.sender.deliver() for _ in range(3)] == [True, True, True]
    assert len(exports(openobserve)) == 1
    assert made.waiting() == [0]
    assert made.sender.deliver() is True
    assert (made.waiting(), len(exports(openobserve))) == ([], 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be deleted" in line


def test_what_a_killed_process_left_half_written_does_not_stop_delivery(outbox, openobserve):
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 7200, 0)
    made.store.seal()
    (path,) = made.store.segments()
    Path(path + ".tmp").write_bytes(b"")
    assert made.sender.deliver() is True
    assert names(openobserve.rows()) == ["span 1"]


def test_a_full_disk_does_not_keep_what_expired_from_being_followed(outbox, openobserve, monkeypatch):
    made = outbox(openobserve)
    made.sender = Sender(made.store, made.client, window_s=3600)
    append_at(made, 7200, 0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store, "_write_segment", full)
    assert made.sender.deliver() is True
    assert names(openobserve.rows()) == ["span 1"]
    assert made.waiting() == []
    assert counters.read(made.store.directory)["expired"] == 1


def test_memory_is_delivered_though_the_disk_is_gone(outbox, openobserve, monkeypatch):
    made = outbox(openobserve)
    memory = MemoryStore()
    made.sender.also_from(memory)
    memory.append(1, payload(1))

    def gone():
        raise NotADirectoryError(20, "Not a directory")

    monkeypatch.setattr(made.store, "seal", gone)
    made.sender.deliver()
    assert names(openobserve.rows()) == ["span 1"]
