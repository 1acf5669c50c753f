"""Who offers an OpenAI-compatible API, by the host of its address or by the headers of a gateway's answer. Pure.

Names: ``gen_ai.provider.name`` is the GenAI conventions' where they know the provider, ``llm.provider``
OpenInference's; each has its own name where they do not. Hugging Face's hosts are not here: ``routing`` and ``columns``
know more of them.
"""

from __future__ import annotations

import functools
from typing import Mapping, NamedTuple, Optional


class Provider(NamedTuple):
    """``kind`` is the column ``hf.endpoint.kind``: ``provider``, or ``gateway`` for one that passes calls to many."""

    name: str
    llm: str
    kind: str = "provider"


_AZURE = Provider("azure.ai.openai", "azure")
_DATABRICKS = Provider("databricks", "databricks")

PROVIDERS: Mapping[str, Provider] = {
    "api.openai.com": Provider("openai", "openai"),
    "openai.azure.com": _AZURE,
    "cognitiveservices.azure.com": _AZURE,
    "services.ai.azure.com": Provider("azure.ai.inference", "azure"),
    "generativelanguage.googleapis.com": Provider("gcp.gemini", "google"),
    "api.cerebras.ai": Provider("cerebras", "cerebras"),
    "api.deepseek.com": Provider("deepseek", "deepseek"),
    "api.fireworks.ai": Provider("fireworks", "fireworks"),
    "api.groq.com": Provider("groq", "groq"),
    "api.mistral.ai": Provider("mistral_ai", "mistralai"),
    "api.moonshot.ai": Provider("moonshot_ai", "moonshot"),
    "api.moonshot.cn": Provider("moonshot_ai", "moonshot"),
    "api.novita.ai": Provider("novita", "novita"),
    "api.perplexity.ai": Provider("perplexity", "perplexity"),
    "api.together.ai": Provider("together", "together"),
    "api.together.xyz": Provider("together", "together"),
    "api.x.ai": Provider("x_ai", "xai"),
    "bytepluses.com": Provider("byteplus", "byteplus"),
    "cloud.databricks.com": _DATABRICKS,
    "azuredatabricks.net": _DATABRICKS,
    "gcp.databricks.com": _DATABRICKS,
    "ollama.com": Provider("ollama", "ollama"),
    "ai-gateway.vercel.sh": Provider("vercel_ai_gateway", "vercel_ai_gateway", "gateway"),
    "anannas.ai": Provider("anannas", "anannas", "gateway"),
    "api.cometapi.com": Provider("cometapi", "cometapi", "gateway"),
    "api.portkey.ai": Provider("portkey", "portkey", "gateway"),
    "openrouter.ai": Provider("openrouter", "openrouter", "gateway"),
}
"""By host suffix: ``openai.azure.com`` is every resource below it."""

SERVERS: Mapping[str, str] = {"vllm-": "vllm", "fp_ollama": "ollama"}
"""Servers by how the ``system_fingerprint`` of their answers begins: ``vllm-0.21.0-955d20dc``."""


@functools.lru_cache(maxsize=256)
def of_host(host: str) -> Optional[Provider]:
    """The provider whose host this is, or is below; None if it is nobody's that is known."""
    while host:
        if host in PROVIDERS:
            return PROVIDERS[host]
        host = host.partition(".")[2]
    return None


def gateway_of(headers: Mapping[str, object]) -> Optional[str]:
    """``litellm`` or ``kong``, by what its proxy adds to an answer; None if neither did. Names are lower case."""
    if "x-litellm-call-id" in headers or "x-litellm-version" in headers:
        return "litellm"
    if "x-kong-request-id" in headers or "kong/" in str(headers.get("via") or headers.get("server")).lower():
        return "kong"
    return None


def server_of(fingerprint: object) -> Optional[str]:
    """The server that writes such a ``system_fingerprint``; None if it is not told by it."""
    if isinstance(fingerprint, str):
        for beginning, server in SERVERS.items():
            if fingerprint.startswith(beginning):
                return server
    return None
