"""Every interpreter and way of having packages: spans arrive, and the application's packages are the ones imported."""

from __future__ import annotations

import json
import os
import subprocess
import zipapp

import pytest

import harness

pytestmark = pytest.mark.bundle

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
OLD = ("2.7", "3.6", "3.7")
OPERATORS = ("opentelemetry", "instrumentation", "auto_instrumentation")


def environment_of(python, directory, *options, packages=None):
    """A virtual environment that sees ``packages`` as installed in it; its interpreter."""
    subprocess.run([python, "-m", "venv", "--without-pip", *options, str(directory)], check=True)
    if packages is not None:
        (site,) = directory.glob("lib/python*/site-packages")
        site.rmdir()
        site.symlink_to(packages)
    return str(directory / "bin" / "python")


def user_base(directory, version, packages):
    """As `pip install --user` leaves it."""
    site = directory / "lib" / f"python{version}"
    site.mkdir(parents=True)
    (site / "site-packages").symlink_to(packages)
    return {"PYTHONUSERBASE": str(directory)}


def assert_as_without_us(bare, done, bundle, packages):
    """The same answer, and each module of the bare run from the same file."""
    (model, said), (model_too, said_too) = (run.stdout.splitlines() for run in (bare, done))
    assert model == model_too == "llama3.1-8b"
    without, with_us = json.loads(said), json.loads(said_too)
    differing = {
        name: (file, with_us["files"].get(name))
        for name, file in without["files"].items()
        if with_us["files"].get(name) != file and name != "sitecustomize"
    }
    assert differing == {}
    door = [entry for entry in with_us["before"] if entry not in without["before"]]
    assert all(entry.startswith(str(bundle)) for entry in door), door
    assert len(door) == 1, "nothing of ours but the door before the first call"
    assert with_us["after"][:-1] == with_us["before"], "the agent's own directory is the last"
    own = with_us["after"][-1]
    assert own.startswith(str(bundle / ".hf-openobserve"))
    brought = {entry.name for entry in packages.iterdir()}
    ours = {name.split(".")[0] for name, file in with_us["files"].items() if file and file.startswith(own)}
    assert "opentelemetry" in ours or "opentelemetry" in brought
    assert not (ours & brought) - {"opentelemetry", "openinference"}


@pytest.mark.parametrize("version", PYTHONS)
def test_a_virtual_environment(version, bundle_of, interpreter, application, env, under, script, tmp_path, openobserve):
    packages = application(version, "openai")
    python = environment_of(interpreter(version), tmp_path / "venv", packages=packages)
    bundle = bundle_of(version)
    bare = harness.run_ok([str(script)], door=None, env=env, cwd=tmp_path, python=python)
    done = harness.run_ok([str(script)], door=None, env=under(env, bundle=bundle), cwd=tmp_path, python=python)
    assert_as_without_us(bare, done, bundle, packages)
    (row,) = openobserve.wait_for_rows(1)
    assert row["operation_name"] == "ChatCompletion"


@pytest.mark.parametrize("version", ["3.8", "3.12"])
@pytest.mark.parametrize("way", ["user", "system-site-packages", "zipapp", "operator"])
def test_other_ways(version, way, bundle, interpreter, application, env, under, script, tmp_path, openobserve):
    packages, python, arguments = application(version, "openai"), interpreter(version), [str(script)]
    there = under(env)
    if way in ("user", "system-site-packages"):
        base = user_base(tmp_path / "user", version, packages)
        env, there = {**env, **base}, {**there, **base}
        if way == "system-site-packages":
            python = environment_of(python, tmp_path / "venv", "--system-site-packages")
    else:
        env, there = {**env, "PYTHONPATH": str(packages)}, under(env, packages)
    if way == "zipapp":
        (tmp_path / "source").mkdir()
        script.rename(tmp_path / "source" / "__main__.py")
        zipapp.create_archive(tmp_path / "source", tmp_path / "program.pyz")
        arguments = [str(tmp_path / "program.pyz")]
    if way == "operator":  # the very value that it sets, around the application's own
        there = under(env, packages, bundle, door=OPERATORS)
    bare = harness.run_ok(arguments, door=None, env=env, cwd=tmp_path, python=python)
    done = harness.run_ok(arguments, door=None, env=there, cwd=tmp_path, python=python)
    assert_as_without_us(bare, done, bundle, packages)
    assert len(openobserve.wait_for_rows(1)) == 1


