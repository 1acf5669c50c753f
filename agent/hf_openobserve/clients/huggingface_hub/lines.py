"""The lines of a streamed answer on their way to huggingface_hub, without what only our question for usage brought.

huggingface_hub takes each line with data for an event, and leaves out every other one: so do we. An answer that is no
stream at all, an error or a page for people, is nothing to the client, and is kept here.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, List, Optional, Union

from hf_openobserve.process import diagnostics, interruptions
from hf_openobserve.wire.event_stream import UsageHidden

Line = Union[str, bytes]

_LONGEST_DOCUMENT = 64 * 1024
"""Bytes kept of an answer that is no stream."""


class _Lines:
    """Iterators, no generators: one that is dropped in the middle lets go of its source, and nothing has to run."""

    def __init__(self, source: Any, hidden: Optional[UsageHidden], document: List[bytes]) -> None:
        self._source = source
        self._document: Optional[List[bytes]] = document
        self._length = 0
        self._hidden = hidden
        self._waiting: Deque[Line] = deque()
        self._as_text = True
        self._ending: Optional[BaseException] = None

    def _came(self, line: Line) -> None:
        self._as_text = isinstance(line, str)
        try:
            if self._document is None and self._hidden is None:
                self._waiting.append(line)
                return
            data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
            if self._document is not None:
                self._keep(data)
            if self._hidden is None:
                self._waiting.append(line)
            else:
                self._put(self._hidden.passing(data))
        except Exception:  # noqa: BLE001 - it passes as it came
            diagnostics.swallowed("stream usage")
            self._waiting.append(line)

    def _keep(self, data: bytes) -> None:
        """Keep the answer as long as it may be one document: a line with data, or too many bytes, say it is not."""
        assert self._document is not None
        self._length += len(data)
        if data.startswith(b"data:") or self._length > _LONGEST_DOCUMENT:
            self._document.clear()
            self._document = None
        else:
            self._document.append(data)

    def _put(self, passing: List[bytes]) -> None:
        self._waiting.extend(one.decode("utf-8", "surrogatepass") if self._as_text else one for one in passing)

    def _goes_after(self, error: Exception) -> bool:
        """True if what was held back goes before the error or the end; what the program raised waits for nothing."""
        if self._hidden is not None and interruptions.programs_own(error) is None:
            self._put(self._hidden.released())
            if self._waiting:
                self._ending = error
                return True
        return False

    def _end(self) -> None:
        ending, self._ending = self._ending, None
        if ending is not None:
            try:
                raise ending
            finally:
                del ending  # docs/laws.md#4: its traceback has this frame


class _SyncLines(_Lines):
    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Line:
        while not self._waiting:
            self._end()
            try:
                line = next(self._source)
            except Exception as error:
                if not self._goes_after(error):
                    raise
            else:
                self._came(line)
        return self._waiting.popleft()


class _AsyncLines(_Lines):
    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Line:
        while not self._waiting:
            self._end()
            try:
                line = await self._source.__anext__()
            except Exception as error:
                if not self._goes_after(error):
                    raise
            else:
                self._came(line)
        return self._waiting.popleft()


def watched(lines: Any, hidden: Optional[UsageHidden], document: List[bytes]) -> Any:
    """The lines, synchronous or not, as they would have come without the question.

    hidden: None where nothing was asked. document: gets the lines of an answer that is no stream.
    """
    if hasattr(lines, "__aiter__"):
        return _AsyncLines(lines.__aiter__(), hidden, document)
    return _SyncLines(iter(lines), hidden, document)
