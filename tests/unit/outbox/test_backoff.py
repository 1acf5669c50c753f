"""How long it is waited after a failure."""

from __future__ import annotations

import pytest

from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED, RETRY, Verdict
from hf_openobserve.outbox import backoff
from hf_openobserve.outbox.memory import MemoryStore
from senders import (
    StubClient,
)


class Clock:
    """``time``: it stands still."""

    def monotonic(self):
        return 1000.0


@pytest.mark.parametrize(
    ("verdict", "least", "most"),
    [
        (Verdict(RETRY), 0, 0.2),
        (Verdict(RETRY, retry_after_s=17.0), 17, 17),
        (Verdict(BLOCKED), 0.3, 0.3),
    ],
)
def test_how_long_it_waits(outbox, monkeypatch, verdict, least, most):
    monkeypatch.setattr(backoff, "time", Clock())
    made = outbox(client=StubClient(verdict), store=MemoryStore())
    made.store.append(1, b"x")
    for _ in range(50):
        assert made.delivery.deliver() is False
        assert least <= round(made.delivery.backoff.wait_s(), 6) <= most


def test_an_outage_of_many_days_is_waited_out(outbox):
    made = outbox(client=StubClient(*[Verdict(RETRY)] * 3000, Verdict(ACCEPTED)), store=MemoryStore())
    made.store.append(1, b"x")
    for _ in range(3000):
        assert made.delivery.deliver() is False
    assert made.delivery.deliver() is True
