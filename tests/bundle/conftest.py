"""The bundle that `make bundle` wrote, and applications with packages of their own: `nox -s bundle` runs these."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
import interpreters
from scripted import Reply, ScriptedEndpoint, chat_body

TOOLS = harness.REPOSITORY / ".nox" / "bundle"
_APPLICATIONS = harness.REPOSITORY / ".nox" / "bundle-applications"


@pytest.fixture(scope="session")
def bundle():
    """Where it was written."""
    directory = harness.REPOSITORY / "dist" / "agent"
    if not (directory / "SHA256SUMS").exists() or not TOOLS.exists():
        pytest.skip("no bundle: make bundle")
    return directory


@pytest.fixture(scope="session")
def build():
    """``build(directory, "3.12")``: another one."""

    def built(directory, *targets):
        command = [TOOLS / "bin" / "python", harness.REPOSITORY / "deploy" / "bundle", "--out", directory, *targets]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)

    return built


@pytest.fixture(scope="session")
def bundle_of(bundle, build, tmp_path_factory):
    """``bundle_of("3.14")``: the bundle, or one for a Python that `make bundle` leaves out."""

    def found(version):
        if list(bundle.glob(f".hf-openobserve/cp{version.replace('.', '')}-*")):
            return bundle
        directory = tmp_path_factory.mktemp("bundle") / "agent"
        build(directory, version)
        return directory

    return found


@pytest.fixture(scope="session")
def interpreter():
    """``interpreter("3.8")``: this machine's, by its real path."""

    def found(version):
        path = interpreters.find(version)
        if path is None:
            pytest.skip(f"Python {version} is not on this machine: NOT TESTED")
        return path

    return found


@pytest.fixture(scope="session")
def application(interpreter):
    """``application("3.12", "openai==2.*")``: a directory with these packages and theirs, kept between runs.

    ``alone``: these packages without what they require.
    """

    def installed(version, *packages, alone=()):
        key = hashlib.sha256(repr((version, packages, alone)).encode()).hexdigest()[:16]
        directory = _APPLICATIONS / key
        if not directory.exists():
            uv = [str(TOOLS / "bin" / "uv"), "pip", "install", "--quiet", "--python", interpreter(version)]
            fresh = _APPLICATIONS / f"{key}.{os.getpid()}"
            for options, wanted in (((), packages), (("--no-deps",), alone)):
                if wanted:
                    subprocess.run([*uv, *options, "--target", str(fresh), *wanted], check=True)
            fresh.mkdir(parents=True, exist_ok=True)
            try:
                fresh.rename(directory)
            except OSError:  # another worker has made it meanwhile
                shutil.rmtree(str(fresh))
        return directory

    return installed


@pytest.fixture(scope="session")
def router():
    """A server that answers every chat."""
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:
        yield endpoint


@pytest.fixture
def env(tmp_path, router, openobserve):
    """The environment of an application that knows nothing of us.

    Nothing is written into the bundle: it is read-only.
    """
    its = {"HF_BASE_URL": router.url, "OPENAI_API_KEY": "x", "PYTHONDONTWRITEBYTECODE": "1"}
    return harness.environment(tmp_path, openobserve.environment, its)


@pytest.fixture
def under(bundle):
    """``under(env, *path)``: the same with the bundle's door on PYTHONPATH, before the application's own entries."""
    common = bundle

    def through(env, *path, door=("bootstrap",), bundle=common):
        entries = [str(bundle.joinpath(*door)), *map(str, path)]
        return {**env, "PYTHONPATH": os.pathsep.join(entries)}

    return through


@pytest.fixture
def script(tmp_path):
    """A plain program that makes one call, and says which files its modules came from."""
    path = Path(tmp_path, "program.py")
    path.write_text(CALL)
    return path


CALL = """
import json, os, sys
before = list(sys.path)
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model)
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print(json.dumps({"before": before, "after": sys.path, "files": files}))
"""
