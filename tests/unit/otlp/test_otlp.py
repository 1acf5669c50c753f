"""The OTLP writer against the exporter package's encoder, over random spans, and its edges as tables."""

from __future__ import annotations

import enum
import math
import os
import subprocess
import sys
from typing import Any, Iterator, List, NamedTuple

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

import hf_openobserve
from hf_openobserve.otlp import encode as otlp
from hf_openobserve.otlp.edit import add_attributes, drop_attributes, partial_success
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.row import record as span_record
from hf_openobserve.row.record import EventRecord, LinkRecord, ResourceRecord, ScopeRecord, SpanRecord

random_spans = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

KINDS = {
    span_record.KIND_INTERNAL: SpanKind.INTERNAL,
    span_record.KIND_SERVER: SpanKind.SERVER,
    span_record.KIND_CLIENT: SpanKind.CLIENT,
    span_record.KIND_PRODUCER: SpanKind.PRODUCER,
    span_record.KIND_CONSUMER: SpanKind.CONSUMER,
}
STATUSES = {
    span_record.STATUS_UNSET: StatusCode.UNSET,
    span_record.STATUS_OK: StatusCode.OK,
    span_record.STATUS_ERROR: StatusCode.ERROR,
}


class RawAttributes(BoundedAttributes):
    """SDK attributes that keep every value as given, so that the library's encoder meets all types, and a count."""

    def __init__(self, values: dict, dropped: int) -> None:
        super().__init__()
        self.values_given = values
        self.dropped = dropped

    def __getitem__(self, key: str) -> Any:
        return self.values_given[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_given)

    def __len__(self) -> int:
        return len(self.values_given)


def bounded_list(items: list, dropped: int) -> BoundedList:
    bounded = BoundedList.from_seq(len(items), items)
    bounded.dropped = dropped
    return bounded


class Drawn(NamedTuple):
    """One span twice: as the agent's record and as the SDK's."""

    record: SpanRecord
    readable: ReadableSpan


def written_by_the_library() -> ScopeSpans:
    """What only newer libraries write: None as an empty AnyValue (> 1.41), a scope's attributes and schema (> 1.30)."""
    scope = InstrumentationScope("s", None, "schema", {"k": "v"})
    readable = ReadableSpan(
        "n",
        context=SpanContext(1, 1, False),
        resource=Resource({}),
        attributes={"k": None},
        instrumentation_scope=scope,
    )
    return encode_spans([readable]).resource_spans[0].scope_spans[0]


LIBRARY = written_by_the_library()
texts = st.text(max_size=20) | st.text(min_size=1, max_size=20).map(lambda text: text * 80)
int64s = st.integers(-(2**63), 2**63 - 1)
uint64s = st.integers(0, 2**64 - 1)
uint32s = st.integers(0, 2**32 - 1)
plain_values = st.booleans() | texts | int64s | st.floats()
values = st.recursive(
    plain_values | st.binary(max_size=200) | (st.none() if LIBRARY.spans[0].attributes else st.nothing()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=6,
)
attribute_maps = st.dictionaries(texts, values, max_size=8)
# The library hashes a resource by its JSON and the SDK cleans what a resource and a scope are given: plain types.
plain_maps = st.dictionaries(texts.filter(bool), plain_values | st.lists(texts, max_size=3), max_size=5)
scopes = st.builds(
    InstrumentationScope,
    texts,
    st.none() | texts,
    (st.none() | texts) if LIBRARY.schema_url else st.none(),
    plain_maps if LIBRARY.scope.attributes else st.none(),
)
trace_states = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9_\-*/]{0,9}", fullmatch=True),
        st.from_regex(r"[!-+\--<>-~]{1,10}", fullmatch=True),
    ),
    max_size=3,
    unique_by=lambda item: item[0],
)


