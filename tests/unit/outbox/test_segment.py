"""The segment file's frames: whatever has happened to the bytes, every intact record is found and nothing raises."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outboxes
from hf_openobserve.outbox import segment

DESTINATION = "openobserve https://o2.example.com/api/default/v1/traces stream=default"
SPANS = [(1, b"one"), (2, b""), (3, b"three" * 50), (2**64 - 1, bytes(range(256)))]


def records(spans):
    return [segment.span_record(start, payload) for start, payload in spans]


def spans_in(data):
    return [(start, payload) for marker, start, payload in segment.parse(data) if marker == segment.SPAN_MARKER]


def written(tmp_path, data):
    path = tmp_path / "x.seg"
    path.write_bytes(data)
    return str(path)


def test_a_record_is_its_header_and_its_payload():
    record = segment.span_record(7, b"payload")
    assert len(record) == segment.HEADER.size + 7
    assert segment.HEADER.size == 20
    assert record[:4] == segment.SPAN_MARKER
    assert int.from_bytes(record[4:8], "little") == 7
    assert int.from_bytes(record[12:20], "little") == 7
    assert record[20:] == b"payload"


def test_markers_can_stand_in_no_text():
    for marker in (segment.SPAN_MARKER, segment.META_MARKER):
        with pytest.raises(UnicodeDecodeError):
            marker.decode()


def test_what_is_written_is_read(tmp_path):
    data = segment.meta_record(DESTINATION) + b"".join(records(SPANS))
    assert spans_in(data) == SPANS
    assert outboxes.spans(written(tmp_path, data)) == SPANS


def test_what_a_segment_says_of_itself(tmp_path):
    before = time.time_ns()
    path = written(tmp_path, segment.meta_record(DESTINATION) + segment.span_record(1, b"x"))
    meta = outboxes.meta(path)
    assert (meta["version"], meta["destination"], meta["pid"]) == (1, DESTINATION, os.getpid())
    assert before <= meta["created"] <= time.time_ns()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        segment.meta_record(DESTINATION)[:-1],
        segment.frame(segment.META_MARKER, 0, b"[1]"),
        segment.frame(segment.META_MARKER, 0, b"not json"),
        segment.frame(segment.META_MARKER, 0, b"\xff\xfe"),
    ],
    ids=["empty", "garbage", "torn", "a-list", "no-json", "no-text"],
)
def test_a_damaged_description_is_none(tmp_path, data):
    path = written(tmp_path, data + segment.span_record(1, b"x"))
    assert outboxes.meta(path) == {}
    assert outboxes.spans(path) == [(1, b"x")]


@pytest.mark.parametrize(("start", "read"), [(0, 0), (2**64 - 1, 2**64 - 1), (2**64, 0), (-1, 2**64 - 1)])
def test_a_start_of_any_size_fits(start, read):
    assert spans_in(segment.span_record(start, b"x")) == [(read, b"x")]


def test_the_last_record_torn_at_every_byte():
    whole, last = b"".join(records(SPANS)), segment.span_record(9, b"the last one")
    for cut in range(len(last)):
        assert spans_in(whole + last[:cut]) == SPANS


def test_a_record_torn_in_the_middle_at_every_byte():
    torn, after = segment.span_record(9, b"torn" * 8), records(SPANS)
    for cut in range(len(torn)):
        assert spans_in(torn[:cut] + b"".join(after)) == SPANS


def test_a_changed_byte_costs_its_record_and_no_other():
    parts = records([(1, b"one"), (2, b"two" * 4), (3, b"three")])
    begin, end = len(parts[0]), len(parts[0]) + len(parts[1])
    data = b"".join(parts)
    for position in range(begin, end):
        for bit in (0, 3, 7):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            assert spans_in(bytes(damaged)) == [(1, b"one"), (3, b"three")]


def test_a_payload_that_holds_markers_and_whole_records_is_one_record():
    inner = segment.span_record(5, b"inner")
    for payload in (segment.SPAN_MARKER * 3, inner, inner[:-1] + segment.META_MARKER):
        assert spans_in(segment.span_record(1, payload) + segment.span_record(2, b"x")) == [(1, payload), (2, b"x")]


def test_a_length_beyond_the_bound_is_a_torn_header():
    header = segment.HEADER.pack(segment.SPAN_MARKER, segment.MAX_PAYLOAD_BYTES + 1, 0, 0)
    assert spans_in(header + segment.span_record(2, b"x")) == [(2, b"x")]


def test_a_file_of_nothing_but_holes_is_read_in_no_time():
    # What a file system may leave after a crash: blocks of zeros, and a record behind them.
    began = time.monotonic()
    assert spans_in(bytes(8 * 1024 * 1024) + segment.span_record(2, b"x")) == [(2, b"x")]
    assert time.monotonic() - began < 5


def test_a_file_of_nothing_but_markers_is_read_in_no_time():
    began = time.monotonic()
    assert spans_in(segment.SPAN_MARKER * 30_000 + segment.span_record(2, b"x")) == [(2, b"x")]
    assert time.monotonic() - began < 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=60)), max_size=8))
def test_any_spans_come_back(spans):
    assert spans_in(b"".join(records(spans))) == spans


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=30)),
            # Garbage without a marker: a marker in it would be a record's start like any other.
            st.binary(max_size=40).filter(lambda garbage: b"\xf5" not in garbage),
        ),
        max_size=8,
    )
)
def test_garbage_between_records_costs_none(parts):
    data = b"".join(segment.span_record(*part) if isinstance(part, tuple) else part for part in parts)
    assert spans_in(data) == [part for part in parts if isinstance(part, tuple)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=20))
def test_no_bytes_raise(data, more):
    for one in (data, segment.SPAN_MARKER + data, data + segment.META_MARKER + more):
        assert all(isinstance(payload, bytes) for _, _, payload in segment.parse(one))


def test_the_description_holds_what_it_was_given_and_no_more():
    ((_, _, payload),) = segment.parse(segment.meta_record(DESTINATION))
    assert sorted(json.loads(payload)) == ["created", "destination", "pid", "version"]
