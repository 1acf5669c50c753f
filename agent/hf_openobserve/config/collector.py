"""An OpenTelemetry Collector, or its like: the OTLP variables, each signal's own before the general one."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Dict, Mapping, Optional
from urllib.parse import SplitResult, parse_qsl, unquote

from hf_openobserve.config import environment_variables as names
from hf_openobserve.config import tls
from hf_openobserve.config.credentials import basic, decoded, header_secrets
from hf_openobserve.config.destination import Destination
from hf_openobserve.config.urls import netloc, split_url, url_secrets, without_query
from hf_openobserve.config.variables import Variables

DEFAULT_TIMEOUT_S = 10.0
_KEPT = "spans are kept on disk, unsent, until it is corrected"


def read(variables: Variables, signal: str = "TRACES") -> Optional[Destination]:
    """The endpoint of the OTLP variables, each signal's own before the general one; None when there is none to use."""
    url, name = variables.otlp("ENDPOINT", signal)
    if not url:
        return None
    signal_path = f"/v1/{signal.lower()}"
    is_own = name != names.OTEL_EXPORTER_OTLP_ENDPOINT
    protocol, protocol_name = variables.otlp("PROTOCOL", signal)
    grpc = protocol.lower() == "grpc"
    example = "http://localhost:4318" + (signal_path if is_own else "")
    if (grpc or not protocol) and re.search(r":4317(/|$)", url):
        what = "names port 4317, where a collector speaks gRPC, and the agent speaks HTTP"
        variables.wrong(name, what, f"{example} and {protocol_name}=http/protobuf", _KEPT)
        return None
    parts, wrong = split_url(url)
    if parts is None:
        variables.secrets.extend(url_secrets(url))
        variables.wrong(name, wrong, example, _KEPT)
        return None

    userinfo = parts.netloc.rpartition("@")[0]
    path = parts.path
    # With gRPC neither variable holds a path; over HTTP the specification takes a signal's own exactly as it is.
    if not is_own or (grpc and path in ("", "/")):
        path = _path(variables, name, path, signal)
    parts = parts._replace(netloc=netloc(parts), path=path, fragment="")
    headers = _headers(variables, signal)
    if userinfo:
        user, _, password = userinfo.partition(":")
        # As `requests` does with such a URL, but the URL can be shown then.
        headers["authorization"] = basic(f"{unquote(user)}:{unquote(password)}")
        variables.secrets.extend(url_secrets(f"{userinfo}@"))
    for header, value in [*headers.items(), *parse_qsl(parts.query)]:
        variables.secrets.extend(header_secrets(header.lower(), value))
    if grpc:
        what = f"is grpc, and the agent speaks HTTP; spans go over HTTP to {without_query(parts.geturl())}"
        variables.wrong(protocol_name, what, "http/protobuf", "if that server speaks gRPC alone, none of them arrives")
    return Destination(
        "otlp",
        endpoint=parts.geturl(),
        headers=MappingProxyType(headers),
        # Seconds, as the Python SDK reads it (the specification says milliseconds).
        timeout_s=variables.number(variables.otlp("TIMEOUT", signal)[1], DEFAULT_TIMEOUT_S),
        gzip=_gzip(variables, signal),
        identity=_identity(parts, headers),
        tls=tls.read(variables, otlp=signal),
    )


def _path(variables: Variables, name: str, path: str, signal: str) -> str:
    path = path.rstrip("/")
    if not path.endswith("/v1/traces"):
        return f"{path}/v1/{signal.lower()}"
    what = "ends in /v1/traces, which is added to it"
    variables.wrong(name, what, f"{names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT} for a whole URL", "it is used as it is")
    return path[: -len("traces")] + signal.lower()


def _headers(variables: Variables, signal: str) -> Dict[str, str]:
    """Names in lower case and values, as ``opentelemetry.util.re.parse_env_headers(liberal=True)`` reads them.

    That function is not called because it logs the text of an entry it cannot read, and the text is a secret.
    """
    text, name = variables.otlp("HEADERS", signal)
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


def _gzip(variables: Variables, signal: str) -> bool:
    """On unless refused: unlike the SDK, which sends as it is by default. ``deflate`` asks for small requests too."""
    value, name = variables.otlp("COMPRESSION", signal)
    if value.lower() not in ("", "none", "gzip", "deflate"):
        variables.wrong(name, "is neither gzip nor none", "gzip", "using gzip", value=value)
        variables.sources[name] = "default"
    return value.lower() != "none"


def _identity(parts: SplitResult, headers: Mapping[str, str]) -> str:
    """Endpoint, and a digest of what else tells accounts apart there: query, user, headers such as a tenant or a key.

    The password or token of Authorization is left out: it may change every day, and the account stays the same.
    """
    account = [parts.query] if parts.query else []
    for header, value in sorted(headers.items()):
        if header != "authorization":
            account.append(f"{header}={value}")
        elif value.lower().startswith("basic "):
            account.append(f"user={decoded(value[6:].strip()).partition(b':')[0].hex()}")
    identity = f"otlp {parts._replace(query='').geturl()}"
    if account:
        import hashlib

        identity += " " + hashlib.sha256("\n".join(account).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return identity
