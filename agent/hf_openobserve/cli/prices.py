"""``hf-openobserve prices``: which price lists count here, the price of a model, and the router's list of today."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import click

from hf_openobserve.cli import calls, contents, outbox, router_models
from hf_openobserve.config import prices
from hf_openobserve.config.prices import Price, PriceList
from hf_openobserve.outbox import pricing
from hf_openobserve.outbox.directory import OutboxUnavailableError
from hf_openobserve.process import diagnostics
from hf_openobserve.wire.routing import split_model

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Settings

_FAR_OFF = 100
"""Times the price of another provider of the same model, or of the same one before: it is a mistake, of a unit say."""


class Source(NamedTuple):
    """One list that counts here."""

    name: str
    path: Optional[str]
    prices: PriceList


@click.group("prices", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def prices_command(context: click.Context, as_json: bool) -> None:
    """Show the price lists, in the order in which they count (docs/cost.md), and which calls of the outbox they price.

    \b
    hf-openobserve prices
    hf-openobserve prices check openai/gpt-oss-20b:groq
    hf-openobserve prices update

    \b
    The shape of --json:
    {"lists": [{"name", "path" or null, "date", "currency", "models", "prices",
       "hosts", "age_days" or null, "problems": [text]}],
     "outbox": {"calls", "priced", "unpriced": [{"model", "provider", "calls"}]}}
    """  # noqa: D301 - click looks for the character
    if context.invoked_subcommand is not None:
        return
    settings = outbox.load_settings()
    lists = [_as_json(source) for source in sources(settings)]
    covered = _coverage(settings)
    if as_json:
        click.echo(json.dumps({"lists": lists, "outbox": covered}, indent=2))
        return
    for one in lists:
        age = "" if one["age_days"] is None else f", {one['age_days']} days old"
        hosts = f", {one['hosts']} endpoints by the hour" if one["hosts"] else ""
        where = f" ({contents.one_line(one['path'])})" if one["path"] else ""
        dated = f" of {one['date']}{age}" if one["date"] else ""
        click.echo(f"{one['name']}{dated}: {one['prices']:,} prices of {one['models']:,} models{hosts}{where}")
        for problem in one["problems"]:
            click.echo(f"  left out: {contents.one_line(problem)}")
    if covered["calls"]:
        click.echo(
            f"\nOf {covered['calls']:,} calls in the outbox that count tokens, {covered['priced']:,} have a price."
        )
    for one in covered["unpriced"]:
        place = f" at {contents.one_line(one['provider'])}" if one["provider"] else ""
        click.echo(f"  without one: {contents.one_line(one['model'])}{place}, calls: {one['calls']:,}")


@prices_command.command("check")
@click.argument("model")
def check_command(model: str) -> None:
    """Show what a million tokens of MODEL cost: at each provider, or at MODEL:PROVIDER.

    Exit status 1 if no list knows it.
    """
    asked = split_model(model)
    found: Dict[str, Tuple[Price, Source]] = {}
    for source in sources(outbox.load_settings()):
        for provider, price in source.prices.models.get(asked.base.lower(), {}).items():
            found.setdefault(provider, (price, source))
    if asked.provider:
        pinned = asked.provider.lower()
        known = found.get(pinned) or found.get(prices.ANY_PROVIDER)
        found = {} if known is None else {pinned: known}
    if not found:
        _complain(f"no list knows a price of {model}: its cost is absent")
        sys.exit(1)
    table = outbox.plain_table()
    table.add_column("provider")
    for title in ("input", "cached input", "output"):
        table.add_column(title, justify="right")
    table.add_column("from")
    for provider, (price, source) in sorted(found.items(), key=lambda entry: (entry[1][0].output, entry[0])):
        cached = "-" if price.cached is None else f"{price.cached:f}"
        dated = f"{source.name} {source.prices.date}".strip()
        currency = source.prices.currency
        table.add_row(provider, f"{price.input:f} {currency}", cached, f"{price.output:f} {currency}", dated)
    outbox.plain_console().print(table)


@prices_command.command("update")
@click.option("--url", default=router_models.URL, show_default=True, help="Where the router lists its models.")
def update_command(url: str) -> None:
    """Take today's list from Hugging Face's router: no key is sent. It goes before the package's own.

    A price that is 100 times another one of the same model is not taken, and said. Exit status 1 if nothing was.
    """
    try:
        path = pricing.updated_path()
        answer = router_models.fetch(url)
        taken, refused = from_router(answer, _before())
        _write(path, taken)
    except (OSError, ValueError, OutboxUnavailableError) as error:
        _complain(f"{url}: {error}")
        sys.exit(1)
    for line in refused:
        _complain(f"not taken: {line}")
    count = sum(map(len, taken.values()))
    click.echo(f"{count:,} prices of {len(taken):,} models in {path}")


def sources(settings: Settings) -> Iterator[Source]:
    """The lists that count here, in their order. What cannot be used is said."""
    if settings.prices and settings.prices != pricing.OFF:
        try:
            yield Source("OPENOBSERVE_HF_PRICES", settings.prices, prices.of_file(settings.prices))
        except (OSError, ValueError) as error:
            _complain(f"{settings.prices} is not used: {prices.reason(error)}")
    try:
        taken = pricing.updated()
    except (OSError, ValueError) as error:
        _complain(f"{pricing.updated_path()} is not used: {prices.reason(error)}")
    else:
        if taken is not None:
            yield Source("router", pricing.updated_path(), taken)
    yield Source("package", None, prices.bundled())


def _coverage(settings: Settings) -> Dict[str, Any]:
    """Which of the outbox's calls have a price, of those one is asked for: they have not failed, and count tokens."""
    reading = calls.read(contents.roots(None, settings), priced=pricing.Pricing(settings.prices))
    contents.say("prices", reading.unread)
    asked = [call for call in reading.calls if call.error_type is None and call.tokens[0] is not None]
    unpriced = calls.by_provider(call for call in asked if call.cost is None)
    return {
        "calls": len(asked),
        "priced": sum(call.cost is not None for call in asked),
        "unpriced": [{name: one[name] for name in ("model", "provider", "calls")} for one in unpriced],
    }


