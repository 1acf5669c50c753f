"""A certificate authority of the tests' own, by the ``openssl`` command, and servers that it vouches for."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional

from fakes.openobserve import FakeOpenObserve
from faults import servers

has_openssl = shutil.which("openssl") is not None


class Pair(NamedTuple):
    """Paths of a certificate and its key."""

    certificate: str
    key: str


class Authority:
    """Issues certificates. ``certificate`` is what a client trusts, ``directory`` the same in OpenSSL's hashed form."""

    def __init__(self, directory: Path) -> None:
        self._place = directory
        self._place.mkdir(parents=True, exist_ok=True)
        self._pair = Pair(str(directory / "ca.pem"), str(directory / "ca.key"))
        # With the key's usage, and below the authority's identifier, as Python 3.13 wants it (VERIFY_X509_STRICT).
        self._openssl(
            f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority-{directory.name} "
            f"-addext keyUsage=critical,keyCertSign,cRLSign -keyout {self._pair.key} -out {self._pair.certificate}"
        )
        self.certificate = self._pair.certificate
        hashed = directory / "hashed"
        hashed.mkdir()
        name = self._openssl(f"x509 -hash -noout -in {self.certificate}").strip()
        shutil.copy(self.certificate, str(hashed / f"{name}.0"))
        self.directory = str(hashed)

    def issue(self, name: str, passphrase: Optional[str] = None) -> Pair:
        """A certificate of 127.0.0.1, for servers and clients alike; its key is encrypted by the passphrase, if any."""
        pair = Pair(str(self._place / f"{name}.pem"), str(self._place / f"{name}.key"))
        request, names = self._place / f"{name}.csr", self._place / "names"
        names.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
        encryption = f"-passout pass:{passphrase}" if passphrase else "-nodes"
        self._openssl(f"req -newkey rsa:2048 {encryption} -subj /CN={name} -keyout {pair.key} -out {request}")
        self._openssl(
            f"x509 -req -in {request} -CA {self.certificate} -CAkey {self._pair.key} -CAcreateserial -days 2 "
            f"-extfile {names} -out {pair.certificate}"
        )
        return pair

    def server_context(self) -> ssl.SSLContext:
        """Of a server with a certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server"))
        return context

    def _openssl(self, arguments: str) -> str:
        command = ["openssl", *arguments.split()]
        return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


class TlsFront(servers.Front):
    """A fake OpenObserve behind TLS; ``clients``: the authority whose certificate a client must show."""

    def __init__(
        self,
        fake: FakeOpenObserve,
        pair: Pair,
        clients: Optional[str] = None,
        behaviour: servers.Behaviour = servers.behaves,
    ) -> None:
        super().__init__(fake, Path(), lambda: behaviour)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self._listener.context = context

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")