@pytest.mark.parametrize("flag", ["-I", "-S"])
def test_flags_by_which_python_looks_for_no_door(
    flag, bundle, interpreter, application, env, under, tmp_path, openobserve
):
    python = interpreter("3.12")
    packages = application("3.12", "openai")
    code = f"import sys; sys.path.append({str(packages)!r})\nimport openai; print(openai.__file__)"
    bare = harness.run_ok([flag, "-c", code], door=None, env=env, cwd=tmp_path, python=python)
    assert harness.run_ok([flag, "-c", code], door=None, env=under(env), cwd=tmp_path, python=python) == bare


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("door", [("bootstrap",), OPERATORS])
def test_an_old_python_runs_as_without_us(version, door, interpreter, env, under, tmp_path):
    code = "import sys; print(sorted(set(sys.modules) - {'imp', 'sitecustomize'}))"
    bare = harness.run_ok(["-c", code], door=None, env=env, cwd=tmp_path, python=interpreter(version))
    there = under(env, door=door)
    done = harness.run_ok(["-c", code], door=None, env=there, cwd=tmp_path, python=interpreter(version))
    new = set(eval(done.stdout)) - set(eval(bare.stdout))
    assert not [name for name in new if not name.startswith("importlib")]


@pytest.mark.parametrize("door", [("bootstrap",), OPERATORS])
def test_a_process_that_makes_no_call_is_as_without_us(door, bundle, interpreter, env, under, tmp_path):
    """Its path has the door and nothing else of ours, and no name of ours can be imported."""
    code = """
import importlib.util, sys
names = [name for name in ("opentelemetry", "openinference", "bootstrap", "bin", "hf_openobserve")
         if name not in sys.modules and importlib.util.find_spec(name)]
print(names, [entry for entry in sys.path if "agent" in entry])
"""
    there = under(env, "", bundle, door=door) if door == OPERATORS else under(env)
    done = harness.run_ok(["-c", code], door=None, env=there, cwd=tmp_path, python=interpreter("3.12"))
    assert done.stdout == f"[] {[str(bundle.joinpath(*door))]}\n"


def test_the_command_of_a_sidecar(bundle, interpreter, application, env, under, script, tmp_path, openobserve):
    """It delivers what a program has left, with the bundle's own packages alone."""
    python = interpreter("3.8")
    offline = {name: value for name, value in env.items() if not name.startswith("OPENOBSERVE_")}
    offline["OPENOBSERVE_HF_OUTBOX_DIR"] = env["OPENOBSERVE_HF_OUTBOX_DIR"]
    there = under(offline, application("3.8", "openai"))
    harness.run_ok([str(script)], door=None, env=there, cwd=tmp_path, python=python)
    assert openobserve.rows() == []
    command = str(bundle / "bin" / "hf-openobserve")
    done = harness.run_ok([command, "ship"], door=None, env=env, cwd=tmp_path, python=python)
    assert "1 span accepted" in done.stdout
    assert len(openobserve.wait_for_rows(1)) == 1
    said = harness.run([command, "doctor", "--json"], door=None, env=under(env), cwd=tmp_path, python=python)
    findings = {finding["subject"]: finding for finding in json.loads(said.stdout)["findings"]}
    assert findings["hf-openobserve"]["level"] == "green", said.stdout
    assert os.path.realpath(bundle) in os.path.realpath(findings["hf-openobserve"]["sentence"].rpartition(" in ")[2])
