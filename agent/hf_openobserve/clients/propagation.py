"""The trace of a call on the request itself, so that the spans of a server that is traced too join it.

It goes to dedicated and local endpoints alone unless the user wants more, and only of a call that is recorded: no other
one has a span to join. OpenTelemetry's propagator writes it, so ``OTEL_PROPAGATORS`` keeps its meaning. The program
does not see it: it is on the request only while that is sent, and where the program or a mock would see that, it is not
put there at all.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any, Dict, Mapping, NamedTuple, Optional

from opentelemetry import baggage, context, propagate, trace

from hf_openobserve.clients import network
from hf_openobserve.process import diagnostics
from hf_openobserve.wire import routing

OWN_KINDS = frozenset({"dedicated", "local"})
"""Kinds of endpoints (``routing.endpoint_kind``) that are the user's own: under ``auto`` no other one is told."""


class Destination(NamedTuple):
    """Where a call is sent, and the mode: one of ``config.settings.PROPAGATE_MODES``."""

    host: str
    mode: str


destination: ContextVar[Optional[Destination]] = ContextVar("hf_openobserve.propagation", default=None)
"""Of the call of a client that does not record its requests at ``http.Sending``; None where nothing may be told."""


def leave(token: Token[Optional[Destination]]) -> None:
    """What ``destination`` was set for has been sent."""
    try:
        destination.reset(token)
    except ValueError:  # a coroutine that was thrown away in another context than it ran in
        diagnostics.swallowed("trace")


def add_to(request: Any, http_client: Any, auth: Any, span: Any, mode: str) -> Mapping[str, str]:
    """Put the trace on a request of httpx's that is about to be sent; returns what was added, for ``take_from``.

    span: the call's; None if that is the current one.
    """
    url = request.url
    is_own = routing.endpoint_kind(url.host, url.path, pinned=False) in OWN_KINDS
    if not is_own and mode != "on":
        return {}
    library = type(request).__module__.partition(".")[0]
    if not network.leaves_the_body_alone(auth) or not network.is_reached_by_httpx(http_client, url, library):
        return {}
    if not isinstance(request.stream, sys.modules[library].ByteStream):
        return {}  # read from a file while it is sent: after a redirect it could not be sent again
    headers = headers_of(span, with_baggage=is_own)
    present = request.headers
    if "traceparent" in present or any(name in present for name in headers if name != "traceparent"):
        return {}  # the program's
    for name, value in headers.items():
        present[name] = value
    return headers


def take_from(request: Any, added: Mapping[str, str]) -> None:
    """Take it away again; not what an instrumentation beneath has put in its place."""
    for name, value in added.items():
        if request.headers.get(name) == value:
            del request.headers[name]


def headers_of(span: Any, *, with_baggage: bool) -> Dict[str, str]:
    """The headers for a span, the current one if None, and for the program's baggage; none if it is not sampled."""
    current = context.get_current() if span is None else trace.set_span_in_context(span)
    headers: Dict[str, str] = {}
    told = trace.get_current_span(current).get_span_context()
    if told.is_valid and told.trace_flags.sampled:
        propagate.inject(headers, current if with_baggage else baggage.clear(current))
    return headers
