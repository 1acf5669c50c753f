"""Interpreters that the agent does not support inherit PYTHONPATH all the same: the bootstrap loads, and that is all.

An interpreter that this machine lacks is skipped by name (``pytest -ra`` shows it): not tested is not passed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import harness
import interpreters

REPOSITORY = Path(__file__).resolve().parent.parent
BOOTSTRAP = REPOSITORY / "agent" / "hf_openobserve" / "bootstrap"
UNSUPPORTED = ("2.7", "3.6", "3.7")
SUPPORTED = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@pytest.fixture(scope="module")
def found():
    return {version: interpreters.find(version) for version in (*UNSUPPORTED, *SUPPORTED)}


@pytest.fixture
def python(request, found):
    """The interpreter of the version that the test names."""
    if found[request.param] is None:
        pytest.skip(f"Python {request.param} is not on this machine: NOT TESTED")
    return found[request.param]


old = pytest.mark.parametrize("python", UNSUPPORTED, indirect=True)
every = pytest.mark.parametrize("python", [*UNSUPPORTED, *SUPPORTED], indirect=True)


def run(python, arguments, cwd, path, **environ):
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    env.update(environ, PYTHONPATH=os.pathsep.join(map(str, path)))
    done = harness.run(arguments, door=None, env=env, cwd=cwd, python=python, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def users(tmp_path):
    """A directory with a sitecustomize of the user's own."""
    directory = tmp_path / "users"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import sys\nsys.users_sitecustomize = getattr(sys, 'users_sitecustomize', 0) + 1\n"
    )
    return directory


SHOW_OURS = "import sys; print(sorted(name for name in sys.modules if name.startswith('hf_openobserve')))"


@old
@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="plain"),
        pytest.param({"OPENOBSERVE_HF_DEBUG": "true"}, id="debug"),
        pytest.param({"PYTHONWARNINGS": "error"}, id="warnings-are-errors"),
        pytest.param({"OPENOBSERVE_ENABLED": "false"}, id="switched-off"),
    ],
)
def test_it_loads_and_does_nothing_and_says_nothing(python, tmp_path, environ):
    code, stdout, stderr = run(python, ["-c", SHOW_OURS], tmp_path, [BOOTSTRAP], **environ)
    assert (code, stdout, stderr) == (0, "[]\n", "")


@old
def test_the_path_and_the_modules_are_those_of_a_run_without_us(python, tmp_path):
    program = "import sys; print(sys.path[2:]); print(sorted(set(sys.modules) - set(['sitecustomize'])))"
    empty = tmp_path / "empty"
    empty.mkdir()
    # Finding out whether the user has a sitecustomize takes these of Python 3's, and ``imp`` of Python 2's.
    with_us = run(python, ["-c", program], tmp_path, [BOOTSTRAP])
    without = run(python, ["-c", program], tmp_path, [empty])
    assert with_us[0] == without[0] == 0
    assert with_us[1].splitlines()[0] == without[1].splitlines()[0]
    new = set(eval(with_us[1].splitlines()[1])) - set(eval(without[1].splitlines()[1]))
    assert new <= {"imp"}


@every
def test_the_users_sitecustomize_runs_once(python, tmp_path, users):
    program = "import sys; print(sys.users_sitecustomize)"
    expected = run(python, ["-c", program], tmp_path, [users])
    assert expected == (0, "1\n", "")
    for path in ([BOOTSTRAP, users], [users, BOOTSTRAP]):
        assert run(python, ["-c", program], tmp_path, path) == expected


@every
def test_an_error_in_the_users_sitecustomize_is_said_as_python_says_it(python, tmp_path, users):
    (users / "sitecustomize.py").write_text("raise ValueError('mine')\n")
    program = ["-c", "print('runs')"]
    bare = run(python, program, tmp_path, [users])
    ours = run(python, program, tmp_path, [BOOTSTRAP, users])
    assert bare[:2] == (0, "runs\n")
    assert "sitecustomize" in bare[2]
    assert ours == bare


@every
def test_a_link_to_the_directory_loads(python, tmp_path, users):
    # As a Dockerfile makes it, since ENV cannot run a command.
    link = tmp_path / "link"
    link.symlink_to(BOOTSTRAP)
    program = "import sys; print(sys.users_sitecustomize)"
    assert run(python, ["-c", program], tmp_path, [link, users]) == (0, "1\n", "")
    assert run(python, ["-c", program], tmp_path, [BOOTSTRAP, link, users]) == (0, "1\n", "")


@every
@pytest.mark.parametrize("flag", ["-S", "-E", "-s"])
def test_flags_of_the_interpreter(python, tmp_path, flag):
    assert run(python, [flag, "-c", "print('runs')"], tmp_path, [BOOTSTRAP]) == (0, "runs\n", "")


@every
def test_the_file_compiles(python, tmp_path):
    program = """
import sys
with open(sys.argv[1], "rb") as file:
    compile(file.read(), sys.argv[1], "exec")
print("compiles")
"""
    source = str(BOOTSTRAP / "sitecustomize.py")
    # ``-W error``: no syntax that the interpreter warns about either.
    assert run(python, ["-W", "error", "-c", program, source], tmp_path, []) == (0, "compiles\n", "")


@pytest.mark.parametrize("python", SUPPORTED, indirect=True)
def test_supported_pythons_arm_and_say_nothing(python, tmp_path):
    code, stdout, stderr = run(python, ["-c", SHOW_OURS], tmp_path, [BOOTSTRAP])
    assert (code, stderr) == (0, "")
    assert "'hf_openobserve.process.import_hook'" in stdout


def test_some_interpreter_was_found(found):
    """The one that runs the tests, at least: a search that finds nothing would skip everything."""
    version = "{}.{}".format(*sys.version_info[:2])
    if version not in found:
        pytest.skip(f"Python {version} is newer than the list")
    assert [name for name, path in found.items() if path is not None]
