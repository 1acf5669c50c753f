"""The virtual environments that are compared, side by side under ``.bench/``: same Python, same package versions.

The stock pipeline is resolved first; what it got constrains the others. Another tool's environment (``one``) has the
newest versions that go together. Made once; the agent's is made anew whenever its source has changed. Bytecode is
compiled everywhere (pip does it), as it is wherever startup is measured in earnest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
CACHE = REPOSITORY / ".bench"

STOCK = (
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp-proto-http",
    "openinference-instrumentation-openai",
)
NOOP = (
    # What the agent depends on, without an instrumentor and without another distro: the same number of installed
    # distributions to look through, as nearly as can be.
    str(HERE / "noop_distro"),
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "python-dotenv",
    "requests",
    "click",
    "rich",
)
OPENTELEMETRY_DOOR = "opentelemetry/instrumentation/auto_instrumentation"
AGENT_SOURCES = (REPOSITORY / "pyproject.toml", REPOSITORY / "agent")
NAMED = (
    "openai",
    "huggingface-hub",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "openinference-instrumentation-openai",
    "hf-openobserve",
)
"""Packages whose versions stand above the figures."""


STOCK_VARIABLES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}",
    # The stock distro's default is gRPC, which is another package; OpenObserve's page says HTTP.
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
AGENT_VARIABLES = {
    "OPENOBSERVE_URL": "{sink}",
    "OPENOBSERVE_AUTH_TOKEN": "Basic YmVuY2htYXJrOm5vdC1hLXJlYWwtcGFzc3dvcmQ=",  # not a real one
    "OPENOBSERVE_HF_OUTBOX_DIR": "{directory}/outbox",
    # The last spans are counted at the sink: on a slow machine, too.
    "OPENOBSERVE_HF_EXIT_TIMEOUT_S": "20",
}


class Environment(NamedTuple):
    """One virtual environment. ``door`` is the directory that instruments through PYTHONPATH, if it has one.

    variables: what a user of it sets; ``{sink}`` is the server's URL, ``{address}`` its host and port, ``{directory}``
    a place for files.
    """

    name: str
    directory: Path
    door: Optional[Path]
    variables: Mapping[str, str] = MappingProxyType({})

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.directory / "bin" / "python")

    @property
    def wrapper(self) -> str:
        """Its ``opentelemetry-instrument``."""
        return str(self.directory / "bin" / "opentelemetry-instrument")


def prepare(say: Callable[[str], None], *, openai: str = "openai", fresh: bool = False) -> Dict[str, Environment]:
    """Make what is missing; returns ``bare``, ``stock``, ``agent`` and ``noop``.

    Raises CalledProcessError if pip fails.

    openai: the requirement for that client in all of them. huggingface_hub is the newest that goes with the rest.
    """
    clients = (openai, "huggingface_hub")
    if fresh:
        shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(exist_ok=True)
    stock = _environment("stock", (*STOCK, *clients), (), say)
    constraints = CACHE / "constraints.txt"
    frozen = _pip(stock, "freeze").splitlines()
    constraints.write_text("".join(line + "\n" for line in frozen if "==" in line), encoding="utf-8")
    constrained = ("--constraint", str(constraints))
    bare = _environment("bare", clients, constrained, say)
    agent = _environment("agent", (str(REPOSITORY), *clients), constrained, say, AGENT_SOURCES)
    noop = _environment("noop", (*NOOP, *clients), constrained, say, (HERE / "noop_distro",))
    return {
        "bare": Environment("bare", bare, None),
        "stock": Environment("stock", stock, _package(stock, OPENTELEMETRY_DOOR), STOCK_VARIABLES),
        "agent": Environment("agent", agent, _package(agent, "hf_openobserve/bootstrap"), AGENT_VARIABLES),
        "noop": Environment("noop", noop, None),
    }


def one(
    name: str,
    requirements: Sequence[str],
    door: Optional[str],
    variables: Mapping[str, str],
    say: Callable[[str], None],
) -> Environment:
    """An environment apart, of the newest versions that go together.

    door: the directory that goes on PYTHONPATH, inside its site-packages or, if that has no such one, beside this file.
    """
    directory = _environment(name, requirements, (), say)
    if door is None:
        return Environment(name, directory, None, variables)
    beside = HERE / door
    return Environment(name, directory, beside if beside.is_dir() else _package(directory, door), variables)


def versions(environment: Environment, names: Sequence[str] = NAMED) -> Dict[str, str]:
    """The versions of these packages in an environment, of those that it has."""
    installed = {
        entry["name"].lower().replace("_", "-"): entry["version"]
        for entry in json.loads(_pip(environment.directory, "list", "--format=json"))
    }
    return {name: installed[name] for name in names if name in installed}


def clean_environ() -> Dict[str, str]:
    """The caller's environment without what changes an interpreter: PYTHONDONTWRITEBYTECODE above all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _environment(
    name: str,
    requirements: Sequence[str],
    options: Sequence[str],
    say: Callable[[str], None],
    sources: Sequence[Path] = (),
) -> Path:
    directory = CACHE / name
    stamp = directory / "benchmark.json"
    packages, sources_then = [sys.version, *requirements], _digest(sources)
    made = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else []
    if made == [packages, sources_then]:
        return directory
    say(f"installing the environment '{name}'")
    if made and made[0] == packages:  # only its own source has changed
        _pip(directory, "install", "--quiet", "--no-deps", "--force-reinstall", requirements[0])
    else:
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", str(directory)], env=clean_environ(), check=True)
        _pip(directory, "install", "--quiet", "--upgrade", "pip")  # the interpreter's own may be unable to resolve them
        _pip(directory, "install", "--quiet", *options, *requirements)
    stamp.write_text(json.dumps([packages, sources_then]), encoding="utf-8")
    return directory


def _pip(directory: Path, *arguments: str) -> str:
    command: List[str] = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env=clean_environ(), stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def _package(directory: Path, inside: str) -> Path:
    return next(directory.glob("lib/python*/site-packages/" + inside))


def _digest(sources: Sequence[Path]) -> str:
    """Of files and source trees, without what running them leaves there."""
    digest = hashlib.sha256()
    files = [path for source in sources for path in (source, *sorted(source.rglob("*"))) if path.is_file()]
    for path in (path for path in files if "__pycache__" not in path.parts):
        digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
