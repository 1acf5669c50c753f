"""What each answer of a server means for the spans, and that no answer, however odd, ends the sender."""

from __future__ import annotations

import email.utils
import json
import math
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from hf_openobserve.openobserve import answers
from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED, REFUSED, RETRY, TOO_LARGE

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
SENTENCE = "Some spans were rejected due to exceeding the allowed retention period"


def error(code, message):
    return json.dumps({"code": code, "message": message}).encode()


def partial(rejected, reason=SENTENCE):
    return ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
    ).SerializeToString()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, ACCEPTED),
        (201, ACCEPTED),
        (202, ACCEPTED),
        (204, ACCEPTED),
        (206, ACCEPTED),
        (301, BLOCKED),
        (302, BLOCKED),
        (307, BLOCKED),
        (308, BLOCKED),
        (400, REFUSED),
        (401, BLOCKED),
        (403, BLOCKED),
        (404, BLOCKED),
        # A wrong address or a proxy in between: no span is guilty of it, and none may be put aside for it.
        (405, BLOCKED),
        (407, BLOCKED),
        (410, BLOCKED),
        (411, BLOCKED),
        (421, BLOCKED),
        (426, BLOCKED),
        (431, BLOCKED),
        (451, BLOCKED),
        (408, RETRY),
        (413, TOO_LARGE),
        (415, BLOCKED),
        (422, REFUSED),
        (429, RETRY),
        (500, RETRY),
        (502, RETRY),
        (503, RETRY),
        (504, RETRY),
        (599, RETRY),
    ],
)
def test_the_outcome_of_a_status(status, outcome):
    verdict = answers.judge(status, {}, b"")
    assert verdict.outcome == outcome
    assert verdict.rejected == 0


@pytest.mark.parametrize(
    ("headers", "body", "rejected", "reason"),
    [
        pytest.param(PROTOBUF, b"", 0, "", id="empty-protobuf"),
        pytest.param(PROTOBUF, ExportTraceServiceResponse().SerializeToString(), 0, "", id="protobuf"),
        pytest.param(PROTOBUF, partial(3), 3, SENTENCE, id="protobuf-partial"),
        pytest.param(PROTOBUF, partial(0, "deprecated"), 0, "deprecated", id="protobuf-warning"),
        pytest.param(JSON, b"{}", 0, "", id="json"),
        pytest.param(JSON, b'{"partialSuccess": null}', 0, "", id="json-null"),
        pytest.param(
            JSON,
            json.dumps({"partialSuccess": {"rejectedSpans": "4", "errorMessage": SENTENCE}}).encode(),
            4,
            SENTENCE,
            id="json-partial-64-bit-as-text",
        ),
        pytest.param(
            {"content-type": "application/json; charset=utf-8"},
            b'{"partialSuccess": {"rejectedSpans": 4}}',
            4,
            "",
            id="json-partial-number",
        ),
        pytest.param({}, b"", 0, "", id="no-type"),
        pytest.param({"content-type": "text/plain"}, b"ok", 0, "", id="a-word"),
        pytest.param(PROTOBUF, b"\xff\xff\xff", 0, "", id="broken-protobuf"),
        pytest.param(JSON, b"nonsense", 0, "", id="broken-json"),
        pytest.param(JSON, b"[1]", 0, "", id="a-list"),
        pytest.param(JSON, b'{"partialSuccess": [1]}', 0, "", id="a-list-within"),
        pytest.param(JSON, b'{"partialSuccess": {"rejectedSpans": "many"}}', 0, "", id="no-number"),
        pytest.param(JSON, b'{"partialSuccess": {"rejectedSpans": 1e999}}', 0, "", id="infinite"),
        pytest.param(JSON, b"[" * 100000, 0, "", id="deep"),
    ],
)
@pytest.mark.parametrize("status", [200, 206])
def test_what_a_success_says_of_rejected_spans(status, headers, body, rejected, reason):
    assert answers.judge(status, headers, body) == answers.Verdict(ACCEPTED, reason, rejected)


