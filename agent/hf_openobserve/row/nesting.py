"""One call is one LLM row, also where a framework's instrumentor wraps a client's call in an LLM span of its own.

The framework's span stays in the trace, as a chain; tokens and costs stand on the call alone, since OpenObserve sums
them over all spans. Only what we record changes: the application's own exporters read the span, which is not touched.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from hf_openobserve.row import columns
from hf_openobserve.row.conversation import json_object
from hf_openobserve.row.record import STATUS_ERROR, SpanRecord
from hf_openobserve.wire.member import objects

Key = Tuple[int, int]
"""(trace id, span id)."""

_OPEN_CAPACITY = 4096
"""Spans followed at once. Beyond it the oldest is forgotten: spans that never end must not grow the host."""

_ENDED_CAPACITY = 256
"""Calls remembered after their end, for a framework's span that ends after them."""

_DEPTH = 64
"""Ancestors that a call is told to, at most."""

_CLOCK_NS = 1_000_000
"""LangChain gives its spans the times of ``datetime.now``, cut to microseconds."""

USAGE_PREFIXES: Tuple[str, ...] = (
    "llm.token_count.",
    "llm.usage.",
    "llm.cost.",
    "gen_ai.usage.",
    "gen_ai.aggregated_usage.",
    "gen_ai.client.token.",
)
"""What counts tokens or money: OpenInference's, OpenTelemetry's, OpenLLMetry's and Pydantic AI's names."""

_USAGE_NAMES: Tuple[str, ...] = ("operation.cost", "logfire.metrics")

_OPERATION_NAMES: Tuple[str, ...] = (
    "gen_ai.operation.name",  # goes before OpenInference's kind on the server
    "llm.request.type",
    "llm.observation.type",
    "langfuse.observation.type",
    "traceloop.span.kind",
)
"""What else calls a span a generation, on the server or in ``columns``."""

_LEFT = ("GeneratorExit", "CancelledError", "KeyboardInterrupt")


class _Open:
    """A span that has not ended."""

    __slots__ = ("is_call", "parent", "start", "wraps_call")

    def __init__(self, parent: Optional[Key], start: int, is_call: bool) -> None:
        self.parent = parent
        self.start = start
        self.is_call = is_call
        self.wraps_call = False


class Answer(NamedTuple):
    """What tells one call's answer from another's. ``text`` is a hash: the text itself may be long."""

    tokens: Optional[Tuple[int, int]]
    text: Optional[int]
    failed: bool
    left: bool


class _Ended(NamedTuple):
    """A call that has ended, and the scopes that have a span around it."""

    start: int
    end: int
    answer: Answer
    wrapped_by: Set[str]


class Nesting:
    """Which spans have a call beneath them. Thread-safe without a lock: each step is one operation on a dictionary."""

    def __init__(self) -> None:
        self._open: Dict[Key, _Open] = {}
        self._around: Dict[Key, None] = {}
        """Of the open spans, those that are no calls."""
        self._calls: Dict[Key, _Ended] = {}

    def started(self, key: Key, parent: Optional[Key], start: int, is_call: bool) -> None:
        """A span has started; ``start`` in nanoseconds since the epoch. ``is_call``: a client's instrumentor made it.

        The ancestors of a call learn of it now: one whose program leaves a stream early may end before the call does.
        """
        _put(self._open, key, _Open(parent, start, is_call), _OPEN_CAPACITY)
        if not is_call:
            _put(self._around, key, None, _OPEN_CAPACITY)
            return
        for _ in range(_DEPTH):
            above = self._open.get(parent) if parent is not None else None
            if above is None or above.wraps_call:
                break
            above.wraps_call = True
            parent = above.parent

    def ended(self, record: SpanRecord, is_call: bool) -> SpanRecord:
        """The record of an ended span: as it is, or with its claim to be the call itself taken back, in place."""
        key = (record.trace_id, record.span_id)
        known = self._open.pop(key, None)
        if is_call:
            if not self._around:
                return record  # nothing surrounds it: the answer need not be looked at
            ended = _Ended(record.start_time_unix_nano, record.end_time_unix_nano, answer_of(record), set())
            _put(self._calls, key, ended, _ENDED_CAPACITY)
            return record
        self._around.pop(key, None)
        if (known is not None and known.wraps_call) or self._surrounds(record):
            step_back(record)
        return record

    def _surrounds(self, record: SpanRecord) -> bool:
        """True for a framework's LLM span around a call that is not beneath it.

        LangChain makes no span current, and LlamaIndex none while its stream is read, so the call has another parent.
        It lies within the span's time and gave the same answer; a call explains one span of a framework only.
        """
        if not columns.is_llm_span(record.attributes):
            return False
        from_, to = record.start_time_unix_nano - _CLOCK_NS, record.end_time_unix_nano + _CLOCK_NS
        answer = answer_of(record)
        for call in list(self._calls.values()):
            within = from_ <= call.start and call.end <= to
            if within and record.scope.name not in call.wrapped_by and is_same(answer, call.answer):
                call.wrapped_by.add(record.scope.name)
                return True
        # The program has left its stream: the framework's span ends first, the call when its own stream is let go of.
        return answer.left and any(span.is_call and from_ <= span.start <= to for span in list(self._open.values()))


