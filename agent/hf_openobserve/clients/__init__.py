"""The client libraries whose calls are recorded: one module or package each, and what they share."""

TYPE_CHECKING = False
if TYPE_CHECKING:  # every Python process reads this file
    from typing import Any

agent: "Any" = None
"""Returns the process's agent (``pipeline.agent.Agent``); handed in by the door, which imports it when it is asked for.
"""
