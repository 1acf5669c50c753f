"""A server's event stream as it passes: looked at, and without what only our question for the usage has brought. Pure.

By the API's definition ``stream_options.include_usage`` brings one event with ``choices: []`` and the usage, and
``"usage": null`` on every other event. Groq has the usage on the last event with an answer, beside its own
(``x_groq``), which comes unasked. llama.cpp moves its ``timings`` from the last event with an answer to the one with
the usage. All else passes byte for byte, so whoever reads the stream, parsed or not, sees what would have come without
the option.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, Callable, Dict, List, Optional

from hf_openobserve.wire import sse

_USAGE = re.compile(r'(\s*,\s*)?"usage"\s*:\s*')
_COMMA = re.compile(r"\s*,\s*")
_DECODER = json.JSONDecoder()
_NULL_AT_THE_END = re.compile(rb'"usage"\s*:\s*null\s*(\}\s*)')
_LONGEST_EVENT = 4 * 1024 * 1024
"""Bytes kept at most while the end of an event is awaited: what has none is no event stream, and passes."""

_OF_EVERY_CHUNK = frozenset(
    (
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
        "obfuscation",
        "error",
    )
)
"""What the event with the usage repeats of the others. Any other member of it stood elsewhere without our question."""


class EventStream:
    """The events of one answer, as its bytes pass.

    look: called with each event's JSON, whatever becomes of it; True if a part of the answer was in it.
    """

    def __init__(self, look: Callable[[Any], Any]) -> None:
        self.done = False
        """True once the event ``[DONE]`` has come."""
        self.unreadable = False
        """True if the data of an event was no JSON."""
        self._look = look
        self._pending = b""
        self._watching = True

    def feed(self, data: bytes) -> bytes:
        """Look at the next bytes of the stream; returns what goes on to the program."""
        if self._watching:
            events, self._pending = sse.split(self._pending + data if self._pending else data)
            for event in events:
                self._event(event)
            if len(self._pending) > _LONGEST_EVENT:
                self._watching, self._pending = False, b""
        return data

    def finish(self) -> bytes:
        """The stream is at its end; returns what was held back."""
        rest, self._pending = self._pending, b""
        if rest and self._watching:
            self._event(rest)
        return b""

    def _event(self, event: bytes) -> Any:
        """The JSON of an event, which has been looked at; None where it has none."""
        data = sse.data_of(event)
        if not data:
            return None
        if data.startswith(b"[DONE]"):
            self.done = True
            return None
        try:
            chunk = json.loads(data.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            self.unreadable = True
            return None
        self._look(chunk)
        return chunk


class UsageHidden(EventStream):
    """The same of a stream that was asked for its usage.

    sent_unasked: the event of usage alone would have come without the option too, and passes. holds: keep the last
    event with an answer until the next one has come, so that what belongs to it can be given back. tell: called once
    with ``moved``, when the event of usage alone has come, or the end without one: whether it had members that were not
    its own.
    """

    def __init__(
        self,
        look: Callable[[Any], Any],
        *,
        sent_unasked: bool = False,
        holds: bool = True,
        tell: Optional[Callable[..., None]] = None,
    ) -> None:
        super().__init__(look)
        self._tell = tell
        self.usage: Optional[Dict[str, Any]] = None
        """What the event that was taken out, or the member, said."""
        self.hidden = 0
        """Events that did not pass."""
        self._sent_unasked = sent_unasked
        self._holds = holds
        self._held: List[bytes] = []
        """The last event with an answer, and comments that came after it."""

    def feed(self, data: bytes) -> bytes:
        """As ``EventStream``'s. An unfinished event waits."""
        if not self._watching:
            return data
        events, self._pending = sse.split(self._pending + data if self._pending else data)
        passing = [self.passing(event) for event in events]
        if len(self._pending) > _LONGEST_EVENT:
            self._watching = False
            passing.append([self.finish()])
        return b"".join(itertools.chain.from_iterable(passing))

    def finish(self) -> bytes:
        """As ``EventStream``'s: what was held back, and of an unfinished event what has come."""
        rest, self._pending = self._pending, b""
        return b"".join((*self.released(), rest))

    def passing(self, event: bytes) -> List[bytes]:
        """Look at one event, or at its line with the data; returns those that go on to the program now."""
        chunk = self._event(event)
        if not isinstance(chunk, dict):
            if self._held and not sse.data_of(event):
                self._held.append(event)
                return []
            if self.done:
                self._tell_once(moved=False)
            return [*self.released(), event]
        choices, usage = chunk.get("choices"), chunk.get("usage")
        if usage is not None and not choices and not chunk.get("error"):
            self.usage = usage if isinstance(usage, dict) else self.usage
            if self._sent_unasked:
                return [*self.released(), event]
            self.hidden += 1
            moved = {name: value for name, value in chunk.items() if not _belongs_to_usage(name, value)}
            self._tell_once(moved=bool(moved))
            if moved:
                self._give_back(moved)
            return self.released()
        before = self.released()
        if b'"usage"' in event and (usage is None or _is_beside(usage, chunk.get("x_groq"))):
            event = _without_usage(event, chunk)
            self.usage = usage if isinstance(usage, dict) else self.usage
        if self._holds and choices and any(isinstance(one, dict) and one.get("finish_reason") for one in choices):
            self._held = [event]
            return before
        return [*before, event]

    def released(self) -> List[bytes]:
        """What was held back, which is then no more."""
        held, self._held = self._held, []
        return held

    def _tell_once(self, *, moved: bool) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(moved=moved)

    def _give_back(self, members: Dict[str, Any]) -> None:
        """Put members on the held event, where they stand when nobody asks for the usage."""
        if not self._held:
            return
        event = self._held[0]
        end = event.rfind(b"}")
        text = json.dumps(members, ensure_ascii=True)[1:-1].encode()
        if end > 0:
            self._held[0] = event[:end] + b", " + text + event[end:]


def _belongs_to_usage(name: str, value: Any) -> bool:
    """True for what the event of usage alone repeats of the others, and for the usage under another name."""
    return name in _OF_EVERY_CHUNK or value is None or (isinstance(value, dict) and value.keys() <= {"usage"})


def _is_beside(usage: Any, groq: Any) -> bool:
    """True for a usage beside Groq's own (``x_groq``) of the same chunk: that comes unasked, and this does not."""
    return usage is not None and isinstance(groq, dict) and bool(groq.get("usage"))


def _without_usage(event: bytes, chunk: Dict[str, Any]) -> bytes:
    """The event without its ``usage``, and one comma; as it is where that cannot be told from others of the name."""
    if "usage" not in chunk:
        return event
    place = event.rfind(b'"usage"')
    last = _NULL_AT_THE_END.fullmatch(event, place)
    before = event[:place].rstrip()
    if last is not None and before.endswith(b","):  # the last brace is that of the whole
        return before[:-1] + last.group(1)
    text = event.decode()
    expected = {name: value for name, value in chunk.items() if name != "usage"}
    for found in _USAGE.finditer(text):
        try:
            end = _DECODER.raw_decode(text, found.end())[1]
            # Behind the first member, before any other.
            comma = _COMMA.match(text, end) if found.group(1) is None else None
            without = (text[: found.start()] + text[end if comma is None else comma.end() :]).encode()
            if json.loads(sse.data_of(without)) == expected:
                return without
        except ValueError:  # it stood within another value
            continue
    return event
