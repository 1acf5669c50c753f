"""openai's streams with somebody looking over the program's shoulder: pace, usage, and how they end.

The client builds the stream itself, from a subclass of the class it was asked for (``stream_cls``, a public parameter of
``request``), beneath OpenInference. A stream that the program leaves early, and OpenInference's older versions would never
end (0.1.18 and 0.1.49, on Python 3.8 and 3.9), is ended here, with what had come until then.
"""

from __future__ import annotations

import atexit
import inspect
import os
import time
import types
import weakref
from typing import Any, Dict, Optional, Set, Tuple

from opentelemetry.trace import Status, StatusCode

from hf_openobserve import diagnostics
from hf_openobserve.capture import attempts, responses, routing, stream_usage
from hf_openobserve.capture.openai_accumulator import Joining
from hf_openobserve.capture.usage_events import UsageEvents

_open: Set[Any] = set()
"""Streams that the program has not finished (all with ``abandoned``). One still held at exit ends there."""

_following_exit = False
_classes: Dict[Any, Any] = {}
_CLASSES = 256


class Watch:
    """One stream. ``ours``: its span is of our own instrumentation, so it is ours to end."""

    def __init__(self, call: Any, *, ours: bool, asked: bool) -> None:
        self._call = call
        self._ours = ours
        self._asked = asked
        self._events: Optional[UsageEvents] = None
        self._with_span: Any = None
        self._accumulator: Any = None
        self._stepping = False
        self._over = False
        self._pid = os.getpid()
        self._response: Any = None

    def opened(self, response: Any) -> None:
        """The stream over ``response`` has been built."""
        self._response = weakref.ref(response)
        headers = response.headers
        if self._asked and "event-stream" in headers.get("content-type", ""):
            hidden = stream_usage.hides_extra(routing.served_by(self._call.url, headers))
            events = self._events = UsageEvents(sent_unasked=not hidden)
            responses.shadow(
                response,
                self.closed,
                lambda source: responses.Filtered(source, events),
                lambda source: responses.AsyncFiltered(source, events),
            )
        else:
            responses.shadow(response, self.closed)
        remember(self)

    def not_asked(self) -> None:
        """The server may not know the option: what comes is what the program asked for."""
        self._asked = False

    def ends_with(self, with_span: Any, accumulator: Any) -> Any:
        """Learn OpenInference's own means to end the span with what it has collected. Returns the collector to use."""
        if self._ours and accumulator is not None:
            accumulator = Joining(accumulator, with_span)
        self._with_span = with_span
        self._accumulator = accumulator
        return accumulator

    # While the program reads.

    def asked(self) -> None:
        """The program asks for the next chunk."""
        self._stepping = True
        self._call.pace.asked()

    def came(self, chunk: Any) -> None:
        """The next chunk is there."""
        self._stepping = False
        pace = self._call.pace
        pace.came()
        try:
            usage = usage_of(chunk)
            if usage is not None:
                self._call.usage = usage
            if carries_content(chunk):
                pace.had_content()
                pace.reasoned = pace.reasoned or carries_reasoning(chunk)
        except Exception:  # noqa: BLE001 - a chunk of a form nobody knows
            diagnostics.swallowed("openai chunk")

    # How it ends.

    def finished(self) -> None:
        """At its end: OpenInference, above, ends the span when it learns of it."""
        self._stepping = False
        diagnostics.guarded("openai stream", self._is_over, responses.ALL)

    def broke(self, error: BaseException) -> None:
        """An error instead of the next chunk. What is no ``Exception``, old versions of OpenInference do not look at."""
        self._stepping = False
        if isinstance(error, GeneratorExit):
            self.closed()
            return
        diagnostics.guarded("openai stream", self._broke, error)

    def left(self, error: BaseException) -> None:
        """An exception of the program's leaves the ``with`` block of the stream."""
        if not isinstance(error, GeneratorExit):
            diagnostics.guarded("openai stream", self._broke, error, True)

    def closed(self) -> None:
        """The program, or whoever holds the response for it, closes it; not the client at the stream's own end."""
        if not self._stepping:
            diagnostics.guarded("openai stream", self._end, Status(StatusCode.OK))

    def abandoned(self) -> None:
        """The program let go of the stream. It ended with the last chunk taken, not when that was noticed."""
        if not self._over:
            diagnostics.guarded("openai stream", self._end, Status(StatusCode.OK), None, self._call.pace.last_chunk)

    def settle(self) -> None:
        """Its span has ended. If nobody has said how, the program let go of the stream, with the last chunk it took."""
        last_chunk = self._call.pace.last_chunk
        if not self._over:
            self._is_over()
            if last_chunk:
                self._call.ended = time.time_ns() - int((time.perf_counter() - last_chunk) * 1e9)

    def _broke(self, error: BaseException, by_us: bool = False) -> None:
        if self._over:
            return
        self._call.failed(error, streaming=True)
        if isinstance(error, Exception) and not by_us:
            self._is_over()
        else:
            self._end(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"), error)

    def _is_over(self, done_with: Tuple[str, ...] = responses.CLOSING) -> None:
        self._over = True
        _open.discard(self)
        response = None if self._response is None else self._response()
        if response is not None:
            responses.unshadow(
                response, responses.ALL if getattr(response, "is_closed", False) else done_with
            )  # what is still to be read of it stays filtered
        if self._events is not None and self._events.usage is not None:
            self._call.usage = self._events.usage

    def _end(self, status: Status, error: Optional[BaseException] = None, last_chunk: float = 0.0) -> None:
        if self._over:
            return
        self._is_over()
        seconds_ago = time.perf_counter() - last_chunk if last_chunk else 0.0
        self._call.ended = time.time_ns() - int(seconds_ago * 1e9)
        # A stream that was open at a fork belongs to the parent, whose copy ends its span.
        if not self._ours or self._with_span is None or self._pid != os.getpid():
            return
        if error is not None:
            self._with_span.record_exception(error)
        collected: Any = self._accumulator
        self._with_span.finish_tracing(
            status=status,
            attributes=diagnostics.guarded("openai stream", lambda: dict(collected.get_attributes()), default={}),
            extra_attributes=diagnostics.guarded(
                "openai stream", lambda: dict(collected.get_extra_attributes()), default={}
            ),
        )


def usage_of(chunk: Any) -> Any:
    """The usage that a chunk carries, or the last event of the Responses API within its response."""
    if getattr(chunk, "choices", None) is None:
        chunk = getattr(chunk, "response", None)
    return getattr(chunk, "usage", None)


def carries_content(chunk: Any) -> bool:
    """True for a chunk with a part of the answer: not only a role, a reason or the usage."""
    choices = getattr(chunk, "choices", None)
    if not choices:
        kind = getattr(chunk, "type", None)  # of an event of the Responses API
        return isinstance(kind, str) and kind.endswith(".delta")
    for choice in choices:
        delta = getattr(choice, "delta", None)
        if delta is None:
            if getattr(choice, "text", None):
                return True
        elif (
            delta.content
            or getattr(delta, "tool_calls", None)
            or getattr(delta, "reasoning_content", None)
            or getattr(delta, "reasoning", None)
            or getattr(delta, "refusal", None)
        ):
            return True
    return False


def carries_reasoning(chunk: Any) -> bool:
    """True if what a chunk carries is of the reasoning. Asked of each chunk until one is: a text says no at the first look."""
    choices = getattr(chunk, "choices", None)
    if not choices:
        return "reasoning" in str(getattr(chunk, "type", ""))
    for choice in choices:
        delta = getattr(choice, "delta", None)
        if delta is None or (delta.content and isinstance(delta.content, str)):
            continue
        if (
            getattr(delta, "reasoning_content", None)
            or getattr(delta, "reasoning", None)
            or any(isinstance(part, dict) and "thinking" in part for part in delta.content or ())
        ):
            return True
    return False


def remember(watch: Any) -> None:
    """Follow it to the exit. Our handler runs before the tracer provider's, which was registered before it."""
    global _following_exit
    if not _following_exit:
        _following_exit = True
        atexit.register(diagnostics.guarded, "exit", _abandon_all)
    _open.add(watch)


def forget(watch: Any) -> None:
    """It is over."""
    _open.discard(watch)


def _abandon_all() -> None:
    for watch in list(_open):
        watch.abandoned()


# The stream's class.


def watched(stream_cls: Any) -> Any:
    """The subclass of ``stream_cls`` that tells a ``Watch``; ``stream_cls`` itself if it is of no known form."""
    known = _classes.get(stream_cls)
    if known is None:
        if len(_classes) >= _CLASSES:  # classes made per call: not ours to keep
            return stream_cls
        known = _classes[stream_cls] = diagnostics.guarded("openai stream", _subclass, stream_cls, default=stream_cls)
    return known


def _subclass(stream_cls: Any) -> Any:
    origin = getattr(stream_cls, "__origin__", None) or stream_cls
    if not inspect.isclass(origin):
        return stream_cls
    if hasattr(origin, "__anext__"):
        members = _async_members(stream_cls, origin)
    elif hasattr(origin, "__next__"):
        members = _members(stream_cls, origin)
    else:
        return stream_cls
    members["__class__"] = property(lambda _: origin)
    members.update(__module__=origin.__module__, __qualname__=origin.__qualname__, __doc__=origin.__doc__)
    return types.new_class(origin.__name__, (stream_cls,), {}, lambda namespace: namespace.update(members))


def _shared_members(stream_cls: Any) -> Dict[str, Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        # The client's own stream does the work. It and its generator hold each other until the garbage collector comes;
        # nothing in that circle holds this one, which is gone with the program's last reference.
        vars(self).update(vars(stream_cls(*args, **kwargs)))
        self._hf_watch = diagnostics.guarded("openai stream", _watch_of, self.response)

    def __del__(self: Any) -> None:  # noqa: N807
        watch = vars(self).get("_hf_watch")
        if watch is not None:
            watch.abandoned()

    return {"__init__": __init__, "__del__": __del__}


def _watch_of(response: Any) -> Optional[Watch]:
    # A client that sends on another thread, or to another host than its base_url's, is not seen at ``send``.
    call = response.extensions.get(attempts.EXTENSION) or attempts.current.get()
    watch: Optional[Watch] = None if call is None else call.streams
    if watch is not None:
        watch.opened(response)
    return watch


def _members(stream_cls: Any, origin: Any) -> Dict[str, Any]:
    def __next__(self: Any) -> Any:  # noqa: N807
        watch = self._hf_watch
        if watch is None:
            return origin.__next__(self)
        watch.asked()
        try:
            chunk = origin.__next__(self)
        except StopIteration:
            watch.finished()
            raise
        except BaseException as error:
            watch.broke(error)
            raise
        watch.came(chunk)
        return chunk

    def __iter__(self: Any) -> Any:  # noqa: N807
        while True:
            try:
                chunk = self.__next__()
            except StopIteration:
                return
            yield chunk

    def __exit__(self: Any, *raised: Any) -> Any:  # noqa: N807
        if self._hf_watch is not None and raised[1] is not None:
            self._hf_watch.left(raised[1])
        return origin.__exit__(self, *raised)

    return {**_shared_members(stream_cls), "__next__": __next__, "__iter__": __iter__, "__exit__": __exit__}


def _async_members(stream_cls: Any, origin: Any) -> Dict[str, Any]:
    async def __anext__(self: Any) -> Any:  # noqa: N807
        watch = self._hf_watch
        if watch is None:
            return await origin.__anext__(self)
        watch.asked()
        try:
            chunk = await origin.__anext__(self)
        except StopAsyncIteration:
            watch.finished()
            raise
        except BaseException as error:
            watch.broke(error)
            raise
        watch.came(chunk)
        return chunk

    async def __aiter__(self: Any) -> Any:  # noqa: N807
        while True:
            try:
                chunk = await self.__anext__()
            except StopAsyncIteration:
                return
            yield chunk

    async def __aexit__(self: Any, *raised: Any) -> Any:  # noqa: N807
        if self._hf_watch is not None and raised[1] is not None:
            self._hf_watch.left(raised[1])
        return await origin.__aexit__(self, *raised)

    return {**_shared_members(stream_cls), "__anext__": __anext__, "__aiter__": __aiter__, "__aexit__": __aexit__}


# OpenInference's end of it.


def follow_openinference() -> None:
    """Learn how OpenInference ends the span of each stream. Private to it, hence guarded; its call is passed on as it is."""
    from openinference.instrumentation.openai import _request

    original = getattr(_request, "_Stream", None)
    if not inspect.isclass(original):
        diagnostics.debug("OpenInference has no _Stream: a stream that is left early has no row")
        return

    def _stream(*args: Any, **kwargs: Any) -> Any:
        if not args:
            kwargs = diagnostics.guarded("openai stream", lambda: _followed(**kwargs), default=kwargs)
        return original(*args, **kwargs)

    _request._Stream = _stream  # noqa: SLF001


def _followed(stream: Any, with_span: Any, response_accumulator: Any = None) -> Dict[str, Any]:
    watch = getattr(stream, "_hf_watch", None)
    if watch is not None:
        response_accumulator = watch.ends_with(with_span, response_accumulator)
    return {"stream": stream, "with_span": with_span, "response_accumulator": response_accumulator}
