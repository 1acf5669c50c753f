"""Steps back where a package of the program's is out of range, in one line that names it (docs/laws.md#6).

A program of many processes would say it in each: whoever is the first of its group says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional, Tuple

from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Settings


def lets_pass(settings: Settings) -> bool:
    """True if the agent can work with what the program has; it is reached then. False: it has been said why not."""
    from hf_openobserve.process import conflicts, dependencies

    chosen: Optional[Tuple[List[str], List[conflicts.Conflict]]] = diagnostics.guarded("conflicts", conflicts.choose)
    directories, in_the_way = chosen or ([], [])
    for conflict in in_the_way:
        diagnostics.debug(f"packages: {conflict}")
    line = ""
    if in_the_way:
        first = in_the_way[0]
        remedy = f"{first.remedy}, or OPENOBSERVE_HF_FORCE=true to try it as it is"
        line = f"{first}; nothing is recorded in this process. Remedy: {remedy}"
    if dependencies.is_absent() and (in_the_way or chosen is None):
        line = (
            f"this bundle has no packages for {dependencies.tag()}; nothing is recorded in this process. "
            "Remedy: build it for this Python and platform (docs/bundle.md)"
        )
    if not line or settings.force:
        dependencies.reach(directories)
        return True
    from hf_openobserve.outbox import notices

    if diagnostics.guarded("notices", notices.is_new, settings.outbox_dir, line, default=True):
        diagnostics.say_once(line)
    return False


def say(error: Exception) -> None:
    """An activation failed: why, and if a package is out of range, that."""
    from hf_openobserve.process import conflicts

    reason = diagnostics.guarded("conflicts", conflicts.explain, default=None) or f"{type(error).__name__}: {error}"
    diagnostics.say_once(f"{reason}; nothing is recorded in this process")
