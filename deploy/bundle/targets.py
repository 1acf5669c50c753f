"""For which Python, libc and architecture the dependencies are resolved, and what that is called."""

from __future__ import annotations

import os
import platform
import re
from typing import Dict, List, NamedTuple, Sequence

MINORS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
HERE = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
"""Built where nothing else is asked for."""
FREE_THREADED = ("3.14t",)
LIBCS = ("manylinux", "musllinux")
MACHINES = ("x86_64", "aarch64")
_WHEELS = {
    "manylinux": ("manylinux_2_17_{}", "manylinux2014_{}", "manylinux_2_5_{}", "manylinux1_{}"),
    "musllinux": ("musllinux_1_1_{}", "musllinux_1_2_{}"),
}
"""Platforms of the wheels that are taken: glibc from 2.17 on (2014), musl from 1.1 on."""


class Target(NamedTuple):
    """One Python minor on one platform."""

    python: str
    """``3.12``; ``3.14t`` is free-threaded."""
    libc: str
    machine: str

    @property
    def minor(self) -> str:
        """``3.14`` of both its kinds."""
        return self.python.rstrip("t")

    @property
    def abi(self) -> str:
        """What wheels call it."""
        return "cp" + self.python.replace(".", "")

    @property
    def tag(self) -> str:
        """The name of its directory: what ``hf_openobserve.process.dependencies.tag`` says in such a process."""
        return f"{self.abi}-{self.libc}-{self.machine}"

    def pip_options(self) -> List[str]:
        """Which wheels of this platform pip takes."""
        options = ["--implementation=cp", f"--python-version={self.minor}", f"--abi={self.abi}"]
        if not self.python.endswith("t"):
            options.append("--abi=abi3")
        return [*options, *(f"--platform={name.format(self.machine)}" for name in _WHEELS[self.libc])]

    def markers(self) -> Dict[str, str]:
        """What a requirement's marker is evaluated with."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.minor}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.minor}.0",
            "python_version": self.minor,
            "sys_platform": "linux",
            "extra": "",
        }


def this_machine() -> Sequence[str]:
    """The libc and the architecture that the script runs on."""
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return libc, os.uname().machine


def parse(words: Sequence[str]) -> List[Target]:
    """``3.12``, ``3.14t``, ``3.13-musllinux-aarch64`` or ``all``; nothing: ``HERE`` on this machine's platform.

    :raises ValueError: a word that names no target
    """
    if list(words) == ["all"]:
        return sorted(
            Target(python, libc, machine)
            for python in (*MINORS, *FREE_THREADED)
            for libc in LIBCS
            for machine in MACHINES
        )
    found = set()
    for word in words or HERE:
        match = re.fullmatch(r"(3\.\d+t?)(?:-(\w+)-(\w+))?", word)
        target = Target(match.group(1), *(match.groups()[1:] if match.group(2) else this_machine())) if match else None
        if target is None or target.python not in (*MINORS, *FREE_THREADED) or target.libc not in LIBCS:
            raise ValueError(f"{word!r} is no target: 3.12, 3.14t, 3.13-musllinux-aarch64, all")
        found.add(target)
    return sorted(found)
