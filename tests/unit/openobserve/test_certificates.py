"""The files that TLS needs, against real servers whose certificates come from an authority of the tests' own."""

from __future__ import annotations

import os

import pytest

import tls
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.config import settings
from hf_openobserve.openobserve.answers import ACCEPTED, BLOCKED
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.process import diagnostics
from outboxes import call

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(not tls.has_openssl, reason="there is no openssl command to make certificates with"),
]


class World:
    """An authority, a stranger's, and a server that wants to see a client's certificate."""

    def __init__(self, directory, fake):
        authority = tls.Authority(directory / "ours")
        self.fake = fake
        self.ca = authority.certificate
        self.ca_directory = authority.directory
        self.stranger = tls.Authority(directory / "theirs").certificate
        self.client, self.client_key = authority.issue("client")
        _, self.locked_key = authority.issue("locked", passphrase="of-the-tests")
        self.server = authority.issue("server")
        self.both = str(directory / "both.pem")
        self.both_locked = str(directory / "both_locked.pem")
        for path, key in ((self.both, self.client_key), (self.both_locked, self.locked_key)):
            with open(path, "w", encoding="ascii") as file:
                file.write(open(self.client).read() + open(key).read())  # noqa: SIM115
        self.missing = str(directory / "missing.pem")
        self.empty = str(directory / "empty.pem")
        open(self.empty, "w").close()
        self.pipe = str(directory / "pipe.pem")
        os.mkfifo(self.pipe)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with FakeOpenObserve() as fake:
        yield World(tmp_path_factory.mktemp("certificates"), fake)


def sent(world, monkeypatch, environ, *, clients=None, collector=False):
    """The verdict on one span, with these variables; ``{name}`` stands for a path of the world's."""
    environ = {name: value.format(**vars(world)) for name, value in environ.items()}
    with tls.TlsFront(world.fake, world.server, clients) as server:
        if collector:
            endpoint = f"{server.url}/api/default/v1/traces"
            headers = f"authorization={world.fake.auth_token.replace(' ', '%20')}"
            environ.update(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_HEADERS=headers)
        else:
            environ.update(OPENOBSERVE_URL=server.url, OPENOBSERVE_AUTH_TOKEN=world.fake.auth_token)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        client = Client(settings.load(environ, script_dir=None, cwd=None).destination)
        verdict = client.send([call()[1]])
        client.close()
    return verdict


@pytest.mark.parametrize(
    ("environ", "trusted"),
    [
        ({}, False),
        ({"SSL_CERT_FILE": "{ca}"}, True),
        ({"SSL_CERT_DIR": "{ca_directory}"}, True),
        ({"SSL_CERT_DIR": "/nowhere:{ca_directory}"}, True),
        ({"SSL_CERT_FILE": "{stranger}", "SSL_CERT_DIR": "{ca_directory}"}, True),
        ({"SSL_CERT_FILE": "{stranger}"}, False),
        ({"REQUESTS_CA_BUNDLE": "{ca}"}, True),
        ({"REQUESTS_CA_BUNDLE": "{ca_directory}"}, True),
        ({"CURL_CA_BUNDLE": "{ca}"}, True),
        ({"CURL_CA_BUNDLE": "{ca}", "SSL_CERT_FILE": "{missing}"}, True),
        ({"REQUESTS_CA_BUNDLE": "{stranger}", "SSL_CERT_FILE": "{ca}"}, False),
        ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "{ca}"}, True),
    ],
)
def test_the_authorities_of_the_process(world, monkeypatch, environ, trusted):
    verdict = sent(world, monkeypatch, environ)
    assert verdict.outcome == (ACCEPTED if trusted else BLOCKED), verdict
    if not trusted:
        assert verdict.reason.startswith("TLS failed (SSLCertVerificationError")


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_CERTIFICATE": "{ca}", "REQUESTS_CA_BUNDLE": "{missing}"},
        {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "{ca}", "OTEL_EXPORTER_OTLP_CERTIFICATE": "{missing}"},
        {"SSL_CERT_FILE": "{ca}"},
    ],
)
@pytest.mark.parametrize(
    "client", [("{client}", "{client_key}"), ("{both}", "")], ids=["certificate-and-key", "both-in-one-file"]
)
def test_the_authorities_and_certificates_of_a_collector(world, monkeypatch, environ, client):
    certificate, key = client
    environ = {
        **environ,
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificate,
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
    }
    assert sent(world, monkeypatch, environ, clients=world.ca, collector=True).outcome == ACCEPTED


