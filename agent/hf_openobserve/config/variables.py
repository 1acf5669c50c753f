"""The one place that reads the environment and the ``.env``: values by name, and what is wrong with them."""

from __future__ import annotations

import math
import os
from typing import Dict, List, Mapping, Optional, Tuple

from hf_openobserve.config import dotenv
from hf_openobserve.config import environment_variables as names
from hf_openobserve.process import diagnostics

MAX_SECONDS = 86400.0
"""Longer waits overflow what sockets and locks take as a timeout on some platforms, and none is meant."""

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")

_ENVIRONMENT_ONLY = (
    names.OPENOBSERVE_HF_OUTBOX_DIR,
    names.OPENOBSERVE_HF_OUTBOX_MAX_MB,
    names.OPENOBSERVE_HF_MAX_AGE_H,
    names.OPENOBSERVE_HF_EXIT_TIMEOUT_S,
    names.OPENOBSERVE_HF_FLUSH,
    names.OPENOBSERVE_HF_MASK,
    names.OPENOBSERVE_HF_PRICES,
)
"""Where files are written, how large they grow, how long the exit takes and whether calls wait, what every text is
searched for, which file holds prices: no ``.env`` decides that, since it may be a stranger's (see ``dotenv``). Content
capture can only be switched off there: ``full`` is the default, and the environment is asked first. For the server's
address see ``openobserve_server``.
"""


class Variables:
    """The environment and one ``.env``. Problems and notes are complete lines; ``secrets`` are the texts to mask."""

    def __init__(self, environ: Mapping[str, str], cwd: Optional[str] = None) -> None:
        self.environ = environ
        self.cwd = cwd
        self.file = dotenv.DotenvFile()
        self.sources: Dict[str, str] = {}
        self.secrets: List[str] = []
        self.problems: List[str] = []
        self.notes: List[str] = []
        self.refused = False
        """URL, organization or token are wrong."""

    def read_dotenv(self, script_dir: Optional[str]) -> None:
        """Find the ``.env``, or read the one that the environment names."""
        wanted = self.value(names.OPENOBSERVE_HF_DOTENV)
        if wanted.lower() in _FALSE:
            return
        if not wanted or wanted.lower() in _TRUE:
            self.file = dotenv.find(script_dir, self.cwd)
        else:
            path = self.absolute(wanted) or wanted
            try:
                self.file = dotenv.DotenvFile(path, dotenv.read(path))
            except (OSError, dotenv.Refused) as error:
                diagnostics.pass_the_programs_own()
                what = f"names a file that cannot be used ({path}: {dotenv.reason(error)})"
                self.wrong(names.OPENOBSERVE_HF_DOTENV, what, "/srv/app/.env", "no .env file is read")
        self.problems.extend(self.file.problems)
        self.notes.extend(self.file.notes)
        for name in _ENVIRONMENT_ONLY:
            if self.in_file(name) and not self.in_environment(name):
                self.problems.append(
                    f"{name} in {self.file.path} is not used: a .env file may not set it; "
                    f"set it in the environment - using the default."
                )

    # --- Values ---

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

    def otlp(self, name: str, signal: str = "TRACES") -> Tuple[str, str]:
        """Value and name of the signal's own OTLP variable if it is set, else of the general one."""
        own, general = f"OTEL_EXPORTER_OTLP_{signal}_{name}", "OTEL_EXPORTER_OTLP_" + name
        value, general_value = self.value(own), self.value(general)
        return (value, own) if value else (general_value, general)

    def from_file(self, name: str) -> bool:
        """Whether the value in use stands in the ``.env``."""
        return self.sources.get(name, "default") not in ("environment", "default")

    def absolute(self, path: str) -> Optional[str]:
        """None for an empty path. A program may change its directory after this."""
        if not path:
            return None
        path = os.path.expanduser(path)
        return os.path.normpath(os.path.join(self.cwd, path)) if self.cwd else path

    def boolean(self, name: str, *, default: bool) -> bool:
        """``true``, ``1``, ``yes``, ``on`` and their opposites, in any case; else a problem and the default."""
        value = self.value(name)
        if value and value.lower() not in _TRUE + _FALSE:
            self.default(name, "is neither true nor false", str(default).lower(), value=value)
            value = ""
        return value.lower() in _TRUE if value else default

    def choice(self, name: str, among: Tuple[str, ...], what: str) -> str:
        """One of these texts, in any case; else a problem and the first one."""
        value = self.value(name).lower()
        if value and value not in among:
            self.default(name, what, among[0], value=value)
            value = ""
        return value or among[0]

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

    # --- What is wrong ---

    def wrong(self, name: str, what: str, example: str, consequence: str, *, value: str = "") -> None:
        """Add one problem. A short ``value`` is shown; a long one may be a token in the wrong variable."""
        where = f" in {self.file.path}" if self.from_file(name) else ""
        shown = f' ("{value}")' if 0 < len(value) <= 12 else ""
        self.problems.append(f"{name}{where} {what}{shown}; write for example {example} - {consequence}.")

    def refuse(self, name: str, what: str, example: str) -> None:
        """Add a problem after which nothing is recorded."""
        self.refused = True
        self.wrong(name, what, example, "nothing is recorded until it is corrected")

    def default(self, name: str, what: str, default: str, *, value: str = "") -> None:
        """Add a problem after which the default is used."""
        self.wrong(name, what, default, f"using the default {default}", value=value)
        self.sources[name] = "default"


def _cleaned(value: str) -> str:
    """Without surrounding space and one pair of quotes.

    ``docker run --env-file`` keeps the quotes that other readers of the same file take away:
    https://github.com/docker/cli/issues/3630.
    """
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1].strip()
    return value