def from_router(answer: Any, before: PriceList) -> Tuple[Dict[str, Dict[str, Dict[str, Decimal]]], List[str]]:
    """(model -> provider -> price of a million tokens, what was refused) of an answer of the router's ``/v1/models``.

    ``before``: the prices that are known so far. Raises ValueError if there is none to take.
    """
    taken: Dict[str, Dict[str, Dict[str, Decimal]]] = {}
    refused: List[str] = []
    for name, offered in router_models.offers(answer).items():
        found = {provider: offer.price for provider, offer in offered.items() if offer.price is not None}
        for offered_by, price in found.items():
            before_of_model = before.models.get(name.lower(), {})
            own = before_of_model.get(offered_by.lower())
            others = [(old.input, old.output) for old in ([own] if own else before_of_model.values())]
            others = others or [other for provider, other in found.items() if provider != offered_by]
            # One wrong price among several must not make the others wrong.
            if sum(_is_far_off(price, other) for other in others) * 2 > len(others):
                refused.append(f"{name} at {offered_by}: {price[0]:f} and {price[1]:f} for a million tokens")
            else:
                taken.setdefault(name, {})[offered_by] = {"input": price[0], "output": price[1]}
    if not taken:
        raise ValueError("it names no prices that can be right")
    return taken, refused


def _is_far_off(price: Tuple[Decimal, Decimal], other: Tuple[Decimal, Decimal]) -> bool:
    return any(
        one and another and max(one, another) >= _FAR_OFF * min(one, another) for one, another in zip(price, other)
    )


def _before() -> PriceList:
    known = [source.prices for source in sources(outbox.load_settings())]
    models: Dict[str, Dict[str, Price]] = {}
    for listed in reversed(known):
        for model, provider, price in listed.entries():
            models.setdefault(model, {})[provider] = price
    return PriceList(models)


def _write(path: str, taken: Dict[str, Dict[str, Dict[str, Decimal]]]) -> None:
    """At once or not at all."""
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    document = {"date": today, "currency": "USD", "per_million_tokens": taken}
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, default=float)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _as_json(source: Source) -> Dict[str, Any]:
    listed = source.prices
    age = None
    if listed.date:
        age = (dt.datetime.now(dt.timezone.utc).date() - _day(listed.date)).days
    return {
        "name": source.name,
        "path": source.path,
        "date": listed.date or None,
        "currency": listed.currency,
        "models": len(listed.models),
        "prices": sum(1 for _ in listed.entries()),
        "hosts": len(listed.per_hour),
        "age_days": age,
        "problems": list(listed.problems),
    }


def _day(text: str) -> dt.date:
    return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.timezone.utc).date()


def _complain(text: str) -> None:
    click.echo(f"hf-openobserve prices: {diagnostics.without_secrets(contents.one_line(text))}", err=True)
