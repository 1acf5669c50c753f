"""The streams that clients return, with somebody looking over the program's shoulder.

They stand for the client's own generator: ``isinstance``, ``inspect`` and every attribute say what it says, and chunks
pass as they are. A generator of ours around it would not do: one that is never started never learns that it was
dropped.
"""

from __future__ import annotations

from typing import Any

from hf_openobserve.clients.huggingface_hub.task import Task


class _Watched:
    __slots__ = ("__weakref__", "_call", "_stream")

    __class__ = property(lambda self: type(self._stream))

    def __init__(self, stream: Any, call: Task) -> None:
        self._stream = stream
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __repr__(self) -> str:
        return repr(self._stream)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._stream.__reduce_ex__(protocol)  # a generator's: it cannot be copied or pickled

    def __del__(self) -> None:
        self._call.abandoned()


class WatchedStream(_Watched):
    """A generator of chunks."""

    __slots__ = ()

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._pass(self._stream.__next__)

    def send(self, value: Any) -> Any:
        """As a generator's."""
        return self._pass(self._stream.send, value)

    def throw(self, *exception: Any) -> Any:
        """As a generator's."""
        try:
            return self._pass(self._stream.throw, *exception)
        finally:
            del exception  # docs/laws.md#4: its traceback has this frame

    def close(self) -> None:
        """As a generator's."""
        try:
            self._stream.close()
        except BaseException as error:
            self._call.failed(error)
            raise
        self._call.finished()

    def _pass(self, step: Any, *args: Any) -> Any:
        self._call.asked()
        try:
            chunk = step(*args)
        except StopIteration:
            self._call.finished()
            raise
        except BaseException as error:
            self._call.failed(error)
            raise
        finally:
            del args
        self._call.came(chunk)
        return chunk


class WatchedAsyncStream(_Watched):
    """An asynchronous generator of chunks."""

    __slots__ = ()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self._pass(self._stream.__anext__)

    async def asend(self, value: Any) -> Any:
        """As a generator's."""
        return await self._pass(self._stream.asend, value)

    async def athrow(self, *exception: Any) -> Any:
        """As a generator's."""
        try:
            return await self._pass(self._stream.athrow, *exception)
        finally:
            del exception

    async def aclose(self) -> None:
        """As a generator's."""
        try:
            await self._stream.aclose()
        except BaseException as error:
            self._call.failed(error)
            raise
        self._call.finished()

    async def _pass(self, step: Any, *args: Any) -> Any:
        self._call.asked()
        try:
            chunk = await step(*args)
        except StopAsyncIteration:
            self._call.finished()
            raise
        except BaseException as error:
            self._call.failed(error)
            raise
        finally:
            del args
        self._call.came(chunk)
        return chunk


def watch(stream: Any, call: Task) -> Any:
    """The stream, watched."""
    return WatchedAsyncStream(stream, call) if hasattr(type(stream), "__anext__") else WatchedStream(stream, call)
