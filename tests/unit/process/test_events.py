"""The event between the application's threads and the sender's."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from hf_openobserve.process.events import Event, is_native

pytestmark = pytest.mark.matrix
LONG_S = 30


@pytest.fixture
def event():
    return Event(threading.Lock)


def test_it_is_set_and_unset(event):
    assert event.is_set() is False
    assert event.wait(0) is False
    event.set()
    assert event.is_set() is True
    assert event.wait(LONG_S) is True
    event.clear()
    assert event.is_set() is False
    assert event.wait(0.01) is False


def test_a_negative_timeout_is_none_at_all(event):
    assert event.wait(-1) is False


def test_all_that_wait_are_woken(event):
    woken = []
    threads = [threading.Thread(target=lambda: woken.append(event.wait(LONG_S)), daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LONG_S
    while len(event._waiters) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    event.set()
    event.clear()  # who was woken has been, though it is unset by the time he looks
    for thread in threads:
        thread.join(LONG_S)
    assert woken == [True] * 5
    assert not event._waiters


def test_who_gave_up_is_not_woken_later(event):
    assert event.wait(0.01) is False
    assert not event._waiters
    event.set()
    assert event.wait(0) is True


def test_a_set_between_the_look_and_the_queue_is_not_missed():
    class Racing:
        def __init__(self):
            event.set()  # while the waiter makes its lock
            self.lock = threading.Lock()

        def acquire(self, *arguments):
            return self.lock.acquire(*arguments)

        def release(self):
            self.lock.release()

    event = Event(Racing)
    assert event.wait(LONG_S) is True


def test_set_within_set():
    """As when the garbage collector ends a span while one is being woken for another."""

    class Lock:
        def __init__(self):
            self.released = 0

        def acquire(self, *_):
            return True

        def release(self):
            self.released += 1
            if self.released == 1:
                event.set()

    event = Event(Lock)
    locks = [Lock(), Lock()]
    event._waiters.extend(locks)
    event.set()
    assert [lock.released for lock in locks] == [1, 1]


def test_sets_by_many_threads_and_by_the_garbage_collector(event):
    class Ends:
        def __init__(self):
            self.itself = self  # for the collector alone

        def __del__(self):
            event.set()

    over = []

    def work():
        while not over:
            Ends()
            event.set()
            event.clear()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    waited = 0
    threshold = gc.get_threshold()
    gc.set_threshold(20)
    try:
        for _ in range(300):
            event.wait(0.001)
            waited += 1
    finally:
        gc.set_threshold(*threshold)
        over.append(True)
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert waited == 300
    assert not event._waiters


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock], ids=["lock", "rlock"])
def test_the_interpreters_locks_are_native(make):
    assert is_native(make()) is True


def test_a_lock_written_in_python_is_not():
    assert is_native(threading._PyRLock()) is False
