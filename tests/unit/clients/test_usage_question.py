"""The question for a stream's usage: whom it is put to, what refuses it, and what of an answer only it has brought."""

from __future__ import annotations

import json

import pytest

from hf_openobserve.clients import usage_question
from hf_openobserve.clients.huggingface_hub import lines
from hf_openobserve.wire.event_stream import UsageHidden

STREAMED = {"model": "m", "stream": True, "messages": []}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CHOICES = [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]
GROQ = {"id": "req_1", "usage": {**USAGE, "queue_time": 0.1}}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(usage_question, "_doubted", {})
    monkeypatch.setattr(usage_question, "_accepted", {})


# Whom it is put to.


@pytest.mark.parametrize(
    ("mode", "kind", "body", "asks"),
    [
        ("auto", "router", STREAMED, True),
        ("auto", "dedicated", STREAMED, True),
        ("auto", "local", STREAMED, False),
        ("auto", "other", STREAMED, False),
        ("on", "other", STREAMED, True),
        ("off", "router", STREAMED, False),
        ("on", "router", {**STREAMED, "stream": False}, False),
        ("on", "router", {**STREAMED, "stream_options": {"include_usage": False}}, False),
        ("on", "router", None, False),
    ],
)
def test_who_is_asked_for_the_usage_of_a_stream(mode, kind, body, asks):
    question = usage_question.question(body, mode, kind, f"https://{kind}.invalid")
    assert (question is not None and question.asks) is asks
    if asks:
        before = json.dumps(body)
        assert usage_question.body_asking(body) == {**body, "stream_options": {"include_usage": True}}
        assert json.dumps(body) == before, "the program's own is not changed"


# What refuses it. A server is a function from (asked) to a status; a program's request is good or bad whoever asks.

ACCEPTS, REFUSES, NAMES, FALLS = "accepts", "refuses", "names", "falls"
GOOD, BAD = "good", "bad"


def status_of(server, request, asked):
    if asked and server in (REFUSES, NAMES, FALLS):
        return 500 if server == FALLS else 422
    return 400 if request == BAD else 200


def send(server, request, kind="dedicated", provider=None, model="m"):
    """One request as the clients send it: the statuses of what went out, asked or not."""
    question = usage_question.question({**STREAMED, "model": model}, "on", kind, "https://server.invalid")
    sent = []
    while True:
        asked = question is not None and question.asks
        status = status_of(server, request, asked)
        sent.append((asked, status))
        if status == 200:
            if question is not None:
                question.answered(provider)
            return sent
        text = "Unknown field: stream_options" if server == NAMES and asked else "Bad Request"
        if question is None or not question.refused(status, text, provider):
            if question is not None:
                question.failed()
            return sent


ASKED, REPEATED, UNASKED = [(True, 200)], [(True, 422), (False, 200)], [(False, 200)]
DOUBTED = [(True, 400), (False, 400)]


@pytest.mark.parametrize(
    ("server", "requests", "sent"),
    [
        (ACCEPTS, [GOOD, GOOD], [ASKED, ASKED]),
        (REFUSES, [GOOD, GOOD, GOOD], [REPEATED, UNASKED, UNASKED]),
        (NAMES, [GOOD, GOOD], [REPEATED, UNASKED]),
        (FALLS, [GOOD, GOOD, GOOD], [[(True, 500), (False, 200)], [(True, 500), (False, 200)], UNASKED]),
        # The program's own error is repeated once, and not where the server is known to accept the question.
        (ACCEPTS, [GOOD, BAD, BAD, GOOD], [ASKED, [(True, 400)], [(True, 400)], ASKED]),
        (ACCEPTS, [BAD, BAD, BAD, GOOD, GOOD], [DOUBTED, [(False, 400)], [(False, 400)], UNASKED, ASKED]),
        (ACCEPTS, [BAD, GOOD, BAD, GOOD, BAD], [DOUBTED, UNASKED, DOUBTED, UNASKED, [(False, 400)]]),
        # What the server thinks of the question does not show while the program's requests are bad.
        (REFUSES, [BAD, GOOD, GOOD, GOOD], [[(True, 422), (False, 400)], UNASKED, REPEATED, UNASKED]),
        (NAMES, [BAD, GOOD], [[(True, 422), (False, 400)], UNASKED]),
    ],
    ids=[
        "accepts",
        "refuses",
        "names it",
        "falls over it",
        "own errors of a server that accepts",
        "own errors first",
        "own errors in turn",
        "a refusal behind an own error",
        "a named refusal of a bad request",
    ],
)
def test_how_often_a_request_goes_out(server, requests, sent):
    assert [send(server, request) for request in requests] == sent


