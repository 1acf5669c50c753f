"""The OTLP wire format without protobuf: one finished span to one serialised ``ExportTraceServiceRequest``.

``encode_span`` runs on the calling thread (docs/laws.md#2), so it is written for speed: cached keys, resource and
scope, no intermediate objects. Field numbers are those of opentelemetry-proto v1 (trace, common, resource).
"""

from __future__ import annotations

import struct
from collections import abc
from typing import Any, Dict, List, Mapping

from hf_openobserve.process.diagnostics import pass_the_programs_own, swallowed
from hf_openobserve.row.record import EventRecord, LinkRecord, ResourceRecord, ScopeRecord, SpanRecord

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
        parts.append(text_field(b"\x1a", record.trace_state))
    if record.parent_span_id is not None:
        parts.append(b"\x22\x08" + (record.parent_span_id & _MAX_UINT64).to_bytes(8, "big"))
        if record.parent_is_remote:
            flags = _SPAN_FLAGS_REMOTE
    start = _clamped(record.start_time_unix_nano, _MAX_UINT64)
    end = _clamped(record.end_time_unix_nano, _MAX_UINT64)
    parts.append(text_field(b"\x2a", record.name))
    parts.append(b"\x30" + varint(_clamped(record.kind, _MAX_ENUM)))
    parts.append(_times(0x39, start, 0x41, max(start, end)))
    if record.attributes:
        append_attributes(parts, b"\x4a", record.attributes)
    if record.dropped_attributes_count:
        parts.append(b"\x50" + varint(_clamped(record.dropped_attributes_count, _MAX_UINT32)))
    for event in record.events:
        append_message(parts, b"\x5a", _event(event))
    if record.dropped_events_count:
        parts.append(b"\x60" + varint(_clamped(record.dropped_events_count, _MAX_UINT32)))
    for link in record.links:
        append_message(parts, b"\x6a", _link(link))
    if record.dropped_links_count:
        parts.append(b"\x70" + varint(_clamped(record.dropped_links_count, _MAX_UINT32)))
    append_message(parts, b"\x7a", _status(record))
    parts.append(flags)

    span = b"".join(parts)
    span_size = varint(len(span))
    scope = record.scope.encoded
    if scope is None:
        scope = record.scope.encoded = scope_fields(record.scope)
    scope_spans_length = len(scope) + 1 + len(span_size) + len(span)
    scope_spans_size = varint(scope_spans_length)
    resource = record.resource.encoded
    if resource is None:
        resource = record.resource.encoded = resource_fields(record.resource)
    resource_spans_size = varint(len(resource) + 1 + len(scope_spans_size) + scope_spans_length)
    return b"".join(
        (b"\x0a", resource_spans_size, resource, b"\x12", scope_spans_size, scope, b"\x12", span_size, span)
    )


def _event(event: EventRecord) -> bytes:
    parts = [_event_time(0x09, _clamped(event.time_unix_nano, _MAX_UINT64)), text_field(b"\x12", event.name)]
    if event.attributes:
        append_attributes(parts, b"\x1a", event.attributes)
    if event.dropped_attributes_count:
        parts.append(b"\x20" + varint(_clamped(event.dropped_attributes_count, _MAX_UINT32)))
    return b"".join(parts)


def _link(link: LinkRecord) -> bytes:
    trace_id = (link.trace_id & _MAX_UINT128).to_bytes(16, "big")
    parts = [b"\x0a\x10" + trace_id + b"\x12\x08" + (link.span_id & _MAX_UINT64).to_bytes(8, "big")]
    if link.attributes:
        append_attributes(parts, b"\x22", link.attributes)
    if link.dropped_attributes_count:
        parts.append(b"\x28" + varint(_clamped(link.dropped_attributes_count, _MAX_UINT32)))
    parts.append(_LINK_FLAGS_REMOTE if link.is_remote else _LINK_FLAGS)
    return b"".join(parts)


def _status(record: SpanRecord) -> bytes:
    return text_field(b"\x12", record.status_message) + b"\x18" + varint(_clamped(record.status_code, _MAX_ENUM))


def resource_fields(resource: ResourceRecord) -> bytes:
    """The fields ``resource`` and ``schema_url`` of ResourceSpans."""
    attributes: List[bytes] = []
    if resource.attributes:
        append_attributes(attributes, b"\x0a", resource.attributes)
    parts: List[bytes] = []
    append_message(parts, b"\x0a", b"".join(attributes))
    parts.append(text_field(b"\x1a", resource.schema_url))
    return b"".join(parts)


