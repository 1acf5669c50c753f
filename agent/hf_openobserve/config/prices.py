"""Price lists, whoever made them: one form, in decimal.

Nothing here is imported where calls are made: prices are for who sends calls, or shows them.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pkgutil
import re
import stat
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, NoReturn, Optional, Tuple

ANY_PROVIDER = "*"
"""Stands for every provider that has no price of its own."""
MOST_BYTES = 4 * 1024 * 1024

_KEYS = ("input", "output", "cached_input")


class Price(NamedTuple):
    """Of a million tokens."""

    input: Decimal
    output: Decimal
    cached: Optional[Decimal] = None
    """Of a prompt's tokens that came from a cache; None: as ``input``."""


class PriceList(NamedTuple):
    """What a file says. Models, providers and hosts are lower case: the Hub's ids differ in more than their case."""

    models: Mapping[str, Mapping[str, Price]]
    """Model -> provider -> price."""
    per_hour: Mapping[str, Decimal] = MappingProxyType({})
    """Host of a dedicated endpoint -> price of an hour."""
    currency: str = "USD"
    date: str = ""
    """When the prices were taken, ``YYYY-MM-DD``; empty if the file does not tell."""
    problems: Tuple[str, ...] = ()
    """What was left out, for people."""

    def of(self, model: str, provider: str) -> Optional[Price]:
        """The price of a model at a provider; None if it is not known."""
        by_provider = self.models.get(model.lower())
        if by_provider is None:
            return None
        return by_provider.get(provider.lower()) or by_provider.get(ANY_PROVIDER)

    def entries(self) -> Iterator[Tuple[str, str, Price]]:
        """Each model, provider and price."""
        for model, by_provider in self.models.items():
            for provider, price in by_provider.items():
                yield model, provider, price


def parse(text: str) -> PriceList:
    """The price list in such a file. What is wrong in it is left out and said; the rest holds.

    Raises ValueError if it is no price list at all.
    """
    try:
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(document, dict) or not any(key in document for key in ("per_million_tokens", "per_hour")):
        raise ValueError('has neither "per_million_tokens" nor "per_hour"')
    problems: List[str] = []
    models: Dict[str, Dict[str, Price]] = {}
    for model, by_provider in _members(document, "per_million_tokens", problems):
        for provider, value in _members({model: by_provider}, model, problems):
            price = _price(value)
            if price is None:
                problems.append(f'{model} at {provider}: is not {{"input": 0.1, "output": 0.2}}')
            else:
                models.setdefault(model.lower(), {})[provider.lower()] = price
    per_hour: Dict[str, Decimal] = {}
    for host, value in _members(document, "per_hour", problems):
        if _is_amount(value):
            per_hour[host.lower()] = value
        else:
            problems.append(f"per_hour of {host}: is no amount")
    currency, date = document.get("currency", "USD"), document.get("date", "")
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise ValueError("has a currency that is not three capital letters, as USD")
    if date and not _is_day(date):
        problems.append("date: is not as 2026-11-29")
        date = ""
    return PriceList(models, per_hour, currency, date, tuple(problems))


def bundled() -> PriceList:
    """The package's own, of the providers behind Hugging Face's router. `deploy/bundle_prices.py` writes it."""
    data = pkgutil.get_data(__package__, "prices.json")
    assert data is not None
    return parse(data.decode())


def of_file(path: str) -> PriceList:
    """What a file says. Raises OSError, or ValueError with what is wrong: neither names the path."""
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise ValueError(f"is no file of at most {MOST_BYTES // 2**20} MiB")
        data = file.read()
    try:
        return parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8") from None


def reason(error: Exception) -> str:
    """Why ``of_file`` did not read a file, without its path."""
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)


def _without_waiting(path: str, flags: int) -> int:
    """A pipe would wait for its writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _is_day(text: Any) -> bool:
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        dt.date(*map(int, text.split("-")))
    except ValueError:
        return False
    return True


def _members(document: Mapping[str, Any], key: str, problems: List[str]) -> List[Tuple[str, Any]]:
    value = document.get(key, {})
    if isinstance(value, dict):
        return list(value.items())
    problems.append(f"{key}: is no object")
    return []


def _price(value: Any) -> Optional[Price]:
    """None if it is none: what is misspelt must not count as left out."""
    if not isinstance(value, dict) or not {"input", "output"} <= set(value) <= set(_KEYS):
        return None
    if not all(map(_is_amount, value.values())):
        return None
    return Price(value["input"], value["output"], value.get("cached_input"))


def _is_amount(value: Any) -> bool:
    return isinstance(value, Decimal) and 0 <= value < Decimal("1e9") and value.adjusted() > -20


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"has a number {name}")
