"""Calls to models, as the commands count and show them: read from an outbox, or from the rows of OpenObserve.

Both are read as rows, column by column (docs/columns.md), so that a call looks the same wherever it comes from.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from hf_openobserve.cli import contents
from hf_openobserve.row.columns import OBSERVATION_TYPES

UNKNOWN_MODEL = "(unknown)"
"""Of a call whose parameters are hidden and that nobody answered."""

COUNTED = ("prompt", "completion", "total")
"""The tokens that are added up."""
TOKENS = (*COUNTED, "cached", "reasoning")

_TOKEN_COLUMNS = (
    "llm_token_count_prompt",
    "llm_token_count_completion",
    "llm_token_count_total",
    "llm_token_count_prompt_details_cache_read",
    "llm_token_count_completion_details_reasoning",
)
COLUMNS = (
    "openinference_span_kind",
    "start_time",
    "end_time",
    "service_name",
    "gen_ai_operation_name",
    "llm_model_name",
    "gen_ai_response_model",
    "llm_request_parameters_model",
    "gen_ai_request_model",
    "hf_model_base",
    "hf_provider_served",
    "hf_provider_requested",
    "server_address",
    *_TOKEN_COLUMNS,
    "gen_ai_usage_cost",
    "llm_usage_cost_total",
    "gen_ai_response_time_to_first_chunk",
    "hf_stream_tokens_per_second",
    "http_request_resend_count",
    "span_status",
    "status_message",
    "hf_error_kind",
    "error_type",
    "http_response_status_code",
    "hf_request_id",
    "trace_id",
    "span_id",
)
"""What ``of_row`` reads, beside the conversation."""
CONTENT_COLUMNS = (
    "gen_ai_input_messages",
    "llm_input",
    "input_value",
    "gen_ai_output_messages",
    "llm_output",
    "output_value",
)
"""The conversation. Servers before 0.91 keep it under the second names, and a request that is none under the third."""

_KIND = b"openinference.span.kind"


class Call(NamedTuple):
    """One call to a model. What its row does not tell is None; a failed call has an error type."""

    start: int
    """Nanoseconds since the epoch."""
    duration_us: int
    service: str
    operation: str
    model: str
    """As it was asked for."""
    answered_by: Optional[str]
    served_by: Optional[str]
    """The provider that the router named, else the server's address."""
    base_model: Optional[str]
    """The Hub's id, where the call went to Hugging Face."""
    provider: Optional[str]
    """The provider that the router named, else the one that was asked for."""
    tokens: Tuple[Optional[int], ...]
    """In the order of ``TOKENS``."""
    cost: Optional[float]
    """As the row has it; None where no price is known."""
    first_token_s: Optional[float]
    """Of a stream: seconds until the first piece of the answer."""
    tokens_per_second: Optional[float]
    retries: int
    """How often the client sent it again."""
    error_kind: Optional[str]
    """One of ``wire.errors.KINDS``; None where it is none of them."""
    error_type: Optional[str]
    status_code: Optional[int]
    """HTTP's, of a failed call that got an answer."""
    error: str
    request_id: Optional[str]
    trace_id: str
    span_id: str
    sent: str
    """The conversation that was sent, or the request's body: JSON, where it has not been cut; empty if not captured."""
    received: str
    """The same of the answer."""

    @property
    def key(self) -> str:
        """What tells it from every other call, however often it is read."""
        return f"{self.trace_id}-{self.span_id}"


class Reading(NamedTuple):
    """What was found: the calls in the order of their start, and how many spans are none."""

    calls: List[Call]
    other_spans: int
    unread: contents.Unread


def read(roots: Sequence[str], since_ns: int = 0, priced: Callable[[bytes], bytes] = bytes) -> Reading:
    """All spans below ``roots`` that began at ``since_ns`` (nanoseconds since the epoch) or later.

    ``priced`` adds what a call cost, as it does where calls are sent. A span that is being moved to another segment is
    there twice for a moment, and counts once.
    """
    reading = Reading([], 0, contents.Unread())
    seen: Set[int] = set()
    others = 0
    found = (contents.payloads(root, since_ns, reading.unread) for root in roots)
    for payload in itertools.chain.from_iterable(found):
        if hash(payload) in seen:
            continue
        seen.add(hash(payload))
        calls, no_calls = of_payload(payload, priced)
        reading.calls.extend(calls)
        others += no_calls
    reading.calls.sort(key=lambda call: call.start)
    return reading._replace(other_spans=others)


