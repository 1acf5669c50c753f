"""``hf-openobserve report``: calls per model, one by one, or as a page to look at.

They are read from the outbox, which needs no server, or from OpenObserve. Nothing is changed.
"""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence

import click

from hf_openobserve.cli import advice, contents, outbox, page, report_text, router_models
from hf_openobserve.cli.calls import (
    Call,
    Reading,
    answering,
    as_dictionary,
    by_model,
    by_provider,
    known,
    read,
    summary,
    time_text,
)
from hf_openobserve.cli.options import MISCONFIGURED, origin_option
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.config.settings import Settings

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
    The page has charts, errors with remedies and a table of the newest 10,000 calls to filter, each with its prompt and
    answer where they were captured; it is readable for its owner alone (0600).

    --advise shows, of each provider that answered a model 30 times or more, what its calls cost and took, beside what
    the router publishes, and what ":cheapest" would have saved.

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
    else:
        if page_path is not None:
            click.echo(f"{report_text.counted(len(found.reading.calls), 'call')} in {page_path}")
        if advise:
            report_text.show_advice(outbox.plain_console(), advised)
        if page_path is None and not advise:
            _show(found, settings, since_ns, one_by_one)
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
        progress.update(f"Asking OpenObserve: {report_text.counted(count, 'call')}")

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
        _complain(f"only the newest {report_text.counted(len(stored.calls), 'call')} were read: shorten --since")
    return Found(Reading(stored.calls, 0, contents.Unread()), [], place, stored.older_left_out)


def _advice(calls: Sequence[Call], url: str) -> List[advice.Advice]:
    measured = advice.advise(calls, {})
    if not measured:
        return []  # the router need not be asked
    try:
        offers = router_models.offers(router_models.fetch(url))
    except (OSError, ValueError) as error:
        _complain(f"{url}: {error}; only what was measured is shown")
        return measured
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


def _show(found: Found, settings: Settings, since_ns: Optional[int], one_by_one: bool) -> None:
    calls = found.reading.calls
    if calls and one_by_one:
        report_text.show_calls(calls)
    elif calls:
        report_text.show_models(outbox.plain_console(), calls)
    _show_remainder(found, settings, since_ns)


def _show_remainder(found: Found, settings: Settings, since_ns: Optional[int]) -> None:
    others = report_text.counted(found.reading.other_spans, "other span")
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
