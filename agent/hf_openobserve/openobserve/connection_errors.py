"""What an exception of ``requests`` says: whether the server was reached, whether the time was up, why in one line.

``requests`` and ``urllib3`` wrap each other's exceptions and the system's, and their texts repeat the whole address.
"""

from __future__ import annotations

import re
import socket
from typing import Optional

_DEEPEST_CAUSE = 8
_NOT_CONNECTED = frozenset(
    (
        "ConnectTimeout",
        "ConnectTimeoutError",
        "NewConnectionError",
        "NameResolutionError",
        "ConnectionRefusedError",
        "ProxyError",
        "SSLError",
        "gaierror",
    )
)
"""Of requests, urllib3 and the standard library."""
_TLS_BREAKS = ("UNEXPECTED_EOF", "EOF occurred", "reset by peer", "timed out", "connection has been closed")
"""All else, of a certificate, a version or an address that speaks no TLS, only a person can mend."""


def breaks_tls(error: BaseException) -> bool:
    """Whether a connection broke while TLS was made, as behind a balancer that starts: it may work the next time."""
    return any(word in str(error) for word in _TLS_BREAKS)


def has_connected(error: BaseException) -> bool:
    """False for an error of making a connection, or of an address: then nothing else would reach the server either."""
    cause: Optional[BaseException] = error
    for _ in range(_DEEPEST_CAUSE):
        if type(cause).__name__ in _NOT_CONNECTED or isinstance(cause, ValueError):
            return False
        cause = None if cause is None else _wrapped(cause) or cause.__context__
    return True


def is_out_of_time(error: BaseException) -> bool:
    """Whether the time was up while the request was being sent, or its answer received."""
    return isinstance(_bottom(error), socket.timeout) and has_connected(error)


def innermost(error: BaseException) -> str:
    """The reason at the bottom, as part of one line. It may repeat a header or a query: the caller masks it."""
    reason = _bottom(error)
    # An older urllib3 names its own connection object, by its address in memory.
    text = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>: ", "", str(reason))
    return f"{type(reason).__name__}: {text[:200]}"


def _wrapped(error: BaseException) -> Optional[BaseException]:
    """The error that requests or urllib3 has put into one of its own."""
    inside = (getattr(error, "reason", None), *error.args)
    return next((inner for inner in inside if isinstance(inner, BaseException)), None)


def _bottom(error: BaseException) -> BaseException:
    """The error at the bottom of requests' and urllib3's wrapping; their own texts repeat the whole URL."""
    for _ in range(_DEEPEST_CAUSE):
        error = _wrapped(error) or error
    return error
