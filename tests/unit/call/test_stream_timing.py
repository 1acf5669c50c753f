"""How fast a stream came: of readings of the clock, and of tokens as a server counts them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_openobserve.call import stream_timing
from hf_openobserve.call.stream_timing import Tokens


def test_only_what_is_known_is_told(monkeypatch):
    clock = iter([1.0, 1.5, 1.6, 2.0, 5.0, 6.0])
    monkeypatch.setattr(stream_timing, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    stream = stream_timing.StreamTiming(began=0.5)
    for content in (False, True, True):
        stream.asked()
        stream.came()
        if content:
            stream.had_content()
    assert stream.attributes(Tokens(output=3), pieces=2, reasoned=False) == {
        "hf.stream.chunks": 3,
        "hf.stream.longest_wait": 1.0,
        "gen_ai.response.time_to_first_chunk": 1.5,
        "hf.stream.time_per_output_token": 2.0,
        "hf.stream.tokens_per_second": 0.5,
    }
    assert set(stream.attributes(Tokens(), pieces=2, reasoned=False)) == {
        "hf.stream.chunks",
        "hf.stream.longest_wait",
        "gen_ai.response.time_to_first_chunk",
    }
    assert stream_timing.StreamTiming(began=0.5).attributes(Tokens(output=3), pieces=2, reasoned=False) == {}


@pytest.mark.parametrize(
    ("tokens", "pieces", "reasoned", "seen"),
    [
        (Tokens(5, None, None, 3), 2, False, None),
        (Tokens(5, 1000, 1005, None), 11, False, 1000),
        (Tokens(5, 1000, 1005, 0), 11, False, 1000),
        (Tokens(5, 1000, 1005, 989), 11, False, 11),  # hidden
        (Tokens(5, 1000, 1005, 989), 11, True, 1000),  # shown, several tokens to a piece
        (Tokens(5, 1000, 1005, 989), 600, False, 1000),  # shown as <think> within the text
        (Tokens(None, 1000, None, 989), 11, False, 11),
        (Tokens(5, 11, 1005, 989), 11, False, 11),  # counted beside the output
        (Tokens(5, 11, 16, 989), 11, False, 11),  # no count that could be
    ],
)
def test_reasoning_that_did_not_come_as_pieces_counts_for_no_pace(tokens, pieces, reasoned, seen):
    assert tokens.seen(pieces=pieces, reasoned=reasoned) == seen


def test_bytes_of_unknown_chunks_are_a_reading_of_the_clock_and_no_chunk():
    stream = stream_timing.StreamTiming(began=0.5)
    stream.came(as_chunk=False)
    assert (stream.chunks, stream.last_chunk > 0) == (0, True)
