"""The OTLP wire format without protobuf: one finished span to one serialised ``ExportTraceServiceRequest``.

``encode_span`` runs on the application's calling thread (law 2), so it is written for speed: cached keys, resource and
scope, no intermediate objects. Field numbers are those of opentelemetry-proto v1 (trace, common, resource).
"""

from __future__ import annotations

import struct
from collections import abc
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Tuple

from hf_openobserve.diagnostics import swallowed
from hf_openobserve.record import EventRecord, LinkRecord, ResourceRecord, ScopeRecord, SpanRecord

_MAX_UINT32 = 0xFFFFFFFF
_MAX_ENUM = 0x7FFFFFFF
_MAX_UINT64 = 0xFFFFFFFFFFFFFFFF
_MAX_UINT128 = (1 << 128) - 1
_MIN_INT64 = -(1 << 63)
_MAX_INT64 = (1 << 63) - 1

_MAX_NESTING = 24
"""Levels of sequences and mappings within one attribute. Protobuf parsers refuse the whole request beyond 100 nested
messages (prost in the server, upb); a mapping takes three per level, an attribute of an event starts at the sixth."""

_MAX_CACHED_KEYS = 2048
_MAX_CACHED_KEY_LENGTH = 128
"""Together they hold the cache of encoded keys under 3 MiB whatever an application names its attributes."""

_LENGTHS = 1024
_SHORT_TEXT = 126

_double = struct.Struct("<d").pack
_times = struct.Struct("<BQBQ").pack
_event_time = struct.Struct("<BQ").pack

# SpanFlags: bits 8 and 9 say whether the parent's (or the link's) context is remote, and that this is known.
_SPAN_FLAGS = b"\x85\x01" + struct.pack("<I", 0x100)
_SPAN_FLAGS_REMOTE = b"\x85\x01" + struct.pack("<I", 0x300)
_LINK_FLAGS = b"\x35" + struct.pack("<I", 0x100)
_LINK_FLAGS_REMOTE = b"\x35" + struct.pack("<I", 0x300)

_heads: Dict[str, bytes] = {}


def encode_span(record: SpanRecord) -> bytes:
    """A serialised ``ExportTraceServiceRequest`` that holds exactly this span: one ResourceSpans, one ScopeSpans.

    Protobuf concatenation merges repeated fields, so several such records one after the other are one valid request.
    The message equals what ``opentelemetry.exporter.otlp.proto.common.trace_encoder.encode_spans`` builds, except
    where that would raise or the server would refuse the request:

    - a lone surrogate becomes U+FFFD, an integer beyond 64 bits decimal text, a value of an unknown type its ``str()``;
    - an attribute that still cannot be encoded (no string key, ``str()`` raises, nested too deep) is left out;
    - times and counts are clamped to what their field holds, None is 0, and an end before the start is the start
      (the server computes the duration unsigned).

    Raises TypeError if an id is not an integer, nothing else.
    """
    trace_id = (record.trace_id & _MAX_UINT128).to_bytes(16, "big")
    parts = [b"\x0a\x10" + trace_id + b"\x12\x08" + (record.span_id & _MAX_UINT64).to_bytes(8, "big")]
    flags = _SPAN_FLAGS
    if record.trace_state:
        parts.append(_text_field(b"\x1a", record.trace_state))
    if record.parent_span_id is not None:
        parts.append(b"\x22\x08" + (record.parent_span_id & _MAX_UINT64).to_bytes(8, "big"))
        if record.parent_is_remote:
            flags = _SPAN_FLAGS_REMOTE
    start = _clamped(record.start_time_unix_nano, _MAX_UINT64)
    end = _clamped(record.end_time_unix_nano, _MAX_UINT64)
    parts.append(_text_field(b"\x2a", record.name))
    parts.append(b"\x30" + _varint(_clamped(record.kind, _MAX_ENUM)))
    parts.append(_times(0x39, start, 0x41, max(start, end)))
    if record.attributes:
        _append_attributes(parts, b"\x4a", record.attributes)
    if record.dropped_attributes_count:
        parts.append(b"\x50" + _varint(_clamped(record.dropped_attributes_count, _MAX_UINT32)))
    for event in record.events:
        _append_message(parts, b"\x5a", _event(event))
    if record.dropped_events_count:
        parts.append(b"\x60" + _varint(_clamped(record.dropped_events_count, _MAX_UINT32)))
    for link in record.links:
        _append_message(parts, b"\x6a", _link(link))
    if record.dropped_links_count:
        parts.append(b"\x70" + _varint(_clamped(record.dropped_links_count, _MAX_UINT32)))
    _append_message(parts, b"\x7a", _status(record))
    parts.append(flags)

    span = b"".join(parts)
    span_size = _varint(len(span))
    scope = record.scope.encoded
    if scope is None:
        scope = record.scope.encoded = _scope(record.scope)
    scope_spans_length = len(scope) + 1 + len(span_size) + len(span)
    scope_spans_size = _varint(scope_spans_length)
    resource = record.resource.encoded
    if resource is None:
        resource = record.resource.encoded = _resource(record.resource)
    resource_spans_size = _varint(len(resource) + 1 + len(scope_spans_size) + scope_spans_length)
    return b"".join(
        (b"\x0a", resource_spans_size, resource, b"\x12", scope_spans_size, scope, b"\x12", span_size, span)
    )


