"""Our TracerProvider, and how it lives beside the application's (docs/laws.md#7).

``build`` makes the SDK's provider. ``ResolvingTracerProvider`` stands for "the application's provider if it has set
one, else ours", decided anew at each span. ``become_global`` hands that out under the wrapper command.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, Callable, Optional, cast

from opentelemetry import trace

from hf_openobserve.config import environment_variables as env
from hf_openobserve.process import diagnostics, entry_points
from hf_openobserve.process.events import is_native

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

_original_get_tracer_provider = trace.get_tracer_provider
_original_set_tracer_provider = trace.set_tracer_provider


def build(processor: SpanProcessor) -> TracerProvider:
    """The SDK's provider with our resource, and sampler, limits and ids as ``OTEL_*`` says.

    Exit is our own business.
    """
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider

    from hf_openobserve.pipeline import resource
    from hf_openobserve.process import host_log

    class AgentTracerProvider(TracerProvider):
        is_read_by_others = False
        """True once somebody has added a processor of their own: then our own spans say all that OpenInference's would.
        """

        def add_span_processor(self, span_processor: SpanProcessor) -> None:
            self.is_read_by_others = self.is_read_by_others or span_processor is not processor
            super().add_span_processor(span_processor)

        def _handle_fork(self) -> None:
            # SDK 1.41 and newer: asks the detectors of the resource anew, each on a thread, inside the fork's hook. As
            # greenlets these switch to the parent's other ones, and the child goes on with the parent's work.
            theirs: Any = getattr(super(), "_handle_fork", None)
            if theirs is not None and is_native(threading.Lock()):
                theirs()

    host_log.keep_limits_quiet()
    limits = None
    if not (os.environ.get(env.OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT) or os.environ.get(env.OTEL_ATTRIBUTE_COUNT_LIMIT)):
        # The SDK's 128 evicts the oldest first: a chat of 45 messages loses openinference.span.kind and input.value.
        limits = SpanLimits(max_span_attributes=SpanLimits.UNSET)
    provider = AgentTracerProvider(
        resource=resource.create(), span_limits=limits, id_generator=_id_generator(), shutdown_on_exit=False
    )
    provider.add_span_processor(processor)
    return provider


def _id_generator() -> Any:
    """The generator that ``OTEL_PYTHON_ID_GENERATOR`` names, as the SDK's own configuration finds it, else ours."""
    name = os.environ.get(env.OTEL_PYTHON_ID_GENERATOR, "").strip()
    found = entry_points.find("opentelemetry_id_generator", name) if name and name != "random" else None
    if found is not None:
        return found.load()()
    if name and name != "random":
        diagnostics.say_once(
            f'OTEL_PYTHON_ID_GENERATOR names "{name}", and no such generator is installed; it is ignored'
        )
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    # The SDK's default draws from the module ``random``: a program that seeds it would get other numbers than without
    # us, and the same trace ids at every run.
    class SystemIdGenerator(RandomIdGenerator):
        def generate_span_id(self) -> int:
            return int.from_bytes(os.urandom(8), "big") or 1

        def generate_trace_id(self) -> int:
            return int.from_bytes(os.urandom(16), "big") or 1

    return SystemIdGenerator()


def application_provider() -> Optional[trace.TracerProvider]:
    """The provider the application (or another distro) has set, if any."""
    current = _original_get_tracer_provider()
    return None if isinstance(current, trace.ProxyTracerProvider) else current


class ResolvingTracerProvider(trace.ProxyTracerProvider):
    """Tracers that ask at each span: the application's provider when there is one, else ours, made on demand.

    ours: returns our provider, or None when nothing is to be recorded. joined: called with the application's provider
    each time a span is about to go there.
    """

    def __init__(
        self,
        ours: Callable[[], Optional[TracerProvider]],
        joined: Optional[Callable[[trace.TracerProvider], None]] = None,
    ) -> None:
        self._ours = ours
        self._joined = joined

    def resolve(self) -> Optional[trace.TracerProvider]:
        """The provider that a span started now belongs to; None if nobody records."""
        theirs = application_provider()
        if theirs is None:
            return self._ours()
        if self._joined is not None:
            self._joined(theirs)
        return theirs

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """As the API's; takes whatever arguments the installed API has."""
        return _ResolvingTracer(self, args, kwargs)

    # What programs call on the provider that the stock distro would have set; on a bare API they would not find it.
    # Where nothing is recorded it does nothing: a program that ran must run on.

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add an application's processor to the provider that is in use now."""
        provider: Any = self.resolve()
        if provider is not None:
            provider.add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the provider that is in use now."""
        provider: Any = self.resolve()
        return True if provider is None else cast("bool", provider.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """Shut down the provider that is in use now."""
        provider: Any = self.resolve()
        if provider is not None:
            provider.shutdown()

    @property
    def resource(self) -> Any:
        """The resource of the provider that is in use now."""
        provider: Any = self.resolve()
        if provider is None:
            from opentelemetry.sdk.resources import Resource

            return Resource.get_empty()
        return provider.resource


class _ResolvingTracer(trace.Tracer):
    def __init__(self, provider: ResolvingTracerProvider, args: Any, kwargs: Any) -> None:
        self._provider = provider
        self._arguments = (args, kwargs)
        self._resolved: Any = (None, trace.NoOpTracer())

    def resolve(self) -> trace.Tracer:
        """The tracer of the provider that a span started now belongs to."""
        provider = self._provider.resolve()
        resolved_for, tracer = self._resolved
        if provider is not resolved_for:
            args, kwargs = self._arguments
            tracer = trace.NoOpTracer() if provider is None else provider.get_tracer(*args, **kwargs)
            self._resolved = (provider, tracer)
        return cast("trace.Tracer", tracer)

    def start_span(self, *args: Any, **kwargs: Any) -> trace.Span:
        return self.resolve().start_span(*args, **kwargs)

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        return _ResolvingContext(self, args, kwargs)


class _ResolvingContext:
    """What ``start_as_current_span`` returns: a context manager, and a decorator of functions, sync and async.

    Nothing is resolved before it is entered: a function decorated when its module was imported is traced by the
    provider of the time it is called. The API does the same with a decorator that is private.
    """

    def __init__(self, tracer: _ResolvingTracer, args: Any, kwargs: Any) -> None:
        self._tracer = tracer
        self._arguments = (args, kwargs)
        self._entered: Any = None

    def __enter__(self) -> trace.Span:
        args, kwargs = self._arguments
        self._entered = self._tracer.resolve().start_as_current_span(*args, **kwargs)
        return cast("trace.Span", self._entered.__enter__())

    def __exit__(self, *raised: object) -> Optional[bool]:
        return cast("Optional[bool]", self._entered.__exit__(*raised))

    def __call__(self, function: Any) -> Any:
        if not inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            def inner(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return function(*args, **kwargs)

            return inner

        @functools.wraps(function)
        async def async_inner(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return await function(*args, **kwargs)

        return async_inner

    def _again(self) -> _ResolvingContext:
        args, kwargs = self._arguments
        return _ResolvingContext(self._tracer, args, kwargs)


def become_global(ours: Callable[[], Optional[TracerProvider]]) -> None:
    """Serve as the global provider until the application sets its own. Only public functions are replaced.

    The setter runs unchanged: the application's provider becomes the API's own global, and a second ``set`` warns as it
    would have without us.
    """
    resolving = ResolvingTracerProvider(ours)

    def get_tracer_provider() -> trace.TracerProvider:
        return application_provider() or resolving

    trace.get_tracer_provider = get_tracer_provider
