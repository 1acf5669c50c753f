"""What the calls of a process are recorded with: made by the agent at each activation, and handed to every client."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from hf_openobserve.call.asker import Asker
from hf_openobserve.call.unsampled import Note


class Recording(NamedTuple):
    """Without an agent, as where an application loads an instrumentor itself, nothing is asked, told or counted."""

    tracer_provider: Any = None
    """The provider of the spans; None for the global one."""
    stream_usage: str = "off"
    """One of ``config.settings.STREAM_USAGE_MODES``: which streams are asked for their usage."""
    propagate: str = "off"
    """One of ``config.settings.PROPAGATE_MODES``: which servers are told the trace of a call."""
    asker: Asker = Asker()
    note: Optional[Note] = None
    """Takes the numbers of calls that have no span; None where no metrics are made."""
