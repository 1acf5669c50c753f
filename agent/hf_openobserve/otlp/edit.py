"""Serialised OTLP messages read and changed without protobuf: field by field, what is not meant keeps its bytes."""

from __future__ import annotations

import functools
import struct
from typing import Any, Callable, Collection, Dict, Iterator, List, Mapping, Optional, Tuple

from hf_openobserve.otlp.encode import append_attributes, append_message, varint

_PATH_TO_SPAN = (1, 2, 2)
"""ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans."""

_LENGTH_DELIMITED = 2
_ATTRIBUTES = 9
_SPAN_ATTRIBUTE = _ATTRIBUTES << 3 | _LENGTH_DELIMITED
"""The tag of Span.attributes."""
_START, _END = 0x39, 0x41
"""The tags of Span.start_time_unix_nano and end_time_unix_nano."""

_fixed64 = struct.Struct("<Q").unpack_from
_double = struct.Struct("<d").unpack_from

_Change = Callable[[bytes, int, int], Optional[bytes]]
"""The span in ``buffer[start:end]`` -> the changed one; None: it stays."""


def drop_attributes(payload: bytes, keys: Collection[str]) -> bytes:
    """The request ``payload`` without the span attributes named in ``keys``; everything else keeps its bytes.

    Only spans are touched, not the resource, scopes, events or links. Returns ``payload`` itself if nothing is dropped.
    Raises ValueError if the bytes are no such request; an attribute that does not contain a name is not looked into.
    """
    names = [key.encode() for key in keys]
    return _with_changed_spans(payload, lambda buffer, start, end: _span_without(buffer, start, end, names))


def add_attributes(
    payload: bytes, keys: Collection[str], more: Callable[[Mapping[str, Any], int], Mapping[str, Any]]
) -> bytes:
    """The request ``payload`` with what ``more`` adds to its spans; everything else keeps its bytes.

    ``more`` is given those of the attributes ``keys`` that a span has, and how many nanoseconds it lasted. Only what
    ``encode_span`` has written is read: an attribute that does not begin with its key is passed over, and so is a key
    of 128 bytes or more.
    Raises ValueError if the bytes are no such request.
    """
    names = _named(tuple(keys))
    return _with_changed_spans(payload, lambda buffer, start, end: _span_with(buffer, start, end, names, more))


@functools.lru_cache(maxsize=16)
def _named(keys: Tuple[str, ...]) -> Mapping[bytes, str]:
    """By what an attribute begins with: the tag and length of its key, and the key."""
    encoded = {key: key.encode() for key in keys}
    return {b"\x0a" + bytes((len(name),)) + name: key for key, name in encoded.items() if len(name) < 0x80}


def partial_success(body: bytes) -> Tuple[int, str]:
    """(rejected spans, reason) from a serialised ``ExportTraceServiceResponse``; (0, "") where all were taken.

    Raises ValueError if the bytes are no such message.
    """
    rejected, reason = 0, ""
    for number, wire_type, _, content, stop in _fields(body, 0, len(body)):
        if number != 1 or wire_type != _LENGTH_DELIMITED:
            continue
        for field, field_type, _, start, end in _fields(body, content, stop):
            if field == 1 and field_type == 0:
                rejected = _read_varint(body, start, end)[0]
            elif field == 2 and field_type == _LENGTH_DELIMITED:
                reason = body[start:end].decode("utf-8", "replace")
    return rejected, reason


def _with_changed_spans(payload: bytes, change: _Change) -> bytes:
    changed = _changed(payload, 0, len(payload), _PATH_TO_SPAN, change)
    return payload if changed is None else changed


def _changed(buffer: bytes, start: int, end: int, path: Tuple[int, ...], change: _Change) -> Optional[bytes]:
    """The message in ``buffer[start:end]`` with the spans below ``path`` changed; None if none of them is."""
    if not path:
        return change(buffer, start, end)
    kept: List[bytes] = []
    copied = start
    for number, wire_type, field, content, stop in _fields(buffer, start, end):
        if wire_type == _LENGTH_DELIMITED and number == path[0]:
            inner = _changed(buffer, content, stop, path[1:], change)
            if inner is not None:
                kept.append(buffer[copied:field])
                append_message(kept, varint(number << 3 | _LENGTH_DELIMITED), inner)
                copied = stop
    if copied == start:
        return None
    kept.append(buffer[copied:end])
    return b"".join(kept)


def _span_with(
    buffer: bytes,
    start: int,
    end: int,
    names: Mapping[bytes, str],
    more: Callable[[Mapping[str, Any], int], Mapping[str, Any]],
) -> Optional[bytes]:
    found: Dict[str, Any] = {}
    began = ended = 0
    position, last = start, end - 2
    while position < end:
        tag = buffer[position]
        if 0x0A <= tag < 0x80 and tag & 7 == _LENGTH_DELIMITED and position < last:
            # A tag of one byte, then a length: all but a few fields of a span.
            content = position + 2
            size = buffer[position + 1]
            if size >= 0x80:
                size, content = _read_varint(buffer, position + 1, end)
            position = content + size
            if position > end:
                raise ValueError(f"the field at byte {content} ends beyond its message")
            if tag == _SPAN_ATTRIBUTE and size > 2:
                after_key = content + 2 + buffer[content + 1]
                name = names.get(buffer[content:after_key])
                if name is not None:
                    found[name] = _scalar(buffer, after_key, position)
        elif tag in (_START, _END) and position + 9 <= end:
            moment = _fixed64(buffer, position + 1)[0]
            began, ended = (moment, ended) if tag == _START else (began, moment)
            position += 9
        else:
            position = next(_fields(buffer, position, end))[4]
    added = more(found, ended - began)
    if not added:
        return None
    parts = [buffer[start:end]]
    append_attributes(parts, bytes((_SPAN_ATTRIBUTE,)), added)
    return b"".join(parts)