def is_same(outer: Answer, call: Answer) -> bool:
    """True if a framework's span tells of this call: the same tokens, or the same text, or both failed."""
    if outer.tokens is not None and outer.tokens == call.tokens:
        return True
    if outer.text is not None and outer.text == call.text:
        return True
    if outer.left and outer.tokens is None:
        return True
    return outer.failed and call.failed


def answer_of(record: SpanRecord) -> Answer:
    """What a finished LLM span says of the answer, whoever made it."""
    attributes = record.attributes
    failed = record.status_code == STATUS_ERROR
    raised = [str(event.attributes.get("exception.type", "")) for event in record.events if event.name == "exception"]
    raised.append(record.status_message.partition(":")[0])
    left = failed and any(name.rpartition(".")[2] in _LEFT for name in raised)
    return Answer(_tokens(attributes), _text(attributes), failed, left)


def _tokens(attributes: Mapping[str, Any]) -> Optional[Tuple[int, int]]:
    for names in (
        ("llm.token_count.prompt", "llm.token_count.completion"),
        ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ):
        counts = [attributes.get(name) for name in names]
        if all(isinstance(count, int) for count in counts) and any(counts):
            return counts[0], counts[1]  # type: ignore[return-value]
    return None


def _text(attributes: Mapping[str, Any]) -> Optional[int]:
    text = attributes.get("llm.output_messages.0.message.content")
    if not isinstance(text, str) and attributes.get("openinference.span.kind") != "EMBEDDING":
        choices: List[Any] = list(objects(json_object(attributes.get("output.value")).get("choices")))
        message = choices[0].get("message") if choices else None
        text = message.get("content") if isinstance(message, dict) else None
    return hash(text.strip()) if isinstance(text, str) and text.strip() else None


def step_back(record: SpanRecord) -> None:
    """Make the record that of a step around a call, in place: no tokens, no costs, and an LLM span becomes a chain."""
    attributes = record.attributes
    was_llm = columns.is_llm_span(attributes)
    prefixes, names = USAGE_PREFIXES, _USAGE_NAMES
    if was_llm:
        prefixes += columns.INDEXED_PREFIXES + columns.FORBIDDEN_PREFIXES
        names += _OPERATION_NAMES
    for name in [name for name in attributes if name in names or name.startswith(prefixes)]:
        del attributes[name]
    if was_llm:
        attributes["openinference.span.kind"] = "CHAIN"


def _put(store: Dict[Key, Any], key: Key, value: Any, capacity: int) -> None:
    store[key] = value
    while len(store) > capacity:
        try:
            store.pop(next(iter(store)), None)
        except (RuntimeError, StopIteration):  # another thread was faster
            break
