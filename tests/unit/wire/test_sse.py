"""Server-sent events cut into events and data, by every end of a line that the standard knows, and by nothing else."""

from __future__ import annotations

import pytest

from hf_openobserve.wire import sse

ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


@pytest.fixture(params=ENDS)
def end(request):
    return ENDS[request.param]


def test_an_event_ends_with_an_empty_line(end):
    first, second = b"event: x" + end + b"data: 1" + end + end, b": ping" + end + end
    assert sse.split(first + second + b"data: 2" + end) == ([first, second], b"data: 2" + end)
    assert sse.split(first) == ([first], b"")
    assert [sse.data_of(event) for event in (first, second)] == [b"1", b""]


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\u2029\x0b\x0c\x1cb"])
def test_nothing_else_ends_a_line(end, text):
    event = b"data: " + text.encode() + end + end
    assert sse.split(event) == ([event], b"")
    assert sse.data_of(event).decode() == text


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        ([b"data: a"], b"a"),
        ([b"data:a"], b"a"),
        ([b"data:  a"], b" a"),
        ([b"data: a", b"data: b"], b"a\nb"),
        ([b"id: 1", b"data: a", b"retry: 5"], b"a"),
        ([b"data"], b""),
        ([b"database: a"], b""),
        ([b": data: a"], b""),
        ([b""], b""),
    ],
    ids=str,
)
def test_the_data_of_an_event(lines, data, end):
    assert sse.data_of(end.join([*lines, b"", b""])) == data


@pytest.mark.parametrize("cut", range(1, 40))
def test_wherever_the_bytes_are_cut(cut, end):
    whole = b"".join(b"data: %d" % number + end + end for number in range(4))
    events, rest = sse.split(whole[:cut])
    more, rest = sse.split(rest + whole[cut:])
    assert (events + more, rest) == sse.split(whole)
