"""Who is asked and who answers, from what is evident: model id, URL, request and response headers. Pure.

Where there is no evidence there is no attribute. The forms of a model id and of the router's URLs are those of
https://huggingface.co/docs/inference-providers.
"""

from __future__ import annotations

import functools
from typing import Any, Dict, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from hf_openobserve.wire import providers, server_timings

ROUTER_HOST = "router.huggingface.co"
DEDICATED_DOMAIN = ".endpoints.huggingface.cloud"
LOOPBACK_NAMES = ("localhost", "::1")

POLICIES = frozenset({"fastest", "cheapest", "preferred"})
"""Suffixes of a model id that leave the choice of the provider to the router."""

REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-trace-id", "x-amz-cf-id")
"""In huggingface_hub's own order of precedence."""

RATE_LIMITS = tuple(
    f"{what}{of}"
    for what in ("limit", "remaining", "reset")
    for of in ("", "-requests", "-tokens", "-input-tokens", "-output-tokens")
)
"""What providers send behind ``x-ratelimit-``: each is a column, so no others are taken."""

OPENAI_PATHS = ("/chat/completions", "/completions", "/embeddings")
"""How the addresses of OpenAI's API end, whoever offers it and whatever stands before them."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class ModelId(NamedTuple):
    """``base:policy`` or ``base:provider``; at most one of the two is set."""

    base: str
    policy: Optional[str] = None
    provider: Optional[str] = None


def split_model(model: str) -> ModelId:
    """The parts of a model id as the router reads it."""
    base, separator, suffix = model.partition(":")
    if not separator or not base or not suffix:
        return ModelId(model)
    return ModelId(base, policy=suffix) if suffix in POLICIES else ModelId(base, provider=suffix)


def is_url(model: object) -> bool:
    """True for a model that is the address of an endpoint."""
    return isinstance(model, str) and model.startswith(("http://", "https://"))


def endpoint_kind(host: str, path: str, *, pinned: bool) -> str:
    """``router``, ``router_provider``, ``dedicated``, ``local``, ``provider`` (its own API), ``gateway`` or ``other``.

    pinned: the program named a provider and no address, so a host that is not Hugging Face's is the provider's own.
    """
    if host == ROUTER_HOST:
        return "router" if _first_segment(path) == "v1" else "router_provider"
    if host.endswith(DEDICATED_DOMAIN):
        return "dedicated"
    if host in LOOPBACK_NAMES or host.startswith("127."):
        return "local"
    if pinned:
        return "provider"
    known = providers.of_host(host)
    return "other" if known is None else known.kind


def endpoint_kind_of(url: str) -> str:
    """``endpoint_kind`` of an address that the program gave."""
    parts = urlsplit(url)
    return endpoint_kind(parts.hostname or "", parts.path, pinned=False)


def api_of(url: str) -> str:
    """``llm.system``, the API that is spoken at an address: ``openai``, else ``huggingface``.

    The latter is that of a task, as the Hub has it.
    """
    return "openai" if url.partition("?")[0].endswith(OPENAI_PATHS) else "huggingface"


def request_attributes(
    *, url: str, model: Optional[str], provider: Optional[str], headers: Mapping[str, Any], by_address: bool
) -> Dict[str, Any]:
    """What the request says of its way.

    model: the Hub id the program named. provider: the client's, a policy or ``auto`` included. by_address: the program
    gave the endpoint's URL, and the client ignores its provider.
    """
    attributes = dict(_of_request(url, model, provider, by_address))
    if isinstance(headers, dict):
        bill_to = next((value for name, value in headers.items() if name.lower() == "x-hf-bill-to"), None)
    else:  # a client's own mapping finds names in any case, and takes long to go through
        bill_to = headers.get("x-hf-bill-to")
    if bill_to:
        attributes["hf.bill_to"] = str(bill_to)
    return attributes


@functools.lru_cache(maxsize=128)
def _of_request(url: str, model: Optional[str], provider: Optional[str], by_address: bool) -> Mapping[str, Any]:
    """The same few come with every call of a program."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = provider if provider and provider != "auto" and not by_address else None
    policy, pinned = (named, None) if named in POLICIES else (None, named)
    kind = endpoint_kind(host, parts.path, pinned=pinned is not None)
    attributes: Dict[str, Any] = {"hf.endpoint.kind": kind}
    if host:
        attributes["server.address"] = host
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        if port:
            attributes["server.port"] = port
    if policy:
        attributes["hf.model.policy"] = policy
    if pinned:
        attributes["hf.provider.requested"] = pinned
    if model and not is_url(model):
        attributes.update(model_attributes(model, routed=kind == "router"))
    if kind == "router_provider" and _first_segment(parts.path):
        attributes["hf.provider.served"] = _first_segment(parts.path)
    return attributes


