"""Fixtures of the outbox's parts."""

from __future__ import annotations

import pytest

from fakes.openobserve import FakeOpenObserve, Limits
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.outbox.store import DirectoryStore
from hf_openobserve.outbox.tuning import Tuning
from hf_openobserve.process import diagnostics
from senders import QUICK, Outbox, destination
from stores import DESTINATION, MIB


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "state" / "outbox")


@pytest.fixture
def open_store(root):
    """``open_store()``: a store as each process has one. Its descriptors are closed at the end."""
    stores = []

    def build(directory=root, destination=DESTINATION, max_bytes=64 * MIB, **tuning):
        stores.append(DirectoryStore(directory, destination, max_bytes, Tuning(**tuning)))
        return stores[-1]

    yield build
    for store in stores:
        store.after_fork_in_child()


@pytest.fixture
def _quick(monkeypatch):
    """Nothing said yet in this process; no proxy between us and the server."""
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENOBSERVE_HF_DEBUG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def outbox(tmp_path, _quick):
    """``outbox(server)``; the threads end with the test."""
    made = []

    def build(server=None, *, client=None, timeout_s=5.0, max_bytes=64 * MIB, store=None, window_s=None, **tuning):
        client = client or Client(destination(server, timeout_s))
        tuned = QUICK._replace(**tuning)
        store = store or DirectoryStore(str(tmp_path / "outbox"), "tests", max_bytes, tuned)
        made.append(Outbox(store, client, window_s, tuned))
        return made[-1]

    yield build
    for one in made:
        assert one.sender.stop(10)
        one.store.after_fork_in_child()


@pytest.fixture
def choosy():
    """A server that refuses a request for one span in it, which has too many columns."""
    with FakeOpenObserve(limits=Limits(columns=200)) as server:
        yield server
