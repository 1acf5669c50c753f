"""Samples, their medians, and ratios or differences of these."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any, DefaultDict, Dict, List, NamedTuple, Optional, Sequence, Tuple


class Samples:
    """Values by what was measured, by variant, by round: what is in one round was measured within a second or two."""

    def __init__(self) -> None:
        self._values: DefaultDict[Tuple[str, str], Dict[int, float]] = defaultdict(dict)

    def add(self, what: str, variant: str, number: int, value: float) -> None:
        """One value of round ``number``."""
        self._values[what, variant][number] = value

    def of(self, what: str, variant: str) -> List[float]:
        """All values of a variant."""
        return list(self._values[what, variant].values())

    def pairs(self, what: str, variant: str, other: str) -> List[Tuple[float, float]]:
        """Values of the rounds in which both variants were measured."""
        ours, theirs = self._values[what, variant], self._values[what, other]
        return [(ours[number], theirs[number]) for number in ours if number in theirs]

    def as_json(self) -> Dict[str, Dict[str, Dict[str, Any]]]:
        """Medians and quartiles of everything."""
        result: Dict[str, Dict[str, Dict[str, Any]]] = {}
        for (what, variant), values in self._values.items():
            low, high = quartiles(list(values.values()))
            result.setdefault(what, {})[variant] = {
                "median": statistics.median(values.values()),
                "mean": statistics.fmean(values.values()),
                "quartiles": [low, high],
                "rounds": len(values),
            }
        return result


def quartiles(values: Sequence[float]) -> Tuple[float, float]:
    """The first and the third."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


class Row(NamedTuple):
    """One comparison. ``limit`` is the target; None where there is none.

    ``difference``: subtracted, not divided. ``base``: a variant whose value is taken off both sides first, so that what
    the two add to it is compared.
    """

    title: str
    what: str
    unit: str
    variant: str
    against: str
    limit: Optional[float] = None
    difference: bool = False
    base: Optional[str] = None


class Result(NamedTuple):
    """A row with its numbers: medians of both sides, ratio (or difference) of medians and its quartiles by round."""

    row: Row
    ours: float
    theirs: float
    value: float
    spread: Tuple[float, float]

    @property
    def is_disturbed(self) -> bool:
        """True if the ratio of medians lies outside the quartiles by round: the machine was busy, and not evenly."""
        return not self.spread[0] <= self.value <= self.spread[1]

    @property
    def mark(self) -> str:
        """``met``, ``NOT MET``, or nothing where there is no target."""
        if self.row.limit is None:
            return ""
        return "met" if self.value <= self.row.limit else "NOT MET"


def compare(row: Row, samples: Samples) -> Result:
    """The numbers of a row."""
    ours = statistics.median(samples.of(row.what, row.variant))
    theirs = statistics.median(samples.of(row.what, row.against))
    pairs = samples.pairs(row.what, row.variant, row.against)
    if row.base is not None:
        base = statistics.median(samples.of(row.what, row.base))
        ours, theirs = ours - base, theirs - base
        # One base for all rounds: its own noise, taken off both sides, would move every quotient.
        pairs = [(mine - base, other - base) for mine, other in pairs if other > base]
    if row.difference:
        return Result(row, ours, theirs, ours - theirs, quartiles([mine - other for mine, other in pairs]))
    return Result(row, ours, theirs, ours / theirs, quartiles([mine / other for mine, other in pairs]))
