"""Every environment variable the agent reads, one documented constant each.

This module must not be registered under the entry point ``opentelemetry_environment_variables``: the wrapper command
turns each ``OTEL_*`` name of such a module into a command-line option and fails on a name that another module exports.
"""

OPENOBSERVE_URL = "OPENOBSERVE_URL"
"""
.. envvar:: OPENOBSERVE_URL

Base URL of the OpenObserve server, with or without a trailing slash or a path prefix, e.g.
``https://api.openobserve.ai``. Default: ``http://localhost:5080`` when only the token is set.
"""

OPENOBSERVE_ORG = "OPENOBSERVE_ORG"
"""
.. envvar:: OPENOBSERVE_ORG

Organization, one path segment of the ingestion URL. Default: ``default``.
"""

OPENOBSERVE_AUTH_TOKEN = "OPENOBSERVE_AUTH_TOKEN"  # noqa: S105 - a variable's name
"""
.. envvar:: OPENOBSERVE_AUTH_TOKEN

``Basic <base64 of user:password>``; a bare ``user:password`` and a bare base64 of it are accepted too.
"""

OPENOBSERVE_HF_ADMIN_TOKEN = "OPENOBSERVE_HF_ADMIN_TOKEN"  # noqa: S105 - a variable's name
"""
.. envvar:: OPENOBSERVE_HF_ADMIN_TOKEN

Credentials of a user who may read and provision, in the forms of ``OPENOBSERVE_AUTH_TOKEN``: for commands such as
``hf-openobserve dashboards`` where that one may only write. A running program does not use it.
"""

OPENOBSERVE_TRACES_STREAM_NAME = "OPENOBSERVE_TRACES_STREAM_NAME"
"""
.. envvar:: OPENOBSERVE_TRACES_STREAM_NAME

Trace stream the spans go to (header ``stream-name``). Default: ``default``.
"""

OPENOBSERVE_TIMEOUT = "OPENOBSERVE_TIMEOUT"
"""
.. envvar:: OPENOBSERVE_TIMEOUT

Seconds one delivery request may take. Default: 30.
"""

OPENOBSERVE_ENABLED = "OPENOBSERVE_ENABLED"
"""
.. envvar:: OPENOBSERVE_ENABLED

``false`` switches the agent off. Default: ``true``.
"""

OPENOBSERVE_HF_DEBUG = "OPENOBSERVE_HF_DEBUG"
"""
.. envvar:: OPENOBSERVE_HF_DEBUG

``true`` prints what the agent decides, and every error it swallowed, to stderr. Default: ``false``.
"""

OPENOBSERVE_HF_FORCE = "OPENOBSERVE_HF_FORCE"
""".. envvar:: OPENOBSERVE_HF_FORCE

``true``: go on where a package of the program's is outside the range that the agent needs. Default: ``false``, the
agent steps back.
"""

OPENOBSERVE_HF_OUTBOX_DIR = "OPENOBSERVE_HF_OUTBOX_DIR"
"""
.. envvar:: OPENOBSERVE_HF_OUTBOX_DIR

Directory of the outbox, where a span waits on disk until the server has accepted it. Default:
``$XDG_STATE_HOME/hf-openobserve/outbox``, ``~/.local/state/hf-openobserve/outbox``, else a private temporary directory.
"""

OPENOBSERVE_HF_OUTBOX_MAX_MB = "OPENOBSERVE_HF_OUTBOX_MAX_MB"
"""
.. envvar:: OPENOBSERVE_HF_OUTBOX_MAX_MB

MiB the outbox may hold; the oldest spans go first. Default: 64.
"""

OPENOBSERVE_HF_MAX_AGE_H = "OPENOBSERVE_HF_MAX_AGE_H"
"""
.. envvar:: OPENOBSERVE_HF_MAX_AGE_H

Hours after its start in which the OpenObserve server takes a span (its ``ZO_INGEST_ALLOWED_UPTO``). An older one is not
sent, since the server would drop it silently, but counted. 0: the server takes every span. Default: 5.
"""