@st.composite
def spans(draw: Any) -> Drawn:
    trace_id = draw(st.integers(0, 2**128 - 1))
    span_id = draw(uint64s)
    parent_id = draw(st.none() | uint64s)
    parent_is_remote = draw(st.booleans())
    name = draw(texts)
    kind = draw(st.sampled_from(sorted(KINDS)))
    start, end = sorted((draw(uint64s), draw(uint64s)))
    status_code = draw(st.sampled_from(sorted(STATUSES)))
    status_message = draw(texts) if status_code == span_record.STATUS_ERROR else ""
    state = TraceState(draw(trace_states))
    attributes = draw(attribute_maps)
    dropped = draw(st.tuples(uint32s, uint32s, uint32s) | st.just((0, 0, 0)))
    events = draw(
        st.lists(st.builds(EventRecord, texts, uint64s, attribute_maps, uint32s | st.just(0)), max_size=3),
    )
    links = draw(
        st.lists(
            st.builds(LinkRecord, st.integers(0, 2**128 - 1), uint64s, attribute_maps, uint32s, st.booleans()),
            max_size=3,
        )
    )
    resource = Resource(draw(plain_maps), draw(texts))
    scope = draw(st.none() | scopes)
    readable = ReadableSpan(
        name,
        context=SpanContext(trace_id, span_id, False, trace_state=state),
        parent=None if parent_id is None else SpanContext(trace_id, parent_id, parent_is_remote),
        resource=resource,
        attributes=RawAttributes(attributes, dropped[0]),
        events=bounded_list(
            [
                Event(event.name, RawAttributes(dict(event.attributes), event.dropped_attributes_count), event[1])
                for event in events
            ],
            dropped[1],
        ),
        links=bounded_list(
            [
                Link(
                    SpanContext(link.trace_id, link.span_id, link.is_remote),
                    RawAttributes(dict(link.attributes), link.dropped_attributes_count),
                )
                for link in links
            ],
            dropped[2],
        ),
        kind=KINDS[kind],
        status=Status(STATUSES[status_code], status_message or None),
        start_time=start,
        end_time=end,
        instrumentation_scope=scope,
    )
    record = SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        resource=ResourceRecord(dict(resource.attributes), resource.schema_url),
        scope=ScopeRecord()
        if scope is None
        else ScopeRecord(scope.name, scope.version or "", dict(scope.attributes), scope.schema_url),
        parent_span_id=parent_id,
        parent_is_remote=parent_is_remote,
        trace_state=",".join(key + "=" + value for key, value in state.items()),
        kind=kind,
        attributes=attributes,
        events=events,
        links=links,
        status_code=status_code,
        status_message=status_message,
        dropped_attributes_count=dropped[0],
        dropped_events_count=dropped[1],
        dropped_links_count=dropped[2],
    )
    return Drawn(record, readable)


def make_record(**fields: Any) -> SpanRecord:
    base = {
        "trace_id": 0x0AF7651916CD43DD8448EB211C80319C,
        "span_id": 0xB7AD6B7169203331,
        "name": "ChatCompletion",
        "start_time_unix_nano": 1_700_000_000_000_000_000,
        "end_time_unix_nano": 1_700_000_001_500_000_000,
        "resource": ResourceRecord({"service.name": "app"}),
        "scope": ScopeRecord("scope", "1.0"),
    }
    return SpanRecord(**{**base, **fields})


