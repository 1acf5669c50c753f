"""Environment and ``.env`` -> one frozen ``Settings``; every value knows its source.

Read once, at activation, inside the host process: nothing here opens a connection, raises, or prints. What is wrong is
returned as complete lines for stderr, which never hold a secret; so does no ``repr`` of what this module returns.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Dict, List, Mapping, Optional, Tuple

from hf_openobserve import destination, diagnostics, dotenv_file
from hf_openobserve import environment_variables as names
from hf_openobserve.capture.stream_usage import MODES
from hf_openobserve.destination import Destination

__all__ = ["Destination", "Settings", "Variables", "load"]

DEFAULT_OUTBOX_MAX_MB = 64.0
DEFAULT_MAX_AGE_H = 5.0
"""OpenObserve's own default (openobserve-contract.md 1.4, ``ZO_INGEST_ALLOWED_UPTO``)."""
DEFAULT_EXIT_TIMEOUT_S = 1.0
MAX_SECONDS = 86400.0
"""Longer waits overflow what sockets and locks take as a timeout on some platforms, and none is meant."""

SHORTEST_SECRET = 8
"""Characters. Masking ``EMPTY``, ``none`` or ``ollama``, which stand in OPENAI_API_KEY for local servers, wherever
they occur would spoil prompts and columns, and hide nothing."""

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_NO_OTHER_EXPORTERS = ("otlp", "openobserve", "otlp_proto_http", "otlp_proto_grpc", "none")
"""Entry-point names of ``opentelemetry_traces_exporter`` that all mean the agent's one delivery; and what switches it off."""

_ENVIRONMENT_ONLY = (
    names.OPENOBSERVE_HF_OUTBOX_DIR,
    names.OPENOBSERVE_HF_OUTBOX_MAX_MB,
    names.OPENOBSERVE_HF_MAX_AGE_H,
    names.OPENOBSERVE_HF_EXIT_TIMEOUT_S,
)
"""Where files are written, how large they grow and how long the exit takes: no ``.env`` decides that, since it may be a
stranger's (see ``dotenv_file``). Content capture can only be switched off there, because ``full`` is the default and the
environment is asked first. For the server's address see ``destination``."""


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
    capture_content: bool = True
    stream_usage: str = "auto"
    """One of ``capture.stream_usage.MODES``."""
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
        return _load(Variables(environ), script_dir, cwd)
    except Exception as error:  # noqa: BLE001 - law 1
        diagnostics.swallowed("settings.load")
        line = f"The settings could not be read ({type(error).__name__}) - nothing is recorded in this process."
        return Settings(enabled=False, destination=Destination("local"), problems=(line,))


def _load(variables: Variables, script_dir: Optional[str], cwd: Optional[str]) -> Settings:
    variables.read_dotenv(script_dir, cwd)
    switched_on = variables.boolean(names.OPENOBSERVE_ENABLED, default=True)
    if variables.value(names.OTEL_SDK_DISABLED).lower() == "true":
        switched_on = False
    exporters = [name.strip() for name in variables.value(names.OTEL_TRACES_EXPORTER).split(",") if name.strip()]
    if any(name.lower() == "none" for name in exporters):
        switched_on = False

    # Asked in this order; secrets, sources and problems are what the asking leaves behind, so they come last.
    chosen = destination.choose(variables)
    others = [name for name in exporters if name.lower() not in _NO_OTHER_EXPORTERS]
    outbox_max_mb = variables.number(names.OPENOBSERVE_HF_OUTBOX_MAX_MB, DEFAULT_OUTBOX_MAX_MB, unit="MiB")
    max_age_h = variables.number(names.OPENOBSERVE_HF_MAX_AGE_H, DEFAULT_MAX_AGE_H, unit="hours", zero=True)
    exit_timeout_s = variables.number(names.OPENOBSERVE_HF_EXIT_TIMEOUT_S, DEFAULT_EXIT_TIMEOUT_S, zero=True)
    outbox_dir = _absolute(variables.value(names.OPENOBSERVE_HF_OUTBOX_DIR), cwd)
    capture_content = _capture_content(variables)
    stream_usage = _stream_usage(variables)
    debug = variables.boolean(names.OPENOBSERVE_HF_DEBUG, default=False)
    variables.secrets.extend(variables.value(name) for name in names.HF_TOKEN_VARIABLES)
    for name in vars(names):
        # Not all have been asked: where OpenObserve is the destination, none.
        if name.startswith("OTEL_EXPORTER_OTLP_") and name not in variables.sources:
            variables.value(name)
    secrets = _worth_masking(variables.secrets)
    problems = tuple(_printable(line, secrets) for line in variables.problems)
    notes = tuple(_printable(line, secrets) for line in variables.notes)
    return Settings(
        enabled=switched_on and not variables.refused,
        destination=chosen,
        other_exporters=tuple(dict.fromkeys(others)),
        outbox_dir=outbox_dir,
        outbox_max_bytes=int(outbox_max_mb * 1024 * 1024),
        # The rule is OpenObserve's: a Collector takes every span.
        window_s=max_age_h * 3600 if max_age_h and chosen.kind == "openobserve" else None,
        exit_timeout_s=exit_timeout_s,
        capture_content=capture_content,
        stream_usage=stream_usage,
        debug=debug,
        secrets=secrets,
        sources=MappingProxyType(variables.sources),
        # Who has switched the agent off is not told what would be wrong if it were on, unless he asks.
        problems=problems if switched_on else (),
        notes=notes if switched_on else notes + problems,
    )