OPENOBSERVE_HF_EXIT_TIMEOUT_S = "OPENOBSERVE_HF_EXIT_TIMEOUT_S"
"""
.. envvar:: OPENOBSERVE_HF_EXIT_TIMEOUT_S

Seconds the exit of the program may be delayed by one last delivery attempt. Default: 1.
"""

OPENOBSERVE_HF_FLUSH = "OPENOBSERVE_HF_FLUSH"
""".. envvar:: OPENOBSERVE_HF_FLUSH

When what was recorded is waited for: ``each`` before each answer of a function, or else at the end of each call, at
most ``OPENOBSERVE_HF_EXIT_TIMEOUT_S``; ``exit`` at the end of the process alone; ``auto``: ``each`` where the platform
freezes a process between invocations, as ``AWS_LAMBDA_RUNTIME_API``, ``K_SERVICE`` or ``FUNCTIONS_WORKER_RUNTIME``
tell. Default: ``auto``.
"""

AWS_LAMBDA_RUNTIME_API = "AWS_LAMBDA_RUNTIME_API"
K_SERVICE = "K_SERVICE"
FUNCTIONS_WORKER_RUNTIME = "FUNCTIONS_WORKER_RUNTIME"
"""Set by AWS Lambda, by Cloud Run and Knative, by Azure Functions: the process is frozen, or may be, while it answers
nothing.
"""

OPENOBSERVE_HF_CAPTURE_CONTENT = "OPENOBSERVE_HF_CAPTURE_CONTENT"
"""
.. envvar:: OPENOBSERVE_HF_CAPTURE_CONTENT

``full`` records prompts and answers, ``none`` records neither: no text of them reaches the disk. Default: ``full``.
"""

OPENOBSERVE_HF_PRICES = "OPENOBSERVE_HF_PRICES"
"""
.. envvar:: OPENOBSERVE_HF_PRICES

Path of a price list of yours, which goes before the package's own (docs/cost.md). ``off``: no cost is computed.
"""

OPENOBSERVE_HF_MASK = "OPENOBSERVE_HF_MASK"
"""
.. envvar:: OPENOBSERVE_HF_MASK

A regular expression (Python's): what it matches is masked too, wherever it occurs, beside what docs/privacy.md lists.
"""

OPENOBSERVE_HF_BAGGAGE = "OPENOBSERVE_HF_BAGGAGE"
"""
.. envvar:: OPENOBSERVE_HF_BAGGAGE

Keys of W3C baggage, separated by commas, that become columns of a call beside ``session.id``, ``user.id``,
``gen_ai.agent.id`` and ``gen_ai.agent.name``, which always do.
"""

OPENOBSERVE_AGENT_ID = "OPENOBSERVE_AGENT_ID"
"""
.. envvar:: OPENOBSERVE_AGENT_ID

``gen_ai.agent.id`` of calls whose baggage names none, as in OpenObserve's own SDK.
"""

OPENOBSERVE_AGENT_NAME = "OPENOBSERVE_AGENT_NAME"
"""
.. envvar:: OPENOBSERVE_AGENT_NAME

``gen_ai.agent.name`` of calls whose baggage names none, as in OpenObserve's own SDK.
"""

OPENOBSERVE_HF_STREAM_USAGE = "OPENOBSERVE_HF_STREAM_USAGE"
"""
.. envvar:: OPENOBSERVE_HF_STREAM_USAGE

Whether a streamed chat is asked for its token usage where the program does not ask: ``auto`` where the host is known to
accept it (Hugging Face's router and dedicated endpoints), ``on`` everywhere, ``off`` nowhere. Default: ``auto``.
"""

OPENOBSERVE_HF_PROPAGATE = "OPENOBSERVE_HF_PROPAGATE"
""".. envvar:: OPENOBSERVE_HF_PROPAGATE

Whether a request carries its trace (``traceparent``, or what ``OTEL_PROPAGATORS`` says): ``auto`` to dedicated and
local endpoints, ``on`` to every host, ``off`` to none. Default: ``auto``.
"""

