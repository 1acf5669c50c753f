"""The body of an answer, looked at while the program reads it: in place of ``stream`` of a response of httpx or httpx2.

That is the one source of every way to read: parsed chunks, lines, decoded or raw bytes, ``read()``. Public API only.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import weakref
import zlib
from typing import Any, Callable, Dict, List, Optional, Tuple

from hf_openobserve.call import open_calls
from hf_openobserve.call.call import LONGEST_ANSWER, Call
from hf_openobserve.process import diagnostics, interruptions
from hf_openobserve.wire.event_stream import EventStream, UsageHidden

_ENDINGS = ("__exit__", "__aexit__", "__stream__")
"""Functions of a client that close a response because an exception passes through them."""

_FRAMES = 12

_DOCUMENT_STARTS = (b"{", b"[", b"<")
"""How a body begins that is one answer, and no events."""


class _Watch:
    """What is read of an answer by whoever reads it, and how that ends. Told once of its end, whatever comes after.

    It holds neither the response nor where its bytes come from: those are gone with the program's last reference.
    """

    def __init__(
        self,
        call: Call,
        events: Optional[EventStream],
        response: Any,
        on_end: Optional[Callable[[Optional[BaseException]], None]],
    ) -> None:
        self._call = call
        self._events = events
        self._headers = response.headers
        self._inflate, self._decoded_at_end = _decoding(response)
        self._document: List[bytes] = []
        """The bytes of an answer that is one body, if it is one that is recorded."""
        self._length = 0
        self._begun = False
        self._on_end = on_end
        self._over = False
        self._gone: Any = None
        self._pid = os.getpid()
        call.open_body = self
        open_calls.streams.add(self)

    def follow(self, body: Any) -> None:
        """The program lets go of the stream when it lets go of ``body``.

        No ``__del__``: what the program raises there, a time limit's handler say, is lost, and it would run after the
        end too.
        """
        self._gone = weakref.ref(body, self._on_gone)

    def _on_gone(self, _reference: Any) -> None:
        self.abandoned()

    # While it is read.

    def asked(self) -> None:
        if self._call.timing is not None:
            self._call.timing.asked()

    def came(self, data: bytes) -> bytes:
        """Look at the next bytes; returns what of them goes on."""
        if self._over:
            return data
        try:
            if self._call.timing is not None:
                self._call.timing.came(as_chunk=False)
            seen = data if self._inflate is None else self._inflate(data)
            if not self._begun and seen.strip():
                self._begun = True
                if seen.lstrip()[:1] in _DOCUMENT_STARTS or self._decoded_at_end is not None:
                    self._events = None  # whatever the request was, and whatever the content type says
            if self._events is not None:
                passing = self._events.feed(seen)
                return passing if self._inflate is None else data
            self._length += len(seen)
            if self._length <= LONGEST_ANSWER:
                self._document.append(seen)
        except Exception:  # noqa: BLE001 - it passes as it came
            diagnostics.swallowed("response body")
        return data

    # How it ends.

    def finished(self) -> bytes:
        """At its end: what was held back."""
        rest = self._held_back()
        self._end(None)
        return rest

    def broke(self, error: BaseException) -> bytes:
        """What was held back, and goes before the error; the program's own error waits for nothing."""
        rest = b"" if interruptions.programs_own(error) is not None else self._held_back()
        if not self._over:
            self._call.failed(error, streaming=True)
            self._end(error)
        return rest

    def _held_back(self) -> bytes:
        rest = b"" if self._events is None else diagnostics.guarded("response body", self._events.finish, default=b"")
        return rest if self._inflate is None else b""

    def closed(self) -> None:
        """Whoever has the response closes it: at the end, when it is left, or because an exception passes."""
        if self._over:
            return
        if isinstance(sys.exc_info()[1], GeneratorExit):  # httpx2 closes when the program lets go of the iterator
            self._abandoned()
            return
        error = _passing_through_the_client()
        if error is None or (self._events is not None and self._events.done):
            self._end(None)
        else:
            self._call.failed(error, streaming=True)
            self._end(error)

    def abandoned(self) -> None:
        """The program let go of it, or ends. It ended with the last chunk taken, not when that was noticed."""
        if not self._over:
            diagnostics.guarded("response body", self._abandoned)

    def _abandoned(self) -> None:
        self._call.left_with_last_chunk()
        self._end(None)

    def settle(self) -> None:
        """The span has ended. If nobody has said how, the program let go of the stream, with the last chunk it took."""
        if not self._over:
            self._call.left_with_last_chunk()
            self._over, self._gone = True, None
            open_calls.streams.discard(self)
            diagnostics.guarded("response body", self._conclude)

    def _end(self, error: Optional[BaseException]) -> None:
        if self._over:
            return
        self._over, self._gone = True, None
        open_calls.streams.discard(self)
        diagnostics.guarded("response body", self._conclude)
        # A stream that was open at a fork belongs to the parent, whose copy ends its span.
        if self._on_end is not None and self._pid == os.getpid():
            diagnostics.guarded("response body", self._on_end, error)

    def _conclude(self) -> None:
        call, events = self._call, self._events
        call.open_body = None
        document, self._document = b"".join(self._document), []
        if events is not None:
            if call.timing is not None and isinstance(events, UsageHidden):
                call.timing.chunks -= events.hidden
            if events.unreadable and call.failure is None:
                call.failed(json.JSONDecodeError("a chunk of the stream is no JSON", "", 0), streaming=True)
            return
        if not document or self._length > LONGEST_ANSWER:
            return
        if self._decoded_at_end is not None:
            document = _decoded(self._decoded_at_end, document)
        if document.lstrip()[:1] in _DOCUMENT_STARTS:
            call.answer_body = call.parsed(document, self._headers)
        elif call.streamed is not None:
            EventStream(call.streamed.add).feed(document)


