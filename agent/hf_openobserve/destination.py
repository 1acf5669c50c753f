"""Where spans go (DESIGN 5): OpenObserve if its URL or token is set, else the OTLP variables' endpoint, else nowhere.

URL and token come from one source, always: a stranger's ``.env`` must not be able to redirect a token. Organization and
stream come from the file only with its own address, or where it has none and merely completes the environment's: the
server, and with it what the token may write to, stays the environment's.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hf_openobserve import environment_variables as names

if TYPE_CHECKING:
    from hf_openobserve.settings import Variables

DEFAULT_URL = "http://localhost:5080"
DEFAULT_ORG = "default"
DEFAULT_STREAM = "default"
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_OTLP_TIMEOUT_S = 10.0

_ADDRESS = (names.OPENOBSERVE_URL, names.OPENOBSERVE_AUTH_TOKEN)
_URL_EXAMPLE = "https://api.openobserve.ai"
_TOKEN_EXAMPLE = '"Basic <base64 of user:password>"'  # noqa: S105 - a form, not a token
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
        shown = dict(vars(self), endpoint=self.shown_endpoint, headers=sorted(self.headers))
        return f"Destination({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def choose(variables: Variables) -> Destination:
    """The destination. What is wrong with it, and the secrets in it, are left with ``variables``."""
    return _openobserve(variables) or _otlp(variables) or Destination("local")


# --- OpenObserve -----------------------------------------------------------------------------------------------------


def _openobserve(variables: Variables) -> Optional[Destination]:
    """The OpenObserve server; ``local`` when its settings are wrong (never OTLP's endpoint); None when it has none."""
    timeout_s = variables.number(names.OPENOBSERVE_TIMEOUT, DEFAULT_TIMEOUT_S)
    from_environment = any(variables.in_environment(name) for name in _ADDRESS)
    in_file = [name for name in _ADDRESS if variables.in_file(name)]
    url, token = (variables.value(name, also_from_file=not from_environment) for name in _ADDRESS)
    # The organization and the stream beside an address that is not used belong to that other server.
    of_another_server = bool(in_file) and from_environment
    org = variables.value(names.OPENOBSERVE_ORG, also_from_file=not of_another_server) or DEFAULT_ORG
    stream = (
        variables.value(names.OPENOBSERVE_TRACES_STREAM_NAME, also_from_file=not of_another_server) or DEFAULT_STREAM
    )
    # The file's token is a secret also where it is not used.
    for text in (
        variables.in_environment(names.OPENOBSERVE_AUTH_TOKEN),
        variables.in_file(names.OPENOBSERVE_AUTH_TOKEN),
    ):
        variables.secrets.extend(_token_secrets(text))
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
        variables.default(names.OPENOBSERVE_TRACES_STREAM_NAME, what, DEFAULT_STREAM)
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


def _explain_unused_address(variables: Variables, in_file: List[str], url: str) -> None:
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


def _checked_url(variables: Variables, url: str) -> str:
    """The base URL, or an empty text after a problem."""
    name = names.OPENOBSERVE_URL
    wrong = _spoiled(variables, name, url)
    if not wrong and "@" in url:
        wrong = f"carries credentials, which belong in {names.OPENOBSERVE_AUTH_TOKEN}"
    parts = None
    if not wrong:
        parts, wrong = _split_url(url)
    if not wrong and re.search("[?#]", url):
        wrong = "has a query or a fragment, which a base URL has not"
    if parts is None or wrong:
        variables.refuse(name, wrong, _URL_EXAMPLE)
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


def _checked_token(variables: Variables, token: str) -> str:
    """The value of the Authorization header, or an empty text after a problem; the token is never shown."""
    name = names.OPENOBSERVE_AUTH_TOKEN
    authorization = _authorization(token)
    wrong = _spoiled(variables, name, token)
    if authorization and not wrong:
        return authorization
    if not token:
        wrong = f"is not set beside {names.OPENOBSERVE_URL}"
        if variables.in_file(name):
            wrong += f" (the one in {variables.file.path} is not sent to a server that the environment names)"
    elif not wrong and re.match(r"(?i)basic\b(?!:)", token):
        wrong = 'has no base64 of user:password behind "Basic"'
    variables.refuse(
        name,
        wrong or 'is neither "Basic <base64 of user:password>" nor "user:password" nor "Bearer <token>"',
        _TOKEN_EXAMPLE,
    )
    return ""


def _check_org(variables: Variables, org: str, pasted_tokens: Tuple[str, ...]) -> bool:
    """True if it is one path segment as it stands. A wrong one is not shown: it may be a token in the wrong variable."""
    what = _spoiled(variables, names.OPENOBSERVE_ORG, org)
    if org in pasted_tokens:
        what = f"is the text of {names.OPENOBSERVE_AUTH_TOKEN}"
    elif not what and "/" in org:
        what = "contains a slash"
    elif not what and re.search(r"\s", org):
        what = "contains a space"
    elif not what and (org in (".", "..") or not re.fullmatch(r"[A-Za-z0-9._~:@!$&'()*+,;=-]+", org)):
        what = "has characters that an organization's identifier has not"
    if what:
        variables.refuse(names.OPENOBSERVE_ORG, what, DEFAULT_ORG)
    return not what


def _spoiled(variables: Variables, name: str, value: str) -> str:
    """What is wrong with the text as such, whatever it means: a quote without its other half, ``${...}`` in a file."""
    if value[:1] in ("'", '"'):
        return "begins with a quote that is not closed"
    if "${" in value and variables.from_file(name):
        return "refers to another variable (${...}), which is left as it stands in a .env file"
    return ""


def _authorization(token: str) -> str:
    """``OPENOBSERVE_AUTH_TOKEN`` as a value of the Authorization header, empty if none can be made of it."""
    token = _without_header_name(token)
    scheme, rest = (*token.split(None, 1), "", "")[:2]
    if scheme.lower() == "basic":
        return f"Basic {_padded(rest)}" if b":" in _decoded(rest) else ""
    if scheme.lower() == "bearer":
        return f"{scheme} {rest}" if re.fullmatch(r"[!-~]+", rest) else ""
    # Any text of the right length decodes to something; a user and a password are text again.
    text = _decoded(token).decode("utf-8", "replace")
    if ":" in text and text.isprintable() and "\ufffd" not in text:
        return f"Basic {_padded(token)}"
    user, colon, password = token.partition(":")
    if user and colon and password and not re.search(r"\s", user) and not password.startswith("//"):
        return _basic(token)
    return ""


def _without_header_name(token: str) -> str:
    """OpenObserve shows the whole header, and the whole header is what gets pasted."""
    return re.sub(r"(?i)^authorization\s*[:=]\s*", "", token)


def _basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode("utf-8", "surrogateescape")).decode("ascii")


