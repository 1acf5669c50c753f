"""What ``include_usage`` has brought is taken out of a stream of bytes; everything else passes, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_openobserve.wire import event_stream
from hf_openobserve.wire.event_stream import EventStream, UsageHidden

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def event(end=b"\n", **members):
    return b"data: " + json.dumps({"id": "c", "model": "m", **members}).encode() + end + end


def compact(**members):
    return b"data:" + json.dumps({"id": "c", **members}, separators=(",", ":")).encode() + b"\n\n"


def hidden(look=lambda _: None, **options):
    return UsageHidden(look, **options)


def passed(*pieces, **options):
    events = hidden(**options)
    out = b"".join(events.feed(piece) for piece in pieces) + events.finish()
    return out, events.usage


CHOICES = [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_the_event_of_usage_alone_is_taken_out(end):
    kept = event(end, choices=CHOICES)
    assert passed(kept, event(end, choices=[], usage=USAGE), DONE) == (kept + DONE, USAGE)


def test_a_provider_that_sends_its_usage_unasked_is_heard_by_the_program_too():
    usage = event(choices=[], usage=USAGE)
    assert passed(event(choices=CHOICES, usage=None) + usage, sent_unasked=True)[0] == event(choices=CHOICES) + usage


@pytest.mark.parametrize("write", [event, compact], ids=["spaced", "compact"])
@pytest.mark.parametrize("last", [True, False], ids=["last", "first"])
def test_a_null_usage_is_taken_out_of_its_event(write, last):
    members = {"choices": CHOICES, "usage": None} if last else {"usage": None, "choices": CHOICES}
    assert passed(write(**members)) == (write(choices=CHOICES), None)


@pytest.mark.parametrize(
    "kept",
    [
        event(choices=CHOICES, usage=USAGE),
        event(choices=[]),
        event(choices=[{"delta": {"content": 'say "usage": null, please'}}]),
        event(choices=[{"delta": {}, "usage": None}]),
        event(error={"message": "died"}, usage=USAGE),
        b': "usage": null\n\n',
        b'data: {"usage": null\n\n',
        b'data: ["usage"]\n\n',
        b"\n\n",
        DONE,
        'data: \u00fc\u2028 "usage"\n\n'.encode(),
    ],
    ids=[
        "usage beside an answer",
        "no choices, no usage",
        "usage in a text",
        "usage within a choice",
        "an error",
        "a comment",
        "broken json",
        "no object",
        "nothing",
        "done",
        "not json",
    ],
)
def test_all_else_passes_as_it_came(kept):
    assert passed(kept) == (kept, None)


def test_other_fields_of_the_event_go_with_it():
    assert passed(b"event: chunk\nid: 5\n" + event(choices=[], usage=USAGE) + DONE) == (DONE, USAGE)


def test_an_event_passes_as_soon_as_it_is_complete():
    events = hidden()
    first = event(choices=CHOICES)
    assert events.feed(first[:-1]) == b""
    assert events.feed(first[-1:]) == first
    assert events.feed(DONE) == DONE


def test_what_is_no_event_stream_is_not_held_back(monkeypatch):
    monkeypatch.setattr(event_stream, "_LONGEST_EVENT", 100)
    events = hidden()
    assert events.feed(b"x" * 101) == b"x" * 101
    assert events.feed(b"y") == b"y"


PARTS = (
    event(choices=CHOICES),
    event(choices=CHOICES, usage=None),
    event(b"\r\n", choices=CHOICES),
    event(choices=[], usage=USAGE),
    b": ping\n\n",
    DONE,
)


def test_byte_by_byte():
    whole = b"".join(PARTS[3:] + PARTS)
    assert passed(*(whole[index : index + 1] for index in range(len(whole)))) == passed(whole)


@given(st.lists(st.sampled_from(PARTS), max_size=6), st.lists(st.integers(1, 40), max_size=40))
def test_it_makes_no_difference_how_the_bytes_are_cut(parts, cuts):
    whole = b"".join(parts)
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(whole[start : start + cut])
        start += cut
    assert passed(*pieces, whole[start:]) == passed(whole)


def test_what_the_parser_cannot_read_passes():
    deep = b'data: {"usage": ' + b"[" * 100_000 + b"}\n\n"
    assert passed(event(choices=CHOICES), deep[:50], deep[50:], event(choices=[], usage=USAGE)) == (
        event(choices=CHOICES) + deep,
        USAGE,
    )


# What belongs to the last event with an answer, and comes with the usage once that is asked for.

STOPPED = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
TIMINGS = {"predicted_ms": 12.5, "text": "\u00e9"}


@pytest.mark.parametrize(
    ("extra", "given_back"),
    [
        ({"timings": TIMINGS}, {"timings": TIMINGS}),
        ({"timings": TIMINGS, "x_provider": {"usage": USAGE}}, {"timings": TIMINGS}),
        ({"x_groq": {"id": "req_1", "usage": USAGE}}, {"x_groq": {"id": "req_1", "usage": USAGE}}),
        ({"x_provider": {"usage": USAGE}}, {}),
        ({"system_fingerprint": "fp", "obfuscation": "x"}, {}),
        ({"timings": None}, {}),
    ],
    ids=["timings", "and a provider's usage", "a provider's members", "a provider's usage", "repeated", "null"],
)
@pytest.mark.parametrize("comment", [b"", b": ping\n\n"], ids=["at once", "behind a comment"])
def test_what_came_with_the_usage_is_given_back(extra, given_back, comment):
    told = []
    sent = event(choices=CHOICES) + event(choices=STOPPED) + comment + event(choices=[], usage=USAGE, **extra) + DONE
    out, usage = passed(sent, tell=lambda *, moved: told.append(moved))
    bare = event(choices=CHOICES) + event(choices=STOPPED, **given_back) + comment + DONE
    assert (out, usage, told) == (bare, USAGE, [bool(given_back)])


def test_the_last_event_with_an_answer_waits_for_the_next_one():
    events, last = hidden(), event(choices=STOPPED)
    assert events.feed(event(choices=CHOICES) + last) == event(choices=CHOICES)
    assert events.feed(event(choices=CHOICES)) == last + event(choices=CHOICES), "there is another choice"
    assert events.feed(last) == b""
    assert events.finish() == last, "the stream ends without usage"
    assert hidden(holds=False).feed(last) == last, "nothing moves at this server"


def test_events_are_looked_at_whatever_becomes_of_them():
    chunks = []
    for stream in (hidden(chunks.append), EventStream(chunks.append)):
        sent = event(choices=CHOICES) + event(choices=[], usage=USAGE) + b"data: {\n\n" + DONE
        stream.feed(sent[:40])
        stream.feed(sent[40:])
        stream.finish()
        assert [(chunk["choices"], chunk.get("usage")) for chunk in chunks] == [(CHOICES, None), ([], USAGE)]
        assert (stream.done, stream.unreadable) == (True, True)
        chunks.clear()


def test_a_stream_that_was_not_asked_passes_at_once_and_its_cut_off_end_is_looked_at():
    chunks = []
    stream = EventStream(chunks.append)
    assert [stream.feed(data) for data in (b"data: ", b"[1]")] == [b"data: ", b"[1]"]
    assert (stream.finish(), chunks) == (b"", [[1]])