OPENOBSERVE_HF_METRICS = "OPENOBSERVE_HF_METRICS"
""".. envvar:: OPENOBSERVE_HF_METRICS

Metrics of the calls: ``auto`` where a server is configured and ``OTEL_METRICS_EXPORTER`` is not ``none``, ``on``,
``off``, or ``legacy`` under the names from before version 0.1.0 of the conventions. Default: ``auto``.
"""

OPENOBSERVE_HF_DOTENV = "OPENOBSERVE_HF_DOTENV"
"""
.. envvar:: OPENOBSERVE_HF_DOTENV

``false`` ignores ``.env`` files; a path names the one file to read. Default: ``true`` (look for one).
"""

HF_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "OPENAI_API_KEY")
"""The application's own secrets: read only so that their values can be masked wherever they show up."""

OTEL_SDK_DISABLED = "OTEL_SDK_DISABLED"
"""``true`` switches the agent off, as it does the SDK."""

OTEL_PYTHON_DISABLED_INSTRUMENTATIONS = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""Comma-separated names; ``openai`` and ``huggingface_hub`` name the agent's own, ``*`` all."""

OTEL_PYTHON_DISTRO = "OTEL_PYTHON_DISTRO"
OTEL_PYTHON_CONFIGURATOR = "OTEL_PYTHON_CONFIGURATOR"
"""The wrapper command's selection; an explicit value of the user's is respected."""

OTEL_TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
"""``otlp`` and ``openobserve`` mean the agent's one delivery, others are added beside it, ``none`` records nothing."""

OTEL_EXPORTER_OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
OTEL_EXPORTER_OTLP_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
OTEL_EXPORTER_OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
OTEL_EXPORTER_OTLP_TRACES_HEADERS = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
OTEL_EXPORTER_OTLP_TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
OTEL_EXPORTER_OTLP_TRACES_TIMEOUT = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"
OTEL_EXPORTER_OTLP_COMPRESSION = "OTEL_EXPORTER_OTLP_COMPRESSION"
OTEL_EXPORTER_OTLP_TRACES_COMPRESSION = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"
OTEL_EXPORTER_OTLP_CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE"
OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"
OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"
OTEL_EXPORTER_OTLP_CLIENT_KEY = "OTEL_EXPORTER_OTLP_CLIENT_KEY"
OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"
"""The OTLP exporter's variables, used when no OpenObserve server is configured (an OpenTelemetry Collector)."""

OTEL_METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
OTEL_METRIC_EXPORT_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
OTEL_EXPORTER_OTLP_METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
"""Metrics, with their specified meaning. The other ``OTEL_EXPORTER_OTLP_METRICS_*`` are as those of traces."""

REQUESTS_CA_BUNDLE = "REQUESTS_CA_BUNDLE"
CURL_CA_BUNDLE = "CURL_CA_BUNDLE"
SSL_CERT_FILE = "SSL_CERT_FILE"
SSL_CERT_DIR = "SSL_CERT_DIR"
"""The process's certificate authorities: those of ``requests``, then those of OpenSSL, which ``requests`` ignores."""

OTEL_PYTHON_ID_GENERATOR = "OTEL_PYTHON_ID_GENERATOR"
"""Entry point (group ``opentelemetry_id_generator``) of the generator of trace and span ids."""

OTEL_SERVICE_NAME = "OTEL_SERVICE_NAME"
OTEL_RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"
"""The resource, with their specified meaning."""

OTEL_ATTRIBUTE_COUNT_LIMIT = "OTEL_ATTRIBUTE_COUNT_LIMIT"
OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
"""A limit the user set is kept; unset, the agent raises the SDK's 128."""

OPENINFERENCE_HIDE_PREFIX = "OPENINFERENCE_HIDE_"
"""``OPENINFERENCE_HIDE_*``: honoured everywhere, see ``privacy``."""
