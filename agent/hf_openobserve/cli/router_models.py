"""What Hugging Face's router publishes of its models: who offers each, at which price, and how fast it is there."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

URL = "https://router.huggingface.co/v1/models"
TIMEOUT_S = 30
_MOST_BYTES = 32 * 1024 * 1024


class Offer(NamedTuple):
    """One model at one provider. What is not published is None."""

    price: Optional[Tuple[Decimal, Decimal]] = None
    """US dollars for a million tokens: of the prompt, and of the answer."""
    first_token_s: Optional[float] = None
    tokens_per_second: Optional[float] = None
    is_live: bool = True


def fetch(url: str) -> Any:
    """The router's list. Raises OSError, and ValueError for what is none."""
    import requests

    # No netrc: the list needs no key, and whoever answers must not get one. The proxies of the environment count.
    with requests.get(url, timeout=TIMEOUT_S, stream=True, auth=lambda request: request) as response:
        if response.status_code != 200:
            raise ValueError(f"answers {response.status_code}")
        body = b""
        for piece in response.iter_content(65536):
            body += piece
            if len(body) > _MOST_BYTES:
                raise ValueError("answers without end")
    return json.loads(body, parse_float=Decimal)


def offers(answer: Any) -> Dict[str, Dict[str, Offer]]:
    """Model -> provider -> what is offered, of an answer of ``/v1/models``. What has another form is left out."""
    found: Dict[str, Dict[str, Offer]] = {}
    for model in _list(_member(answer, "data")):
        name = _member(model, "id")
        for provider in _list(_member(model, "providers")) if isinstance(name, str) else ():
            offered_by = _member(provider, "provider")
            if isinstance(offered_by, str):
                found.setdefault(name, {})[offered_by] = _offer(provider)
    return found


def _offer(provider: Any) -> Offer:
    asked = _member(provider, "pricing")
    sent, received = _amount(_member(asked, "input")), _amount(_member(asked, "output"))
    latency_ms, pace = _amount(_member(provider, "first_token_latency_ms")), _amount(_member(provider, "throughput"))
    return Offer(
        None if sent is None or received is None else (sent, received),
        None if latency_ms is None else float(latency_ms) / 1000,
        None if pace is None else float(pace),
        _member(provider, "status") in (None, "live"),
    )


def _amount(value: Any) -> Optional[Decimal]:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 10**6 else None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []
