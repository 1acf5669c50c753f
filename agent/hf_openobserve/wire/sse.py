"""Server-sent events, by the rules of https://html.spec.whatwg.org/multipage/server-sent-events.html alone. Pure.

A line ends with CR, LF or CRLF and with nothing else: U+2028 and its like are text, which ``str.splitlines`` does not
know.
"""

from __future__ import annotations

import re
from typing import List, Tuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|(?<=\r)\r|\r(?=[^\n]))")
"""A line's end and an empty line. A CR that comes last may be half of CRLF: behind a lone CR it is not taken for that.
"""


def split(data: bytes) -> Tuple[List[bytes], bytes]:
    """The whole events in ``data``, each with the empty line that ends it, and the unfinished rest."""
    if data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data:
        return [data], b""  # one event, as most servers write them
    found = []
    start = 0
    for end in EVENT_END.finditer(data):
        found.append(data[start : end.end()])
        start = end.end()
    return found, data[start:]


def data_of(event: bytes) -> bytes:
    """The data of an event, which may stand on several lines; empty where it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") >= len(event) - 2 and b"\r" not in event:
        return event[6:].rstrip(b"\n")
    lines = [line[5:] for line in _LINE_END.split(event) if line.startswith(b"data:")]
    return b"\n".join(line[1:] if line.startswith(b" ") else line for line in lines)
