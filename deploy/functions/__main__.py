"""Packs the bundle as an AWS Lambda layer, dist/hf-openobserve-layer.zip: ``python deploy/functions 3.12 [3.13 ...]``.

A layer is unpacked to ``/opt``: the wrapper script stands there, and the agent beside it. No links: of the bundle's
store each Python named gets its own copy, without the bytecode of others.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Iterator, Sequence, Tuple

DIST = Path(__file__).resolve().parents[2] / "dist"
LAYER = DIST / "hf-openobserve-layer.zip"
WRAPPER = Path(__file__).with_name("hf-openobserve")
AGENT = "hf-openobserve-agent"
_LEFT_OUT = ("SHA256SUMS", "bin", "opentelemetry", os.path.join(".hf-openobserve", "store"))
"""Of other roads than Lambda's, or copied."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(bundle: Path, minors: Sequence[str], layer: Path = LAYER) -> None:
    """Write the layer for these minor versions of Python.

    Raises FileNotFoundError where the bundle has none for one.
    """
    tags = ["cp" + minor.replace(".", "") for minor in minors]
    for tag, minor in zip(tags, minors):
        if not list(bundle.glob(f".hf-openobserve/{tag}-manylinux-*")):
            raise FileNotFoundError(f"the bundle has nothing for Python {minor}: make bundle TARGETS={minor}")
    with zipfile.ZipFile(str(layer), "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, WRAPPER.name, WRAPPER, 0o755)
        for name, path in _files(bundle, tags):
            _add(archive, f"{AGENT}/{name}", path, 0o644)


def _files(bundle: Path, tags: Sequence[str]) -> Iterator[Tuple[str, Path]]:
    kept = "|".join(tag[2:] for tag in tags)
    bytecode_of_others = re.compile(rf"\.cpython-(?!(?:{kept})\.)\d+\.")
    for directory, names, files in os.walk(str(bundle), followlinks=True):
        where = os.path.relpath(directory, str(bundle))
        names[:] = sorted(name for name in names if _is_wanted(os.path.normpath(os.path.join(where, name)), tags))
        for file in sorted(files):
            name = os.path.normpath(os.path.join(where, file))
            if _is_wanted(name, tags) and not bytecode_of_others.search(file):
                yield name, Path(directory, file)


def _is_wanted(name: str, tags: Sequence[str]) -> bool:
    target = re.match(r"\.hf-openobserve.(cp\d+t?)-(\w+)-[^/]*$", name)
    return name not in _LEFT_OUT and (target is None or (target.group(1) in tags and target.group(2) == "manylinux"))


def _add(archive: zipfile.ZipFile, name: str, path: Path, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    pack(DIST / "agent", sys.argv[1:] or ["3.12"])
    print(f"{LAYER} ({LAYER.stat().st_size / 1e6:.1f} MB)")
