"""Which distribution a process has, or would import, of a name: its own first, then the agent's.

By metadata; nothing is imported.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from hf_openobserve.process import dependencies, diagnostics

_IMPORTED_AS = {
    "opentelemetry-api": "opentelemetry.trace",
    "opentelemetry-instrumentation": "opentelemetry.instrumentation.instrumentor",
    "opentelemetry-sdk": "opentelemetry.sdk.trace",
    "opentelemetry-semantic-conventions": "opentelemetry.semconv.resource",
    "openinference-instrumentation": "openinference.instrumentation",
    "openinference-instrumentation-openai": "openinference.instrumentation.openai",
    "openinference-semantic-conventions": "openinference.semconv",
    "python-dotenv": "dotenv",
}
"""Distribution -> the module that shows that it has been imported; others are called as their module is."""


class Package(NamedTuple):
    """A distribution. ``version``: empty where a module is there and nobody says of which version."""

    name: str
    version: str
    requires: Sequence[str]
    is_own: bool
    """True for one of the agent's, which the program would not have without it."""


class Packages:
    """The distributions of a process. ``path``: the program's; ``own``: the agent's directories, behind it."""

    def __init__(self, path: Sequence[str], own: Sequence[str]) -> None:
        self._path = list(path)
        self._own = list(own)
        self._found: Dict[str, Optional[Package]] = {}

    def find(self, name: str) -> Optional[Package]:
        """What counts for ``name``, a normalised name; None where it is nowhere."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def of_the_agent(self, name: str) -> Optional[Package]:
        """The agent's own copy, whatever the program has; the program's where there is no other."""
        return _read(name, [*self._own, dependencies.root()], is_own=True) or _read(name, self._path, is_own=False)

    def _find(self, name: str) -> Optional[Package]:
        module = sys.modules.get(_IMPORTED_AS.get(name, name.replace("-", "_")))
        place = _place(module)
        if place and place not in self._own:
            # What has been imported counts, wherever the path leads by now.
            said = _read(name, [place], is_own=False) or _read(name, self._path, is_own=False)
            return said or Package(name, _text(getattr(module, "__version__", "")), (), is_own=False)
        return _read(name, self._path, is_own=False) or _read(name, self._own, is_own=True)


def normal(name: str) -> str:
    """The name as it is compared."""
    return re.sub("[-_.]+", "-", name).lower()


def _place(module: Any) -> str:
    """The directory of ``sys.path`` that a module was imported from; empty where it has no file."""
    file, name = getattr(module, "__file__", None), getattr(module, "__name__", "")
    if not isinstance(file, str) or not isinstance(name, str):
        return ""
    above = os.path.dirname(os.path.abspath(file))
    levels = name.count(".") + (os.path.basename(file).startswith("__init__."))
    for _ in range(levels):
        above = os.path.dirname(above)
    return above


def _read(name: str, path: Sequence[str], *, is_own: bool) -> Optional[Package]:
    if not path:
        return None
    # 3.8 compares names with underscores.
    for distribution in importlib.metadata.Distribution.discover(name=name.replace("-", "_"), path=list(path)):
        try:
            return _described(name, distribution, is_own)
        except Exception:  # noqa: BLE001 - damaged metadata: as if it were not there
            diagnostics.pass_the_programs_own()
    return None


def _described(name: str, distribution: Any, is_own: bool) -> Package:
    text = distribution.read_text("METADATA")
    if text is None:  # of setuptools', with what is required in a file of its own
        return Package(name, _text(distribution.version), distribution.requires or (), is_own)
    # The whole would be parsed as a message, its description too: a millisecond for each package.
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    version = re.search(r"^Version:[ \t]*(\S+)", head, re.MULTILINE)
    requires: List[str] = re.findall(r"^Requires-Dist:[ \t]*(.+?)[ \t\r]*$", head, re.MULTILINE)
    return Package(name, version.group(1) if version else "", requires, is_own)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
