"""Values put together by instrument and labels, for an interval (delta) or since the beginning (cumulative). Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import Dict, List, NamedTuple, Optional, Tuple

from hf_openobserve.metrics.calls import Labels, Sample
from hf_openobserve.metrics.instruments import Instrument

MOST_POINTS = 2000
"""Of one instrument, as in OpenTelemetry's SDK: what comes with further labels is one point more, of ``OVERFLOW``."""
OVERFLOW: Labels = (("otel.metric.overflow", True),)


class Point:
    """What was told one instrument under the same labels."""

    __slots__ = ("buckets", "count", "highest", "lowest", "total")

    def __init__(self, buckets: int) -> None:
        self.count = 0
        self.total: float = 0
        self.lowest: float = 0
        self.highest: float = 0
        self.buckets = [0] * buckets

    def add(self, value: float, boundaries: Tuple[float, ...]) -> None:
        """One value more. A boundary belongs to the bucket below it."""
        self.lowest = min(self.lowest, value) if self.count else value
        self.highest = max(self.highest, value) if self.count else value
        self.count += 1
        self.total += value
        if boundaries:
            self.buckets[bisect_left(boundaries, value)] += 1

    def copy(self) -> Point:
        """The same, as it is now."""
        made = Point(0)
        made.count, made.total, made.lowest, made.highest = self.count, self.total, self.lowest, self.highest
        made.buckets = list(self.buckets)
        return made


class Collected(NamedTuple):
    """What goes into one request. Times are nanoseconds since the epoch."""

    start_unix_nano: int
    time_unix_nano: int
    is_delta: bool
    points: List[Tuple[Instrument, List[Tuple[Labels, Point]]]]


class Aggregation:
    """Of one process. Not thread-safe."""

    def __init__(self, start_unix_nano: int, *, is_delta: bool) -> None:
        self._start = start_unix_nano
        self._is_delta = is_delta
        self._points: Dict[Instrument, Dict[Labels, Point]] = {}
        self._changed = False

    def add(self, sample: Sample) -> None:
        """Take a value in."""
        instrument, labels, value = sample
        points = self._points.setdefault(instrument, {})
        point = points.get(labels)
        if point is None:
            if len(points) >= MOST_POINTS:
                labels = OVERFLOW
            point = points.setdefault(labels, Point(len(instrument.boundaries) + 1 if instrument.boundaries else 0))
        point.add(value, instrument.boundaries)
        self._changed = True

    def collect(self, now_unix_nano: int) -> Optional[Collected]:
        """What there is to say; None where nothing came since the last time.

        An interval's values are gone then: who collects sees to it that they arrive.
        """
        if not self._changed:
            return None
        self._changed = False
        now = max(now_unix_nano, self._start)  # a clock that was set back
        points = [
            (instrument, [(labels, point.copy()) for labels, point in of_one.items()])
            for instrument, of_one in self._points.items()
        ]
        collected = Collected(self._start, now, self._is_delta, points)
        if self._is_delta:
            self._points = {}
            self._start = now
        return collected
