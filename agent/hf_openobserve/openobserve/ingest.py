"""The HTTP client of the sender thread. ``requests`` is imported by it, on that thread, and nowhere earlier."""

from __future__ import annotations

import gzip
import math
import re
import time
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from hf_openobserve.openobserve import answers, certificates
from hf_openobserve.openobserve.connection_errors import breaks_tls, has_connected, innermost, is_out_of_time
from hf_openobserve.openobserve.session import Deadline, import_requests, open_session, verify
from hf_openobserve.otlp import edit
from hf_openobserve.process import diagnostics, silence

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Destination

FIRST_VERSION_WITHOUT_DERIVED_USAGE = (0, 91)
"""Older servers derive ``llm_usage_tokens_*`` themselves, as Int64. Sent as text they widen those columns for good
(docs/server-contract.md#version)."""

SERVER_DERIVED = frozenset({"llm.usage.tokens.input", "llm.usage.tokens.output", "llm.usage.tokens.total"})

_SHORTEST_SECRET = 8
_CONFIG_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
_MOST_PATIENCE = 4
"""Times ``OPENOBSERVE_TIMEOUT``. Waiting is free; spans that are sent again are stored again."""
_VERSION_REFUSALS = 3
_ASK_VERSION_AGAIN_S = 60.0
_MAX_ANSWER_BYTES = 64 * 1024
"""Whatever stands at a wrong address may answer without end."""
_GZIP_LEVEL = 3
"""Half the time of level 5 on the host's cores, a quarter of the default 9 of ``gzip.compress``, for about a tenth more
bytes (benchmarks/delivery.py)."""