@pytest.mark.parametrize("status", [200, 203, 206])
def test_a_web_page_has_stored_nothing(status):
    verdict = answers.judge(status, {"content-type": "text/html; charset=utf-8"}, b"<html>Please sign in")
    assert verdict == answers.Verdict(BLOCKED, f"it answers with a web page ({status}); check OPENOBSERVE_URL")


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (400, JSON, error(400, "Invalid proto: x"), "400: Invalid proto: x"),
        (500, {}, b"write failed\n  disk", "500: write failed disk"),
        (503, JSON, b'{"error": "memtable full"}', "503: memtable full"),
        (503, JSON, b'"just text"', '503: "just text"'),
        (500, {}, b"", "500: "),
        (500, {}, "h\u00e9".encode("latin-1"), "500: h\ufffd"),
        (
            401,
            {},
            b"Unauthorized Access",
            "it refuses the credentials (401: Unauthorized Access); check OPENOBSERVE_AUTH_TOKEN",
        ),
        (
            404,
            JSON,
            error(404, "Organization not found"),
            "it knows no such address or organization (404: Organization not found); check OPENOBSERVE_URL",
        ),
        (
            302,
            {"location": "https://user:pass@o2.example.com/web/login?token=s3cr3t"},
            b"",
            "it redirects (302) to https://o2.example.com/web/login; use that address",
        ),
        (302, {"location": "/web/login?x=s3cr3t"}, b"", "it redirects (302) to /web/login; use that address"),
        (302, {"location": "https://h/a@b?c=d@e"}, b"", "it redirects (302) to https://h/a@b; use that address"),
    ],
)
def test_the_reason_is_the_servers_sentence(status, headers, body, reason):
    assert answers.judge(status, headers, body).reason == reason


@pytest.mark.parametrize(
    "location",
    [
        "https://user:s3cr3t@o2.example.com/",
        "//user:s3cr3t@o2.example.com/",
        "https://o2.example.com/?access_token=s3cr3t",
        "https://o2.example.com/#access_token=s3cr3t",
        "/login?next=s3cr3t",
    ],
)
def test_a_redirect_shows_no_secret(location):
    assert "s3cr3t" not in answers.judge(302, {"location": location}, b"").reason


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
@pytest.mark.parametrize(
    "body",
    [b"one\ntwo\r\nthree", b"x" * 100000, b"\x1b[2J\x1b]0;owned\x07", "zero\u2028width".encode(), b"nul\x00"],
    ids=["lines", "long", "escapes", "separator", "nul"],
)
def test_the_reason_is_one_printable_line(status, body):
    reason = answers.judge(status, {"location": body.decode()}, body).reason
    assert len(reason) < 400
    assert reason.isprintable()


@pytest.mark.parametrize(
    "text", ["one\ntwo", "x" * 100000, "\x1b[2J", "nul\x00"], ids=["lines", "long", "escapes", "nul"]
)
def test_so_is_what_a_success_says(text):
    for headers, body in (
        (PROTOBUF, partial(1, text)),
        (JSON, json.dumps({"partialSuccess": {"rejectedSpans": 1, "errorMessage": text}}).encode()),
    ):
        verdict = answers.judge(200, headers, body)
        assert verdict.rejected == 1
        assert len(verdict.reason) < 400
        assert verdict.reason.isprintable()


@pytest.mark.parametrize(
    ("value", "at_least", "at_most"),
    [
        ("0", 0, 0),
        ("7", 7, 7),
        (" 7 ", 7, 7),
        ("1.5", 1.5, 1.5),
        ("-5", 0, 0),
    ],
)
def test_when_to_come_back(value, at_least, at_most):
    verdict = answers.judge(429, {"retry-after": value}, b"")
    assert verdict.outcome == RETRY
    assert at_least <= verdict.retry_after_s <= at_most


@pytest.mark.parametrize(("seconds", "at_least", "at_most"), [(300, 290, 301), (-3600, 0, 0)])
def test_when_to_come_back_as_a_date(seconds, at_least, at_most):
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    assert at_least <= answers.judge(429, {"retry-after": date}, b"").retry_after_s <= at_most


@pytest.mark.parametrize("value", ["", "soon", "Mon, 99 Nonsense", "1e", "0x10", "\u00b2"])
def test_a_time_that_cannot_be_read_is_none(value):
    assert answers.judge(503, {"retry-after": value}, b"").retry_after_s is None


@pytest.mark.parametrize(
    "value", ["inf", "1e400", "nan", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "-inf"]
)
def test_a_time_that_nobody_can_wait_for_is_not_waited_for(value):
    # The sender hands it to threading, which raises beyond TIMEOUT_MAX; the server itself takes spans of 5 hours.
    wait = answers.judge(503, {"retry-after": value}, b"").retry_after_s
    if wait is not None:
        assert math.isfinite(wait)
        assert 0 <= wait <= min(5 * 3600, threading.TIMEOUT_MAX)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(100, 999),
    st.dictionaries(
        st.sampled_from(["content-type", "location", "retry-after"]),
        st.text(max_size=30) | st.sampled_from([*PROTOBUF.values(), *JSON.values()]),
    ),
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.sampled_from([b"[" * 3000, b'{"message":' * 3000, b"9" * 5000, b"\xff" * 3000]),
)
def test_no_answer_raises(status, headers, body):
    verdict = answers.judge(status, headers, body)
    assert verdict.outcome in (ACCEPTED, RETRY, BLOCKED, REFUSED, TOO_LARGE)
    assert isinstance(verdict.rejected, int)
    assert (verdict.outcome == ACCEPTED) == (200 <= status < 300)
