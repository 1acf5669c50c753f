"""Wheels of the locked distributions, fetched by pip once and kept, and the agent's own, built from this tree."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from lock import REPOSITORY, Pin
from packaging.utils import canonicalize_name, parse_wheel_filename
from targets import Target

KEPT = REPOSITORY / ".nox" / "bundle-wheels"
COMPILED = ("protobuf",)
"""Taken with its C code where there is a wheel of the platform: reading an outbox takes twenty times as long without.
All others are taken as pure Python: one copy serves every platform (docs/bundle.md).
"""
_FOR_OTHERS = (".c", ".h", ".pyi", "/py.typed", ".dist-info/RECORD", ".dist-info/WHEEL", "/.gitignore")
"""Of a wheel, what only compilers, type checkers and pip read."""
_PURE = ("--implementation=py", "--abi=none", "--platform=any")


def of_target(target: Target, pins: Sequence[Pin]) -> List[Path]:
    """The wheel of each pin, for this target."""
    pure = [pin for pin in pins if pin.name not in COMPILED]
    found = _fetched(pure, [f"--python-version={target.minor}", *_PURE])
    for pin in pins:
        if pin.name in COMPILED:
            try:
                found += _fetched([pin], target.pip_options())
            except subprocess.CalledProcessError:  # no wheel of this platform
                found += _fetched([pin], [f"--python-version={target.minor}", *_PURE])
    return sorted(found)


def of_earlier(pins: Sequence[Pin]) -> List[Path]:
    """The wheels of the older parts, for every target."""
    return _fetched(pins, ["--python-version=3.8", *_PURE])


def _fetched(pins: Sequence[Pin], options: Sequence[str]) -> List[Path]:
    wanted = "\n".join(pin.requirement for pin in pins)
    key = hashlib.sha256("\n".join([wanted, *options]).encode()).hexdigest()[:16]
    directory = KEPT / key
    if not directory.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as fresh:
            requirements = Path(fresh, "requirements.txt")
            requirements.write_text(wanted + "\n", encoding="utf-8")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            command = [*pip, "--require-hashes", *options, "-r", str(requirements), "-d", str(Path(fresh, "wheels"))]
            subprocess.run(command, check=True, stderr=subprocess.PIPE if len(pins) == 1 else None)
            Path(fresh, "wheels").rename(directory)
    return sorted(directory.glob("*.whl"))


def of_the_agent(directory: Path) -> Path:
    """The wheel of this tree."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=str(REPOSITORY),
        env={**os.environ, "SOURCE_DATE_EPOCH": "1577836800"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel


def name_and_version(wheel: Path) -> Tuple[str, str]:
    """Of the distribution, the name normalised."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return canonicalize_name(name), str(version)


def stored_as(wheel: Path) -> str:
    """The name of its directory in the store: those of pure Python serve every platform."""
    name, version, _, tags = parse_wheel_filename(wheel.name)
    platforms = sorted({f"{tag.interpreter}-{tag.abi}-{tag.platform}" for tag in tags if tag.platform != "any"})
    return "-".join([canonicalize_name(name), str(version), *platforms[:1]])


def unpack(wheel: Path, directory: Path) -> None:
    """Its packages and metadata. Scripts are left out: nobody has the directory on PATH."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        outside = [name for name in names if name.split("/")[0].endswith(".data")]
        if [name for name in outside if name.split("/")[1] != "scripts"]:
            raise ValueError(f"{wheel.name} installs more than packages: {outside}")
        wanted = [name for name in names if name not in outside and not name.endswith(_FOR_OTHERS)]
        archive.extractall(directory, wanted)
    for name in sorted(os.listdir(directory)):
        if name.endswith(".pth"):
            raise ValueError(f"{wheel.name} has {name}: nothing reads it at the end of sys.path")


def licences(directory: Path) -> Dict[str, Path]:
    """Name -> file, of what an unpacked wheel says about its licence."""
    (metadata,) = directory.glob("*.dist-info")
    places = [metadata, *(path for path in metadata.glob("licen*") if path.is_dir())]
    words = ("licen", "notice", "copying", "authors")
    return {
        path.name: path
        for place in places
        for path in sorted(place.iterdir())
        if path.is_file() and path.name.lower().startswith(words)
    }


def discard(directory: Path) -> None:
    """Remove a tree that was built before."""
    if directory.exists():
        shutil.rmtree(directory)
