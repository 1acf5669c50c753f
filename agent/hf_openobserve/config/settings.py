"""Environment and ``.env`` -> one frozen ``Settings`` of checked values, each of which knows its source.

It is read once, at activation, inside the host process: nothing here opens a connection, raises, or prints. What is
wrong is returned as complete lines for stderr, which hold no secret; neither does a ``repr`` of what is returned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import List, Mapping, Optional, Tuple

from hf_openobserve.config import collector, metrics, openobserve_server
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config.destination import Destination
from hf_openobserve.config.variables import Variables
from hf_openobserve.process import diagnostics

__all__ = ["Destination", "Settings", "load"]

DEFAULT_OUTBOX_MAX_MB = 64.0
DEFAULT_MAX_AGE_H = 5.0
"""OpenObserve's own default of ``ZO_INGEST_ALLOWED_UPTO`` (docs/server-contract.md#window)."""
DEFAULT_EXIT_TIMEOUT_S = 1.0

STREAM_USAGE_MODES = ("auto", "on", "off")
"""Who is asked for the usage of a stream: hosts known to accept the question, every host, none."""

PROPAGATE_MODES = ("auto", "on", "off")
"""Whose requests carry their trace: those to dedicated and local endpoints, all, none."""

SHORTEST_SECRET = 8
"""Characters. Masking ``EMPTY``, ``none`` or ``ollama``, which stand in OPENAI_API_KEY for local servers, wherever
they occur would spoil prompts and columns, and hide nothing."""

FLUSH_MODES = ("auto", "each", "exit")
"""When a delivery is waited for: as the platform tells, before each answer, at the end of the process alone."""

_FREEZING = (names.AWS_LAMBDA_RUNTIME_API, names.K_SERVICE, names.FUNCTIONS_WORKER_RUNTIME)

_NO_OTHER_EXPORTERS = ("otlp", "openobserve", "otlp_proto_http", "otlp_proto_grpc", "none")
"""Names of ``opentelemetry_traces_exporter`` that mean the agent's one delivery, and the one that switches it off."""


@dataclass(frozen=True)
class Settings:
    """What the environment and ``.env`` say, checked."""

    enabled: bool
    """False: switched off, or URL, organization or token are wrong. Nothing is recorded then."""
    destination: Destination
    other_exporters: Tuple[str, ...] = ()
    """Names in ``OTEL_TRACES_EXPORTER`` that are added beside the delivery, e.g. ``("console",)``."""
    outbox_dir: Optional[str] = None
    """Absolute path the user chose; None: the default location."""
    outbox_max_bytes: int = int(DEFAULT_OUTBOX_MAX_MB * 1024 * 1024)
    window_s: Optional[float] = DEFAULT_MAX_AGE_H * 3600
    """Seconds after its start in which the server takes a span; None: always, or nothing is known of this server."""
    exit_timeout_s: float = DEFAULT_EXIT_TIMEOUT_S
    flush: str = "exit"
    """``each`` or ``exit``: what ``auto`` comes to here."""
    platform: str = ""
    """The variable that says which platform freezes this process between invocations; empty: none does."""
    capture_content: bool = True
    mask: str = ""
    """A regular expression of the user's; empty: none."""
    stream_usage: str = "auto"
    """One of ``STREAM_USAGE_MODES``."""
    propagate: str = "auto"
    """One of ``PROPAGATE_MODES``."""
    baggage: Tuple[str, ...] = ()
    """Further keys of W3C baggage that become columns."""
    agent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """``gen_ai.agent.id`` and ``.name`` of the process, as far as they are set."""
    metrics: Optional[metrics.Metrics] = None
    """None: no metrics are made."""
    prices: str = ""
    """Absolute path of the user's price list; ``off``: no cost is computed."""
    force: bool = False
    """Go on where a package of the program's is out of range."""
    debug: bool = False
    secrets: Tuple[str, ...] = field(default=(), repr=False)
    """Literal texts to mask wherever they show up, the longest first, none shorter than ``SHORTEST_SECRET``."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Name of every variable asked for -> ``environment``, the path of the ``.env``, or ``default``: what the value in
    use comes from. A value that is not used (wrong, or in a ``.env`` that may not set it) is no source."""
    problems: Tuple[str, ...] = ()
    """Complete lines for stderr: the variable, what is wrong, a right example, how the program goes on."""
    notes: Tuple[str, ...] = ()
    """Complete lines for ``doctor`` and the debug output: nothing is wrong, but somebody may wonder."""


def load(environ: Mapping[str, str], *, script_dir: Optional[str], cwd: Optional[str]) -> Settings:
    """Read everything. Never raises: an error of this module's own is one problem, and nothing is recorded."""
    try:
        return _load(Variables(environ, cwd), script_dir)
    except Exception as error:  # noqa: BLE001 - docs/laws.md#1
        diagnostics.swallowed("settings.load")
        line = f"The settings could not be read ({type(error).__name__}) - nothing is recorded in this process."
        return Settings(enabled=False, destination=Destination("local"), problems=(line,))


