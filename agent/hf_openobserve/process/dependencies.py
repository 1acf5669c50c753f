"""Where the packages are that the agent needs, and how a process gets to them: last on ``sys.path`` (docs/laws.md#6).

Installed by pip they are where the agent is. A bundle (docs/bundle.md) has a directory of them for each Python and platform.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from hf_openobserve.process import diagnostics

BUNDLE = ".hf-openobserve"
"""The name of the directory in a bundle that no path names."""


def tag() -> str:
    """What a bundle calls this Python and platform, e.g. ``cp312-manylinux-x86_64``; ``cp314t`` is free-threaded."""
    threads = "t" if "t" in getattr(sys, "abiflags", "") else ""
    libc = "manylinux" if _is_glibc() else "musllinux"
    return "cp{}{}{}-{}-{}".format(*sys.version_info[:2], threads, libc, os.uname().machine)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # another libc has no such name, or no answer
        return False


def directory() -> str:
    """The directory that the agent's dependencies are imported from where the program has none of its own."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    root = os.path.dirname(package)
    return os.path.join(root, tag()) if os.path.basename(root) == BUNDLE else root


def reach() -> str:
    """Append that directory to ``sys.path``, and return it; empty where it was there already."""
    own = directory()
    if os.path.realpath(own) in {os.path.realpath(entry or os.curdir) for entry in sys.path}:
        return ""
    sys.path.append(own)
    return own


def leave(own: str) -> None:
    """The program is as it was before ``reach`` returned ``own``: its path, and what we have imported from there."""
    if not own:
        return
    sys.path[:] = [entry for entry in sys.path if entry != own]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "hf_openobserve" and _is_below(own, module):
            del sys.modules[name]


def _is_below(own: str, module: Any) -> bool:
    try:  # a namespace has no file, and several places
        places = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", ()))
    except Exception:  # noqa: BLE001 - a module that is one of the program's own making
        diagnostics.pass_the_programs_own()
        return False
    return bool(places) and all(isinstance(place, str) and place.startswith(own + os.sep) for place in places)
