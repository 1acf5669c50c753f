"""Outboxes on disk for the tests of their parts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

from hf_openobserve.outbox import store as store_module

AGENT = Path(store_module.__file__).resolve().parents[2]
DESTINATION = "openobserve https://o2.example.com/api/default/v1/traces stream=default"
MIB = 1024 * 1024


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
