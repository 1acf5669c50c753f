"""The outbox directory with real files, real locks and real processes: who holds what, and what survives."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from hf_openobserve import diagnostics
from hf_openobserve.outbox import counters, segment
from hf_openobserve.outbox import store as store_module
from hf_openobserve.outbox.store import DirectoryStore, OutboxUnavailableError

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(store_module.fcntl is None, reason="no kernel file locks on this platform"),
]

AGENT = Path(store_module.__file__).resolve().parents[2]
DESTINATION = "openobserve https://o2.example.com/api/default/v1/traces stream=default"
MIB = 1024 * 1024


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "state" / "outbox")


@pytest.fixture
def open_store(root):
    """``open_store()``: a store as each process has one. Its descriptors are closed at the end."""
    stores = []

    def build(directory=root, destination=DESTINATION, max_bytes=64 * MIB):
        stores.append(DirectoryStore(directory, destination, max_bytes))
        return stores[-1]

    yield build
    for store in stores:
        store.after_fork_in_child()


def starts(store):
    """The starts of all spans that can be claimed; they are delivered."""
    found = []
    for claimed in store.claim():
        found.extend(start for start, _ in claimed.records)
        claimed.delete()
    return found


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def descriptors():
    return len(os.listdir("/dev/fd"))


def files(store):
    return sorted(os.listdir(store.directory))


def python(program, *arguments):
    """A process that has run ``program``; its arguments are ``sys.argv[1:]``."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env={**os.environ, "PYTHONPATH": str(AGENT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


OTHER_PROCESS = f"""
    import sys
    from hf_openobserve.outbox.store import DirectoryStore
    store = DirectoryStore(sys.argv[1], {DESTINATION!r}, 64 * 1024 * 1024)
    for claimed in store.claim():
        for start, _ in claimed.records:
            print(start)
        claimed.delete()
"""


def claimed_by_another_process(root):
    return sorted(map(int, python(OTHER_PROCESS, root).split()))


# The way of a span.


def test_spans_are_on_disk_when_append_returns(open_store):
    store = open_store()
    store.append(1, b"one")
    store.append(2, b"two")
    (path,) = store.segments()
    assert list(segment.iter_records(path)) == [(1, b"one"), (2, b"two")]
    assert segment.read_meta(path)["destination"] == DESTINATION


def test_sealed_claimed_delivered_gone(open_store):
    store = open_store()
    store.append(1, b"one")
    assert starts(store) == []
    store.seal()
    (claimed,) = [(claimed, claimed.records) for claimed in store.claim()]
    assert claimed[1] == [(1, b"one")]
    assert starts(store) == [1]
    assert store.segments() == []


def test_what_is_not_deleted_can_be_claimed_again(open_store):
    store = open_store()
    store.append(1, b"x")
    store.seal()
    for _ in range(3):
        assert [claimed.records for claimed in store.claim()] == [[(1, b"x")]]
    for _ in store.claim():
        break
    assert starts(store) == [1]


def test_segments_are_claimed_oldest_first(open_store):
    one, two = open_store(), open_store()
    for number in range(1, 7):
        store = (one, two)[(number - 1) % 2]
        store.append(number, b"x")
        store.seal()
    assert starts(open_store()) == [1, 2, 3, 4, 5, 6]


def test_an_empty_segment_is_kept_by_seal(open_store):
    store = open_store()
    before = store.segments()
    for _ in range(3):
        store.seal()
    assert store.segments() == before
    store.append(1, b"x")
    assert store.segments() == before


def test_empty_segments_of_dead_processes_are_removed(open_store):
    for _ in range(3):
        open_store().after_fork_in_child()  # closes what it holds, as the end of a process does
    store = open_store()
    assert len(store.segments()) == 4
    assert [claimed.records for claimed in store.claim() if claimed.records] == []
    assert len(store.segments()) == 1
    store.append(1, b"x")
    store.seal()
    assert starts(store) == [1]