def model_attributes(model: str, *, routed: bool) -> Dict[str, Any]:
    """The parts of a model id. A suffix is the router's only where the router reads it: "llama3:8b" is one name."""
    parsed = split_model(model) if routed else ModelId(model)
    attributes = {
        "hf.model.base": parsed.base,
        "hf.model.policy": parsed.policy,
        "hf.provider.requested": parsed.provider,
    }
    return {name: value for name, value in attributes.items() if value}


def served_by(url: str, headers: Any) -> Optional[str]:
    """The provider that gave an answer, by its headers or its address; None if neither tells."""
    named = headers.get("x-inference-provider") if hasattr(headers, "get") else None
    if named:
        return str(named)
    return _of_request(url, None, None, True).get("hf.provider.served")


def response_attributes(headers: Mapping[str, Any]) -> Dict[str, Any]:
    """What the headers of an answer, or of an error, say of who gave it, whatever the case of their names."""
    # Read once: a client's own mapping takes a microsecond for each of the two dozen names that are asked for.
    headers = {name.lower(): value for name, value in headers.items()}
    attributes: Dict[str, Any] = {}
    if headers.get("x-inference-provider"):
        attributes["hf.provider.served"] = str(headers["x-inference-provider"])
    for name in REQUEST_ID_HEADERS:
        if headers.get(name):
            attributes["hf.request_id"] = str(headers[name])
            break
    if headers.get("inference-id"):
        attributes["hf.inference_id"] = str(headers["inference-id"])
    attributes.update(limit_attributes(headers))
    attributes.update(server_timings.of_headers(headers))
    if str(headers.get("server")).startswith("llama.cpp"):
        attributes["hf.endpoint.server"] = "llama.cpp"
    elif headers.get("x-time-per-token"):
        attributes["hf.endpoint.server"] = "tgi"
    gateway = providers.gateway_of(headers)
    if gateway is not None:
        attributes["hf.endpoint.gateway"] = gateway
    return attributes


def limit_attributes(headers: Mapping[str, Any]) -> Dict[str, Any]:
    """When to come again, in seconds, and the provider's limits in its own words, where an answer tells.

    Names are lower case.
    """
    attributes = retry_after(headers)
    for name in RATE_LIMITS if any(name.startswith("x-ratelimit-") for name in headers) else ():
        value = headers.get("x-ratelimit-" + name)
        if value:
            attributes["hf.ratelimit." + name.replace("-", "_")] = str(value)
    return attributes


def retry_after(headers: Mapping[str, Any]) -> Dict[str, Any]:
    """When to come again: in seconds, or the date."""
    said = str(headers.get("retry-after") or "").strip()
    if said.replace(".", "", 1).isdigit():
        return {"hf.retry_after": float(said)}
    return {"hf.retry_after.date": said} if said else {}


def header_token_counts(headers: Mapping[str, Any]) -> Dict[str, int]:
    """Tokens as Text Generation Inference counts them in the headers of a generation, the body of which may not."""
    counts: Dict[str, int] = {}
    for header, name in (("x-prompt-tokens", "prompt"), ("x-generated-tokens", "completion")):
        value = headers.get(header)
        if value is not None and str(value).isdigit():
            counts["llm.token_count." + name] = int(value)
    return counts


def _first_segment(path: str) -> str:
    return path.strip("/").partition("/")[0]
