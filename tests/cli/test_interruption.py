"""How commands that stay are ended."""

from __future__ import annotations

import os
import signal
import time

import pytest

from hf_openobserve.cli import interruption
from hf_openobserve.cli.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_its_echo_is_the_same(number):
    asked = Interruption()
    with asked:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        assert asked.asked()
        assert asked.signal_number == number


def twice():
    with Interruption():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)


def test_a_second_one_breaks_off(monkeypatch):
    monkeypatch.setattr(interruption, "SAME_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        twice()


def test_what_was_there_before_is_there_again():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