def _load(variables: Variables, script_dir: Optional[str]) -> Settings:
    variables.read_dotenv(script_dir)
    switched_on = variables.boolean(names.OPENOBSERVE_ENABLED, default=True)
    if variables.value(names.OTEL_SDK_DISABLED).lower() == "true":
        switched_on = False
    exporters = [name.strip() for name in variables.value(names.OTEL_TRACES_EXPORTER).split(",") if name.strip()]
    if any(name.lower() == "none" for name in exporters):
        switched_on = False

    # Asked in this order; secrets, sources and problems are what the asking leaves behind, so they come last.
    destination = openobserve_server.read(variables) or collector.read(variables) or Destination("local")
    others = [name for name in exporters if name.lower() not in _NO_OTHER_EXPORTERS]
    outbox_max_mb = variables.number(names.OPENOBSERVE_HF_OUTBOX_MAX_MB, DEFAULT_OUTBOX_MAX_MB, unit="MiB")
    max_age_h = variables.number(names.OPENOBSERVE_HF_MAX_AGE_H, DEFAULT_MAX_AGE_H, unit="hours", zero=True)
    exit_timeout_s = variables.number(names.OPENOBSERVE_HF_EXIT_TIMEOUT_S, DEFAULT_EXIT_TIMEOUT_S, zero=True)
    flush, platform = _flush(variables)
    outbox_dir = variables.absolute(variables.value(names.OPENOBSERVE_HF_OUTBOX_DIR))
    capture_content = _capture_content(variables)
    mask = _mask(variables)
    stream_usage = variables.choice(
        names.OPENOBSERVE_HF_STREAM_USAGE, STREAM_USAGE_MODES, "is neither auto, on nor off"
    )
    propagate = variables.choice(names.OPENOBSERVE_HF_PROPAGATE, PROPAGATE_MODES, "is neither auto, on nor off")
    baggage = [key.strip() for key in variables.value(names.OPENOBSERVE_HF_BAGGAGE).split(",")]
    agent = {
        "gen_ai.agent.id": variables.value(names.OPENOBSERVE_AGENT_ID),
        "gen_ai.agent.name": variables.value(names.OPENOBSERVE_AGENT_NAME),
    }
    measured = metrics.read(variables, destination)
    prices = variables.value(names.OPENOBSERVE_HF_PRICES)
    if prices.lower() == "off":
        prices = "off"
    elif prices:
        prices = variables.absolute(prices) or prices
    force = variables.boolean(names.OPENOBSERVE_HF_FORCE, default=False)
    debug = variables.boolean(names.OPENOBSERVE_HF_DEBUG, default=False)
    variables.secrets.extend(variables.value(name) for name in names.HF_TOKEN_VARIABLES)
    for name in vars(names):
        # Not all have been asked: where OpenObserve is the destination, none.
        if name.startswith(("OTEL_EXPORTER_OTLP_", "REQUESTS_", "CURL_", "SSL_")) and name not in variables.sources:
            variables.value(name)
    secrets = _worth_masking(variables.secrets)
    problems = tuple(_printable(line, secrets) for line in variables.problems)
    notes = tuple(_printable(line, secrets) for line in variables.notes)
    return Settings(
        enabled=switched_on and not variables.refused,
        destination=destination,
        other_exporters=tuple(dict.fromkeys(others)),
        outbox_dir=outbox_dir,
        outbox_max_bytes=int(outbox_max_mb * 1024 * 1024),
        # The rule is OpenObserve's: a Collector takes every span.
        window_s=max_age_h * 3600 if max_age_h and destination.kind == "openobserve" else None,
        exit_timeout_s=exit_timeout_s,
        flush=flush,
        platform=platform,
        capture_content=capture_content,
        mask=mask,
        stream_usage=stream_usage,
        propagate=propagate,
        baggage=tuple(filter(None, baggage)),
        agent=MappingProxyType({name: value for name, value in agent.items() if value}),
        metrics=measured,
        prices=prices,
        force=force,
        debug=debug,
        secrets=secrets,
        sources=MappingProxyType(variables.sources),
        # Who has switched the agent off is not told what would be wrong if it were on, unless he asks.
        problems=problems if switched_on else (),
        notes=notes if switched_on else notes + problems,
    )


def _flush(variables: Variables) -> Tuple[str, str]:
    mode = variables.choice(names.OPENOBSERVE_HF_FLUSH, FLUSH_MODES, "is neither auto, each nor exit")
    platform = next((name for name in _FREEZING if variables.value(name, also_from_file=False)), "")
    if mode == "auto" and platform:
        variables.notes.append(
            f"{platform} is set: a function may be frozen once it has answered, so a delivery is waited for before "
            f"(docs/functions.md; {names.OPENOBSERVE_HF_FLUSH}=exit: not)."
        )
        return "each", platform
    return ("exit" if mode == "auto" else mode), platform


def _capture_content(variables: Variables) -> bool:
    value = variables.value(names.OPENOBSERVE_HF_CAPTURE_CONTENT).lower()
    if value not in ("", "full", "none"):
        variables.wrong(
            names.OPENOBSERVE_HF_CAPTURE_CONTENT,
            "is neither full nor none",
            "none",
            "prompts and answers are not recorded until it is corrected, as none may have been meant",
            value=value,
        )
    return value in ("", "full")


def _mask(variables: Variables) -> str:
    value = variables.value(names.OPENOBSERVE_HF_MASK)
    try:
        usable = not value or re.compile(value).search("") is None
    except (re.error, RecursionError, OverflowError):
        usable = False
    if not usable:
        what = "is no regular expression that matches something"
        variables.wrong(names.OPENOBSERVE_HF_MASK, what, r"ACME-\d{6}", "nothing is masked by it")
    return value if usable else ""


def _worth_masking(secrets: List[str]) -> Tuple[str, ...]:
    """The longest first, so that masking a part does not hide the whole from its mask."""
    return tuple(
        sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=lambda text: (-len(text), text))
    )


def _printable(line: str, secrets: Tuple[str, ...]) -> str:
    """One line whatever a value or a path in it holds; masked, though no line is written with a secret in it."""
    for secret in secrets:
        line = line.replace(secret, "***")
    return "".join(char if char.isprintable() else "?" for char in line)
