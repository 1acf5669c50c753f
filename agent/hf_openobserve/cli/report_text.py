"""What ``hf-openobserve report`` shows to people: tables of calls, costs, errors and advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Sequence, Tuple

import click

from hf_openobserve.cli import advice, contents, outbox, router_models
from hf_openobserve.cli.calls import (
    COUNTED,
    Call,
    answering,
    by_model,
    by_provider,
    cost_text,
    duration_text,
    summary,
    time_text,
)

if TYPE_CHECKING:
    from rich.console import Console


def show_models(console: Console, calls: Sequence[Call]) -> None:
    """Calls per model, what was paid to whom, and errors by kind."""
    table = outbox.plain_table()
    table.add_column("model", overflow="fold")
    for title in ("calls", "errors", "prompt", "completion", "total", "p50", "p95"):
        table.add_column(title, justify="right", no_wrap=True)
    models = by_model(calls)
    for model, theirs in models:
        others = answering(model, theirs)
        name = contents.one_line(model)
        if others:
            name += "\n  answered by " + ", ".join(contents.one_line(other) for other in others)
        table.add_row(name, *_figures(summary(theirs)))
    if len(models) > 1:
        table.add_section()
        table.add_row("all", *_figures(summary(calls)))
    console.print(table)
    _show_costs(console, calls)
    _show_errors(console, models)
    unknown = summary(calls)["calls_without_usage"]
    if unknown:
        console.print(f"\nThe answers of {counted(unknown, 'call')} named no tokens.", soft_wrap=True)


def _show_costs(console: Console, calls: Sequence[Call]) -> None:
    costs = [one for one in by_provider(calls) if one["cost"]]
    if not costs:
        return
    table = outbox.plain_table()
    for title in ("cost", "calls"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("provider", overflow="fold")
    table.add_column("model", overflow="fold")
    for one in costs:
        provider = contents.one_line(one["provider"] or "-")
        table.add_row(cost_text(one["cost"]), f"{one['calls']:,}", provider, contents.one_line(one["model"]))
    if len(costs) > 1:
        table.add_section()
        total = summary(calls)["cost"]
        table.add_row(cost_text(total), f"{sum(one['calls'] for one in costs):,}", "all", "")
    console.print()
    console.print(table)


def show_advice(console: Console, advised: Sequence[advice.Advice]) -> None:
    """Per model its providers, as measured and as published, and what the cheapest would have saved."""
    if not advised:
        console.print(
            f"No provider of Hugging Face's router answered {advice.ENOUGH} calls of one model: nothing is advised.",
            soft_wrap=True,
        )
    for one in advised:
        console.print(contents.one_line(one.model))
        table = outbox.plain_table()
        table.add_column("provider", overflow="fold")
        for title in ("calls", "cost of 1M tokens", "first token", "tokens/s", "429"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("published: price of 1M, first token, tokens/s", overflow="fold")
        for measured in one.providers:
            table.add_row(*_measured(measured))
        console.print(table)
        if one.cheaper is not None:
            console.print(_saving(one.cheaper), soft_wrap=True)
        console.print()


def _measured(measured: advice.Measured) -> List[str]:
    return [
        contents.one_line(measured.provider),
        f"{measured.calls:,}",
        "-" if measured.cost_per_million is None else cost_text(measured.cost_per_million),
        _seconds_text(measured.first_token_s),
        _pace_text(measured.tokens_per_second),
        f"{measured.rate_limited:.0%}",
        "-" if measured.published is None else _published(measured.published),
    ]


def _published(offer: router_models.Offer) -> str:
    price = "-" if offer.price is None else " + ".join(f"{amount:f}" for amount in offer.price)
    return f"{price}, {_seconds_text(offer.first_token_s)}, {_pace_text(offer.tokens_per_second)}"


def _seconds_text(seconds: Optional[float]) -> str:
    return duration_text(None if seconds is None else seconds * 1e6)


def _pace_text(tokens_per_second: Optional[float]) -> str:
    return "-" if tokens_per_second is None else f"{tokens_per_second:,.0f}"


def _saving(cheaper: advice.Cheaper) -> str:
    sent, received = cheaper.price
    return (
        f":cheapest would have saved {cheaper.saved:.0%}: {cheaper.prompt_tokens:,} tokens x {sent:g} + "
        f"{cheaper.completion_tokens:,} tokens x {received:g} for a million "
        f"at {contents.one_line(cheaper.provider)} is "
        f"{cost_text(cheaper.would_cost)} USD, and {cost_text(cheaper.paid)} was paid."
    )


def _show_errors(console: Console, models: Sequence[Tuple[str, List[Call]]]) -> None:
    rows = [(kind, model) for model, calls in models for kind in summary(calls)["errors_by_kind"]]
    if not rows:
        return
    table = outbox.plain_table()
    table.add_column("errors", justify="right", no_wrap=True)
    table.add_column("HTTP", justify="right", no_wrap=True)
    table.add_column("error", overflow="fold")
    table.add_column("model", overflow="fold")
    for kind, model in sorted(rows, key=lambda row: -row[0]["count"]):
        code = "-" if kind["status_code"] is None else str(kind["status_code"])
        name = contents.one_line(kind["kind"] or kind["type"])
        table.add_row(f"{kind['count']:,}", code, name, contents.one_line(model))
    console.print()
    console.print(table)


def _figures(figures: Mapping[str, Any]) -> List[str]:
    tokens = (figures["tokens"][name] for name in COUNTED)
    return [
        f"{figures['calls']:,}",
        f"{figures['errors']:,}",
        *("-" if count is None else f"{count:,}" for count in tokens),
        duration_text(figures["duration_us"]["p50"]),
        duration_text(figures["duration_us"]["p95"]),
    ]


def show_calls(calls: Sequence[Call]) -> None:
    """Plain lines, in columns as wide as needed: a line is one call, also for grep and awk."""
    rows = [_cells(call) for call in calls]
    widths = [max(len(row[index]) for row in rows) for index in range(6)]
    for began, service, model, duration, tokens, cost, outcome in rows:
        click.echo(
            f"{began:<{widths[0]}}  {service:<{widths[1]}}  {model:<{widths[2]}}  {duration:>{widths[3]}}  "
            f"{tokens:>{widths[4]}}  {cost:>{widths[5]}}  {outcome}"
        )


def _cells(call: Call) -> Tuple[str, str, str, str, str, str, str]:
    model = contents.one_line(call.model)
    if call.answered_by not in (None, call.model):
        model += " -> " + contents.one_line(call.answered_by)
    prompt, completion, total = ("-" if count is None else str(count) for count in call.tokens[:3])
    tokens = f"{prompt}+{completion}={total}" if any(count is not None for count in call.tokens[:3]) else "-"
    outcome = "OK"
    if call.error_type is not None:
        code = "" if call.status_code is None else f" {call.status_code}"
        said = contents.one_line(call.error)
        outcome = f"ERROR {contents.one_line(call.error_type)}{code}" + (f": {said}" if said else "")
    return (
        time_text(call.start),
        contents.one_line(call.service),
        model,
        duration_text(call.duration_us),
        tokens,
        cost_text(call.cost) if call.cost else "-",
        outcome,
    )


def counted(count: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
