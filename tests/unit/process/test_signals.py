"""Signals that wait: handled when the block ends, with what the handler raises; the rest as without us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time

import pytest

from hf_openobserve.process import signals

pytestmark = pytest.mark.matrix


class Limit(TimeoutError):
    """A job runner's."""


@pytest.fixture
def handler():
    calls = []

    def handle(signum, frame):
        calls.append(signum)
        raise Limit

    before = signal.signal(signal.SIGUSR1, handle)
    yield calls
    signal.signal(signal.SIGUSR1, before)


def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_handler_runs_when_the_block_ends_and_its_exception_passes(handler):
    before, steps = mask(), []
    with pytest.raises(Limit), signals.handled_after():  # noqa: PT012 - it comes at the end of the block
        signal.raise_signal(signal.SIGUSR1)
        steps.append(list(handler))
    assert steps == [[]]
    assert handler == [signal.SIGUSR1]
    assert mask() == before


def test_what_the_program_blocks_stays_blocked(handler):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        with signals.handled_after():
            signal.raise_signal(signal.SIGUSR1)
        assert handler == []
        assert signal.SIGUSR1 in mask()
    finally:
        with pytest.raises(Limit):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])


def test_a_signal_without_a_handler_is_not_held(handler):
    with signals.handled_after():
        held = mask()
    assert signal.SIGUSR1 in held
    assert signal.SIGINT in held, "Python's own handler raises KeyboardInterrupt"
    assert not {signal.SIGTERM, signal.SIGSEGV, signal.SIGCHLD} & held


def test_blocks_within_one_another(handler):
    with pytest.raises(Limit), signals.handled_after():  # noqa: PT012 - it comes at the end of the block
        with signals.handled_after():
            signal.raise_signal(signal.SIGUSR1)
        assert handler == []
    assert handler == [signal.SIGUSR1]


def test_another_thread_holds_nothing(handler):
    held = []

    def work():
        with signals.handled_after():
            held.append(mask())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert signal.SIGUSR1 not in held[0]


@pytest.fixture
def beside():
    """Another thread, which takes the signals that this one blocks."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    yield
    done.set()
    thread.join()


def come():
    """A signal of the process, which the system gives to any thread; wait until Python has noticed it."""
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.05)


def test_one_that_comes_by_way_of_another_thread_waits_too(handler, beside):
    before, steps, in_place = mask(), [], signal.getsignal(signal.SIGUSR1)
    with pytest.raises(Limit), signals.handled_after():  # noqa: PT012 - it comes at the end of the block
        come()
        come()
        steps.append(list(handler))
    assert steps == [[]]
    assert handler == [signal.SIGUSR1], "once, as a signal that is pending"
    assert (mask(), signal.getsignal(signal.SIGUSR1)) == (before, in_place)
    with pytest.raises(Limit):
        come()


def test_a_handler_that_was_set_in_the_block_stays(handler, beside):
    with signals.handled_after():
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        come()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert handler == []


def test_each_of_several_is_handled_though_all_raise(handler, beside):
    before = signal.signal(signal.SIGUSR2, signal.getsignal(signal.SIGUSR1))
    try:
        with pytest.raises(Limit), signals.handled_after():  # noqa: PT012 - it comes at the end of the block
            come()
            os.kill(os.getpid(), signal.SIGUSR2)
            time.sleep(0.05)
        with contextlib.suppress(Limit):
            mask()  # where one handler raised, Python calls the next when it looks again
        assert sorted(handler) == [signal.SIGUSR1, signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_what_is_left_in_place_passes_on(handler):
    """As where another handler raised while they were put back."""
    left = signals._StandIn({signal.SIGUSR1: signal.getsignal(signal.SIGUSR1)})
    left.begin()
    left._waits = False
    with pytest.raises(Limit):
        signal.raise_signal(signal.SIGUSR1)
    left.end()


def test_the_event_loop_s_own_handler_stays(beside):
    async def main():
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        with signals.handled_after():
            come()
        await asyncio.wait_for(came.wait(), 5)
        loop.remove_signal_handler(signal.SIGUSR1)

    asyncio.run(main())
