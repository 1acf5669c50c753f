"""Which requests of an OpenAI client are calls of a model."""

from __future__ import annotations

from typing import Any

from hf_openobserve.wire.apis import APIS

MANAGEMENT = frozenset(
    {
        "admin",
        "assistants",
        "batches",
        "chatkit",
        "containers",
        "conversations",
        "evals",
        "files",
        "fine_tuning",
        "models",
        "organization",
        "realtime",
        "skills",
        "threads",
        "uploads",
        "vector_stores",
        "webhooks",
    }
)
"""First parts of paths whose requests administer something, though some of their bodies name a model."""

COUNTING = frozenset({"responses/input_tokens", "responses/compact"})


def is_model_call(method: str, url: str, body: Any) -> bool:
    """True for a request that a model answers. What is asked of an unknown path is one if it names the model.

    Not the reading, cancelling or deleting of an earlier answer: its tokens would be counted twice.
    """
    if method.lower() != "post":
        return False
    path = (url.partition("/v1/")[2] or url if "://" in url else url).strip("/")
    if path in APIS:
        return True
    if path in COUNTING or path.partition("/")[0] in MANAGEMENT:
        return False
    return isinstance(body, dict) and "model" in body
