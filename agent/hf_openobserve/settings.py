"""Environment and ``.env`` -> one frozen ``Settings``; every value knows its source.

Read once, at activation, inside the host process: nothing here opens a connection, raises, or prints. What is wrong is
returned as complete lines for stderr, which never hold a secret; so does no ``repr`` of what this module returns.
"""

from __future__ import annotations

import base64
import math
import os
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Dict, FrozenSet, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hf_openobserve import diagnostics, dotenv_file, switches
from hf_openobserve import environment_variables as names

DEFAULT_URL = "http://localhost:5080"
DEFAULT_ORG = "default"
DEFAULT_STREAM = "default"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_OTLP_TIMEOUT_S = 10.0
DEFAULT_OUTBOX_MAX_MB = 64.0
DEFAULT_EXIT_TIMEOUT_S = 1.0
MAX_SECONDS = 86400.0
"""Longer waits overflow what sockets and locks take as a timeout on some platforms, and none is meant."""

SHORTEST_SECRET = 8
"""Characters. Masking ``EMPTY``, ``none`` or ``ollama``, which stand in OPENAI_API_KEY for local servers, wherever
they occur would spoil prompts and columns, and hide nothing."""

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")
_OTLP_EXPORTERS = ("otlp", "openobserve", "otlp_proto_http", "otlp_proto_grpc")
"""Entry-point names of ``opentelemetry_traces_exporter`` that all mean the agent's one delivery."""

_ADDRESS = (names.OPENOBSERVE_URL, names.OPENOBSERVE_AUTH_TOKEN)
_ENVIRONMENT_ONLY = (
    names.OPENOBSERVE_HF_OUTBOX_DIR,
    names.OPENOBSERVE_HF_OUTBOX_MAX_MB,
    names.OPENOBSERVE_HF_EXIT_TIMEOUT_S,
)
"""Where files are written, how large they grow and how long the exit takes: no ``.env`` decides that, since it may be a
stranger's (see ``dotenv_file``). Of the rest, URL and token come from one source, always; organization and stream come
from the file only with its own address, or where it has none and merely completes the environment's: the server, and
with it what the token may write to, stays the environment's. Content capture can only be switched off there, because
``full`` is the default and the environment is asked first."""
_URL_EXAMPLE = "https://api.openobserve.ai"
_TOKEN_EXAMPLE = '"Basic <base64 of user:password>"'  # noqa: S105 - a form, not a token
_NOT_RECORDED = "nothing is recorded until it is corrected"
_KEPT = "spans are kept on disk, unsent, until it is corrected"


