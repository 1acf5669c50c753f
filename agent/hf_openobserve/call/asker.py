"""Who asks: the session, the user and the agent that the context of a call names, without a line of code.

W3C baggage is read through OpenTelemetry's API, as OpenObserve's SDK and a service before this one set it. What the
request itself says is ``columns``' to read.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any, Dict, Iterable, Mapping

from opentelemetry import baggage

BAGGAGE = ("session.id", "user.id", "gen_ai.agent.id", "gen_ai.agent.name")
"""Keys that are taken whatever is configured; each is a column of its own name."""

LONGEST = 512
"""Characters of a value that are kept: an identifier is no text."""


class Asker:
    """Reads who asks, each time anew."""

    def __init__(self, keys: Iterable[str] = (), agent: Mapping[str, str] = MappingProxyType({})) -> None:
        """keys: of baggage, taken too. agent: attributes of a call of which the baggage names no agent."""
        self._keys = tuple(dict.fromkeys((*BAGGAGE, *keys)))
        self._agent = dict(agent)

    def attributes(self) -> Dict[str, Any]:
        """What the context of this moment says of who asks; empty if nothing does."""
        found: Dict[str, Any] = dict(self._agent)
        carried = baggage.get_all()
        if carried:
            for key in self._keys:
                value = carried.get(key)
                if value not in (None, ""):
                    found[key] = str(value)[:LONGEST]
        if "session.id" not in found:
            thread = _langgraph_thread()
            if thread:
                found["session.id"] = thread
        return found


def _langgraph_thread() -> str:
    """``thread_id`` of the LangGraph run that this call is part of. langchain_core is not imported for it."""
    module = sys.modules.get("langchain_core.runnables.config")
    running = getattr(module, "var_child_runnable_config", None)
    config = None if running is None else running.get(None)
    configurable = config.get("configurable") if isinstance(config, dict) else None
    thread = configurable.get("thread_id") if isinstance(configurable, dict) else None
    return "" if thread is None else str(thread)[:LONGEST]
