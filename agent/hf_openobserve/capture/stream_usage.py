"""Asking a chat stream for its token usage where the program did not: for whom, and how it stays unseen.

The request gets ``stream_options.include_usage``; the extra chunk that answers it does not reach the program. A server
that refuses the option is asked again without it, and not with it any more.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Mapping, Optional, Set, Tuple

MODES = ("auto", "on", "off")
"""``auto``: hosts known to accept the option. ``on``: every host. ``off``: none."""

ACCEPTING_KINDS = frozenset({"router", "router_provider", "dedicated"})
"""Kinds of endpoints (``routing.endpoint_kind``) that ``auto`` asks."""

UNASKED_PROVIDERS = frozenset({"novita"})
"""Providers that send a chunk of usage alone also when nobody asks: the program would have seen it, and does."""

_CAPACITY = 1024
_refused: Set[Tuple[str, str]] = set()
"""(address, model) of the servers that do not know the option."""


def body_asking(body: Any, mode: str, kind: str, address: str) -> Optional[Dict[str, Any]]:
    """A shallow copy of a request's body that asks for the usage; None where it is asked for, or not to be.

    kind: ``routing.endpoint_kind``. address: the server's, whatever form it has; refusals are remembered for it.
    """
    if mode == "off" or (mode == "auto" and kind not in ACCEPTING_KINDS):
        return None
    if not isinstance(body, dict) or body.get("stream") is not True or "stream_options" in body:
        return None
    if (address, str(body.get("model"))) in _refused:
        return None
    return {**body, "stream_options": {"include_usage": True}}


def answers_option(status_code: Optional[int], text: str) -> bool:
    """True if an error says that the server does not know the option."""
    return status_code in (400, 422) and ("stream_options" in text or "include_usage" in text)


def remember_refusal(address: str, model: Any) -> None:
    """The server at ``address`` is not asked for the usage of this model any more."""
    if len(_refused) < _CAPACITY:
        _refused.add((address, str(model)))


def hides_extra(provider: Optional[str]) -> bool:
    """True if the chunk of usage alone has come because we asked. provider: the one that serves, None if unknown."""
    return provider not in UNASKED_PROVIDERS


# The same for huggingface_hub's ``RequestParameters`` and chunks.


def asking(parameters: Any, mode: str, kind: str) -> Optional[Any]:
    """A copy of the request's parameters that asks for the usage; None where it is asked for, or not to be."""
    body = body_asking(parameters.json, mode, kind, str(parameters.url))
    return None if body is None else dataclasses.replace(parameters, json=body)


def is_refusal(parameters: Any, status_code: Optional[int], text: str) -> bool:
    """True if an error answers the option, which is remembered for this address and model."""
    if not answers_option(status_code, text):
        return False
    remember_refusal(str(parameters.url), parameters.json.get("model"))
    return True


def is_extra(chunk: Any, attributes: Mapping[str, Any]) -> bool:
    """True for the chunk that only the option has brought: usage, and no choices."""
    if getattr(chunk, "choices", None) or not getattr(chunk, "usage", None):
        return False
    return hides_extra(attributes.get("hf.provider.served"))
