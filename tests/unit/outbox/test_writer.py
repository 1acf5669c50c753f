"""The active segment: one write a span, whatever the disk, the application, signals and other threads do."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest

import outboxes
from hf_openobserve.outbox import locks, segment
from hf_openobserve.outbox import store as store_module
from hf_openobserve.outbox.store import DirectoryStore
from hf_openobserve.outbox.tuning import Tuning
from stores import (
    DESTINATION,
    MIB,
    descriptors,
    files,
    mode,
    python,
    starts,
)

pytestmark = pytest.mark.matrix


def test_spans_are_on_disk_when_append_returns(open_store):
    store = open_store()
    store.append(1, b"one")
    store.append(2, b"two")
    (path,) = store.segments()
    assert outboxes.spans(path) == [(1, b"one"), (2, b"two")]
    assert outboxes.meta(path)["destination"] == DESTINATION


def test_an_empty_segment_is_kept_by_seal(open_store):
    store = open_store()
    before = store.segments()
    for _ in range(3):
        store.seal()
    assert store.segments() == before
    store.append(1, b"x")
    assert store.segments() == before


def test_a_full_segment_is_sealed(open_store, monkeypatch):
    store = open_store(segment_bytes=2000)
    for number in range(10):
        store.append(number, b"x" * 600)
    sizes = [os.path.getsize(path) for path in store.segments()]
    assert len(sizes) >= 3
    assert max(sizes) < 2000 + 700
    store.seal()
    assert starts(store) == list(range(10))


def test_a_span_larger_than_a_segment_has_one_of_its_own(open_store, monkeypatch):
    store = open_store(segment_bytes=2000)
    store.append(1, b"x" * 50_000)
    store.append(2, b"x")
    assert [claimed.records for claimed in store.claim()] == [[(1, b"x" * 50_000)]]


def test_a_segment_deleted_under_us_is_replaced(open_store):
    store = open_store()
    store.append(1, b"x")
    os.unlink(store.segments()[0])
    store.append(2, b"x")
    store.seal()
    assert starts(store) == [1, 2]


@pytest.mark.parametrize("above", [0, 1, 2])
def test_an_outbox_deleted_under_us_is_made_again(open_store, above):
    store = open_store()
    store.append(1, b"x")
    directory = Path(store.directory)
    shutil.rmtree([directory, *directory.parents][above])
    assert starts(store) == []
    store.seal()
    store.append(2, b"x")
    store.seal()
    assert starts(store) == [1, 2]
    assert mode(store.directory) == 0o700


def own_descriptor(store):
    (fd,) = store.claims.descriptors._held
    return fd


def test_a_descriptor_closed_by_the_application_is_replaced(open_store):
    store = open_store()
    store.append(1, b"x")
    os.close(own_descriptor(store))
    store.append(2, b"x")
    store.seal()
    assert starts(store) == [1, 2]


def test_a_descriptor_closed_by_the_application_does_not_hide_what_was_written(open_store):
    # As daemons do, which close everything; no further span may come, and the exit's delivery must find this one.
    store = open_store()
    store.append(1, b"x")
    os.close(own_descriptor(store))
    store.seal()
    assert starts(store) == [1]


@pytest.mark.parametrize("then", ["append", "seal", "fork", "claim"])
def test_a_descriptor_that_is_the_applications_by_now_is_left_alone(open_store, tmp_path, then):
    store = open_store()
    store.append(1, b"x")
    number = own_descriptor(store)
    theirs = os.open(str(tmp_path / "theirs"), os.O_RDWR | os.O_CREAT)
    os.dup2(theirs, number)
    os.close(theirs)
    os.write(number, b"before ")
    if then == "append":
        store.append(2, b"x")
    elif then == "seal":
        store.seal()
    elif then == "claim":
        starts(store)
    else:
        store.after_fork_in_child()
    os.write(number, b"after")
    os.close(number)
    assert (tmp_path / "theirs").read_bytes() == b"before after"
    store.append(3, b"x")
    store.seal()
    assert starts(store)[-1] == 3


LIMITED = f"""
    import os, resource, sys
    from hf_openobserve.outbox.directory import OutboxUnavailableError
    from hf_openobserve.outbox.store import DirectoryStore, open_store
    root, first, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    def append(number, size):
        try:
            store.append(number, b"x" * size)
            print(number)
        except OSError as error:
            print("failed", number)
    if first:
        limit(first)
    try:
        store = open_store(root, {DESTINATION!r}, 64 * 1024 * 1024)
    except OutboxUnavailableError as error:
        print("unavailable")
        sys.exit()
    limit(size)