class Client:
    """Sends batches to one destination. Not thread-safe: it belongs to the sender thread of one process."""

    def __init__(self, destination: Destination, most_idle_s: float = math.inf) -> None:
        """most_idle_s: a connection that has not been used for longer is not used again: its other end may be gone."""
        self.destination = destination
        self._most_idle_s = most_idle_s
        self._used_at = 0.0
        self._deadline = Deadline()
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
            with silence.http_logging():
                verdict = self._cannot_say_its_version()
                if verdict is None:
                    response = self._post(payloads)
                    verdict = answers.judge(response.status_code, response.headers, self._content(response))
                    verdict = verdict._replace(status=response.status_code)
        except requests.exceptions.SSLError as error:
            self.close()
            reason = certificates.unusable(self.destination) or f"TLS failed ({innermost(error)})"
            verdict = answers.Verdict(answers.RETRY if breaks_tls(error) else answers.BLOCKED, reason)
        except _UnusableFileError as error:
            verdict = answers.Verdict(answers.BLOCKED, str(error))
        except Exception as error:  # noqa: BLE001 - whatever an address, a proxy or an answer makes the library raise
            self.close()  # a connection in an unknown state is not used again
            self._version_asked = False  # when it is back it may be another version
            diagnostics.pass_the_programs_own()
            # Errors of an address (no scheme, no such host name) are ValueErrors: asking again would not help.
            outcome = answers.BLOCKED if isinstance(error, ValueError) else answers.RETRY
            timed_out = isinstance(error, requests.exceptions.ReadTimeout) or is_out_of_time(error)
            if timed_out:  # sent once more as it was, it would time out once more, and may be stored each time
                self._patience = min(_MOST_PATIENCE, self._patience * 2)
            verdict = answers.Verdict(outcome, innermost(error), timed_out=timed_out)
        return verdict._replace(reason=self._without_secrets(verdict.reason))

    def _post(self, payloads: List[bytes]) -> Any:
        if self._may_derive_usage:
            payloads = [edit.drop_attributes(payload, SERVER_DERIVED) for payload in payloads]
        body = b"".join(payloads)
        headers = {"Content-Type": "application/x-protobuf"}
        if self.destination.gzip:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, _GZIP_LEVEL)
        session = self._http(self._answer_timeout_s)
        return session.post(
            self.destination.endpoint,
            data=body,
            headers=headers,
            timeout=(min(_CONNECT_TIMEOUT_S, self.destination.timeout_s), self._answer_timeout_s),
            verify=verify(self.destination),
            allow_redirects=False,
            stream=True,
        )

    @property
    def _answer_timeout_s(self) -> float:
        return self.destination.timeout_s * self._patience

    @property
    def _may_derive_usage(self) -> bool:
        """True for an older server, and until it has been able to answer. One that has no such page is not older."""
        if not self._version_asked:
            return True
        return self._version is not None and self._version < FIRST_VERSION_WITHOUT_DERIVED_USAGE

    def _cannot_say_its_version(self) -> Optional[answers.Verdict]:
        """Ask an OpenObserve server for its version, once. The verdict if it says that it cannot answer now.

        What it would do with a span is not known then, so none is sent. That is not for ever, since a gateway may let
        nothing through but spans: then they go without what an older server derives itself.

        Raises ``requests.exceptions.RequestException`` if the server cannot be reached: then no span can be sent.
        """
        if not self.destination.base_url:
            self._version_asked = True
        if self._version_asked or time.monotonic() < self._ask_version_after:
            return None
        try:
            timeout_s = min(_CONFIG_TIMEOUT_S, self.destination.timeout_s)
            response = self._http(timeout_s).get(
                self.destination.base_url + "/config",
                timeout=timeout_s,
                verify=verify(self.destination),
                allow_redirects=False,
                stream=True,
            )
            body = self._read(response)
        except _UnusableFileError:
            raise
        except Exception as error:
            diagnostics.pass_the_programs_own()
            if not has_connected(error):
                raise
            self.close()
            verdict = answers.Verdict(answers.RETRY, innermost(error))
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
        with silence.http_logging():
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
            return self._read(response)
        except Exception as error:  # noqa: BLE001
            diagnostics.pass_the_programs_own()
            diagnostics.debug(f"the body of a {response.status_code} cannot be read: {type(error).__name__}")
            self.close()
            return b""

    def _read(self, response: Any) -> bytes:
        """The body, or the beginning of a long one. Raises what the connection raises."""
        body: bytes = b""
        for piece in response.iter_content(4096):
            body += piece
            if len(body) >= _MAX_ANSWER_BYTES:
                self.close()
                response.close()
                return body
        if response.raw.length_remaining:  # urllib3 1.26 says nothing of it
            raise ConnectionError("the answer broke off")
        return body

    def _without_secrets(self, text: str) -> str:
        """A server's or a library's text may repeat our headers or the whole address (docs/laws.md#8)."""
        text = text.replace(self.destination.endpoint, self.destination.shown_endpoint)
        query = self.destination.endpoint.partition("?")[2]
        for secret in [query, *(part for value in self.destination.headers.values() for part in value.split())]:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def _http(self, seconds: float) -> Any:
        """The session, for one request that may take so long.

        :raises _UnusableFileError: a file that TLS needs cannot be used
        """
        now = time.time()  # the monotonic clock may have stood still while the process was frozen
        if now - self._used_at > self._most_idle_s:
            self.close()
        self._used_at = now
        if self._session is None:
            wrong = certificates.fault(self.destination)
            if wrong and self.destination.uses_tls:
                raise _UnusableFileError(wrong)
            if wrong.startswith("OTEL_"):  # not used, but meant for this address; the process's own may serve others
                diagnostics.say_once(wrong)
            self._session = open_session(self.destination, self._deadline)
        self._deadline.start(seconds)
        return self._session


class _UnusableFileError(Exception):
    """A file that TLS needs is missing or cannot be used; the text is for a person."""


def parse_version(text: str) -> Optional[Tuple[int, ...]]:
    """(major, minor) from the body of ``GET /config``: ``{"version": "v0.90.3", ...}``."""
    match = re.search(r'"version"\s*:\s*"v?(\d+)\.(\d+)', text)
    return (int(match.group(1)), int(match.group(2))) if match else None
