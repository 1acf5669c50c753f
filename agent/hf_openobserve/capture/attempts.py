"""The HTTP requests of one call: how often it was tried, how each try ended, and how long the client waited between.

Seen at the public ``send`` of httpx's and httpx2's clients, for which everybody else's request pays one look at a context
variable.
"""

from __future__ import annotations

import functools
import time
from contextvars import ContextVar
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from hf_openobserve import diagnostics
from hf_openobserve.capture import routing
from hf_openobserve.record import EventRecord

LIBRARIES = ("httpx", "httpx2")
EXTENSION = "hf_openobserve.call"
"""Key of ``response.extensions`` under which an answer knows the call it belongs to."""


class Attempt(NamedTuple):
    """One request. Times are nanoseconds since the epoch; an ``error_type`` stands where no answer came.

    ``headers`` are the answer's, looked at only if there was another attempt.
    """

    start: int
    end: int
    status_code: Optional[int] = None
    error_type: Optional[str] = None
    headers: Any = None


class Attempts:
    """The requests to ``host`` while a call is current. What is sent elsewhere meanwhile (for a token) is not counted."""

    __slots__ = ("__weakref__", "_host", "_sending", "answer", "done", "last_start", "request_headers", "url")

    def __init__(self, host: str) -> None:
        self._host = host
        self._sending = False
        self.done: List[Attempt] = []
        self.last_start = 0
        self.url = ""
        """Of the last request, in full."""
        self.request_headers: Any = None
        self.answer: Any = None
        """The headers of the last answer."""

    def begin(self, request: Any) -> bool:
        """A request is about to be sent; False if it is none of the call's own."""
        if self._sending or request.url.host != self._host:
            return False
        self._sending = True
        self.url = str(request.url)
        self.request_headers = request.headers
        self.last_start = time.time_ns()
        return True

    def answered(self, response: Any, owner: Any) -> None:
        """The answer is there: its headers, and its body unless it is a stream."""
        self._sending = False
        self.answer = response.headers
        self.done.append(
            Attempt(self.last_start, time.time_ns(), status_code=response.status_code, headers=response.headers)
        )
        if owner.streams:
            response.extensions[EXTENSION] = owner

    def broke(self, error: BaseException) -> None:
        """No answer came."""
        self._sending = False
        self.done.append(Attempt(self.last_start, time.time_ns(), error_type=type(error).__name__))

    def close(self) -> None:
        """The call's requests have been sent: none that follows is one of them."""
        self._sending = True

    def forget(self, status_code: Optional[int]) -> None:
        """The last request, and what the client sent it again for, was ours: all were answered with ``status_code``."""
        while self.done and self.done[-1].status_code == status_code:
            self.done.pop()
        self.answer = None


def retry_events(attempts: List[Attempt]) -> Tuple[EventRecord, ...]:
    """One event for each attempt that was followed by another: how it ended, and the wait in seconds before the next.

    Beside the wait stands what the server asked for: a client may know better.
    """
    events = []
    for attempt, following in zip(attempts, attempts[1:]):
        attributes: Dict[str, Any] = {"hf.retry.wait": (following.start - attempt.end) / 1e9}
        if attempt.status_code is not None:
            attributes["http.response.status_code"] = attempt.status_code
        if attempt.error_type:
            attributes["error.type"] = attempt.error_type
        if attempt.headers is not None:
            attributes.update(routing.retry_after(attempt.headers))
        events.append(EventRecord("hf.retry", attempt.end, attributes))
    return tuple(events)


current: ContextVar[Any] = ContextVar("hf_openobserve.attempts", default=None)
"""The call that is being sent in this context: an object with ``attempts`` and ``streams``."""


def install(library: Any) -> None:
    """Watch the clients of httpx or httpx2."""
    for name, make in (("Client", _send), ("AsyncClient", _async_send)):
        client_class = getattr(library, name, None)
        if client_class is None or "send" not in vars(client_class):
            diagnostics.debug(f"{library.__name__}.{name} has no send: the attempts of its calls are not counted")
            continue
        client_class.send = make(client_class.send)


def _send(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = current.get()
        if call is None or not diagnostics.guarded("send", call.attempts.begin, request, default=False):
            return original(self, request, *args, **kwargs)
        try:
            response = original(self, request, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("send", call.attempts.broke, error)
            raise
        diagnostics.guarded("send", call.attempts.answered, response, call)
        return response

    return send


def _async_send(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        call = current.get()
        if call is None or not diagnostics.guarded("send", call.attempts.begin, request, default=False):
            return await original(self, request, *args, **kwargs)
        try:
            response = await original(self, request, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("send", call.attempts.broke, error)
            raise
        diagnostics.guarded("send", call.attempts.answered, response, call)
        return response

    return send
