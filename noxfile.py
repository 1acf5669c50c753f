"""The version matrix: every supported Python, with the oldest and newest packages it can have, and each openai line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Sequence

import nox

sys.path.insert(0, str(Path(__file__).parent / "tests"))
import interpreters

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
NOWHERE = ("3.14t",)
"""Without the GIL: no registry that CI reaches has an interpreter (docs/installing.md)."""
CLIENTS = {
    "0.30": ("huggingface_hub==0.30.*", "1.66"),
    "0.36": ("huggingface_hub==0.36.*", "2"),
    "1": ("huggingface_hub==1.*", "2"),
}
"""Each older line of huggingface_hub beside an older one of openai; ``newest`` has the newest of both."""
CLIENT_TESTS = (
    "tests/e2e/test_differential.py",
    "tests/e2e/test_huggingface_hub.py",
    "tests/e2e/test_huggingface_hub_instrumentor.py",
)
"""What a version of a client can break. 0.36 has them all on Python 3.8 (``newest``), 2 in ``make test``."""
FRAMEWORKS = "tests/frameworks"
COEXISTENCE = "tests/coexistence"
INSTRUMENTORS = "tests/instrumentors"
LITELLM = "litellm!=1.82.8,!=1.107.0"
"""Never those two releases: they were malicious. It is in this environment only, and no dependency."""
OPENAI = {"1.66": "openai==1.66.*", "2": "openai==2.*", "3": "openai==3.*"}
CORE = (
    "tests/e2e/test_calls.py",
    "tests/e2e/test_doors.py",
    "tests/unit/pipeline/test_provider.py",
    "tests/unit/pipeline/test_double_delivery.py",
)
"""What a package set can break, without what depends on the Python alone: all package sets fit into CI's time."""
STREAMS = "tests/e2e/test_openai_streams.py"
GARBAGE = "tests/e2e/test_garbage.py"
FIELD_CASES = "tests/e2e/test_field_cases.py"
MOCKS = ("respx", "pytest-httpx", "vcrpy")
"""Of httpx, which openai 2 sends with: they know nothing of httpx2."""
OLDEST_OF = {"3.13": {"openinference-instrumentation-openai": "0.1.19"}}
"""Where a Python cannot have the lower bound of a dependency."""
WHOLE = ("3.8",)
"""The oldest Python, with the oldest OpenInference. `make test` runs the whole suite with the newest of everything."""
BRIEF = ("3.14",)
"""Between 3.13 and 3.14 nothing differs that the other tests are about."""
PYTEST = ("pytest", "-q", "-n", "3", "--dist", "loadfile")
"""As ``make test``: the programs that a file's tests share run once, not once a worker; three workers for two cores,
since tests wait for servers that do not answer.
"""
NO_GO = 69
"""How ``deploy/collector/build.sh`` says that there is nothing to build from."""
TEST_TOOLS = (
    "pytest>=7.4",
    "pytest-timeout>=2.1",
    "pytest-xdist>=3.0",
    "hypothesis>=6.0",
    "huggingface_hub>=0.30",
    # No numpy: OpenInference 0.1.18 (Python 3.8) imports it, and the threads of its OpenBLAS are open for signals that
    # a program waits for by sigwait, which is one of the tests. The main environment has it.
    "aiohttp",
)


def backend() -> str:
    """uv, which installs in seconds what pip takes half a minute for; without it, or if it finds no package index, pip.

    uv reads no settings of pip's: where these name an index or a certificate, it may reach none.
    """
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        return "virtualenv"
    with tempfile.TemporaryDirectory() as nowhere:
        probe = [
            str(uv),
            "pip",
            "install",
            "-q",
            "--dry-run",
            "--target",
            nowhere,
            "-p",
            sys.executable,
            "pytest-timeout",
        ]
        return "virtualenv" if subprocess.run(probe, capture_output=True, check=False).returncode else "uv"


nox.options.default_venv_backend = backend()
os.environ.setdefault("UV_LINK_MODE", "copy")  # a cache on another file system cannot be linked, and would say so
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "oldest",
    "newest",
    "openai_lines",
    "clients",
    "frameworks",
    "instrumentors",
    "coexistence",
    "litellm",
    "functions",
    "installing",
    "hosts",
    "collector",
    "bundle",
    "bootstrap",
    "missing",
]


