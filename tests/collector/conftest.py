"""These tests need the Collector that `make collector` builds: they run in a session of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import gateways


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    if ours and os.environ.get("HF_OPENOBSERVE_COLLECTOR"):
        assert gateways.BINARY.exists(), "`make collector` has not built it"
        return
    for item in ours:
        item.add_marker(pytest.mark.skip(reason="in the session `collector`, and by `make test-collector`"))
