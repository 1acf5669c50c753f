"""Containers without an engine: a root directory, mounts in a namespace of their own, a user without rights.

Of an image its files matter here. A base image is this machine's own system below the image's files, or its busybox.
The network is the machine's: what a test serves on 127.0.0.1 is there.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc")
_KERNEL = ("proc", "dev")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Mount(NamedTuple):
    """A directory of this machine at a path of the container's."""

    source: Path
    target: str
    read_only: bool = False


class Image:
    """Files, and what its Dockerfile says of running them."""

    def __init__(self, root: Path, *, busybox: Optional[str] = None) -> None:
        self.root = root
        self.env: Dict[str, str] = {"PATH": _SYSTEM_PATH}
        self.user = (0, 0)
        self.command: List[str] = []
        self.mounts: List[Mount] = []
        """What of its files stands elsewhere on this machine."""
        for name in ("tmp", "root", *_KERNEL):
            (root / name).mkdir(parents=True)
        if busybox:
            (root / "bin").mkdir()
            shutil.copy(busybox, root / "bin" / "busybox")
            self.run(["/bin/busybox", "--install", "-s", "/bin"]).check()
            return
        for name in _SYSTEM:
            place = Path("/", name)
            if place.is_symlink():
                (root / name).symlink_to(os.readlink(place))
            elif place.is_dir():
                (root / name).mkdir()
                self.mounts.append(Mount(place, f"/{name}", read_only=True))

    def run(self, command: Sequence[str] = (), **options: object) -> Container:
        """Start a container; see there."""
        return Container(self, command, **options)  # type: ignore[arg-type]


class Container:
    """A process in it. As Kubernetes: what is not given is the image's."""

    def __init__(
        self,
        image: Image,
        command: Sequence[str] = (),
        *,
        env: Optional[Dict[str, str]] = None,
        user: Optional[Tuple[int, int]] = None,
        groups: Sequence[int] = (),
        mounts: Sequence[Mount] = (),
        read_only: bool = False,
    ) -> None:
        uid, gid = image.user if user is None else user
        script = []
        root = shlex.quote(str(image.root))
        everywhere = [*image.mounts, *mounts]
        for mount in everywhere:
            Path(f"{image.root}{mount.target}").mkdir(parents=True, exist_ok=True)
        if read_only:
            script += [f"mount --bind {root} {root}"]
        for source, target, _ in sorted(everywhere, key=lambda mount: mount.target):
            script += [f"mount --bind {shlex.quote(str(source))} {root}{target}"]
        script += [f"mount --rbind /{name} {root}/{name}" for name in _KERNEL]
        script += [f"mount -o remount,bind,ro {root}{mount.target}" for mount in everywhere if mount.read_only]
        if read_only:
            script += [f"mount -o remount,bind,ro {root}"]
        # The shell that mounts needs this machine's PATH, the container's process its image's.
        within = shlex.join(f"{name}={value}" for name, value in {**image.env, **(env or {})}.items())
        confined = f"setpriv --no-new-privs chroot --userspec={uid}:{gid} --groups={','.join(map(str, groups)) or gid}"
        script += [f"exec env -i {within} {confined} {root} {shlex.join(command or image.command)}"]
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        self.stdout = self.stderr = ""

    def wait(self, timeout: float = 60) -> int:
        """Its exit status, once it has ended."""
        stdout, stderr = self._process.communicate(timeout=timeout)
        self.stdout, self.stderr = stdout.decode(), stderr.decode()
        return self._process.returncode

    def check(self) -> str:
        """Its standard output: it must succeed, and say nothing on standard error."""
        status = self.wait()
        assert (status, self.stderr) == (0, ""), (status, self.stdout[-2000:], self.stderr)
        return self.stdout

    def signal(self, number: int) -> None:
        """To the process itself: nothing stands around it."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """The end of a test."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@functools.lru_cache(maxsize=None)
def why_not() -> str:
    """Why this machine can have none; empty if it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "only root can mount"
    missing = [name for name in ("unshare", "setpriv", "chroot", "mount", "env") if shutil.which(name) is None]
    missing += [] if busybox() else ["static busybox"]
    if missing:
        return f"no {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "--bind", "/usr", "/usr"],
        capture_output=True,
        check=False,
    )
    return tried.stderr.decode().strip() if tried.returncode else ""


@functools.lru_cache(maxsize=None)
def busybox() -> Optional[str]:
    """A busybox that needs no libraries, if there is one."""
    path = shutil.which("busybox", path=_SYSTEM_PATH)
    if path is None or subprocess.run(["ldd", path], capture_output=True, check=False).returncode == 0:
        return None
    return path


def instructions(dockerfile: str) -> List[Tuple[str, str]]:
    """(instruction, its value) of each, comments off."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in text.splitlines()]  # type: ignore[misc]


def build(dockerfile: str, context: Path, directory: Path) -> Image:
    """What an engine makes of a Dockerfile, as far as ours go."""
    stages: Dict[str, Image] = {}
    image: Optional[Image] = None
    for number, (instruction, value) in enumerate(instructions(dockerfile)):
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            image = Image(directory / str(number), busybox=busybox() if base.startswith("busybox") else None)
            stages[name] = image
        else:
            assert image is not None
            apply(image, instruction, value, context, stages)
    assert image is not None
    return image


def apply(image: Image, instruction: str, value: str, context: Path, others: Mapping[str, Image]) -> None:
    """One instruction. ``others``: the images that it may copy from, by their names."""
    if instruction == "COPY":
        words = value.split()
        source = others[words.pop(0)[len("--from=") :]].root if words[0].startswith("--from=") else context
        target = Path(f"{image.root}{words[1]}")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", f"{source}/{words[0].lstrip('/')}/.", str(target)], check=True)
    elif instruction == "RUN":
        image.run(["sh", "-ec", value]).check()
    elif instruction == "ENV":
        name, _, text = value.partition("=")
        image.env[name] = text
    elif instruction == "USER":
        uid, _, gid = value.partition(":")
        image.user = (int(uid), int(gid or 0))
    elif instruction == "CMD":
        image.command = json.loads(value)
    else:
        assert instruction == "LABEL", instruction


def python_image(directory: Path, python: str, site_packages: Path, program: str) -> Image:
    """An application's image: a virtual environment with these packages, its program at /app/app.py."""
    image = Image(directory)
    environment = directory / "opt" / "venv"
    home = Path(python).resolve().parent.parent
    (environment / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (environment / "bin" / name).symlink_to(Path(python).resolve())
    (environment / "pyvenv.cfg").write_text(f"home = {home / 'bin'}\ninclude-system-site-packages = false\n")
    version = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_python_version())"],
        stdout=subprocess.PIPE,
        check=True,
    )
    lib = f"/opt/venv/lib/python{version.stdout.decode().strip()}/site-packages"
    image.mounts.append(Mount(site_packages, lib, read_only=True))
    if not str(home).startswith("/usr"):
        image.mounts.append(Mount(home, str(home), read_only=True))
    (directory / "app").mkdir()
    (directory / "app" / "app.py").write_text(program)
    image.env["PATH"] = f"/opt/venv/bin:{_SYSTEM_PATH}"
    image.command = ["python3", "/app/app.py"]
    return image
