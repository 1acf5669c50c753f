"""What a user would pick, ours among it: how each is installed, entered and set, with all it sends kept on loopback.

Each is entered by a directory on PYTHONPATH, as its own launcher does it (``opentelemetry-instrument``,
``ddtrace-run``, ``openlit-instrument``), without that launcher's process. A tool without a launcher has the lines of
its guide in ``doors/``. It records the messages, as all of them can; their own telemetry, updates and look-ups are
switched off.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import environments
from environments import OPENTELEMETRY_DOOR, STOCK_VARIABLES, Environment

CLIENTS = ("openai", "huggingface-hub")


class Tool(NamedTuple):
    """``package``: whose version is told. door: see ``environments.one``. note: how it differs, for the table."""

    name: str
    title: str
    package: str
    requirements: Sequence[str] = ()
    door: str = ""
    variables: Mapping[str, str] = MappingProxyType({})


_GENAI = (
    "opentelemetry-distro",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-genai-openai",
)

OURS = Tool(
    "agent",
    "**hf-openobserve**",
    "hf-openobserve",
    # As it is by default with Hugging Face's router, which the server on loopback stands for.
    variables={"OPENOBSERVE_HF_STREAM_USAGE": "on"},
)
STOCK = Tool("stock", "OpenTelemetry + OpenInference", "openinference-instrumentation-openai")
TOOLS = (
    OURS,
    STOCK,
    Tool(
        "genai",
        "OpenTelemetry genai-openai",
        "opentelemetry-instrumentation-genai-openai",
        _GENAI,
        OPENTELEMETRY_DOOR,
        {**STOCK_VARIABLES, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"},
    ),
    Tool(
        "genai-default",
        "the same, as it is by default",
        "opentelemetry-instrumentation-genai-openai",
        _GENAI,
        OPENTELEMETRY_DOOR,
        STOCK_VARIABLES,
    ),
    Tool(
        "ddtrace",
        "ddtrace",
        "ddtrace",
        ("ddtrace",),
        "ddtrace/bootstrap",
        {
            "DD_LLMOBS_ENABLED": "1",
            "DD_LLMOBS_AGENTLESS_ENABLED": "1",
            "DD_LLMOBS_ML_APP": "benchmark",
            "DD_LLMOBS_OVERRIDE_ORIGIN": "{sink}",
            "DD_API_KEY": "0" * 32,
            "DD_TRACE_AGENT_URL": "{sink}",
            "DD_APM_TRACING_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_CRASHTRACKING_ENABLED": "false",
        },
    ),
    Tool(
        "openlit",
        "OpenLIT",
        "openlit",
        # pip does not come to an end without the second: not all of the instrumentations it lists exist as 0.66b2.
        ("openlit>=1.45", "opentelemetry-instrumentation==0.66b1"),
        "openlit/cli/bootstrap",
        # Prices come from GitHub at each start, unless there is a file.
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "{sink}",
            "OPENLIT_PRICING_JSON": str(environments.HERE / "doors" / "openlit" / "prices.json"),
        },
    ),
    Tool(
        "logfire",
        "Logfire",
        "logfire",
        ("logfire",),
        "doors/logfire",
        # Its console would print each span on the program's standard output.
        {"LOGFIRE_TOKEN": "not-a-token", "LOGFIRE_BASE_URL": "{sink}", "LOGFIRE_CONSOLE": "false"},
    ),
    Tool(
        "sentry",
        "Sentry",
        "sentry-sdk",
        ("sentry-sdk",),
        "doors/sentry",
        {"SENTRY_DSN": "http://0123456789abcdef0123456789abcdef@{address}/1"},
    ),
)


class Made(NamedTuple):
    """A tool's environment, and the bare one that has the same clients."""

    tool: Tool
    environment: Environment
    bare: Environment


def prepare(tools: Sequence[Tool], say: Callable[[str], None], *, fresh: bool = False) -> List[Made]:
    """Make what is missing. A tool that wants an older client than the others is compared with a bare one of that."""
    ours = environments.prepare(say, fresh=fresh)
    bares: Dict[str, Environment] = {str(environments.versions(ours["bare"], CLIENTS)): ours["bare"]}
    made = []
    for tool in tools:
        environment: Optional[Environment] = ours.get(tool.name)
        if environment is not None:
            environment = environment._replace(variables={**environment.variables, **tool.variables})
        else:
            requirements = (*tool.requirements, *CLIENTS)
            environment = environments.one(tool.package, requirements, tool.door, tool.variables, say)
            environment = environment._replace(name=tool.name)  # one directory may serve two sets of variables
        clients = environments.versions(environment, CLIENTS)
        if str(clients) not in bares:
            name = "bare " + clients["openai"]
            pinned = [f"{package}=={version}" for package, version in clients.items()]
            bares[str(clients)] = environments.one(name, pinned, None, {}, say)
        made.append(Made(tool, environment, bares[str(clients)]))
    return made
