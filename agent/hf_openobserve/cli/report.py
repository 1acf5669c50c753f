"""``hf-openobserve report``: the calls that the outbox holds, per model or one by one. Needs no server; nothing is changed."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import click

from hf_openobserve.cli import outbox
from hf_openobserve.columns import OBSERVATION_TYPES
from hf_openobserve.outbox import segment, store

if TYPE_CHECKING:
    from rich.console import Console

    from hf_openobserve.settings import Settings

UNKNOWN_MODEL = "(unknown)"
"""Of a call whose parameters are hidden and that nobody answered."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_KIND = b"openinference.span.kind"
_TOKENS = ("prompt", "completion", "total")


class Call(NamedTuple):
    """One call to a model. Tokens are None where the answer named none; errors have a type."""

    start: int
    """Nanoseconds since the epoch."""
    duration_us: int
    service: str
    model: str
    """As it was asked for."""
    answered_by: Optional[str]
    tokens: Tuple[Optional[int], ...]
    """Prompt, completion, total."""
    error_kind: Optional[str]
    """One of ``capture.errors.KINDS``; None where it is none of them."""
    error_type: Optional[str]
    status_code: Optional[int]
    """HTTP's, of a failed call that got an answer."""
    error: str


class Reading(NamedTuple):
    """What an outbox holds: the calls in the order of their start, and how many spans are none."""

    calls: List[Call]
    other_spans: int
    unreadable: List[str]
    """One line for each segment that is there and cannot be read."""


def seconds(_: click.Context, option: click.Parameter, value: Optional[str]) -> Optional[float]:
    """``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``; a bare number is seconds. Raises ``click.BadParameter`` for others."""
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
@click.option("--calls", "one_by_one", is_flag=True, help="One line per call, in the order of time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option(
    "--since", callback=seconds, metavar="DURATION", help="Only what began so long ago or later: 90s, 30m, 2h, 1d."
)
def report_command(directory: Optional[str], one_by_one: bool, as_json: bool, since: Optional[float]) -> None:
    """Show the calls in the outbox: per model, or with --calls one by one.

    The outbox holds what no server has accepted yet; without a destination, everything. It can be read while programs
    write to it. Latencies are of all calls, failed ones too; a percentile is the latency of a real call (nearest rank).

    \b
    The shape of --json ("calls" inside "models" is a number; the list of calls
    is there with --calls; times are UTC, durations microseconds):
    {"outboxes": [path], "since": time or null,
     "models": [{"model", "answered_by": [model], "calls", "errors",
       "errors_by_kind": [{"kind", "type", "status_code", "count"}],
       "tokens": {"prompt", "completion", "total"}, "calls_without_usage",
       "duration_us": {"p50", "p95"}}],
     "total": {as one of "models", without "model" and "answered_by"},
     "other_spans": number, "unreadable_segments": number,
     "calls": [{"time", "service", "model", "answered_by", "duration_us",
       "tokens": {"prompt", "completion", "total"}, "status",
       "error": {"kind", "type", "status_code", "message"} or null}]}
    "model" and "answered_by" of a call, "kind" (docs/errors.md has them all),
    "status_code", tokens, and durations of no calls may be null. "answered_by" of a model leaves out its own name.
    """  # noqa: D301 - click looks for the character
    settings = outbox.load_settings()
    roots = outbox.places(directory, settings)
    since_ns = 0 if since is None else max(0, time.time_ns() - int(since * 1e9))
    reading = read(roots, since_ns)
    for line in reading.unreadable:
        click.echo(f"hf-openobserve report: cannot read {outbox.one_line(line)}", err=True)
    if as_json:
        shown = as_dictionary(reading, roots, since_ns if since is not None else None, one_by_one)
        click.echo(json.dumps(shown, indent=2))
        return
    if reading.calls and one_by_one:
        _show_calls(reading.calls)
    elif reading.calls:
        _show_models(outbox.plain_console(), reading.calls)
    _show_remainder(reading, roots, settings, since)


def read(roots: Sequence[str], since_ns: int = 0) -> Reading:
    """All spans below ``roots`` that began at ``since_ns`` (nanoseconds since the epoch) or later.

    A span that is being moved to another segment is there twice for a moment, and counts once.
    """
    reading = Reading([], 0, [])
    seen: Set[int] = set()
    others = 0
    for payload in _payloads(roots, since_ns, reading.unreadable):
        if hash(payload) in seen:
            continue
        seen.add(hash(payload))
        if _KIND not in payload:
            others += 1  # by far the cheapest way to tell, where other instrumentors write thousands
            continue
        for span in _decoded(payload):
            if span["attributes"].get("openinference.span.kind") in OBSERVATION_TYPES:
                reading.calls.append(call_of(span))
            else:
                others += 1
    reading.calls.sort(key=lambda call: call.start)
    return reading._replace(other_spans=others)


