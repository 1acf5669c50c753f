"""Through which door a program comes to the agent, and what stands in the way: distro, configurator, sitecustomize."""

from __future__ import annotations

import os
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional

from hf_openobserve.cli.doctor.finding import YELLOW, Finding, green, red, yellow
from hf_openobserve.cli.doctor.interpreter import Facts
from hf_openobserve.cli.doctor.probe import is_ours
from hf_openobserve.clients import table
from hf_openobserve.config import environment_variables as names
from hf_openobserve.door import switches

OURS = "hf_openobserve"
PYTHONPATH = "PYTHONPATH"
WRAPPER = "opentelemetry-instrument"
_CHAINING = (os.path.join("ddtrace", "bootstrap"), os.path.join("newrelic", "bootstrap"))
"""Directories whose sitecustomize runs the next one, as ours does."""
_ADD_DOOR = "Start it by `opentelemetry-instrument ...`, or set PYTHONPATH=$(hf-openobserve path)"


class Entrance(NamedTuple):
    """How a program comes to the agent. ``door``: empty if it does not; then ``obstacle`` says why."""

    door: str
    obstacle: Optional[Finding] = None


def entrance(facts: Facts, environ: Mapping[str, str], flags: str = "", subject: str = "command") -> Entrance:
    """Which door a program uses that this interpreter runs with this environment and these flags."""
    first, *later = [path for path in facts.sitecustomize if not _chains(path)] or [""]
    if first and is_ours(first):
        return Entrance(PYTHONPATH)
    if first and facts.loader and _is_loader(first):
        return _through_the_loader(facts, environ, subject)
    if first and _is_loader(first):
        what = f"{facts.executable} has no OpenTelemetry, which the wrapper loads there"
        return Entrance("", red(subject, what, _install(facts)))
    ignored = "".join(flag for flag in flags if flag in "EIS")
    if ignored and any(map(_is_a_door, environ.get("PYTHONPATH", "").split(os.pathsep))):
        what = f"-{ignored} makes Python ignore {'site' if 'S' in ignored else 'PYTHONPATH'}, and so the agent"
        return Entrance("", red(subject, what, f"Start the program without -{ignored}"))
    if any(_is_a_door(os.path.dirname(path)) for path in later):
        what = f"{first} comes first on PYTHONPATH, and Python imports one sitecustomize alone"
        remedy = "Put the agent's directory first: PYTHONPATH=$(hf-openobserve path):... - it runs the other one, too"
        return Entrance("", red(subject, what, remedy))
    return Entrance("", red(subject, "neither door is used: nothing loads the agent", _ADD_DOOR))


