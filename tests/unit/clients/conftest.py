"""Fixtures of the tests of clients."""

from __future__ import annotations

import pytest

from hf_openobserve.clients import http


@pytest.fixture(scope="module", params=["httpx", "httpx2"])
def real(request):
    """Each library that clients send with, its ``send`` watched while the tests of a module run."""
    module = pytest.importorskip(request.param)
    sends = {name: getattr(module, name).send for name in ("Client", "AsyncClient")}
    http.install(module)
    yield module
    for name, send in sends.items():
        getattr(module, name).send = send
