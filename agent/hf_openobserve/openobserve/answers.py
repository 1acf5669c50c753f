"""What an answer to a delivery means, as a pure table: status, headers and body in, one verdict out.

Source of the rules: OpenObserve's ingestion answers (200 and 206 with ``partial_success``, 500 for a failed write, 503
for a full memtable) and the OTLP/HTTP specification. Only 2xx is success: a redirect is not.
"""

from __future__ import annotations

import email.utils
import json
import time
from typing import Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.outbox import otlp

ACCEPTED = "accepted"  # stored, but for ``rejected`` spans that the server will never take
RETRY = "retry"  # try the same again, later
BLOCKED = "blocked"  # nothing will be taken until a person changes something; nothing is dropped
REFUSED = "refused"  # this request will never be taken: find the guilty span by splitting


class Verdict(NamedTuple):
    """What to do with the request. ``reason`` is for a person and holds no secret."""

    outcome: str
    reason: str = ""
    rejected: int = 0
    retry_after_s: Optional[float] = None


def judge(status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
    """The verdict on one answer. ``headers`` is case-insensitive or has lower-case names."""
    if 200 <= status < 300:
        rejected, reason = _partial_success(headers.get("content-type", ""), body)
        return Verdict(ACCEPTED, reason, rejected)
    if 300 <= status < 400:
        location = headers.get("location", "")
        return Verdict(BLOCKED, f"it redirects ({status}) to {_without_credentials(location)}; use that address")
    if status in (401, 403):
        return Verdict(BLOCKED, f"it refuses the credentials ({status}: {_text(body)}); check OPENOBSERVE_AUTH_TOKEN")
    if status == 404:
        return Verdict(BLOCKED, f"it knows no such address or organization (404: {_text(body)}); check OPENOBSERVE_URL")
    if status in (408, 429) or status >= 500:
        return Verdict(RETRY, f"{status}: {_text(body)}", retry_after_s=_retry_after(headers.get("retry-after", "")))
    return Verdict(REFUSED, f"{status}: {_text(body)}")


def _partial_success(content_type: str, body: bytes) -> Tuple[int, str]:
    try:
        if "json" in content_type:
            partial = (json.loads(body.decode("utf-8", "replace")) or {}).get("partialSuccess") or {}
            return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")
        if "protobuf" in content_type:
            return otlp.partial_success(body)
    except (ValueError, TypeError, AttributeError):
        pass  # an odd body under a 2xx: the spans are stored all the same
    return 0, ""


def _retry_after(value: str) -> Optional[float]:
    """Seconds from ``Retry-After``, which is a number of seconds or an HTTP date."""
    value = value.strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _text(body: bytes) -> str:
    """The server's sentence, short enough for one line."""
    text = body[:2048].decode("utf-8", "replace").strip()
    try:
        decoded = json.loads(text)
        if isinstance(decoded, dict):
            text = str(decoded.get("message") or decoded.get("error") or text)
    except ValueError:
        pass
    return " ".join(text.split())[:200]


def _without_credentials(url: str) -> str:
    head, separator, tail = url.partition("://")
    return head + separator + tail.split("?")[0].rpartition("@")[2] if separator else url.split("?", maxsplit=1)[0]
