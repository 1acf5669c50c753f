"""A line that a program of many processes says once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hf_openobserve.outbox import notices, places

ASK = "import sys; from hf_openobserve.outbox import notices; print(notices.is_new(*sys.argv[1:]))"


def ask(root, line, **options):
    command = [sys.executable, "-c", ASK, str(root), line]
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout.strip()


def test_the_first_process_of_a_group_says_it_and_a_new_group_again(tmp_path):
    assert notices.is_new(str(tmp_path / "outbox"), "a line")
    assert not notices.is_new(str(tmp_path / "outbox"), "a line")
    assert ask(tmp_path / "outbox", "a line") == "False"
    assert ask(tmp_path / "outbox", "another line") == "True"
    assert ask(tmp_path / "outbox", "a line", start_new_session=True) == "True"


def test_it_is_said_again_after_a_while_and_nothing_is_left_of_before(tmp_path):
    assert notices.is_new(str(tmp_path), "a line")
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    assert notices.is_new(str(tmp_path), "another line")
    assert not file.exists()
    assert notices.is_new(str(tmp_path), "a line")
    assert len(list(tmp_path.iterdir())) == 2


def test_where_nothing_can_be_written_that_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        notices.is_new(str(tmp_path / "file"), "a line")


def test_without_a_home_it_is_the_temporary_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setattr(places.tempfile, "tempdir", str(tmp_path))
    assert notices.is_new(None, "a line")
    assert not notices.is_new(None, "a line")
    assert [path.suffix for path in tmp_path.glob("hf-openobserve-*/outbox/*")] == [notices.SUFFIX]
