"""The files that TLS needs, as a table: variables in; paths and their variables out."""

import pytest

from settings_cases import (
    COLLECTOR,
    SERVER,
    read,
)

NONE = {"authorities": None, "directories": None, "client_certificate": None, "client_key": None}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": "/c", "SSL_CERT_FILE": "/s"}, {"authorities": "/r"}),
        ({"REQUESTS_CA_BUNDLE": " ", "CURL_CA_BUNDLE": "/c", "SSL_CERT_FILE": "/s"}, {"authorities": "/c"}),
        ({"REQUESTS_CA_BUNDLE": "/r", "SSL_CERT_DIR": "/d"}, {"authorities": "/r"}),
        ({"SSL_CERT_FILE": "/s", "SSL_CERT_DIR": "/d:/e"}, {"authorities": "/s", "directories": "/d:/e"}),
        ({"SSL_CERT_DIR": "/d"}, {"directories": "/d"}),
        ({"SSL_CERT_FILE": "ca.pem"}, {"authorities": "/srv/ca.pem"}),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca", "SSL_CERT_DIR": "/d"}, {"authorities": "/ca"}),
        (
            {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "t"},
            {"authorities": "/srv/t"},
        ),
        (
            {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k"},
            {"client_certificate": "/c", "client_key": "/k"},
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "/c", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/k"},
            {"client_certificate": "/c", "client_key": "/k"},
        ),
    ],
)
@pytest.mark.parametrize("server", [SERVER, COLLECTOR], ids=["openobserve", "collector"])
def test_which_files_tls_needs(environ, expected, server):
    it = read({**environ, **server}, cwd="/srv")
    if server is SERVER and any(name.startswith("OTEL_") for name in environ):  # those are a Collector's
        expected = {"directories": environ["SSL_CERT_DIR"]} if "SSL_CERT_DIR" in environ else {}
    expected = {**NONE, **expected}
    assert {name: getattr(it.destination.tls, name) for name in NONE} == expected
    assert set(it.destination.tls.variables) == set(expected.values()) - {None}
    assert set(it.destination.tls.variables.values()) <= set(environ)
    assert it.problems == ()