def of_payload(payload: bytes, priced: Callable[[bytes], bytes] = bytes) -> Tuple[List[Call], int]:
    """The calls that a record of the outbox tells of, and how many of its spans are none."""
    if _KIND not in payload:
        return [], 1  # by far the cheapest way to tell, where other instrumentors write thousands
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

    from hf_openobserve.cli import spans

    try:
        rows = [spans.columns(span) for span in spans.decode(priced(payload))]
    except DecodeError:  # an intact record that is no span of ours
        return [], 0
    calls = [of_row(row) for row in rows if is_call(row)]
    return calls, len(rows) - len(calls)


def is_call(row: Mapping[str, Any]) -> bool:
    """Whether a row of OpenObserve's, or a span as one (see ``spans.columns``), is a call to a model."""
    return row.get("openinference_span_kind") in OBSERVATION_TYPES


def of_row(row: Mapping[str, Any]) -> Call:
    """The call that such a row tells of. Its values are text or numbers, as the server gives them back."""
    answered_by = _text(row, "llm_model_name", "gen_ai_response_model")
    asked_for = _text(row, "llm_request_parameters_model", "gen_ai_request_model")
    failed = row.get("span_status") == "ERROR"
    start, end = _number(row.get("start_time")) or 0, _number(row.get("end_time")) or 0
    cost = _fraction(_first(row, "gen_ai_usage_cost", "llm_usage_cost_total"))
    return Call(
        start=start,
        duration_us=max(0, (end - start) // 1000),
        service=_text(row, "service_name") or "-",
        operation=_text(row, "gen_ai_operation_name") or "",
        model=asked_for or answered_by or UNKNOWN_MODEL,
        answered_by=answered_by,
        served_by=_text(row, "hf_provider_served", "server_address"),
        base_model=_text(row, "hf_model_base"),
        provider=_text(row, "hf_provider_served", "hf_provider_requested"),
        tokens=tuple(_number(row.get(column)) for column in _TOKEN_COLUMNS),
        # The server stores -0.0 where it knows no price.
        cost=0.0 if failed else cost or None,
        first_token_s=_fraction(row.get("gen_ai_response_time_to_first_chunk")),
        tokens_per_second=_fraction(row.get("hf_stream_tokens_per_second")),
        retries=_number(row.get("http_request_resend_count")) or 0,
        error_kind=_text(row, "hf_error_kind") if failed else None,
        error_type=(_text(row, "error_type") or "_OTHER") if failed else None,
        status_code=_number(row.get("http_response_status_code")) if failed else None,
        error=(_text(row, "status_message") or "") if failed else "",
        request_id=_text(row, "hf_request_id"),
        trace_id=_text(row, "trace_id") or "",
        span_id=_text(row, "span_id") or "",
        sent=_text(row, *CONTENT_COLUMNS[:3]) or "",
        received=_text(row, *CONTENT_COLUMNS[3:]) or "",
    )


def as_dictionary(call: Call) -> Dict[str, Any]:
    """A call in the shape that ``report`` and ``tail`` document for --json."""
    error = {"kind": call.error_kind, "type": call.error_type, "status_code": call.status_code, "message": call.error}
    return {
        "time": time_text(call.start),
        "service": call.service,
        "model": known(call.model),
        "answered_by": call.answered_by,
        "served_by": call.served_by,
        "duration_us": call.duration_us,
        "time_to_first_token_s": call.first_token_s,
        "tokens_per_second": call.tokens_per_second,
        "tokens": dict(zip(TOKENS, call.tokens)),
        "cost": call.cost,
        "retries": call.retries,
        "status": "OK" if call.error_type is None else "ERROR",
        "error": None if call.error_type is None else error,
        "trace_id": call.trace_id,
        "span_id": call.span_id,
    }


def by_model(calls: Iterable[Call]) -> List[Tuple[str, List[Call]]]:
    """The calls of each model that was asked for, the most called first."""
    models: Dict[str, List[Call]] = {}
    for call in calls:
        models.setdefault(call.model, []).append(call)
    return sorted(models.items(), key=lambda entry: (-len(entry[1]), entry[0]))


def by_provider(calls: Iterable[Call]) -> List[Dict[str, Any]]:
    """What was paid to whom for which calls, in the shape that ``report`` documents: the dearest first."""
    found: Dict[Tuple[str, str], List[Call]] = {}
    for call in calls:
        found.setdefault((call.model, call.served_by or ""), []).append(call)
    shown = [
        {"model": model, "provider": provider or None, "calls": len(theirs), "cost": total_cost(theirs)}
        for (model, provider), theirs in found.items()
    ]
    return sorted(shown, key=lambda one: (-(one["cost"] or 0.0), -one["calls"], one["model"], one["provider"] or ""))


def total_cost(calls: Iterable[Call]) -> Optional[float]:
    """Of the calls whose cost is known; None if none is: failed calls cost nothing, and do not tell of the others."""
    costs = [call.cost for call in calls if call.cost]
    return math.fsum(costs) if costs else None


def summary(calls: Sequence[Call]) -> Dict[str, Any]:
    """The figures of some calls, in the shape that ``report`` documents."""
    errors = [call for call in calls if call.error_type is not None]
    kinds: Dict[Tuple[Optional[str], str, Optional[int]], int] = {}
    for call in errors:
        kind = (call.error_kind, call.error_type or "", call.status_code)
        kinds[kind] = kinds.get(kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0][0] or "", entry[0][1], entry[0][2] or 0))
    durations = sorted(call.duration_us for call in calls)
    return {
        "calls": len(calls),
        "errors": len(errors),
        "errors_by_kind": [
            {"kind": kind, "type": name, "status_code": code, "count": count} for (kind, name, code), count in ordered
        ],
        "tokens": {name: _sum(call.tokens[index] for call in calls) for index, name in enumerate(COUNTED)},
        "cost": total_cost(calls),
        "calls_without_usage": sum(not any(count is not None for count in call.tokens[:3]) for call in calls),
        "duration_us": {"p50": percentile(durations, 50), "p95": percentile(durations, 95)},
    }