class Variables:
    """The environment and one ``.env``, and what asking them has brought to light."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.file = dotenv_file.DotenvFile()
        self.sources: Dict[str, str] = {}
        self.secrets: List[str] = []
        self.problems: List[str] = []
        self.notes: List[str] = []
        self.refused = False
        """URL, organization or token are wrong."""

    def read_dotenv(self, script_dir: Optional[str], cwd: Optional[str]) -> None:
        """Find the ``.env``, or read the one that the environment names."""
        wanted = self.value(names.OPENOBSERVE_HF_DOTENV)
        if wanted.lower() in _FALSE:
            return
        if not wanted or wanted.lower() in _TRUE:
            self.file = dotenv_file.find(script_dir, cwd)
        else:
            path = _absolute(wanted, cwd) or wanted
            try:
                self.file = dotenv_file.DotenvFile(path, dotenv_file.read(path))
            except (OSError, dotenv_file.Refused) as error:
                what = f"names a file that cannot be used ({path}: {dotenv_file.reason(error)})"
                self.wrong(names.OPENOBSERVE_HF_DOTENV, what, "/srv/app/.env", "no .env file is read")
        self.notes.extend(self.file.notes)
        for name in _ENVIRONMENT_ONLY:
            if self.in_file(name) and not self.in_environment(name):
                self.problems.append(
                    f"{name} in {self.file.path} is not used: a .env file may not set it; "
                    f"set it in the environment - using the default."
                )

    def in_environment(self, name: str) -> str:
        """What the environment says, whether it is used or not; empty if nothing."""
        return _cleaned(self.environ.get(name, ""))

    def in_file(self, name: str) -> str:
        """What the ``.env`` says, whether it is used or not; empty if nothing."""
        return _cleaned(self.file.values.get(name, ""))

    def value(self, name: str, *, also_from_file: bool = True) -> str:
        """The value in use, empty if there is none; an empty one in the environment counts as unset."""
        value, source = self.in_environment(name), "environment"
        if not value and also_from_file and name not in _ENVIRONMENT_ONLY:
            value, source = self.in_file(name), self.file.path
        self.sources[name] = source if value else "default"
        return value

    def from_file(self, name: str) -> bool:
        """Whether the value in use stands in the ``.env``."""
        return self.sources.get(name, "default") not in ("environment", "default")

    def wrong(self, name: str, what: str, example: str, consequence: str, *, value: str = "") -> None:
        """One problem. A short ``value`` is shown; a long one may be a token in the wrong variable."""
        where = f" in {self.file.path}" if self.from_file(name) else ""
        shown = f' ("{value}")' if 0 < len(value) <= 12 else ""
        self.problems.append(f"{name}{where} {what}{shown}; write for example {example} - {consequence}.")

    def refuse(self, name: str, what: str, example: str) -> None:
        """One problem after which nothing is recorded."""
        self.refused = True
        self.wrong(name, what, example, "nothing is recorded until it is corrected")

    def default(self, name: str, what: str, default: str, *, value: str = "") -> None:
        """One problem after which the default is used."""
        self.wrong(name, what, default, f"using the default {default}", value=value)
        self.sources[name] = "default"

    def boolean(self, name: str, *, default: bool) -> bool:
        """``true``, ``1``, ``yes``, ``on`` and their opposites, in any case; else a problem and the default."""
        value = self.value(name)
        if value and value.lower() not in _TRUE + _FALSE:
            self.default(name, "is neither true nor false", str(default).lower(), value=value)
            value = ""
        return value.lower() in _TRUE if value else default

    def number(self, name: str, default: float, *, unit: str = "seconds", zero: bool = False) -> float:
        """A finite number above 0 (or from 0, with ``zero``), else a problem and the default."""
        value = self.value(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        most = MAX_SECONDS if unit == "seconds" else math.inf
        if math.isfinite(number) and number <= most and (number > 0 or (zero and number == 0)):
            return number
        bounds = (" from 0" if zero else " above 0") + (f" to {most:g}" if unit == "seconds" else "")
        self.default(name, f"is not a number of {unit}{bounds}", f"{default:g}", value=value)
        return default


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


def _stream_usage(variables: Variables) -> str:
    value = variables.value(names.OPENOBSERVE_HF_STREAM_USAGE).lower()
    if value and value not in MODES:
        variables.default(names.OPENOBSERVE_HF_STREAM_USAGE, "is neither auto, on nor off", "auto", value=value)
        value = ""
    return value or "auto"


def _cleaned(value: str) -> str:
    """Without surrounding space and one pair of quotes, which ``docker --env-file`` leaves in place."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1].strip()
    return value


def _absolute(path: str, cwd: Optional[str]) -> Optional[str]:
    """A program may change its directory after this; None for an empty path."""
    if not path:
        return None
    path = os.path.expanduser(path)
    return os.path.normpath(os.path.join(cwd, path)) if cwd else path


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
