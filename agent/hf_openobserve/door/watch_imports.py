"""Stage one: wait for an LLM client's import, and replace nothing but what builds or first uses that client.

Everything a process pays that imports no client is here, in ``import_hook`` and in ``clients.table``. What it pays that
imports one but uses none is in ``clients`` (no OpenTelemetry module is imported before the first client is built or
used).
"""

import os

from hf_openobserve.clients import table
from hf_openobserve.door import switches
from hf_openobserve.process import import_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Mapping, Optional

    from hf_openobserve.pipeline.agent import Agent


class _Door:
    """How the process was entered."""

    def __init__(self) -> None:
        self.name: "Optional[str]" = None
        """``pythonpath``, ``wrapper``, or None while nothing is armed."""


door = _Door()


def arm(through: str, environ: "Mapping[str, str]" = os.environ) -> bool:
    """Register the triggers, once.

    ``through`` names the door; True if this call or an earlier one armed the process.
    """
    if door.name is not None:
        return True
    if switches.is_switched_off(environ):
        return False
    door.name = through
    disabled = switches.disabled_instrumentations(environ)
    if "*" in disabled:
        return True
    for client in table.CLIENTS:
        if client.name not in disabled:
            watch(client)
    return True


def agent() -> "Agent":
    """The agent of this process, imported when it is asked for: by the first client that is built."""
    from hf_openobserve.pipeline import agent as stage_two

    return stage_two.process


def _hand_in_the_agent() -> None:
    from hf_openobserve import clients

    clients.agent = agent


def watch(client: "table.Client") -> None:
    """Wait for the imports of a library's modules, and of its other instrumentors."""

    def imported(module: "ModuleType") -> None:
        _hand_in_the_agent()
        from hf_openobserve.clients import contract

        contract.library_of(client).arm(module)

    def instrumentor_imported(module: "ModuleType") -> None:
        _hand_in_the_agent()
        from hf_openobserve.clients import application_instrumentation, contract

        application_instrumentation.watch(module, contract.library_of(client))

    for name in client.modules:
        import_hook.on_import(name, imported)
    for name in client.instrumentors:
        import_hook.on_import(name, instrumentor_imported)
