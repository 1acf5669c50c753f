"""Where the outbox is opened, and that what is made is the user's own."""

from __future__ import annotations

import os

import pytest

from hf_openobserve.outbox import locks, places
from hf_openobserve.outbox import store as store_module
from hf_openobserve.outbox.directory import OutboxUnavailableError
from hf_openobserve.outbox.store import DirectoryStore
from stores import (
    DESTINATION,
    MIB,
    mode,
)

pytestmark = pytest.mark.matrix


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


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
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
    assert places.default_root() == expected.format(tmp=home)


@pytest.mark.parametrize("where", ["nowhere", "relative"])
def test_no_home_is_no_default_place(home, monkeypatch, where):
    monkeypatch.setenv("HOME", str(home / "nowhere") if where == "nowhere" else "relative")
    with pytest.raises(OutboxUnavailableError):
        places.default_root()


def test_every_process_of_a_user_has_the_same_temporary_place(home):
    assert places.temporary_root() == places.temporary_root()
    assert str(os.getuid()) in places.temporary_root()


def opened(explicit=None):
    store = store_module.open_store(explicit, DESTINATION, MIB)
    store.append(1, b"x")
    store.after_fork_in_child()
    return store.root


def test_where_the_outbox_is_opened(home):
    assert opened() == places.default_root()
    assert opened(str(home / "mine")) == str(home / "mine")


def test_the_temporary_place_is_the_second_choice(home):
    (home / "home" / ".local").write_text("a file in the way")
    assert opened() == places.temporary_root()


def test_an_outbox_the_user_chose_has_no_second_choice(home):
    (home / "file").write_text("")
    with pytest.raises(OutboxUnavailableError, match="file"):
        opened(str(home / "file" / "outbox"))
    assert not os.path.exists(places.default_root())


def test_nowhere_to_write_says_every_reason(home):
    (home / "home" / ".local").write_text("")
    (home / "tmp").rmdir()
    (home / "tmp").write_text("")
    with pytest.raises(OutboxUnavailableError) as raised:
        opened()
    assert ".local" in str(raised.value)
    assert str(home / "tmp") in str(raised.value)


def test_without_kernel_locks_there_is_no_outbox_on_disk(root, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(OutboxUnavailableError, match="lock"):
        DirectoryStore(root, DESTINATION, MIB)
