"""The segment file: framed records, appended by one process, readable while it writes.

A record is a 20-byte header ``marker, length, crc32, start`` (little endian) and ``length`` bytes of payload: a
serialised OTLP ``ExportTraceServiceRequest`` of one span, so that concatenated payloads are one valid request.
``start`` is the span's start in nanoseconds since the epoch, readable without decoding. The first record describes
the segment, as JSON.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from typing import Any, Dict, Iterator, Tuple

HEADER = struct.Struct("<4sIIQ")
_MARKER = b"\xf5HF"
"""Starts every record. 0xf5 occurs in no UTF-8 text, which is most of a payload: a reader can find the next record."""
SPAN_MARKER = _MARKER + b"s"
META_MARKER = _MARKER + b"m"
VERSION = 1
"""Of this format. A reader leaves alone what a later one wrote."""
MAX_PAYLOAD_BYTES = 256 * 1024 * 1024
"""A length beyond this is a torn header, not a span: OpenObserve takes 200 MiB in one request."""

Record = Tuple[int, bytes]
"""A span: its start in ns since the epoch, and its payload."""


def meta_record(destination: str) -> bytes:
    """The record a segment starts with. It holds no secret: the destination's identity, who wrote it, and when."""
    meta = {"version": VERSION, "destination": destination, "pid": os.getpid(), "created": time.time_ns()}
    return frame(META_MARKER, 0, json.dumps(meta).encode())


def frame(marker: bytes, start_unix_nano: int, payload: bytes) -> bytes:
    """One record, ready for a single ``write``. The checksum covers the start and the payload."""
    start = start_unix_nano & 0xFFFFFFFFFFFFFFFF
    checksum = zlib.crc32(payload, zlib.crc32(start.to_bytes(8, "little")))
    return HEADER.pack(marker, len(payload), checksum, start) + payload


def span_record(start_unix_nano: int, payload: bytes) -> bytes:
    """The record of one span."""
    return frame(SPAN_MARKER, start_unix_nano, payload)


def parse(data: bytes) -> Iterator[Tuple[bytes, int, bytes]]:
    """Every intact record in ``data`` as (marker, start, payload). Torn and foreign bytes are skipped, never raised."""
    position = 0
    while True:
        record = _record_at(data, position)
        if record is not None:
            marker, start, payload = record
            position += HEADER.size + len(payload)
            yield marker, start, payload
            continue
        position = data.find(_MARKER, position + 1)
        if position < 0:
            return


def _record_at(data: bytes, position: int) -> Any:
    if position + HEADER.size > len(data):
        return None
    marker, length, checksum, start = HEADER.unpack_from(data, position)
    begin = position + HEADER.size
    if marker not in (SPAN_MARKER, META_MARKER) or length > MAX_PAYLOAD_BYTES or begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    if zlib.crc32(payload, zlib.crc32(start.to_bytes(8, "little"))) != checksum:
        return None
    return marker, start, payload


def version(data: bytes) -> int:
    """The format's version, as the segment that ``data`` begins says; this one's where it does not say."""
    said = meta(data).get("version")
    return said if isinstance(said, int) else VERSION


def spans(data: bytes) -> Iterator[Record]:
    """Every intact span in a segment's bytes as (start in ns, payload)."""
    return ((start, payload) for marker, start, payload in parse(data) if marker == SPAN_MARKER)


def meta(data: bytes) -> Dict[str, Any]:
    """What the segment says of itself: version, destination, pid, created; empty if that record is damaged."""
    for marker, _, payload in parse(data[: 64 * 1024]):
        if marker == META_MARKER:
            try:
                said = json.loads(payload.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                return {}
            return said if isinstance(said, dict) else {}
    return {}
