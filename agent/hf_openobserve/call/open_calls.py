"""The calls that have not ended: their facts, by the ids of their spans, and the streams the program still holds."""

from __future__ import annotations

import atexit
from collections import OrderedDict
from typing import Any, Optional, Set, Tuple

from hf_openobserve.call.call import Call
from hf_openobserve.process import diagnostics
from hf_openobserve.row.work import CallFacts

_CAPACITY = 4096
"""Calls remembered at once. Beyond it the oldest is forgotten: spans that never end must not grow the host."""

Key = Tuple[int, int]
"""(trace id, span id)."""

_calls: OrderedDict[Key, Call] = OrderedDict()


def remember(span: Any, call: Call) -> None:
    """``call`` is what will be known of ``span`` when that ends."""
    context = span.get_span_context()
    _calls[context.trace_id, context.span_id] = call
    while len(_calls) > _CAPACITY:
        try:
            _calls.popitem(last=False)
        except KeyError:  # another thread was faster
            break


def take(trace_id: int, span_id: int) -> Optional[Call]:
    """The call of this span, which is then forgotten here."""
    return _calls.pop((trace_id, span_id), None)


def facts_of(call: Call) -> CallFacts:
    """What is known of a call, as far as it can be had."""
    facts: CallFacts = diagnostics.guarded("facts", call.facts, default=CallFacts())
    return facts


class _OpenStreams:
    """Streams that the program has not finished, each with ``abandoned()``. One still held at exit ends there."""

    def __init__(self) -> None:
        self._streams: Set[Any] = set()
        self._follows_exit = False

    def add(self, stream: Any) -> None:
        if not self._follows_exit:
            self._follows_exit = True
            # This handler runs before the tracer provider's, which was registered before it.
            atexit.register(diagnostics.guarded, "exit", self._abandon_all)
        self._streams.add(stream)

    def discard(self, stream: Any) -> None:
        self._streams.discard(stream)

    def _abandon_all(self) -> None:
        for stream in list(self._streams):
            stream.abandoned()


streams = _OpenStreams()