def test_a_full_segment_is_sealed(open_store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 2000)
    store = open_store()
    for number in range(10):
        store.append(number, b"x" * 600)
    sizes = [os.path.getsize(path) for path in store.segments()]
    assert len(sizes) >= 3
    assert max(sizes) < 2000 + 700
    store.seal()
    assert starts(store) == list(range(10))


def test_a_span_larger_than_a_segment_has_one_of_its_own(open_store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 2000)
    store = open_store()
    store.append(1, b"x" * 50_000)
    store.append(2, b"x")
    assert [claimed.records for claimed in store.claim()] == [[(1, b"x" * 50_000)]]


def test_what_is_kept_stays_the_oldest_and_locked(open_store):
    store, other = open_store(), open_store()
    for number in range(3):
        store.append(number, b"x")
    store.seal()
    store.append(9, b"x")
    store.seal()
    claims = store.claim()
    first = next(claims)
    first.keep(first.records[1:])
    assert [claimed.records for claimed in other.claim()] == [[(9, b"x")]], "what is kept is still claimed"
    claims.close()
    assert starts(other) == [1, 2, 9]
    first.delete()


def test_a_claim_that_is_held_is_released_by_its_holder(open_store):
    store, other = open_store(), open_store()
    for number in range(2):
        store.append(number, b"x")
        store.seal()
    held = []
    for claimed in store.claim():
        claimed.held = True
        held.append(claimed)
    assert starts(other) == []
    for claimed in held:
        claimed.release()
    assert starts(other) == [0, 1]


def test_keep_replaces_the_segment_by_what_is_left(open_store):
    store = open_store()
    for number in range(4):
        store.append(number, b"x")
    store.seal()
    for claimed in store.claim():
        claimed.keep(claimed.records[2:])
    assert starts(store) == [2, 3]
    assert store.segments() == []


@pytest.mark.parametrize(("kept", "left"), [(0, []), (2, [0, 1])])
def test_keep_nothing_or_everything(open_store, kept, left):
    store = open_store()
    for number in range(2):
        store.append(number, b"x")
    store.seal()
    for claimed in store.claim():
        claimed.keep(claimed.records[:kept])
    assert starts(store) == left


def test_a_refused_span_is_set_aside_and_not_sent_again(open_store):
    store = open_store()
    store.set_aside((7, b"guilty"))
    assert starts(store) == []
    rejected = Path(store.directory) / store_module.REJECTED
    (path,) = rejected.iterdir()
    assert list(segment.iter_records(str(path))) == [(7, b"guilty")]
    assert (mode(rejected), mode(path)) == (0o700, 0o600)


def test_destinations_stay_apart(open_store, root):
    one, two = open_store(), open_store(destination="openobserve https://other.example.com stream=default")
    local = open_store(destination="local")
    for number, store in enumerate((one, two, local)):
        store.append(number, b"x")
        store.seal()
    assert [starts(store) for store in (one, two, local)] == [[0], [1], [2]]
    assert os.path.basename(local.directory) == "local"
    names = sorted(os.listdir(root))
    assert len(names) == 3
    assert all(name == "local" or (len(name) == 16 and int(name, 16) >= 0) for name in names)


# Damage.


def test_a_torn_last_record_costs_itself_alone(open_store):
    store = open_store()
    store.append(1, b"whole")
    store.seal()
    (path,) = store.segments()
    with open(path, "ab") as file:
        file.write(segment.span_record(2, b"torn" * 10)[:-3])
    assert starts(store) == [1]


def test_garbage_in_the_middle_costs_nothing(open_store):
    store = open_store()
    store.append(1, b"one")
    with open(store.segments()[0], "ab") as file:
        file.write(b"\x00garbage" * 100)
    store.append(2, b"two")
    store.seal()
    assert starts(store) == [1, 2]


