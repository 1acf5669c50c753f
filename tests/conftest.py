"""Fixtures shared by all tests.

Modules beside this one (harness, scripted, fakes) are imported by their plain names.
"""

from __future__ import annotations

import os
import signal
import sys
import zlib
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness
from fakes.openobserve import FakeOpenObserve
from llama import llama_server as llama  # noqa: F401 - a fixture
from users import ground  # noqa: F401 - a fixture

# The same examples on every machine and in every run, however slow it is: a failure is the change's, not the day's.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")

_OF_THE_HOST = ("OPENOBSERVE_", "OTEL_", "OPENINFERENCE_", "XDG_")
_SHOWN_BY = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def _forget_the_host():
    """What a developer, or a CI system, has set for other programs is not what is tested.

    All servers are this machine's.
    """
    for name in list(os.environ):
        if name.startswith(_OF_THE_HOST) or name in _SHOWN_BY:
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"  # the package index may be behind one


def pytest_configure(config):
    _forget_the_host()
    config.addinivalue_line("markers", "matrix: runs on every Python and package set of the version matrix")
    config.addinivalue_line(
        "markers", "hosts: servers, reloaders, pools and notebooks; `make matrix` runs them, not `make test`"
    )
    config.addinivalue_line(
        "markers", "bundle: needs what `make bundle` writes; `nox -s bundle` runs them, not `make test`"
    )
    # A shell's background job ignores Ctrl-C, and so would every program that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def door(request):
    """One of the agent's doors, by the test's name: for what depends on no door.

    Over all tests both are gone through.
    """
    return harness.DOORS[zlib.crc32(request.node.nodeid.encode()) % len(harness.DOORS)]


@pytest.fixture
def openobserve():
    """A strict stand-in for a current OpenObserve server (see fakes/)."""
    with FakeOpenObserve() as server:
        yield server
