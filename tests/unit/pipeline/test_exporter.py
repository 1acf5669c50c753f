"""The exporter for other distros: what of the settings it says and hands on."""

from __future__ import annotations

import pytest

from hf_openobserve.pipeline.exporter import OpenObserveSpanExporter
from hf_openobserve.process import diagnostics


@pytest.mark.parametrize(
    ("url", "lines"),
    [
        (
            "https://o2.example",
            ["hf-openobserve: SSL_CERT_FILE names /nowhere, which does not exist; name a file of PEM, or unset it"],
        ),
        ("http://o2.example", []),
    ],
)
def test_a_missing_certificate_file_is_said_once(monkeypatch, capfd, url, lines):
    monkeypatch.setattr(diagnostics, "_said", {})
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # these go before it
        monkeypatch.delenv(name, raising=False)
    environ = {"OPENOBSERVE_URL": url, "OPENOBSERVE_AUTH_TOKEN": "nobody:not-a-password", "SSL_CERT_FILE": "/nowhere"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    for _ in range(2):
        exporter = OpenObserveSpanExporter()
        exporter.shutdown()
    assert capfd.readouterr().err.splitlines() == lines