def test_what_a_server_of_the_router_falls_over_is_not_the_question():
    assert send(FALLS, GOOD, kind="router") == send(FALLS, GOOD, kind="router_provider") == [(True, 500)]


def test_a_refusal_is_that_of_one_model():
    assert send(REFUSES, GOOD) == send(REFUSES, GOOD, model="another") == REPEATED


def test_another_provider_of_the_router_may_refuse_what_the_first_accepts():
    assert send(ACCEPTS, GOOD, "router", "together") == ASKED
    assert send(ACCEPTS, BAD, "router", "together") == [(True, 400)]
    assert send(ACCEPTS, BAD, "router", None) == [(True, 400)], "the router itself has let the question pass"
    assert send(REFUSES, GOOD, "router", "cohere") == REPEATED
    assert send(ACCEPTS, GOOD, "router", "together") == UNASKED


def test_a_doubt_is_over_when_the_question_is_accepted():
    another = usage_question.question(STREAMED, "on", "router", "https://server.invalid")
    assert send(ACCEPTS, BAD) == DOUBTED
    another.answered(None)  # was under way meanwhile
    assert send(ACCEPTS, GOOD) == ASKED


def test_two_requests_at_once_are_one_doubt():
    first, second = (usage_question.question(STREAMED, "on", "dedicated", "https://server.invalid") for _ in range(2))
    for question in (first, second):
        assert question.refused(400, "", None)
        question.failed()
    assert send(ACCEPTS, GOOD) == UNASKED
    assert send(ACCEPTS, GOOD) == ASKED


@pytest.mark.parametrize("status", [None, 401, 402, 404, 408, 429, 501, 502, 503, 504])
def test_no_other_error_answers_the_question(status):
    question = usage_question.question(STREAMED, "on", "dedicated", "https://server.invalid")
    assert not question.refused(status, "stream_options", None)


def test_nobody_new_is_asked_when_too_much_is_remembered(monkeypatch):
    monkeypatch.setattr(usage_question, "_CAPACITY", 2)
    for model in ("a", "b"):
        assert send(REFUSES, GOOD, model=model) == REPEATED
    assert send(ACCEPTS, GOOD, model="c") == UNASKED
    assert len(usage_question._doubted) == 2


# What only it has brought. openai's clients read bytes, huggingface_hub's read lines.