def percentile(ordered: Sequence[int], percent: int) -> Optional[int]:
    """By nearest rank: the smallest value that at least ``percent`` of the ordered values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def answering(model: str, calls: Iterable[Call]) -> List[str]:
    """Who answered for ``model``, in other names than its own."""
    return sorted({call.answered_by for call in calls if call.answered_by is not None} - {model})


def known(model: str) -> Optional[str]:
    """The model, for a program to read: None where it is not known."""
    return None if model == UNKNOWN_MODEL else model


def duration_text(duration_us: Optional[float]) -> str:
    """A duration for people."""
    if duration_us is None:
        return "-"
    milliseconds = duration_us / 1000
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.2f} s"


def cost_text(cost: float) -> str:
    """A cost for people: two digits that count."""
    if cost >= 1 or cost <= 0:
        return f"{cost:,.2f}"
    return f"{cost:.{min(8, 1 - math.floor(math.log10(cost)))}f}"


def time_text(unix_nano: int) -> str:
    """UTC to the millisecond, sortable as text."""
    seconds, nanoseconds = divmod(unix_nano, 1000000000)
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc)
    except (ValueError, OverflowError, OSError):  # a start that is no time at all
        return str(unix_nano)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{nanoseconds // 1000000:03d}Z"


def _first(row: Mapping[str, Any], *columns: str) -> Any:
    return next((row[column] for column in columns if row.get(column) not in (None, "")), None)


def _text(row: Mapping[str, Any], *columns: str) -> Optional[str]:
    value = _first(row, *columns)
    return None if value is None else str(value)


def _fraction(value: Any) -> Optional[float]:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _number(value: Any) -> Optional[int]:
    """A whole number: also of nineteen digits, which a float would round."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and value.isascii() else None
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _sum(counts: Iterator[Optional[int]]) -> Optional[int]:
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if known_counts else None
