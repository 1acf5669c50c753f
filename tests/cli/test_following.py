from __future__ import annotations

import os
import time

import pytest

import outboxes
from hf_openobserve.cli import following
from hf_openobserve.cli.following import Follower
from hf_openobserve.outbox import segment, store
from outboxes import call, place


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture
def follower(root):
    made = Follower([str(root)])
    yield made
    made.close()


def look(follower):
    """At once, wherever destinations may be."""
    follower._directories_at = 0.0
    return follower.look()


def writing(root, destination="local"):
    return store.DirectoryStore(str(root), destination, 1 << 30)


def test_each_span_comes_once_and_while_the_segment_is_held(root, follower):
    assert look(follower) == []
    first, second, third = call(), call(), call()
    held = writing(root)
    held.append(*first)
    assert look(follower) == [first[1]]
    held.append(*second)
    elsewhere = writing(root, "openobserve elsewhere")
    elsewhere.append(*third)
    assert sorted(look(follower)) == sorted([second[1], third[1]])
    assert look(follower) == []


def test_what_is_delivered_and_deleted_at_once_is_seen(root, follower):
    held = writing(root)
    assert look(follower) == []
    span = call()
    held.append(*span)
    held.seal()
    for claimed in held.claim():
        assert claimed.delete()
        claimed.release()
    assert outboxes.segments(root) == []
    assert look(follower) == [span[1]]
    assert not follower._files


def test_it_holds_no_lock(root, follower):
    outboxes.leave(root, "local", call())
    assert len(look(follower)) == 1
    assert len(list(writing(root).claim())) == 1


def test_a_record_comes_when_it_is_whole_and_what_is_torn_is_passed_over(root, follower):
    first, second = call(), call()
    path = root / "local" / "1.seg"
    path.parent.mkdir(parents=True)
    for directory in (root, path.parent):
        directory.chmod(0o700)
    whole = segment.span_record(*first)
    path.write_bytes(segment.meta_record("local") + b"torn \xf5HFs" + whole[:-5])
    assert look(follower) == []
    with path.open("ab") as file:
        file.write(whole[-5:] + segment.span_record(*second)[:30])
    assert look(follower) == [first[1]]
    with path.open("ab") as file:
        file.write(segment.span_record(*second)[30:])
    assert look(follower) == [second[1]]


def test_a_span_that_is_moved_comes_once(root, follower):
    span = call()
    outboxes.leave(root, "local", span)
    assert len(look(follower)) == 1
    outboxes.leave(root, "local", span)
    assert look(follower) == []


def test_of_many_segments_few_are_open_and_all_are_read(root, follower, monkeypatch):
    monkeypatch.setattr(following, "_MOST_OPEN", 3)
    stores = [writing(root) for _ in range(9)]
    for held in stores:
        held.append(*call())
    assert len(look(follower)) == 9
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for held in stores:
        held.append(*call())
    assert len(look(follower)) == 9
    assert sum(file._fd is not None for file in follower._files.values()) == 3
    assert not before or len(os.listdir("/proc/self/fd")) <= before


def test_what_is_no_segment_of_ours_is_left_alone(root, follower):
    outboxes.leave(root, "local", call())
    (root / "local" / "link.seg").symlink_to("1.seg")
    os.mkfifo(str(root / "local" / "pipe.seg"))
    assert len(look(follower)) == 1
    assert place(root / "local").has("link.seg")


def test_a_thousand_segments_take_no_more_than_a_tenth_of_a_processor(root, follower):
    outboxes.leave(root, "local", call())
    (written,) = outboxes.segments(root)
    for number in range(1000):
        (root / "local" / f"{number}.seg").write_bytes(written.read_bytes())
    assert len(look(follower)) == 1
    began = time.monotonic()
    look(follower)
    assert follower.pause_s >= 0.9 * 9 * (time.monotonic() - began) or follower.pause_s == following.LOOK_EVERY_S
