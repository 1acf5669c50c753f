"""One call in numbers, and what each instrument is told of it. Pure.

``measured`` runs on the calling thread (docs/laws.md#2), for every call: it looks up, and computes nothing. ``samples``
runs where the numbers are put together.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, NamedTuple, Tuple

from hf_openobserve.metrics import instruments as they
from hf_openobserve.metrics.instruments import Instrument
from hf_openobserve.row import cost_columns

LABELS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "hf.provider.served",
    "server.address",
    "server.port",
    "error.type",
    "hf.error.kind",
)
"""Attributes of a call that tell its points apart: those of which a program has few values."""

_TOKENS = (
    (they.INPUT, "gen_ai.usage.input_tokens"),
    (they.OUTPUT, "gen_ai.usage.output_tokens"),
    (they.CACHE_READ, "gen_ai.usage.cache_read.input_tokens"),
    (they.CACHE_WRITE, "gen_ai.usage.cache_write.input_tokens"),
    (they.REASONING, "llm.token_count.completion_details.reasoning"),
)
_COUNTS = tuple(name for _, name in _TOKENS)

Labels = Tuple[Tuple[str, Any], ...]


class Measured(NamedTuple):
    """The numbers of one call: of what is not known, None."""

    labels: Tuple[Any, ...]
    """In the order of ``LABELS``."""
    nanoseconds: int
    counts: Tuple[Any, ...]
    """Tokens, in the order of ``_TOKENS``."""
    first_chunk_s: Any
    chunks: Any
    retries: Any
    cost: Tuple[Any, ...] = ()
    """What it is computed from, in the order of ``cost_columns.NEEDED``."""

    def columns_of_cost(self) -> Dict[str, Any]:
        """The columns that its cost is computed from."""
        return {name: value for name, value in zip(cost_columns.NEEDED, self.cost) if value is not None}


class Sample(NamedTuple):
    """One value for one instrument."""

    instrument: Instrument
    labels: Labels
    value: float


def measured(attributes: Mapping[str, Any], start_unix_nano: int, end_unix_nano: int) -> Measured:
    """The numbers in the columns of a call that has ended."""
    get = attributes.get
    return Measured(
        tuple(map(get, LABELS)),
        end_unix_nano - start_unix_nano,
        tuple(map(get, _COUNTS)),
        get("gen_ai.response.time_to_first_chunk"),
        get("hf.stream.chunks"),
        get("http.request.resend_count"),
        tuple(map(get, cost_columns.NEEDED)),
    )


def samples(call: Measured, cost: Mapping[str, Any], *, legacy: bool = False) -> Iterator[Sample]:
    """What the instruments are told of a call. ``cost``: the columns of its cost.

    A token that was not counted is no zero: nothing is said of it. ``legacy``: under the names from before 0.1.0.
    """
    labels = tuple((name, value) for name, value in zip(LABELS, call.labels) if value not in (None, ""))
    seconds = max(0, call.nanoseconds) / 1e9
    generates = call.labels[0] != "embeddings"
    yield Sample(they.DURATION if generates and not legacy else they.OTHER_DURATION, labels, seconds)
    if legacy:
        for kind, count in (("input", call.counts[0]), ("output", call.counts[1])):
            if _is_count(count) and (generates or kind == "input"):
                yield Sample(they.LEGACY_TOKENS, (*labels, ("gen_ai.token.type", kind)), count)
        return
    first = call.first_chunk_s
    if isinstance(first, float) and first >= 0:
        yield Sample(they.FIRST_CHUNK, labels, first)
        if _is_count(call.chunks) and call.chunks > 1 and seconds >= first:
            yield Sample(they.PER_CHUNK, labels, (seconds - first) / (call.chunks - 1))
    with_modality = (*labels, ("gen_ai.token.modality", "unknown"))
    for (instrument, _), count in zip(_TOKENS, call.counts):
        if _is_count(count):
            yield Sample(instrument, with_modality, count)
    if _is_count(call.retries) and call.retries:
        yield Sample(they.RETRIES, labels, call.retries)
    amount = cost.get(cost_columns.COST)
    if isinstance(amount, float) and amount > 0:
        currency = cost.get(cost_columns.COST + ".currency", "USD")
        yield Sample(they.COST, (*labels, (cost_columns.COST + ".currency", currency)), amount)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
