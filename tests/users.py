"""Two users without rights of any kind, for what one of them must not be able to do to the other.

Only root can be them.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from pathlib import Path

import pytest

US, THEM = 61001, 61002
"""Nobody's numbers: a user needs no name."""
AGENT = Path(importlib.util.find_spec("hf_openobserve").origin).resolve().parent.parent


SITE_PACKAGES = sysconfig.get_path("purelib")


def _pythons():
    """This interpreter, and the system's of the same version: another's may stand in a home that is closed to them."""
    same = "python{}.{}".format(*sys.version_info)
    return [sys.executable, *filter(None, [shutil.which(same, path="/usr/local/bin:/usr/bin")])]


def run(user, program, *arguments, env=None, timeout=60, python=None):
    """What a Python program of that user has done."""
    return subprocess.run(
        [python or python_for_them()[0], "-c", textwrap.dedent(program), *map(str, arguments)],
        env={
            "PATH": os.environ.get("PATH", ""),
            **(env or {}),
            "PYTHONPATH": os.pathsep.join(
                [*(env or {}).get("PYTHONPATH", "").split(os.pathsep), str(AGENT), SITE_PACKAGES]
            ),
        },
        cwd="/",
        preexec_fn=lambda: _become(user),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def done(user, program, *arguments, **options):
    """The standard output of a program that must succeed, and say nothing on standard error."""
    finished = run(user, program, *arguments, **options)
    assert (finished.returncode, finished.stderr) == (0, ""), finished.stdout + finished.stderr
    return finished.stdout


@functools.lru_cache(maxsize=None)
def python_for_them():
    """The interpreter that runs their programs, and why there is none."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "", "only root can run programs as two other users"
    reasons = []
    for python in _pythons():
        try:
            found = run(US, "import hf_openobserve.outbox.store, openai, click", python=python)
        except OSError as error:
            reasons.append(str(error))
            continue
        if found.returncode == 0:
            return python, ""
        reasons.append(f"{python}: {found.stderr[-200:]}")
    return "", "no interpreter with these packages that other users may run: " + "; ".join(reasons)


class Ground:
    """A directory that both may look into, and homes of their own. Context manager."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="two-users-"))
        self.path.chmod(0o755)
        for user in (US, THEM):
            self.make(f"home-{user}", user)
        return self

    def __exit__(self, *_):
        shutil.rmtree(str(self.path))

    def make(self, name, owner, mode=0o700):
        """A directory of that user."""
        path = self.path / name
        path.mkdir()
        os.chown(str(path), owner, owner)
        path.chmod(mode)
        return path

    def environment(self, user, **more):
        """Of a program of that user: a home and temporary files of its own."""
        home = str(self.path / f"home-{user}")
        return {"HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "OPENOBSERVE_HF_DOTENV": "false", **more}


def _become(user):
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


@pytest.fixture
def ground():
    """A place where they meet. The test has to be both of them."""
    if not python_for_them()[0]:
        pytest.skip(python_for_them()[1])
    with Ground() as made:
        yield made
