"""Asking a chat stream for its token usage where the program did not: for whom, and how it stays unseen.

The request gets ``stream_options.include_usage``; the extra chunk that answers it does not reach the program. A server
that refuses the option is asked again without it, and not with it any more.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Optional, Set, Tuple

MODES = ("auto", "on", "off")
"""``auto``: hosts known to accept the option. ``on``: every host. ``off``: none."""

ACCEPTING_KINDS = frozenset({"router", "router_provider", "dedicated"})
"""Kinds of endpoints (``routing.endpoint_kind``) that ``auto`` asks."""

UNASKED_PROVIDERS = frozenset({"novita"})
"""Providers that send a chunk of usage alone also when nobody asks: the program would have seen it, and does."""

_CAPACITY = 1024
_refused: Set[Tuple[str, str]] = set()


def asking(parameters: Any, mode: str, kind: str) -> Optional[Any]:
    """A copy of the request's parameters that asks for the usage; None where it is asked for, or not to be."""
    body = parameters.json
    if mode == "off" or (mode == "auto" and kind not in ACCEPTING_KINDS):
        return None
    if not isinstance(body, dict) or body.get("stream") is not True or "stream_options" in body:
        return None
    if _key(parameters) in _refused:
        return None
    return dataclasses.replace(parameters, json={**body, "stream_options": {"include_usage": True}})


def is_refusal(parameters: Any, status_code: Optional[int], text: str) -> bool:
    """True if an error answers the option, which is remembered for this address and model."""
    if status_code not in (400, 422) or not ("stream_options" in text or "include_usage" in text):
        return False
    if len(_refused) < _CAPACITY:
        _refused.add(_key(parameters))
    return True


def is_extra(chunk: Any, attributes: Mapping[str, Any]) -> bool:
    """True for the chunk that only the option has brought: usage, and no choices."""
    if getattr(chunk, "choices", None) or not getattr(chunk, "usage", None):
        return False
    return attributes.get("hf.provider.served") not in UNASKED_PROVIDERS


def _key(parameters: Any) -> Tuple[str, str]:
    return str(parameters.url), str(parameters.json.get("model"))
