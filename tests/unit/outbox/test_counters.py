"""The counters of an outbox: over processes, restarts, damage, and who tells the server of losses."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import textwrap

import pytest

import outboxes
from hf_openobserve.outbox import counters
from hf_openobserve.outbox.counters import ACCEPTED, EVICTED, EXPIRED, FILE_NAME, REJECTED, Counters, Losses
from hf_openobserve.outbox.tuning import DEFAULT, Tuning

AT_ONCE = Tuning(telling_s=0)


def counted(directory, tuning=DEFAULT, **names):
    ours = Counters(lambda: outboxes.place(directory), tuning)
    for name, starts in names.items():
        ours.add(name, starts)
    ours.flush()
    return ours


def test_they_add_up_over_processes(tmp_path):
    counted(tmp_path, accepted=[1, 2, 3], expired=[7])
    counted(tmp_path, accepted=[4], set_aside=[1])
    assert outboxes.counts(tmp_path) == {"accepted": 4, "rejected": 0, "expired": 1, "evicted": 0, "set_aside": 1}


def test_eight_processes_at_once_lose_no_count(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from hf_openobserve.outbox import places
        from hf_openobserve.outbox.counters import Counters
        ours = Counters(lambda: places.outbox(sys.argv[1]))
        for _ in range(200):
            ours.add("accepted", [1])
            ours.flush()
        while ours._notes:
            ours.flush()
        """
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(8)]
    assert [process.wait(60) for process in processes] == [0] * 8
    assert outboxes.counts(tmp_path)["accepted"] == 1600


def test_nothing_counted_is_no_file(tmp_path):
    ours = counted(tmp_path, accepted=[])
    assert ours.untold() is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        outboxes.counts(tmp_path)


def test_the_file_is_private_and_of_one_size(tmp_path):
    path = tmp_path / FILE_NAME
    sizes = set()
    for _ in range(3):
        counted(tmp_path, **dict.fromkeys(counters.NAMES, range(10**4)))
        sizes.add(path.stat().st_size)
    assert sizes == {1024}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 1024,
        b"[1]",
        b'{"accepted": "many", "untold": 7}',
        b'{"accepted": -5, "untold": {"expired": true}}',
        b"{" * 900,
        b"\xff",
    ],
    ids=["empty", "zeros", "a list", "text", "negative", "deep", "no UTF-8"],
)
def test_a_damaged_file_is_begun_anew(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert set(outboxes.counts(tmp_path).values()) == {0}
    ours = counted(tmp_path, accepted=[1], expired=[5])
    assert outboxes.counts(tmp_path)["accepted"] == 1
    assert ours.untold() == Losses({"expired": 1}, 5, 5)


def test_notes_wait_while_another_process_has_the_file(tmp_path):
    counted(tmp_path, accepted=[1])
    fd = os.open(str(tmp_path / FILE_NAME), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    ours = counted(tmp_path, accepted=[2, 3])
    assert ours.untold() is None
    os.close(fd)
    ours.flush()
    assert outboxes.counts(tmp_path)["accepted"] == 3


def test_notes_wait_while_there_is_no_directory(tmp_path):
    ours = counted(tmp_path / "gone", accepted=[1], evicted=[2])
    (tmp_path / "gone").mkdir()
    ours.flush()
    assert outboxes.counts(tmp_path / "gone")["evicted"] == 1


def test_losses_are_told_once_with_their_range(tmp_path):
    ours = counted(tmp_path, accepted=[1], expired=[30, 10], evicted=[20])
    losses = ours.untold()
    assert losses == Losses({EXPIRED: 2, EVICTED: 1}, 10, 30)
    assert losses.total == 3
    ours.told(losses)
    assert ours.untold() is None
    assert outboxes.counts(tmp_path)["expired"] == 2, "what was told stays counted"


def test_losses_that_come_while_some_are_told_are_told_later(tmp_path):
    ours = counted(tmp_path, expired=[10])
    losses = ours.untold()
    counted(tmp_path, expired=[40])
    ours.told(losses)
    assert ours.untold() is None, "not more than once a minute"
    assert counted(tmp_path, AT_ONCE).untold().counts == {EXPIRED: 1}


def test_one_process_tells_and_another_one_if_it_did_not(tmp_path):
    ours = counted(tmp_path, rejected=[1])
    assert ours.untold() is not None
    assert counted(tmp_path).untold() is None
    assert counted(tmp_path, AT_ONCE).untold().counts == {REJECTED: 1}


def test_a_clock_that_went_back_does_not_silence_for_good(tmp_path, monkeypatch):
    ours = counted(tmp_path, rejected=[1])
    monkeypatch.setattr(counters.time, "time", lambda: 2e9)
    assert ours.untold() is not None
    monkeypatch.setattr(counters.time, "time", lambda: 1e9)
    assert ours.untold() is not None


def test_how_many_of_them_is_known_and_which_is_not(tmp_path):
    ours = Counters(lambda: outboxes.place(tmp_path))
    ours.add(ACCEPTED, [5, 6, 7], 1)
    ours.add(REJECTED, [5, 6, 7], 2)
    ours.add(REJECTED, [5], 0)
    assert ours.untold() == Losses({REJECTED: 2}, 5, 7)
    assert outboxes.counts(tmp_path)["accepted"] == 1


def test_without_a_directory_they_are_those_of_the_process():
    ours = Counters()
    ours.add(EVICTED, [1, 2])
    losses = ours.untold()
    assert losses.counts == {EVICTED: 2}
    ours.told(losses)
    assert ours.untold() is None


def test_a_forked_child_counts_its_own(tmp_path):
    ours = Counters(lambda: outboxes.place(tmp_path))
    ours.add(ACCEPTED, [1])
    ours.after_fork_in_child()
    ours.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / FILE_NAME).symlink_to(target)
    counted(tmp_path, accepted=[1])
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("what", ["a fifo", "a second name"])
def test_only_a_file_of_its_own_is_written(tmp_path, what):
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    if what == "a fifo":
        os.mkfifo(str(tmp_path / FILE_NAME))
    else:
        os.link(str(precious), str(tmp_path / FILE_NAME))
    counted(tmp_path, accepted=[1])
    assert precious.read_bytes() == b"precious"
