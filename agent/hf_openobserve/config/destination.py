"""Where finished spans go: a pure value, filled by ``openobserve_server`` or ``collector``."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Mapping, Optional

from hf_openobserve.config.urls import without_query

DEFAULT_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class TlsFiles:
    """Paths that TLS needs, absolute. None: what ``requests`` brings, or no certificate of the client."""

    authorities: Optional[str] = None
    """A bundle of certificate authorities, or a directory of them."""
    directories: Optional[str] = None
    """Directories of further authorities, as ``SSL_CERT_DIR`` names them."""
    client_certificate: Optional[str] = None
    client_key: Optional[str] = None
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Each path -> the variable that named it."""


@dataclass(frozen=True, repr=False)
class Destination:
    """Where finished spans go. Its text shows no credentials, and of headers the names only (docs/laws.md#8)."""

    kind: str
    """``openobserve``, ``otlp`` (an OpenTelemetry Collector or its like) or ``local`` (they stay in the outbox)."""
    endpoint: str = ""
    """The URL to POST ``ExportTraceServiceRequest`` to; for print use ``shown_endpoint``."""
    base_url: str = ""
    """OpenObserve's own base without a trailing slash, for ``GET {base_url}/config``; empty for the other kinds."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeout_s: float = DEFAULT_TIMEOUT_S
    gzip: bool = True
    tls: TlsFiles = TlsFiles()
    identity: str = "local"
    """Names the destination without a secret: spans waiting on disk are kept per identity, and go to no other."""
    organization: str = ""
    """OpenObserve's, in the endpoint; empty for the other kinds."""
    stream: str = ""
    """OpenObserve's name of the stream that spans go to; empty for the other kinds."""
    admin_authorization: str = ""
    """The Authorization header of somebody who may do more than deliver, for commands; empty: nobody is named."""

    @property
    def uses_tls(self) -> bool:
        """Whether certificates are looked at."""
        return self.endpoint.startswith("https:")

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as it may be printed: a query may hold an access key."""
        return without_query(self.endpoint)

    def __repr__(self) -> str:
        shown = dict(vars(self), endpoint=self.shown_endpoint, headers=sorted(self.headers))
        shown["admin_authorization"] = "***" if self.admin_authorization else ""
        return f"Destination({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
