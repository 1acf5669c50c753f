"""``hf-openobserve demo``: the whole way of a call, on this machine alone.

A tiny model, llama.cpp's own server, ``examples/chat.py`` unmodified under ``opentelemetry-instrument``, and the
columns of its four calls as the outbox holds them. The program runs once, with nowhere to send to, so that its spans
stay in an outbox of the demo's own; what is shown is then delivered, where a destination is configured.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import urlencode

import click

from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from rich.console import Console

    from hf_openobserve.config.settings import Destination, Settings

CALLS = ("plain", "streamed", "async", "failing")
"""The calls of ``examples/chat.py``, in its order."""

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
"""What the program asks for. The server answers under its own name, as the router's providers do."""

FAKE_TOKEN = "hf_ThisIsTheDemosTokenAndOpensNothing0"  # noqa: S105 - llama.cpp's server asks for none

PROGRAM_TIMEOUT_S = 120.0

PROMISED_COLUMNS = (
    "llm_system",
    "llm_model_name",
    "llm_request_parameters_model",
    "llm_request_parameters_max_tokens",
    "gen_ai_response_model",
    "llm_observation_type",
    "llm_token_count_prompt",
    "llm_token_count_completion",
    "llm_token_count_total",
    "llm_token_count_prompt_details_cache_read",
    "llm_token_count_completion_details_reasoning",
    "llm_usage_tokens_input",
    "llm_usage_tokens_output",
    "llm_usage_tokens_total",
    "openinference_span_kind",
    "operation_name",
    "input_mime_type",
    "output_mime_type",
    "duration",
    "span_status",
)
"""The columns that the README promises, in its order."""

_KEPT_VARIABLES = ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OPENOBSERVE_HF_DEBUG")
_PLAIN_WIDTH = 100
_VALUE_WIDTH = 19
"""Columns of text a call takes in the table: the longest values but the Hub's model names are in one piece then."""
_LOOK_AROUND_S = 60

_Span = Dict[str, Any]


class DemoError(RuntimeError):
    """The demo cannot be run; the text says what is missing."""


@click.command("demo")
def demo_command() -> None:
    """Run a real program against a real (tiny) model on this machine and show what is captured.

    Needs no account and no network. With OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN set, the spans go to that server as
    well. Exit status 0 if every call was captured.
    """
    from hf_openobserve.cli.llama_server import LlamaServerError

    # So that the temporary directories go and the server ends, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        status = run()
    except (DemoError, LlamaServerError) as error:
        _complain(str(error))
        status = 1
    sys.exit(status)


def _complain(text: str) -> None:
    click.echo(f"hf-openobserve demo: {diagnostics.without_secrets(text)}", err=True)


