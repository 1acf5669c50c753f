"""Every setting with its source; what is wrong with one, as the agent says it when it starts."""

from __future__ import annotations

from typing import Dict, Iterator, List, Mapping, Optional

from hf_openobserve.cli.doctor.finding import Finding, green, red, yellow
from hf_openobserve.config import environment_variables as names
from hf_openobserve.config import prices
from hf_openobserve.config import settings as settings_module
from hf_openobserve.config.urls import url_secrets
from hf_openobserve.config.variables import Variables
from hf_openobserve.door import switches
from hf_openobserve.outbox import pricing
from hf_openobserve.privacy import literals

_HIDDEN = "***"
_WITH_SECRETS = ("AUTH_TOKEN", "ADMIN_TOKEN", "_HEADERS")
_NOTHING_WORKS = "until it is corrected."
"""The end of a line that says that nothing is recorded, or nothing sent."""


def check(
    settings: settings_module.Settings, environ: Mapping[str, str], script_dir: Optional[str], cwd: Optional[str]
) -> Iterator[Finding]:
    """What is set, where; then what is wrong. ``script_dir`` and ``cwd`` as ``settings`` was loaded with."""
    variables = Variables(environ, cwd)
    variables.read_dotenv(script_dir)
    if variables.file.path:
        yield green(".env", f"{variables.file.path} is read", path=variables.file.path)
    defaults = []
    for name in _all_names(environ):
        source = settings.sources.get(name) or ("environment" if environ.get(name) else "default")
        value = variables.in_environment(name) if source == "environment" else variables.in_file(name)
        if source == "default":
            defaults.append(name)
        else:
            yield green(name, f"{_shown(name, value)} ({source})", value=_shown(name, value), source=source)
    ours = [name for name in defaults if name.startswith("OPENOBSERVE_")]
    if ours:
        yield green("defaults", ", ".join(ours), **dict.fromkeys(ours, "default"))
    yield from _problems(settings, environ)


def masked(settings: Optional[settings_module.Settings], environ: Mapping[str, str], text: str) -> str:
    """The text as it may be shown: no secret of the settings or the environment is in it."""
    from hf_openobserve.privacy import masking

    known = [*(settings.secrets if settings is not None else ()), *literals.of_environment(environ)]
    return masking.mask(text, literals.forms_of(known) + literals.known())


def _problems(settings: settings_module.Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    for line in settings.problems:
        subject, _, rest = line.partition(" ")
        what, separator, after = rest.partition("; write for example ")
        example, _, consequence = after.rpartition(" - ")
        sentence = f"{what} - {consequence}" if separator else rest
        remedy = f"Write for example {subject}={example}" if separator else "Do what the line says"
        level = red if line.endswith(_NOTHING_WORKS) else yellow
        yield level(subject, sentence, remedy)
    yield from _prices(settings.prices)
    for line in settings.notes:
        yield green("note", line)
    if not settings.enabled and not settings.problems:
        if switches.is_switched_off(environ):
            named = f"{names.OPENOBSERVE_ENABLED} or {names.OTEL_SDK_DISABLED}"
        else:
            named = f"{names.OPENOBSERVE_ENABLED} in the .env, or {names.OTEL_TRACES_EXPORTER}=none,"
        yield yellow("switched off", f"{named} says so: nothing is recorded", "Unset it")


def _prices(path: str) -> Iterator[Finding]:
    """The user's price list, which only a process that sends reads."""
    if not path or path == pricing.OFF:
        return
    try:
        problems = prices.of_file(path).problems
        sentence = f"{path} is used without what is wrong in it: {'; '.join(problems[:3])}" if problems else ""
    except (OSError, ValueError) as error:
        sentence = f"{path} {prices.reason(error)}: costs are computed without it"
    if sentence:
        yield yellow(names.OPENOBSERVE_HF_PRICES, sentence, "Write it as docs/cost.md shows")


def _all_names(environ: Mapping[str, str]) -> List[str]:
    """Those that the agent reads, in the documented order, and the family of ``OPENINFERENCE_HIDE_``."""
    constants: Dict[str, object] = vars(names)
    known = [name for name, value in constants.items() if value == name]
    known += names.HF_TOKEN_VARIABLES
    hidden = sorted(name for name in environ if name.startswith(names.OPENINFERENCE_HIDE_PREFIX))
    return list(dict.fromkeys(known + hidden))


def _shown(name: str, value: str) -> str:
    """As it may be printed: a credential is never more than its form."""
    if name.endswith(_WITH_SECRETS):
        scheme = value.partition(" ")[0]
        return f"{scheme} {_HIDDEN}" if scheme.lower() in ("basic", "bearer") else _HIDDEN
    if name in names.HF_TOKEN_VARIABLES or literals.names_a_credential(name):
        return _HIDDEN
    for secret in url_secrets(value) if "@" in value else ():
        value = value.replace(secret, _HIDDEN) if secret else value
    return value
