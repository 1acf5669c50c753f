"""What a client library has to have: one class with four methods. The loops over all libraries are here, too.

``clients.table`` says when each is made. Nothing of OpenTelemetry is imported here: a program that imports a client
library and never uses it pays for no more.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Dict, List

from hf_openobserve.clients.table import Client

if TYPE_CHECKING:
    from hf_openobserve.call.recording import Recording


class ClientLibrary:
    """One client library: from its import to the end of the process.

    What activates, and gives an application's own instrumentation its provider, is ``clients.agent``: it is handed in.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.has_yielded = False
        """True once the application instruments the library itself: that stays the only one (docs/laws.md#7)."""

    def arm(self, module: Any) -> None:
        """One of ``client.modules`` has been imported, perhaps once more: see to it that the first use activates."""
        raise NotImplementedError

    def instrument(self, recording: Recording) -> None:
        """Record the calls of what has been imported so far. Called at each activation."""
        raise NotImplementedError

    def uninstrument(self) -> None:
        """Take away what ``instrument`` has put in place."""
        raise NotImplementedError

    def yield_to(self) -> None:
        """Make way: the application is about to instrument the library itself."""
        self.has_yielded = True
        self.uninstrument()


def is_agents(instrumentor: Any) -> bool:
    """True for an instrumentor that a client library of ours has made."""
    return type(instrumentor).__name__ == "AgentInstrumentor"


_made: Dict[str, ClientLibrary] = {}


def library_of(client: Client) -> ClientLibrary:
    """The one object for a library, made when its first module has been imported."""
    made = _made.get(client.name)
    if made is None:
        module = importlib.import_module(client.implementation)
        made = _made.setdefault(client.name, module.Library(client))
    return made


def is_own_report(scope: str) -> bool:
    """True for the scope of spans in which a library that we record reports its calls itself."""
    return any(scope in library.client.own_scopes for library in list(_made.values()))


def instrument_all(recording: Recording) -> None:
    """Record the calls of every library that has been imported."""
    made: List[ClientLibrary] = list(_made.values())
    for library in made:
        library.instrument(recording)