def parse(payload: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(payload)


def canonical(request: ExportTraceServiceRequest) -> bytes:
    """Equal exactly if the messages are, unknown fields included; unlike ``==`` it holds for NaN."""
    return request.SerializeToString(deterministic=True)


def only_span(payload: bytes) -> Span:
    (resource_spans,) = parse(payload).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (span,) = scope_spans.spans
    return span


def attributes_of(record: SpanRecord) -> dict:
    return {attribute.key: attribute.value for attribute in only_span(encode_span(record)).attributes}


# --- equality with the library ---------------------------------------------------------------------------------------


@settings(random_spans, max_examples=100)
@given(spans())
def test_equals_the_library_for_random_spans(drawn: Drawn) -> None:
    assert canonical(parse(encode_span(drawn.record))) == canonical(encode_spans([drawn.readable]))


@settings(random_spans, max_examples=50)
@given(st.lists(spans(), max_size=4))
def test_concatenated_records_are_one_request(drawn: List[Drawn]) -> None:
    expected = ExportTraceServiceRequest()
    for one in drawn:
        expected.MergeFrom(encode_spans([one.readable]))
    assert canonical(parse(b"".join(encode_span(one.record) for one in drawn))) == canonical(expected)


def test_many_spans_of_one_resource_and_scope_reuse_their_bytes() -> None:
    resource, scope = ResourceRecord({"service.name": "app"}, "res"), ScopeRecord("s", "1", {"a": 1}, "sc")
    payload = b"".join(encode_span(make_record(resource=resource, scope=scope, span_id=n)) for n in (1, 2))
    first, second = parse(payload).resource_spans
    assert first.resource == second.resource
    assert first.scope_spans[0].scope == second.scope_spans[0].scope
    assert (second.schema_url, second.scope_spans[0].schema_url) == ("res", "sc")

    resource.attributes, scope.attributes = {"service.name": "changed"}, {"a": 2}
    (third,) = parse(encode_span(make_record(resource=resource, scope=scope))).resource_spans
    assert third.resource == first.resource
    assert third.scope_spans[0].scope == first.scope_spans[0].scope


def test_empty_everything_equals_the_library() -> None:
    readable = ReadableSpan("", context=SpanContext(0, 0, False), resource=Resource({}), start_time=0, end_time=0)
    record = SpanRecord(
        trace_id=0,
        span_id=0,
        name="",
        start_time_unix_nano=0,
        end_time_unix_nano=0,
        resource=ResourceRecord({}),
        scope=ScopeRecord(),
    )
    assert canonical(parse(encode_span(record))) == canonical(encode_spans([readable]))


def test_a_thousand_attributes_arrive_in_order() -> None:
    attributes = {f"llm.input_messages.{n}.message.content": "message " * (n % 200) for n in range(1000)}
    span = only_span(encode_span(make_record(attributes=attributes)))
    assert [(one.key, one.value.string_value) for one in span.attributes] == list(attributes.items())


@pytest.mark.parametrize("size", [0, 1, 100, 117, 118, 125, 126, 127, 128, 1000, 1023, 1024, 16383, 16384, 2**21])
@pytest.mark.parametrize("key", ["k", "k" * 60, "k" * 127, "k" * 128, "k" * 1000, "k" * 3000], ids=len)
def test_lengths_around_the_steps_of_a_varint(key: str, size: int) -> None:
    record = make_record(attributes={key: "v" * size, "list": ["v" * size]}, name="n" * size)
    span = only_span(encode_span(record))
    assert span.name == "n" * size
    assert [(one.key, one.value) for one in span.attributes] == [
        (key, AnyValue(string_value="v" * size)),
        ("list", AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="v" * size)]))),
    ]


@pytest.mark.parametrize("number", [-1, 0, 1, 127, 128, 1023, 1024, 16383, 16384, True])
@pytest.mark.parametrize("key", ["k", "k" * 122, "k" * 3000], ids=len)
def test_numbers_around_the_steps_of_a_varint(key: str, number: int) -> None:
    (attribute,) = only_span(encode_span(make_record(attributes={key: number}))).attributes
    expected = AnyValue(bool_value=True) if number is True else AnyValue(int_value=number)
    assert (attribute.key, attribute.value) == (key, expected)


@pytest.mark.parametrize(
    ("parent", "is_remote", "flags"), [(None, False, 0x100), (None, True, 0x100), (7, False, 0x100), (7, True, 0x300)]
)
def test_flags_say_whether_the_parent_is_remote(parent: Any, is_remote: bool, flags: int) -> None:
    span = only_span(encode_span(make_record(parent_span_id=parent, parent_is_remote=is_remote)))
    assert (span.flags, span.parent_span_id) == (flags, b"" if parent is None else b"\0" * 7 + b"\7")


# --- values ----------------------------------------------------------------------------------------------------------


class Role(str, enum.Enum):
    USER = "user"

    def __str__(self) -> str:
        return "never this"


class Level(enum.IntEnum):
    LOW = -3


class OwnNumber(int):
    def __and__(self, other: Any) -> Any:
        return "nothing"

    def __str__(self) -> str:
        return "never this"


class OwnText(str):
    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff"


class Stringy:
    def __str__(self) -> str:
        return "as text"

    def __repr__(self):  # the ids of parametrised tests must not hold an address
        return "Stringy()"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __bool__ = __str__


def array(*items: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=items))


