"""Model prices: the definitions (contract 3.6, recorded), and what they make a call cost."""

from __future__ import annotations

import re
from typing import Any, Dict, Optional

from .http import Answer, json_answer
from .organization import Objects
from .routing import Call, Route, failed, merged, require, text_id


def cost_of(model: Optional[str], tokens: Dict[str, int], prices: Objects) -> float:
    """USD of one call, by the first enabled definition whose pattern is in the model's name; -0.0 without one."""
    for price in prices.values():
        if model is not None and price["enabled"] and _matches(price["match_pattern"], model):
            per_token = price["tiers"][0]["prices"]
            return float(sum(per_token.get(name, 0) * count for name, count in tokens.items()))
    return -0.0


def _matches(pattern: str, model: str) -> bool:
    try:
        return re.search(pattern, model) is not None
    except re.error:
        return False


def _list(call: Call) -> Answer:
    return json_answer(200, list(call.org.prices.values()))


def _create(call: Call) -> Answer:
    body = call.json()
    require(body, ("name", "match_pattern", "tiers"))
    if body["name"] in {price["name"] for price in call.org.prices.values()}:
        message = f"A model pricing definition with name '{body['name']}' already exists in this organization"
        return failed(400, message)
    now_us = int(call.api.now() * 1000000)
    price = _price(call, text_id(), body, now_us, now_us)
    call.org.prices[price["id"]] = price
    return json_answer(201, price)


def _update(call: Call) -> Answer:
    found = call.org.prices.get(call.names[0])
    if found is None:
        return failed(404, "Model pricing definition not found")
    body = merged(found, call.json())
    call.org.prices[found["id"]] = _price(call, found["id"], body, found["created_at"], int(call.api.now() * 1000000))
    return json_answer(200, call.org.prices[found["id"]])


def _price(call: Call, price_id: str, body: Dict[str, Any], created_us: int, updated_us: int) -> Dict[str, Any]:
    return {
        "id": price_id,
        "org_id": call.org.name,
        "name": body["name"],
        "match_pattern": body["match_pattern"],
        "enabled": body.get("enabled", True),
        "tiers": body["tiers"],
        "sort_order": body.get("sort_order", 0),
        "source": "org",
        "created_at": created_us,
        "updated_at": updated_us,
    }


_MODELS = r"/api/([^/]+)/llm/models"
ROUTES = (
    Route("GET", _MODELS, _list),
    Route("POST", _MODELS, _create),
    Route("PUT", _MODELS + r"/([^/]+)", _update),
)
