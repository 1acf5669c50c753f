"""Facts about a call that its span does not carry: where it went, what was asked for, how it came back, how it failed.

They are kept beside the span, keyed by its ids, and joined when it ends. The span itself is not written to: it may be
the application's own, and its exporters receive what they would have received without us (law 7).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from opentelemetry import trace

from hf_openobserve import diagnostics
from hf_openobserve.arm import OPENAI_INSTRUMENTORS
from hf_openobserve.capture import routing
from hf_openobserve.capture.attempts import Attempts, retry_events
from hf_openobserve.capture.pace import COUNTS, Tokens
from hf_openobserve.columns import USAGE_PATHS, CallFacts
from hf_openobserve.conversation import at

_CAPACITY = 4096
"""Calls remembered at once. Beyond it the oldest is forgotten: spans that never end must not grow the host."""

Key = Tuple[int, int]
"""(trace id, span id)."""

_calls: OrderedDict[Key, Call] = OrderedDict()


class Call:
    """One request of a client, from its sending to the end of its span. Of the body only the model and its limit stay."""

    __slots__ = (
        "__weakref__",
        "attempts",
        "ended",
        "failure",
        "max_tokens",
        "model",
        "pace",
        "streams",
        "url",
        "usage",
    )

    def __init__(self, url: str, host: str, body: Mapping[str, Any]) -> None:
        model, max_tokens = body.get("model"), body.get("max_tokens")
        self.url = url
        self.model: Optional[str] = model if isinstance(model, str) else None
        self.max_tokens: Optional[int] = max_tokens if isinstance(max_tokens, int) else None
        self.attempts = Attempts(host)
        self.streams: Any = None
        """The ``Watch`` of its stream."""
        self.pace: Any = None
        self.usage: Any = None
        self.failure: Any = None
        self.ended: Optional[int] = None
        """When a stream was over, in nanoseconds since the epoch, where the span ends later than that."""

    def failed(self, error: BaseException, *, streaming: bool = False) -> None:
        """Add how the call failed: while it was sent, or while its stream was read."""
        from hf_openobserve.capture import errors

        self.failure = errors.describe(error, streaming=streaming)

    def facts(self) -> CallFacts:
        """What is known when its span has ended."""
        if self.streams is not None:
            self.streams.settle()
        attempts, failure = self.attempts, self.failure
        # One part that cannot be built costs that part only.
        attributes: Dict[str, Any] = {}
        diagnostics.guarded("route", self._add_route, attributes)
        diagnostics.guarded("answer's headers", self._add_answer, attributes)
        if attributes.get("hf.endpoint.kind") == "other" and "hf.provider.served" not in attributes:
            attributes.pop("hf.model.base", None)  # not a Hub id, as far as anybody can tell
        if failure is not None and failure.kind:
            attributes["hf.error.kind"] = failure.kind
        retries = diagnostics.guarded("retries", retry_events, attempts.done, default=())
        if retries:
            attributes["http.request.resend_count"] = len(retries)
        usage = diagnostics.guarded("usage", _plain, self.usage)
        if self.pace is not None:
            attributes.update(
                diagnostics.guarded("pace", lambda: self.pace.attributes(_tokens(usage or {})), default={})
            )
        return CallFacts(
            host=attributes.pop("server.address", ""),
            port=attributes.pop("server.port", None),
            model=self.model,
            max_tokens=self.max_tokens,
            status_code=None if failure is None else failure.status_code,
            error_type=None if failure is None else failure.error_type,
            message=None if failure is None else failure.message,
            attributes=attributes,
            usage=usage,
            events=retries,
            last_attempt=attempts.last_start if retries else None,
            ended=self.ended,
        )

    def _add_route(self, attributes: Dict[str, Any]) -> None:
        attempts = self.attempts
        attributes.update(
            routing.request_attributes(
                url=attempts.url or self.url,
                model=self.model,
                provider=None,
                headers=attempts.request_headers or {},
                by_address=True,
            )
        )

    def _add_answer(self, attributes: Dict[str, Any]) -> None:
        failure = self.failure
        headers = self.attempts.answer if failure is None or failure.headers is None else failure.headers
        if headers is None:
            return
        said = routing.response_attributes(headers)
        attributes.update(said)
        if self.model and "hf.provider.served" in said:
            # The router has answered, whatever stands between: it has read the model's suffix.
            attributes.update(routing.model_attributes(self.model, routed=True))


def _plain(usage: Any) -> Optional[Dict[str, Any]]:
    """Usage as a server wrote it, from its parsed form."""
    if usage is None or isinstance(usage, dict):
        return usage
    plain = usage.to_dict() if hasattr(usage, "to_dict") else dict(usage)
    return plain if isinstance(plain, dict) else None


def _tokens(usage: Mapping[str, Any]) -> Tokens:
    counts = []
    for name in COUNTS:
        found = (at(usage, path) for path in USAGE_PATHS[name])
        counts.append(next((count for count in found if isinstance(count, int)), None))
    return Tokens(*counts)


def begin(*, url: str, host: str, body: Mapping[str, Any]) -> Optional[Call]:
    """Remember a call for the span that is current; None when that records nothing, or is not an OpenAI instrumentor's.

    With instrumentation suppressed, for one, the current span is some other one of the application's.
    url: where the request is about to go. Of the request body only the model and its limit are kept.
    """
    span = trace.get_current_span()
    if not span.is_recording():
        return None
    scope = getattr(span, "instrumentation_scope", None)
    if scope is None or not scope.name.startswith(OPENAI_INSTRUMENTORS):
        return None
    call = Call(url, host, body)
    remember(span, call)
    return call


def remember(span: Any, call: Call) -> None:
    """``call`` is what will be known of ``span`` when that ends."""
    context = span.get_span_context()
    _calls[context.trace_id, context.span_id] = call
    while len(_calls) > _CAPACITY:
        try:
            _calls.popitem(last=False)
        except KeyError:  # another thread was faster
            break


def address_of(client: Any, options: Any) -> Tuple[str, str]:
    """Where a request with these options is about to go, and that host: under the client's ``base_url``, or anywhere."""
    base, url = client.base_url, str(getattr(options, "url", ""))
    if url.startswith(("http://", "https://")):
        return url, urlsplit(url).hostname or ""
    return f"{str(base).rstrip('/')}/{url.lstrip('/')}", base.host


def take(trace_id: int, span_id: int) -> Optional[CallFacts]:
    """The facts of this span, which are then forgotten."""
    call = _calls.pop((trace_id, span_id), None)
    if call is None:
        return None
    facts: CallFacts = diagnostics.guarded("facts", call.facts, default=CallFacts())
    return facts