def mapping(**items: AnyValue) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=key, value=items[key]) for key in items]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, AnyValue()),
        (False, AnyValue(bool_value=False)),
        (0, AnyValue(int_value=0)),
        (-1, AnyValue(int_value=-1)),
        (2**63 - 1, AnyValue(int_value=2**63 - 1)),
        (-(2**63), AnyValue(int_value=-(2**63))),
        (2**63, AnyValue(string_value="9223372036854775808")),
        (-(2**63) - 1, AnyValue(string_value="-9223372036854775809")),
        (10**40, AnyValue(string_value="1" + "0" * 40)),
        (0.0, AnyValue(double_value=0.0)),
        (math.inf, AnyValue(double_value=math.inf)),
        (-math.inf, AnyValue(double_value=-math.inf)),
        ("", AnyValue(string_value="")),
        (b"", AnyValue(bytes_value=b"")),
        (b"\xff\x00", AnyValue(bytes_value=b"\xff\x00")),
        (bytearray(b"\x01"), array(AnyValue(int_value=1))),
        ([], array()),
        (range(2), array(AnyValue(int_value=0), AnyValue(int_value=1))),
        ((None, True, 1, 1.5, "a", b"b"), None),
        ([["a"], []], array(array(AnyValue(string_value="a")), array())),
        ({}, mapping()),
        ({"a": {"b": None}}, mapping(a=mapping(b=AnyValue()))),
        ({1: "x"}, mapping(**{"1": AnyValue(string_value="x")})),
        (Role.USER, AnyValue(string_value="user")),
        (Level.LOW, AnyValue(int_value=-3)),
        (OwnNumber(5), AnyValue(int_value=5)),
        (OwnNumber(2**64), AnyValue(string_value="18446744073709551616")),
        (OwnText("own"), AnyValue(string_value="own")),
        (Stringy(), AnyValue(string_value="as text")),
        ([Stringy()], array(AnyValue(string_value="as text"))),
        ("\ud83d", AnyValue(string_value="\ufffd")),
        ("a\udc00b\ud800", AnyValue(string_value="a\ufffdb\ufffd")),
        ("\ud83d\ude00!", AnyValue(string_value="\U0001f600!")),
        (["\udcff"], array(AnyValue(string_value="\ufffd"))),
        ({"\udcff": "\udcff"}, mapping(**{"\ufffd": AnyValue(string_value="\ufffd")})),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value(value: Any, expected: Any) -> None:
    if expected is None:
        expected = array(
            AnyValue(),
            AnyValue(bool_value=True),
            AnyValue(int_value=1),
            AnyValue(double_value=1.5),
            AnyValue(string_value="a"),
            AnyValue(bytes_value=b"b"),
        )
    got = attributes_of(make_record(attributes={"k": value}))
    assert got == {"k": expected}
    assert got["k"].WhichOneof("value") == expected.WhichOneof("value")


def test_nan_is_a_double() -> None:
    value = attributes_of(make_record(attributes={"k": math.nan}))["k"]
    assert math.isnan(value.double_value)
    assert value.WhichOneof("value") == "double_value"


