"""Lays out what one Python imports as links into the store, where each distribution stands once.

A directory that one distribution has for itself is one link; one that several share, as the namespace
``opentelemetry``, is a directory of links. Links are relative, so that a copy of the whole holds (``cp -r``, tar, ``zip
-y``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, Sequence


def lay_out(directory: Path, stored: Sequence[Path], cache_tag: str) -> None:
    """Make ``directory`` of links to what the stored distributions have.

    cache_tag: of bytecode in shared directories this interpreter's alone is shown.
    """
    directory.mkdir(parents=True)
    _merge(directory, list(stored), cache_tag)


def _merge(directory: Path, sources: List[Path], cache_tag: str) -> None:
    found: Dict[str, List[Path]] = {}
    for source in sources:
        for entry in sorted(source.iterdir()):
            found.setdefault(entry.name, []).append(entry)
    for name, entries in sorted(found.items()):
        if name == "__pycache__":
            _bytecode(directory / name, entries, cache_tag)
        elif len(entries) == 1:
            link(directory / name, entries[0])
        elif all(entry.is_dir() for entry in entries):
            (directory / name).mkdir()
            _merge(directory / name, entries, cache_tag)
        else:
            raise ValueError(f"several distributions have {directory / name}: {entries}")


def _bytecode(directory: Path, caches: Sequence[Path], cache_tag: str) -> None:
    found = [entry for cache in caches for entry in sorted(cache.iterdir()) if f".{cache_tag}." in entry.name]
    if found:
        directory.mkdir()
    for entry in found:
        link(directory / entry.name, entry)


def link(path: Path, to: Path) -> None:
    """A relative link."""
    path.symlink_to(os.path.relpath(to, path.parent))
