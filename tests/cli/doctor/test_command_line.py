"""Command lines as people write them -> the interpreter that they start, and how."""

from __future__ import annotations

import os

import pytest

from hf_openobserve.cli.doctor import command_line

SCRIPTS = {
    "bin/python": "",
    "bin/python3.11": "",
    "bin/env": "",
    "bin/opentelemetry-instrument": "#!{bin}/python\n",
    "bin/gunicorn": "#!{bin}/python3.11 -sP\n",
    "bin/celery": "#!{bin}/env python\n",
    "bin/split": "#!{bin}/env -S python -u -E\n",
    "bin/far away": "#!/bin/sh\n'''exec' \"{bin}/python\" \"$0\" \"$@\"\n' '''\n",
    "bin/start.sh": "#!/bin/sh\nexec python app.py\n",
    "bin/poetry": "#!{bin}/python\n",
    "bin/binary": "\x7fELF",
    "app/app.py": "",
}


@pytest.fixture
def place(tmp_path):
    for name, text in SCRIPTS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(bin=tmp_path / "bin"))
        path.chmod(0o644 if name.startswith("app/") else 0o755)
    return tmp_path


@pytest.fixture
def resolve(place):
    def run(*words):
        environ = {"PATH": str(place / "bin"), "HOME": "/home/x", "PYTHONPATH": "/lib"}
        return command_line.resolve(list(words), environ, str(place / "app"))

    return run


@pytest.mark.parametrize(
    ("words", "interpreter", "flags", "script"),
    [
        (["python", "app.py", "-I"], "python", "", "app.py"),
        (["python", "-I", "app.py"], "python", "I", "app.py"),
        (["python", "-uESsm", "app", "-I"], "python", "ESs", None),
        (["python", "-X", "dev", "-Wignore", "-E", "-c", "pass"], "python", "E", None),
        (["python", "--check-hash-based-pycs", "never", "-P", "app.py"], "python", "P", "app.py"),
        (["python", "-"], "python", "", None),
        (["python"], "python", "", None),
        (["../bin/python3.11", "app.py"], "python3.11", "", "app.py"),
        (["gunicorn", "-w", "2", "app:app"], "python3.11", "sP", "../bin/gunicorn"),
        (["celery", "-A", "app", "worker"], "python", "", "../bin/celery"),
        (["split"], "python", "E", "../bin/split"),
        (["far away"], "python", "", "../bin/far away"),
        (["opentelemetry-instrument", "gunicorn"], "python3.11", "sP", "../bin/gunicorn"),
        (["env", "-S", "python -I", "app.py"], "python", "I", "app.py"),
    ],
)
def test_to_the_interpreter(resolve, place, words, interpreter, flags, script):
    target = resolve(*words)
    assert (target.interpreter, target.flags) == (str(place / "bin" / interpreter), flags)
    assert target.script == (script and os.path.normpath(str(place / "app" / script)))
    assert target.steps[-1] == target.interpreter
    assert (target.wrapper is not None) == (words[0] == "opentelemetry-instrument")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["A=1", "PYTHONPATH=/b", "python"], {"A": "1", "PYTHONPATH": "/b", "HOME": "/home/x"}),
        (["env", "A=1", "python"], {"A": "1", "PYTHONPATH": "/lib", "HOME": "/home/x"}),
        (["env", "-u", "PYTHONPATH", "--unset=HOME", "python"], {}),
        (["env", "-uHOME", "--", "python"], {"PYTHONPATH": "/lib"}),
        (
            ["opentelemetry-instrument", "--traces_exporter", "console", "--distro=other", "python"],
            {"OTEL_TRACES_EXPORTER": "console", "OTEL_PYTHON_DISTRO": "other", "PYTHONPATH": "/lib", "HOME": "/home/x"},
        ),
    ],
)
def test_the_environment(resolve, place, words, expected):
    assert resolve(*words).environ == {"PATH": str(place / "bin"), **expected}


def test_nothing_but_what_env_names_is_left(resolve, place):
    target = resolve("env", "-i", f"PATH={place}/bin", "A=1", "python")
    assert target.environ == {"PATH": f"{place}/bin", "A": "1"}


@pytest.mark.parametrize(
    ("words", "broken", "text", "remedy"),
    [
        ([], True, "names no program", "whole command"),
        (["A=1"], True, "names no program", "whole command"),
        (["nothing"], True, "nothing is not on PATH", "activate the environment"),
        (["./nothing"], True, "does not exist, or is not executable", "Correct its name"),
        (["./app.py"], True, "is not executable", "Write `python ./app.py`"),
        (["python", "missing.py"], True, "missing.py does not exist", "Correct the path"),
        (["start.sh"], False, "is a script of sh", "runs in the end"),
        (["binary"], False, "is no Python program", "runs in the end"),
        (["poetry", "run", "python", "app.py"], False, "poetry decides when it runs", "that poetry runs"),
        (["env", "--chdir=/", "python"], False, "`env --chdir=/` is not understood", "without that option"),
    ],
)
def test_what_cannot_be_told(resolve, words, broken, text, remedy):
    with pytest.raises(command_line.UnresolvedError, match=r".") as raised:
        resolve(*words)
    assert raised.value.broken is broken
    assert text in str(raised.value)
    assert remedy in raised.value.remedy