def nested_lists(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


def nested_mappings(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = {"k": value}
    return value


def containing_itself() -> list:
    value: list = ["a"]
    value += [value, value]
    return value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, "key is a number"),
        (b"bytes", "key is bytes"),
        (None, "no key"),
        ("unprintable", Unprintable()),
        ("inside", ["a", Unprintable()]),
        ("inside", {"a": Unprintable()}),
        ("inside", {Unprintable(): "a"}),
        ("too deep", nested_lists(25)),
        ("too deep", nested_mappings(25)),
        ("far too deep", nested_lists(5000)),
        ("endless", containing_itself()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_attribute_that_cannot_be_encoded_is_left_out_alone(
    key: Any, value: Any, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("OPENOBSERVE_HF_DEBUG", raising=False)
    attributes = {"before": 1, key: value, "after": 2}
    event = EventRecord("e", 1, attributes)
    link = LinkRecord(1, 2, attributes)
    record = make_record(
        attributes=attributes,
        events=[event],
        links=[link],
        resource=ResourceRecord(attributes),
        scope=ScopeRecord("s", "", attributes),
    )
    (resource_spans,) = parse(encode_span(record)).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (span,) = scope_spans.spans
    for holder in (span, span.events[0], span.links[0], resource_spans.resource, scope_spans.scope):
        assert [one.key for one in holder.attributes] == ["before", "after"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("deepest", [nested_lists(24), nested_mappings(24)], ids=["lists", "mappings"])
def test_the_deepest_attribute_stays_within_what_parsers_accept(deepest: Any) -> None:
    event = EventRecord("e", 1, {"k": deepest})
    span = only_span(encode_span(make_record(attributes={"k": deepest}, events=[event])))
    value = span.events[0].attributes[0].value
    assert span.attributes[0].value == value
    for _ in range(24):
        which = value.WhichOneof("value")
        value = value.array_value.values[0] if which == "array_value" else value.kvlist_value.values[0].value
    assert value.string_value == "leaf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\ud83d", "\ufffd"), ("x\udc00", "x\ufffd"), ("\ud83d\ude00", "\U0001f600"), (7, "7"), (None, ""), ("", "")],
    ids=ascii,
)
def test_every_text_becomes_valid_utf8(text: Any, expected: str) -> None:
    record = make_record(
        name=text,
        trace_state=text,
        status_message=text,
        status_code=span_record.STATUS_ERROR,
        events=[EventRecord(text, 1, {})],
        resource=ResourceRecord({}, text),
        scope=ScopeRecord(text, text, {}, text),
    )
    (resource_spans,) = parse(encode_span(record)).resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (span,) = scope_spans.spans
    assert {
        span.name,
        span.trace_state,
        span.status.message,
        span.events[0].name,
        resource_spans.schema_url,
        scope_spans.scope.name,
        scope_spans.scope.version,
        scope_spans.schema_url,
    } == {expected}


def test_a_text_field_that_cannot_be_read_is_empty() -> None:
    span = only_span(encode_span(make_record(name=Unprintable(), attributes={"k": 1})))
    assert (span.name, len(span.attributes)) == ("", 1)


def test_a_key_with_a_surrogate_is_valid_utf8() -> None:
    assert list(attributes_of(make_record(attributes={"a\udc80": 1, "b": 2}))) == ["a\ufffd", "b"]


any_text = st.text(st.characters(), max_size=10)
any_value = st.recursive(
    st.none() | st.booleans() | any_text | st.integers() | st.floats() | st.binary(max_size=5) | st.builds(Stringy),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@settings(random_spans)
@given(st.dictionaries(any_text, any_value, max_size=5), any_text)
def test_whatever_the_values_the_request_can_be_parsed(attributes: dict, text: str) -> None:
    record = make_record(name=text, trace_state=text, attributes=attributes, events=[EventRecord(text, 1, attributes)])
    span = only_span(encode_span(record))
    assert len(span.attributes) == len(span.events[0].attributes) == len(attributes)
    if text.isascii():
        assert span.name == text


# --- times and numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (10, 20, (10, 20)),
        (20, 10, (20, 20)),
        (20, 0, (20, 20)),
        (20, None, (20, 20)),
        (None, 20, (0, 20)),
        (None, None, (0, 0)),
        (-5, 20, (0, 20)),
        (20, -5, (20, 20)),
        (10.75, 20.25, (10, 20)),
        (math.nan, math.inf, (0, 0)),
        ("soon", "later", (0, 0)),
        (1, 2**64, (1, 2**64 - 1)),
    ],
)
def test_times_are_clamped(start: Any, end: Any, expected: Any) -> None:
    record = make_record(start_time_unix_nano=start, end_time_unix_nano=end, events=[EventRecord("e", start, {})])
    span = only_span(encode_span(record))
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == expected
    assert span.events[0].time_unix_nano == expected[0]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, 0), (1, 1), (2**32 - 1, 2**32 - 1), (2**32, 2**32 - 1), (-1, 0), (None, 0)]
)
def test_counts_are_clamped(count: Any, expected: int) -> None:
    record = make_record(
        dropped_attributes_count=count,
        dropped_events_count=count,
        dropped_links_count=count,
        events=[EventRecord("e", 1, {}, count)],
        links=[LinkRecord(1, 2, {}, count)],
    )
    span = only_span(encode_span(record))
    assert {
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
        span.events[0].dropped_attributes_count,
        span.links[0].dropped_attributes_count,
    } == {expected}


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (5, 5), (-1, 0), (None, 0), (2**40, 2**31 - 1)])
def test_kind_and_status_are_enum_numbers(number: Any, expected: int) -> None:
    span = only_span(encode_span(make_record(kind=number, status_code=number)))
    assert (span.kind, span.status.code) == (expected, expected)


