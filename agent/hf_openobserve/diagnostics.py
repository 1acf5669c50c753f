"""What the agent says, and the boundary that keeps its own errors from the application.

Law 1: no exception of the agent's reaches the host. Law 9: one line, once, on stderr, with what to do about it, when
configuration is wrong or data is lost; otherwise not a byte. The ``logging`` module is not used: it belongs to the host.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, TypeVar

PREFIX = "hf-openobserve: "

_said: Dict[str, object] = {}
_debugging_by_settings = False
_T = TypeVar("_T")


def say_once(line: str, about: str = "") -> None:
    """Write one line to stderr, once per process and matter. A missing or broken stderr is not an error.

    about: names the matter where the line itself differs from time to time, by a count or a request id.
    """
    ours = object()
    if _said.setdefault(about or line, ours) is ours:  # one step: several threads may find the same thing wrong
        _write(line)


def debug(line: str) -> None:
    """Write one line to stderr if ``OPENOBSERVE_HF_DEBUG`` is on (read each time: it is only asked off the hot path)."""
    if debugging():
        _write(line)


def debugging() -> bool:
    """Whether ``OPENOBSERVE_HF_DEBUG`` is on: in the environment, or in the ``.env`` once that has been read."""
    return _debugging_by_settings or os.environ.get("OPENOBSERVE_HF_DEBUG", "").strip().lower() in (
        "1",
        "true",
        "yes",
        "on",
    )


def debug_from_now_on() -> None:
    """The settings, which may come from a ``.env``, ask for debug output."""
    global _debugging_by_settings
    _debugging_by_settings = True


def swallowed(where: str) -> None:
    """Account for the exception being handled: one debug line with its traceback, nothing else."""
    if not debugging():
        return
    try:
        import traceback

        _write("swallowed in " + where + ":\n" + traceback.format_exc().rstrip())
    except Exception:  # noqa: S110, BLE001 - the last line of defence has nobody left to tell
        pass


def guarded(where: str, call: Callable[..., _T], *args: Any, default: Any = None) -> Any:
    """Run one step of the agent's behind the boundary: its result, or ``default`` if it raised.

    ``BaseException`` that is not an ``Exception`` (KeyboardInterrupt, SystemExit, GeneratorExit, greenlet exits) is the
    application's own control flow and passes.
    """
    try:
        return call(*args)
    except Exception:  # noqa: BLE001
        swallowed(where)
        return default


def _write(line: str) -> None:
    stderr = sys.stderr
    if stderr is None:
        return
    try:
        stderr.write(PREFIX + line + "\n")
        stderr.flush()
    except Exception:  # noqa: S110, BLE001 - a closed stderr is the application's choice
        pass
