"""No error of the agent's own may hide behind ``settings.load``, which never raises."""

import pytest

from hf_openobserve.process import diagnostics


@pytest.fixture(autouse=True)
def _nothing_is_swallowed(monkeypatch):
    def fail(where):
        raise AssertionError(where)

    monkeypatch.setattr(diagnostics, "swallowed", fail)