HIDDEN = None
SEEN = (
    ("usage alone", {"choices": [], "usage": USAGE}, HIDDEN),
    ("of an unknown form", {"choices": [], "usage": "many"}, HIDDEN),
    ("that is empty", {"choices": [], "usage": {}}, HIDDEN),
    ("of no count", {"choices": [], "usage": 0}, HIDDEN),
    ("and a provider's", {"choices": [], "usage": USAGE, "x_provider": {"usage": USAGE}}, HIDDEN),
    ("behind a provider's", {"x_provider": {"usage": USAGE}, "choices": [], "usage": USAGE}, HIDDEN),
    ("and Groq's, alone", {"choices": [], "usage": USAGE, "x_groq": GROQ}, HIDDEN),
    ("and metrics", {"choices": [], "usage": USAGE, "sla_metrics": {"ttft_ms": 12}}, HIDDEN),
    ("and no error", {"choices": [], "usage": USAGE, "error": None}, HIDDEN),
    ("choices of null", {"choices": None, "usage": USAGE}, HIDDEN),
    ("without choices", {"usage": USAGE}, HIDDEN),
    ("no usage", {"choices": CHOICES}, {"choices": CHOICES}),
    ("neither", {"choices": []}, {"choices": []}),
    ("null, last", {"choices": CHOICES, "usage": None}, {"choices": CHOICES}),
    ("null, first", {"usage": None, "choices": CHOICES}, {"choices": CHOICES}),
    ("null, in between", {"a": 1, "usage": None, "choices": CHOICES}, {"a": 1, "choices": CHOICES}),
    ("null, alone", {"choices": [], "usage": None}, {"choices": []}),
    (
        "null, and a choice's",
        {"choices": [{**CHOICES[0], "usage": None}], "usage": None, "b": 2},
        {"choices": [{**CHOICES[0], "usage": None}], "b": 2},
    ),
    (
        "null, before a provider's",
        {"usage": None, "x_provider": {"usage": None}, "choices": CHOICES},
        {"x_provider": {"usage": None}, "choices": CHOICES},
    ),
    (
        "a provider's",
        {"choices": CHOICES, "x_provider": {"usage": USAGE}},
        {"choices": CHOICES, "x_provider": {"usage": USAGE}},
    ),
    ("beside an answer", {"choices": CHOICES, "usage": USAGE}, {"choices": CHOICES, "usage": USAGE}),
    (
        "beside an answer and Groq's",
        {"choices": CHOICES, "usage": USAGE, "x_groq": GROQ},
        {"choices": CHOICES, "x_groq": GROQ},
    ),
    (
        "behind Groq's",
        {"choices": CHOICES, "x_groq": GROQ, "usage": USAGE},
        {"choices": CHOICES, "x_groq": GROQ},
    ),
    (
        "beside Groq's without one",
        {"choices": CHOICES, "usage": USAGE, "x_groq": {"id": "req_1"}},
        {"choices": CHOICES, "usage": USAGE, "x_groq": {"id": "req_1"}},
    ),
)
cases = pytest.mark.parametrize(("chunk", "seen"), [case[1:] for case in SEEN], ids=[case[0] for case in SEEN])


def hidden_from(**options):
    return UsageHidden(lambda _: None, **options)


def write(members, separators):
    return b"data: " + json.dumps({"id": "c", **members}, separators=separators).encode() + b"\n\n"


@cases
@pytest.mark.parametrize("separators", [None, (",", ":")], ids=["spaced", "compact"])
def test_what_a_program_sees_of_an_event(chunk, seen, separators):
    events = hidden_from()
    expected = b"" if seen is HIDDEN else write(seen, separators)
    assert events.feed(write(chunk, separators)) == expected
    taken = chunk.get("usage") if seen is HIDDEN or "usage" not in seen else None
    assert events.usage == (taken if isinstance(taken, dict) else None)


@cases
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "bytes"])
def test_what_a_program_sees_of_a_line(chunk, seen, as_text):
    def line(members):
        data = write(members, None).strip()
        return data.decode() if as_text else data

    sent = [line({"choices": CHOICES}), line(chunk), "data: [DONE]" if as_text else b"data: [DONE]"]
    expected = [sent[0], *(() if seen is HIDDEN else (line(seen),)), sent[2]]
    assert list(lines.watched(iter(sent), hidden_from(), [])) == expected


@pytest.mark.parametrize("provider", ["together", "novita", None])
def test_who_sends_it_unasked(provider):
    events = hidden_from(sent_unasked=not usage_question.hides_extra(provider))
    assert (events.feed(write({"choices": [], "usage": USAGE}, None)) == b"") is (provider != "novita")


def test_an_event_of_two_lines_is_one_chunk():
    events = hidden_from()
    assert events.feed(b'event: x\ndata: {"choices": [],\ndata: "usage": {"total_tokens": 1}}\n\n') == b""
    assert events.usage == {"total_tokens": 1}


def test_an_error_is_the_programs_whatever_stands_beside_it():
    event = write({"error": {"message": "died"}, "usage": USAGE}, None)
    assert hidden_from().feed(event) == event
