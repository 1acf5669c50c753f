"""Functions that freeze: who waits for a delivery, when, and how long at the most."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from types import SimpleNamespace

import pytest

from hf_openobserve.pipeline.answers import Answers
from hf_openobserve.pipeline.flushing import Flushing
from hf_openobserve.process import events

BUDGET_S = 0.2


class Sender:
    """Answers as it is told: at once, in vain (``fails``), or never (``silent``)."""

    def __init__(self, behaviour="delivers"):
        self.behaviour = behaviour
        self.asked = []
        self.numbers = []
        self.delivery = SimpleNamespace(backoff=SimpleNamespace(failures=int(behaviour == "fails")))
        self.has_work = True

    def owes(self, *, numbers=False):
        return self.has_work

    def ask(self, answer, *, numbers=False):
        self.asked.append(threading.current_thread())
        self.numbers.append(numbers)
        if self.behaviour != "silent":
            threading.Timer(0.02, answer.set).start()

    def new_answer(self):
        return events.Event(threading.Lock)


@pytest.fixture
def make(monkeypatch):
    """``make(behaviour)``: (flushing, its sender)."""

    def make(behaviour="delivers", numbers=False):
        sender = Sender(behaviour)
        return Flushing(sender, BUDGET_S, numbers=numbers), sender

    return make


def seconds(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.parametrize("behaviour", ["delivers", "fails", "silent"])
@pytest.mark.parametrize("wait", ["after_call", "before_answer"])
def test_a_thread_waits_for_the_attempt_and_no_longer_than_the_budget(make, behaviour, wait):
    flushing, sender = make(behaviour)
    took = seconds(getattr(flushing, wait))
    assert (BUDGET_S if behaviour == "silent" else 0.01) <= took < BUDGET_S + 1
    again = seconds(getattr(flushing, wait))
    if behaviour == "delivers":
        assert len(sender.asked) == 2
    else:  # a server that takes nothing must not delay each answer
        assert (len(sender.asked), again < BUDGET_S) == (1, True)


def test_nothing_is_asked_where_nothing_waits(make):
    flushing, sender = make()
    sender.has_work = False
    flushing.after_call()
    flushing.before_answer()
    asyncio.run(flushing.before_answer_of_task())
    assert sender.asked == []


def test_an_invocation_is_not_delayed_beyond_its_own_time(make):
    flushing, sender = make("silent")
    flushing.before_answer(-1.0)
    assert sender.asked == []
    assert seconds(lambda: flushing.before_answer(0.05)) < BUDGET_S


def test_calls_do_not_wait_where_answers_are_seen(make):
    flushing, sender = make()
    flushing.sees_answers = True
    flushing.after_call()
    assert sender.asked == []


def test_a_call_on_a_loop_waits_for_nothing(make):
    flushing, sender = make("silent")

    async def call():
        flushing.after_call()

    asyncio.run(call())
    assert sender.asked == []
    flushing.after_call()
    assert len(sender.asked) == 1, "the loop is over: this thread may wait"


def test_a_call_on_a_loop_of_trios_waits_for_nothing(make):
    trio = pytest.importorskip("trio")
    flushing, sender = make("silent")

    async def call():
        flushing.after_call()

    trio.run(call)
    assert sender.asked == []


@pytest.mark.parametrize("behaviour", ["delivers", "silent"])
def test_a_task_waits_while_others_go_on(make, behaviour):
    flushing, sender = make(behaviour, numbers=True)
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def main():
        ticker = asyncio.ensure_future(tick())
        await asyncio.sleep(0)
        await flushing.before_answer_of_task()
        ticker.cancel()

    assert seconds(lambda: asyncio.run(main())) < BUDGET_S + 1
    assert len(ticks) > 2
    assert sender.numbers == [True]


def test_an_answer_that_comes_after_its_loop_has_ended_hurts_nobody(make):
    flushing, sender = make("silent")
    kept = []
    sender.ask = lambda answer, numbers: kept.append(answer)
    asyncio.run(flushing.before_answer_of_task())
    kept[0].set()


# --- Where answers go back ---


class RuntimeClient:
    """As AWS's, with what is asked of it."""

    def __init__(self):
        self.posted = []

    def wait_next_invocation(self):
        return SimpleNamespace(deadline_time_in_ms=str(int((time.time() + 60) * 1000)))

    def post_invocation_result(self, invoke_id, result_data, content_type="application/json"):
        self.posted.append(invoke_id)

    def post_invocation_error(self, invoke_id, error_response_data, xray_fault):
        self.posted.append(invoke_id)


@pytest.fixture
def followed(make):
    flushing, sender = make()
    answers = Answers()
    answers.follow(flushing)
    return answers, flushing, sender


def of_lambda():
    return type("RuntimeClient", (RuntimeClient,), dict(vars(RuntimeClient)))


def test_lambdas_client_posts_when_the_wait_is_over(followed):
    answers, flushing, sender = followed
    kind = of_lambda()
    for _ in range(2):  # a module that is imported anew is followed once
        answers.follow_lambda(SimpleNamespace(LambdaRuntimeClient=kind))
    client = kind()
    client.wait_next_invocation()
    client.post_invocation_result("1", "{}")
    client.post_invocation_error("2", "{}", "")
    assert client.posted == ["1", "2"]
    assert len(sender.asked) == 2
    assert flushing.sees_answers


def test_a_client_of_another_kind_is_left_as_it_is(followed):
    answers, flushing, _ = followed
    kind = type("RuntimeClient", (), {"post_invocation_result": RuntimeClient.post_invocation_result})
    with pytest.raises(AttributeError):  # which the import hook swallows
        answers.follow_lambda(SimpleNamespace(LambdaRuntimeClient=kind))
    assert kind.post_invocation_result is RuntimeClient.post_invocation_result
    assert not flushing.sees_answers


@pytest.mark.parametrize("deadline", [None, "", "soon"])
def test_a_deadline_that_cannot_be_read_is_none(followed, deadline):
    answers, _, _ = followed
    kind = of_lambda()
    kind.wait_next_invocation = lambda self: SimpleNamespace(deadline_time_in_ms=deadline)
    answers.follow_lambda(SimpleNamespace(LambdaRuntimeClient=kind))
    client = kind()
    assert client.wait_next_invocation().deadline_time_in_ms == deadline
    client.post_invocation_result("1", "{}")
    assert client.posted == ["1"]


def test_uvicorn_sends_the_end_of_an_answer_when_the_wait_is_over(followed):
    answers, _, sender = followed
    sent = []

    class Cycle:
        async def send(self, message):
            sent.append((message, len(sender.asked)))

    for _ in range(2):
        answers.follow_uvicorn(SimpleNamespace(RequestResponseCycle=Cycle))
    start, piece = {"type": "http.response.start"}, {"type": "http.response.body", "more_body": True}
    end, wrong = {"type": "http.response.body"}, {}

    async def answer():
        for message in (start, piece, end, wrong):
            await Cycle().send(message)

    asyncio.run(answer())
    assert sent == [(start, 0), (piece, 0), (end, 1), (wrong, 1)]
    assert inspect.iscoroutinefunction(Cycle.send)


def test_a_cancelled_answer_is_cancelled(followed, make):
    answers, _, _ = followed
    answers.follow(make("silent")[0])
    sent = []

    class Cycle:
        async def send(self, message):
            sent.append(message)

    answers.follow_uvicorn(SimpleNamespace(RequestResponseCycle=Cycle))

    async def main():
        task = asyncio.ensure_future(Cycle().send({"type": "http.response.body"}))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sent == []
