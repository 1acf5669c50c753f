"""Where this machine has a Python of some version: for the version matrix (noxfile.py) and the bootstrap's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

FETCHED = Path(__file__).resolve().parent.parent / ".nox" / "debian"
"""Where ``fetch_python`` puts one that this machine has not."""
_ASKED = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


def find(version: str) -> Optional[str]:
    """A working interpreter of that version (``3.8``) among pyenv's, on PATH, or fetched; None if there is none.

    It is asked: pyenv's shim of a version that is not selected exists, and fails.
    """
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [str(path) for path in sorted(root.glob(f"{version}.*/bin/python"), reverse=True)]
    for candidate in [*candidates, shutil.which(f"python{version}"), _fetched(version)]:
        if candidate is None:
            continue
        try:
            done = subprocess.run([candidate, "-c", _ASKED], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        said = done.stdout.split("\n")
        if done.returncode == 0 and said[0] == version:
            return said[1]
    return None


def _fetched(version: str) -> Optional[str]:
    path = FETCHED / "usr" / "bin" / f"python{version}"
    return str(path) if path.exists() else None
