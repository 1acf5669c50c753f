"""A program for the interpreter asked about: it says where Python would find what, and runs nothing of the user's.

It is started by ``python -S`` with the command's own flags and environment, and does what ``site`` does when a program
starts, but for ``sitecustomize``, which it looks for and does not run. It imports the standard library alone, and then,
to see whether they can be, the packages that the agent needs.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import warnings
from typing import Any, Dict, List, Tuple

MARK = "hf-openobserve-probe:"
"""Before the one line that counts: what is imported may print."""

GROUPS = (
    "opentelemetry_distro",
    "opentelemetry_configurator",
    "opentelemetry_environment_variables",
    "opentelemetry_instrumentor",
)
NEEDED = (
    "opentelemetry.sdk.trace",
    "opentelemetry.instrumentation.instrumentor",
    "openinference.instrumentation.openai",
    "packaging.requirements",
    "requests",
    "dotenv",
    "hf_openobserve.pipeline.provider",
    "hf_openobserve.pipeline.processor",
    "hf_openobserve.pipeline.assembly",
    "hf_openobserve.clients.openai",
)
"""Modules that an activation imports: those of others first, so that the first that fails is the cause."""


def main(with_site: bool, with_imports: bool) -> None:
    """Print what was found, as JSON behind ``MARK``.

    ``with_site``: the command has no ``-S``. ``with_imports``: also try what is needed, which takes half a second.
    """
    warnings.simplefilter("ignore")
    if sys.path[:1] == [""]:  # of ``-c``: the program will have another one there
        del sys.path[0]
    if with_site:
        _do_what_site_does()
    sitecustomize = _sitecustomize() if with_site else []
    found: Dict[str, Any] = {
        "executable": sys.executable,
        "version": list(sys.version_info[:3]),
        "sitecustomize": sitecustomize,
        "loader": _loader(),
    }
    _reach_the_agents_dependencies(sitecustomize)
    agent = importlib.util.find_spec("hf_openobserve")
    found["agent"] = os.path.dirname(agent.origin) if agent is not None and agent.origin else ""
    found["distributions"] = _distributions()
    found["entry_points"] = {group: _entry_points(group) for group in GROUPS}
    found["conflicts"], found["broken"] = [], {}
    if found["agent"] and with_imports:
        found["broken"] = _broken()
        if "packaging.requirements" not in found["broken"]:
            from hf_openobserve.process import conflicts

            found["conflicts"] = [str(conflict) for conflict in conflicts.found(for_commands=True)]
    sys.stdout.write(f"\n{MARK}{json.dumps(found)}\n")


def is_ours(sitecustomize: str) -> bool:
    """Whether this is the agent's own, however it is linked to."""
    return bool(_root(sitecustomize))


def _root(sitecustomize: str) -> str:
    """The directory that holds the agent whose door this is: as the door itself finds it. Empty: it is another one."""
    above, name = os.path.split(os.path.realpath(os.path.dirname(sitecustomize)))
    if name == "bootstrap" and os.path.basename(above) == "hf_openobserve":
        return os.path.dirname(above)
    # A bundle whose links were followed when it was copied.
    for depth in (1, 3):
        hidden = os.path.join(
            *[os.path.dirname(os.path.abspath(sitecustomize))] + [os.pardir] * depth, ".hf-openobserve"
        )
        if os.path.isdir(hidden):
            return os.path.abspath(hidden)
    return ""


def _do_what_site_does() -> None:
    import site

    def nothing() -> None:
        pass

    site.execsitecustomize = site.execusercustomize = nothing
    site.main()


def _sitecustomize() -> List[str]:
    """Every one on ``sys.path``, in order: Python imports the first."""
    found = []
    for entry in dict.fromkeys(sys.path):
        spec = importlib.machinery.PathFinder.find_spec("sitecustomize", [entry])
        if spec is not None and spec.origin:
            found.append(os.path.abspath(spec.origin))
    return found


def _loader() -> str:
    """The directory that the wrapper command puts on PYTHONPATH."""
    for entry in sys.path:
        directory = os.path.join(entry or os.curdir, "opentelemetry", "instrumentation", "auto_instrumentation")
        if os.path.exists(os.path.join(directory, "sitecustomize.py")):
            return os.path.abspath(directory)
    return ""


def _reach_the_agents_dependencies(sitecustomize: List[str]) -> None:
    """As the agent does when it activates (docs/laws.md#6)."""
    for root in filter(None, map(_root, sitecustomize)):
        if root in map(os.path.realpath, sys.path):
            continue
        sys.path.append(root)
        if os.path.basename(root) == ".hf-openobserve":  # of a bundle, which has a directory for each Python
            from hf_openobserve.process import dependencies

            dependencies.reach()
            sys.path.remove(root)


def _distributions() -> Dict[str, str]:
    """Normalised name -> version; of two of one name the first on the path counts."""
    found: Dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        try:
            name = re.sub("[-_.]+", "-", distribution.metadata["Name"]).lower()
            found.setdefault(name, distribution.version)
        except Exception:  # noqa: BLE001, S112 - damaged metadata: as if it were not there
            continue
    return found


def _entry_points(group: str) -> List[Tuple[str, str]]:
    """Names and values, in the order in which a loader finds them."""
    try:
        found: Any = importlib.metadata.entry_points()
    except Exception:  # noqa: BLE001
        return []
    selected = found.select(group=group) if hasattr(found, "select") else found.get(group, ())
    return list(dict.fromkeys((entry_point.name, entry_point.value) for entry_point in selected))


def _broken() -> Dict[str, str]:
    """Module that cannot be imported -> why."""
    found = {}
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - whatever a package does where it should define itself
            found[name] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    main(*(argument == "yes" for argument in sys.argv[1:3]))
