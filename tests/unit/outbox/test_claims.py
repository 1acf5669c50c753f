"""Claims with real files, real locks and real processes: who holds what, and what a reader makes of damage."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import outboxes
from hf_openobserve.outbox import locks, places, segment
from hf_openobserve.outbox.directory import OutboxUnavailableError
from hf_openobserve.outbox.store import DirectoryStore
from stores import (
    AGENT,
    DESTINATION,
    MIB,
    OTHER_PROCESS,
    descriptors,
    files,
    mode,
    python,
    starts,
)

pytestmark = pytest.mark.matrix


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
    rejected = Path(store.directory) / places.REJECTED
    (path,) = rejected.iterdir()
    assert outboxes.spans(path) == [(7, b"guilty")]
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


def test_what_cannot_be_kept_is_not_lost(open_store, monkeypatch):
    store = open_store()
    for number in range(3):
        store.append(number, b"x")
    store.seal()

    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, "no space")

    for claimed in store.claim():
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", no_space)
            with contextlib.suppress(OSError):
                claimed.keep(claimed.records[1:])
    assert starts(store)[-2:] == [1, 2]
    assert [name for name in files(store) if name.endswith(".tmp")] == []


def test_where_locks_keep_nobody_out_no_file_stays_behind(root, monkeypatch):
    monkeypatch.setattr(locks.fcntl, "flock", lambda *_: None)
    before = descriptors()
    with pytest.raises(OutboxUnavailableError):
        DirectoryStore(root, DESTINATION, MIB)
    assert [name for _, _, names in os.walk(root) for name in names] == []
    assert descriptors() == before


def test_a_segment_of_a_later_format_is_left_for_who_can_read_it(open_store):
    # During an upgrade old and new processes share the outbox.
    store = open_store()
    path = Path(store.directory) / "00000000000000000001-1-abcdef01.seg"
    meta = b'{"version": 2, "destination": "tests"}'
    path.write_bytes(segment.frame(segment.META_MARKER, 0, meta) + b"\xf5HFz" + b"what version 2 may hold" * 20)
    assert starts(store) == []
    assert path.exists()


def test_a_file_system_without_locks_is_no_outbox(root, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with pytest.raises(OSError, match="no locks"):
        DirectoryStore(root, DESTINATION, MIB)
    assert [names for _, _, names in os.walk(root) if names] == []


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
        assert [os.get_inheritable(fd) for fd in store.claims.descriptors._held] == [False, False]


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
