"""Entry points by group and name, the same on every Python from 3.8 on."""

from __future__ import annotations

import importlib.metadata
from typing import Any, List, Optional


def in_group(group: str) -> List[Any]:
    """All entry points of a group, in the order in which the installed distributions are found."""
    found: Any = importlib.metadata.entry_points()
    return list(found.select(group=group) if hasattr(found, "select") else found.get(group, ()))


def find(group: str, name: str) -> Optional[Any]:
    """The first entry point of that name, or None."""
    return next((entry_point for entry_point in in_group(group) if entry_point.name == name), None)
