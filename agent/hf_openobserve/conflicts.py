"""Why activation failed: which installed package is outside the range the agent needs. Asked only after a failure."""

from __future__ import annotations

import importlib.metadata
from typing import Optional


def explain() -> Optional[str]:
    """``package version is installed, range is needed``, for the first such package; None if all are in range.

    Raises what ``packaging`` and ``importlib.metadata`` raise on damaged metadata.
    """
    from packaging.requirements import Requirement

    try:
        requirements = importlib.metadata.requires("hf-openobserve") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            return f"{requirement.name} is not installed, {requirement.specifier or 'any version'} is needed"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"{requirement.name} {version} is installed, {requirement.specifier} is needed"
    return None
