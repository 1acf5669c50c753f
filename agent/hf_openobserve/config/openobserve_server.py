"""The OpenObserve server: its address, organization, stream and token.

URL and token come from one source, always: a stranger's ``.env`` must not redirect a token. No address of a ``.env``
goes before one of the environment, an OTLP endpoint's neither: a cloned repository redirects no prompts. Organization
and stream come from the file only with its own address, or where it has none and merely completes the environment's:
the server, and with it what the token may write to, stays the environment's.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import List, Optional, Tuple

from hf_openobserve.config import environment_variables as names
from hf_openobserve.config import tls
from hf_openobserve.config.credentials import authorization_of, token_secrets
from hf_openobserve.config.destination import DEFAULT_TIMEOUT_S, Destination
from hf_openobserve.config.urls import netloc, split_url, url_secrets
from hf_openobserve.config.variables import Variables

DEFAULT_URL = "http://localhost:5080"
DEFAULT_ORG = "default"
DEFAULT_STREAM = "default"

_ADDRESS = (names.OPENOBSERVE_URL, names.OPENOBSERVE_AUTH_TOKEN)
_OTLP_ADDRESS = (names.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, names.OTEL_EXPORTER_OTLP_ENDPOINT)
_URL_EXAMPLE = "https://api.openobserve.ai"
_TOKEN_EXAMPLE = '"Basic <base64 of user:password>"'  # noqa: S105 - a form, not a token


def read(variables: Variables) -> Optional[Destination]:
    """The OpenObserve server; ``local`` when its settings are wrong (never OTLP's endpoint); None when it has none."""
    timeout_s = variables.number(names.OPENOBSERVE_TIMEOUT, DEFAULT_TIMEOUT_S)
    from_environment = any(variables.in_environment(name) for name in (*_ADDRESS, *_OTLP_ADDRESS))
    in_file = [name for name in _ADDRESS if variables.in_file(name)]
    url, token = (variables.value(name, also_from_file=not from_environment) for name in _ADDRESS)
    # The organization and the stream beside an address that is not used belong to that other server.
    of_another_server = bool(in_file) and from_environment
    org = variables.value(names.OPENOBSERVE_ORG, also_from_file=not of_another_server) or DEFAULT_ORG
    stream = (
        variables.value(names.OPENOBSERVE_TRACES_STREAM_NAME, also_from_file=not of_another_server) or DEFAULT_STREAM
    )
    # The file's token is a secret also where it is not used.
    for name in (names.OPENOBSERVE_AUTH_TOKEN, names.OPENOBSERVE_HF_ADMIN_TOKEN):
        for text in (variables.in_environment(name), variables.in_file(name)):
            variables.secrets.extend(token_secrets(text))
    variables.secrets.extend(url_secrets(url))
    if of_another_server:
        _explain_unused_address(variables, in_file, url)
    admin_authorization = _admin_authorization(variables, also_from_file=not from_environment)
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
    # A header takes printable ASCII only; the server replaces the same characters
    # (docs/server-contract.md#stream-name).
    stream = re.sub(r"[^ -~]+", "_", stream)
    return Destination(
        "openobserve",
        endpoint=endpoint,
        base_url=base_url,
        organization=org,
        stream=_stored_stream(stream),
        admin_authorization=admin_authorization,
        headers=MappingProxyType({"Authorization": authorization, "stream-name": stream}),
        timeout_s=timeout_s,
        identity=f"openobserve {endpoint} stream={stream}",
        tls=tls.read(variables),
    )


def _stored_stream(name: str) -> str:
    """As the server spells the stream (docs/server-contract.md#stream-name)."""
    return re.sub(r"[^a-zA-Z0-9_:]+", "_", name).lower()


def _admin_authorization(variables: Variables, *, also_from_file: bool) -> str:
    """The header of whoever may do more than deliver; it too comes from where the address comes from."""
    name = names.OPENOBSERVE_HF_ADMIN_TOKEN
    token = variables.value(name, also_from_file=also_from_file)
    if any(variables.from_file(address) for address in _ADDRESS) and variables.in_environment(name):
        variables.notes.append(
            f"{name} of the environment is not sent to the server that {variables.file.path} names: "
            f"set {names.OPENOBSERVE_URL} in the environment too."
        )
        variables.sources[name] = "default"
        return ""
    authorization = authorization_of(token)
    if token and not authorization:
        variables.wrong(
            name,
            'is neither "Basic <base64 of user:password>" nor "user:password"',
            _TOKEN_EXAMPLE,
            f"{names.OPENOBSERVE_AUTH_TOKEN} is used",
        )
        variables.sources[name] = "default"
    return authorization


def _explain_unused_address(variables: Variables, in_file: List[str], url: str) -> None:
    """Say that the environment's address goes before the file's: as a problem where the file's was surely meant."""
    path = variables.file.path
    if in_file == [names.OPENOBSERVE_URL] and not url and variables.in_environment(names.OPENOBSERVE_AUTH_TOKEN):
        variables.problems.append(
            f"{names.OPENOBSERVE_URL} in {path} is not used: {names.OPENOBSERVE_AUTH_TOKEN} comes from the environment"
            f", and both must come from the same place; set {names.OPENOBSERVE_URL} in the environment too - "
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
        parts, wrong = split_url(url)
    if not wrong and re.search("[?#]", url):
        wrong = "has a query or a fragment, which a base URL has not"
    if parts is None or wrong:
        variables.refuse(name, wrong, _URL_EXAMPLE)
        return ""
    path = parts.path.rstrip("/")
    base_url = f"{parts.scheme}://{netloc(parts)}{path}"
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
    authorization = authorization_of(token)
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
    """True if it is one path segment as it stands. A wrong one is not shown, since it may be a token."""
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
