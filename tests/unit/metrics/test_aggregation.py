"""Values in, points out: buckets, sums, the two temporalities, the bound."""

import pytest

from hf_openobserve.metrics import aggregation, instruments
from hf_openobserve.metrics.aggregation import OVERFLOW, Aggregation
from hf_openobserve.metrics.calls import Sample

A, B = (("model", "a"),), (("model", "b"),)


def collected(made, now):
    """Instrument -> labels -> (count, total), and the time from and to."""
    found = made.collect(now)
    if found is None:
        return None
    points = {one.name: {labels: (p.count, p.total) for labels, p in points} for one, points in found.points}
    return found.start_unix_nano, found.time_unix_nano, points


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (0.01, 0), (0.010001, 1), (0.02, 1), (1.0, 7), (81.92, 13), (82, 14), (1e9, 14)]
)
def test_a_boundary_belongs_to_the_bucket_below(value, bucket):
    made = Aggregation(0, is_delta=True)
    made.add(Sample(instruments.DURATION, A, value))
    ((_, ((_, point),)),) = made.collect(1).points
    assert point.buckets == [int(index == bucket) for index in range(15)]
    assert (point.count, point.total, point.lowest, point.highest) == (1, value, value, value)


def test_delta_says_each_value_once():
    made = Aggregation(100, is_delta=True)
    assert made.collect(150) is None
    for value in (3, 4):
        made.add(Sample(instruments.INPUT, A, value))
    made.add(Sample(instruments.INPUT, B, 5))
    assert collected(made, 200) == (100, 200, {instruments.INPUT.name: {A: (2, 7), B: (1, 5)}})
    assert made.collect(300) is None
    made.add(Sample(instruments.INPUT, A, 1))
    assert collected(made, 400) == (200, 400, {instruments.INPUT.name: {A: (1, 1)}})


def test_cumulative_says_all_since_the_beginning_when_something_came():
    made = Aggregation(100, is_delta=False)
    made.add(Sample(instruments.INPUT, A, 3))
    first = made.collect(200)
    assert made.collect(300) is None
    made.add(Sample(instruments.INPUT, B, 5))
    assert collected(made, 400) == (100, 400, {instruments.INPUT.name: {A: (1, 3), B: (1, 5)}})
    assert [len(points) for _, points in first.points] == [1], "what was collected does not change"


def test_a_clock_that_was_set_back():
    made = Aggregation(100, is_delta=True)
    made.add(Sample(instruments.INPUT, A, 3))
    assert collected(made, 50)[:2] == (100, 100)


def test_beyond_the_bound_is_one_point_more(monkeypatch):
    monkeypatch.setattr(aggregation, "MOST_POINTS", 2)
    made = Aggregation(0, is_delta=False)
    for model in ("a", "b", "c", "d", "a"):
        made.add(Sample(instruments.INPUT, (("model", model),), 1))
    assert collected(made, 1)[2] == {instruments.INPUT.name: {A: (2, 2), B: (1, 1), OVERFLOW: (2, 2)}}
