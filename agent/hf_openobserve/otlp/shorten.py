"""A span that is too large for the server, made to fit: of its longest texts the head and the tail stay.

Imported by the sender thread, and only after a 413: it needs the protobuf classes of opentelemetry-proto, which the
exporter package brings, and the host may have a protobuf that they do not work with.
"""

from __future__ import annotations

from typing import Any, Iterator, List

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from hf_openobserve.row.record import CUT_BYTES

_SHORTEST_TEXT = 256
"""Bytes. Texts below this are left whole: cutting them would not help, and they are what identifies a span."""


def to_size(payload: bytes, max_bytes: int) -> bytes:
    """The request ``payload`` of one span, cut to about ``max_bytes``; as small as it gets if that is not possible.

    Raises ``google.protobuf.message.DecodeError`` for foreign bytes.
    """
    request = ExportTraceServiceRequest.FromString(payload)
    spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
    texts = [value for span in spans for value in _texts(span)]
    excess = len(payload) - max_bytes
    keep = _longest_kept([len(value.string_value.encode()) for value in texts], excess)
    cut = 0
    for value in texts:
        text = value.string_value.encode()
        if len(text) > max(keep, _SHORTEST_TEXT):
            value.string_value = _head_and_tail(text, max(keep, _SHORTEST_TEXT))
            cut += len(text) - len(value.string_value.encode())
    for span in spans:
        known = [attribute for attribute in span.attributes if attribute.key == CUT_BYTES]
        (known or [span.attributes.add(key=CUT_BYTES)])[0].value.int_value += cut
    return bytes(request.SerializeToString())


def _longest_kept(sizes: List[int], excess: int) -> int:
    """The length to which the longest texts must be cut so that ``excess`` bytes go. All in bytes."""
    ordered = sorted(sizes, reverse=True)
    gone = 0
    for index, size in enumerate(ordered):
        following = ordered[index + 1] if index + 1 < len(ordered) else 0
        # What goes if the texts so far are all cut to the length of the following one.
        step = (index + 1) * (size - following)
        if gone + step >= excess:
            return size - -(-(excess - gone) // (index + 1))
        gone += step
    return 0


def _head_and_tail(text: bytes, size: int) -> str:
    """Two thirds of ``size`` bytes from the beginning, a third from the end: an answer's last words matter as well."""
    tail = size // 3
    head = size - tail
    mark = f" [... {len(text) - size:,} bytes cut by hf-openobserve: the server takes no larger span ...] "
    # Whole characters only.
    return text[:head].decode("utf-8", "ignore") + mark + text[len(text) - tail :].decode("utf-8", "ignore")


def _texts(span: Any) -> Iterator[Any]:
    """The AnyValues with text in them, of the span, its events and links."""
    for owner in (span, *span.events, *span.links):
        for attribute in owner.attributes:
            yield from _in_value(attribute.value)


def _in_value(value: Any) -> Iterator[Any]:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        yield value
    elif kind == "array_value":
        for item in value.array_value.values:
            yield from _in_value(item)
    elif kind == "kvlist_value":
        for item in value.kvlist_value.values:
            yield from _in_value(item.value)
