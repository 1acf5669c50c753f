from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import outboxes
from hf_openobserve.cli import outbox
from hf_openobserve.outbox import counters, places, store
from outboxes import call

SERVER = {"OPENOBSERVE_URL": "http://127.0.0.1:9", "OPENOBSERVE_AUTH_TOKEN": "nobody@example.com:a fake password"}
IDENTITY = "openobserve http://127.0.0.1:9/api/default/v1/traces stream=default"
ELSEWHERE = "openobserve http://elsewhere/api/default/v1/traces stream=default"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture
def env(tmp_path, root):
    return outboxes.environment(tmp_path, {"OPENOBSERVE_HF_OUTBOX_DIR": str(root), "COLUMNS": "160"})


def destinations(arguments, env):
    """By the last part of the directory's name."""
    done = outboxes.invoke(["outbox", "--json", *arguments], env)
    assert (done.exit_code, done.stderr) == (0, "")
    (shown,) = json.loads(done.stdout)["outboxes"]
    return {os.path.basename(entry["directory"]): entry for entry in shown["destinations"]}


def size(directory, pattern="*.seg"):
    return sum(path.stat().st_size for path in directory.glob(pattern))


def test_the_whole_shape(env, root):
    here = outboxes.leave(root, IDENTITY, call(age_s=120), call(age_s=60))
    outboxes.leave(root, IDENTITY, call(age_s=30))
    left = store.DirectoryStore(str(root), IDENTITY, sys.maxsize)
    left.set_aside(call(age_s=9000))
    left.metrics().append(time.time_ns(), b"numbers")
    done = outboxes.invoke(["outbox", "--json"], dict(env, OPENOBSERVE_HF_OUTBOX_MAX_MB="0.5", **SERVER))
    shown = json.loads(done.stdout)
    (entry,) = shown["outboxes"][0]["destinations"]
    age_s = entry.pop("oldest_span_age_s")
    assert 120 <= age_s < 180
    holder = entry["holders"][0].pop("pid")
    assert holder in (os.getpid(), None)
    assert shown == {
        "outboxes": [
            {
                "path": str(root),
                "bytes": size(here) + size(here, "rejected/*.seg") + size(here, "metrics/*.seg"),
                "max_bytes": 512 * 1024,
                "destinations": [
                    {
                        "directory": str(here),
                        "destination": IDENTITY,
                        "configured": True,
                        "segments": 3,
                        "held_segments": 1,
                        "spans": 3,
                        "held_spans": 0,
                        "bytes": size(here),
                        "set_aside_spans": 1,
                        "set_aside_bytes": size(here, "rejected/*.seg"),
                        "metrics_records": 1,
                        "metrics_bytes": size(here, "metrics/*.seg"),
                        "unreadable": 0,
                        "holders": [{"segment": max(path.name for path in here.glob("*.seg"))}],
                        "counters": None,
                    }
                ],
            }
        ]
    }


def test_held_is_what_a_living_process_has_locked(env, root):
    outboxes.leave(root, "local", call())
    with outboxes.writer(root, "local", 2) as process:
        entry = destinations([], env)["local"]
        assert (entry["segments"], entry["held_segments"], entry["spans"], entry["held_spans"]) == (2, 1, 3, 2)
        # Only Linux tells who, and not of another container.
        assert entry["holders"][0]["pid"] in (process.pid, None)
        shown = outboxes.invoke(["outbox"], env).stdout
        assert re.search(rf"\.seg is held by (another process|process {process.pid})\n", shown)
        process.kill()
        process.wait()
        entry = destinations([], env)["local"]
    assert (entry["held_segments"], entry["held_spans"], entry["holders"]) == (0, 0, [])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/locks")
def test_on_linux_the_holder_is_named(env, root):
    with outboxes.writer(root, "local") as process:
        if f" {process.pid} " not in Path("/proc/locks").read_text():
            pytest.skip("this kernel shows no locks")
        assert destinations([], env)["local"]["holders"][0]["pid"] == process.pid