def _padded(encoded: str) -> str:
    """Base64 with the padding that the server's decoder insists on and a copied text often has lost."""
    bare = encoded.rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(_padded(encoded).encode("ascii"), validate=True)
    except ValueError:
        return b""


# --- OpenTelemetry Collector -----------------------------------------------------------------------------------------


def _otlp(variables: Variables) -> Optional[Destination]:
    """The endpoint of the OTLP variables, each signal's own before the general one; None when there is none to use."""
    url, name = _first(variables, "ENDPOINT")
    if not url:
        return None
    traces_own = name == names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
    protocol, protocol_name = _first(variables, "PROTOCOL")
    grpc = protocol.lower() == "grpc"
    example = "http://localhost:4318" + ("/v1/traces" if traces_own else "")
    if (grpc or not protocol) and re.search(r":4317(/|$)", url):
        what = "names port 4317, where a collector speaks gRPC, and the agent speaks HTTP"
        variables.wrong(name, what, f"{example} and {protocol_name}=http/protobuf", _KEPT)
        return None
    parts, wrong = _split_url(url)
    if parts is None:
        variables.secrets.extend(_url_secrets(url))
        variables.wrong(name, wrong, example, _KEPT)
        return None

    userinfo = parts.netloc.rpartition("@")[0]
    path = parts.path
    # With gRPC neither variable holds a path; over HTTP the specification takes the traces' own exactly as it is.
    if not traces_own or (grpc and path in ("", "/")):
        path = _traces_path(variables, name, path)
    parts = parts._replace(netloc=_netloc(parts), path=path, fragment="")
    headers = _otlp_headers(variables)
    if userinfo:
        user, _, password = userinfo.partition(":")
        # As `requests` does with such a URL, but the URL can be shown then.
        headers["authorization"] = _basic(f"{unquote(user)}:{unquote(password)}")
        variables.secrets.extend(_url_secrets(f"{userinfo}@"))
    for header, value in [*headers.items(), *parse_qsl(parts.query)]:
        variables.secrets.extend(_header_secrets(header.lower(), value))
    if grpc:
        what = f"is grpc, and the agent speaks HTTP; spans go over HTTP to {_without_query(parts.geturl())}"
        variables.wrong(protocol_name, what, "http/protobuf", "if that server speaks gRPC alone, none of them arrives")
    return Destination(
        "otlp",
        endpoint=parts.geturl(),
        headers=MappingProxyType(headers),
        # Seconds, as the Python SDK reads it (the specification says milliseconds).
        timeout_s=variables.number(_first(variables, "TIMEOUT")[1], DEFAULT_OTLP_TIMEOUT_S),
        gzip=_otlp_gzip(variables),
        certificate=_first(variables, "CERTIFICATE")[0] or None,
        client_certificate=_first(variables, "CLIENT_CERTIFICATE")[0] or None,
        client_key=_first(variables, "CLIENT_KEY")[0] or None,
        identity=_otlp_identity(parts, headers),
    )