def test_ids_wider_than_their_field_keep_its_width() -> None:
    span = only_span(encode_span(make_record(trace_id=2**130 + 5, span_id=2**70 + 6, parent_span_id=-1)))
    assert span.trace_id == (5).to_bytes(16, "big")
    assert span.span_id == (6).to_bytes(8, "big")
    assert span.parent_span_id == b"\xff" * 8


def test_a_span_without_ids_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        encode_span(make_record(trace_id=None))


# --- what it costs the host ------------------------------------------------------------------------------------------


def test_the_cache_of_keys_is_bounded() -> None:
    for start in range(0, 10_000, 500):
        encode_span(make_record(attributes={f"key.{n}": n for n in range(start, start + 500)}))
    encode_span(make_record(attributes={"k" * 10_000: 1, "recent": {"nested" * 10_000: 1}}))
    assert 0 < len(otlp._heads) <= otlp._MAX_CACHED_KEYS
    assert "recent" in otlp._heads
    assert max(map(len, otlp._heads)) <= otlp._MAX_CACHED_KEY_LENGTH


def test_neither_protobuf_nor_opentelemetry_is_imported() -> None:
    program = (
        "import sys, hf_openobserve.otlp.edit\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('google', 'opentelemetry', 'requests')])"
    )
    agent = os.path.dirname(os.path.dirname(hf_openobserve.__file__))
    run = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=dict(os.environ, PYTHONPATH=agent),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


# --- drop_attributes -------------------------------------------------------------------------------------------------


def removed_with_protobuf(payload: bytes, keys: Any) -> ExportTraceServiceRequest:
    request = parse(payload)
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                kept = [one for one in span.attributes if one.key not in keys]
                del span.attributes[:]
                span.attributes.extend(kept)
    return request


@settings(random_spans)
@given(st.lists(spans(), max_size=3), st.data())
def test_drop_equals_removal_with_protobuf(drawn: List[Drawn], data: Any) -> None:
    payload = b"".join(encode_span(one.record) for one in drawn)
    names = sorted({"absent"}.union(*(one.record.attributes for one in drawn)))
    keys = data.draw(st.sets(st.sampled_from(names)))
    without = drop_attributes(payload, keys)
    assert canonical(parse(without)) == canonical(removed_with_protobuf(payload, keys))
    if not any(key in one.record.attributes for one in drawn for key in keys):
        assert without is payload


@settings(random_spans, max_examples=50)
@given(st.lists(spans(), min_size=1, max_size=3), st.data())
def test_drop_reads_requests_of_the_library(drawn: List[Drawn], data: Any) -> None:
    payload = encode_spans([one.readable for one in drawn]).SerializeToString()
    keys = data.draw(st.sets(st.sampled_from(sorted({"absent"}.union(*(one.record.attributes for one in drawn))))))
    assert canonical(parse(drop_attributes(payload, keys))) == canonical(removed_with_protobuf(payload, keys))


def test_drop_touches_the_attributes_of_spans_alone() -> None:
    attributes = {"gone": 1, "stays": 2}
    record = make_record(
        attributes=dict(attributes, nested={"gone": 3}),
        events=[EventRecord("gone", 1, attributes)],
        links=[LinkRecord(1, 2, attributes)],
        resource=ResourceRecord(attributes),
        scope=ScopeRecord("gone", "", attributes),
    )
    expected = make_record(
        attributes={"stays": 2, "nested": {"gone": 3}},
        events=record.events,
        links=record.links,
        resource=record.resource,
        scope=record.scope,
    )
    assert drop_attributes(encode_span(record), {"gone", ""}) == encode_span(expected)


# --- add_attributes --------------------------------------------------------------------------------------------------


