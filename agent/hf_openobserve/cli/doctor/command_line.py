"""What a command line comes to: which interpreter, with which options and environment, runs which program.

It is read, never run: prefixes (``VAR=value``, ``env``, ``opentelemetry-instrument``), ``PATH``, first lines of
scripts.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.cli.doctor.interpreter import FLAGS_THAT_MATTER
from hf_openobserve.config import environment_variables as names

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_PYTHON = re.compile(r"(python|pypy)[0-9.]*t?")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh", "fish")
_EXEC_TRICK = re.compile(rb"^'''exec'\s+(\"[^\"]+\"|'[^']+'|\S+)\s", re.MULTILINE)
"""How installers write the first lines of a console script whose interpreter has a long path, or one with a space."""
_MOST_STEPS = 16
_LAUNCHERS = (
    "conda",
    "ddtrace-run",
    "hatch",
    "micromamba",
    "newrelic-admin",
    "pdm",
    "pipenv",
    "poetry",
    "rye",
    "uv",
)
"""They choose an interpreter, or change the environment, when they run."""
_WITH_VALUE = "WX"
_LONG_WITH_VALUE = "--check-hash-based-pycs"
WRAPPER = "opentelemetry-instrument"


class Target(NamedTuple):
    """The interpreter that a command line starts, and how."""

    interpreter: str
    flags: str
    """Of ``interpreter.FLAGS_THAT_MATTER``, those that are given."""
    environ: Dict[str, str]
    script: Optional[str]
    """Path of the program; None for ``-m``, ``-c`` and standard input."""
    wrapper: Optional[str]
    """Path of ``opentelemetry-instrument``, where the command goes through it."""
    steps: Tuple[str, ...]
    """The files that lead there, in order; the interpreter is the last."""


class UnresolvedError(Exception):
    """It cannot be told. ``broken``: the command cannot even start. ``remedy`` is a sentence."""

    def __init__(self, text: str, remedy: str, *, broken: bool = False) -> None:
        super().__init__(text)
        self.remedy = remedy
        self.broken = broken


def resolve(words: List[str], environ: Mapping[str, str], cwd: str) -> Target:
    """Follow a command line to its interpreter.

    :raises UnresolvedError: it does not lead to a Python interpreter, as far as can be seen without running it
    """
    environ = dict(environ)
    wrapper = None
    steps: List[str] = []
    for _ in range(_MOST_STEPS):
        words = _after_assignments(words, environ)
        if not words:
            raise UnresolvedError("it names no program", "Give the whole command behind `--`", broken=True)
        path = _which(words[0], environ, cwd)
        name, arguments = os.path.basename(words[0]), words[1:]
        if path is None:
            raise _not_found(words[0], cwd)
        if name in _LAUNCHERS:
            what = f"{name} decides when it runs what it starts, and with which environment"
            raise UnresolvedError(
                what, f"Give the command that {name} runs, or start `hf-openobserve doctor` by {name}"
            )
        if name == "env":
            words = _after_env(arguments, environ)
        elif name.startswith(WRAPPER):
            wrapper = path
            steps.append(path)
            words = _after_wrapper(arguments, environ)
        elif _PYTHON.fullmatch(name):
            flags, script = _interpreter_options(arguments)
            if script is not None:
                script = os.path.normpath(os.path.join(cwd, script))
                if not os.path.exists(script):
                    raise UnresolvedError(f"{script} does not exist", "Correct the path of the program", broken=True)
            return Target(path, flags, environ, script, wrapper, (*steps, path))
        else:
            steps.append(path)
            words = [*_first_line(path), path, *arguments]
    raise UnresolvedError("it goes through too many programs", "Give the command that the last of them runs")


def interpreter_of(script: str, environ: Mapping[str, str], cwd: str) -> Target:
    """Of a console script, by its first line.

    :raises UnresolvedError: it has none of Python's
    """
    return resolve([*_first_line(script), script], environ, cwd)


def _after_assignments(words: List[str], environ: Dict[str, str]) -> List[str]:
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words[0].partition("=")
        environ[name] = value
        words = words[1:]
    return words


def _after_env(arguments: List[str], environ: Dict[str, str]) -> List[str]:
    words = list(arguments)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        name, _, value = option.partition("=")
        if option in ("-", "-i", "--ignore-environment"):
            environ.clear()
        elif option == "--":
            break
        elif option in ("-S", "--split-string") and words:
            words[:1] = shlex.split(words[0])
        elif option.startswith("-S") or name == "--split-string":
            words[:0] = shlex.split(value or option[2:])
        elif option in ("-u", "--unset") and words:
            environ.pop(words.pop(0), None)
        elif option.startswith("-u") or name == "--unset":
            environ.pop(value or option[2:], None)
        else:
            raise UnresolvedError(f"`env {option}` is not understood here", "Give the command without that option")
    return words


def _after_wrapper(arguments: List[str], environ: Dict[str, str]) -> List[str]:
    """Each option of the wrapper has a value and stands for a variable (``--traces_exporter console``)."""
    words = list(arguments)
    while words and words[0].startswith("-"):
        option, equals, value = words.pop(0).partition("=")
        if option == "--":
            break
        if not equals:
            value = words.pop(0) if words else ""
        name = option.lstrip("-").upper()
        python = "OTEL_PYTHON_" + name
        environ[python if hasattr(names, python) else "OTEL_" + name] = value
    return words


def _interpreter_options(arguments: List[str]) -> Tuple[str, Optional[str]]:
    """The flags that matter, and the program's path as it is written; None for ``-m``, ``-c`` and standard input."""
    flags = ""
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "-" or not word.startswith("-"):
            return flags, None if word == "-" else word
        if word.startswith("--"):
            if word == _LONG_WITH_VALUE and words:
                words.pop(0)
            continue
        for place, letter in enumerate(word[1:], 2):
            if letter in "cm":
                return flags, None
            if letter in _WITH_VALUE:
                if not word[place:] and words:
                    words.pop(0)
                break
            flags += letter if letter in FLAGS_THAT_MATTER and letter not in flags else ""
    return flags, None