def scope_fields(scope: ScopeRecord) -> bytes:
    """The fields ``scope`` and ``schema_url`` of ScopeSpans."""
    fields = [text_field(b"\x0a", scope.name), text_field(b"\x12", scope.version)]
    if scope.attributes:
        append_attributes(fields, b"\x1a", scope.attributes)
    parts: List[bytes] = []
    append_message(parts, b"\x0a", b"".join(fields))
    parts.append(text_field(b"\x1a", scope.schema_url))
    return b"".join(parts)


def append_attributes(parts: List[bytes], tag: bytes, attributes: Mapping[str, Any]) -> None:
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
                    text_size = varint(size)
                    size += 1 + len(text_size)
                    value_size = varint(size)
                    size += len(head) + len(value_size)
                    parts += (tag, varint(size), head, value_size, b"\x0a", text_size, text)
            elif type(value) is int and 0 <= value <= _MAX_UINT32:
                # The other hot case: counts and parameters.
                number = _small_number[value] if value < _LENGTHS else _number(value)
                total = len(head) + len(number)
                parts += (tag, _size_bytes[total] if total < _LENGTHS else varint(total), head, number)
            else:
                encoded = _any_value(value, _MAX_NESTING)
                value_size = varint(len(encoded))
                parts += (tag, varint(len(head) + len(value_size) + len(encoded)), head, value_size, encoded)
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
            return b"\x18" + varint(number & _MAX_UINT64)
        return _any_text(str(number))
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return b"\x3a" + varint(len(value)) + value
    if isinstance(value, abc.Sequence):
        _check(room)
        items: List[bytes] = []
        for item in value:
            append_message(items, b"\x0a", _any_value(item, room - 1))
        content = b"".join(items)
        return b"\x2a" + varint(len(content)) + content
    if isinstance(value, abc.Mapping):
        _check(room)
        items = []
        for key, item in value.items():
            name = str(key)
            encoded = _any_value(item, room - 1)
            head = _heads.get(name) or _key(name)
            append_message(items, b"\x0a", head + varint(len(encoded)) + encoded)
        content = b"".join(items)
        return b"\x32" + varint(len(content)) + content
    return _any_text(str(value))


def _check(room: int) -> None:
    if room <= 0:
        raise ValueError("attribute nested deeper than " + str(_MAX_NESTING) + " levels")


def _any_text(value: str) -> bytes:
    text = _text(value)
    return b"\x0a" + varint(len(text)) + text


def _key(key: str) -> bytes:
    """A KeyValue up to where the length of its value stands: the field ``key`` and the tag of ``value``.

    Raises TypeError if the key is no string.
    """
    text = _text(key)
    head = b"\x0a" + varint(len(text)) + text + b"\x12"
    if type(key) is str and len(key) <= _MAX_CACHED_KEY_LENGTH:
        if len(_heads) >= _MAX_CACHED_KEYS:
            # Starting over keeps the keys of every span cached even after a flood of keys that never come back.
            _heads.clear()
        _heads[key] = head
    return head


def append_message(parts: List[bytes], tag: bytes, content: bytes) -> None:
    """A field that is a message, with its tag and length."""
    parts += (tag, varint(len(content)), content)


def text_field(tag: bytes, value: Any) -> bytes:
    """A string field, nothing if it is empty or None. What is no string is taken by its ``str()``."""
    try:
        if not value:
            return b""
        text = _text(value if isinstance(value, str) else str(value))
    except Exception:  # noqa: BLE001 - the value's own __bool__ or __str__
        swallowed("a string field's encoding")
        return b""
    return tag + varint(len(text)) + text


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
        pass_the_programs_own()
        return 0
    return min(max(number, 0), highest)


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _number(value: int) -> bytes:
    """What follows a KeyValue's head for a number: the AnyValue's length, the tag of its int_value and the number."""
    number = _encode_varint(value)
    return bytes((1 + len(number), 0x18)) + number


_size_bytes = [_encode_varint(number) for number in range(_LENGTHS)]
# What stands between a KeyValue's head and a text of so many bytes, while both lengths take one byte: the AnyValue's
# length, the tag of its string_value and the text's length.
_short_text = [bytes((size + 2, 0x0A, size)) for size in range(_SHORT_TEXT)]
_small_number = [_number(value) for value in range(_LENGTHS)]


def varint(number: int) -> bytes:
    """``number`` (not negative) as a base-128 varint."""
    if number < _LENGTHS:
        return _size_bytes[number]
    return bytes((number & 0x7F | 0x80, number >> 7)) if number < 1 << 14 else _encode_varint(number)