@settings(random_spans, max_examples=50)
@given(st.lists(spans(), max_size=3), st.data())
def test_add_reads_the_attributes_asked_for_and_adds_to_each_span(drawn: List[Drawn], data: Any) -> None:
    payload = b"".join(encode_span(one.record) for one in drawn)
    known = {key for one in drawn for key in one.record.attributes if len(key.encode()) < 128}
    keys = data.draw(st.sets(st.sampled_from(sorted(known | {"absent"}))))
    told: List[Any] = []

    def more(found: Any, nanoseconds: int) -> Any:
        told.append((dict(found), nanoseconds))
        return {} if len(told) == 2 else {"cost": 0.25, "currency": "USD"}

    changed, expected = parse(add_attributes(payload, keys, more)), parse(payload)
    whole = [span for one in expected.resource_spans for scope in one.scope_spans for span in scope.spans]
    for number, (span, (found, nanoseconds)) in enumerate(zip(whole, told), 1):
        assert nanoseconds == span.end_time_unix_nano - span.start_time_unix_nano
        scalars = {"string_value", "bool_value", "int_value", "double_value"}
        values = {one.key: one.value for one in span.attributes if one.key in keys}
        assert set(found) == set(values)
        for key, value in values.items():
            kind = value.WhichOneof("value")
            plain = getattr(value, kind) if kind in scalars else None
            assert repr(found[key]) == repr(plain), key  # NaN is no NaN
        if number != 2:
            span.attributes.add(key="cost").value.double_value = 0.25
            span.attributes.add(key="currency").value.string_value = "USD"
    assert len(told) == len(whole)
    assert canonical(changed) == canonical(expected)


@pytest.mark.parametrize("position", range(0, 400, 7))
def test_add_refuses_a_request_that_is_cut(position: int) -> None:
    payload = encode_span(full_record())
    with pytest.raises(ValueError):
        add_attributes(payload[: max(1, len(payload) - 1 - position)], ["key"], lambda *_: {"a": 1})


def length_delimited(number: int, content: bytes) -> bytes:
    return otlp.varint(number << 3 | 2) + otlp.varint(len(content)) + content


def in_span(*fields: bytes) -> bytes:
    content = b"".join(fields)
    for number in (2, 2, 1):
        content = length_delimited(number, content)
    return content


GONE = length_delimited(9, length_delimited(1, b"gone"))
STAYS = length_delimited(9, length_delimited(1, b"stays"))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(in_span(GONE), in_span(), id="only one"),
        pytest.param(in_span(GONE, STAYS, GONE), in_span(STAYS), id="twice"),
        pytest.param(
            in_span(length_delimited(9, length_delimited(1, b"gone") + length_delimited(1, b"stays"))),
            None,
            id="key twice",
        ),
        pytest.param(
            in_span(length_delimited(9, length_delimited(2, b"") + length_delimited(1, b"gone"))),
            in_span(),
            id="key last",
        ),
        pytest.param(in_span(length_delimited(9, b"")), None, id="no key"),
        pytest.param(in_span(b"\xf8\x3f\x96\x01", GONE), in_span(b"\xf8\x3f\x96\x01"), id="unknown varint"),
        pytest.param(in_span(b"\xf9\x3f" + b"8" * 8, GONE), in_span(b"\xf9\x3f" + b"8" * 8), id="unknown fixed64"),
        pytest.param(in_span(b"\xfd\x3f" + b"4" * 4, GONE), in_span(b"\xfd\x3f" + b"4" * 4), id="unknown fixed32"),
        pytest.param(in_span(length_delimited(1000, GONE)), None, id="unknown message"),
        pytest.param(b"\x08\x01" + in_span(b"\x48\x01"), None, id="known numbers of another wire type"),
        pytest.param(b"\x8a\x00" + in_span(GONE)[1:], in_span(), id="a tag longer than needed"),
    ],
)
def test_drop_on_valid_requests_others_wrote(payload: bytes, expected: Any) -> None:
    without = drop_attributes(payload, ["gone"])
    if expected is None:
        assert without is payload
    else:
        assert without == expected
    assert canonical(parse(without)) == canonical(removed_with_protobuf(payload, ["gone"]))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x00", id="field number 0"),
        pytest.param(b"\x02\x00", id="field number 0 with content"),
        pytest.param(b"\x0f", id="wire type 7"),
        pytest.param(b"\x0a", id="no length"),
        pytest.param(b"\x0a\x05ab", id="length beyond the end"),
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="length of exabytes"),
        pytest.param(b"\xff" * 11, id="varint without end"),
        pytest.param(b"\x08" + b"\x80" * 12 + b"\x01", id="varint too long"),
        pytest.param(b"\x09\x01\x02", id="half a fixed64"),
        pytest.param(b"\x0d\x01\x02", id="half a fixed32"),
        pytest.param(in_span(length_delimited(9, b"\x0a\x09gone")), id="key beyond its attribute"),
        pytest.param(b'{"resourceSpans": []}', id="JSON"),
    ],
)
def test_drop_refuses_malformed_requests_as_protobuf_does(payload: bytes) -> None:
    with pytest.raises(ValueError):
        drop_attributes(payload, {"gone"})
    with pytest.raises(DecodeError):
        parse(payload)


