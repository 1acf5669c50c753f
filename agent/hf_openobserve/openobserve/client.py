"""The HTTP client of the sender thread. ``requests`` is imported here, on that thread, and nowhere earlier."""

from __future__ import annotations

import gzip
import re
import time
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from hf_openobserve import __version__, diagnostics, quiet
from hf_openobserve.openobserve import answers
from hf_openobserve.outbox import otlp

if TYPE_CHECKING:
    from hf_openobserve.settings import Destination

FIRST_VERSION_WITHOUT_DERIVED_USAGE = (0, 91)
"""Older servers derive ``llm_usage_tokens_*`` as Int64 themselves: sent as text they would widen those columns for good."""

SERVER_DERIVED = frozenset({"llm.usage.tokens.input", "llm.usage.tokens.output", "llm.usage.tokens.total"})

_SHORTEST_SECRET = 8
_CONFIG_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_MOST_PATIENCE = 4
"""Times ``OPENOBSERVE_TIMEOUT``. Waiting is free; spans that are sent again are stored again."""
_VERSION_REFUSALS = 3
_ASK_VERSION_AGAIN_S = 60.0
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
_MAX_ANSWER_BYTES = 64 * 1024
"""Whatever stands at a wrong address may answer without end."""
_GZIP_LEVEL = 3
"""Half the time of level 5 on the host's cores, a quarter of the default 9 of ``gzip.compress``, for about a tenth more
bytes (benchmarks/delivery.py)."""


class Client:
    """Sends batches to one destination. Not thread-safe: it belongs to the sender thread of one process."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._session: Any = None
        self._version: Optional[Tuple[int, ...]] = None
        self._version_asked = False
        self._version_refusals = 0
        self._ask_version_after = 0.0
        self._patience = 1
        """How many times the configured timeout an answer is waited for."""

    def send(self, payloads: List[bytes]) -> answers.Verdict:
        """POST the spans as one request. Never raises: a connection that fails is a ``RETRY``."""
        requests = import_requests()
        try:
            with quiet.http_logging():
                verdict = self._cannot_say_its_version()
                if verdict is None:
                    response = self._post(payloads)
                    verdict = answers.judge(response.status_code, response.headers, self._content(response))
        except requests.exceptions.SSLError as error:
            self.close()
            # A connection that breaks while it is made, as behind a balancer that starts, is nobody's mistake.
            broke = any(word in str(error) for word in _TLS_BREAKS)
            verdict = answers.Verdict(answers.RETRY if broke else answers.BLOCKED, f"TLS failed ({_innermost(error)})")
        except Exception as error:  # noqa: BLE001 - whatever an address, a proxy or an answer makes the library raise
            self.close()  # a connection in an unknown state is not used again
            self._version_asked = False  # when it is back it may be another version
            # Errors of an address (no scheme, no such host name) are ValueErrors: asking again would not help.
            outcome = answers.BLOCKED if isinstance(error, ValueError) else answers.RETRY
            timed_out = isinstance(error, requests.exceptions.ReadTimeout)
            if timed_out:  # sent once more as it was, it would time out once more, and may be stored each time
                self._patience = min(_MOST_PATIENCE, self._patience * 2)
            verdict = answers.Verdict(outcome, _innermost(error), timed_out=timed_out)
        return verdict._replace(reason=self._without_secrets(verdict.reason))

    def _post(self, payloads: List[bytes]) -> Any:
        if self._may_derive_usage:
            payloads = [otlp.drop_attributes(payload, SERVER_DERIVED) for payload in payloads]
        body = b"".join(payloads)
        headers = {"Content-Type": "application/x-protobuf"}
        if self.destination.gzip:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, _GZIP_LEVEL)
        return self._http().post(
            self.destination.endpoint,
            data=body,
            headers=headers,
            timeout=(min(_CONNECT_TIMEOUT_S, self.destination.timeout_s), self._answer_timeout_s),
            verify=self._verify,
            allow_redirects=False,
            stream=True,
        )

    @property
    def _answer_timeout_s(self) -> float:
        return self.destination.timeout_s * self._patience

    @property
    def _may_derive_usage(self) -> bool:
        """True for an older server, and as long as it has not been able to answer. One that has no such page is not older."""
        if not self._version_asked:
            return True
        return self._version is not None and self._version < FIRST_VERSION_WITHOUT_DERIVED_USAGE

    def _cannot_say_its_version(self) -> Optional[answers.Verdict]:
        """Ask an OpenObserve server for its version, once. The verdict if it says that it cannot answer now.

        What it would do with a span is not known then, so none is sent; but not for ever: a gateway may let nothing
        through but spans. Then they go without what an older server derives itself.

        Raises ``requests.exceptions.RequestException`` if the server cannot be reached: then nothing can be sent either.
        """
        if not self.destination.base_url:
            self._version_asked = True
        if self._version_asked or time.monotonic() < self._ask_version_after:
            return None
        try:
            response = self._http().get(
                self.destination.base_url + "/config",
                timeout=_CONFIG_TIMEOUT_S,
                verify=self._verify,
                allow_redirects=False,
                stream=True,
            )
            body = self._read(response, _CONFIG_TIMEOUT_S)
        except Exception as error:
            if not _has_connected(error):
                raise
            self.close()
            verdict = answers.Verdict(answers.RETRY, _innermost(error))
        else:
            verdict = answers.judge(response.status_code, response.headers, body)
        if verdict.outcome == answers.RETRY:
            self._version_refusals += 1
            if self._version_refusals <= _VERSION_REFUSALS:
                # It is a question, no delivery: a pause of hours is not for spans.
                wait = verdict.retry_after_s
                return verdict._replace(retry_after_s=None if wait is None else min(wait, _ASK_VERSION_AGAIN_S))
            self._ask_version_after = time.monotonic() + _ASK_VERSION_AGAIN_S
            return None
        self._version_asked = True
        self._version_refusals = 0
        if response.status_code == 200:
            self._version = parse_version(body.decode("utf-8", "replace"))
        diagnostics.debug(f"server version: {self._version}")
        return None

    def may_derive_usage(self) -> bool:
        """Whether the server derives usage itself, as far as can be known; asks it if need be.

        Raises ``requests.exceptions.RequestException`` if it cannot be reached.
        """
        with quiet.http_logging():
            self._cannot_say_its_version()
        return self._may_derive_usage

    def server_version(self) -> Optional[Tuple[int, ...]]:
        """(major, minor) of an OpenObserve server; None where it has not told.

        Raises ``requests.exceptions.RequestException`` if it cannot be reached.
        """
        self._cannot_say_its_version()
        return self._version

    def close(self) -> None:
        """Close the connections. The next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def after_fork_in_child(self) -> None:
        """Forget the parent's connections without closing them: both would write to the same socket."""
        self._session = None

    def _content(self, response: Any) -> bytes:
        """The answer's body; empty if it breaks off: the status has said what became of the spans."""
        try:
            return self._read(response, self._answer_timeout_s)
        except Exception as error:  # noqa: BLE001
            diagnostics.debug(f"the body of a {response.status_code} cannot be read: {type(error).__name__}")
            self.close()
            return b""

    def _read(self, response: Any, timeout_s: float) -> bytes:
        """The body, as far as it comes within the bounds of size and time. Raises what the connection raises."""
        body, until = b"", time.monotonic() + timeout_s
        # Small pieces: a read waits for all of its bytes, each of which may come just before the timeout.
        for piece in response.iter_content(64):
            body += piece
            if len(body) >= _MAX_ANSWER_BYTES or time.monotonic() > until:
                self.close()
                response.close()
                break
        return body

    @property
    def _verify(self) -> Any:
        # Per request: an authority set on the session gives way to REQUESTS_CA_BUNDLE, which is the application's.
        return self.destination.certificate or None

    def _without_secrets(self, text: str) -> str:
        """A server's or a library's text may repeat our headers or the whole address (law 8)."""
        text = text.replace(self.destination.endpoint, self.destination.shown_endpoint)
        query = self.destination.endpoint.partition("?")[2]
        for secret in [query, *(part for value in self.destination.headers.values() for part in value.split())]:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def _http(self) -> Any:
        if self._session is None:
            session = import_requests().Session()
            session.headers["User-Agent"] = f"hf-openobserve/{__version__}"
            session.headers.update(self.destination.headers)
            # Without an auth object of ours, requests replaces our Authorization header by an entry of ~/.netrc.
            session.auth = _keep_headers
            if self.destination.client_certificate:
                key = self.destination.client_key
                certificate = self.destination.client_certificate
                session.cert = (certificate, key) if key else certificate
            self._session = session
        return self._session


