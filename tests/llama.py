"""llama.cpp's server for the whole suite, started once per session: ``from llama import llama_server`` in a conftest.

Below Python 3.10 it needs ``HF_OPENOBSERVE_LLAMA_PYTHON``, an interpreter with the ``demo`` extra.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from typing import Any, Dict, Iterator, NamedTuple, Optional
from urllib.parse import urlsplit

import pytest

from hf_openobserve.cli.llama_server import PYTHON_VARIABLE, LlamaServer


@pytest.fixture(scope="session")
def llama_server() -> Iterator[LlamaServer]:
    """A running server with the tiny model: ``.url`` (ends in ``/v1``), ``.alias`` (the model its answers name)."""
    if sys.version_info < (3, 10) and PYTHON_VARIABLE not in os.environ:
        pytest.skip(
            f"llama.cpp's wheel needs Python 3.10 or newer, see {PYTHON_VARIABLE}: NOT TESTED with a real model"
        )
    with LlamaServer(embeddings=True) as server:
        yield server


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body.decode())

    def events(self) -> Any:
        """The JSON of each ``data:`` line of a stream, without ``[DONE]``."""
        lines = [line[len("data: ") :] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]


def ask(url: str, path: str, body: Optional[Dict[str, Any]]) -> Answer:
    """POST ``body`` as JSON (GET without one) to ``url + path``, past any proxy and any client library."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(
            "GET" if body is None else "POST",
            address.path + path,
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()
