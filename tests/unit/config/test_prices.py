"""A file in, a price list out, or what is wrong with it."""

import os
from decimal import Decimal

import pytest

from hf_openobserve.config import prices

GOOD = {"input": 0.1, "output": 0.2}


def test_amounts_are_decimal():
    found = prices.parse(
        '{"per_million_tokens": {"A/b": {"Novita": {"input": 0.1, "output": 2, "cached_input": 1e-3}}}}'
    )
    assert list(found.entries()) == [
        ("a/b", "novita", prices.Price(Decimal("0.1"), Decimal(2), Decimal("0.001"))),
    ]
    assert (found.currency, found.date, found.problems) == ("USD", "", ())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "Expecting value"),
        ("[]", "has neither"),
        ("{}", "has neither"),
        ('{"per_million_tokens": {}, "currency": "dollars"}', "three capital letters"),
        ('{"per_million_tokens": {"a": {"b": {"input": NaN, "output": 1}}}}', "a number NaN"),
        ('{"per_hour": ' + "[" * 100000 + "]" * 100000 + "}", "nested"),
    ],
)
def test_no_price_list(text, what):
    with pytest.raises(ValueError, match=what):
        prices.parse(text)


@pytest.mark.parametrize(
    "price",
    [
        "0.1",
        "null",
        '{"input": 0.1}',
        '{"input": 0.1, "output": "0.2"}',
        '{"input": 0.1, "output": true}',
        '{"input": -0.1, "output": 0.1}',
        '{"input": 0.1, "output": 1e400}',
        '{"input": 0.1, "output": 0.2, "cached": 0.1}',
    ],
)
def test_a_wrong_price_is_left_out_and_the_others_hold(price):
    text = f'{{"per_million_tokens": {{"m": {{"bad": {price}, "good": {{"input": 0.1, "output": 0.2}}}}}}}}'
    found = prices.parse(text)
    assert [entry[:2] for entry in found.entries()] == [("m", "good")]
    assert found.problems == ('m at bad: is not {"input": 0.1, "output": 0.2}',)


def test_the_packages_own():
    found = prices.bundled()
    entries = list(found.entries())
    assert found.problems == ()
    assert found.date >= "2026-11-29"
    assert len(entries) > 200
    assert {provider for _, provider, _ in entries} >= {"novita", "together", "fireworks-ai", "groq", "cerebras"}
    for model, provider, price in entries:
        assert Decimal(0) <= price.input <= price.output * 2 <= Decimal(200), (model, provider)  # of a million tokens
        assert price.cached is None or price.cached <= price.input, (model, provider)
    assert sum(price.cached is not None for *_, price in entries) > 30


def test_a_file(tmp_path):
    file = tmp_path / "prices.json"
    file.write_text('\ufeff{"per_hour": {"h": 2}}', "utf-8")
    assert prices.of_file(str(file)).per_hour == {"h": 2}
    file.write_bytes(b"\xff{}")
    with pytest.raises(ValueError, match="UTF-8"):
        prices.of_file(str(file))
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises((ValueError, OSError)):
            prices.of_file(str(path))


def test_other_wrong_members():
    found = prices.parse('{"per_million_tokens": {"m": 1}, "per_hour": {"h": "1", "i": 2}, "date": "today"}')
    assert (found.models, found.per_hour, found.date) == ({}, {"i": Decimal(2)}, "")
    assert found.problems == ("m: is no object", "per_hour of h: is no amount", "date: is not as 2026-11-29")