FOUND = {version: interpreters.find(version) for version in PYTHONS}
INSTALLED = [version for version, path in FOUND.items() if path]
# nox looks for python3.8 on PATH: the real interpreters go there, since pyenv's shims may not resolve that name.
os.environ["PATH"] = os.pathsep.join([*(str(Path(path).parent) for path in FOUND.values() if path), os.environ["PATH"]])


def lower_bounds(python: str) -> list[str]:
    """``name==version`` for every ``name>=version`` of our own dependencies, or the oldest that Python can have."""
    text = Path("pyproject.toml").read_text(encoding="utf-8")
    dependencies = text.split("dependencies = [", 1)[1].split("]", 1)[0]
    bounds = dict(re.findall(r'"([\w.-]+)>=([\w.]+)"', dependencies))
    bounds.update(OLDEST_OF.get(python, {}))
    return [f"{name}=={bound}" for name, bound in bounds.items()]


def llama_python() -> dict[str, str]:
    """llama.cpp's wheel needs Python 3.10 or newer: its server runs on the interpreter that runs nox."""
    return {"HF_OPENOBSERVE_LLAMA_PYTHON": os.environ.get("HF_OPENOBSERVE_LLAMA_PYTHON", sys.executable)}


def run_tests(session: nox.Session, *packages: str, only: Sequence[str] = ("tests",)) -> None:
    """Install the package beside ``packages`` and run the tests that every version must pass."""
    session.install("-q", ".", *TEST_TOOLS, *packages)
    listing = ("uv", "pip", "freeze") if session.venv_backend == "uv" else ("python", "-m", "pip", "freeze")
    session.run(*listing, external=True, silent=not session.posargs)
    session.run("python", "-m", *PYTEST, "-m", "matrix", *only, *session.posargs, env=llama_python())


@nox.session(python=[version for version in INSTALLED if version not in ("3.10", "3.11", "3.14")])
def oldest(session: nox.Session) -> None:
    """The lower bound of every dependency, and openai 1.66; 3.10 and 3.11 would have the very packages of 3.9 and 3.12.

    Of 3.14 the oldest packages know nothing.
    """
    run_tests(session, *lower_bounds(str(session.python)), OPENAI["1.66"], only=CORE)


@nox.session(python=INSTALLED)
def newest(session: nox.Session) -> None:
    """The newest of everything that this Python can have."""
    only = ("tests",) if session.python in WHOLE else (*CORE, STREAMS, CLIENT_TESTS[0], GARBAGE)
    if session.python in BRIEF:
        only = (*CORE, STREAMS)
    run_tests(session, "openai", only=only)


@nox.session(python=[version for version in ("3.10",) if version in INSTALLED])
@nox.parametrize("line", ["1.66", "2"])
def openai_lines(session: nox.Session, line: str) -> None:
    """The older openai lines beside the newest of all else; ``newest`` has the newest, 2 on Python 3.8 and 3.9."""
    mocks = MOCKS if line == "2" else ()
    run_tests(session, OPENAI[line], *mocks, only=(CORE[0], STREAMS, FIELD_CASES))


@nox.session(python="3.12")
@nox.parametrize("line", list(CLIENTS))
def clients(session: nox.Session, line: str) -> None:
    """The older lines of the two clients: the same program behaviour and requests, with the agent and without."""
    hub, openai = CLIENTS[line]
    errors = "tests/unit/wire/test_errors.py"
    only = {"0.30": (*CLIENT_TESTS, errors), "0.36": CLIENT_TESTS[:1], "1": (*CLIENT_TESTS, GARBAGE)}[line]
    run_tests(session, hub, OPENAI[openai], only=only)


@nox.session(python="3.12")
def frameworks(session: nox.Session) -> None:
    """The frameworks that call Hugging Face. One that cannot be installed fails the session: it is not skipped."""
    env = {"HF_OPENOBSERVE_FRAMEWORKS": "1", **llama_python()}
    session.install("-q", ".", *TEST_TOOLS, "-r", f"{FRAMEWORKS}/requirements.txt")
    # The version of each framework stands in the names of its tests.
    session.run("python", "-m", "pytest", "-v", "-n", "2", FRAMEWORKS, *session.posargs, env=env)


