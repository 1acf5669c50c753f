"""The sender's thread and rhythm: when it delivers, and how long the exit waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from fakes.openobserve import Answer
from hf_openobserve.openobserve.answers import ACCEPTED, Verdict
from hf_openobserve.outbox.memory import MemoryStore
from hf_openobserve.outbox.store import DirectoryStore
from senders import (
    StubClient,
    exports,
    names,
    payload,
    sender_threads,
)
from stores import AGENT, MIB


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
    made = outbox(openobserve, idle_scan_s=0.1)
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
    openobserve.script(*answers)
    made = outbox(openobserve, timeout_s=0.4, idle_scan_s=0.05)
    made.append(1, 2)
    made.end(3)
    assert names(openobserve.wait_for_rows(3, timeout=8)) == ["span 1", "span 2", "span 3"]
    assert made.emptied()
    time.sleep(0.1)
    assert len(openobserve.rows()) == 3


def test_spans_that_were_stored_are_not_sent_again_though_the_answer_broke_off(outbox, openobserve, monkeypatch):
    # The status line has said it; the server has no way to tell a span that it already has.
    body = '{"partialSuccess": null}'
    openobserve.script(Answer(200, {"content-type": "application/json"}, body, behaviour="half", store=True))
    made = outbox(openobserve, idle_scan_s=0.05)
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


def test_a_server_that_was_away_gets_everything(outbox, openobserve, monkeypatch):
    made = outbox(openobserve, idle_scan_s=0.05)
    openobserve.stop()
    made.end(1, 2)
    time.sleep(0.3)
    assert made.waiting() == [1, 2]
    openobserve.start()
    assert names(openobserve.wait_for_rows(2, timeout=8)) == ["span 1", "span 2"]


def test_the_pause_a_server_asks_for_is_kept(outbox, openobserve, monkeypatch):
    openobserve.script(Answer(429, {"retry-after": "1"}))
    made = outbox(openobserve, idle_scan_s=0.05)
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


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError(28, "no space"), RecursionError(), ValueError("x")])
def test_an_error_of_our_own_does_not_end_the_delivery(outbox, error, capsys, monkeypatch):
    # No span comes after it: nobody would wake a thread that has ended.
    made = outbox(client=StubClient(error, Verdict(ACCEPTED)), idle_scan_s=0.05)
    made.end(1)
    assert made.emptied(timeout=3)
    assert len(made.client.sent) == 2
    assert capsys.readouterr().err == ""


def test_drain_delivers_what_waits(outbox, openobserve, monkeypatch):
    made = outbox(openobserve, flush_steps_s=(30.0,))  # only the drain can be that fast
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
    openobserve.script(answer)
    made = outbox(openobserve, blocked_retry_s=60.0)
    made.end(1)
    deadline = time.monotonic() + 5
    while made.delivery.backoff.failures == 0 and time.monotonic() < deadline:
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


@pytest.mark.parametrize("error", [MemoryError(), ValueError("odd")], ids=["memory", "ours"])
def test_no_error_ends_the_thread_or_is_printed_by_it(outbox, error, capfd):
    # On a thread of ours nobody can take over what elsewhere is the program's own.
    client = StubClient(error, Verdict(ACCEPTED))
    made = outbox(client=client, store=MemoryStore())
    made.store.append(1, b"x")
    made.sender.wake()
    deadline = time.monotonic() + 20
    while len(client.sent) < 2 and time.monotonic() < deadline:
        made.sender.drain(1)
    assert len(client.sent) == 2
    assert capfd.readouterr() == ("", "")


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


def test_a_forked_child_sends_its_own_spans_and_the_parent_its_own(openobserve, tmp_path):
    program = """
        import dataclasses, os, sys
        import senders
        from hf_openobserve.config import settings
        from hf_openobserve.openobserve.ingest import Client
        from hf_openobserve.outbox.store import DirectoryStore
        destination = settings.load(os.environ, script_dir=None, cwd=None).destination
        made = senders.Outbox(DirectoryStore(sys.argv[1], "tests", 1 << 26), Client(destination))
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
        "PYTHONPATH": os.pathsep.join([str(AGENT), str(Path(__file__).resolve().parents[2])]),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "outbox")],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names(openobserve.rows()) == ["span 1", "span 2", "span 3", "span 4"]


def test_spans_from_memory_are_delivered_beside_those_on_disk(outbox, openobserve):
    made = outbox(openobserve)
    made.append(1)
    memory = MemoryStore()
    memory.append(2, payload(2))
    made.delivery.also_from(memory)
    made.sender.wake()
    assert names(openobserve.wait_for_rows(2)) == ["span 1", "span 2"]
    assert made.emptied()
    assert list(memory.claim()) == []


# Its end.


def test_a_sender_that_is_stopped_finishes_its_request_and_starts_no_more(outbox, openobserve):
    openobserve.script(Answer(delay_s=0.5))
    made = outbox(openobserve)
    made.end(1)
    deadline = time.monotonic() + 5
    while not openobserve.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made.sender.stop(10) is True
    assert names(openobserve.rows()) == ["span 1"]
    assert made.waiting() == []
    made.end(2)
    assert sender_threads() == []
    assert made.waiting() == [2]


def test_a_sender_that_waits_for_its_time_is_stopped_at_once(outbox, openobserve):
    openobserve.script(Answer(429, {"retry-after": "60"}))
    made = outbox(openobserve)
    made.end(1)
    made.sender.drain(2)
    began = time.monotonic()
    assert made.sender.stop(10) is True
    assert time.monotonic() - began < 1
    assert len(exports(openobserve)) == 1


def test_a_sender_that_never_started_is_stopped(outbox, openobserve):
    assert outbox(openobserve).sender.stop(0) is True


def test_it_owes_what_waits_and_what_is_on_its_way(outbox, openobserve):
    made = outbox(openobserve)
    assert not made.sender.owes(), "nothing has been recorded: there is no thread"
    openobserve.script(Answer(delay_s=0.3))
    made.end(1)
    assert made.sender.owes()
    while len(exports(openobserve)) < 1:
        time.sleep(0.01)
    assert made.sender.owes(), "the server has not answered yet"
    assert made.sender.drain(10)
    assert not made.sender.owes()


def test_it_owes_what_the_server_did_not_take(outbox, openobserve):
    made = outbox(openobserve, backoff_base_s=60)
    openobserve.stop()
    made.end(1)
    assert not made.sender.drain(10)
    assert made.sender.owes()