def test_drop_refuses_groups() -> None:
    with pytest.raises(ValueError, match="wire type 3 at byte 0"):
        drop_attributes(b"\x0b\x0c", {"gone"})


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param(length_delimited(1, b"gone too"), id="a longer key"),
        pytest.param(length_delimited(1, b"k") + length_delimited(2, length_delimited(1, b"gone")), id="a value"),
        pytest.param(length_delimited(1, b"k") + length_delimited(2, GONE), id="a value that looks like an attribute"),
    ],
)
def test_drop_leaves_what_only_contains_a_name(attribute: bytes) -> None:
    kept = length_delimited(9, attribute)
    assert drop_attributes(in_span(kept, GONE, kept), {"gone"}) == in_span(kept, kept)
    payload = in_span(length_delimited(5, b"gone"), kept, length_delimited(11, GONE))
    assert drop_attributes(payload, {"gone"}) is payload


def full_record() -> SpanRecord:
    return make_record(
        attributes={"gone": "x" * 200, "list": ["a", {"b": 1.5}], "n": 300},
        events=[EventRecord("exception", 5, {"gone": "y"})],
        links=[LinkRecord(1, 2, {"k": True}, 1, True)],
        parent_span_id=9,
        status_code=2,
        status_message="failed",
        dropped_links_count=3,
    )


def test_a_request_cut_at_any_byte_is_refused() -> None:
    payload = encode_span(full_record())
    for cut in range(1, len(payload)):
        with pytest.raises(ValueError):
            drop_attributes(payload[:cut], {"gone"})


@pytest.mark.timeout(120)
def test_a_request_with_any_byte_changed_is_refused_or_rewritten() -> None:
    payload = encode_span(full_record())
    refused = 0
    for position in range(len(payload)):
        for byte in (0x00, 0x01, 0x03, 0x0A, 0x12, 0x4A, 0x7F, 0x80, 0xFF, payload[position] ^ 0x40):
            changed = payload[:position] + bytes((byte,)) + payload[position + 1 :]
            try:
                assert len(drop_attributes(changed, {"gone"})) <= len(changed)
            except ValueError:
                refused += 1
    assert refused > 0


@settings(random_spans, max_examples=100)
@example(b"34")
@example(b"\x0b\x0c")
@given(st.binary(max_size=60) | st.binary(max_size=60).map(in_span))
def test_drop_on_random_bytes_returns_or_raises_value_error(payload: bytes) -> None:
    try:
        assert len(drop_attributes(payload, {""})) <= len(payload)
    except ValueError as error:
        if str(error).startswith(("wire type 3", "wire type 4")):
            return  # groups, which protobuf passes over where it knows no field: OTLP has none
        with pytest.raises(DecodeError):
            parse(payload)


# --- partial_success -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rejected", "reason"),
    [(0, ""), (1, ""), (0, "a warning"), (300, "Some spans were rejected"), (2**63 - 1, "\u00fc")],
)
def test_partial_success_is_what_protobuf_wrote(rejected: int, reason: str) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    assert partial_success(body) == (rejected, reason)
    for cut in range(1, len(body)):
        with pytest.raises(ValueError):
            partial_success(body[:cut])


def test_no_partial_success_is_none_rejected() -> None:
    assert partial_success(ExportTraceServiceResponse().SerializeToString()) == (0, "")
