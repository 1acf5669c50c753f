"""The bound of an outbox, kept by all its processes together."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import outboxes
from hf_openobserve.outbox import counters, locks, places
from hf_openobserve.process import diagnostics
from stores import (
    MIB,
    filled,
    size_of,
    starts,
)

pytestmark = pytest.mark.matrix


def test_room_is_made_by_the_oldest(open_store, root):
    store = filled(open_store, 10)
    store.room.max_bytes = 5500
    assert store.make_room() == 7, "a little more than needed"
    assert size_of(root) <= 5500
    assert store.make_room() == 0
    assert starts(store) == [7, 8, 9]


def test_what_another_process_drops_meanwhile_is_not_dropped_twice(open_store, monkeypatch):
    store, other = filled(open_store, 10), open_store()
    store.room.max_bytes = other.room.max_bytes = 5500
    listed = store.room._files()
    assert other.make_room() == 7
    monkeypatch.setattr(store.room, "_files", lambda: list(listed))
    assert store.make_room() == 0
    assert starts(store) == [7, 8, 9]


def test_what_is_dropped_is_counted_where_it_belongs(open_store):
    other = filled(open_store, 3, destination="other")
    store = filled(open_store, 10, max_bytes=5500)
    store.set_aside((99, b"x" * 4000))
    store.make_room()
    assert outboxes.counts(other.directory)["evicted"] == 3
    assert outboxes.counts(store.directory)["evicted"] == 10
    assert store.counters.untold() == ({"evicted": 10}, 1, 9), "the one that was set aside is not lost a second time"


def test_what_is_dropped_is_counted_though_another_process_counts_just_then(open_store):
    other = filled(open_store, 3, destination="other")
    store = open_store(max_bytes=2500)
    with open(os.path.join(other.directory, counters.FILE_NAME), "wb") as busy:
        locks.fcntl.flock(busy, locks.fcntl.LOCK_EX)
        assert store.make_room() >= 1
    assert outboxes.counts(other.directory)["evicted"] == 0
    store.make_room()
    assert outboxes.counts(other.directory)["evicted"] >= 1


def test_the_bound_holds_while_many_processes_write(open_store, root):
    """Each by itself and at its own pace, as programs without a server do: nobody sends or closes for others."""
    bound = 4 * MIB
    writers = [open_store(max_bytes=bound) for _ in range(24)]
    largest = 0
    for number in range(24 * 400):
        quick = number % 24 if number % 3 else number % 2
        writers[quick].append(number, b"x" * 1000)
        if number % 20 == 0:
            largest = max(largest, size_of(root))
    assert bound / 2 < largest <= bound


def test_nothing_is_dropped_because_many_processes_write(open_store, root):
    writers = [open_store() for _ in range(40)]
    for number, store in enumerate(writers):
        store.append(number, b"x" * 1000)
        if number % 2:
            store.seal()
    assert [store.make_room() for store in writers] == [0] * 40
    assert sorted(starts(writers[0])) == list(range(1, 40, 2))


def test_nothing_is_dropped_because_much_is_being_sent(open_store):
    store = filled(open_store, 100)
    held = []
    for claimed in store.claim():
        claimed.held = True
        held.append(claimed)
        if len(held) == 32:
            break
    assert open_store().make_room() == 0
    for claimed in held:
        claimed.release()
    assert len(starts(store)) == 100


def test_what_a_process_writes_itself_goes_where_others_hold_the_rest(open_store, root):
    others = [open_store(max_bytes=100_000) for _ in range(4)]
    for number, other in enumerate(others):
        for _ in range(20):
            other.append(number, b"x" * 1000)
    mine = open_store(max_bytes=100_000)
    for number in range(100):
        mine.append(100 + number, b"x" * 1000)
        assert size_of(root) <= 100_000
    assert outboxes.counts(mine.directory)["evicted"] > 50


def test_a_span_that_leaves_no_room_for_others_is_left_out(open_store, capfd, monkeypatch):
    monkeypatch.setattr(diagnostics, "_said", {})
    store = filled(open_store, 20, max_bytes=MIB)
    store.append(99, b"x" * (MIB // 2 + 1))
    store.append(100, b"x" * (MIB // 2))
    store.seal()
    assert (starts(store)[-1], outboxes.counts(store.directory)["evicted"]) == (100, 1)
    (line,) = capfd.readouterr().err.splitlines()
    assert "OPENOBSERVE_HF_OUTBOX_MAX_MB" in line


def test_segments_of_a_small_outbox_are_small(open_store):
    store = open_store(max_bytes=1024 * 1024)
    for number in range(80):
        store.append(number, b"x" * 1000)
    assert len(store.segments()) == 2


def test_what_cannot_be_dropped_for_room_is_not_taken_for_delivered(open_store, monkeypatch):
    store = filled(open_store, 3)

    def read_only(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        store.room.max_bytes = 1000
        assert store.make_room() == 0
    store.room.max_bytes = MIB
    assert starts(store) == [0, 1, 2]


def test_a_look_is_rare_where_many_left_little(open_store, root, monkeypatch):
    for _ in range(200):
        filled(open_store, 1, size=10)
    looks = []
    store = open_store()
    listed = store.room._files
    monkeypatch.setattr(store.room, "_files", lambda: looks.append(1) or listed())
    for number in range(100):
        store.append(number, b"x" * 4000)
    assert len(looks) == 1


def test_a_small_outbox_is_left_alone(open_store):
    store = filled(open_store, 3)
    assert store.make_room() == 0
    assert starts(store) == [0, 1, 2]


def test_the_bound_is_that_of_all_destinations_and_of_what_was_set_aside(open_store, root):
    other = filled(open_store, 3, destination="other")
    store = open_store(max_bytes=3000)
    for number in range(3):
        store.set_aside((number, b"x" * 1000))
    assert store.make_room() == 3, "what was set aside is not lost a second time"
    assert size_of(root) <= 3000
    assert starts(other) == []


def test_what_another_process_works_on_is_not_deleted(open_store):
    store = filled(open_store, 3)
    claims = store.claim()
    held = next(claims)
    assert open_store(max_bytes=0).make_room() == 2
    assert held.records == [(0, b"x" * 1000)]
    claims.close()
    assert starts(store) == [0]


def test_active_segments_are_not_deleted(open_store):
    one, two = open_store(), open_store()
    one.append(1, b"x" * 1000)
    two.room.max_bytes = 1000
    assert two.make_room() == 0
    one.seal()
    assert starts(two) == [1]


def test_what_a_process_left_half_written_counts_as_well(open_store, root):
    store = open_store(max_bytes=5000)
    leftover = Path(store.directory) / "00000000000000000001-1-abcdef01.seg.tmp"
    leftover.write_bytes(b"x" * 10_000)
    os.utime(str(leftover), (1, 1))
    store.append(1, b"x")
    store.make_room()
    assert size_of(root) <= 5000
    store.seal()
    assert starts(store) == [1]


def test_other_programs_files_in_a_shared_directory_are_neither_counted_nor_deleted(tmp_path, open_store):
    # OPENOBSERVE_HF_OUTBOX_DIR=/data: what lies there under such a name may be somebody's database.
    shared = tmp_path / "shared"
    theirs = [
        shared / name for name in ("0000.seg", "database/0001.seg", "database/rejected/0002.seg", "x/y/3.seg.tmp")
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"precious" * 1000)
    store = filled(open_store, 6, directory=str(shared))
    store.room.max_bytes = 6000
    assert store.make_room() == 2
    assert [path for path in theirs if not path.exists()] == []
    assert starts(store) == [2, 3, 4, 5]


def test_trouble_with_making_room_is_not_a_span_that_was_not_written(open_store, monkeypatch):
    store = open_store(segment_bytes=1000)

    def denied(*_):
        raise PermissionError(errno.EACCES, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(store, "make_room", denied)
        store.append(1, b"x" * 2000)
    assert starts(store) == [1]


def test_an_outbox_that_nobody_sends_from_keeps_its_bound(open_store, root, monkeypatch):
    # The embedded default: no server is configured, and there is no sender.
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve import privacy
    from hf_openobserve.pipeline.processor import RecordingProcessor

    store = open_store(destination="local", max_bytes=100_000, segment_bytes=20_000)
    policy = privacy.build_policy(capture_content=True, environ={})
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RecordingProcessor(store, None, policy, 1.0))
    tracer = provider.get_tracer("t")
    for _ in range(300):
        tracer.start_span("x", attributes={"text": "lorem ipsum " * 100}).end()
    assert size_of(root) <= 100_000 + 2 * 20_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's directories")
def test_as_many_directories_as_another_user_likes_do_not_hold_up_a_span(open_store, root, monkeypatch):
    store = open_store()
    for number in range(500):
        path = os.path.join(root, f"{number:016x}")
        os.mkdir(path)
        os.chown(path, 61002, 61002)
    looked = []

    def destinations(outbox, owners, within_s):
        looked.append(within_s)
        return of_all(outbox, owners, 0.0)

    of_all = places.destinations
    _, refused = of_all(places.outbox(root), (os.geteuid(),), 0.0)
    assert len(refused) < 10, "no longer than it may"
    monkeypatch.setattr(places, "destinations", destinations)
    assert store.make_room() == 0
    store.append(1, b"x" * 1000)
    store.seal()
    store.room.max_bytes = 900
    assert store.make_room() == 1, "its own it finds in any case"
    assert set(looked) == {0.05}