def test_looking_takes_nothing_from_a_sender(env, root):
    directory = outboxes.leave(root, "local", call())
    before = [(path, path.stat().st_ino, path.read_bytes()) for path in directory.rglob("*")]
    destinations([], env)
    assert [(path, path.stat().st_ino, path.read_bytes()) for path in directory.rglob("*")] == before
    left = store.DirectoryStore(str(root), "local", sys.maxsize)
    assert [len(claimed.records) for claimed in left.claim()] == [1]


def test_each_destination_by_its_identity(env, root):
    outboxes.leave(root, "local", call(), call())
    outboxes.leave(root, IDENTITY, call())
    outboxes.leave(root, ELSEWHERE, call())
    (root / "unrelated").mkdir()
    (root / ("0" * 16)).mkdir()
    found = destinations([], dict(env, **SERVER))
    assert {name: (entry["destination"], entry["configured"], entry["spans"]) for name, entry in found.items()} == {
        "local": ("local", False, 2),
        places.destination_id(IDENTITY): (IDENTITY, True, 1),
        places.destination_id(ELSEWHERE): (ELSEWHERE, False, 1),
        "0" * 16: (None, False, 0),
    }
    assert found["0" * 16]["oldest_span_age_s"] is None


def test_the_configured_destination_is_known_when_nothing_waits(env, root):
    (root / places.destination_id(IDENTITY)).mkdir(parents=True)
    (entry,) = destinations([], dict(env, **SERVER)).values()
    assert (entry["destination"], entry["configured"], entry["segments"]) == (IDENTITY, True, 0)


def test_dir_is_an_outbox_or_one_destination(env, root):
    here = outboxes.leave(root, "local", call())
    outboxes.leave(root, ELSEWHERE, call())
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    assert len(destinations(["--dir", root], env)) == 2
    assert list(destinations(["--dir", here], env)) == ["local"]
    done = outboxes.invoke(["outbox", "--dir", root / "missing"], env)
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_fallback_in_the_temporary_directory_is_shown_too(env, tmp_path, monkeypatch):
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    monkeypatch.setattr(places.tempfile, "tempdir", str(tmp_path))
    outboxes.leave(places.temporary_root(), "local", call())
    outboxes.leave(tmp_path / "home/.local/state/hf-openobserve/outbox", "local", call(), call())
    done = outboxes.invoke(["outbox", "--json"], env)
    assert [[entry["spans"] for entry in shown["destinations"]] for shown in json.loads(done.stdout)["outboxes"]] == [
        [2],
        [1],
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a stranger's directory")
def test_a_temporary_directory_that_somebody_else_made_is_not_looked_into(env, tmp_path, monkeypatch):
    del env["OPENOBSERVE_HF_OUTBOX_DIR"]
    monkeypatch.setattr(places.tempfile, "tempdir", str(tmp_path))
    outboxes.leave(places.temporary_root(), "local", call())
    os.chown(places.temporary_root(), 65534, 65534)
    shown = json.loads(outboxes.invoke(["outbox", "--json"], env).stdout)
    assert [outbox["path"] for outbox in shown["outboxes"]] == [
        str(tmp_path / "home/.local/state/hf-openobserve/outbox")
    ]


@pytest.mark.parametrize("content", [b"", b"\xf5HFs garbage", b"\xf5HFm" + bytes(200)])
def test_a_damaged_segment_counts_no_spans(env, root, content):
    directory = root / "local"
    directory.mkdir(parents=True)
    (directory / "1.seg").write_bytes(content)
    entry = destinations([], env)["local"]
    assert (entry["segments"], entry["spans"], entry["bytes"]) == (1, 0, len(content))


def test_a_segment_that_cannot_be_read_is_said_and_counted(env, root):
    directory = outboxes.leave(root, "local", call())
    (directory / "odd.seg").symlink_to("odd.seg")
    done = outboxes.invoke(["outbox", "--json"], env)
    (entry,) = json.loads(done.stdout)["outboxes"][0]["destinations"]
    assert (done.exit_code, entry["unreadable"], entry["spans"]) == (1, 1, 1)
    assert "odd.seg is no regular file" in done.stderr


def test_counters_are_shown_where_somebody_counts(env, root):
    directory = outboxes.leave(root, "local", call())
    assert destinations([], env)["local"]["counters"] is None
    counted = counters.Counters(lambda: outboxes.place(directory))
    for count, name in enumerate(counters.NAMES, 1):
        counted.add(name, [1], 1000 * count)
    counted.flush()
    assert destinations([], env)["local"]["counters"] == {
        "accepted": 1000,
        "rejected": 2000,
        "expired": 3000,
        "evicted": 4000,
        "set_aside": 5000,
    }
    shown = [re.split(r" {2,}", line.strip()) for line in outboxes.invoke(["outbox"], env).stdout.splitlines()]
    assert ["so far", "accepted", "rejected", "expired", "evicted", "set aside"] in shown
    assert shown[-2][1:] == ["1,000", "2,000", "3,000", "4,000", "5,000"]


def test_damaged_counters_are_none(env, root):
    directory = outboxes.leave(root, "local", call())
    (directory / counters.FILE_NAME).write_bytes(b"\x00 no JSON")
    assert set(destinations([], env)["local"]["counters"].values()) == {0}


# --- For people ------------------------------------------------------------------------------------------------------


def test_the_table(env, root):
    outboxes.leave(root, "local", call(age_s=90000), call())
    outboxes.leave(root, IDENTITY, call(age_s=61))
    done = outboxes.invoke(["outbox"], dict(env, **SERVER))
    assert (done.exit_code, done.stderr) == (0, "")
    rows = [re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines()]
    assert rows[0] == [str(root)]
    assert rows[1] == ["destination", "segments", "held", "spans", "size", "oldest span", "set aside"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["local (no destination was configured)"][:3] == ["1", "0", "2"]
    assert by_name["local (no destination was configured)"][4:] == ["1 d 1 h", "0"]
    assert by_name[IDENTITY + " (configured)"][4] == "1 min 1 s"
    assert rows[-1][0].endswith("of 64.0 MiB (OPENOBSERVE_HF_OUTBOX_MAX_MB)")
    assert "fake password" not in done.stdout


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (86399, "23 h 59 min"), (90000, "1 d 1 h")],
)
def test_ages(seconds, text):
    assert outbox.age_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0 KiB"), (1536, "1.5 KiB"), (1024 * 1024, "1.0 MiB"), (64 * 1024 * 1024, "64.0 MiB")]
)
def test_sizes(size, text):
    assert outbox.size_text(size) == text


