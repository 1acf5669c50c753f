"""Whether a request goes to a network, or to what stands in its place in a test: mocks and recorders compare its body.

They put a transport of their own there (``httpx.MockTransport``), or a function of theirs on the classes of httpx,
httpcore, requests, urllib3 or aiohttp (respx, pytest-httpx, vcrpy, responses, requests-mock, aioresponses).
"""

from __future__ import annotations

import os
import sys
from typing import Any, Iterator, Set

_OWN = frozenset(
    ("httpx", "httpx2", "httpcore", "httpcore2", "httpx_aiohttp", "openai", "requests", "aiohttp", "huggingface_hub")
)
"""Packages whose functions reach a network: openai's and huggingface_hub's clients are subclasses of httpx's and
requests'.
"""

_known_files: Set[str] = set()
"""Files of these packages: the same few are asked for with every request."""

_AUTH = frozenset(("UseClientDefault", "BasicAuth", "DigestAuth", "NetRCAuth"))


def is_reached_by(session: Any, url: str) -> bool:
    """True if what ``session``, of any of the libraries, sends to ``url`` goes to a network."""
    for library in _libraries_of(session):
        if library in ("httpx", "httpx2"):
            return is_reached_by_httpx(session, sys.modules[library].URL(url), library)
        if library == "requests":
            return _by_requests(session, url)
        if library == "aiohttp":
            return _is_own(session, "_request")
    return False


def is_reached_by_httpx(http_client: Any, url: Any, library: str) -> bool:
    """The same of a client of httpx or httpx2. Only a private method tells its transport; without it: False."""
    choose = getattr(http_client, "_transport_for_url", None)
    transport = choose(url) if choose is not None else None
    if not _is_own(http_client, "_send_single_request") or not _is_unseen(http_client):
        return False
    if type(transport).__module__.partition(".")[0] == "httpx_aiohttp":  # openai's DefaultAioHttpClient brings it
        aiohttp = sys.modules.get("aiohttp")
        return aiohttp is not None and _is_own(aiohttp.ClientSession, "_request")
    for name, method in (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request")):
        base = getattr(sys.modules[library], name, None)
        if base is not None and isinstance(transport, base):
            pool = getattr(transport, "_pool", None)
            return _is_own(transport, method) and (pool is None or _is_own(pool, method))
    return False


def _is_unseen(http_client: Any) -> bool:
    """True if no function of the program's is given each request: it may log its body, sign it or refuse it."""
    hooks = [hook for of_kind in http_client.event_hooks.values() for hook in of_kind]
    return all(is_from_a_library(hook) for hook in hooks) and leaves_the_body_alone(http_client.auth)


def leaves_the_body_alone(auth: Any) -> bool:
    """True for no authentication, and for httpx's own kinds, which do not look at the body."""
    return auth is None or isinstance(auth, tuple) or type(auth).__name__ in _AUTH


def _by_requests(session: Any, url: str) -> bool:
    adapter = session.get_adapter(url) if _is_own(session, "get_adapter") else None
    if adapter is None or not _is_own(adapter, "send") or session.auth is not None or any(session.hooks.values()):
        return False
    pools = sys.modules.get("urllib3.connectionpool")
    pool_class = getattr(pools, "HTTPSConnectionPool" if url.startswith("https") else "HTTPConnectionPool", None)
    return str(getattr(getattr(pool_class, "ConnectionCls", None), "__module__", "")).startswith("urllib3.")


def _libraries_of(session: Any) -> Any:
    session_class = session if isinstance(session, type) else type(session)
    return (cls.__module__.partition(".")[0] for cls in session_class.__mro__)


def _is_own(owner: Any, method: str) -> bool:
    """True if a method and those that it overrides are the libraries' own.

    A wrapper that passes for what it wraps counts as that: OpenTelemetry's instrumentors put one there.
    """
    owner_class = owner if isinstance(owner, type) else type(owner)
    found = [vars(cls)[method] for cls in owner_class.__mro__ if method in vars(cls)]
    if found and method in getattr(owner, "__dict__", ()):
        found.append(owner.__dict__[method])
    return bool(found) and all(is_from_a_library(function) for function in found)


def is_from_a_library(function: Any) -> bool:
    """True if a function's code stands in a file of one of the libraries.

    Where a class says it is from proves nothing.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    file = code.co_filename
    if file not in _known_files and any(file.startswith(place) for place in _places()):
        _known_files.add(file)
    return file in _known_files


def _places() -> Iterator[str]:
    for name in _OWN:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            yield os.path.dirname(file) + os.sep