def _first(variables: Variables, name: str) -> Tuple[str, str]:
    """Value and name of the traces' own OTLP variable if it is set, else of the general one."""
    own, general = "OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name
    value, general_value = variables.value(own), variables.value(general)
    return (value, own) if value else (general_value, general)


def _traces_path(variables: Variables, name: str, path: str) -> str:
    path = path.rstrip("/")
    if not path.endswith("/v1/traces"):
        return path + "/v1/traces"
    what = "ends in /v1/traces, which is added to it"
    variables.wrong(name, what, f"{names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT} for a whole URL", "it is used as it is")
    return path


def _otlp_headers(variables: Variables) -> Dict[str, str]:
    """Names in lower case and values, as ``opentelemetry.util.re.parse_env_headers(liberal=True)`` reads them.

    That function is not called because it logs the text of an entry it cannot read, and the text is a secret.
    """
    text, name = _first(variables, "HEADERS")
    headers: Dict[str, str] = {}
    unreadable = False
    for entry in filter(str.strip, text.split(",")):
        key, _, value = (part.strip(" \t") for part in entry.strip().partition("="))
        # Without a value it is no header, but maybe a token and its padding: names are shown, values are not.
        as_written = (
            value.strip("=")
            and re.fullmatch(r"[!#-'*+.0-9A-Z^-z|~-]+", key)
            and re.fullmatch(r"[ !#-+\--:<-\[\]-~]*", value)
        )
        # A value with a space in it was not percent-encoded: other languages' SDKs take it as it is.
        if " " not in value:
            key, value = unquote(key).strip(), unquote(value).strip()
        # Percent-encoding may hide what no header carries, a line break above all.
        if as_written and re.fullmatch(r"[!-~]+", key) and re.fullmatch(r"[ -~]*", value):
            headers[key.lower()] = value
        else:
            unreadable = True
    if unreadable:
        what = "has an entry that is not name=value in characters a header can carry"
        variables.wrong(name, what, "authorization=Basic%20<base64>", "that entry is left out")
    return headers


def _otlp_gzip(variables: Variables) -> bool:
    """On unless refused: unlike the SDK, which sends as it is by default. ``deflate`` asks for small requests too."""
    value, name = _first(variables, "COMPRESSION")
    if value.lower() not in ("", "none", "gzip", "deflate"):
        variables.wrong(name, "is neither gzip nor none", "gzip", "using gzip", value=value)
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
            account.append(f"user={_decoded(value[6:].strip()).partition(b':')[0].hex()}")
    identity = f"otlp {parts._replace(query='').geturl()}"
    if account:
        import hashlib

        identity += " " + hashlib.sha256("\n".join(account).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return identity


# --- URLs ------------------------------------------------------------------------------------------------------------


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
    except ValueError:
        return None, "has no valid host and port"
    if "@" in parts.path + parts.query + parts.fragment:
        # A password with one of these ends the host early: what follows would be shown, and asked for, as a path.
        return None, 'has an "@" behind its host; a password\'s "/", "?" and "#" are written %2F, %3F and %23'
    return parts, ""


def _shown_host(url: str) -> str:
    """A URL without a scheme in brackets if it is plainly a host; anything else may be a token in the wrong variable."""
    host = re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}(:[0-9]{1,5})?(/[a-z0-9/._-]*)?", url)
    plainly = host and (host.group(1) or "." in url or url.startswith("localhost"))
    return f' ("{url}")' if plainly else ""


def _netloc(parts: SplitResult) -> str:
    """Host and port without credentials, spelled one way: it is part of the identity."""
    host_and_port = parts.netloc.rpartition("@")[2].lower()
    return re.sub(r":443$" if parts.scheme == "https" else r":80$", "", host_and_port).rstrip(":")


def _without_query(url: str) -> str:
    bare, question_mark, _ = url.partition("?")
    return bare + ("?***" if question_mark else "")


# --- Secrets ---------------------------------------------------------------------------------------------------------


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
        decoded = _decoded(rest.strip()).decode("utf-8", "surrogateescape")
        secrets += [rest.strip().rstrip("="), decoded, decoded.partition(":")[2]]
    return secrets


def _url_secrets(url: str) -> List[str]:
    """Credentials in a URL, cut generously: a password may itself contain ``/``, ``#`` or ``@``."""
    userinfo = url.partition("://")[2].rpartition("@")[0] or url.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    return [userinfo, unquote(userinfo), password, unquote(password)]
