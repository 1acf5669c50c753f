"""What ``include_usage`` has brought is taken out of a stream of bytes; everything else passes, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_openobserve.capture import usage_events
from hf_openobserve.capture.usage_events import UsageEvents

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def event(end=b"\n", **members):
    return b"data: " + json.dumps({"id": "c", "model": "m", **members}).encode() + end + end


def compact(**members):
    return b"data:" + json.dumps({"id": "c", **members}, separators=(",", ":")).encode() + b"\n\n"


def passed(*pieces):
    events = UsageEvents()
    out = b"".join(events.feed(piece) for piece in pieces) + events.finish()
    return out, events.usage


CHOICES = [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_the_event_of_usage_alone_is_taken_out(end):
    kept = event(end, choices=CHOICES)
    assert passed(kept, event(end, choices=[], usage=USAGE), DONE) == (kept + DONE, USAGE)


def test_a_provider_that_sends_its_usage_unasked_is_heard_by_the_program_too():
    events = UsageEvents(sent_unasked=True)
    usage = event(choices=[], usage=USAGE)
    assert events.feed(event(choices=CHOICES, usage=None) + usage) == event(choices=CHOICES) + usage
    assert events.usage is None


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
    events = UsageEvents()
    first = event(choices=CHOICES)
    assert events.feed(first[:-1]) == b""
    assert events.feed(first[-1:]) == first
    assert events.feed(DONE) == DONE


def test_what_is_no_event_stream_is_not_held_back(monkeypatch):
    monkeypatch.setattr(usage_events, "_LONGEST_EVENT", 100)
    events = UsageEvents()
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


def test_what_the_parser_cannot_read_passes_and_so_does_all_after_it():
    events = UsageEvents()
    deep = b'data: {"usage": ' + b"[" * 100_000 + b"}\n\n"
    sent = [b'data: {"choices": [1]}\n\n', deep[:50], deep[50:], b'data: {"choices": [], "usage": {}}\n\n']
    assert b"".join(events.feed(data) for data in sent) + events.finish() == b"".join(sent)
    assert events.usage is None
