"""Which provider a model is best asked of: what its calls took and cost, beside what the router publishes. Pure.

Thin evidence is no advice: of a provider with fewer than ``ENOUGH`` calls of a model nothing is said.
"""

from __future__ import annotations

import math
import statistics
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from hf_openobserve.cli.calls import Call
from hf_openobserve.cli.router_models import Offer

ENOUGH = 30
"""Calls of a model at one provider."""
_WORTH_SAYING = 0.01
"""The part of what was paid: prices are rounded, and published ones know no cache."""
_RATE_LIMITED = "rate_limited"


class Cheaper(NamedTuple):
    """What ``:cheapest`` would have saved: the router takes the lowest price of the answer's tokens."""

    provider: str
    prompt_tokens: int
    completion_tokens: int
    price: Tuple[float, float]
    """Published, of a million tokens: of the prompt, and of the answer."""
    paid: float
    would_cost: float

    @property
    def saved(self) -> float:
        """The part of what was paid, from 0 to 1."""
        return 1 - self.would_cost / self.paid


class Measured(NamedTuple):
    """The calls of one model at one provider; medians, of those that tell."""

    provider: str
    calls: int
    cost_per_million: Optional[float]
    """Of tokens of both kinds, as they came."""
    first_token_s: Optional[float]
    tokens_per_second: Optional[float]
    rate_limited: float
    """The part of the calls, from 0 to 1."""
    published: Optional[Offer]


class Advice(NamedTuple):
    """Of one model, without a suffix that names a provider or a policy."""

    model: str
    providers: List[Measured]
    """Those with enough calls, the most called first."""
    cheaper: Optional[Cheaper]


def advise(calls: Iterable[Call], offers: Mapping[str, Mapping[str, Offer]]) -> List[Advice]:
    """What can be said of each model that the router served; ``offers`` as ``router_models.offers`` gives them."""
    by_model: Dict[str, Dict[str, List[Call]]] = {}
    for call in calls:
        if call.base_model and call.provider:
            by_model.setdefault(call.base_model, {}).setdefault(call.provider, []).append(call)
    found = []
    for model, by_provider in by_model.items():
        enough = {provider: theirs for provider, theirs in by_provider.items() if len(theirs) >= ENOUGH}
        if enough:
            offered = offers.get(model, {})
            measured = [_measured(provider, theirs, offered.get(provider)) for provider, theirs in enough.items()]
            measured.sort(key=lambda one: (-one.calls, one.provider))
            found.append(Advice(model, measured, _cheaper([call for one in enough.values() for call in one], offered)))
    return sorted(found, key=lambda advice: (-sum(one.calls for one in advice.providers), advice.model))


def _measured(provider: str, calls: Sequence[Call], published: Optional[Offer]) -> Measured:
    paid = [call for call in calls if _is_paid(call)]
    tokens = sum(sum(_tokens(call)) for call in paid)
    limited = sum(call.status_code == 429 or call.error_kind == _RATE_LIMITED for call in calls)
    return Measured(
        provider,
        len(calls),
        math.fsum(call.cost or 0.0 for call in paid) / tokens * 1e6 if tokens else None,
        _median(call.first_token_s for call in calls),
        _median(call.tokens_per_second for call in calls),
        limited / len(calls),
        published,
    )


def _cheaper(calls: Sequence[Call], offered: Mapping[str, Offer]) -> Optional[Cheaper]:
    paid = [call for call in calls if _is_paid(call)]
    total = math.fsum(call.cost or 0.0 for call in paid)
    priced = [(offer.price[::-1], provider) for provider, offer in offered.items() if offer.price and offer.is_live]
    if len(paid) < ENOUGH or not priced:
        return None
    (received, sent), provider = min(priced)
    prompt, completion = (sum(column) for column in zip(*map(_tokens, paid)))
    would_cost = float(prompt * sent + completion * received) / 1e6
    cheaper = Cheaper(provider, prompt, completion, (float(sent), float(received)), total, would_cost)
    return cheaper if cheaper.saved >= _WORTH_SAYING else None


def _is_paid(call: Call) -> bool:
    return bool(call.cost) and None not in call.tokens[:2]


def _tokens(call: Call) -> Tuple[int, int]:
    return call.tokens[0] or 0, call.tokens[1] or 0


def _median(values: Iterable[Optional[float]]) -> Optional[float]:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def as_dictionary(advice: Advice) -> Dict[str, Any]:
    """In the shape that ``report`` documents for --json."""
    cheaper = advice.cheaper
    return {
        "model": advice.model,
        "providers": [
            {**one._asdict(), "published": None if one.published is None else _published(one.published)}
            for one in advice.providers
        ],
        "cheapest": None if cheaper is None else {**cheaper._asdict(), "saved": cheaper.saved},
    }


def _published(offer: Offer) -> Dict[str, Any]:
    return {**offer._asdict(), "price": None if offer.price is None else [float(amount) for amount in offer.price]}
