"""``hf-openobserve report``: calls per model, one by one, or as a page to look at.

They are read from the outbox, which needs no server, or from OpenObserve. Nothing is changed.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import click

from hf_openobserve.cli import advice, contents, outbox, page, router_models
from hf_openobserve.cli.calls import (
    COUNTED,
    Call,
    Reading,
    answering,
    as_dictionary,
    by_model,
    by_provider,
    cost_text,
    duration_text,
    known,
    read,
    summary,
    time_text,
)
from hf_openobserve.cli.options import origin_option
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from rich.console import Console

    from hf_openobserve.config.settings import Settings

MISCONFIGURED = 2
DEFAULT_SINCE_S = 86400
"""Of OpenObserve, which has more than anybody wants to see at once."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(_: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[float]:
    """``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``; a bare number is seconds.

    Raises ``click.BadParameter`` for others.
    """
    text = (value or "").strip().lower()
    if value is None or re.fullmatch(r"\d+(\.\d+)?", text):
        return None if value is None else float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?[smhdw])+", text):
        raise click.BadParameter(f"{value!r} is no duration; write 90s, 30m, 2h, 1d or 1h30m", param=option)
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"([\d.]+)([smhdw])", text))


@click.command("report")
@click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False),
    metavar="D",
    help="An outbox, or a directory of segments. Default: where the agent keeps its outbox.",
)
@origin_option
@click.option(
    "--since",
    callback=seconds,
    metavar="DURATION",
    help="Only what began so long ago or later: 90s, 30m, 2h, 1d. Default: all; of OpenObserve 1d.",
)
@click.option("--calls", "one_by_one", is_flag=True, help="One line per call, in the order of time.")
@click.option(
    "--html",
    "page_path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a page for a browser instead: one file, which loads nothing from a network.",
)
@click.option("--no-content", is_flag=True, help="Leave prompts and answers out of that page.")
@click.option(
    "--advise",
    is_flag=True,
    help="Which provider of Hugging Face's router each model is best asked of: asks the router for its list.",
)
@click.option("--url", default=router_models.URL, show_default=True, help="Where the router lists its models.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def report_command(
    directory: Optional[str],
    origin: str,
    since: Optional[float],
    one_by_one: bool,
    page_path: Optional[str],
    no_content: bool,
    advise: bool,
    url: str,
    as_json: bool,
) -> None:
    """Show calls: per model, one by one with --calls, or as a page to look at with --html.

    \b
    hf-openobserve report
    hf-openobserve report --html calls.html
    hf-openobserve report --html calls.html --from openobserve --since 1d
    hf-openobserve report --advise --from openobserve --since 7d

    The outbox holds what no server has accepted yet; without a destination, everything. It can be read while programs
    write to it. From OpenObserve come the calls of all services in the configured stream, the newest 50,000 of more.
    That takes a user who may search, by OPENOBSERVE_HF_ADMIN_TOKEN where the agent's own token may only write.

    What a call cost is computed as where it is sent (docs/cost.md), and is not known of every one.
    Latencies are of all calls, failed ones too; a percentile is the latency of a real call (nearest rank).
    The page has charts, errors with remedies and a table of the newest 10,000 calls to filter, each with its prompt and answer
    where they were captured; it is readable for its owner alone (0600).

    --advise shows, of each provider that answered a model 30 times or more, what its calls cost and took, beside what the
    router publishes, and what ":cheapest" would have saved.

    Exit status: 0; 1 if something in the outbox is not ours to read, as standard error says; 2 if OpenObserve cannot be
    asked or the page cannot be written.

    \b
    The shape of --json ("calls" inside "models" is a number; the list of calls
    is there with --calls, "advice" with --advise; times are UTC, durations microseconds):
    {"outboxes": [path], "openobserve": {"url", "organization", "stream"} or null,
     "since": time or null, "older_left_out": true or false,
     "models": [{"model", "answered_by": [model], "calls", "errors",
       "errors_by_kind": [{"kind", "type", "status_code", "count"}],
       "tokens": {"prompt", "completion", "total"}, "cost",
       "calls_without_usage", "duration_us": {"p50", "p95"}}],
     "total": {as one of "models", without "model" and "answered_by"},
     "costs": [{"model", "provider", "calls", "cost"}],
     "other_spans": number, "unreadable_segments": number, "html": path or null,
     "advice": [{"model", "providers": [{"provider", "calls",
         "cost_per_million", "first_token_s", "tokens_per_second",
         "rate_limited", "published": {"price": [input, output],
         "first_token_s", "tokens_per_second", "is_live"} or null}],
       "cheapest": {"provider", "prompt_tokens", "completion_tokens", "price",
         "paid", "would_cost", "saved"} or null}],
     "calls": [{"time", "service", "model", "answered_by", "served_by",
       "duration_us", "time_to_first_token_s", "tokens_per_second",
       "tokens": {"prompt", "completion", "total", "cached", "reasoning"},
       "cost", "retries", "status",
       "error": {"kind", "type", "status_code", "message"} or null,
       "trace_id", "span_id"}]}
    "model" of a call, "kind" (docs/errors.md has them all), "status_code", what
    a call does not tell, and durations of no calls are null. "answered_by" of a
    model leaves out its own name.
    """  # noqa: D301 - click looks for the character
    if origin == "openobserve" and directory is not None:
        raise click.UsageError("--dir is of the outbox, not of --from openobserve")
    if no_content and page_path is None:
        raise click.UsageError("--no-content is of --html")
    settings = outbox.load_settings()
    now_ns = time.time_ns()
    if origin == "openobserve" and since is None:
        since = DEFAULT_SINCE_S
    since_ns = None if since is None else max(0, now_ns - int(since * 1e9))
    with_content = page_path is not None and not no_content
    if origin == "openobserve":
        found = _from_openobserve(settings, since_ns or 0, now_ns, with_content)
    else:
        found = _from_outbox(contents.roots(directory, settings), since_ns, Pricing(settings.prices))
    if page_path is not None:
        _write_page(page_path, found.reading.calls, page.Origin(found.name, since_ns, now_ns), with_content)
    advised = _advice(found.reading.calls, url) if advise else []
    if as_json:
        shown = {**found.as_dictionary(), **figures(found.reading, since_ns, one_by_one), "html": page_path}
        if advise:
            shown["advice"] = [advice.as_dictionary(one) for one in advised]
        click.echo(json.dumps(shown, indent=2))
    elif page_path is not None:
        click.echo(f"{_counted(len(found.reading.calls), 'call')} in {page_path}")
    elif advise:
        _show_advice(outbox.plain_console(), advised)
    else:
        if found.reading.calls and one_by_one:
            _show_calls(found.reading.calls)
        elif found.reading.calls:
            _show_models(outbox.plain_console(), found.reading.calls)
        _show_remainder(found, settings, since_ns)
    sys.exit(1 if found.reading.unread.lines else 0)


class Found(NamedTuple):
    """What was read, and where."""

    reading: Reading
    roots: List[str]
    """The outboxes, if it was there."""
    openobserve: Optional[Dict[str, str]] = None
    """The server, if it was there."""
    older_left_out: bool = False

    @property
    def name(self) -> str:
        """The place, for people."""
        if self.openobserve is not None:
            return "OpenObserve {url}, organization {organization}, stream {stream}".format(**self.openobserve)
        return f"Outbox {' or '.join(self.roots) or contents.NO_PLACE}"

    def as_dictionary(self) -> Dict[str, Any]:
        """In the shape that the command documents."""
        return {"outboxes": self.roots, "openobserve": self.openobserve, "older_left_out": self.older_left_out}


def _from_outbox(roots: List[str], since_ns: Optional[int], pricing: Pricing) -> Found:
    reading = read(roots, since_ns or 0, pricing)
    contents.say("report", reading.unread)
    return Found(reading, roots)


def _from_openobserve(settings: Settings, since_ns: int, now_ns: int, with_content: bool) -> Found:
    from rich.console import Console

    from hf_openobserve.cli import stored_calls
    from hf_openobserve.openobserve.api import Api, ApiError

    # On a terminal alone: elsewhere it draws nothing.
    progress = Console(stderr=True, highlight=False, markup=False, emoji=False).status("Asking OpenObserve")

    def advance(count: int) -> None:
        progress.update(f"Asking OpenObserve: {_counted(count, 'call')}")

    try:
        with Api(settings.destination) as api, progress:
            place = {"url": api.base_url, "organization": api.organization, "stream": api.stream}
            stored = stored_calls.read(
                api, since_ns // 1000, now_ns // 1000, with_content=with_content, advance=advance
            )
    except ApiError as error:
        _complain(str(error))
        sys.exit(MISCONFIGURED)
    if stored.older_left_out:
        _complain(f"only the newest {_counted(len(stored.calls), 'call')} were read: shorten --since")
    return Found(Reading(stored.calls, 0, contents.Unread()), [], place, stored.older_left_out)


def _advice(calls: Sequence[Call], url: str) -> List[advice.Advice]:
    if not advice.advise(calls, {}):
        return []  # the router need not be asked
    try:
        offers = router_models.offers(router_models.fetch(url))
    except (OSError, ValueError) as error:
        _complain(f"{url}: {error}; only what was measured is shown")
        offers = {}
    return advice.advise(calls, offers)


def _write_page(path: str, calls: Sequence[Call], origin: page.Origin, with_content: bool) -> None:
    try:
        page.write(path, calls, origin, with_content=with_content)
    except OSError as error:
        _complain(f"{path} cannot be written: {error.strerror or error}")
        sys.exit(MISCONFIGURED)


def _complain(text: str) -> None:
    click.echo(f"hf-openobserve report: {diagnostics.without_secrets(contents.one_line(text))}", err=True)


def figures(reading: Reading, since_ns: Optional[int], one_by_one: bool) -> Dict[str, Any]:
    """What was read, in the shape that the command documents."""
    result: Dict[str, Any] = {
        "since": None if since_ns is None else time_text(since_ns),
        "models": [
            {"model": known(model), "answered_by": answering(model, calls), **summary(calls)}
            for model, calls in by_model(reading.calls)
        ],
        "total": summary(reading.calls),
        "costs": [{**one, "model": known(one["model"])} for one in by_provider(reading.calls)],
        "other_spans": reading.other_spans,
        "unreadable_segments": len(reading.unread.lines),
    }
    if one_by_one:
        result["calls"] = [as_dictionary(call) for call in reading.calls]
    return result


# --- For people ------------------------------------------------------------------------------------------------------


def _show_models(console: Console, calls: Sequence[Call]) -> None:
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
        console.print(f"\nThe answers of {_counted(unknown, 'call')} named no tokens.", soft_wrap=True)


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


def _show_advice(console: Console, advised: Sequence[advice.Advice]) -> None:
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
        f"{cheaper.completion_tokens:,} tokens x {received:g} for a million at {contents.one_line(cheaper.provider)} is "
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


def _show_calls(calls: Sequence[Call]) -> None:
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


def _show_remainder(found: Found, settings: Settings, since_ns: Optional[int]) -> None:
    others = _counted(found.reading.other_spans, "other span")
    if found.reading.calls:
        if found.reading.other_spans:
            click.echo(f"\n{others} in the outbox: no calls to a model.")
        return
    since = "" if since_ns is None else f" since {time_text(since_ns)}"
    if found.openobserve is not None:
        click.echo(f"No calls{since} in {found.name}")
        return
    also = f" (only {others})" if found.reading.other_spans else ""
    click.echo(f"No calls{since}{also} in {' or '.join(found.roots) or contents.NO_PLACE}")
    if settings.destination.kind == "local":
        click.echo(
            "No server is configured, so calls would be kept there: no program has made one under the agent yet."
        )
    else:
        click.echo(
            f"Calls are delivered to {settings.destination.shown_endpoint} and deleted here once it has accepted them: "
            "see them there, or with --from openobserve."
        )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
