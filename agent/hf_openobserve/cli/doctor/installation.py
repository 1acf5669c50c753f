"""What is installed for an interpreter: its version, the agent, what it needs, and the clients that it records."""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple, Tuple

from hf_openobserve.cli.doctor.finding import Finding, green, red, yellow
from hf_openobserve.cli.doctor.interpreter import Facts


class _Client(NamedTuple):
    """Versions that are tested: from ``oldest`` on, below ``untested`` (empty: to the newest)."""

    distribution: str
    oldest: str
    untested: str


_CLIENTS = (
    _Client("openai", "1.66", "4"),
    _Client("huggingface-hub", "0.30", "3"),
    _Client("litellm", "1.80", ""),
)
_WORTH_SHOWING = (
    "opentelemetry-sdk",
    "opentelemetry-distro",
    "openinference-instrumentation-openai",
)


def check(facts: Facts) -> Iterator[Finding]:
    """The interpreter's packages, against what the agent needs and records."""
    version = ".".join(map(str, facts.version))
    yield green("interpreter", f"Python {version} ({facts.executable})", python=version, executable=facts.executable)
    agent = facts.distributions.get("hf-openobserve", "")
    if facts.agent:
        yield green("hf-openobserve", f"{agent or 'not installed, but found'} in {facts.agent}", version=agent)
    else:
        yield red("hf-openobserve", "is not there", f"{facts.executable} -m pip install hf-openobserve")
    yield from _needed(facts)
    yield from _clients(facts)


def _needed(facts: Facts) -> Iterator[Finding]:
    pip = f"{facts.executable} -m pip install"
    for sentence in facts.conflicts:
        name = sentence.split()[0]
        wanted = re.search(r"[<>=!~][^ ]*(?= is needed)", sentence)
        yield red(name, sentence, f"{pip} '{name}{wanted.group() if wanted else ''}'")
    said = set()
    for module, error in facts.broken.items():
        # What is missing stands above, and one broken package breaks all that import it.
        if error in said or (facts.conflicts and error.startswith("ModuleNotFoundError")):
            continue
        said.add(error)
        package = module.split(".")[0]
        remedy = f"Install it anew: {pip} --force-reinstall hf-openobserve"
        if package not in ("hf_openobserve", "opentelemetry", "openinference"):
            remedy = f"Install it anew: {pip} --force-reinstall {package}"
        yield red(package, f"{module} cannot be imported ({error})", remedy)
    if not facts.conflicts and not facts.broken:
        shown = [f"{name} {facts.distributions[name]}" for name in _WORTH_SHOWING if name in facts.distributions]
        yield green("OpenTelemetry", ", ".join(shown) or "all that the agent needs can be imported")


def _clients(facts: Facts) -> Iterator[Finding]:
    found = False
    for client in _CLIENTS:
        version = facts.distributions.get(client.distribution)
        if version is None:
            continue
        found = True
        if _numbers(version) < _numbers(client.oldest):
            what = f"{version} is too old: {client.oldest} and newer are recorded"
            remedy = f"{facts.executable} -m pip install --upgrade '{client.distribution}>={client.oldest}'"
            yield red(client.distribution, what, remedy, version=version)
        elif client.untested and _numbers(version) >= _numbers(client.untested):
            what = f"{version} is newer than what was tested (below {client.untested})"
            yield yellow(client.distribution, what, "Look whether its calls have rows", version=version)
        else:
            yield green(client.distribution, version, version=version)
    if not found:
        names = ", ".join(client.distribution for client in _CLIENTS)
        yield yellow("clients", f"none of {names} is installed there: no call can be recorded", "Install what you call")


def _numbers(version: str) -> Tuple[int, ...]:
    """The first two numbers of a version; a text without any counts as the oldest."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
