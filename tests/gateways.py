"""A real OpenTelemetry Collector with the gateway's own configuration, that tests start, kill and start again."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import harness
from fakes.openobserve import FakeOpenObserve

BINARY = harness.REPOSITORY / ".collector" / "otelcol"
CONFIGURATION = harness.REPOSITORY / "deploy" / "collector" / "gateway.yaml"
START_S = 30.0
WAIT_S = 30.0
"""How long a test waits for anything else."""


def wait_for(condition: Callable[[], Any]) -> None:
    """Return once it holds; AssertionError if that takes too long."""
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


class Gateway:
    """``deploy/collector/gateway.yaml`` on ports of this machine, in front of one server.

    Its queue outlives its processes.

    ``overrides``: further settings, by their path in the configuration (``a::b``). Leaving the ``with`` kills it.
    """

    def __init__(self, directory: Path, server: FakeOpenObserve, *, stream: str = "", **overrides: Any) -> None:
        self.log = directory / "collector.log"
        self._process: Optional[subprocess.Popen] = None
        self._port, self._health = _free_ports(2)
        self._environ = {
            **server.environment,
            "GATEWAY_QUEUE_DIRECTORY": str(directory / "queue"),
            "OPENOBSERVE_TRACES_STREAM_NAME": stream,
        }
        if not stream:
            del self._environ["OPENOBSERVE_TRACES_STREAM_NAME"]
        overrides = {
            "receivers::otlp::protocols::http::endpoint": f"127.0.0.1:{self._port}",
            "extensions::health_check::endpoint": f"127.0.0.1:{self._health}",
            # Of its own numbers none: the port for them is one for all Collectors of a machine.
            "service::telemetry::metrics::level": "none",
            **overrides,
        }
        self._command = [str(BINARY), "--config", str(CONFIGURATION)]
        for path, value in overrides.items():
            self._command += ["--config", f"yaml:{path}: {value}"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> Dict[str, str]:
        """The variables of a program that delivers here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url}

    @property
    def said(self) -> str:
        """What all its processes wrote."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it is healthy; AssertionError with what it said if it is not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while not self._is_healthy():
            assert self._process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: what is in its memory is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Gateway:  # noqa: PYI034 - typing.Self is Python 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health}", timeout=5) as answer:
                return answer.status == 200
        except OSError:  # also urllib.error.HTTPError, while it starts
            return False


def _free_ports(count: int) -> List[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
