"""Capture of huggingface_hub's inference clients: arm them, then let our own instrumentor trace.

Imported when one of the clients' modules has been imported, which huggingface_hub does when a program first touches
``InferenceClient`` or ``AsyncInferenceClient``: who uses it for downloads alone never gets here.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, List, Tuple

from hf_openobserve.clients import contract
from hf_openobserve.clients.first_use import Arming
from hf_openobserve.clients.table import Client
from hf_openobserve.process import import_hook

if TYPE_CHECKING:
    from hf_openobserve.call.recording import Recording


class Library(contract.ClientLibrary):
    """The two inference clients of huggingface_hub."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._arming = Arming()
        self._clients: List[Tuple[Any, Any]] = []
        """(module, class) of each client imported so far: a module that is dropped, or reloaded, has a class anew."""
        self._instrumentor: Any = None
        """Our instance of the instrumentor while it is in place."""

    def arm(self, module: Any) -> None:
        """Replace the public methods of the module's client, and its constructor, until the first one is built or used.

        A client that was pickled in another process is used without having been built in this one.
        """
        for class_name in ("InferenceClient", "AsyncInferenceClient"):
            client_class = getattr(module, class_name, None)
            if client_class is None or client_class.__module__ != module.__name__:
                continue
            if any(known is client_class for _, known in self._clients):
                continue
            self._clients.append((module, client_class))
            if not self.has_yielded and self._instrumentor is None:
                self._arm(client_class)  # else the instrumentor itself has its hooks put on what is imported later

    def _arm(self, client_class: Any) -> None:
        for name, function in list(vars(client_class).items()):
            if name == "__init__" or (not name.startswith("_") and inspect.isfunction(function)):
                self._arming.arm(client_class, name)

    def instrument(self, recording: Recording) -> None:
        """Put our hooks on the clients, if the program has imported one and does not instrument them itself."""
        if not self._clients or self.has_yielded:
            return
        from hf_openobserve.clients import http
        from hf_openobserve.clients.huggingface_hub.hooks import is_stood_in_for
        from hf_openobserve.clients.trace_config import trace_config

        for library in http.LIBRARIES:
            import_hook.on_import(library, http.install)
        for _, client_class in self._clients:
            if is_stood_in_for(client_class):
                self._arming.postpone(client_class)
        try:
            self._arming.disarm()  # the hooks go on the methods themselves
            if self._instrumentor is None:
                self._instrumentor = _instrumentor()
                self._instrumentor.instrument(recording=recording, config=trace_config(), skip_dep_check=True)
            for module, client_class in self._clients:
                self._instrumentor.hooks.install_on(client_class, module)
        except BaseException:
            # The program's own exception may come in the middle: then the next client tries again.
            if self._instrumentor is not None:
                self._instrumentor.hooks.uninstall()
                self._instrumentor = None
            for _, client_class in self._clients:
                self._arm(client_class)
            raise

    def uninstrument(self) -> None:
        """Take the hooks away, and what waits for the first client."""
        self._arming.disarm()
        if self._instrumentor is not None:
            self._instrumentor.uninstrument()
            self._instrumentor = None


def _instrumentor() -> Any:
    from hf_openobserve.instrumentors.huggingface_hub import HuggingFaceHubInstrumentor

    class AgentInstrumentor(HuggingFaceHubInstrumentor):
        # A singleton of its own: the application's HuggingFaceHubInstrumentor() reports what it would without us.
        _instance = None
        _is_instrumented_by_opentelemetry = False

    return AgentInstrumentor()
