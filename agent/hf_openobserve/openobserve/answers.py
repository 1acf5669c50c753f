"""What an answer to a delivery means, as a pure table: status, headers and body in, one verdict out.

The rules are those of OpenObserve (docs/server-contract.md#answers) and of OTLP/HTTP. Only 2xx is success: a redirect
is not.
"""

from __future__ import annotations

import email.utils
import json
import math
import time
from typing import Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.otlp import edit

ACCEPTED = "accepted"  # stored, but for ``rejected`` spans that the server will never take
RETRY = "retry"  # try the same again, later
BLOCKED = "blocked"  # nothing will be taken until a person changes something; nothing is dropped
REFUSED = "refused"  # this request will never be taken: find the guilty span by splitting
TOO_LARGE = "too large"  # this request will never be taken, a smaller one may

_NO_SPANS_FAULT = frozenset((405, 406, 407, 410, 411, 415, 421, 426, 428, 431, 451))
"""What a page that takes no POST, a proxy on the way, or another server says of the request as such."""

LONGEST_WAIT_S = 5 * 3600.0
"""What ``Retry-After`` may ask for at the most: an OpenObserve server takes no span that is older than five hours."""


class Verdict(NamedTuple):
    """What to do with the request. ``reason`` is for a person and holds no secret."""

    outcome: str
    reason: str = ""
    rejected: int = 0
    retry_after_s: Optional[float] = None
    timed_out: bool = False
    """The request has been sent, and no answer came in time: the server may have stored it all the same."""
    status: int = 0
    """Of HTTP, where the answer was one to these spans; 0 otherwise."""


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """The verdict on one answer. ``headers`` is case-insensitive or has lower-case names."""
    if 200 <= status < 300:
        if "html" in headers.get("content-type", ""):  # a page to log in, or what a web server says to everybody
            return Verdict(BLOCKED, f"it answers with a web page ({status}); check OPENOBSERVE_URL")
        rejected, reason = _partial_success(headers.get("content-type", ""), body)
        return Verdict(ACCEPTED, reason, rejected)
    if status < 200:
        return Verdict(RETRY, f"{status} is no answer yet")
    if 300 <= status < 400:
        return Verdict(
            BLOCKED, f"it redirects ({status}) to {shown_address(headers.get('location', ''))}; use that address"
        )
    if status in (401, 403):
        return Verdict(
            BLOCKED, f"it refuses the credentials ({status}: {server_sentence(body)}); check OPENOBSERVE_AUTH_TOKEN"
        )
    if status == 404:
        return Verdict(
            BLOCKED, f"it knows no such address or organization (404: {server_sentence(body)}); check OPENOBSERVE_URL"
        )
    if status in _NO_SPANS_FAULT:
        return Verdict(BLOCKED, f"it takes no spans there ({status}: {server_sentence(body)}); check OPENOBSERVE_URL")
    if status in (408, 429) or status >= 500:
        return Verdict(
            RETRY, f"{status}: {server_sentence(body)}", retry_after_s=_retry_after(headers.get("retry-after", ""))
        )
    return Verdict(TOO_LARGE if status == 413 else REFUSED, f"{status}: {server_sentence(body)}")


def _partial_success(content_type: str, body: bytes) -> Tuple[int, str]:
    try:
        if "json" in content_type:
            partial = (json.loads(body.decode("utf-8", "replace")) or {}).get("partialSuccess") or {}
            rejected, reason = int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")
        elif "protobuf" in content_type:
            rejected, reason = edit.partial_success(body)
        else:
            return 0, ""
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return 0, ""  # an odd body under a 2xx: the spans are stored all the same
    return max(0, rejected), one_line(reason)


def _retry_after(value: str) -> Optional[float]:
    """Seconds from ``Retry-After``, which is a number of seconds or an HTTP date."""
    value = value.strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_WAIT_S)


def server_sentence(body: bytes) -> str:
    """The server's sentence, short enough for one line."""
    text = body[:2048].decode("utf-8", "replace").strip()
    try:
        decoded = json.loads(text)
        if isinstance(decoded, dict):
            text = str(decoded.get("message") or decoded.get("error") or text)
    except (ValueError, RecursionError):
        pass
    return one_line(text)


def one_line(text: str) -> str:
    """What a server says, as part of one line on a terminal: no line breaks, no control sequences, not too long."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text[:2048].split()))[:200]


def shown_address(url: str) -> str:
    """A URL to show: without credentials, query and fragment."""
    url = url.partition("#")[0].partition("?")[0]
    head, separator, tail = url.partition("//")
    host, slash, path = tail.partition("/")
    return one_line(head + separator + host.rpartition("@")[2] + slash + path if separator else url)
