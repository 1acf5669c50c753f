"""Which installed packages are outside the range the agent needs: asked after a failed activation, and by ``doctor``."""

from __future__ import annotations

import importlib.metadata
from typing import Iterator, Optional


def explain() -> Optional[str]:
    """``package version is installed, range is needed``, for the first such package; None if all are in range.

    Raises what ``packaging`` and ``importlib.metadata`` raise on damaged metadata.
    """
    return next(found(), None)


def found() -> Iterator[str]:
    """Such a sentence for each package that is missing, too old or too new. Raises as ``explain`` does."""
    from packaging.requirements import Requirement

    try:
        requirements = importlib.metadata.requires("hf-openobserve") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{requirement.name} is not installed, {requirement.specifier or 'any version'} is needed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} is installed, {requirement.specifier} is needed"