def drop_attributes(payload: bytes, keys: Collection[str]) -> bytes:
    """The request ``payload`` without the span attributes named in ``keys``; everything else keeps its bytes.

    Only spans are touched, not the resource, scopes, events or links. Returns ``payload`` itself if nothing is dropped.
    Raises ValueError if the bytes are no such request; an attribute that does not contain a name is not looked into.
    """
    names = [key.encode() for key in keys]
    rest = _without(payload, 0, len(payload), _PATH_TO_SPAN, names)
    return payload if rest is None else rest


def _event(event: EventRecord) -> bytes:
    parts = [_event_time(0x09, _clamped(event.time_unix_nano, _MAX_UINT64)), _text_field(b"\x12", event.name)]
    if event.attributes:
        _append_attributes(parts, b"\x1a", event.attributes)
    if event.dropped_attributes_count:
        parts.append(b"\x20" + _varint(_clamped(event.dropped_attributes_count, _MAX_UINT32)))
    return b"".join(parts)


def _link(link: LinkRecord) -> bytes:
    trace_id = (link.trace_id & _MAX_UINT128).to_bytes(16, "big")
    parts = [b"\x0a\x10" + trace_id + b"\x12\x08" + (link.span_id & _MAX_UINT64).to_bytes(8, "big")]
    if link.attributes:
        _append_attributes(parts, b"\x22", link.attributes)
    if link.dropped_attributes_count:
        parts.append(b"\x28" + _varint(_clamped(link.dropped_attributes_count, _MAX_UINT32)))
    parts.append(_LINK_FLAGS_REMOTE if link.is_remote else _LINK_FLAGS)
    return b"".join(parts)


def _status(record: SpanRecord) -> bytes:
    return _text_field(b"\x12", record.status_message) + b"\x18" + _varint(_clamped(record.status_code, _MAX_ENUM))


def _resource(resource: ResourceRecord) -> bytes:
    """The fields ``resource`` and ``schema_url`` of ResourceSpans."""
    attributes: List[bytes] = []
    if resource.attributes:
        _append_attributes(attributes, b"\x0a", resource.attributes)
    parts: List[bytes] = []
    _append_message(parts, b"\x0a", b"".join(attributes))
    parts.append(_text_field(b"\x1a", resource.schema_url))
    return b"".join(parts)


def _scope(scope: ScopeRecord) -> bytes:
    """The fields ``scope`` and ``schema_url`` of ScopeSpans."""
    fields = [_text_field(b"\x0a", scope.name), _text_field(b"\x12", scope.version)]
    if scope.attributes:
        _append_attributes(fields, b"\x1a", scope.attributes)
    parts: List[bytes] = []
    _append_message(parts, b"\x0a", b"".join(fields))
    parts.append(_text_field(b"\x1a", scope.schema_url))
    return b"".join(parts)


def _append_attributes(parts: List[bytes], tag: bytes, attributes: Mapping[str, Any]) -> None:
    """Append one KeyValue per attribute; ``parts`` is extended once per attribute, so none is ever half written."""
    for key, value in attributes.items():
        try:
            head = _heads.get(key)
            if head is None:
                head = _key(key)
            if type(value) is str:
                # Written out: half the attributes of a chat are strings.
                try:
                    text = value.encode()
                except UnicodeEncodeError:
                    text = _text(value)
                size = len(text)
                total = len(head) + 3 + size
                if size < _SHORT_TEXT and total < _LENGTHS:
                    parts += (tag, _size_bytes[total], head, _short_text[size], text)
                else:
                    text_size = _varint(size)
                    size += 1 + len(text_size)
                    value_size = _varint(size)
                    size += len(head) + len(value_size)
                    parts += (tag, _varint(size), head, value_size, b"\x0a", text_size, text)
            elif type(value) is int and 0 <= value < _LENGTHS:
                # The other hot case: counts and parameters.
                number = _small_number[value]
                parts += (tag, _varint(len(head) + len(number)), head, number)
            else:
                encoded = _any_value(value, _MAX_NESTING)
                value_size = _varint(len(encoded))
                parts += (tag, _varint(len(head) + len(value_size) + len(encoded)), head, value_size, encoded)
        except Exception:  # noqa: BLE001 - the value's own methods run here and may raise anything
            swallowed("an attribute's encoding")


