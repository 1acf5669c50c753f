"""The ``requests`` session of deliveries. Each request ends by its deadline, however slowly the other side answers.

The timeouts of ``requests`` bound one read or write of a socket. A server that answers ``100 Continue`` for ever, or a
byte now and then, exceeds none of them. Here each read and write of a connection gets the time that its request has
left.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Type

from hf_openobserve import __version__
from hf_openobserve.process import silence

if TYPE_CHECKING:
    from hf_openobserve.config.destination import Destination

MAX_RECEIVED_BYTES = 512 * 1024
"""Of one answer, with its headers and the interim answers before it: they may come fast, and without end."""
_SENT_AT_ONCE = 16 * 1024
"""One TLS record: ``SSLSocket.sendall`` waits for each record anew."""


class Deadline:
    """The time by which a request must have ended. One request at a time uses it."""

    def __init__(self) -> None:
        self._at = math.inf

    def start(self, seconds: float) -> None:
        """Begin a request."""
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left, more than 0.

        :raises socket.timeout: none are left
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left

    def limit(self, connection: Any) -> None:
        """Let the next operation of this socket take no longer than what is left."""
        left = self.remaining()
        connection.settimeout(None if math.isinf(left) else left)


class _Received(io.RawIOBase):
    """What a socket receives, until the deadline and up to ``most_bytes``."""

    def __init__(self, connection: Any, stream: Any, deadline: Deadline, most_bytes: int) -> None:
        self._connection = connection
        self._stream = stream
        self._deadline = deadline
        self._most_bytes = self._left = most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._deadline.limit(self._connection)
        size: int = self._stream.readinto1(buffer)
        self._left -= size
        if self._left < 0:
            raise OSError(f"its answer has more than {self._most_bytes // 1024} KiB")
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()


class _BoundedConnection(http.client.HTTPConnection):
    """Mixed into urllib3's connections, of servers and of proxies."""

    deadline: Deadline
    most_bytes: int

    def _new_conn(self) -> Any:
        # urllib3's own hook (1.26, 2.x); a version without it leaves the handshake to the timeout for connecting.
        opened = super()._new_conn()  # type: ignore[misc]
        opened.settimeout(min(self.deadline.remaining(), opened.gettimeout() or math.inf))
        return opened

    def send(self, data: Any) -> None:
        if not isinstance(data, (bytes, bytearray)):
            super().send(data)
            return
        if self.sock is None:
            self.connect()
        for start in range(0, len(data), _SENT_AT_ONCE):
            self.deadline.limit(self.sock)
            super().send(memoryview(data)[start : start + _SENT_AT_ONCE])

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        response: Any = super().response_class(sock, *args, **kwargs)
        response.fp = io.BufferedReader(_Received(sock, response.fp, self.deadline, self.most_bytes))
        return response


def open_session(destination: Destination, deadline: Deadline, *, most_bytes: int = MAX_RECEIVED_BYTES) -> Any:
    """A session with the headers of this destination, whose connections end by ``deadline``.

    most_bytes: of one answer.
    """
    requests = import_requests()
    plain: Any = requests.adapters.HTTPAdapter

    class Adapter(plain):  # type: ignore[misc]
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            _bound(self.poolmanager, deadline, most_bytes)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            _bound(manager, deadline, most_bytes)
            return manager

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            super().cert_verify(conn, url, verify, cert)
            if destination.uses_tls and destination.tls.directories:
                conn.ca_cert_dir = destination.tls.directories

    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    session.headers["User-Agent"] = f"hf-openobserve/{__version__}"
    session.headers.update(destination.headers)
    # Without an auth object of ours, requests replaces our Authorization header by an entry of ~/.netrc.
    session.auth = _keep_headers
    if destination.tls.client_certificate and destination.uses_tls:
        key = destination.tls.client_key
        session.cert = (destination.tls.client_certificate, key) if key else destination.tls.client_certificate
    return session


def verify(destination: Destination) -> Optional[str]:
    """The argument of the same name of a request; None: what ``requests`` does by itself.

    It is given per request, since an authority set on the session gives way to REQUESTS_CA_BUNDLE. Where anything is
    added the path is given, since without one ``requests`` 2.32 uses a context that the application's requests share:
    https://github.com/psf/requests/issues/6726.
    """
    if destination.tls.authorities or not (destination.tls.directories or destination.tls.client_certificate):
        return destination.tls.authorities
    path: str = import_requests().utils.DEFAULT_CA_BUNDLE_PATH
    return path


def import_requests() -> Any:
    """The library, and with it the codec that every connection's host name goes through: all that sending imports."""
    with silence.imports():  # urllib3 and requests warn at import about versions that are not our business
        import encodings.idna  # noqa: F401

        import requests
    return requests


def _keep_headers(request: Any) -> Any:
    return request


def _bound(manager: Any, deadline: Deadline, most_bytes: int) -> None:
    """Make the connections of this pool manager end by the deadline. The attribute is urllib3's public one for that."""
    pools: Dict[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded(pool, deadline, most_bytes) for scheme, pool in pools.items()}


def _bounded(pool: Any, deadline: Deadline, most_bytes: int) -> Any:
    kind: Any = pool.ConnectionCls
    # A tool that records requests puts in connections that are none; a manager of the same proxy comes twice.
    if not issubclass(kind, http.client.HTTPConnection) or issubclass(kind, _BoundedConnection):
        return pool
    bases: Tuple[Type[Any], ...] = (_BoundedConnection, kind)
    connection = type("BoundedConnection", bases, {"deadline": deadline, "most_bytes": most_bytes})
    return type("BoundedPool", (pool,), {"ConnectionCls": connection})