"""


def test_a_span_that_does_not_fit_does_not_tear_the_next(open_store, root):
    program = LIMITED + "    append(1, 100)\n    append(2, 100_000)\n    append(3, 100)\n    append(4, 100_000)\n"
    assert python(program, root, "0", "4096") == "1\nfailed 2\n3\nfailed 4\n"
    assert starts(open_store()) == [1, 3]


def test_a_disk_that_is_full_at_the_start_is_no_outbox(root):
    assert python(LIMITED + "    append(1, 10)\n", root, "1", "1") in ("unavailable\n", "failed 1\n")


def test_a_disk_that_has_room_again_takes_spans_again(open_store, root):
    program = LIMITED + "    append(1, 100)\n    limit(100_000)\n    append(2, 100)\n"
    assert python(program, root, "30", "30") == "failed 1\n2\n"
    assert starts(open_store()) == [2]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_is_said_to_the_caller_and_leaves_no_trace(open_store, monkeypatch, error):
    store = open_store()
    store.append(1, b"x")
    write = os.write

    def failing(fd, data):
        write(fd, data[: len(data) // 2])
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing)
        with pytest.raises(OSError, match=os.strerror(error)):
            store.append(2, b"y" * 100)
    store.append(3, b"x")
    store.seal()
    assert starts(store) == [1, 3]


def test_a_process_without_a_span_leaves_no_file(open_store):
    store = open_store()
    store.leave()
    assert files(store) == []
    store.append(1, b"x")
    store.leave()
    store.seal()
    assert starts(store) == [1]


def test_a_segment_whose_descriptor_the_program_has_reused_stays(open_store, tmp_path):
    store = open_store()
    store.append(1, b"x")
    os.close(store.writer._active.held.fd)
    with open(str(tmp_path / "the programs own"), "wb") as reused:
        assert reused.fileno() == store.writer._active.held.fd
        store.leave()
        assert not reused.closed
    assert starts(open_store()) == [1]


def test_a_sender_that_looks_while_a_segment_is_made_takes_nothing_away(open_store, monkeypatch):
    writer, sender = open_store(), open_store()
    writer.append(1, b"x")
    writer.seal()
    flock, looked = locks.fcntl.flock, []

    def racing(fd, operation):
        if not looked:
            looked.append(True)
            starts(sender)
        return flock(fd, operation)

    monkeypatch.setattr(locks.fcntl, "flock", racing)
    writer.append(2, b"x")
    assert looked
    writer.append(3, b"x")
    writer.seal()
    assert starts(writer) == [2, 3]


def test_a_sender_that_holds_a_segment_while_it_is_made_does_not_stop_the_writer(open_store, monkeypatch):
    writer, sender = open_store(), open_store()
    writer.append(1, b"x")
    writer.seal()
    assert starts(writer) == [1]
    flock, claims, held = locks.fcntl.flock, [], []

    def racing(fd, operation):
        if not claims:
            claims.append(sender.claim())
            held.extend(next(claims[0], None) for _ in range(1))
        return flock(fd, operation)

    monkeypatch.setattr(locks.fcntl, "flock", racing)
    writer.append(2, b"x")
    claims[0].close()
    writer.append(3, b"x")
    writer.seal()
    assert starts(writer) == [2, 3]


def test_eight_threads_append_while_a_sender_claims(open_store):
    store = open_store()
    got, errors, stop = [], [], threading.Event()

    def append(base):
        try:
            for number in range(150):
                store.append(base + number, bytes([base % 251]) * (number * 7 % 900))
        except Exception as error:
            errors.append(error)

    def send():
        try:
            while True:
                done = stop.is_set()
                store.seal()
                got.extend(starts(store))
                if done:
                    return
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(base * 1000,)) for base in range(8)]
    sender = threading.Thread(target=send)
    for thread in (sender, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    sender.join()
    assert errors == []
    assert sorted(got) == sorted(base * 1000 + number for base in range(8) for number in range(150))


def test_eight_threads_fill_the_same_segments(open_store):
    store = open_store()
    barrier = threading.Barrier(8)

    def append(base):
        barrier.wait()
        for number in range(100):
            store.append(base + number, bytes(number))

    threads = [threading.Thread(target=append, args=(base * 1000,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    paths = store.segments()
    assert len(paths) == 2, "800 spans are more than one request"
    found = {start: payload for path in paths for start, payload in outboxes.spans(path)}
    assert found == {base * 1000 + number: bytes(number) for base in range(8) for number in range(100)}


def test_a_signal_handler_that_ends_a_span_within_an_append(open_store, monkeypatch):
    store = open_store(segment_bytes=3000)  # so that segments are opened all the time
    numbers = iter(range(1_000_000, 2_000_000))
    within = []

    def handler(*_):
        number = next(numbers)
        store.append(number, b"signal")
        within.append(number)
        # Set again each time: an interval would interrupt the handler itself, ever deeper on a busy machine. And not
        # for ever: where looking for room takes longer than that, the handlers would add files faster than it looks.
        if len(within) < 3000:
            signal.setitimer(signal.ITIMER_REAL, 0.0003)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0003)
    try:
        for number in range(3000):
            store.append(number, b"x" * 40)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert within
    store.seal()
    assert sorted(starts(store)) == [*range(3000), *sorted(within)]


@pytest.mark.parametrize("moment", ["meta_record", "span_record"])
def test_a_span_ended_by_the_garbage_collector_within_an_append(open_store, monkeypatch, moment):
    store = open_store()
    store.append(1, b"x")
    store.seal()
    real, within = getattr(segment, moment), []

    def collected(*arguments):
        if not within:
            within.append(True)
            store.append(2, b"from the collector")
        return real(*arguments)

    before = descriptors()
    monkeypatch.setattr(segment, moment, collected)
    store.append(3, b"x")
    assert within
    store.append(4, b"x")
    store.seal()
    assert sorted(starts(store)) == [1, 2, 3, 4]
    assert descriptors() <= before


OUTBOX = os.path.dirname(store_module.__file__)


def interrupted(work, at, interruption):
    """Run ``work``; at the ``at``-th line it executes of the outbox's modules, run ``interruption``.

    False if there is none.
    """
    lines = [0]

    def in_module(frame, event, _):
        if event == "line":
            lines[0] += 1
            if lines[0] == at:
                sys.settrace(None)
                interruption()
        return in_module

    def tracer(frame, event, argument):
        return in_module if os.path.dirname(frame.f_code.co_filename) == OUTBOX else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines[0] >= at


@pytest.mark.parametrize("segment_is", ["open", "sealed", "full", "deleted"])
def test_a_span_ended_at_any_line_of_an_append(tmp_path, segment_is):
    # What a signal handler or the garbage collector may do to the thread that holds the lock, at each line in turn.
    tuning = Tuning(segment_bytes=300 if segment_is == "full" else MIB)
    before, wrong, at = descriptors(), [], 1
    while True:
        store = DirectoryStore(str(tmp_path / f"{segment_is}-{at}"), DESTINATION, MIB, tuning)
        store.append(1, b"x")
        if segment_is == "sealed":
            store.seal()
        elif segment_is == "deleted":
            os.unlink(store.segments()[0])
        try:
            within = interrupted(
                lambda store=store: store.append(3, b"x" * 80), at, lambda store=store: store.append(2, b"y" * 80)
            )
            store.seal()
            found = sorted(starts(store))
        except Exception as error:
            within, found = True, error
        if within and found != ([1, 2, 3]):
            wrong.append((at, found))
        store.after_fork_in_child()
        if not within:
            break
        at += 1
    assert wrong == []
    assert at > 10
    assert descriptors() <= before
