from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

import hf_openobserve

COMMAND = [sys.executable, "-c", "import sys; from hf_openobserve.cli import main; sys.exit(main())"]


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)


def test_path_prints_the_directory_for_pythonpath_and_nothing_else():
    done = run("path")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 1
    assert os.path.isabs(lines[0])
    assert os.listdir(lines[0]).count("sitecustomize.py") == 1
    # Every Python file in it would shadow a module of the application's, and so would a directory with an __init__.py.
    assert [
        name for name in os.listdir(lines[0]) if name not in ("sitecustomize.py", "__pycache__", "__init__.py")
    ] == []


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (
        0,
        f"hf-openobserve {hf_openobserve.__version__}\n",
        b"",
    )


def test_help_lists_the_commands():
    done = run("--help")
    assert done.returncode == 0
    for name in ("path", "demo"):
        assert re.search(rf"^  {name}\b", done.stdout.decode(), re.MULTILINE)


def test_an_unknown_command_is_an_error():
    done = run("no-such-command")
    assert done.returncode == 2
    assert b"no-such-command" in done.stderr


@pytest.mark.parametrize("module", ["rich", "google.protobuf", "openai", "xllamacpp", "opentelemetry", "requests"])
def test_a_command_pays_only_for_what_it_needs(module):
    program = f"import sys; from hf_openobserve.cli import main; print({module!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"False"]
