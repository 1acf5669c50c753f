"""Taking out of a server's event stream what only ``stream_options.include_usage`` has brought. Pure: bytes in, bytes out.

By the API's definition that is one event with ``choices: []`` and the usage, and ``"usage": null`` on every other event.
Groq has the usage on the last event with an answer, beside its own (``x_groq``), which comes unasked. All else passes byte for byte, so whoever reads the stream, parsed or not, sees what would have come without the option.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Optional

from hf_openobserve.capture.stream_usage import is_beside, is_extra
from hf_openobserve.diagnostics import swallowed

_BOUNDARY = re.compile(rb"\n\n|\r\n\r\n|\n\r\n|\r\r")
_USAGE = re.compile(r'(\s*,\s*)?"usage"\s*:\s*')
_COMMA = re.compile(r"\s*,\s*")
_DECODER = json.JSONDecoder()
_NULL_AT_THE_END = re.compile(rb'"usage"\s*:\s*null\s*(\}\s*)')
_LONGEST_EVENT = 4 * 1024 * 1024
"""Bytes held back at most while the end of an event is awaited: what has none is no event stream, and passes."""


class UsageEvents:
    """The events of one stream. ``usage`` is what the event that was taken out said, None until it has come.

    sent_unasked: the event of usage alone would have come without the option too, and passes.
    """

    def __init__(self, *, sent_unasked: bool = False) -> None:
        self.usage: Optional[Dict[str, Any]] = None
        self._sent_unasked = sent_unasked
        self._pending = b""
        self._watching = True

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the stream: what of them, and of those held back, goes on. An unfinished event waits."""
        if not self._watching:
            return data
        try:
            return self._filtered(data)
        except Exception:  # noqa: BLE001 - nested deeper than the parser goes, say: then everything passes as it came
            swallowed("usage events")
            self._watching = False
            return self.finish() + data

    def _filtered(self, data: bytes) -> bytes:
        if not self._pending and data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
            return self._passing(data)  # one whole event, as most servers write them
        pending = self._pending + data
        passing = []
        start = 0
        for boundary in _BOUNDARY.finditer(pending):
            passing.append(self._passing(pending[start : boundary.end()]))
            start = boundary.end()
        self._pending = pending[start:]
        if len(self._pending) > _LONGEST_EVENT:
            self._watching = False
            passing.append(self.finish())
        return b"".join(passing)

    def finish(self) -> bytes:
        """The stream is at its end: what was still held back."""
        rest, self._pending = self._pending, b""
        return rest

    def _passing(self, event: bytes) -> bytes:
        place = event.rfind(b'"usage"')
        if place < 0:  # one inside a text is written \"usage\"
            return event
        last = _NULL_AT_THE_END.fullmatch(event, place)
        before = event[:place].rstrip()
        if last is not None and before.endswith(b","):  # the last brace is that of the whole: it need not be parsed
            return before[:-1] + last.group(1)
        try:
            chunk = _data_of(event)
        except ValueError:
            return event
        if not isinstance(chunk, dict) or "usage" not in chunk:
            return event
        usage = chunk["usage"]
        if is_extra(chunk.get("choices"), usage):
            passing = event if self._sent_unasked or chunk.get("error") else b""
        elif usage is None or is_beside(usage, chunk.get("x_groq")):
            passing = _without_usage(event, chunk)
        else:
            return event
        if passing is not event and isinstance(usage, dict):
            self.usage = usage
        return passing


def _data_of(event: bytes) -> Any:
    """The data of an event, which may stand on several lines, as JSON. ``ValueError``: it is none."""
    return json.loads(b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:")))


def _without_usage(event: bytes, chunk: Dict[str, Any]) -> bytes:
    """The event without its member ``usage``, and one comma; as it is where that cannot be told from others of the name."""
    text = event.decode()
    expected = {name: value for name, value in chunk.items() if name != "usage"}
    for found in _USAGE.finditer(text):
        try:
            end = _DECODER.raw_decode(text, found.end())[1]
            comma = (
                _COMMA.match(text, end) if found.group(1) is None else None
            )  # behind the first member, before any other
            without = (text[: found.start()] + text[end if comma is None else comma.end() :]).encode()
            if _data_of(without) == expected:
                return without
        except ValueError:  # it stood within another value
            continue
    return event
