"""Where the packages are that the agent needs, and how a process gets to them: last on ``sys.path`` (docs/laws.md#6).

Installed by pip they are where the agent is. A bundle (docs/bundle.md) has a directory of them for each Python and
platform.
"""

from __future__ import annotations

import os
import sys
from typing import Any, List, Sequence, Tuple

from hf_openobserve.process import diagnostics, import_hook

BUNDLE = ".hf-openobserve"
"""The name of the directory in a bundle that no path names."""


EARLIER = "earlier"
"""In it, the parts of an older OpenTelemetry, which go with every API since 1.30: for a program that has an API, or
conventions, that the newer parts do not go with."""


reached: List[str] = []
"""What we have appended to ``sys.path``."""

_REGULAR = "openinference.instrumentation"


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


def root() -> str:
    """The directory that holds the package."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def is_bundle() -> bool:
    """True in a bundle, False where pip has installed the agent."""
    return BUNDLE in (os.path.basename(root()), os.path.basename(os.path.dirname(root())))


def directory() -> str:
    """The directory that the agent's dependencies are imported from where the program has none of its own."""
    return os.path.join(root(), tag()) if os.path.basename(root()) == BUNDLE else root()


def is_absent() -> bool:
    """True in a bundle that was not built for this Python and platform."""
    return is_bundle() and not os.path.isdir(directory())


def sets() -> List[Tuple[str, ...]]:
    """What may be appended to ``sys.path``: that directory; in a bundle also with OpenTelemetry's older parts first."""
    own = directory()
    older = os.path.join(os.path.dirname(own), EARLIER)
    return [(own,), (older, own)] if is_bundle() and os.path.isdir(older) else [(own,)]


def reach(directories: Sequence[str] = ()) -> None:
    """See to it that these stand at the end of ``sys.path``, unless they are on it.

    Nothing given: the agent's directory.
    """
    leave_path()
    known = {os.path.realpath(entry or os.curdir) for entry in sys.path}
    reached.extend(entry for entry in directories or (directory(),) if os.path.realpath(entry) not in known)
    sys.path.extend(reached)
    if reached:
        import_hook.on_import(_REGULAR, _extend)


def leave_path() -> None:
    """Take from ``sys.path`` what ``reach`` has appended."""
    if reached:
        sys.path[:] = [entry for entry in sys.path if entry not in reached]
        reached.clear()


def leave() -> None:
    """The program is as it was before ``reach``: its path, and what we have imported from there."""
    above = tuple(entry + os.sep for entry in reached)
    leave_path()
    for name, module in list(sys.modules.items()):
        if above and name.partition(".")[0] != "hf_openobserve" and _is_below(above, module):
            del sys.modules[name]


def _extend(module: Any) -> None:
    """The program's package of that name is no namespace: what it lacks would not be looked for in our directory."""
    for entry in reached:
        place = os.path.join(entry, *_REGULAR.split("."))
        if place not in module.__path__ and os.path.isdir(place):
            module.__path__.append(place)


def _is_below(above: Tuple[str, ...], module: Any) -> bool:
    try:  # a namespace has no file, and several places
        places = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", ()))
    except Exception:  # noqa: BLE001 - a module that is one of the program's own making
        diagnostics.pass_the_programs_own()
        return False
    return bool(places) and all(isinstance(place, str) and place.startswith(above) for place in places)
