"""Each way of installing that docs/installing.md shows: its commands are run, and the row of the call arrives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import harness
from router import ScriptedRouter
from test_readme import of_pip

PAGE = (harness.REPOSITORY / "docs" / "installing.md").read_text(encoding="utf-8")
TOOLS = Path(sys.executable).parent
APP = """
import os, openai

def main():
    client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0, api_key="x" * 20)
    print(client.chat.completions.create(model="scripted/plain", messages=[{"role": "user", "content": "Hi"}]).model)

if __name__ == "__main__":
    main()
"""
PROJECT = """
[project]
name = "sometool"
version = "1"
dependencies = ["openai"]
[project.scripts]
sometool = "sometool:main"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
include = ["sometool.py"]
"""


def wheels(kind):
    found = sorted((harness.REPOSITORY / "dist").glob(f"hf_openobserve-*{kind}"))
    if not found:
        pytest.skip("`make wheel` has not been run")
    return str(found[-1])


def block(containing):
    (found,) = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if containing in text]
    return found


def environment(name, *packages):
    """A new virtual environment with these packages."""
    venv.create(str(name), with_pip=False)
    command = [str(TOOLS / "uv"), "pip", "install", "--quiet", "--python", str(name / "bin" / "python"), *packages]
    subprocess.run(command, check=True)
    return name


@pytest.fixture(scope="module")
def links(tmp_path_factory):
    """A directory with the wheel of an application that others have written."""
    project = tmp_path_factory.mktemp("sometool")
    (project / "sometool.py").write_text(APP)
    (project / "pyproject.toml").write_text(PROJECT)
    subprocess.run([str(TOOLS / "uv"), "build", "--quiet", "--wheel", str(project)], check=True)
    return str(project / "dist")


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """An environment with the agent, and what a program of one's own needs."""
    return environment(tmp_path_factory.mktemp("agent") / "venv", wheels(".whl"), "openai")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What one test has fetched by uv need not be fetched by the next."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def run(tmp_path, links, cache, openobserve):
    """``run(script, *environments)``: in a directory with ``app.py``. The answer, and the rows that came of it."""
    (tmp_path / "app").mkdir()
    for path in ("app.py", "app/app.py"):
        (tmp_path / path).write_text(APP)
    with ScriptedRouter() as router:

        def run(script, *environments):
            env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": router.url}, of_pip())
            # What is not there comes from the index.
            env.update({"UV_FIND_LINKS": links, "PIP_FIND_LINKS": links, "PIP_NO_COMPILE": "1"})
            env.update({"WHEEL": wheels(".whl"), "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"})
            env.update(
                {name: value for name, value in os.environ.items() if name.startswith("UV_") and "INDEX" in name}
            )
            env["UV_CACHE_DIR"] = os.environ.get("UV_CACHE_DIR", cache)
            directories = [str(path / "bin") for path in environments]
            env["PATH"] = os.pathsep.join([*directories, f"{env['HOME']}/.local/bin", str(TOOLS), env["PATH"]])
            done = subprocess.run(
                ["sh", "-ec", script], env=env, cwd=str(tmp_path), capture_output=True, timeout=170, check=False
            )
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout.decode().split()[-1], openobserve.wait_for_rows(1)

        yield run


def test_the_sdist(run, tmp_path):
    """All others install the wheel."""
    there = environment(tmp_path / "venv", wheels(".tar.gz"), "openai")
    answer, rows = run(block("pip install").splitlines()[-1], there)
    assert (answer, len(rows)) == ("plain", 1)


@pytest.mark.parametrize("command", ["uv run", "uvx"])
def test_uv(run, command):
    (line,) = [line for line in block("uv run").splitlines() if line.startswith(command)]
    answer, rows = run(line)
    assert (answer, len(rows)) == ("plain", 1)


@pytest.mark.parametrize("command", ["uv tool", "pipx"])
def test_tools(run, command):
    answer, rows = run(block(command))
    assert (answer, len(rows)) == ("plain", 1)


@pytest.mark.parametrize("command", ["zipapp", "shiv", "pex sometool"])
def test_archives(run, agent, links, tmp_path, command):
    script = block(command)
    if command != "zipapp":
        # Both would call pip, which takes a minute of a busy machine: they get what it would have installed.
        tool = environment(tmp_path / "tool", "--find-links", links, "sometool")
        (packages,) = tool.glob("lib/*/site-packages")
        script = script.replace("pex sometool", f"pex --venv-repository {tool} sometool")
        script = script.replace("sometool.pyz sometool\n", f"sometool.pyz --site-packages {packages}\n")
    answer, rows = run(script, agent)
    assert (answer, len(rows)) == ("plain", 1)
