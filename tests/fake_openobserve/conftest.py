"""A server of the newest recorded version, one of the oldest, and one as the contract describes what came after."""

from __future__ import annotations

import pytest

from fakes.openobserve import FakeOpenObserve


@pytest.fixture
def server():
    with FakeOpenObserve() as running:
        yield running


@pytest.fixture
def old_server():
    with FakeOpenObserve("0.90.3") as running:
        yield running


@pytest.fixture
def newest_server():
    with FakeOpenObserve("0.93.0") as running:
        yield running
