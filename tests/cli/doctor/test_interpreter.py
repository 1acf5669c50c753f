"""Interpreters are really asked: what they would find, with which flags, and that nothing of the user's runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import harness
import interpreters
from hf_openobserve.cli.doctor import doors, interpreter

RUNS = "open({marker!r}, 'a').write('ran')\n"


@pytest.fixture
def ask(tmp_path):
    def run(python=sys.executable, flags="", imports=False, **environ):
        given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ}
        return interpreter.ask(python, given, str(tmp_path), flags, imports=imports)

    return run


@pytest.fixture
def theirs(tmp_path):
    """A directory with a sitecustomize that leaves a mark where it runs."""
    directory = tmp_path / "theirs"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(RUNS.format(marker=str(tmp_path / "ran")))
    return directory


def test_what_this_interpreter_finds(ask):
    facts = ask(imports=True)
    assert facts.version == sys.version_info[:3]
    assert os.path.samefile(facts.agent, harness.BOOTSTRAP.parent)
    assert facts.has_agent
    assert "openai" in facts.distributions
    assert "openai" in facts.names("opentelemetry_instrumentor")
    assert (facts.conflicts, facts.broken) == ([], {})
    assert os.path.exists(os.path.join(facts.loader, "sitecustomize.py"))


@pytest.mark.parametrize(
    ("flags", "door"),
    [("", "PYTHONPATH"), ("s", "PYTHONPATH"), ("I", ""), ("E", ""), ("S", "")],
)
def test_the_flags_decide_what_is_found_and_no_sitecustomize_runs(ask, theirs, tmp_path, flags, door):
    path = os.pathsep.join([str(harness.BOOTSTRAP), str(theirs)])
    facts = ask(flags=flags, PYTHONPATH=path)
    assert doors.entrance(facts, {"PYTHONPATH": path}, flags).door == door
    if door:
        assert facts.sitecustomize[:2] == [
            str(harness.BOOTSTRAP / "sitecustomize.py"),
            str(theirs / "sitecustomize.py"),
        ]
    assert not (tmp_path / "ran").exists()


def test_a_sitecustomize_before_ours_and_a_link_to_ours(ask, theirs, tmp_path):
    link = tmp_path / "agent"
    link.symlink_to(harness.BOOTSTRAP)
    assert doors.entrance(ask(PYTHONPATH=str(link)), {}).door == "PYTHONPATH"
    obstacle = doors.entrance(ask(PYTHONPATH=os.pathsep.join([str(theirs), str(link)])), {}).obstacle
    assert str(theirs / "sitecustomize.py") in obstacle.sentence


def test_what_is_said_is_what_happens(theirs, tmp_path):
    """Each command is run as well: the row of the table is true."""
    program = (
        "import sys; w = sys.modules.get('hf_openobserve.door.watch_imports'); print(w is not None and w.door.name)"
    )
    for flags, path in [("", [harness.BOOTSTRAP]), ("-I", [harness.BOOTSTRAP]), ("", [theirs, harness.BOOTSTRAP])]:
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, path))}
        facts = interpreter.ask(sys.executable, environ, str(tmp_path), flags[1:], imports=False)
        done = subprocess.run(
            [sys.executable, *flags.split(), "-c", program], env=environ, capture_output=True, text=True, check=True
        )
        said = doors.entrance(facts, environ, flags[1:]).door
        assert done.stdout.strip() == (said.lower() or "False")


def test_an_environment_without_the_agent(ask, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=60)
    python = str(tmp_path / "venv" / "bin" / "python")
    facts = ask(python)
    assert (facts.agent, facts.loader, facts.has_agent) == ("", "", False)
    # Through PYTHONPATH the agent comes along, and its dependencies would have to.
    facts = ask(python, imports=True, PYTHONPATH=str(harness.BOOTSTRAP))
    assert os.path.samefile(facts.agent, harness.BOOTSTRAP.parent)
    assert "openinference.instrumentation.openai" in facts.broken


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_an_old_python_says_that_it_is_one(ask, version):
    python = interpreters.find(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    with pytest.raises(interpreter.ProbeError, match=f"it is Python {version}.*needs 3.8 or newer"):
        ask(python)


def test_the_oldest_python_answers(ask):
    python = interpreters.find("3.8")
    if python is None:
        pytest.skip("this machine has no Python 3.8")
    assert ask(python).version[:2] == (3, 8)


@pytest.mark.parametrize(
    ("python", "text"),
    [("/nowhere/python", "No such file"), (shutil.which("false"), "ended with status 1: without a word")],
)
def test_what_is_no_python(ask, python, text):
    with pytest.raises(interpreter.ProbeError, match=text):
        ask(python)


def test_a_package_that_prints_and_one_with_damaged_metadata(ask, tmp_path):
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "dotenv.py").write_text("print('hello')\nprint('hf-openobserve-probe:no')\n")
    (tmp_path / "loud" / "damaged-1.0.dist-info").mkdir()
    (tmp_path / "loud" / "damaged-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    facts = ask(imports=True, PYTHONPATH=str(tmp_path / "loud"))
    assert "damaged" not in facts.distributions
    assert json.dumps(facts.broken) == "{}"
