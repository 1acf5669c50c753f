"""The files of certificates that a destination needs, and the variables that name them."""

from __future__ import annotations

from types import MappingProxyType

from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.destination import TlsFiles
from hf_openobserve.config.variables import Variables


def read(variables: Variables, *, otlp: str = "") -> TlsFiles:
    """The process's files, in the order of ``requests``, then of OpenSSL. A Collector's own for a signal go first."""
    authorities, certificate, key = (
        variables.otlp(name, otlp) if otlp else ("", "") for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    )
    for name in (names.REQUESTS_CA_BUNDLE, names.CURL_CA_BUNDLE, names.SSL_CERT_FILE):
        authorities = authorities if authorities[0] else (variables.value(name), name)
    # OpenSSL's two go together.
    directories = variables.value(names.SSL_CERT_DIR) if authorities[1] == names.SSL_CERT_FILE else ""
    named = [(variables.absolute(path), name) for path, name in (authorities, certificate, key)]
    return TlsFiles(
        authorities=named[0][0],
        directories=directories or None,
        client_certificate=named[1][0],
        client_key=named[2][0],
        variables=MappingProxyType({path: name for path, name in [*named, (directories, names.SSL_CERT_DIR)] if path}),
    )
