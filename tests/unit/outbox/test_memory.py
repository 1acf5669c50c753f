"""The outbox where no disk can be written: the same promises, within a bound, until the process ends."""

from __future__ import annotations

import threading

import pytest

from hf_openobserve.outbox.memory import MemoryStore
from hf_openobserve.outbox.tuning import Tuning
from hf_openobserve.process import diagnostics


def filled(count, size=10, **options):
    store = MemoryStore(**options)
    for number in range(count):
        store.append(number, b"x" * size)
    return store


def starts(store):
    return [start for claimed in taken(store) for start, _ in claimed]


def taken(store):
    portions = []
    for claimed in store.claim():
        portions.append(claimed.records)
        claimed.delete()
    return portions


def test_spans_leave_in_the_order_they_came():
    store = filled(5)
    store.seal()
    assert starts(store) == [0, 1, 2, 3, 4]
    assert starts(store) == []


def test_an_empty_store_has_nothing_to_claim():
    assert list(MemoryStore().claim()) == []


def test_what_is_not_deleted_waits_in_its_place():
    store = filled(3)
    for claimed in store.claim():
        assert len(claimed.records) == 3
        store.append(3, b"x")
        break
    assert starts(store) == [0, 1, 2, 3]


def test_what_is_being_sent_can_be_taken_too():
    store = filled(3)
    for claimed in store.claim():
        claimed.keep(claimed.records[1:])
        assert [start for start, _ in store.take_all()] == []
        assert [start for start, _ in store.take_all(in_hand=True)] == [1, 2]
    assert starts(store) == []


def test_what_is_kept_goes_before_what_came_meanwhile():
    store = filled(3)
    for claimed in store.claim():
        store.append(3, b"x")
        claimed.keep(claimed.records[1:])
        break
    assert starts(store) == [1, 2, 3]


def test_a_claim_is_released_once():
    store = filled(2)
    for claimed in store.claim():
        claimed.release()
        claimed.release()
        break
    assert starts(store) == [0, 1]


def test_spans_of_two_claimants_are_not_claimed_twice():
    store = filled(4)
    first = store.claim()
    one = next(first)
    assert list(store.claim()) == []
    one.delete()
    assert list(first) == []
    assert starts(store) == []


def test_a_portion_is_about_one_request():
    assert [len(portion) for portion in taken(filled(7, tuning=Tuning(segment_bytes=25)))] == [3, 3, 1]


def test_what_comes_while_a_claim_is_worked_on_waits_for_the_next():
    store = filled(2)
    seen = []
    for claimed in store.claim():
        seen.append([start for start, _ in claimed.records])
        if len(seen) < 5:
            store.append(10 + len(seen), b"x")
        claimed.delete()
    assert seen == [[0, 1]]
    assert starts(store) == [11]


def test_beyond_the_bound_the_oldest_go_and_are_counted_once():
    store = filled(10, size=10, max_bytes=35)
    assert store.make_room() == 7
    assert store.make_room() == 0
    assert starts(store) == [7, 8, 9]


def test_one_span_larger_than_the_bound_is_kept():
    store = filled(2, size=100, max_bytes=35)
    assert store.make_room() == 1
    assert starts(store) == [1]


def test_what_is_put_back_counts_against_the_bound():
    store = filled(3, size=10, max_bytes=35)
    for _ in store.claim():
        for number in range(3, 6):
            store.append(number, b"x" * 10)
        break
    store.append(6, b"x" * 10)
    assert starts(store) == [4, 5, 6]
    assert store.make_room() == 4


def test_the_room_of_what_was_delivered_is_free_again():
    store = filled(3, size=10, max_bytes=35)
    taken(store)
    for number in range(3):
        store.append(10 + number, b"x" * 10)
    assert store.make_room() == 0
    assert starts(store) == [10, 11, 12]


def test_a_forked_child_starts_empty():
    store = filled(3, max_bytes=15)
    store.after_fork_in_child()
    assert starts(store) == []
    assert store.make_room() == 0
    store.append(9, b"x")
    assert starts(store) == [9]


def test_a_child_forked_while_a_thread_held_the_lock_is_not_stuck():
    store = filled(1)
    held, release = threading.Event(), threading.Event()

    def hold():
        with store.lock:
            held.set()
            release.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    store.after_fork_in_child()
    store.append(1, b"x")
    release.set()
    thread.join()
    assert starts(store) == [1]


def test_a_refused_span_has_nowhere_to_be_kept():
    store = MemoryStore()
    with pytest.raises(OSError, match="no outbox on disk"):
        store.set_aside((1, b"x"))
    assert starts(store) == []


def test_what_is_dropped_is_a_loss():
    store = filled(10, size=10, max_bytes=35)
    store.make_room()
    assert store.counters.untold() == ({"evicted": 7}, 0, 6)


def test_all_can_be_taken_at_once():
    store = filled(3)
    assert [start for start, _ in store.take_all()] == [0, 1, 2]
    assert starts(store) == []


def test_appending_within_an_append_is_possible():
    # The garbage collector may end a span on a thread that holds the lock.
    store = MemoryStore()
    with store.lock:
        store.append(1, b"x")
    assert starts(store) == [1]


def test_many_threads_lose_nothing():
    store = MemoryStore()
    got = []
    stop = threading.Event()

    def append(base):
        for number in range(500):
            store.append(base + number, b"x")

    def claim():
        while True:
            done = stop.is_set()  # before claiming: what came before it must be seen
            got.extend(starts(store))
            if done:
                return

    threads = [threading.Thread(target=append, args=(base * 1000,)) for base in range(8)]
    claimant = threading.Thread(target=claim)
    claimant.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    claimant.join()
    assert sorted(got) == sorted(base * 1000 + number for base in range(8) for number in range(500))


def test_threads_whose_disk_fails_at_once_lose_no_span(monkeypatch):
    # The processor falls back to memory when the disk stops taking spans: for the first thread, and for the others.
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve import privacy
    from hf_openobserve.pipeline.processor import RecordingProcessor

    barrier = threading.Barrier(8)

    class FullDisk:
        def append(self, start_unix_nano, payload):
            barrier.wait(10)
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    policy = privacy.build_policy(capture_content=True, environ={})
    processor = RecordingProcessor(FullDisk(), None, policy, 1.0)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("t")
    threads = [threading.Thread(target=lambda: tracer.start_span("x").end()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starts(processor.memory)) == 8
