"""The one resolution that a bundle is built from: ``deploy/bundle/lock.txt``, versions and digests for every Python."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from targets import Target

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = Path(__file__).resolve().parent / "lock.txt"
NOT_IN_A_BUNDLE = ("opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http")
"""For another distro, or the wrapper command, in an environment that pip has made."""
ALSO = ("opentelemetry-proto>=1.30.0",)
"""What the exporter brings that the agent uses itself: to read and to shorten spans."""
EARLIER = ("deprecated", "opentelemetry-instrumentation", "opentelemetry-sdk", "opentelemetry-semantic-conventions")
"""What every target has a second time as Python 3.8 has it, see ``hf_openobserve.process.dependencies.EARLIER``."""
NEVER_IMPORTED = ("pygments", "markdown-it-py", "mdurl", "anyio")
"""Three of rich's, for what no command shows, and one that the client openai brings itself: a third of all bytes."""
_HEAD = (
    "# The packages of a bundle, for Python 3.8 to 3.14: "
    "written by `make bundle-lock` (uv) from the dependencies of pyproject.toml.\n"
)


class Pin(NamedTuple):
    """A distribution that a target has."""

    name: str
    version: str
    digests: Tuple[str, ...]
    """Of its files, ``sha256:...``."""

    @property
    def requirement(self) -> str:
        """As pip reads it."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={digest}" for digest in self.digests)])


def refresh() -> None:
    """Resolve anew: the newest that each Python can have, as pip would give it to an environment."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.findall(r'"([^"]+)"', text.split("\ndependencies = [", 1)[1].split("\n]", 1)[0])
    with tempfile.TemporaryDirectory() as directory:
        wanted, found = Path(directory, "requirements.in"), Path(directory, "lock.txt")
        kept = [text for text in dependencies if Requirement(text).name not in NOT_IN_A_BUNDLE]
        wanted.write_text("\n".join([*kept, *ALSO]) + "\n", encoding="utf-8")
        options = ["--universal", "--python-version=3.8", "--fork-strategy=requires-python", "--only-binary=:all:"]
        options += [f"--no-emit-package={name}" for name in NEVER_IMPORTED]
        layout = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", f"--output-file={found}"]
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([str(uv), "pip", "compile", *options, *layout, str(wanted)], check=True)
        FILE.write_text(_HEAD + found.read_text(encoding="utf-8"), encoding="utf-8")


def _entries() -> Iterator[str]:
    lines = FILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return (line for line in lines if line.strip() and not line.startswith("#"))


def pins(target: Target) -> List[Pin]:
    """What the lock gives to a target, by name."""
    found = []
    for entry in _entries():
        requirement = Requirement(entry.partition("--hash")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(dict(target.markers())):
            (specifier,) = requirement.specifier
            digests = tuple(re.findall(r"--hash=(\S+)", entry))
            found.append(Pin(canonicalize_name(requirement.name), specifier.version, digests))
    return sorted(found)


def earlier() -> List[Pin]:
    """The older parts of OpenTelemetry."""
    return [pin for pin in pins(Target("3.8", "manylinux", "x86_64")) if pin.name in EARLIER]