def check(facts: Facts, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What would win in programs that are started from here, through either door."""
    yield _distro_of_the_wrapper(facts, environ)
    configurator = environ.get(names.OTEL_PYTHON_CONFIGURATOR) or OURS
    if configurator != OURS:
        what = f"{names.OTEL_PYTHON_CONFIGURATOR}={configurator} sets up a pipeline of its own beside the agent's"
        yield yellow("configurator", what, f"Unset {names.OTEL_PYTHON_CONFIGURATOR}")
    else:
        yield green("configurator", f"ours (installed: {_listed(facts.names('opentelemetry_configurator'))})")
    yield _sitecustomize(facts, environ)
    yield from _instrumentors(facts, environ)


def preselected(environ: Mapping[str, str], wrapper: Facts, cwd: str) -> Dict[str, str]:
    """The environment that the wrapper command hands on: PYTHONPATH, and our distro where nobody asked for another one.

    ``wrapper``: of the interpreter that runs the wrapper, which may be another one than the program's.
    """
    result = dict(environ)
    entries = [entry for entry in result.get("PYTHONPATH", "").split(os.pathsep) if entry]
    has_us = OURS in wrapper.names("opentelemetry_environment_variables")
    if has_us and (result.get(names.OTEL_PYTHON_DISTRO) or OURS) == OURS:
        result[names.OTEL_PYTHON_DISTRO] = OURS
        result[names.OTEL_PYTHON_CONFIGURATOR] = result.get(names.OTEL_PYTHON_CONFIGURATOR) or OURS
        entries.insert(0, os.path.join(wrapper.agent, "bootstrap"))
    entries = [wrapper.loader, cwd, *entries]
    result["PYTHONPATH"] = os.pathsep.join(entry for entry in dict.fromkeys(entries) if entry)
    return result


def _through_the_loader(facts: Facts, environ: Mapping[str, str], subject: str) -> Entrance:
    distro = environ.get(names.OTEL_PYTHON_DISTRO) or OURS
    if distro != OURS:
        return Entrance("", _another_distro(facts, environ, distro, subject))
    if not facts.has_agent:
        what = f"{facts.executable} has no hf-openobserve, so the wrapper loads another distro there"
        return Entrance("", red(subject, what, _install(facts)))
    return Entrance(WRAPPER)


def _distro_of_the_wrapper(facts: Facts, environ: Mapping[str, str]) -> Finding:
    installed = facts.names("opentelemetry_distro")
    distro = environ.get(names.OTEL_PYTHON_DISTRO) or OURS
    if distro != OURS:
        found = _another_distro(facts, environ, distro, "distro")
        if entrance(facts, environ).door == PYTHONPATH:  # programs come to the agent by the other door
            return found._replace(level=YELLOW)
        return found
    if not facts.has_agent:
        what = f"{facts.executable} has no hf-openobserve: under {WRAPPER} another distro is used there"
        if facts.agent:
            what += f" (the agent in {facts.agent} is found, and is not installed)"
            return yellow("distro", what, "Use PYTHONPATH, or install it: " + _install(facts))
        return red("distro", what, _install(facts))
    others = [name for name in installed if name != OURS]
    beside = f" (also installed: {_listed(others)})" if others else ""
    return green("distro", f"ours under {WRAPPER}, which is told so before the program starts{beside}")


def _another_distro(facts: Facts, environ: Mapping[str, str], distro: str, subject: str) -> Finding:
    named = f"{names.OTEL_PYTHON_DISTRO}={distro}"
    if distro not in facts.names("opentelemetry_distro"):
        return red(subject, f"{named}, and no such distro is installed", f"Unset {names.OTEL_PYTHON_DISTRO}")
    exporters = environ.get(names.OTEL_TRACES_EXPORTER, "").split(",")
    if "openobserve" in [name.strip() for name in exporters]:
        what = f"{named}: our columns are in its pipeline by OTEL_TRACES_EXPORTER=openobserve, without the outbox"
        return yellow(subject, what, f"Unset {names.OTEL_PYTHON_DISTRO} for all that the agent does")
    remedy = f"Unset {names.OTEL_PYTHON_DISTRO}; or keep it, and set {names.OTEL_TRACES_EXPORTER}=openobserve"
    return red(subject, f"{named} selects another distro, and the agent stands back", remedy)


def _sitecustomize(facts: Facts, environ: Mapping[str, str]) -> Finding:
    found = entrance(facts, environ, subject="sitecustomize")
    if found.door == PYTHONPATH:
        others = [path for path in facts.sitecustomize if not is_ours(path)]
        after = f"; {_listed(others)} runs as well" if others else ""
        return green("sitecustomize", f"ours, through PYTHONPATH: every Python program from here is recorded{after}")
    if any(is_ours(path) for path in facts.sitecustomize) and found.obstacle is not None:
        return found.obstacle
    theirs = f" ({facts.sitecustomize[0]} is the one that runs)" if facts.sitecustomize else ""
    return green("sitecustomize", f"PYTHONPATH does not name the agent: {WRAPPER} is the door{theirs}")


def _instrumentors(facts: Facts, environ: Mapping[str, str]) -> Iterator[Finding]:
    disabled = sorted(switches.disabled_instrumentations(environ))
    installed = dict.fromkeys(facts.names("opentelemetry_instrumentor"))
    others = [name for name in installed if name not in table.BY_NAME and not {name, "*"} & set(disabled)]
    ours = [name for name in table.BY_NAME if not {name, "*"} & set(disabled)]
    what = f"{_listed(ours)} by the agent; {_listed(others)} as installed, under {WRAPPER}"
    if len(ours) == len(table.BY_NAME):
        yield green("instrumentors", what)
    else:
        off = f"{names.OTEL_PYTHON_DISABLED_INSTRUMENTATIONS}={','.join(disabled)}"
        yield yellow("instrumentors", f"{what}; {off} leaves out calls of the others", f"Take them out of {off}")


def _chains(path: str) -> bool:
    return os.path.dirname(os.path.realpath(path)).endswith(_CHAINING)


def _is_a_door(directory: str) -> bool:
    path = os.path.join(directory, "sitecustomize.py")
    return is_ours(path) or _is_loader(path)


def _is_loader(path: str) -> bool:
    return os.path.dirname(path).endswith(os.path.join("opentelemetry", "instrumentation", "auto_instrumentation"))


def _install(facts: Facts) -> str:
    return f"{facts.executable} -m pip install hf-openobserve"


def _listed(words: List[str]) -> str:
    return ", ".join(words) or "none"
