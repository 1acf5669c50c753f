"""Writes the price list that the package brings along, from genai-prices: `make prices`. Needs Python 3.11 or newer.

genai-prices (MIT, Pydantic Services Inc.) has a table of each provider behind Hugging Face's router, and one of each
provider itself. The router bills what the provider asks, so the rate of cached tokens, which the first does not have,
is taken from the second where both ask the same for all others.
"""

import datetime as dt
import importlib.metadata
import json
import os
from decimal import Decimal
from typing import Any, Dict, Iterator, Optional, Tuple

from genai_prices import data  # in no virtual environment of the project's

FILE = os.path.join(os.path.dirname(__file__), "..", "agent", "hf_openobserve", "config", "prices.json")
NOTICE = """From genai-prices {version}, https://github.com/pydantic/genai-prices

The MIT License (MIT)

{licence}"""
TODAY = dt.datetime.now(dt.timezone.utc).date()


def names(match: Any) -> Iterator[str]:
    """The ids that a model is asked for by. ``-fast`` is an alias of the table's, no id of the Hub's."""
    for clause in getattr(match, "or_", [match]):
        name = getattr(clause, "equals", None)
        if name and not name.endswith("-fast"):
            yield name.lower()


def bare(name: str) -> str:
    """A model without whose it is. Fireworks writes ``accounts/fireworks/models/glm-4p6``."""
    return name.rpartition("/")[2].replace("p", ".")


def today(prices: Any) -> Any:
    """Of prices that change with time, today's."""
    if not isinstance(prices, list):
        return prices
    held = [entry.prices for entry in prices if getattr(entry.constraint, "start_date", dt.date.min) <= TODAY]
    return held[-1] if held else None


def flat(prices: Any) -> Optional[Tuple[Decimal, Decimal, Optional[Decimal]]]:
    """Input, output, cached input; None if they depend on the length of the prompt, or are not by token."""
    found = [getattr(prices, key, None) for key in ("input_mtok", "output_mtok", "cache_read_mtok")]
    if not all(isinstance(value, Decimal) for value in found[:2]) or not isinstance(found[2], (Decimal, type(None))):
        return None
    # Some are the result of a division: 1.0399999999999998.
    rounded = [None if value is None else round(value, 9) for value in found]
    return rounded[0], rounded[1], rounded[2]


def cached_rates(provider: str) -> Dict[Tuple[str, Decimal, Decimal], Decimal]:
    """(model, input, output) -> rate of cached tokens, at the provider itself."""
    rates = {}
    for native in data.providers:
        if native.id == provider.replace("fireworks-ai", "fireworks"):
            for model in native.models:
                price = flat(today(model.prices))
                for name in names(model.match) if price and price[2] is not None else ():
                    rates[bare(name), price[0], price[1]] = price[2]
    return rates


def main() -> None:
    """Write the file."""
    table: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for provider in data.providers:
        _, found, name = provider.id.partition("huggingface_")
        if not found:
            continue
        rates = cached_rates(name)
        for model in provider.models:
            price = flat(today(model.prices))
            if price is None:
                continue
            for hub_id in names(model.match):
                cached = price[2] if price[2] is not None else rates.get((bare(hub_id), price[0], price[1]))
                entry = {"input": float(price[0]), "output": float(price[1])}
                if cached is not None:
                    entry["cached_input"] = float(cached)
                table.setdefault(hub_id, {})[name] = entry
    distribution = importlib.metadata.distribution("genai-prices")
    licence = distribution.read_text("licenses/LICENSE") or ""
    document = {
        "notice": NOTICE.format(version=distribution.version, licence=licence.partition("\n\n")[2].strip()),
        "date": str(TODAY),
        "currency": "USD",
        "per_million_tokens": dict(sorted(table.items())),
    }
    with open(FILE, "w", encoding="utf-8") as file:
        head = {key: value for key, value in document.items() if key != "per_million_tokens"}
        lines = [
            f" {json.dumps(model)}: {json.dumps(dict(sorted(prices.items())), separators=(',', ':'))}"
            for model, prices in document["per_million_tokens"].items()
        ]
        file.write(json.dumps(head)[:-1] + ', "per_million_tokens": {\n' + ",\n".join(lines) + "\n}}\n")
    entries = [entry for prices in table.values() for entry in prices.values()]
    print(
        f"{len(table)} models, {len(entries)} prices, {sum('cached_input' in entry for entry in entries)} of the cache"
    )


if __name__ == "__main__":
    main()
