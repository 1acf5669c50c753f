"""From an HTTP body to an ExportTraceServiceRequest: content encodings and both OTLP encodings (contract 1.1, 1.3).

What is said of a body that cannot be read is the server's wording where it was recorded.

OTLP/JSON is read by hand: the contract's reader is stricter than protobuf's JSON format in some places (numbers in
``doubleValue``, snake_case names) and differs from it in others (hexadecimal ids).
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .http import Answer
from .routing import failed, text

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_UNREADABLE = "Failed to buffer the request body: "
_GZIP_HEADER = 10


class BodyError(Exception):
    """A body the server refuses; ``status`` is the HTTP status it answers with."""

    def __init__(self, status: int, message: str, plain: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self._plain = plain

    def answer(self) -> Answer:
        return text(self.status, str(self)) if self._plain else failed(self.status, str(self))


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as the trace handler gets to see it; BodyError 415, 413 or 400.

    ``limit``: bytes, ZO_PAYLOAD_LIMIT, compared with the decompressed size (1.1 "Max size": inferred).
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity", "snappy"):
        # 1.1 "Compression": a middleware takes the label off snappy, nobody decompresses it.
        payload = body[: limit + 1]
    elif encoding == "gzip":
        payload = _inflate(body, 31, limit)
    elif encoding == "deflate":
        payload = _inflate(body, 15, limit)
    else:
        # The server also takes br and zstd; the standard library of Python 3.8 has no decoder for them, and nothing
        # this fake is for sends them. Every other encoding is a 415 there as well.
        raise BodyError(415, "unsupported content-encoding " + encoding)
    if len(payload) > limit:
        raise BodyError(413, "length limit exceeded")
    return payload


def is_accepted(content_type: Optional[str]) -> bool:
    """1.1 "Content-Type": exactly the protobuf type, or anything that starts with the JSON one."""
    return content_type == PROTOBUF or is_json(content_type)


def is_json(content_type: Optional[str]) -> bool:
    return content_type is not None and content_type.startswith(JSON)


def decode_protobuf(payload: bytes) -> Any:
    try:
        return ExportTraceServiceRequest.FromString(payload)
    except DecodeError as error:
        raise BodyError(400, protobuf_error(payload)) from error


def protobuf_error(payload: bytes) -> str:
    """Recorded: two of the reasons, which a look at the outermost fields finds; others are said in general."""
    reason = "invalid wire type value"
    position = 0
    while position < len(payload):
        key, position = _varint(payload, position)
        if key is None:
            reason = "invalid varint"
            break
        kind = key & 7
        size: Optional[int] = {1: 8, 5: 4}.get(kind, 0)
        if kind in (0, 2):
            size, position = _varint(payload, position)
            if kind == 0:
                size = None if size is None else 0
        if size is None or position + size > len(payload):
            reason = "invalid varint" if size is None else "buffer underflow"
            break
        position += size
    return "Invalid proto: failed to decode Protobuf message: " + reason


def _varint(payload: bytes, position: int) -> Tuple[Optional[int], int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(payload):
            break
        byte = payload[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    return None, position


def decode_json(payload: bytes) -> Any:
    try:
        source = payload.decode("utf-8")
        body = json.loads(source)
        if not isinstance(body, dict):
            raise ValueError("invalid type, expected an object")
        if "resourceSpans" not in body:
            raise ValueError("missing field `resourceSpans` at " + _place(source.rstrip()))
        double = _bare_double(source)
        if double is not None:
            # mechanisms.md, "Encoding": a bare number is refused, and with it the whole request.
            raise ValueError("invalid type: map, expected f64 at " + _place(source[:double]))
        return ExportTraceServiceRequest(
            resource_spans=[_resource_spans(item) for item in _list(body, "resourceSpans")]
        )
    except (ValueError, RecursionError) as error:
        raise BodyError(400, f"Invalid json: {error}") from error


def _bare_double(source: str) -> Optional[int]:
    """Where the value of the first attribute ends that holds a ``doubleValue`` which is a number."""
    position = 0
    while True:
        match = _VALUE.search(source, position)
        if match is None:
            return None
        position = match.end()
        if match.group(1):
            value, end = json.JSONDecoder().raw_decode(source, match.start(1))
            if _has_bare_double(value):
                return end
            position = end


def _has_bare_double(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_bare_double(item) for item in value)
    if not isinstance(value, dict):
        return False
    double = value.get("doubleValue")
    bare = isinstance(double, (int, float)) and not isinstance(double, bool)
    return bare or any(_has_bare_double(item) for item in value.values())


def _place(before: str) -> str:
    return f"line {before.count(chr(10)) + 1} column {len(before) - before.rfind(chr(10)) - 1}"


# An attribute's value, or a string, which is stepped over so that nothing within one is taken for a value.
_VALUE = re.compile(r'"value"\s*:\s*(\{)|"(?:[^"\\]|\\.)*"')


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    payload = b""
    try:
        while body:
            member = zlib.decompressobj(window_bits)
            payload += member.decompress(body, limit + 1 - len(payload))
            if len(payload) > limit:
                break
            if not member.eof:
                raise BodyError(400, _UNREADABLE + "unexpected end of file", plain=True)
            body = member.unused_data
    except zlib.error as error:
        # Recorded: of what is shorter than the header of gzip, the end is what is missed.
        reason = "unexpected end of file" if len(body) < _GZIP_HEADER else "invalid gzip header"
        raise BodyError(400, _UNREADABLE + reason, plain=True) from error
    return payload


def _resource_spans(item: Any) -> Dict[str, Any]:
    resource = _object(item, "resource")
    return {
        "resource": {"attributes": _attributes(resource)},
        "scope_spans": [_scope_spans(scope_spans) for scope_spans in _list(item, "scopeSpans")],
    }


def _scope_spans(item: Any) -> Dict[str, Any]:
    scope = _object(item, "scope")
    return {
        "scope": {"name": _text(scope, "name"), "version": _text(scope, "version")},
        "spans": [_span(span) for span in _list(item, "spans")],
    }


def _span(item: Any) -> Span:
    status = _object(item, "status")
    return Span(
        trace_id=_hexadecimal(item, "traceId"),
        span_id=_hexadecimal(item, "spanId"),
        parent_span_id=_hexadecimal(item, "parentSpanId"),
        trace_state=_text(item, "traceState"),
        name=_text(item, "name"),
        kind=_integer(item, "kind"),
        start_time_unix_nano=_integer(item, "startTimeUnixNano"),
        end_time_unix_nano=_integer(item, "endTimeUnixNano"),
        attributes=_attributes(item),
        events=[
            {
                "name": _text(event, "name"),
                "time_unix_nano": _integer(event, "timeUnixNano"),
                "attributes": _attributes(event),
            }
            for event in _list(item, "events")
        ],
        links=[_link(link) for link in _list(item, "links")],
        status={"code": _integer(status, "code"), "message": _text(status, "message")},
    )


def _link(item: Any) -> Dict[str, Any]:
    link: Dict[str, Any] = {
        "trace_id": _hexadecimal(item, "traceId"),
        "span_id": _hexadecimal(item, "spanId"),
        "trace_state": _text(item, "traceState"),
        "attributes": _attributes(item),
        "dropped_attributes_count": _integer(item, "droppedAttributesCount"),
    }
    # 1.1 "OTLP/JSON": a link with a bad id costs the whole body.
    if len(link["trace_id"]) != 16 or len(link["span_id"]) != 8:
        raise ValueError("invalid link id")
    return link


def _attributes(item: Mapping[str, Any]) -> List[KeyValue]:
    return [
        KeyValue(key=_text(pair, "key"), value=_any_value(_object(pair, "value"))) for pair in _list(item, "attributes")
    ]


def _any_value(item: Mapping[str, Any]) -> AnyValue:
    known = [key for key in item if key in _VALUE_READERS]
    if not known:
        return AnyValue()
    field, read = _VALUE_READERS[known[0]]
    return AnyValue(**{field: read(item, known[0])})


def _double(item: Mapping[str, Any], key: str) -> float:
    if not isinstance(item[key], str):
        raise ValueError(f"invalid type for doubleValue: {item[key]!r}, expected a string")
    return float(item[key])


def _boolean(item: Mapping[str, Any], key: str) -> bool:
    if not isinstance(item[key], bool):
        raise ValueError(f"invalid type for {key}, expected a boolean")
    return item[key]


def _field(item: Any, key: str, kind: type, default: Callable[[], Any]) -> Any:
    if not isinstance(item, dict):
        raise ValueError(f"invalid type around {key}, expected an object")
    value = item.get(key)
    if value is None:
        return default()
    if not isinstance(value, kind):
        raise ValueError(f"invalid type for {key}")
    return value


def _object(item: Any, key: str) -> Dict[str, Any]:
    return _field(item, key, dict, dict)


def _list(item: Any, key: str) -> List[Any]:
    return _field(item, key, list, list)


def _text(item: Any, key: str) -> str:
    return _field(item, key, str, str)


def _hexadecimal(item: Any, key: str) -> bytes:
    return bytes.fromhex(_text(item, key))


def _integer(item: Any, key: str) -> int:
    # 1.1 "OTLP/JSON": 64-bit integers may be strings or numbers.
    value = _field(item, key, object, int)
    if isinstance(value, (bool, float)) or not isinstance(value, (int, str)):
        raise ValueError(f"invalid type for {key}, expected an integer")
    return int(value)


_VALUE_READERS: Dict[str, Any] = {
    "stringValue": ("string_value", _text),
    "boolValue": ("bool_value", _boolean),
    "intValue": ("int_value", _integer),
    "doubleValue": ("double_value", _double),
    "bytesValue": ("bytes_value", lambda item, key: base64.b64decode(_text(item, key), validate=True)),
    "arrayValue": (
        "array_value",
        lambda item, key: {"values": [_any_value(value) for value in _list(item[key], "values")]},
    ),
    "kvlistValue": (
        "kvlist_value",
        lambda item, key: {"values": _attributes({"attributes": _list(item[key], "values")})},
    ),
}
