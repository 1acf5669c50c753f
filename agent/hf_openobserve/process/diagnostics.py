"""What the agent says, and the boundary that keeps its own errors from the application.

No exception of the agent's reaches the program (docs/laws.md#1). One line, once, on stderr (docs/laws.md#9), when
configuration is wrong or data is lost; otherwise not a byte. The ``logging`` module is not used: it belongs to the
host.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, Set, TypeVar

PREFIX = "hf-openobserve: "

_said: Dict[str, object] = {}
_switched_on: Set[str] = set()
"""``debug``, once the settings have asked for it."""
_T = TypeVar("_T")


def say_once(line: str, about: str = "") -> None:
    """Write one line to stderr, once per process and matter. A missing or broken stderr is not an error.

    about: names the matter where the line itself differs from time to time, by a count or a request id.
    """
    ours = object()
    if _said.setdefault(about or line, ours) is ours:  # one step: several threads may find the same thing wrong
        _write(line)


def debug(line: str) -> None:
    """Write one line to stderr if ``OPENOBSERVE_HF_DEBUG`` is on (read each time: only asked off the hot path)."""
    if debugging():
        _write(line)


def debugging() -> bool:
    """Whether ``OPENOBSERVE_HF_DEBUG`` is on: in the environment, or in the ``.env`` once that has been read."""
    return "debug" in _switched_on or os.environ.get("OPENOBSERVE_HF_DEBUG", "").strip().lower() in (
        "1",
        "true",
        "yes",
        "on",
    )


def debug_from_now_on() -> None:
    """The settings, which may come from a ``.env``, ask for debug output."""
    _switched_on.add("debug")


def swallowed(where: str) -> None:
    """Account for the exception being handled: one debug line with its traceback. The program's own is raised again."""
    pass_the_programs_own()
    account(where)


def account(where: str) -> None:
    """Write the exception being handled as debug output, whoever's it is: on a thread of ours none can be passed on."""
    if not debugging():
        return
    try:
        import traceback

        _write("swallowed in " + where + ":\n" + traceback.format_exc().rstrip())
    except Exception:  # noqa: S110, BLE001 - the last line of defence has nobody left to tell
        pass


def pass_the_programs_own() -> None:
    """Raise the exception being handled again if it is the program's own, see ``interruptions``."""
    error = sys.exc_info()[1]
    if error is not None:
        from hf_openobserve.process import interruptions

        own = interruptions.programs_own(error)
        if own is not None:
            context = own.__context__
            try:
                raise own
            finally:
                own.__context__ = context  # not what was made of it
                del error, own, context  # docs/laws.md#4: its traceback has this frame


def guarded(where: str, call: Callable[..., _T], *args: Any, default: Any = None) -> Any:
    """Run one step of the agent's behind the boundary: its result, or ``default`` if it raised.

    What is the program's own passes: a signal handler's exception, a cancellation, KeyboardInterrupt (docs/laws.md#1).
    """
    try:
        return call(*args)
    except Exception:  # noqa: BLE001
        swallowed(where)
        return default


def without_secrets(text: str) -> str:
    """The text as it may be shown: no credential of the environment or a client, whoever's exception it quotes."""
    try:
        from hf_openobserve.privacy import literals, masking

        return masking.mask(text, literals.forms_of(literals.of_environment(os.environ)) + literals.known())
    except Exception as error:  # noqa: BLE001
        return f"a line is left out, since its secrets could not be masked ({type(error).__name__})"


def _write(line: str) -> None:
    stderr = sys.stderr
    if stderr is None:
        return
    try:
        stderr.write(PREFIX + without_secrets(line) + "\n")
        stderr.flush()
    except Exception:  # noqa: BLE001 - a closed stderr is the application's choice
        pass_the_programs_own()
