"""Asks an interpreter what it would find, by ``probe``. The command that it is to run is not run."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Dict, List, Mapping, NamedTuple, Tuple

from hf_openobserve.cli.doctor import probe

OLDEST = (3, 8)
FLAGS_THAT_MATTER = "EIPSs"
"""Options of the interpreter that decide where it looks for modules."""
_TIMEOUT_S = 60.0
_ASK = (
    "import sys; print('hf-openobserve-python:%d.%d.%d' % sys.version_info[:3]); sys.stdout.flush(); "
    "sys.version_info >= (3, 8) and __import__('runpy').run_path(sys.argv[3], run_name='__main__')"
)
"""Valid in every Python, so that an old one can say that it is one."""


class Facts(NamedTuple):
    """What an interpreter would find with the environment and the flags of a command."""

    executable: str
    version: Tuple[int, ...]
    sitecustomize: List[str]
    """Files, in the order of ``sys.path``; none under ``-S``."""
    loader: str
    """The wrapper command's directory for PYTHONPATH; empty where it is not installed."""
    agent: str
    """Directory of the package ``hf_openobserve``; empty where there is none."""
    distributions: Dict[str, str]
    """Normalised name -> version."""
    entry_points: Dict[str, List[Tuple[str, str]]]
    """Group -> names and values, in the order in which a loader finds them."""
    conflicts: List[str]
    """A sentence for each package that is not in the range that the agent needs."""
    broken: Dict[str, str]
    """Module that the agent needs and that cannot be imported -> why."""

    def names(self, group: str) -> List[str]:
        """Of the entry points of a group."""
        return [name for name, _ in self.entry_points.get(group, ())]

    @property
    def has_agent(self) -> bool:
        """Whether the agent is installed there, so that the wrapper's loader finds it."""
        return "hf_openobserve" in self.names("opentelemetry_distro")


class ProbeError(Exception):
    """The interpreter could not be asked; the text says why, as a clause."""


def ask(interpreter: str, environ: Mapping[str, str], cwd: str, flags: str = "", *, imports: bool = True) -> Facts:
    """Ask an interpreter, started with these of its ``flags``. ``imports``: see ``probe.main``.

    :raises ProbeError: it cannot be started, is older than ``OLDEST``, or does not answer
    """
    options = [f"-{flag}" for flag in flags if flag in FLAGS_THAT_MATTER and flag != "S"]
    words = ["yes" if yes else "no" for yes in ("S" not in flags, imports)]
    command = [interpreter, *options, "-S", "-c", _ASK, *words, os.path.abspath(probe.__file__)]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter
            command,
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"it gave no answer within {_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise ProbeError(error.strerror or str(error)) from None
    said = done.stdout.decode("utf-8", "replace").splitlines()
    for line in reversed(said):
        if line.startswith(probe.MARK):
            return _facts(json.loads(line[len(probe.MARK) :]))
    version = next((line.partition(":")[2] for line in said if line.startswith("hf-openobserve-python:")), "")
    if version and tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ProbeError(f"it is Python {version}, and the agent needs {OLDEST[0]}.{OLDEST[1]} or newer")
    errors = done.stderr.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(errors) if line.strip()), "without a word")
    raise ProbeError(f"it ended with status {done.returncode}: {last}")


def _facts(found: Dict[str, object]) -> Facts:
    facts = Facts(**found)  # type: ignore[arg-type]
    return facts._replace(version=tuple(facts.version))
