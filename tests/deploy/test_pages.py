"""Every command of the pages on roll-out is run by a test, or is one of a tool that this machine cannot have.

The latter are listed.
"""

from __future__ import annotations

import re

import pytest

import harness

PAGES = ("docker.md", "kubernetes.md", "in-your-process.md")
OF_ENGINES = ("docker ", "kubectl ")
"""No engine and no cluster is here. What these commands are given is tested: see below, and
tests/bundle/test_containers.py.
"""
RUN_BY = {
    "make bundle": "noxfile.py",
    "env -u PYTHONPATH python app.py": "tests/deploy/test_in_your_process.py",
    "OPENOBSERVE_ENABLED=false python app.py": "tests/deploy/test_in_your_process.py",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai python app.py": "tests/deploy/test_in_your_process.py",
    "hf-openobserve outbox": "tests/deploy/test_in_your_process.py",
    'rm -rf "${XDG_STATE_HOME:-$HOME/.local/state}/hf-openobserve"': "tests/deploy/test_in_your_process.py",
    "pip uninstall -y hf-openobserve": "tests/test_readme.py",
    "python3 /hf-openobserve/bin/hf-openobserve ship --dir /outbox": "tests/bundle/test_containers.py",
    "python3 /hf-openobserve/bin/hf-openobserve doctor": "tests/bundle/test_containers.py",
    "python3 /hf-openobserve/bin/hf-openobserve outbox": "tests/bundle/test_containers.py",
}
"""Command -> the test that runs it. Of a command in a container that is what follows the image, or ``--``."""


def text(page):
    return (harness.REPOSITORY / "docs" / page).read_text(encoding="utf-8")


def commands(page):
    blocks = re.findall(r"```sh\n(.*?)```", text(page), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("export ")]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run_or_cannot_be(page):
    assert commands(page)
    for command in commands(page):
        within = re.search(r"python3 /hf-openobserve/.*", command)
        if command.startswith(OF_ENGINES) and within is None:
            continue
        assert within is None or command.startswith(OF_ENGINES)
        own = within.group() if within else command
        tested = (harness.REPOSITORY / RUN_BY[own]).read_text(encoding="utf-8").replace('", "', " ")
        assert own in tested, (own, RUN_BY[own])


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_commands_and_links_name_exist(page):
    named = set(re.findall(r"(?<![\w/])deploy/[\w/.-]+\w", text(page)))
    for name in named - {"deploy/application"}:  # of kubectl: a Deployment
        assert (harness.REPOSITORY / name).exists(), name
    for link in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text(page)):
        assert (harness.REPOSITORY / "docs" / link).exists(), link


def test_the_readme_leads_there():
    readme = (harness.REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [page for page in PAGES if f"](docs/{page})" not in readme] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_variable_is_one_that_is_read(page):
    from hf_openobserve.config import environment_variables

    ours = {name for name in vars(environment_variables) if name.startswith("OPENOBSERVE_")}
    named = set(re.findall(r"\bOPENOBSERVE_[A-Z_]+[A-Z]", text(page))) - {"OPENOBSERVE_PASSWORD"}  # Compose's example
    assert named <= ours
