"""Which program packages the agent cannot work with: asked before anything of it is imported, and by ``doctor``.

The program's packages are used where they are in the range that works; what it has not comes from the agent's directory
(docs/laws.md#6). Ranges are those that the packages say themselves, and for OpenTelemetry, whose releases pin each
other, what was tried: ``tests/bundle/test_combinations.py``.
"""

from __future__ import annotations

import sys
from typing import Any, Iterator, List, NamedTuple, Optional, Set, Tuple

from hf_openobserve.process import dependencies, diagnostics
from hf_openobserve.process.packages import Package, Packages, normal

AGENT = "hf-openobserve"
FOR_COMMANDS = ("click", "python-dotenv", "rich")
"""Requirements of the agent's that no activation imports; but for a ``.env``, which has been read before this is asked.
"""
FOR_ANOTHER_DISTRO = ("opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http")
"""Those that neither imports: a bundle does not have them."""


class _Tried(NamedTuple):
    """What ``source``, in these versions, works with of ``target``, whatever its metadata says."""

    source: str
    versions: str
    target: str
    works: str


_TRIED = (
    # An SDK pins the API of its own release; older ones run with every newer one.
    _Tried("opentelemetry-sdk", ">=1.43.0", "opentelemetry-api", ">=1.43.0"),
    _Tried("opentelemetry-sdk", ">=1.34.0,<1.43.0", "opentelemetry-api", ">=1.33.0"),
    _Tried("opentelemetry-sdk", "<1.34.0", "opentelemetry-api", ">=1.30.0"),
    _Tried("opentelemetry-sdk", "<1.34.0", "opentelemetry-semantic-conventions", ">=0.51b0"),
    # The conventions are names: they need nothing of the API.
    _Tried("opentelemetry-semantic-conventions", ">=0", "opentelemetry-api", ">=1.30.0"),
    _Tried("opentelemetry-instrumentation", ">=0.55b0", "opentelemetry-semantic-conventions", ">=0.54b0"),
    _Tried("opentelemetry-instrumentation", "<0.55b0", "opentelemetry-semantic-conventions", ">=0.51b0"),
    _Tried("opentelemetry-instrumentation", "<0.55b0", "wrapt", ">=1.0,<3"),
    # It names an argument of wrapt's that wrapt 2 calls otherwise.
    _Tried("openinference-instrumentation-openai", "<0.1.19", "wrapt", ">=1.0,<2"),
)


class Conflict(NamedTuple):
    """A package of the program's that is out of range; ``version`` is empty where it is missing."""

    name: str
    version: str
    range: str

    def __str__(self) -> str:
        """As a clause of a sentence."""
        if not self.version:
            return f"{self.name} is not installed, {self.range or 'any version'} is needed"
        return f"{self.name} {self.version} is installed, {self.range} is needed"

    @property
    def remedy(self) -> str:
        """What to do."""
        return f"pip install '{self.name}{self.range}'"


def explain() -> Optional[str]:
    """The first conflict of this process as a clause; None if there is none."""
    return next((str(conflict) for conflict in found()), None)


def found(*, for_commands: bool = False) -> List[Conflict]:
    """What stands in the way in this process."""
    return choose(for_commands=for_commands)[1]


def choose(*, for_commands: bool = False) -> Tuple[List[str], List[Conflict]]:
    """The agent's directories that go with the program's packages, and what stands in the way all the same."""
    sets = dependencies.sets()
    path = [entry for entry in sys.path if entry not in dependencies.reached]
    first: Optional[List[Conflict]] = None
    for directories in sets:
        conflicts = list(between(Packages(path, directories), for_commands=for_commands))
        if not conflicts:
            return list(directories), []
        first = first if first is not None else conflicts
    return list(sets[0]), first or []


def between(packages: Packages, *, for_commands: bool = False) -> Iterator[Conflict]:
    """Compare each package that the agent needs with the ranges of those that need it.

    Two that the program has are its own affair, and two of ours go together.
    """
    agent = packages.of_the_agent(AGENT)
    if agent is None:
        return
    skipped: Set[str] = set() if for_commands else {*FOR_COMMANDS, *FOR_ANOTHER_DISTRO}
    if dependencies.is_bundle():
        skipped.update(FOR_ANOTHER_DISTRO)
    done: Set[str] = {AGENT}
    waiting = [agent]
    said: Set[str] = set()
    while waiting:
        source = waiting.pop(0)
        for name, specifier in _needed(source):
            if source is agent and name in skipped:
                continue
            target = packages.find(name)
            if target is None and source is agent:
                yield Conflict(name, "", str(specifier))
            if target is None:
                continue
            if name not in said and _matters(source, target, agent) and not _contains(specifier, target.version):
                said.add(name)
                yield Conflict(name, target.version, str(specifier))
            if name not in done and name not in FOR_COMMANDS + FOR_ANOTHER_DISTRO:
                done.add(name)
                waiting.append(target)


def _matters(source: Package, target: Package, agent: Package) -> bool:
    return source is agent or source.is_own is not target.is_own


def _needed(source: Package) -> Iterator[Tuple[str, Any]]:
    """Name and range of each requirement: what was tried, else what the metadata says."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    tried = {
        entry.target: SpecifierSet(entry.works)
        for entry in _TRIED
        if entry.source == source.name and _contains(SpecifierSet(entry.versions), source.version)
    }
    for text in source.requires:
        try:
            requirement = Requirement(text)
        except ValueError:  # of an old package, before there was a rule
            diagnostics.pass_the_programs_own()
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = normal(requirement.name)
            yield name, tried.pop(name, requirement.specifier)
    yield from tried.items()


def _contains(specifier: Any, version: str) -> bool:
    """Where nobody knows the version, or nobody can read it, it is tried."""
    from packaging.version import Version

    try:
        contained: bool = not version or specifier.contains(Version(version), prereleases=True)
    except ValueError:  # no version by the rules
        diagnostics.pass_the_programs_own()
        return True
    return contained