CLIENT = {"SSL_CERT_FILE": "{ca}", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "{client}"}
CERTIFICATE, KEY = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"


@pytest.mark.parametrize(
    ("collector", "environ", "variable", "path", "wrong"),
    [
        (False, {}, "REQUESTS_CA_BUNDLE", "{missing}", "does not exist"),
        (False, {}, "CURL_CA_BUNDLE", "{missing}", "does not exist"),
        (False, {}, "SSL_CERT_FILE", "{missing}", "does not exist"),
        (False, {}, "SSL_CERT_DIR", "/nowhere:/nothing", "is no directory"),
        (False, {}, "REQUESTS_CA_BUNDLE", "{pipe}", "is not a file"),
        (False, {}, "SSL_CERT_FILE", "{empty}", "holds no certificate of an authority"),
        (True, {}, "REQUESTS_CA_BUNDLE", "{missing}", "does not exist"),
        (True, {}, "OTEL_EXPORTER_OTLP_CERTIFICATE", "{missing}", "does not exist"),
        (True, {"REQUESTS_CA_BUNDLE": "{ca}"}, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "{missing}", "does not exist"),
        (True, {"SSL_CERT_FILE": "{ca}"}, CERTIFICATE, "{missing}", "does not exist"),
        (True, {"SSL_CERT_FILE": "{ca}"}, CERTIFICATE, "{pipe}", "is not a file"),
        (True, {"SSL_CERT_FILE": "{ca}"}, CERTIFICATE, "{both_locked}", "holds a key with a passphrase"),
        (True, {"SSL_CERT_FILE": "{ca}"}, CERTIFICATE, "{client}", "holds no certificate that fits its private key"),
        (True, CLIENT, KEY, "{missing}", "does not exist"),
        (True, CLIENT, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "{missing}", "does not exist"),
        (True, CLIENT, KEY, "{locked_key}", "holds a key with a passphrase"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_variable(
    world, monkeypatch, collector, environ, variable, path, wrong
):
    verdict = sent(world, monkeypatch, {**environ, variable: path}, clients=world.ca, collector=collector)
    assert verdict.outcome == BLOCKED
    assert verdict.reason.startswith(f"{variable} names {path.format(**vars(world))}, which {wrong}")


def test_a_file_that_appears_later_is_used(world, monkeypatch, tmp_path):
    path = tmp_path / "mounted-later.pem"
    with tls.TlsFront(world.fake, world.server) as server:
        environ = {"OPENOBSERVE_URL": server.url, "OPENOBSERVE_AUTH_TOKEN": world.fake.auth_token}
        client = Client(settings.load({**environ, "SSL_CERT_FILE": str(path)}, script_dir=None, cwd=None).destination)
        assert client.send([call()[1]]).outcome == BLOCKED
        with open(world.ca) as file:
            path.write_text(file.read())
        assert client.send([call()[1]]).outcome == ACCEPTED
        client.close()


@pytest.mark.parametrize(("name", "said"), [("OTEL_EXPORTER_OTLP_CERTIFICATE", True), ("REQUESTS_CA_BUNDLE", False)])
def test_without_tls_a_missing_file_keeps_nothing_here(openobserve, monkeypatch, capfd, name, said):
    monkeypatch.setattr(diagnostics, "_said", {})
    endpoint = f"{openobserve.url}/api/default/v1/traces"
    headers = f"authorization={openobserve.auth_token.replace(' ', '%20')}"
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers, name: "/nowhere"}
    client = Client(settings.load(environ, script_dir=None, cwd=None).destination)
    assert [client.send([call()[1]]).outcome for _ in range(2)] == [ACCEPTED, ACCEPTED]
    client.close()
    lines = capfd.readouterr().err.splitlines()
    assert (
        lines
        == [f"hf-openobserve: {name} names /nowhere, which does not exist; name a file of PEM, or unset it"] * said
    )
