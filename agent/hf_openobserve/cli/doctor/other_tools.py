"""Other tools that see the same calls, and who makes the row of a call beside them (docs/laws.md#7)."""

from __future__ import annotations

from typing import Iterator, List, NamedTuple

from hf_openobserve.cli.doctor.finding import GREEN, YELLOW, Finding, green
from hf_openobserve.cli.doctor.interpreter import Facts

_GIVES_WAY = "where the program lets it instrument OpenAI, its instrumentation makes the row, with the agent's columns"


class _Tool(NamedTuple):
    name: str
    distributions: List[str]
    level: str
    sentence: str
    remedy: str = ""


_TOOLS = (
    _Tool(
        "Logfire",
        ["logfire"],
        YELLOW,
        "by default it suppresses other instrumentation within its own spans of OpenAI's calls: "
        "these calls have no row",
        "Write logfire.instrument_openai(suppress_other_instrumentation=False); "
        "OPENOBSERVE_HF_DEBUG=true says it per call",
    ),
    _Tool(
        "Sentry",
        ["sentry-sdk"],
        GREEN,
        "records the same calls for itself, in spans that are not OpenTelemetry's: the row stays the agent's",
    ),
    _Tool(
        "ddtrace",
        ["ddtrace"],
        GREEN,
        "records the same calls for itself; its sitecustomize runs ours as well: the row stays the agent's",
    ),
    _Tool("traceloop", ["traceloop-sdk"], GREEN, _GIVES_WAY),
    _Tool(
        "OpenObserve's SDK",
        ["openobserve-python-sdk", "openobserve-telemetry-sdk", "openobserve"],
        GREEN,
        "where the program initializes it and instruments OpenAI with it, it delivers the row itself, and the agent "
        "leaves it alone",
    ),
)


def check(facts: Facts) -> Iterator[Finding]:
    """Those that are installed there. Whether the program uses them is not seen without running it."""
    for tool in _TOOLS:
        versions = [facts.distributions[name] for name in tool.distributions if name in facts.distributions]
        if versions:
            yield Finding(tool.level, tool.name, f"{versions[0]}: {tool.sentence}", tool.remedy)
    values = [value for name, value in facts.entry_points.get("opentelemetry_instrumentor", ()) if name == "openai"]
    modules = [value.partition(":")[0] for value in values]
    if len(modules) > 1:
        what = f"{', '.join(modules)}: under the agent's distro ours alone is loaded; {_GIVES_WAY}"
        yield green("openai's instrumentors", what)
    yield green(
        "row", "one call is one row, made by the agent's own instrumentation unless a line above says otherwise"
    )