def import_requests() -> Any:
    """The library, and with it the codec that every connection's host name goes through: all that sending imports."""
    with quiet.imports():  # urllib3 and requests warn at import about versions that are not our business
        import encodings.idna  # noqa: F401

        import requests
    return requests


def _keep_headers(request: Any) -> Any:
    return request


def _has_connected(error: BaseException) -> bool:
    """False for an error of making a connection, or of an address: then nothing else would reach the server either."""
    cause: Optional[BaseException] = error
    for _ in range(_DEEPEST_CAUSE):
        if type(cause).__name__ in _NOT_CONNECTED or isinstance(cause, ValueError):
            return False
        cause = None if cause is None else _wrapped(cause) or cause.__context__
    return True


def _wrapped(error: BaseException) -> Optional[BaseException]:
    """The error that requests or urllib3 has put into one of its own."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    return inner if isinstance(inner, BaseException) else None


def parse_version(text: str) -> Optional[Tuple[int, ...]]:
    """(major, minor) from the body of ``GET /config``: ``{"version": "v0.90.3", ...}``."""
    match = re.search(r'"version"\s*:\s*"v?(\d+)\.(\d+)', text)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of requests' and urllib3's wrapping; their own texts repeat the whole URL."""
    reason = error
    for _ in range(_DEEPEST_CAUSE):
        reason = _wrapped(reason) or reason
    # An older urllib3 names its own connection object, by its address in memory.
    text = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>: ", "", str(reason))
    return f"{type(reason).__name__}: {text[:200]}"