def call_of(span: Mapping[str, Any]) -> Call:
    """The call that an LLM span (see ``spans.read_outbox``) tells of."""
    attributes = span["attributes"]
    answered_by = _text(attributes, "llm.model_name", "gen_ai.response.model")
    asked_for = _text(attributes, "llm.request.parameters.model", "gen_ai.request.model")
    failed = span["status"] == "ERROR"
    status_code = _number(attributes.get("http.response.status_code"))
    return Call(
        start=span["start"],
        duration_us=max(0, span["duration_us"]),
        service=_text(span["resource"], "service.name") or "-",
        model=asked_for or answered_by or UNKNOWN_MODEL,
        answered_by=answered_by,
        tokens=tuple(_number(attributes.get("llm.token_count." + name)) for name in _TOKENS),
        error_kind=_text(attributes, "hf.error.kind") if failed else None,
        error_type=(_text(attributes, "error.type") or "_OTHER") if failed else None,
        status_code=status_code if failed else None,
        error=str(span["status_message"]) if failed else "",
    )


def by_model(calls: Sequence[Call]) -> List[Tuple[str, List[Call]]]:
    """The calls of each model that was asked for, the most called first."""
    models: Dict[str, List[Call]] = {}
    for call in calls:
        models.setdefault(call.model, []).append(call)
    return sorted(models.items(), key=lambda entry: (-len(entry[1]), entry[0]))


def summary(calls: Sequence[Call]) -> Dict[str, Any]:
    """The figures of some calls, in the shape that the command documents."""
    errors = [call for call in calls if call.error_type is not None]
    kinds: Dict[Tuple[Optional[str], str, Optional[int]], int] = {}
    for call in errors:
        kind = (call.error_kind, call.error_type or "", call.status_code)
        kinds[kind] = kinds.get(kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda entry: (-entry[1], entry[0][0] or "", entry[0][1], entry[0][2] or 0))
    durations = sorted(call.duration_us for call in calls)
    return {
        "calls": len(calls),
        "errors": len(errors),
        "errors_by_kind": [
            {"kind": kind, "type": name, "status_code": code, "count": count} for (kind, name, code), count in ordered
        ],
        "tokens": {name: _sum(call.tokens[index] for call in calls) for index, name in enumerate(_TOKENS)},
        "calls_without_usage": sum(not any(count is not None for count in call.tokens) for call in calls),
        "duration_us": {"p50": percentile(durations, 50), "p95": percentile(durations, 95)},
    }


