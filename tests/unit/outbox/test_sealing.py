"""The segment of a process that sends nothing itself can be taken by another one while it goes on."""

from __future__ import annotations

import os
import threading
import time

import pytest

from hf_openobserve.outbox.sealing import Sealing
from stores import starts


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "hf-openobserve-sealing"]


def taken(store, count):
    until, found = time.monotonic() + 20, []
    while len(found) < count and time.monotonic() < until:
        found += starts(store)
        time.sleep(0.02)
    return found


def test_what_was_written_can_be_taken_after_a_while(open_store):
    ours, other = open_store(), open_store()
    sealing = Sealing(ours, 0.3)
    for start in (1, 2, 3):
        ours.append(start, b"span")
        sealing.begin()
    (thread,) = threads()
    assert thread.daemon
    assert starts(other) == [], "it is still being written"
    assert taken(other, 3) == [1, 2, 3]
    ours.append(4, b"span")
    sealing.begin()
    assert taken(other, 1) == [4]
    thread.join(10)
    assert len(threads()) <= 1, "there is no thread without a span that waits"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_begins_anew(open_store):
    sealing = Sealing(open_store(), 2)
    sealing.begin()
    before = len(threads())
    sealing.after_fork_in_child()
    sealing.begin()
    assert len(threads()) == before + 1


def test_a_process_that_can_have_no_more_threads_goes_on(open_store, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    ours, other = open_store(), open_store()
    sealing = Sealing(ours, 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        sealing.begin()
    ours.append(1, b"span")
    sealing.begin()
    assert taken(other, 1) == [1]


def test_an_outbox_that_is_gone_is_no_traceback(open_store, monkeypatch, capfd):
    ours = open_store()
    monkeypatch.setattr(ours, "seal", lambda: (_ for _ in ()).throw(OSError("gone")))
    Sealing(ours, 0.0).begin()
    for thread in threads():
        if thread.is_alive():
            thread.join(0.5)
    assert capfd.readouterr().err == ""
