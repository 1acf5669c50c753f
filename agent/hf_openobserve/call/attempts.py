"""The HTTP requests of one call: how often it was tried, how each try ended, and how long the client waited between."""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from hf_openobserve.row.record import EventRecord
from hf_openobserve.wire import routing


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
    """The requests to ``host`` while a call is current.

    What is sent elsewhere meanwhile (for a token) is not counted.
    """

    __slots__ = ("_host", "_sending", "answer", "done", "last_start", "request_headers", "url")

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

    def answered(self, response: Any) -> None:
        """The status line and the headers of the answer are there."""
        self._sending = False
        self.answer = response.headers
        self.done.append(
            Attempt(self.last_start, time.time_ns(), status_code=response.status_code, headers=response.headers)
        )

    def broke(self, error: BaseException) -> None:
        """No answer came."""
        self._sending = False
        self.done.append(Attempt(self.last_start, time.time_ns(), error_type=type(error).__name__))

    def close(self) -> None:
        """The call's requests have been sent: none that follows is one of them."""
        self._sending = True


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
