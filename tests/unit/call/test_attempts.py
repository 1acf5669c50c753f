"""The requests of one call, and what is told of those that were repeated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_openobserve.call.attempts import Attempt, Attempts, retry_events


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"retry-after": "2"}, {"hf.retry_after": 2.0}),
        ({"retry-after": "0.5"}, {"hf.retry_after": 0.5}),
        (
            {"retry-after": "Mon, 23 Nov 2026 18:00:00 GMT"},
            {"hf.retry_after.date": "Mon, 23 Nov 2026 18:00:00 GMT"},
        ),
        ({}, {}),
        (None, {}),
    ],
)
def test_a_retry_tells_the_wait_that_the_server_asked_for_and_the_one_it_got(headers, told):
    done = [Attempt(1, 10, status_code=429, headers=headers), Attempt(1_000_000_010, 1_000_000_020, 200)]
    (event,) = retry_events(done)
    assert (event.name, event.time_unix_nano) == ("hf.retry", 10)
    assert event.attributes == {"hf.retry.wait": 1.0, "http.response.status_code": 429, **told}


def test_no_request_that_follows_is_one_of_the_calls():
    attempts = Attempts("router.test")
    attempts.close()
    assert not attempts.begin(SimpleNamespace(url=SimpleNamespace(host="router.test"), headers={}))
