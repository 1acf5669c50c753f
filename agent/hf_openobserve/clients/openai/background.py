"""Background responses (``responses.create(background=True)``): begun by one request, their answer got by a later one.

The first request has no tokens yet. The first ``retrieve`` that gets the answer has them, on a row of its own; requests
that find it still at work, or get it again, have no row: https://platform.openai.com/docs/guides/background
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Mapping, Optional

from hf_openobserve.call.call import Call

_CAPACITY = 1024
"""Responses awaited at once. Beyond it the oldest is forgotten: most programs that begin one ask for it."""

_AT_WORK = ("queued", "in_progress")

_awaited: OrderedDict[str, str] = OrderedDict()
"""Id of a response that was begun -> the model that was asked for."""


def begun(call: Call) -> None:
    """A background request has been answered."""
    answer = call.answer()
    if answer.get("status") in _AT_WORK and isinstance(answer.get("id"), str):
        _awaited[answer["id"]] = call.model or ""
        while len(_awaited) > _CAPACITY:
            _awaited.popitem(last=False)


def is_awaited(options: Any) -> bool:
    """True for a request that asks for a response which was begun in the background."""
    if not _awaited or options.method.lower() != "get":
        return False
    parent, _, name = str(options.url).partition("?")[0].rstrip("/").rpartition("/")
    return name in _awaited and parent.endswith("responses")


def ended(answer: Mapping[str, Any]) -> Optional[str]:
    """The model that was asked for, if this is the answer at last; None while the model is at work."""
    if answer.get("status") in (None, *_AT_WORK):
        return None
    return _awaited.pop(str(answer.get("id")), None)