def _scalar(buffer: bytes, start: int, end: int) -> Any:
    """The value of an attribute, of which what follows its key is given; None for an array or a mapping."""
    size = end - start
    if 3 < size < 0x80 and buffer[start] == 0x12 and buffer[start + 1] == size - 2:
        # As a short value is written.
        kind = buffer[start + 2]
        if kind == 0x0A and buffer[start + 3] == size - 4:
            return buffer[start + 4 : end].decode("utf-8", "replace")
        if kind == 0x18:
            integer, stop = _read_varint(buffer, start + 3, end)
            if stop == end:
                return integer - (1 << 64) if integer >> 63 else integer
    for number, wire_type, _, content, stop in _fields(buffer, start, end):
        if number == 2 and wire_type == _LENGTH_DELIMITED:
            for kind, kind_type, _, value, value_end in _fields(buffer, content, stop):
                if kind == 1 and kind_type == _LENGTH_DELIMITED:
                    return buffer[value:value_end].decode("utf-8", "replace")
                if kind == 2 and kind_type == 0:
                    return _read_varint(buffer, value, value_end)[0] != 0
                if kind == 3 and kind_type == 0:
                    integer = _read_varint(buffer, value, value_end)[0]
                    return integer - (1 << 64) if integer >> 63 else integer
                if kind == 4 and kind_type == 1:
                    return _double(buffer, value)[0]
    return None


def _span_without(buffer: bytes, start: int, end: int, names: List[bytes]) -> Optional[bytes]:
    """The same for one span.

    It has dozens of fields, an outbox thousands of spans: those that hold no name are stepped over.
    """
    kept: List[bytes] = []
    copied = position = start
    found = _first_of(names, buffer, start, end)
    while found < end:
        field = position
        tag = buffer[field]
        if 0x0A <= tag < 0x80 and tag & 7 == _LENGTH_DELIMITED and field + 1 < end:
            # A tag of one byte, then a length: all but a few fields of a span.
            size, content = buffer[field + 1], field + 2
            if size >= 0x80:
                size, content = _read_varint(buffer, field + 1, end)
            position = content + size
            if position > end:
                raise ValueError(f"the field at byte {field} ends beyond its message")
            is_attribute = tag == _SPAN_ATTRIBUTE
        else:
            number, wire_type, _, content, position = next(_fields(buffer, field, end))
            is_attribute = number == _ATTRIBUTES and wire_type == _LENGTH_DELIMITED
        if found >= position:
            continue
        if is_attribute and _attribute_key(buffer, content, position) in names:
            kept.append(buffer[copied:field])
            copied = position
        found = _first_of(names, buffer, position, end)
    if copied == start:
        return None
    kept.append(buffer[copied:end])
    return b"".join(kept)


def _first_of(names: List[bytes], buffer: bytes, start: int, end: int) -> int:
    """Where the first of the names begins; ``end`` if there is none."""
    found = end
    for name in names:
        at = buffer.find(name, start, found + len(name))
        if 0 <= at < found:
            found = at
    return found


def _attribute_key(buffer: bytes, start: int, end: int) -> bytes:
    key = b""
    for number, wire_type, _, content, stop in _fields(buffer, start, end):
        if number == 1 and wire_type == _LENGTH_DELIMITED:
            key = buffer[content:stop]  # the last one counts, as in every parser
    return key


def _fields(buffer: bytes, start: int, end: int) -> Iterator[Tuple[int, int, int, int, int]]:
    """Each field of a message: number, wire type, where it, its content and the next field start."""
    position = start
    while position < end:
        field = position
        tag, position = _read_varint(buffer, position, end)
        number, wire_type = tag >> 3, tag & 7
        content = position
        if wire_type == _LENGTH_DELIMITED:
            size, content = _read_varint(buffer, position, end)
            position = content + size
        elif wire_type == 0:
            _, position = _read_varint(buffer, position, end)
        elif wire_type == 1:
            position += 8
        elif wire_type == 5:
            position += 4
        else:  # 3 and 4 are groups, which OTLP never had
            raise ValueError(f"wire type {wire_type} at byte {field}")
        if number == 0:
            raise ValueError(f"field number 0 at byte {field}")
        if position > end:
            raise ValueError(f"the field at byte {field} ends beyond its message")
        yield number, wire_type, field, content, position


def _read_varint(buffer: bytes, position: int, end: int) -> Tuple[int, int]:
    if position < end and buffer[position] < 0x80:
        return buffer[position], position + 1
    value = shift = 0
    while position < end and shift < 70:  # ten bytes hold any 64-bit number
        byte = buffer[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError(f"no varint ends before byte {position}")