def test_files_that_are_no_segments_are_left_alone(open_store):
    store = open_store()
    directory = Path(store.directory)
    (directory / "notes.txt").write_text("mine")
    (directory / "empty.seg").write_text("")
    (directory / "folder.seg").mkdir()
    (directory / "dangling.seg").symlink_to(directory / "nowhere")
    store.append(1, b"x")
    store.seal()
    assert starts(store) == [1]
    assert (directory / "notes.txt").read_text() == "mine"


def test_a_link_is_not_followed(open_store, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(segment.span_record(9, b"planted"))
    store = open_store()
    (Path(store.directory) / "00000000000000000000-1-planted.seg").symlink_to(outside)
    assert starts(store) == []
    assert outside.exists()


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
    (fd,) = store._descriptors
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


# The disk.


LIMITED = f"""
    import os, resource, sys
    from hf_openobserve.outbox.store import DirectoryStore, OutboxUnavailableError, open_store
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


def test_what_cannot_be_kept_is_not_lost(open_store, monkeypatch):
    store = open_store()
    for number in range(3):
        store.append(number, b"x")
    store.seal()

    def no_space(*_):
        raise OSError(errno.ENOSPC, "no space")

    for claimed in store.claim():
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", no_space)
            with contextlib.suppress(OSError):
                claimed.keep(claimed.records[1:])
    assert starts(store)[-2:] == [1, 2]
    assert [name for name in files(store) if name.endswith(".tmp")] == []


def size_of(root):
    """Of the segments; the counters are one small file in each directory."""
    sizes = [
        os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(root) for name in names if ".seg" in name
    ]
    return sum(sizes)


def filled(open_store, count, size=1000, **options):
    store = open_store(**options)
    for number in range(count):
        store.append(number, b"x" * size)
        store.seal()
    return store


def test_room_is_made_by_the_oldest(open_store, root):
    store = filled(open_store, 10)
    store.max_bytes = 5500
    assert store.make_room() == 7, "a little more than needed"
    assert size_of(root) <= 5500
    assert store.make_room() == 0
    assert starts(store) == [7, 8, 9]


def test_what_another_process_drops_meanwhile_is_not_dropped_twice(open_store, monkeypatch):
    store, other = filled(open_store, 10), open_store()
    store.max_bytes = other.max_bytes = 5500
    listed = store_module._files(store.root)
    assert other.make_room() == 7
    monkeypatch.setattr(store_module, "_files", lambda _: list(listed))
    assert store.make_room() == 0
    assert starts(store) == [7, 8, 9]


def test_what_is_dropped_is_counted_where_it_belongs(open_store):
    other = filled(open_store, 3, destination="other")
    store = filled(open_store, 10, max_bytes=5500)
    store.set_aside((99, b"x" * 4000))
    store.make_room()
    assert counters.read(other.directory)["evicted"] == 3
    assert counters.read(store.directory)["evicted"] == 10
    assert store.counters.untold() == ({"evicted": 10}, 1, 9), "the one that was set aside is not lost a second time"


def test_what_is_dropped_is_counted_though_another_process_counts_just_then(open_store):
    other = filled(open_store, 3, destination="other")
    store = open_store(max_bytes=2500)
    with open(os.path.join(other.directory, counters.FILE_NAME), "wb") as busy:
        store_module.fcntl.flock(busy, store_module.fcntl.LOCK_EX)
        assert store.make_room() >= 1
    assert counters.read(other.directory)["evicted"] == 0
    store.make_room()
    assert counters.read(other.directory)["evicted"] >= 1


def test_the_bound_holds_while_many_processes_write(open_store, root):
    """Each by itself and at its own pace, as programs without a server do: nobody sends, and nobody closes for others."""
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
    assert counters.read(mine.directory)["evicted"] > 50


def test_a_span_that_leaves_no_room_for_others_is_left_out(open_store, capfd, monkeypatch):
    monkeypatch.setattr(diagnostics, "_said", {})
    store = filled(open_store, 20, max_bytes=MIB)
    store.append(99, b"x" * (MIB // 2 + 1))
    store.append(100, b"x" * (MIB // 2))
    store.seal()
    assert (starts(store)[-1], counters.read(store.directory)["evicted"]) == (100, 1)
    (line,) = capfd.readouterr().err.splitlines()
    assert "OPENOBSERVE_HF_OUTBOX_MAX_MB" in line


def test_segments_of_a_small_outbox_are_small(open_store):
    store = open_store(max_bytes=1024 * 1024)
    for number in range(80):
        store.append(number, b"x" * 1000)
    assert len(store.segments()) == 2


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
    os.close(store._active.fd)
    with open(str(tmp_path / "the programs own"), "wb") as reused:
        assert reused.fileno() == store._active.fd
        store.leave()
        assert not reused.closed
    assert starts(open_store()) == [1]


def test_where_locks_keep_nobody_out_no_file_stays_behind(root, monkeypatch):
    monkeypatch.setattr(store_module.fcntl, "flock", lambda *_: None)
    before = descriptors()
    with pytest.raises(OutboxUnavailableError):
        DirectoryStore(root, DESTINATION, MIB)
    assert [name for _, _, names in os.walk(root) for name in names] == []
    assert descriptors() == before


def test_what_cannot_be_dropped_for_room_is_not_taken_for_delivered(open_store, monkeypatch):
    store = filled(open_store, 3)

    def read_only(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        store.max_bytes = 1000
        assert store.make_room() == 0
    store.max_bytes = MIB
    assert starts(store) == [0, 1, 2]


def test_a_look_is_rare_where_many_left_little(open_store, root, monkeypatch):
    for _ in range(200):
        filled(open_store, 1, size=10)
    looks = []
    listed = store_module._files
    monkeypatch.setattr(store_module, "_files", lambda root: looks.append(root) or listed(root))
    store = open_store()
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
    two.max_bytes = 1000
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
    store.max_bytes = 6000
    assert store.make_room() == 2
    assert [path for path in theirs if not path.exists()] == []
    assert starts(store) == [2, 3, 4, 5]


def test_trouble_with_making_room_is_not_a_span_that_was_not_written(open_store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 1000)
    store = open_store()

    def denied(*_):
        raise PermissionError(errno.EACCES, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(store, "make_room", denied)
        store.append(1, b"x" * 2000)
    assert starts(store) == [1]


def test_a_segment_of_a_later_format_is_left_for_who_can_read_it(open_store):
    # During an upgrade old and new processes share the outbox.
    store = open_store()
    path = Path(store.directory) / "00000000000000000001-1-abcdef01.seg"
    meta = b'{"version": 2, "destination": "tests"}'
    path.write_bytes(segment.frame(segment.META_MARKER, 0, meta) + b"\xf5HFz" + b"what version 2 may hold" * 20)
    assert starts(store) == []
    assert path.exists()


def test_an_outbox_that_nobody_sends_from_keeps_its_bound(open_store, root, monkeypatch):
    # The embedded default: no server is configured, and there is no sender.
    from opentelemetry.sdk.trace import TracerProvider

    from hf_openobserve import privacy
    from hf_openobserve.processor import RecordingProcessor

    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 20_000)
    store = open_store(destination="local", max_bytes=100_000)
    policy = privacy.build_policy(capture_content=True, environ={})
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RecordingProcessor(store, None, policy, 1.0))
    tracer = provider.get_tracer("t")
    for _ in range(300):
        tracer.start_span("x", attributes={"text": "lorem ipsum " * 100}).end()
    assert size_of(root) <= 100_000 + 2 * 20_000


# Directories.


def test_everything_is_private_whatever_the_umask(root, open_store):
    before = os.umask(0)
    try:
        store = open_store()
        store.append(1, b"x")
    finally:
        os.umask(before)
    assert [mode(path) for path in (root, store.directory, store.segments()[0])] == [0o700, 0o700, 0o600]


def test_a_directory_of_spans_that_others_could_read_is_made_private(root, open_store):
    directory = open_store().directory
    os.chmod(directory, 0o755)
    open_store()
    assert mode(directory) == 0o700


@pytest.mark.parametrize("shared", [0o1777, 0o755, 0o770], ids=oct)
def test_a_shared_directory_that_the_user_names_stays_shared(tmp_path, open_store, shared):
    # OPENOBSERVE_HF_OUTBOX_DIR=/tmp in a container that runs as root: a /tmp of 0700 breaks every other user in it.
    named = tmp_path / "named"
    named.mkdir()
    named.chmod(shared)
    store = open_store(str(named))
    store.append(1, b"x")
    assert mode(named) == shared
    assert mode(store.directory) == 0o700


def pretend_owner(monkeypatch, path, owner):
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def pretended(at, *args, real=real, **kwargs):
            status = real(at, *args, **kwargs)
            if isinstance(at, int) or os.path.abspath(os.fspath(at)) != os.path.abspath(path):
                return status
            fields = list(status)[:10]
            fields[4] = owner
            return os.stat_result(fields)

        monkeypatch.setattr(os, name, pretended)


@pytest.mark.parametrize("which", ["root", "destination"])
def test_a_directory_of_another_user_is_refused(monkeypatch, open_store, root, which):
    theirs = open_store().directory if which == "destination" else root
    os.makedirs(theirs, exist_ok=True)
    pretend_owner(monkeypatch, theirs, os.getuid() + 1)
    with pytest.raises(OutboxUnavailableError, match="another user"):
        open_store()
    with pytest.raises(OutboxUnavailableError, match="another user"):
        store_module.open_store(root, DESTINATION, MIB)


def test_a_temporary_place_within_another_users_directory_is_refused(monkeypatch, tmp_path):
    # /tmp/hf-openobserve-<uid> can be made by anybody beforehand: its owner could swap what we put into it.
    monkeypatch.setattr(store_module.tempfile, "gettempdir", lambda: str(tmp_path))
    temporary = store_module.temporary_root()
    between = os.path.dirname(temporary)
    os.makedirs(between)
    os.chmod(between, 0o777)
    pretend_owner(monkeypatch, between, os.getuid() + 1)
    monkeypatch.setattr(store_module, "default_root", _no_home)
    with pytest.raises(OutboxUnavailableError):
        store_module.open_store(None, DESTINATION, MIB).after_fork_in_child()


def _no_home():
    raise OutboxUnavailableError("there is no home directory")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(store_module.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, "{tmp}/home/.local/state/hf-openobserve/outbox"),
        ("", "{tmp}/home/.local/state/hf-openobserve/outbox"),
        ("{tmp}/state", "{tmp}/state/hf-openobserve/outbox"),
        # The XDG rules: a relative path is to be ignored.
        ("relative", "{tmp}/home/.local/state/hf-openobserve/outbox"),
    ],
)
def test_the_default_place(home, monkeypatch, state, expected):
    if state is not None:
        monkeypatch.setenv("XDG_STATE_HOME", state.format(tmp=home))
    assert store_module.default_root() == expected.format(tmp=home)


@pytest.mark.parametrize("where", ["nowhere", "relative"])
def test_no_home_is_no_default_place(home, monkeypatch, where):
    monkeypatch.setenv("HOME", str(home / "nowhere") if where == "nowhere" else "relative")
    with pytest.raises(OutboxUnavailableError):
        store_module.default_root()


def test_every_process_of_a_user_has_the_same_temporary_place(home):
    assert store_module.temporary_root() == store_module.temporary_root()
    assert str(os.getuid()) in store_module.temporary_root()


def opened(explicit=None):
    store = store_module.open_store(explicit, DESTINATION, MIB)
    store.append(1, b"x")
    store.after_fork_in_child()
    return store.root


def test_where_the_outbox_is_opened(home):
    assert opened() == store_module.default_root()
    assert opened(str(home / "mine")) == str(home / "mine")


def test_the_temporary_place_is_the_second_choice(home):
    (home / "home" / ".local").write_text("a file in the way")
    assert opened() == store_module.temporary_root()


def test_an_outbox_the_user_chose_has_no_second_choice(home):
    (home / "file").write_text("")
    with pytest.raises(OutboxUnavailableError, match="file"):
        opened(str(home / "file" / "outbox"))
    assert not os.path.exists(store_module.default_root())


def test_nowhere_to_write_says_every_reason(home):
    (home / "home" / ".local").write_text("")
    (home / "tmp").rmdir()
    (home / "tmp").write_text("")
    with pytest.raises(OutboxUnavailableError) as raised:
        opened()
    assert ".local" in str(raised.value)
    assert str(home / "tmp") in str(raised.value)


def test_without_kernel_locks_there_is_no_outbox_on_disk(root, monkeypatch):
    monkeypatch.setattr(store_module, "fcntl", None)
    with pytest.raises(OutboxUnavailableError, match="lock"):
        DirectoryStore(root, DESTINATION, MIB)


def test_a_file_system_without_locks_is_no_outbox(root, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(store_module.fcntl, "flock", no_locks)
    with pytest.raises(OSError, match="no locks"):
        DirectoryStore(root, DESTINATION, MIB)
    assert [names for _, _, names in os.walk(root) if names] == []


# Processes.


def test_an_active_segment_is_its_writers_until_it_is_killed(open_store, root):
    program = f"""
        import sys, time
        from hf_openobserve.outbox.store import DirectoryStore
        store = DirectoryStore(sys.argv[1], {DESTINATION!r}, 64 * 1024 * 1024)
        store.append(1, b"x")
        store.append(2, b"x")
        print("ready", flush=True)
        time.sleep(60)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), root],
        env={**os.environ, "PYTHONPATH": str(AGENT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert writer.stdout.readline() == b"ready\n"
        store = open_store(max_bytes=0)
        assert starts(store) == []
        assert store.make_room() == 0
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()
    assert starts(store) == [1, 2]


def test_four_processes_deliver_everything_once(open_store, root):
    store = open_store()
    for number in range(60):
        store.append(number, b"x")
        store.seal()
    program = OTHER_PROCESS.replace("    for claimed", "    sys.stdin.read(1)\n    for claimed")
    env = {**os.environ, "PYTHONPATH": str(AGENT)}
    command = [sys.executable, "-c", textwrap.dedent(program), root]
    senders = [
        subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for sender in senders:
        sender.stdin.write("x")
        sender.stdin.flush()
    outputs = [sender.communicate(timeout=60)[0] for sender in senders]
    assert sorted(int(start) for output in outputs for start in output.split()) == list(range(60))
    assert starts(store) == []


FORKING = f"""
    import os, sys
    from hf_openobserve.outbox.store import DirectoryStore
    store = DirectoryStore(sys.argv[1], {DESTINATION!r}, 64 * 1024 * 1024)
    def starts(close=True):
        found = []
        for claimed in store.claim():
            found += [start for start, _ in claimed.records]
            if close:
                claimed.delete()
        return found
    def in_child(work):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                store.after_fork_in_child()
                work()
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_child_lets_go_of_the_parents_segment_and_does_not_free_it(root, open_store):
    program = (
        FORKING
        + """
    store.append(1, b"parent")
    def work():
        print("claimable in the child:", starts())
        store.append(2, b"child")
    in_child(work)
    store.append(3, b"parent")
    other = DirectoryStore(store.root, store.destination, store.max_bytes)
    print("claimable by another:", [start for claimed in other.claim() for start, _ in claimed.records])
    store.seal()
    print("all:", sorted(starts()))
    """
    )
    assert python(program, root).splitlines() == [
        "claimable in the child: []",
        "claimable by another: [2]",
        "all: [1, 2, 3]",
    ]
    assert starts(open_store()) == []


def test_a_child_does_not_keep_a_dead_parents_segment(root, open_store):
    program = (
        FORKING
        + """
    store.append(1, b"parent")
    read, write = os.pipe()
    if os.fork() == 0:
        store.after_fork_in_child()
        os.close(1), os.close(2)
        os.close(write)
        os.read(read, 1)
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(2)"])
    """
    )
    python(program, root)
    assert starts(open_store()) == [1]


def test_a_claim_held_over_a_fork_closes_nothing_of_the_childs(root):
    program = (
        FORKING
        + """
    store.append(1, b"x")
    store.seal()
    claims = store.claim()
    held = next(claims)
    def work():
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(8)]  # the numbers that the store gave up
        held.release()
        claims.close()
        for file in files:
            os.fstat(file)
        print("open", starts())
    in_child(work)
    print("mine", [start for start, _ in held.records])
    held.delete()
    """
    )
    assert python(program, root) == "open []\nmine [1]\n"


def test_descriptors_are_not_inherited_by_programs(open_store):
    store = open_store()
    store.append(1, b"x")
    store.seal()
    store.append(2, b"x")
    for _ in store.claim():
        assert len(store._descriptors) == 2
        assert [os.get_inheritable(fd) for fd in store._descriptors] == [False, False]


def test_descriptors_do_not_leak(open_store):
    store = open_store()
    before = descriptors()
    for number in range(50):
        store.append(number, b"x")
        store.seal()
        store.set_aside((number, b"x"))
        for claimed in store.claim():
            claimed.keep(claimed.records[:1])
            break
        store.make_room()
    starts(store)
    store.append(99, b"x")
    assert descriptors() <= before + 1


# Between creating a segment and locking it, another process's sender may look.


def test_a_sender_that_looks_while_a_segment_is_made_takes_nothing_away(open_store, monkeypatch):
    writer, sender = open_store(), open_store()
    writer.append(1, b"x")
    writer.seal()
    flock, looked = store_module.fcntl.flock, []

    def racing(fd, operation):
        if not looked:
            looked.append(True)
            starts(sender)
        return flock(fd, operation)

    monkeypatch.setattr(store_module.fcntl, "flock", racing)
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
    flock, claims, held = store_module.fcntl.flock, [], []

    def racing(fd, operation):
        if not claims:
            claims.append(sender.claim())
            held.extend(next(claims[0], None) for _ in range(1))
        return flock(fd, operation)

    monkeypatch.setattr(store_module.fcntl, "flock", racing)
    writer.append(2, b"x")
    claims[0].close()
    writer.append(3, b"x")
    writer.seal()
    assert starts(writer) == [2, 3]


# Threads, the garbage collector, signals.


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
    found = {start: payload for path in paths for start, payload in segment.iter_records(path)}
    assert found == {base * 1000 + number: bytes(number) for base in range(8) for number in range(100)}


def test_a_signal_handler_that_ends_a_span_within_an_append(open_store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 3000)  # so that segments are opened all the time
    store = open_store()
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


def interrupted(work, at, interruption):
    """Run ``work``; at the ``at``-th line it executes of the store's module, run ``interruption``. False if there is none."""
    lines = [0]

    def in_module(frame, event, _):
        if event == "line":
            lines[0] += 1
            if lines[0] == at:
                sys.settrace(None)
                interruption()
        return in_module

    def tracer(frame, event, argument):
        return in_module if frame.f_code.co_filename == store_module.__file__ else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines[0] >= at


@pytest.mark.parametrize("segment_is", ["open", "sealed", "full", "deleted"])
def test_a_span_ended_at_any_line_of_an_append(tmp_path, monkeypatch, segment_is):
    # What a signal handler or the garbage collector may do to the thread that holds the lock, at each line in turn.
    monkeypatch.setattr(store_module, "MAX_SEGMENT_BYTES", 300 if segment_is == "full" else MIB)
    before, wrong, at = descriptors(), [], 1
    while True:
        store = DirectoryStore(str(tmp_path / f"{segment_is}-{at}"), DESTINATION, MIB)
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
