"""Asking a chat stream for its token usage where the program did not: for whom, and what becomes of a refusal.

The request gets ``stream_options.include_usage``; what only that has brought does not reach the program, see
``wire.event_stream``. Where the option may be the cause of an error, the program's own request goes out once more, and
what the program gets is that request's answer.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, FrozenSet, Optional, Set, Tuple

ACCEPTING_KINDS = frozenset({"router", "router_provider", "dedicated"})
"""Kinds of endpoints (``routing.endpoint_kind``) that ``auto`` asks."""

UNASKED_PROVIDERS = frozenset({"novita"})
"""Providers that send a chunk of usage alone also when nobody asks: the program would have seen it, and does."""

_REFUSALS = frozenset({400, 422})
_OUTRIGHT = frozenset({400, 422, 500})
"""Statuses of servers that do not know the option. 500 is that of one which falls over it: none of Hugging Face's
router.
"""

Key = Tuple[str, str]
"""(address, model)."""

_CAPACITY = 1024
_IN_DOUBT, _ONCE_MORE, _REFUSES = "in doubt", "once more", "refuses"
_doubted: Dict[Key, str] = {}
"""Whom not to ask. ``in doubt``: the request failed with the option and without; not asked until one without it
succeeds. ``once more``: that has happened, and the next one is asked. ``refuses``: not asked any more.
"""
_accepted: Dict[Key, FrozenSet[Optional[str]]] = {}
"""Who has answered the question with a stream: the providers behind each, as the answers name them."""
_moves_nothing: Set[Key] = set()
"""Whose streams, asked, have shown that nothing but the usage comes with it: their last chunk need not be held back."""


class Question:
    """Our question for the usage of one request's stream. ``asks``: the request that is under way carries it."""

    __slots__ = ("_key", "_repeated", "_status", "asks", "statuses")

    def __init__(self, key: Key, asks: bool, statuses: FrozenSet[int]) -> None:
        self.asks = asks
        self.statuses = statuses
        """Of errors that the question may be the cause of."""
        self._key = key
        self._repeated = False
        self._status: Optional[int] = None
        """Of the error that the question may have been answered with."""

    @property
    def may_move(self) -> bool:
        """True unless the server is known to move nothing but the usage into the chunk that we asked for."""
        return self._key not in _moves_nothing

    def came(self, *, moved: bool) -> None:
        """The chunk that we asked for has come; moved: with members that stand elsewhere when nobody asks."""
        if not moved and len(_moves_nothing) < _CAPACITY:
            _moves_nothing.add(self._key)
        elif moved:
            _moves_nothing.discard(self._key)

    def refused(self, status_code: Optional[int], text: str, provider: Optional[str]) -> bool:
        """True if the error may answer the question: then the program's own request is to be sent, without it.

        It may not where the same provider has accepted the question, unless the text names it.
        """
        if not self.asks or status_code not in self.statuses:
            return False
        named = status_code in _REFUSALS and ("stream_options" in text or "include_usage" in text)
        if named:
            _remember(_doubted, self._key, _REFUSES)
        else:
            accepting = _accepted.get(self._key, frozenset())
            if accepting and (provider is None or provider in accepting):
                return False
        self.asks, self._repeated, self._status = False, True, status_code
        return True

    def not_to_be_put(self) -> None:
        """Something of the program's did not take the request, or the answer hides nothing: it is not asked again."""
        _remember(_doubted, self._key, _REFUSES)
        self.asks = False

    def answered(self, provider: Optional[str]) -> None:
        """The request was answered with a stream."""
        if self.asks:
            _remember(_accepted, self._key, _accepted.get(self._key, frozenset()) | {provider})
            if _doubted.get(self._key) != _REFUSES:
                _doubted.pop(self._key, None)
        elif self._repeated:
            # What failed for a moment looks the same: only a second time it is the question.
            settled = self._status in _REFUSALS or self._key in _doubted
            _remember(_doubted, self._key, _REFUSES if settled else _ONCE_MORE)
        elif _doubted.get(self._key) == _IN_DOUBT:
            _doubted[self._key] = _ONCE_MORE

    def failed(self) -> None:
        """The request failed. After it failed with the question too, nobody knows what the server thinks of that."""
        if self._repeated:
            settled = _doubted.get(self._key, _IN_DOUBT) != _IN_DOUBT
            _remember(_doubted, self._key, _REFUSES if settled else _IN_DOUBT)


def question(body: Any, mode: str, kind: str, address: str) -> Optional[Question]:
    """Our question for a request; None where the usage is asked for, or not to be.

    kind: ``routing.endpoint_kind``. address: the server's, whatever form it has; what it answers is remembered for it.
    """
    if mode == "off" or (mode == "auto" and kind not in ACCEPTING_KINDS):
        return None
    if not isinstance(body, dict) or body.get("stream") is not True or "stream_options" in body:
        return None
    key = (address, str(body.get("model")))
    doubt = _doubted.get(key)
    if doubt == _REFUSES or (doubt is None and len(_doubted) >= _CAPACITY):
        return None
    return Question(key, doubt != _IN_DOUBT, _REFUSALS if kind.startswith("router") else _OUTRIGHT)


def body_asking(body: Dict[str, Any]) -> Dict[str, Any]:
    """A shallow copy of a request's body that asks for the usage."""
    return {**body, "stream_options": {"include_usage": True}}


def bytes_asking(content: bytes) -> Optional[bytes]:
    """The JSON text of a request's body that asks for the usage, the rest as it was; None if it is no JSON object."""
    end = content.rfind(b"}")
    if not content.lstrip().startswith(b"{") or content[end + 1 :].strip():
        return None
    before = content[:end].rstrip()
    comma = b"" if before.endswith(b"{") else b","
    return before + comma + b'"stream_options":{"include_usage":true}' + content[end:]


def hides_extra(provider: Optional[str]) -> bool:
    """True if the chunk of usage alone has come because we asked. provider: the one that serves, None if unknown."""
    return provider not in UNASKED_PROVIDERS


def _remember(where: Dict[Key, Any], key: Key, value: Any) -> None:
    if len(where) < _CAPACITY or key in where:
        where[key] = value


# The same for huggingface_hub's ``RequestParameters``.


def parameters_asking(parameters: Any) -> Any:
    """A copy of the request's parameters that asks for the usage."""
    return dataclasses.replace(parameters, json=body_asking(parameters.json))