@nox.session(python="3.12")
def instrumentors(session: nox.Session) -> None:
    """Other instrumentors under the wrapper, each with its library: as under the stock distro."""
    env = {"HF_OPENOBSERVE_INSTRUMENTORS": "1"}
    session.install("-q", ".", *TEST_TOOLS, "openai", "-r", f"{INSTRUMENTORS}/requirements.txt")
    session.run("python", "-m", "pytest", "-v", "-n", "2", INSTRUMENTORS, *session.posargs, env=env)


@nox.session(python="3.12")
def coexistence(session: nox.Session) -> None:
    """Tools that see the same calls, and a server that is traced: one call is one row, and one trace."""
    env = {"HF_OPENOBSERVE_COEXISTENCE": "1", **llama_python()}
    session.install("-q", ".", *TEST_TOOLS, "openai", "-r", f"{COEXISTENCE}/requirements.txt")
    tests = (COEXISTENCE, "tests/e2e/test_official_sdk.py")
    session.run("python", "-m", *PYTEST, *tests, *session.posargs, env=env)


@nox.session(python="3.12")
@nox.parametrize("release", ["newest", "1.80.0"])
def litellm(session: nox.Session, release: str) -> None:
    """The third client, in an environment of its own: its newest release, and one of a year ago.

    Not 1.80.17, which fetches a tokenizer from the network at its first call.
    """
    wanted = LITELLM if release == "newest" else f"litellm=={release}"
    session.install("-q", ".", *TEST_TOOLS, wanted, "tenacity", "openai", "openinference-instrumentation-litellm")
    tests = ("tests/e2e/test_client_contract.py", "tests/e2e/test_litellm.py")
    session.run("python", "-m", *PYTEST, "-k", "litellm", *tests, *session.posargs)


@nox.session(python="3.12")
def functions(session: nox.Session) -> None:
    """Functions that are stopped when they have answered: under AWS's own runtime client, and FastAPI's."""
    session.install("-q", ".", *TEST_TOOLS, "openai", "awslambdaric", "fastapi", "uvicorn", "gunicorn", "trio")
    tests = ("tests/functions", "tests/unit/pipeline/test_flushing.py")
    session.run("python", "-m", "pytest", "-q", "-n", "2", *tests, *session.posargs)


@nox.session(python="3.12")
def installing(session: nox.Session) -> None:
    """Wheel and sdist as they are published, and every way of installing of docs/installing.md."""
    session.run("make", "wheel", external=True, silent=True)
    session.install("-q", ".", *TEST_TOOLS, "uv", "pipx", "pex", "shiv")
    session.run("python", "-m", "pytest", "-q", "-n", "2", "tests/installing", *session.posargs)


@nox.session(python=False)
def hosts(session: nox.Session) -> None:
    """Web servers, reloaders, pools and notebooks, each started, forked and killed, in ``make test``'s environment."""
    session.run(sys.executable, "-m", *PYTEST, "-m", "hosts", external=True)


@nox.session(python=False)
def collector(session: nox.Session) -> None:
    """Programs under the agent, a real OpenTelemetry Collector, OpenObserve behind it.

    It runs in the environment of ``make test``.
    """
    built = subprocess.run(["deploy/collector/build.sh"], check=False).returncode
    if built == NO_GO:
        session.skip("NOT TESTED: no Collector, since Go is absent or its modules cannot be had (see above)")
    if built:
        session.error(f"deploy/collector/build.sh ended with {built}")
    env = {"HF_OPENOBSERVE_COLLECTOR": "1"}
    session.run(sys.executable, "-m", *PYTEST, "tests/collector", external=True, env=env)


@nox.session(python=False)
def bundle(session: nox.Session) -> None:
    """The agent's directory for every Python: built, compared with a second build, and run as it is injected."""
    session.run("make", "bundle", f"PYTHON={sys.executable}", external=True)
    session.run(sys.executable, "-m", *PYTEST, "-m", "bundle", "tests/bundle", external=True)


@nox.session(python=False)
def bootstrap(session: nox.Session) -> None:
    """Python 2.7, 3.6 and 3.7: the bootstrap loads, does nothing and says nothing."""
    session.run(sys.executable, "-m", "pytest", "-q", "tests/test_bootstrap_old_pythons.py", external=True)


@nox.session(python=False)
def missing(session: nox.Session) -> None:
    """Say which interpreters of the matrix this machine lacks: not tested is not passed."""
    absent = [*(version for version, path in FOUND.items() if path is None), *NOWHERE]
    session.warn(f"NOT TESTED, interpreter missing: Python {', '.join(absent)}")