def run() -> int:
    """The demo from start to end. Returns the exit status; raises ``DemoError`` or ``LlamaServerError``."""
    from rich.console import Console

    from hf_openobserve.cli.llama_server import LlamaServer
    from hf_openobserve.config import settings as settings_module

    console = Console(highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(highlight=False, markup=False, width=_PLAIN_WIDTH)
    # The program is ours: a `.env` of the user's is looked for where the command was started.
    settings = settings_module.load(os.environ, script_dir=None, cwd=os.getcwd())
    for line in settings.problems:
        click.echo(f"hf-openobserve: {line}", err=True)
    wrapper, program = wrapper_command(), example_program()

    with tempfile.TemporaryDirectory(prefix="hf-openobserve-demo-") as directory, contextlib.ExitStack() as stack:
        outbox = os.path.join(directory, "outbox")
        with _step(console, "Starting llama.cpp's server with a tiny random model"):
            server = stack.enter_context(LlamaServer())
        with _step(console, f"Running {os.path.basename(program)} under opentelemetry-instrument"):
            done = _run_program(
                [wrapper, sys.executable, program],
                directory,
                program_environment(os.environ, server.url, outbox, capture_content=settings.capture_content),
            )
        _show_program(console, done)
        return _report(console, settings, outbox, done.returncode)


def example_program() -> str:
    """The path of ``chat.py``: inside the installed package, or in the checkout. Raises ``DemoError``."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checkout = os.path.dirname(os.path.dirname(package))
    for root in (package, checkout):
        path = os.path.join(root, "examples", "chat.py")
        if os.path.isfile(path):
            return path
    raise DemoError("examples/chat.py is missing from this installation; install hf-openobserve again")


def wrapper_command() -> str:
    """``opentelemetry-instrument`` of this interpreter's environment, not of another on PATH. Raises ``DemoError``."""
    if importlib.util.find_spec("openai") is None:
        raise DemoError("the example needs the OpenAI client: pip install 'hf-openobserve[demo]'")
    for directory in (os.path.dirname(sys.executable), sysconfig.get_path("scripts")):
        path = os.path.join(directory, "opentelemetry-instrument")
        if os.access(path, os.X_OK):
            return path
    raise DemoError(
        f"there is no opentelemetry-instrument beside {sys.executable}: pip install opentelemetry-instrumentation"
    )


def program_environment(environ: Mapping[str, str], url: str, outbox: str, *, capture_content: bool) -> Dict[str, str]:
    """The program's: the user's, without what would send its spans anywhere or switch the agent off."""
    environment = {
        name: value
        for name, value in environ.items()
        if name in _KEPT_VARIABLES or not name.startswith(("OPENOBSERVE_", "OTEL_"))
    }
    # A proxy of the user's cannot reach this machine's own address.
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(part for part in (environment.get(name), "127.0.0.1") if part)
    environment.update(
        HF_BASE_URL=url,
        HF_MODEL=MODEL,
        HF_TOKEN=FAKE_TOKEN,
        OPENOBSERVE_HF_OUTBOX_DIR=outbox,
        OPENOBSERVE_HF_DOTENV="false",
        OPENOBSERVE_HF_CAPTURE_CONTENT="full" if capture_content else "none",
    )
    return environment


def deliver(outbox_dir: str, settings: Settings) -> Optional[str]:
    """Send every span in ``outbox_dir`` to the configured destination, once.

    None if all were accepted, else why not.
    """
    from hf_openobserve.cli import contents
    from hf_openobserve.openobserve import answers
    from hf_openobserve.openobserve.ingest import Client

    unread = contents.Unread()
    payloads = list(contents.payloads(outbox_dir, 0, unread))
    if unread.lines:
        return unread.lines[0]
    client = Client(settings.destination)
    try:
        verdict = client.send(payloads)
    finally:
        client.close()
    if verdict.outcome != answers.ACCEPTED:
        return verdict.reason
    return f"{verdict.rejected} of {len(payloads)} spans rejected: {verdict.reason}" if verdict.rejected else None


def name_calls(llm_spans: List[_Span]) -> List[Tuple[str, _Span]]:
    """Which call of ``CALLS`` each LLM span is, told by what it carries and, plain from async, by its place."""
    ordered = sorted(llm_spans, key=lambda span: span["start"])
    if len(ordered) == len(CALLS) and not any(map(_parameters, ordered)):
        return list(zip(CALLS, ordered))  # the user hides the parameters of calls
    named: List[Tuple[str, _Span]] = []
    for span in ordered:
        if span["status"] == "ERROR":
            name = "failing"
        elif _parameters(span).get("stream"):
            name = "streamed"
        else:
            name = "async" if {"plain", "streamed"} & {earlier for earlier, _ in named} else "plain"
        named.append((name, span))
    return named


def complaint(named: List[Tuple[str, _Span]]) -> Optional[str]:
    """What is wrong with the spans seen, if anything: a call without one, or more spans than calls."""
    seen = [name for name, _ in named]
    missing = [name for name in CALLS if name not in seen]
    if missing:
        return "{} LLM spans for {} calls; missing: {}".format(len(seen), len(CALLS), ", ".join(missing))
    if len(seen) > len(CALLS):
        return f"{len(seen)} LLM spans for {len(CALLS)} calls: some call was recorded more than once"
    return None


def traces_page(destination: Destination, start: int, end: int) -> str:
    """The page of OpenObserve's web interface that shows a stream between two times (nanoseconds since the epoch)."""
    query = {
        "stream": destination.headers.get("stream-name", ""),
        "from": start // 1000 - _LOOK_AROUND_S * 1000000,
        "to": end // 1000 + _LOOK_AROUND_S * 1000000,
        "org_identifier": _organization(destination),
    }
    return f"{destination.base_url}/web/traces?{urlencode(query)}"


def _run_program(command: List[str], directory: str, environment: Dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - our own program, no shell
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{command[-1]} did not end within {PROGRAM_TIMEOUT_S:.0f} s") from error


def _report(console: Console, settings: Settings, outbox: str, returncode: int) -> int:
    from hf_openobserve.cli import spans as decoding

    spans = decoding.read_outbox(outbox)
    named = name_calls([span for span in spans if span["attributes"].get("openinference.span.kind") == "LLM"])
    if named:
        _show_columns(console, [(name, decoding.columns(span)) for name, span in named])
    wrong = complaint(named)
    if returncode != 0:
        wrong = "the program ended with exit status {}{}".format(returncode, "; " + wrong if wrong else "")
    if wrong:
        _complain(wrong)
        return 1
    console.print(f"{len(CALLS)} calls, {len(named)} LLM spans: every call was captured.")
    return _hand_over(console, settings, outbox, spans)


def _hand_over(console: Console, settings: Settings, outbox: str, spans: List[_Span]) -> int:
    destination = settings.destination
    if not settings.enabled:
        if settings.problems:
            click.echo("hf-openobserve demo: not delivered, see the line above", err=True)
            return 1
        console.print("The agent is switched off here (OPENOBSERVE_ENABLED, OTEL_SDK_DISABLED): nothing is delivered.")
        return 0
    if destination.kind == "local":
        console.print(
            "No server is configured, so the spans stayed in the outbox, where they were read from. To see them in "
            "OpenObserve, set OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN and run this again.",
        )
        return 0
    with _step(console, f"Delivering {len(spans)} spans to {destination.shown_endpoint}"):
        reason = deliver(outbox, settings)
    if reason is not None:
        _complain(f"{destination.shown_endpoint} did not take them: {reason}")
        return 1
    start, end = min(span["start"] for span in spans), max(span["end"] for span in spans)
    if destination.kind == "openobserve":
        console.print("\nLook at", traces_page(destination, start, end), soft_wrap=True)
        console.print(
            "Organization {}, stream {}, {} to {}.".format(
                _organization(destination), destination.headers.get("stream-name"), _utc(start), _utc(end)
            ),
            soft_wrap=True,
        )
    return 0


def _show_program(console: Console, done: subprocess.CompletedProcess[str]) -> None:
    console.print()
    for line in done.stdout.splitlines():
        console.print("  " + line, no_wrap=True, overflow="crop")
    for line in done.stderr.splitlines():
        console.print("  (stderr) " + line)
    console.print()


def _show_columns(console: Console, rows: List[Tuple[str, Mapping[str, str]]]) -> None:
    """A table with one column per call; as many tables as the width needs, each for as many calls."""
    from rich import box
    from rich.table import Table

    labels = [f"{column} (us)" if column == "duration" else column for column in PROMISED_COLUMNS]
    fitting = max(1, (console.width - max(map(len, labels))) // _VALUE_WIDTH)
    tables = -(-len(rows) // fitting)
    size = -(-len(rows) // tables)
    for first in range(0, len(rows), size):
        shown = rows[first : first + size]
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("column", no_wrap=True)
        for name, _ in shown:
            table.add_column(name, overflow="fold")
        for column, label in zip(PROMISED_COLUMNS, labels):
            table.add_row(label, *(row.get(column, "-") for _, row in shown))
        console.print(table)
        console.print()


@contextlib.contextmanager
def _step(console: Console, text: str) -> Iterator[None]:
    """Say what is under way: a spinner and the time it took on a terminal, else a line before it starts."""
    if not console.is_terminal:
        console.print(text + " ...", soft_wrap=True)
        yield
        return
    began = time.monotonic()
    with console.status(text, spinner="line"):
        yield
    console.print(f"{text} ({time.monotonic() - began:.1f} s)")


def _parameters(span: _Span) -> Dict[str, Any]:
    try:
        parameters = json.loads(span["attributes"].get("llm.invocation_parameters", "{}"))
    except ValueError:
        return {}
    return parameters if isinstance(parameters, dict) else {}


def _organization(destination: Destination) -> str:
    """From ``{base_url}/api/{organization}/v1/traces``, the one place where it stands."""
    path = destination.endpoint[len(destination.base_url) :]
    return path.split("/")[2] if path.startswith("/api/") else ""


def _utc(unix_nano: int) -> str:
    moment = dt.datetime.fromtimestamp(unix_nano / 1e9, tz=dt.timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
