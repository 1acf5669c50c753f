"""``HuggingFaceHubInstrumentor``: huggingface_hub's inference clients as OpenTelemetry spans, one per call.

An instrumentor as the stock distro loads it (entry point ``huggingface_hub``). It does not import huggingface_hub: the
hooks are put on each client when the program imports it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Collection

from openinference.instrumentation import TraceConfig
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from hf_openobserve.call.own_span import Spans
from hf_openobserve.call.recording import Recording
from hf_openobserve.clients.huggingface_hub.hooks import CLIENTS, Hooks
from hf_openobserve.clients.huggingface_hub.task import Tracing
from hf_openobserve.process import import_hook


class HuggingFaceHubInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments ``huggingface_hub.InferenceClient`` and ``AsyncInferenceClient``.

    ``instrument()`` takes ``tracer_provider`` (default: the global one), ``config``, OpenInference's ``TraceConfig``
    (default: what ``OPENINFERENCE_HIDE_*`` says), and ``stream_usage``, see there (default: ``off``, requests go out as
    the program makes them).
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """The versions that are tested. Newer ones are tried: a hook that no longer fits is left out."""
        return ("huggingface_hub >= 0.30",)

    hooks: ClassVar[Hooks] = Hooks()
    """Of all instances: one that somebody has wrapped stays beneath that when another instance comes."""

    def _instrument(self, **kwargs: Any) -> None:
        recording = kwargs.get("recording")
        if recording is None:
            recording = Recording(kwargs.get("tracer_provider"), kwargs.get("stream_usage", "off"))
        config = kwargs.get("config") or TraceConfig()
        self.hooks.trace_with(Tracing(Spans(recording, __name__, config)))
        for name in CLIENTS:
            import_hook.on_import(name, self.hooks.install)

    def _uninstrument(self, **_: Any) -> None:
        self.hooks.uninstall()
