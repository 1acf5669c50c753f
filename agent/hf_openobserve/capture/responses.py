"""A response of httpx or httpx2, looked at as it is read and closed: by the client, the program, or whoever holds it.

Public methods are shadowed on the one instance, and the shadows go when they are no longer needed.
"""

from __future__ import annotations

import weakref
from typing import Any, Callable, Dict, Optional, Tuple

from hf_openobserve.capture.usage_events import UsageEvents

CLOSING = ("close", "aclose")
ALL = (*CLOSING, "iter_bytes", "aiter_bytes")


def shadow(
    response: Any,
    closed: Callable[[], None],
    through: Optional[Callable[[Any], Any]] = None,
    through_async: Optional[Callable[[Any], Any]] = None,
) -> None:
    """Call ``closed`` when the response has been closed; let its bytes come through the iterators that the others make.

    At its end a response is closed by the library, within the reading of its last bytes.
    """
    kind: Any = type(response)
    # Not the bound methods: they would close a circle, and keep the response until the garbage collector comes.
    here = weakref.ref(response)
    # Whoever took a method off the response holds no more than our shadow: it must work when the response is gone.
    twin = kind.__new__(kind)
    vars(twin).update(vars(response))

    def it() -> Any:
        alive = here()
        return twin if alive is None else alive

    def close() -> None:
        try:
            kind.close(it())
        finally:
            closed()

    async def aclose() -> None:
        try:
            await kind.aclose(it())
        finally:
            closed()

    shadows: Dict[str, Any] = {"close": close, "aclose": aclose}
    if through is not None:
        shadows["iter_bytes"] = lambda *args, **kwargs: through(kind.iter_bytes(it(), *args, **kwargs))
    if through_async is not None:
        shadows["aiter_bytes"] = lambda *args, **kwargs: through_async(kind.aiter_bytes(it(), *args, **kwargs))
    vars(response).update({name: shadow for name, shadow in shadows.items() if hasattr(kind, name)})


def unshadow(response: Any, names: Tuple[str, ...]) -> None:
    """Take the shadows of these names away."""
    for name in names:
        vars(response).pop(name, None)


class Filtered:
    """The bytes of a response without the events that only we have asked for."""

    def __init__(self, source: Any, events: UsageEvents) -> None:
        self._source = source
        self._events = events

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        while True:
            try:
                data = self._source.__next__()
            except StopIteration:
                rest = self._events.finish()
                if rest:
                    return rest
                raise
            passing = self._events.feed(data)
            if passing:
                return passing

    def close(self) -> None:
        """As a generator's."""
        self._source.close()


class AsyncFiltered:
    """The same of an asynchronous response."""

    def __init__(self, source: Any, events: UsageEvents) -> None:
        self._source = source
        self._events = events

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                data = await self._source.__anext__()
            except StopAsyncIteration:
                rest = self._events.finish()
                if rest:
                    return rest
                raise
            passing = self._events.feed(data)
            if passing:
                return passing

    async def aclose(self) -> None:
        """As a generator's."""
        await self._source.aclose()
