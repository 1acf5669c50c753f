from __future__ import annotations

import json
import queue
import signal
import threading
import time

import pytest
import requests

import outboxes
from hf_openobserve.cli import calls, remedies, tail
from outboxes import LLAMA, call, failed_call

HINT = "Hint: Group by hf_provider_served: if it is one provider, pin another, or let the router choose"


@pytest.fixture
def env(tmp_path):
    return outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"), "TZ": "UTC"})


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


class Tail:
    """The command as a process of its own, and what it writes."""

    def __init__(self, env, *arguments):
        self.process = outboxes.start(["tail", *arguments], env)
        self._lines = queue.Queue()
        self.said = self.process.stderr.readline().decode()  # it watches by now
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.decode())

    def lines(self, count):
        return [self._lines.get(timeout=15) for _ in range(count)]

    def end(self, number=signal.SIGINT):
        """(exit status, further lines, standard error)."""
        self.process.send_signal(number)
        status = self.process.wait(10)
        time.sleep(0.1)
        rest = [self._lines.get() for _ in range(self._lines.qsize())]
        return status, rest, self.process.stderr.read().decode()


@pytest.fixture
def watch(env):
    started = []

    def start(*arguments, **more):
        started.append(Tail({**env, **more}, *arguments))
        return started[-1]

    yield start
    for tailing in started:
        tailing.process.kill()
        tailing.process.wait()
        tailing.process.stdout.close()
        tailing.process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_calls_of_another_process_as_they_happen(watch, root, number):
    outboxes.leave(root, "local", *(call(f"earlier/{n}", age_s=90 - n) for n in range(12)))
    tailing = watch("--last", "2")
    assert str(root) in tailing.said
    assert [line.split()[1] for line in tailing.lines(2)] == ["earlier/10", "earlier/11"]
    with outboxes.writer(root, "openobserve new", spans=2):
        shown = tailing.lines(2)
    assert [line[8:] for line in shown] == [f"  {LLAMA}{' ' * 20}    250 ms  30+12 tok\n"] * 2
    assert tailing.end(number) == (0, [], "")


def test_as_json_from_before_there_was_an_outbox(watch, root):
    tailing = watch("--json")
    outboxes.leave(root, "local", call(more={"hf.provider.served": "groq", "http.request.resend_count": 2}))
    outboxes.leave(root, "local", failed_call())
    good, bad = sorted(map(json.loads, tailing.lines(2)), key=lambda shown: shown["time"])
    assert (good["served_by"], good["retries"], good["error"], good["hint"]) == ("groq", 2, None, None)
    assert bad["error"]["kind"] == "rate_limited"
    assert bad["hint"].startswith("Group by hf_provider_served")
    assert set(good) == {*calls.as_dictionary(tail_call()), "hint"}
    assert tailing.end() == (0, [], "")


def tail_call(**more):
    return calls.of_payload(call(start=1_700_000_000 * 10**9, **more)[1])[0][0]


@pytest.mark.parametrize(
    ("more", "ending"),
    [
        ({}, "    250 ms  30+12 tok"),
        ({"tokens": None}, "    250 ms"),
        (
            {
                "more": {
                    "gen_ai.response.time_to_first_chunk": 0.1254,
                    "hf.stream.tokens_per_second": 80.4,
                    "gen_ai.usage.cost": 0.000123,
                    "http.request.resend_count": 1,
                }
            },
            "    250 ms  ttft 125 ms  80 tok/s  30+12 tok  cost 0.00012  1 retry",
        ),
        ({"error": "cancelled"}, "    250 ms  _OTHER: cancelled"),
        (
            {"error": "two\nlines \x1b[31mred", "more": {"hf.error.kind": "cancelled"}},
            "    250 ms  cancelled: two lines ?[31mred  Hint: " + remedies.hint("cancelled"),
        ),
    ],
)
def test_a_call_is_one_line(more, ending):
    line = tail.line(tail_call(**more)).plain
    assert line[8:].rstrip() == f"  {LLAMA}{' ' * 20}{ending}"


def test_the_provider_stands_behind_the_model_and_no_word_is_a_command():
    line = tail.line(tail_call(model="[bold]x\x1b]0;t\x07", more={"hf.provider.served": "groq"})).plain
    assert line[10:].startswith("[bold]x?]0;t? -> groq  ")


def test_a_reader_that_goes_ends_it(env, root):
    outboxes.leave(root, "local", call())
    process = outboxes.start(["tail"], env)
    try:
        assert LLAMA.encode() in process.stdout.readline()
        process.stdout.close()
        outboxes.leave(root, "local", call())
        assert process.wait(15) == 1
        assert process.stderr.read().count(b"\n") == 1  # what it watches
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


# --- From OpenObserve ------------------------------------------------------------------------------------------------


def deliver(server, *records):
    answer = requests.post(
        f"{server.url}/api/default/v1/traces",
        b"".join(payload for _, payload in records),
        headers={"Authorization": server.auth_token, "Content-Type": "application/x-protobuf"},
        timeout=10,
    )
    assert answer.status_code == 200


def test_calls_of_the_server_also_after_an_outage(watch, openobserve):
    deliver(openobserve, *(call(f"earlier/{n}", age_s=1000 - n) for n in range(3)))
    tailing = watch("--from", "openobserve", "--last", "2", **openobserve.environment)
    assert openobserve.url in tailing.said
    assert [line.split()[1] for line in tailing.lines(2)] == ["earlier/1", "earlier/2"]
    deliver(openobserve, call("now/1"), failed_call("now/2"))
    shown = tailing.lines(2)
    assert [line.split()[1] for line in shown] == ["now/1", "now/2"]
    assert HINT in shown[1]
    openobserve.stop()
    said = tailing.process.stderr.readline().decode()
    assert "cannot be reached" in said
    assert said.endswith("; asking again\n")
    openobserve.start()
    deliver(openobserve, call("now/3"))
    assert [line.split()[1] for line in tailing.lines(1)] == ["now/3"]
    assert tailing.end() == (0, [], "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "no OpenObserve server is configured"),
        ({"OPENOBSERVE_AUTH_TOKEN": "nobody@example.com:wrong"}, "401"),
    ],
)
def test_a_server_that_cannot_be_asked_is_said(env, openobserve, more, said):
    given = {**env, **(openobserve.environment if more else {}), **more}
    done = outboxes.invoke(["tail", "--from", "openobserve"], given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.startswith("hf-openobserve tail: ")
    assert done.stderr.count("\n") == 1
