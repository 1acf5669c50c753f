"""What is made of the exceptions of ``requests``, as a table of real ones."""

from __future__ import annotations

import socket

import pytest
import requests
import urllib3

from hf_openobserve.openobserve import connection_errors

pytestmark = pytest.mark.matrix

REFUSED = ConnectionRefusedError(111, "Connection refused")
TIMED_OUT = socket.timeout("timed out")
RESET = ConnectionResetError(104, "Connection reset by peer")


def aborted(error):
    """As urllib3 and requests wrap an error of a connection that had been made."""
    return requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", error))


def never_made(error):
    """As they wrap one of making it."""
    failed = urllib3.exceptions.NewConnectionError(None, f"Failed to establish a new connection: {error}")
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/secret?key=x", failed))


@pytest.mark.parametrize(
    ("error", "connected", "out_of_time", "text"),
    [
        (aborted(RESET), True, False, "ConnectionResetError: [Errno 104] Connection reset by peer"),
        (aborted(TIMED_OUT), True, True, f"{socket.timeout.__name__}: timed out"),
        (never_made(REFUSED), False, False, "NewConnectionError: "),
        (never_made(TIMED_OUT), False, False, "NewConnectionError: "),
        (requests.exceptions.ReadTimeout(TIMED_OUT), True, True, f"{socket.timeout.__name__}: timed out"),
        (requests.exceptions.ConnectTimeout(TIMED_OUT), False, False, f"{socket.timeout.__name__}: timed out"),
        (requests.exceptions.InvalidURL("no host"), False, False, "InvalidURL: no host"),
        (requests.exceptions.ProxyError(RESET), False, False, "ConnectionResetError: "),
    ],
)
def test_what_an_exception_says(error, connected, out_of_time, text):
    assert connection_errors.has_connected(error) is connected
    assert connection_errors.is_out_of_time(error) is out_of_time
    assert connection_errors.innermost(error).startswith(text)
    assert "secret" not in connection_errors.innermost(error)
