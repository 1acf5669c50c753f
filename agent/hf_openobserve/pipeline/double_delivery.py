"""Whether an application's provider delivers to our destination itself: joining it would make two rows of one call.

The one module that reads private attributes, because the SDK has no public way to ask a provider for its exporters.
Guarded: where an attribute is missing the answer is "no", and the version matrix tests that it is not.
"""

from __future__ import annotations

import sys
from typing import Any, Iterator

from hf_openobserve.process import diagnostics


def delivers(provider: Any, endpoint: str) -> bool:
    """True if the official OpenObserve SDK made the provider, or one of its exporters posts to ``endpoint``."""
    return bool(
        diagnostics.guarded("already", _is_official, provider, default=False)
        or (endpoint and diagnostics.guarded("already", _exports_to, provider, endpoint, default=False))
    )


class UnlessDelivered:
    """A recorder of the spans of ``provider``, silent while that one delivers them to ``endpoint`` itself.

    Asked at each span, and answered anew only when the provider's processors have changed: an application may add its
    own exporter long after we joined.
    """

    def __init__(self, recorder: Any, provider: Any, endpoint: str) -> None:
        self._recorder = recorder
        self._provider = provider
        self._endpoint = endpoint
        self._seen: Any = None
        self._delivers = False

    def on_end(self, span: Any) -> None:
        """Record the span, unless the provider has delivered it."""
        # The SDK makes a new tuple at each addition.
        processors = getattr(getattr(self._provider, "_active_span_processor", None), "_span_processors", None)
        if processors is not self._seen:
            self._seen = processors
            self._delivers = delivers(self._provider, self._endpoint)
        if not self._delivers:
            self._recorder.on_end(span)

    def shutdown(self) -> None:
        """The recorder's."""
        self._recorder.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """The recorder's."""
        return bool(self._recorder.force_flush(timeout_millis))


def _is_official(provider: Any) -> bool:
    # An unrelated project installs a package of the same name: it has neither function.
    sdk = sys.modules.get("openobserve")
    is_initialized = getattr(sdk, "is_initialized", None)
    get_tracer_provider = getattr(sdk, "get_tracer_provider", None)
    return bool(
        is_initialized is not None
        and get_tracer_provider is not None
        and is_initialized()
        and get_tracer_provider() is provider
    )


def _exports_to(provider: Any, endpoint: str) -> bool:
    wanted = endpoint.rstrip("/")
    return any(
        str(getattr(exporter, "_endpoint", "")).rstrip("/") == wanted
        for exporter in _exporters(getattr(provider, "_active_span_processor", None), depth=0)
    )


def _exporters(processor: Any, depth: int) -> Iterator[Any]:
    """Exporters of a span processor: its own, and those of the processors it holds."""
    if processor is None or depth > 4:
        return
    for holder in (processor, getattr(processor, "_batch_processor", None)):
        for name in ("span_exporter", "_exporter"):
            exporter = getattr(holder, name, None)
            if exporter is not None:
                yield exporter
    for inner in getattr(processor, "_span_processors", ()):
        yield from _exporters(inner, depth + 1)