def test_nothing_there_says_where_it_looked(env, root):
    done = outboxes.invoke(["outbox"], env)
    assert (done.exit_code, done.stdout) == (0, f"No outbox in {root}: no program has kept a span there.\n")
    assert not root.exists()


def test_an_identity_is_printed_on_one_line_without_control_characters(env, root):
    outboxes.leave(root, "a\x1b[31m\nb", call())
    assert "a?[31m b" in outboxes.invoke(["outbox"], env).stdout


# --- As a process ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_into_a_pipe_it_writes_plain_text(env, root, arguments):
    del env["COLUMNS"]
    directory = outboxes.leave(root, "local", call())
    modes = stat.S_IMODE(root.stat().st_mode), stat.S_IMODE(directory.stat().st_mode)
    status, stdout, stderr = outboxes.run(["outbox", *arguments], env)
    assert (status, stderr) == (0, "")
    assert "local" in stdout
    assert "\x1b" not in stdout
    assert max(map(len, stdout.splitlines())) <= 100 or "--json" in arguments
    assert modes == (0o700, 0o700)


@pytest.mark.parametrize("name", ["outbox", "report", "ship"])
def test_help_lists_the_command_and_shows_the_shape_of_its_json(env, name):
    assert re.search(rf"^  {name}  ", outboxes.invoke(["--help"], env).stdout, re.MULTILINE)
    shown = outboxes.invoke([name, "--help"], env).stdout
    # Not rewrapped, as click does with paragraphs.
    assert re.search(r'^  \{"(outboxes|destination)"', shown, re.MULTILINE)


def test_running_a_command_imports_no_other_one():
    program = (
        "import sys; from hf_openobserve.cli import main; main(['path'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith('hf_openobserve.outbox')])"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout.splitlines()[1:] == [b"[]"]