def percentile(ordered: Sequence[int], percent: int) -> Optional[int]:
    """By nearest rank: the smallest value that at least ``percent`` of the ordered values do not exceed; None of none."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def answering(model: str, calls: Sequence[Call]) -> List[str]:
    """Who answered for ``model``, in other names than its own."""
    return sorted({call.answered_by for call in calls if call.answered_by is not None} - {model})


def as_dictionary(
    reading: Reading, roots: Sequence[str], since_ns: Optional[int], one_by_one: bool = False
) -> Dict[str, Any]:
    """The shape that the command documents."""
    result: Dict[str, Any] = {
        "outboxes": list(roots),
        "since": None if since_ns is None else _time(since_ns),
        "models": [
            {"model": _known(model), "answered_by": answering(model, calls), **summary(calls)}
            for model, calls in by_model(reading.calls)
        ],
        "total": summary(reading.calls),
        "other_spans": reading.other_spans,
        "unreadable_segments": len(reading.unreadable),
    }
    if one_by_one:
        result["calls"] = [_call_as_dictionary(call) for call in reading.calls]
    return result


def _call_as_dictionary(call: Call) -> Dict[str, Any]:
    error = {"kind": call.error_kind, "type": call.error_type, "status_code": call.status_code, "message": call.error}
    return {
        "time": _time(call.start),
        "service": call.service,
        "model": _known(call.model),
        "answered_by": call.answered_by,
        "duration_us": call.duration_us,
        "tokens": dict(zip(_TOKENS, call.tokens)),
        "status": "OK" if call.error_type is None else "ERROR",
        "error": None if call.error_type is None else error,
    }


def _payloads(roots: Sequence[str], since_ns: int, unreadable: List[str]) -> Iterator[bytes]:
    """Of every span that began since; what senders delete meanwhile is left out."""
    for root in roots:
        for parent, _, names in os.walk(root):
            for name in sorted(names):
                if not name.endswith(store.SUFFIX):
                    continue
                try:
                    for start, payload in segment.iter_records(os.path.join(parent, name)):
                        if start >= since_ns:
                            yield payload
                except FileNotFoundError:
                    continue
                except OSError as error:
                    unreadable.append(f"{os.path.join(parent, name)}: {error.strerror or error}")


def _decoded(payload: bytes) -> List[Dict[str, Any]]:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

    from hf_openobserve.cli import spans

    try:
        return spans.decode(payload)
    except DecodeError:  # an intact record that is no span of ours
        return []


def _text(values: Mapping[str, Any], *names: str) -> Optional[str]:
    for name in names:
        if values.get(name):
            return str(values[name])
    return None


def _number(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sum(counts: Iterator[Optional[int]]) -> Optional[int]:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _known(model: str) -> Optional[str]:
    return None if model == UNKNOWN_MODEL else model


# --- For people ------------------------------------------------------------------------------------------------------


def _show_models(console: Console, calls: Sequence[Call]) -> None:
    table = outbox.plain_table()
    table.add_column("model", overflow="fold")
    for title in ("calls", "errors", "prompt", "completion", "total", "p50", "p95"):
        table.add_column(title, justify="right", no_wrap=True)
    models = by_model(calls)
    for model, theirs in models:
        others = answering(model, theirs)
        name = outbox.one_line(model)
        if others:
            name += "\n  answered by " + ", ".join(outbox.one_line(other) for other in others)
        table.add_row(name, *_figures(summary(theirs)))
    if len(models) > 1:
        table.add_section()
        table.add_row("all", *_figures(summary(calls)))
    console.print(table)
    _show_errors(console, models)
    unknown = summary(calls)["calls_without_usage"]
    if unknown:
        console.print(f"\nThe answers of {_counted(unknown, 'call')} named no tokens.", soft_wrap=True)


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
        name = outbox.one_line(kind["kind"] or kind["type"])
        table.add_row(f"{kind['count']:,}", code, name, outbox.one_line(model))
    console.print()
    console.print(table)


def _figures(figures: Mapping[str, Any]) -> List[str]:
    tokens = (figures["tokens"][name] for name in _TOKENS)
    return [
        f"{figures['calls']:,}",
        f"{figures['errors']:,}",
        *("-" if count is None else f"{count:,}" for count in tokens),
        _duration(figures["duration_us"]["p50"]),
        _duration(figures["duration_us"]["p95"]),
    ]


def _show_calls(calls: Sequence[Call]) -> None:
    """Plain lines, in columns as wide as needed: a line is one call, also for grep and awk."""
    rows = [_cells(call) for call in calls]
    widths = [max(len(row[index]) for row in rows) for index in range(5)]
    for time_text, service, model, duration, tokens, outcome in rows:
        click.echo(
            f"{time_text:<{widths[0]}}  {service:<{widths[1]}}  {model:<{widths[2]}}  {duration:>{widths[3]}}  "
            f"{tokens:>{widths[4]}}  {outcome}"
        )


def _cells(call: Call) -> Tuple[str, str, str, str, str, str]:
    model = outbox.one_line(call.model)
    if call.answered_by not in (None, call.model):
        model += " -> " + outbox.one_line(call.answered_by)
    prompt, completion, total = ("-" if count is None else str(count) for count in call.tokens)
    tokens = f"{prompt}+{completion}={total}" if any(count is not None for count in call.tokens) else "-"
    outcome = "OK"
    if call.error_type is not None:
        code = "" if call.status_code is None else f" {call.status_code}"
        said = outbox.one_line(call.error)
        outcome = f"ERROR {outbox.one_line(call.error_type)}{code}" + (f": {said}" if said else "")
    return _time(call.start), outbox.one_line(call.service), model, _duration(call.duration_us), tokens, outcome


def _show_remainder(reading: Reading, roots: Sequence[str], settings: Settings, since: Optional[float]) -> None:
    others = _counted(reading.other_spans, "other span")
    if reading.calls:
        if reading.other_spans:
            click.echo(f"\n{others} in the outbox: no calls to a model.")
        return
    where = " or ".join(roots) or outbox.NO_PLACE
    also = f" (only {others})" if reading.other_spans else ""
    if since is not None:
        click.echo(f"No calls since {_time(time.time_ns() - int(since * 1e9))}{also} in {where}")
    else:
        click.echo(f"No calls{also} in {where}")
    if settings.destination.kind == "local":
        click.echo(
            "No server is configured, so calls would be kept there: no program has made one under the agent yet."
        )
    else:
        click.echo(
            f"Calls are delivered to {settings.destination.shown_endpoint} and deleted here once it has accepted them."
        )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _duration(duration_us: Optional[int]) -> str:
    if duration_us is None:
        return "-"
    milliseconds = duration_us / 1000
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.2f} s"


def _time(unix_nano: int) -> str:
    """UTC to the millisecond, sortable as text."""
    seconds, nanoseconds = divmod(unix_nano, 1000000000)
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.timezone.utc)
    except (ValueError, OverflowError, OSError):  # a start that is no time at all
        return str(unix_nano)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{nanoseconds // 1000000:03d}Z"