def _first_line(path: str) -> List[str]:
    """What the kernel puts before the path of a script.

    :raises UnresolvedError: it is none, or one of a shell
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UnresolvedError(f"{path} cannot be read ({error.strerror})", "Make it readable", broken=True) from None
    remedy = "Give the command that it runs in the end"
    if not head.startswith(b"#!"):
        raise UnresolvedError(f"{path} is no Python program, as far as can be seen without running it", remedy)
    interpreter, _, option = os.fsdecode(head[2:].split(b"\n", 1)[0]).strip().partition(" ")
    if os.path.basename(interpreter) in _SHELLS:
        trick = _EXEC_TRICK.search(head)
        if trick is None:
            what = f"{path} is a script of {os.path.basename(interpreter)}: what it starts is not seen from outside"
            raise UnresolvedError(what, remedy)
        return [os.fsdecode(trick.group(1)).strip("\"'")]
    return [interpreter, option.strip()] if option.strip() else [interpreter]


def _which(name: str, environ: Mapping[str, str], cwd: str) -> Optional[str]:
    if os.sep in name:
        path = os.path.normpath(os.path.join(cwd, name))
        return path if os.path.isfile(path) and os.access(path, os.X_OK) else None
    entries = environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(name, path=os.pathsep.join(os.path.join(cwd, entry) for entry in entries))


def _not_found(name: str, cwd: str) -> UnresolvedError:
    if name.endswith(".py") and os.path.exists(os.path.join(cwd, name)):
        return UnresolvedError(f"{name} is not executable", f"Write `python {name}`", broken=True)
    where = "does not exist, or is not executable" if os.sep in name else "is not on PATH"
    return UnresolvedError(f"{name} {where}", "Correct its name, or activate the environment that has it", broken=True)
