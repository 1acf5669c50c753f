"""URLs of settings: checked, spelled one way, and shown without what may be a secret in them."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit


def split_url(url: str) -> Tuple[Optional[SplitResult], str]:
    """An http(s) URL with a host, or None and what is wrong with it, in words that show no secret."""
    if re.search(r"[\s<>\"{}|\\^`]", url) or not url.isprintable():
        return None, "has characters that a URL has not"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if scheme is None:
        return None, f"has no scheme{_shown_host(url)}"
    if scheme.group(1).lower() not in ("http", "https"):
        return None, "has a scheme that is neither http nor https"
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return None, "names no host"
        if parts.port == 0:
            return None, "has no valid port"
    except ValueError:
        return None, "has no valid host and port"
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with one of these ends the host early: what follows would be shown, and asked for, as a path.
        return None, 'has an "@" behind its host; a password\'s "/", "?" and "#" are written %2F, %3F and %23'
    return parts, ""


def netloc(parts: SplitResult) -> str:
    """Host and port without credentials, spelled one way: it is part of the identity."""
    host_and_port = parts.netloc.rpartition("@")[2].lower()
    return re.sub(r":443$" if parts.scheme == "https" else r":80$", "", host_and_port).rstrip(":")


def without_query(url: str) -> str:
    """The URL as it may be printed: its query may hold an access key."""
    bare, question_mark, _ = url.partition("?")
    return bare + ("?***" if question_mark else "")


def url_secrets(url: str) -> List[str]:
    """Credentials in a URL, cut generously: a password may itself contain ``/``, ``#`` or ``@``."""
    userinfo = url.partition("://")[2].rpartition("@")[0] or url.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    return [userinfo, unquote(userinfo), password, unquote(password)]


def _shown_host(url: str) -> str:
    """The URL in brackets if it is plainly a host without a scheme: else it may be a token in the wrong variable."""
    host = re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}(:[0-9]{1,5})?(/[a-z0-9/._-]*)?", url)
    plainly = host and (host.group(1) or "." in url or url.startswith("localhost"))
    return f' ("{url}")' if plainly else ""