class _Body:
    def __init__(self, source: Any, watch: _Watch) -> None:
        self._source = source
        self._watch = watch
        watch.follow(self)

    def __getattr__(self, name: str) -> Any:
        """What else a library's stream has: httpx2 looks there for ``response.elapsed``."""
        source = vars(self).get("_source")
        if source is None:  # a copy that is being made
            raise AttributeError(name)
        return getattr(source, name)


class Body(_Body):
    """Of a synchronous client's response."""

    def __iter__(self) -> Any:
        source, watch = iter(self._source), self._watch
        while True:
            watch.asked()
            try:
                data = next(source)
            except StopIteration:
                break
            except BaseException as error:
                rest = watch.broke(error)
                if not rest:
                    raise
                broken = error
            else:
                passing = watch.came(data)
                if passing:
                    yield passing
                continue
            try:
                yield rest
                raise broken
            finally:
                del broken  # docs/laws.md#4: its traceback has this frame
        rest = watch.finished()
        if rest:
            yield rest

    def close(self) -> None:
        """Close what the bytes come from."""
        try:
            self._source.close()
        finally:
            diagnostics.guarded("response body", self._watch.closed)


class AsyncBody(_Body):
    """Of an asynchronous client's response."""

    async def __aiter__(self) -> Any:
        source, watch = self._source.__aiter__(), self._watch
        while True:
            watch.asked()
            try:
                data = await source.__anext__()
            except StopAsyncIteration:
                break
            except BaseException as error:
                rest = watch.broke(error)
                if not rest:
                    raise
                broken = error
            else:
                passing = watch.came(data)
                if passing:
                    yield passing
                continue
            try:
                yield rest
                raise broken
            finally:
                del broken  # docs/laws.md#4: its traceback has this frame
        rest = watch.finished()
        if rest:
            yield rest

    async def aclose(self) -> None:
        """Close what the bytes come from."""
        try:
            await self._source.aclose()
        finally:
            diagnostics.guarded("response body", self._watch.closed)


_classes: Dict[Any, Any] = {}
"""A library's base class of what bytes come from -> ours of that library."""


def watch(
    response: Any,
    call: Call,
    events: Optional[EventStream],
    on_end: Optional[Callable[[Optional[BaseException]], None]],
) -> None:
    """Look at the body of ``response`` as it is read. events: of a stream; None for an answer that is one body.

    on_end: called once when the body is over, with the error that ended it, if one did.
    """
    library = sys.modules[type(response).__module__.partition(".")[0]]
    source = response.stream
    base, ours = (
        (library.AsyncByteStream, AsyncBody)
        if isinstance(source, library.AsyncByteStream) and not isinstance(source, library.SyncByteStream)
        else (library.SyncByteStream, Body)
    )
    made = _classes.get(base)
    if made is None:
        made = _classes[base] = type(ours.__name__, (ours, base), {})
    response.stream = made(source, _Watch(call, events, response, on_end))


def look_at(response: Any, call: Call, events: Optional[EventStream]) -> None:
    """Look at a body that has been read whole."""
    content = response.content
    if events is None or content.lstrip()[:1] in _DOCUMENT_STARTS:
        call.answer_body = call.parsed(content, response.headers)
    else:
        events.feed(content)


def _passing_through_the_client() -> Optional[BaseException]:
    """The exception for which a client's code closes the response: one that leaves a ``with`` block, or its own."""
    error = sys.exc_info()[1]
    if error is None or isinstance(error, GeneratorExit):
        return None
    frame = inspect.currentframe()
    for _ in range(_FRAMES):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return None
        if frame.f_code.co_name in _ENDINGS:
            return error
    return None


def _decoding(response: Any) -> Tuple[Optional[Callable[[bytes], bytes]], Optional[Tuple[Any, str]]]:
    """How to look at the bytes: a function that decodes them, or the response class that decodes all at the end."""
    encoding = str(response.headers.get("content-encoding") or "identity").strip().lower()
    if encoding == "identity":
        return None, None
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress, None
    return None, (type(response), encoding)


def _decoded(how: Tuple[Any, str], content: bytes) -> bytes:
    made, encoding = how
    decoded: bytes = made(200, headers={"content-encoding": encoding}, content=content).content
    return decoded
