"""What a call cost: its columns in, those of its cost out. Pure, in decimal.

``columns`` runs where calls are sent or shown, not where they are made.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from hf_openobserve.config.prices import PriceList
from hf_openobserve.row.cost_columns import COST, LLM_COST

BILLED_BY_TIME = "hf-inference"
"""Hugging Face's own provider: it bills the seconds that a call computes, which no answer tells."""

_MILLION = Decimal(1000000)
_NANOSECONDS_PER_HOUR = Decimal(3600 * 10**9)
_SMALLEST = Decimal("1e-12")
"""What one token costs at a price of a millionth for a million: a sum of such costs is exact."""


class Cost(NamedTuple):
    """Of one call. What it was for is not known where it is paid by the hour."""

    total: Decimal
    input: Optional[Decimal] = None
    output: Optional[Decimal] = None


def columns(
    call: Mapping[str, Any], nanoseconds: int, own: Sequence[PriceList], general: Sequence[PriceList] = ()
) -> Dict[str, Any]:
    """The columns to add; none where no price is known, and where the call has a cost already.

    own: price lists of the user's, of whatever model and whoever offers it. general: those of the providers behind
    Hugging Face. Of several lists the first that knows a price counts.
    """
    if COST in call:  # the provider's word, or the zero of a failed call
        return {}
    for prices in own:
        per_hour = prices.per_hour.get(str(call.get("server.address")).lower())
        if per_hour is not None:
            cost = Cost((per_hour * max(0, nanoseconds) / _NANOSECONDS_PER_HOUR).quantize(_SMALLEST))
            return {**_as_columns(cost, prices), "hf.cost.basis": "endpoint_time"}
    model = call.get("hf.model.base") or call.get("gen_ai.request.model")
    served = call.get("hf.provider.served") or call.get("hf.provider.requested")
    if model:
        offered_by = served or call.get("llm.provider") or call.get("server.address")
        for prices in own:
            found = _of_tokens(call, prices, str(model), str(offered_by))
            if found:
                return found
    if served == BILLED_BY_TIME:
        return {"hf.cost.basis": "compute_time"} if "gen_ai.usage.input_tokens" in call else {}
    for prices in general if model and served else ():
        found = _of_tokens(call, prices, str(model), str(served))
        if found:
            return found
    return {}


def _of_tokens(call: Mapping[str, Any], prices: PriceList, model: str, provider: str) -> Dict[str, Any]:
    price = prices.of(model, provider)
    sent, received = _count(call, "gen_ai.usage.input_tokens"), _count(call, "gen_ai.usage.output_tokens")
    if price is None or sent is None or received is None:
        return {}
    cached = min(sent, _count(call, "gen_ai.usage.cache_read.input_tokens") or 0)
    rate = price.input if price.cached is None else price.cached
    for_input = ((sent - cached) * price.input + cached * rate) / _MILLION
    for_output = received * price.output / _MILLION
    return _as_columns(Cost(for_input + for_output, for_input, for_output), prices)


def _as_columns(cost: Cost, prices: PriceList) -> Dict[str, Any]:
    """Doubles, since the server's columns are: the nearest to the decimal amount."""
    found: Dict[str, Any] = {COST: float(cost.total)}
    if cost.input is not None and cost.output is not None:
        found[COST + ".input"], found[COST + ".output"] = float(cost.input), float(cost.output)
        found["llm.cost.prompt"], found["llm.cost.completion"] = float(cost.input), float(cost.output)
    found[LLM_COST] = float(cost.total)
    found[COST + ".amount"] = float(cost.total)
    found[COST + ".currency"] = prices.currency
    found[COST + ".source"] = "local"
    if prices.date:
        found["hf.cost.price_date"] = prices.date
    return found


def _count(call: Mapping[str, Any], name: str) -> Optional[int]:
    value = call.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
