"""``hf-openobserve tail``: a line for each call as it happens, for a second terminal. Nothing is changed."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, Set

import click

from hf_openobserve.cli import calls, contents, outbox, remedies
from hf_openobserve.cli.interruption import Interruption, sleep
from hf_openobserve.cli.options import MISCONFIGURED, directory_option, origin_option
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from hf_openobserve.cli.calls import Call
    from hf_openobserve.config.settings import Settings

ASK_EVERY_S = 2.0
"""How often OpenObserve is asked."""
LATE_S = 120
"""A call that arrives there later than so long after its end is not shown."""
LONGEST_CALL_S = 3600
"""Nor is one that took longer."""

_MODEL_WIDTH = 52


@click.command("tail")
@directory_option(must_exist=False)
@origin_option
@click.option("--last", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many earlier calls.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def tail_command(directory: Optional[str], origin: str, last: int, as_json: bool) -> None:
    """Show each call as it happens, in one line, until Ctrl-C.

    Start it in a second terminal, then the program in the first one:

    \b
    hf-openobserve tail
    hf-openobserve tail --json | jq 'select(.error) | .error.message'

    It reads the outbox, where a call stands from its end until the server has accepted it, without locking or changing
    anything: programs, senders and other readers notice nothing. A call is shown once, however soon it is delivered.
    What can be missed: a call whose file is made, delivered and deleted within two looks (1/50 s, longer where there
    are thousands of files; it takes a program that ends right after its only call). Not in the outbox, and so never
    shown, are calls of other machines and containers, of other users, and of a program that cannot write to its disk.
    --from openobserve asks the server every 2 seconds instead, and shows all services; there a call that arrives more
    than two minutes after its end, or took an hour, is missed.

    Tokens are prompt+completion. A cost is shown where one is known (docs/cost.md). A failed call has its
    kind, the server's sentence and what to do first; docs/errors.md has the rest.

    Exit status: 0 when it is ended by Ctrl-C or SIGTERM, 2 if the server cannot be asked.

    \b
    The shape of a line of --json; what the call does not tell is null:
    {"time", "service", "model", "answered_by", "served_by", "duration_us",
     "time_to_first_token_s", "tokens_per_second",
     "tokens": {"prompt", "completion", "total", "cached", "reasoning"},
     "cost", "retries", "status", "error": {"kind", "type", "status_code",
     "message"} or null, "trace_id", "span_id", "hint"}
    """  # noqa: D301 - click looks for the character
    settings = outbox.load_settings()
    if origin == "openobserve" and directory is not None:
        raise click.UsageError("--dir is of the outbox, not of --from openobserve")
    show = _show_json if as_json else _shown_on(_console())
    interruption = Interruption()
    with interruption:
        if origin == "openobserve":
            _follow_server(settings, last, show, interruption.asked)
        else:
            pricing = Pricing(settings.prices)
            _follow_outbox(contents.roots(directory, settings), last, show, interruption.asked, pricing)


def _follow_outbox(
    roots: List[str], last: int, show: Callable[[Call], None], ended: Callable[[], bool], pricing: Pricing
) -> None:
    from hf_openobserve.cli.following import Follower

    follower = Follower(roots)
    earlier = _in_order(follower.look(), pricing)
    contents.say("tail", follower.unread)
    _say(f"calls as they come into {' and '.join(roots) or contents.NO_PLACE}; Ctrl-C ends")
    for call in earlier[len(earlier) - min(last, len(earlier)) :]:
        show(call)
    try:
        while not ended():
            sleep(follower.pause_s, ended)
            for call in _in_order(follower.look(), pricing):
                show(call)
    finally:
        follower.close()


def _follow_server(settings: Settings, last: int, show: Callable[[Call], None], ended: Callable[[], bool]) -> None:
    from hf_openobserve.cli.stored_calls import read
    from hf_openobserve.openobserve import api_errors
    from hf_openobserve.openobserve.api import Api, ApiError

    seen: Set[str] = set()
    started = said = False
    try:
        with Api(settings.destination) as api:
            while not ended():
                now_us = time.time_ns() // 1000
                since_us = now_us - LONGEST_CALL_S * 10**6
                late_ns = (now_us - LATE_S * 10**6) * 1000
                try:
                    found = read(api, since_us, now_us, ended_after_ns=late_ns, with_content=False).calls
                    earlier = (
                        [] if started or not last else read(api, since_us, now_us, with_content=False, most=last).calls
                    )
                except ApiError as error:
                    if not started or error.kind not in (api_errors.UNREACHABLE, api_errors.UNAVAILABLE):
                        raise
                    if not said:
                        _say(f"{error}; asking again")
                    said = True
                else:
                    if not started:
                        _say(f"calls as they come into {api.base_url}, {api.organization}, {api.stream}; Ctrl-C ends")
                    new = [call for call in found if call.key not in seen] if started else earlier
                    for call in sorted(new, key=_end):
                        show(call)
                    # What is not found any more is too late to be found again.
                    seen = {call.key for call in found}
                    started, said = True, False
                sleep(ASK_EVERY_S, ended)
    except ApiError as error:
        _say(str(error))
        sys.exit(MISCONFIGURED)


def _in_order(payloads: Iterable[bytes], pricing: Pricing) -> List[Call]:
    return sorted((call for payload in payloads for call in calls.of_payload(payload, pricing)[0]), key=_end)


def _end(call: Call) -> int:
    return call.start + call.duration_us * 1000


def _show_json(call: Call) -> None:
    click.echo(json.dumps({**calls.as_dictionary(call), "hint": remedies.hint(call.error_kind or "") or None}))


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _shown_on(console: Console) -> Callable[[Call], None]:
    def show(call: Call) -> None:
        console.print(line(call), soft_wrap=True)
        console.file.flush()

    return show


def line(call: Call) -> Text:
    """One call in one line. Colours are the console's to leave out."""
    from rich.text import Text

    text = Text()
    text.append(time.strftime("%H:%M:%S", time.localtime(_end(call) / 1e9)), "dim")
    model = contents.one_line(call.model)
    served_by = f" -> {contents.one_line(call.served_by)}" if call.served_by else ""
    text.append("  ").append(model, "bold").append(served_by, "cyan")
    text.append(" " * max(0, _MODEL_WIDTH - len(model) - len(served_by)))
    text.append(f"{calls.duration_text(call.duration_us):>10}")
    for figure in _figures(call):
        text.append(f"  {figure}")
    if call.retries:
        text.append(f"  {call.retries} {'retry' if call.retries == 1 else 'retries'}", "yellow")
    if call.error_type is not None:
        said = contents.one_line(call.error)
        text.append(f"  {contents.one_line(call.error_kind or call.error_type)}", "bold red")
        text.append(f": {said}" if said else "", "red")
        hint = remedies.hint(call.error_kind or "")
        text.append(f"  Hint: {hint}" if hint else "", "dim")
    return text


def _figures(call: Call) -> Iterable[str]:
    prompt, completion = call.tokens[:2]
    if call.first_token_s is not None:
        yield f"ttft {calls.duration_text(call.first_token_s * 1e6)}"
    if call.tokens_per_second is not None:
        yield f"{call.tokens_per_second:,.0f} tok/s"
    if call.error_type is None and (prompt is not None or completion is not None):
        yield f"{_count(prompt)}+{_count(completion)} tok"
    if call.cost:
        yield f"cost {calls.cost_text(call.cost)}"


def _count(tokens: Optional[int]) -> str:
    return "-" if tokens is None else str(tokens)


def _say(text: str) -> None:
    click.echo(f"hf-openobserve tail: {diagnostics.without_secrets(contents.one_line(text))}", err=True)