@dataclass(frozen=True, repr=False)
class Destination:
    """Where finished spans go. Its text shows header names only (law 8)."""

    kind: str
    """``openobserve``, ``otlp`` (an OpenTelemetry Collector or its like) or ``local`` (they stay in the outbox)."""
    endpoint: str = ""
    """The URL to POST ``ExportTraceServiceRequest`` to; for print use ``shown_endpoint``."""
    base_url: str = ""
    """OpenObserve's own base without a trailing slash, for ``GET {base_url}/config``; empty for the other kinds."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeout_s: float = DEFAULT_TIMEOUT_S
    gzip: bool = True
    certificate: Optional[str] = None
    """Path of a bundle of certificate authorities."""
    client_certificate: Optional[str] = None
    client_key: Optional[str] = None
    identity: str = "local"
    """Names the destination without a secret: spans waiting on disk are kept per identity, and go to no other."""

    @property
    def shown_endpoint(self) -> str:
        """The endpoint as it may be printed: a query may hold an access key."""
        return _without_query(self.endpoint)

    def __repr__(self) -> str:
        shown = (
            f"kind={self.kind!r}, endpoint={self.shown_endpoint!r}, base_url={self.base_url!r}",
            f"headers={sorted(self.headers)!r}, timeout_s={self.timeout_s!r}, gzip={self.gzip!r}",
            f"certificate={self.certificate!r}, client_certificate={self.client_certificate!r}",
            f"client_key={self.client_key!r}, identity={self.identity!r}",
        )
        return f"Destination({', '.join(shown)})"


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
    exit_timeout_s: float = DEFAULT_EXIT_TIMEOUT_S
    capture_content: bool = True
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
        return _load(_Variables(environ), script_dir, cwd)
    except Exception as error:  # noqa: BLE001 - law 1
        diagnostics.swallowed("settings.load")
        line = f"The settings could not be read ({type(error).__name__}) - nothing is recorded in this process."
        return Settings(enabled=False, destination=Destination("local"), problems=(line,))


def disabled_instrumentations(environ: Mapping[str, str]) -> FrozenSet[str]:
    """See ``switches``, which the bootstrap asks without importing this module."""
    disabled: FrozenSet[str] = switches.disabled_instrumentations(environ)  # type: ignore[no-untyped-call,unused-ignore]
    return disabled


def is_switched_off(environ: Mapping[str, str]) -> bool:
    """See ``switches``, which the bootstrap asks without importing this module."""
    return bool(switches.is_switched_off(environ))  # type: ignore[no-untyped-call,unused-ignore]


def _load(variables: _Variables, script_dir: Optional[str], cwd: Optional[str]) -> Settings:
    variables.read_dotenv(script_dir, cwd)
    switched_on = variables.boolean(names.OPENOBSERVE_ENABLED, default=True)
    if variables.value(names.OTEL_SDK_DISABLED).lower() == "true":
        switched_on = False
    exporters = [name.strip() for name in variables.value(names.OTEL_TRACES_EXPORTER).split(",") if name.strip()]
    if any(name.lower() == "none" for name in exporters):
        switched_on = False

    # Asked in this order; secrets, sources and problems are what the asking leaves behind, so they come last.
    destination = _openobserve(variables) or _otlp(variables) or Destination("local")
    others = [name for name in exporters if name.lower() not in (*_OTLP_EXPORTERS, "none")]
    outbox_max_mb = variables.number(names.OPENOBSERVE_HF_OUTBOX_MAX_MB, DEFAULT_OUTBOX_MAX_MB, unit="MiB")
    exit_timeout_s = variables.number(
        names.OPENOBSERVE_HF_EXIT_TIMEOUT_S, DEFAULT_EXIT_TIMEOUT_S, unit="seconds", most=MAX_SECONDS, zero=True
    )
    outbox_dir = _absolute(variables.value(names.OPENOBSERVE_HF_OUTBOX_DIR), cwd)
    capture_content = _capture_content(variables)
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
        destination=destination,
        other_exporters=tuple(dict.fromkeys(others)),
        outbox_dir=outbox_dir,
        outbox_max_bytes=int(outbox_max_mb * 1024 * 1024),
        exit_timeout_s=exit_timeout_s,
        capture_content=capture_content,
        debug=debug,
        secrets=secrets,
        sources=MappingProxyType(dict(variables.sources)),
        # Who has switched the agent off is not told what would be wrong if it were on, unless he asks.
        problems=problems if switched_on else (),
        notes=notes if switched_on else notes + problems,
    )


class _Variables:
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
        return _cleaned(self.environ.get(name, ""))

    def in_file(self, name: str) -> str:
        return _cleaned(self.file.values.get(name, ""))

    def value(self, name: str, *, also_from_file: bool = True) -> str:
        """The value in use, empty if there is none; an empty one in the environment counts as unset."""
        value, source = self.in_environment(name), "environment"
        if not value and also_from_file and name not in _ENVIRONMENT_ONLY:
            value, source = self.in_file(name), self.file.path
        self.sources[name] = source if value else "default"
        return value

    def wrong(self, name: str, what: str, example: str, consequence: str) -> None:
        source = self.sources.get(name)
        where = f" in {source}" if source not in (None, "environment", "default") else ""
        self.problems.append(f"{name}{where} {what}; write for example {example} - {consequence}.")

    def refuse(self, name: str, what: str, example: str) -> None:
        self.refused = True
        self.wrong(name, what, example, _NOT_RECORDED)

    def boolean(self, name: str, *, default: bool) -> bool:
        value = self.value(name)
        if not value or value.lower() in _TRUE + _FALSE:
            return value.lower() in _TRUE if value else default
        text = str(default).lower()
        self.wrong(name, f"is neither true nor false{_shown_short(value)}", text, f"using the default {text}")
        self.sources[name] = "default"
        return default

    def number(self, name: str, default: float, *, unit: str, zero: bool = False, most: float = float("inf")) -> float:
        """A finite number above 0 (or from 0, with ``zero``) up to ``most``, else a problem and the default."""
        value = self.value(name)
        if not value:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and number <= most and (number > 0 or (zero and number == 0)):
            return number
        bounds = (" from 0" if zero else " above 0") + (f" to {most:g}" if math.isfinite(most) else "")
        what = f"is not a number of {unit}{bounds}{_shown_short(value)}"
        self.wrong(name, what, f"{default:g}", f"using the default {default:g}")
        self.sources[name] = "default"
        return default


# --- OpenObserve -----------------------------------------------------------------------------------------------------


def _openobserve(variables: _Variables) -> Optional[Destination]:
    """The OpenObserve server; ``local`` when its settings are wrong (never OTLP's endpoint); None when it has none."""
    timeout_s = variables.number(names.OPENOBSERVE_TIMEOUT, DEFAULT_TIMEOUT_S, unit="seconds", most=MAX_SECONDS)
    from_environment = any(variables.in_environment(name) for name in _ADDRESS)
    in_file = [name for name in _ADDRESS if variables.in_file(name)]
    url, token = (variables.value(name, also_from_file=not from_environment) for name in _ADDRESS)
    # The organization and the stream beside an address that is not used belong to that other server.
    of_another_server = bool(in_file) and from_environment
    org = variables.value(names.OPENOBSERVE_ORG, also_from_file=not of_another_server) or DEFAULT_ORG
    stream = (
        variables.value(names.OPENOBSERVE_TRACES_STREAM_NAME, also_from_file=not of_another_server) or DEFAULT_STREAM
    )
    variables.secrets.extend(_token_secrets(variables.in_environment(names.OPENOBSERVE_AUTH_TOKEN)))
    variables.secrets.extend(_token_secrets(variables.in_file(names.OPENOBSERVE_AUTH_TOKEN)))
    variables.secrets.extend(_url_secrets(url))
    if of_another_server:
        _explain_unused_address(variables, in_file, url)
    if not url and not token:
        return None

    base_url = _checked_url(variables, url) if url else DEFAULT_URL
    authorization = _checked_token(variables, token)
    pasted_tokens = (token, authorization.partition(" ")[2]) if token else ()
    org_is_right = _check_org(variables, org, pasted_tokens)
    if stream in pasted_tokens:
        what = f"is the text of {names.OPENOBSERVE_AUTH_TOKEN}"
        variables.wrong(
            names.OPENOBSERVE_TRACES_STREAM_NAME, what, DEFAULT_STREAM, f"using the default {DEFAULT_STREAM}"
        )
        stream = DEFAULT_STREAM
    if not base_url or not authorization or not org_is_right:
        return Destination("local", timeout_s=timeout_s)
    endpoint = f"{base_url}/api/{org}/v1/traces"
    # A header takes printable ASCII only; the server replaces the same characters (openobserve-contract.md 1.1).
    stream = re.sub(r"[^ -~]+", "_", stream)
    return Destination(
        "openobserve",
        endpoint=endpoint,
        base_url=base_url,
        headers=MappingProxyType({"Authorization": authorization, "stream-name": stream}),
        timeout_s=timeout_s,
        identity=f"openobserve {endpoint} stream={stream}",
    )


def _explain_unused_address(variables: _Variables, in_file: List[str], url: str) -> None:
    """The environment has a URL or a token, and the ``.env`` too: only half an address there was surely meant for here."""
    path = variables.file.path
    if in_file == [names.OPENOBSERVE_URL] and not url:
        variables.problems.append(
            f"{names.OPENOBSERVE_URL} in {path} is not used: {names.OPENOBSERVE_AUTH_TOKEN} comes from the environment, "
            f"and both must come from the same place; set {names.OPENOBSERVE_URL} in the environment too - "
            f"using the default {DEFAULT_URL}."
        )
    else:
        variables.notes.append(f"{' and '.join(in_file)} in {path} not used: the environment names the server.")


def _checked_url(variables: _Variables, url: str) -> str:
    """The base URL, or an empty text after a problem."""
    name = names.OPENOBSERVE_URL
    spoiled = _spoiled(variables, name, url)
    if spoiled or "@" in url:
        what = spoiled or f"carries credentials, which belong in {names.OPENOBSERVE_AUTH_TOKEN}"
        variables.refuse(name, what, _URL_EXAMPLE)
        return ""
    parts, complaint = _split_url(url)
    if parts is None or "?" in url or "#" in url:
        variables.refuse(name, complaint or "has a query or a fragment, which a base URL has not", _URL_EXAMPLE)
        return ""
    path = parts.path.rstrip("/")
    base_url = f"{parts.scheme}://{_netloc(parts)}{path}"
    # What the agent adds is found pasted: OpenObserve shows `{base}/api/{org}` as the OTLP endpoint.
    pasted = re.search(r"/api(?:/(?!v1(?:/|$))([^/]+))?(?:(?:(?:/otel)?/v1)?/traces)?$|/v1/traces$", path)
    if pasted:
        example = f"{name}={base_url[: -len(pasted.group())]}"
        if pasted.group(1):
            example += f" and {names.OPENOBSERVE_ORG}={pasted.group(1)}"
        variables.refuse(name, f'ends in "{pasted.group()}", which the agent adds itself', example)
        return ""
    return base_url


def _checked_token(variables: _Variables, token: str) -> str:
    """The value of the Authorization header, or an empty text after a problem; the token is never shown."""
    name = names.OPENOBSERVE_AUTH_TOKEN
    authorization = "" if not token else _authorization(token)
    spoiled = _spoiled(variables, name, token)
    if spoiled or not authorization:
        what = spoiled or 'is neither "Basic <base64 of user:password>" nor "user:password" nor "Bearer <token>"'
        if not token:
            what = f"is not set beside {names.OPENOBSERVE_URL}"
            if variables.in_file(name):
                what += f" (the one in {variables.file.path} is not sent to a server that the environment names)"
        elif not spoiled and re.match(r"(?i)basic\b(?!:)", token):
            what = 'has no base64 of user:password behind "Basic"'
        variables.refuse(name, what, _TOKEN_EXAMPLE)
        return ""
    return authorization


def _check_org(variables: _Variables, org: str, pasted_tokens: Tuple[str, ...]) -> bool:
    """True if it is one path segment as it stands. A wrong one is not shown: it may be a token in the wrong variable."""
    what = _spoiled(variables, names.OPENOBSERVE_ORG, org)
    if org in pasted_tokens:
        what = f"is the text of {names.OPENOBSERVE_AUTH_TOKEN}"
    if not what and "/" in org:
        what = "contains a slash"
    if not what and re.search(r"\s", org):
        what = "contains a space"
    if not what and (org in (".", "..") or not re.fullmatch(r"[A-Za-z0-9._~:@!$&'()*+,;=-]+", org)):
        what = "has characters that an organization's identifier has not"
    if what:
        variables.refuse(names.OPENOBSERVE_ORG, what, DEFAULT_ORG)
    return not what


def _spoiled(variables: _Variables, name: str, value: str) -> str:
    """What is wrong with the text as such, whatever it means: a quote without its other half, ``${...}`` in a file."""
    if value[:1] in ("'", '"'):
        return "begins with a quote that is not closed"
    if "${" in value and variables.sources.get(name) not in ("environment", "default"):
        return "refers to another variable (${...}), which is left as it stands in a .env file"
    return ""


def _authorization(token: str) -> str:
    """``OPENOBSERVE_AUTH_TOKEN`` as a value of the Authorization header, empty if none can be made of it."""
    token = _without_header_name(token)
    scheme, rest = (*token.split(None, 1), "", "")[:2]
    if scheme.lower() == "basic":
        encoded = _padded(rest)
        return f"Basic {encoded}" if b":" in _decoded(encoded) else ""
    if scheme.lower() == "bearer":
        return f"{scheme} {rest}" if re.fullmatch(r"[!-~]+", rest) else ""
    encoded = _padded(token)
    # Any text of the right length decodes to something; a user and a password are text again.
    if ":" in _as_text(_decoded(encoded)):
        return f"Basic {encoded}"
    user, colon, password = token.partition(":")
    if user and colon and password and not re.search(r"\s", user) and not password.startswith("//"):
        return "Basic " + base64.b64encode(token.encode("utf-8", "surrogateescape")).decode("ascii")
    return ""


def _without_header_name(token: str) -> str:
    """OpenObserve shows the whole header, and the whole header is what gets pasted."""
    return re.sub(r"(?i)^authorization\s*[:=]\s*", "", token)


def _padded(encoded: str) -> str:
    """Base64 with the padding that the server's decoder insists on and a copied text often has lost."""
    bare = encoded.rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except ValueError:
        return b""


def _as_text(decoded: bytes) -> str:
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""


# --- OpenTelemetry Collector -----------------------------------------------------------------------------------------


def _otlp(variables: _Variables) -> Optional[Destination]:
    """The endpoint of the OTLP variables, each signal's own before the general one; None when there is none to use."""
    name = names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    if not variables.value(name):
        name = names.OTEL_EXPORTER_OTLP_ENDPOINT
    url = variables.value(name)
    if not url:
        return None
    protocol, protocol_name = _first(
        variables, names.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, names.OTEL_EXPORTER_OTLP_PROTOCOL
    )
    grpc = protocol.lower() == "grpc"
    example = "http://localhost:4318" + ("/v1/traces" if name == names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT else "")
    if (grpc or not protocol) and re.search(r":4317(/|$)", url):
        what = "names port 4317, where a collector speaks gRPC, and the agent speaks HTTP"
        variables.wrong(name, what, f"{example} and {protocol_name}=http/protobuf", _KEPT)
        return None
    parts, complaint = _split_url(url)
    if parts is None:
        variables.secrets.extend(_url_secrets(url))
        variables.wrong(name, complaint, example, _KEPT)
        return None

    userinfo = parts.netloc.rpartition("@")[0]
    # With gRPC neither variable holds a path; over HTTP the specification takes the traces' own exactly as it is.
    parts = parts._replace(netloc=_netloc(parts), path=_traces_path(variables, name, parts.path, grpc), fragment="")
    headers = _otlp_headers(variables)
    if userinfo:
        user, _, password = userinfo.partition(":")
        basic = f"{unquote(user)}:{unquote(password)}".encode("utf-8", "surrogateescape")
        # As `requests` does with such a URL, but the URL can be shown then.
        headers["authorization"] = "Basic " + base64.b64encode(basic).decode("ascii")
        variables.secrets.extend(_url_secrets(f"{userinfo}@"))
    for header, value in headers.items():
        variables.secrets.extend(_header_secrets(header, value))
    for key, value in parse_qsl(parts.query):
        variables.secrets.extend(_header_secrets(key.lower(), value))
    if grpc:
        what = f"is grpc, and the agent speaks HTTP; spans go over HTTP to {_without_query(parts.geturl())}"
        variables.wrong(protocol_name, what, "http/protobuf", "if that server speaks gRPC alone, none of them arrives")
    certificate, _ = _first(
        variables, names.OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE, names.OTEL_EXPORTER_OTLP_CERTIFICATE
    )
    client_certificate, _ = _first(
        variables, names.OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE, names.OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE
    )
    client_key, _ = _first(variables, names.OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY, names.OTEL_EXPORTER_OTLP_CLIENT_KEY)
    return Destination(
        "otlp",
        endpoint=parts.geturl(),
        headers=MappingProxyType(headers),
        timeout_s=_otlp_timeout(variables),
        gzip=_otlp_gzip(variables),
        certificate=certificate or None,
        client_certificate=client_certificate or None,
        client_key=client_key or None,
        identity=_otlp_identity(parts, headers),
    )


def _traces_path(variables: _Variables, name: str, path: str, grpc: bool) -> str:
    if name == names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and not (grpc and path in ("", "/")):
        return path
    if path.rstrip("/").endswith("/v1/traces"):
        what = "ends in /v1/traces, which is added to it"
        example = f"{names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT} for a whole URL"
        variables.wrong(name, what, example, "it is used as it is")
        return path
    return path.rstrip("/") + "/v1/traces"


def _otlp_headers(variables: _Variables) -> Dict[str, str]:
    """Names in lower case and values, as ``opentelemetry.util.re.parse_env_headers(liberal=True)`` reads them.

    That function is not called because it logs the text of an entry it cannot read, and the text is a secret.
    """
    text, name = _first(variables, names.OTEL_EXPORTER_OTLP_TRACES_HEADERS, names.OTEL_EXPORTER_OTLP_HEADERS)
    headers: Dict[str, str] = {}
    unreadable = False
    for entry in text.split(","):
        if not entry.strip():
            continue
        key, _, value = (part.strip(" \t") for part in entry.strip().partition("="))
        # A value with a space in it was not percent-encoded: other languages' SDKs take it as it is.
        if " " not in value:
            key_read, value_read = unquote(key).strip().lower(), unquote(value).strip()
        else:
            key_read, value_read = key.lower(), value
        # Without a value it is no header, but maybe a token and its padding: names are shown, values are not.
        as_written = (
            value.strip("=")
            and re.fullmatch(r"[!#-'*+.0-9A-Z^-z|~-]+", key)
            and re.fullmatch(r"[ !#-+\--:<-\[\]-~]*", value)
        )
        # Percent-encoding may hide what no header carries, a line break above all.
        if as_written and re.fullmatch(r"[!-~]+", key_read) and re.fullmatch(r"[ -~]*", value_read):
            headers[key_read] = value_read
        else:
            unreadable = True
    if unreadable:
        what = "has an entry that is not name=value in characters a header can carry"
        variables.wrong(name, what, "authorization=Basic%20<base64>", "that entry is left out")
    return headers


def _otlp_timeout(variables: _Variables) -> float:
    """Seconds, as the Python SDK reads it (the specification says milliseconds)."""
    _, name = _first(variables, names.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, names.OTEL_EXPORTER_OTLP_TIMEOUT)
    return variables.number(name, DEFAULT_OTLP_TIMEOUT_S, unit="seconds", most=MAX_SECONDS)


def _otlp_gzip(variables: _Variables) -> bool:
    """On unless refused: unlike the SDK, which sends as it is by default. ``deflate`` asks for small requests too."""
    value, name = _first(variables, names.OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, names.OTEL_EXPORTER_OTLP_COMPRESSION)
    if value.lower() not in ("", "none", "gzip", "deflate"):
        variables.wrong(name, f"is neither gzip nor none{_shown_short(value)}", "gzip", "using gzip")
        variables.sources[name] = "default"
    return value.lower() != "none"


def _otlp_identity(parts: SplitResult, headers: Mapping[str, str]) -> str:
    """Endpoint, and a digest of what else tells accounts apart there: query, user, headers such as a tenant or a key.

    The password or token of Authorization is left out: it may change every day, and the account stays the same.
    """
    account = [parts.query] if parts.query else []
    for header, value in sorted(headers.items()):
        if header != "authorization":
            account.append(f"{header}={value}")
        elif value.lower().startswith("basic "):
            account.append(f"user={_decoded(_padded(value[6:].strip())).partition(b':')[0].hex()}")
    identity = f"otlp {parts._replace(query='').geturl()}"
    if account:
        import hashlib

        identity += " " + hashlib.sha256("\n".join(account).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return identity


def _first(variables: _Variables, own: str, general: str) -> Tuple[str, str]:
    """Value and name of the traces' own variable if it is set, else of the general one."""
    value, general_value = variables.value(own), variables.value(general)
    return (value, own) if value else (general_value, general)


# --- Texts -----------------------------------------------------------------------------------------------------------


def _capture_content(variables: _Variables) -> bool:
    value = variables.value(names.OPENOBSERVE_HF_CAPTURE_CONTENT).lower()
    if value not in ("", "full", "none"):
        variables.wrong(
            names.OPENOBSERVE_HF_CAPTURE_CONTENT,
            f"is neither full nor none{_shown_short(value)}",
            "none",
            "prompts and answers are not recorded until it is corrected, as none may have been meant",
        )
    return value in ("", "full")


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


def _split_url(url: str) -> Tuple[Optional[SplitResult], str]:
    """An http(s) URL with a host, or None and what is wrong with it, in words that show no secret."""
    if re.search(r"[\s<>\"{}|\\^`]", url) or not url.isprintable():
        return None, "has characters that a URL has not"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if scheme is None:
        return None, f"has no scheme{_shown_host(url)}"
    if scheme.group(1).lower() not in ("http", "https"):
        return None, "has a scheme that is neither http nor https"
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return None, "names no host"
        if parts.port == 0:
            return None, "has no valid port"
        if "@" in parts.path + parts.query + parts.fragment:
            # A password with one of these ends the host early: what follows would be shown, and asked for, as a path.
            return None, 'has an "@" behind its host; a password\'s "/", "?" and "#" are written %2F, %3F and %23'
    except ValueError:
        return None, "has no valid host and port"
    return parts, ""


def _netloc(parts: SplitResult) -> str:
    """Host and port without credentials, spelled one way: it is part of the identity."""
    host_and_port = parts.netloc.rpartition("@")[2].lower()
    return re.sub(r":443$" if parts.scheme == "https" else r":80$", "", host_and_port).rstrip(":")


def _without_query(url: str) -> str:
    bare, question_mark, _ = url.partition("?")
    return bare + ("?***" if question_mark else "")


def _shown_short(value: str) -> str:
    """A wrong number or word in brackets; nothing for a long one, which may be a token in the wrong variable."""
    return f' ("{value}")' if len(value) <= 12 else ""


def _shown_host(url: str) -> str:
    """A URL without a scheme in brackets if it is plainly a host; anything else may be a token in the wrong variable."""
    host = re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}(:[0-9]{1,5})?(/[a-z0-9/._-]*)?", url)
    plainly = host and (host.group(1) or "." in url or url.startswith("localhost"))
    return f' ("{url}")' if plainly else ""


def _token_secrets(token: str) -> List[str]:
    """Everything a token could show up as: as given, as sent, its base64, its password."""
    return [token, *_header_secrets("authorization", _authorization(token) or _without_header_name(token))]


def _header_secrets(name: str, value: str) -> List[str]:
    """A header's value if it is a credential by its name, or by its length (a tenant's name is no secret), and its parts."""
    if not re.search(r"auth|token|key|secret|passw|cookie|credential", name) and (len(value) < 20 or " " in value):
        return []
    scheme, _, rest = value.partition(" ")
    secrets = [value, rest.strip()]
    if scheme.lower() == "basic":
        decoded = _decoded(_padded(rest.strip())).decode("utf-8", "surrogateescape")
        secrets += [rest.strip().rstrip("="), decoded, decoded.partition(":")[2]]
    return secrets


def _url_secrets(url: str) -> List[str]:
    """Credentials in a URL, cut generously: a password may itself contain ``/``, ``#`` or ``@``."""
    userinfo = url.partition("://")[2].rpartition("@")[0] or url.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    return [userinfo, unquote(userinfo), password, unquote(password)]


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