def _any_value(value: Any, room: int) -> bytes:
    """An AnyValue's bytes, without its length. ``room`` is how many levels of nesting are left.

    The order of the types is the library's: a bool is no int, bytes are no sequence. None is the empty AnyValue.
    """
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, str):
        return _any_text(value)
    if isinstance(value, int):
        number = int.__index__(value)  # the plain number, whatever an enumeration makes of & and str()
        if _MIN_INT64 <= number <= _MAX_INT64:
            return b"\x18" + _varint(number & _MAX_UINT64)
        return _any_text(str(number))
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return b"\x3a" + _varint(len(value)) + value
    if isinstance(value, abc.Sequence):
        _check(room)
        items: List[bytes] = []
        for item in value:
            _append_message(items, b"\x0a", _any_value(item, room - 1))
        content = b"".join(items)
        return b"\x2a" + _varint(len(content)) + content
    if isinstance(value, abc.Mapping):
        _check(room)
        items = []
        for key, item in value.items():
            name = str(key)
            encoded = _any_value(item, room - 1)
            head = _heads.get(name) or _key(name)
            _append_message(items, b"\x0a", head + _varint(len(encoded)) + encoded)
        content = b"".join(items)
        return b"\x32" + _varint(len(content)) + content
    return _any_text(str(value))


def _check(room: int) -> None:
    if room <= 0:
        raise ValueError("attribute nested deeper than " + str(_MAX_NESTING) + " levels")


def _any_text(value: str) -> bytes:
    text = _text(value)
    return b"\x0a" + _varint(len(text)) + text


def _key(key: str) -> bytes:
    """A KeyValue up to where the length of its value stands: the field ``key`` and the tag of ``value``.

    Raises TypeError if the key is no string.
    """
    text = _text(key)
    head = b"\x0a" + _varint(len(text)) + text + b"\x12"
    if type(key) is str and len(key) <= _MAX_CACHED_KEY_LENGTH:
        if len(_heads) >= _MAX_CACHED_KEYS:
            # Starting over keeps the keys of every span cached even after a flood of keys that never come back.
            _heads.clear()
        _heads[key] = head
    return head


def _append_message(parts: List[bytes], tag: bytes, content: bytes) -> None:
    parts += (tag, _varint(len(content)), content)


def _text_field(tag: bytes, value: Any) -> bytes:
    """A string field, nothing if it is empty or None. What is no string is taken by its ``str()``."""
    try:
        if not value:
            return b""
        text = _text(value if isinstance(value, str) else str(value))
    except Exception:  # noqa: BLE001 - the value's own __bool__ or __str__
        swallowed("a string field's encoding")
        return b""
    return tag + _varint(len(text)) + text


def _text(value: str) -> bytes:
    """Valid UTF-8 always: the server refuses a whole request for one lone surrogate.

    Two surrogates that form a pair (JSON escapes put together by hand) become the character they mean.
    """
    try:
        return str.encode(value)
    except UnicodeEncodeError:
        return str.encode(value, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _clamped(value: Any, highest: int) -> int:
    """``value`` as an integer from 0 to ``highest``; 0 for what is no number."""
    try:
        number = int(value)
    except Exception:  # noqa: BLE001 - None, NaN, an object's own __int__
        return 0
    return min(max(number, 0), highest)


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_size_bytes = [_encode_varint(number) for number in range(_LENGTHS)]
# What stands between a KeyValue's head and a text of so many bytes, while both lengths take one byte: the AnyValue's
# length, the tag of its string_value and the text's length.
_short_text = [bytes((size + 2, 0x0A, size)) for size in range(_SHORT_TEXT)]
# What follows a KeyValue's head for a number: the AnyValue's length, the tag of its int_value and the number.
_small_number = [bytes((1 + len(number), 0x18)) + number for number in _size_bytes]


def _varint(number: int) -> bytes:
    """``number`` (not negative) as a base-128 varint."""
    if number < _LENGTHS:
        return _size_bytes[number]
    return bytes((number & 0x7F | 0x80, number >> 7)) if number < 1 << 14 else _encode_varint(number)


_PATH_TO_SPAN = (1, 2, 2)
"""ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans."""

_LENGTH_DELIMITED = 2
_ATTRIBUTES = 9
_SPAN_ATTRIBUTE = _ATTRIBUTES << 3 | _LENGTH_DELIMITED
"""The tag of Span.attributes."""


def _without(buffer: bytes, start: int, end: int, path: Tuple[int, ...], names: List[bytes]) -> Optional[bytes]:
    """The message in ``buffer[start:end]`` without the named attributes of the spans below ``path``; None if it had none."""
    if not path:
        return _span_without(buffer, start, end, names)
    kept: List[bytes] = []
    copied = start
    for number, wire_type, field, content, stop in _fields(buffer, start, end):
        if wire_type == _LENGTH_DELIMITED and number == path[0]:
            rest = _without(buffer, content, stop, path[1:], names)
            if rest is not None:
                kept.append(buffer[copied:field])
                _append_message(kept, _size_bytes[number << 3 | _LENGTH_DELIMITED], rest)
                copied = stop
    if copied == start:
        return None
    kept.append(buffer[copied:end])
    return b"".join(kept)


def _span_without(buffer: bytes, start: int, end: int, names: List[bytes]) -> Optional[bytes]:
    """The same for one span. It has dozens of fields, an outbox thousands of spans: those that hold no name are stepped over."""
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
