"""Fixtures shared by all tests. Modules beside this one (harness, scripted, fakes) are imported by their plain names."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakes.openobserve import FakeOpenObserve
from llama import llama_server as llama  # noqa: F401 - a fixture


def pytest_configure(config):
    config.addinivalue_line("markers", "matrix: runs on every Python and package set of the version matrix")
    # A shell's background job ignores Ctrl-C, and so would every program that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def openobserve():
    """A strict stand-in for a current OpenObserve server (see fakes/)."""
    with FakeOpenObserve() as server:
        yield server
