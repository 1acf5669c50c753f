"""Capture of the OpenAI client: arm its constructors, then let OpenInference trace, with our facts beneath it.

Imported when ``openai`` has been imported, so nothing of OpenTelemetry is imported at the top. Only public names of
openai are used: ``OpenAI``, ``AsyncOpenAI``, their ``request`` methods and ``base_url``. Around ``request`` stands,
from the outside in: the choice of the way (``request.ways``), OpenInference, and what records the request
(``request.recorded``).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from hf_openobserve.clients import contract, first_use
from hf_openobserve.clients.steps import Steps, around
from hf_openobserve.clients.table import Client
from hf_openobserve.process import diagnostics, import_hook

if TYPE_CHECKING:
    from hf_openobserve.call.recording import Recording


class Library(contract.ClientLibrary):
    """The openai package, and each copy of it that was imported anew."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._arming = first_use.Arming()
        self._clients: List[Tuple[Any, str, Any]] = []
        """(module, name, class) of each client imported so far: a module that is dropped and imported anew has classes
        anew.
        """
        self._in_place: Dict[Any, Any] = {}
        """Class -> the ``request`` beneath our instrumentation, while that is in place."""
        self._instrumentor: Any = None
        """Our instance of OpenInference's instrumentor while it is in place."""
        self._is_following = False
        """True once clients of httpx tell us what they do."""
        self._recording: Any = None
        """What to record with, once there has been an activation."""
        self._originals: Dict[Any, Any] = {}
        """Our ``request`` -> the client's own. Where somebody has wrapped ours, what goes past OpenInference still
        meets theirs.
        """
        self._recorded: Any = None
        """``request.recorded``, once there has been a call: an import statement in each one costs more than what it
        looks up.
        """

    def arm(self, module: Any) -> None:
        """Replace the constructors until the first client is built, and ``request`` for good, beneath OpenInference."""
        for name in ("OpenAI", "AsyncOpenAI"):
            client_class = getattr(module, name, None)
            if client_class is None or not hasattr(client_class, "request"):
                diagnostics.debug(f"openai.{name} has no request method: its calls are not captured")
                continue
            if any(known is client_class for _, _, known in self._clients):
                continue  # reloaded, with the classes it had
            self._clients.append((module, name, client_class))
            self._arming.arm(client_class, "__init__")
            original = client_class.request
            client_class.request = around(original, functools.partial(self._request, client_class))
            self._originals[client_class.request] = original

    def _request(self, client_class: Any, original: Any, args: Any, kwargs: Any) -> Steps:
        if (self._arming or self._is_bare(client_class)) and self._instrumented_now(client_class):
            return (yield functools.partial(args[0].request, *args[1:], **kwargs))
        if (
            not self._in_place and not self.has_yielded
        ):  # nothing is recorded in this process: nothing is imported for it
            return (yield functools.partial(original, *args, **kwargs))
        if self._recorded is None:
            from hf_openobserve.clients.openai import request

            self._recorded = request.recorded
        return (yield from self._recorded(original, args, kwargs, self._recording))

    def _is_bare(self, client_class: Any) -> bool:
        """True if nothing stands around our own ``request``."""
        return any(client_class.request is ours for ours in self._originals)

    def _instrumented_now(self, client_class: Any) -> bool:
        """Instrument a class whose call comes past us: True if our instrumentation is now in place and must see it.

        The client is from before we were armed, or whoever had replaced ``request`` while we activated has put it back.
        """
        if self.has_yielded:
            return False
        if self._arming:
            self._arming.activate()
        else:
            diagnostics.guarded("activate", first_use.activate)
        return not self._is_bare(client_class)

    def instrument(self, recording: Recording) -> None:
        """Put OpenInference around the clients, if the program has imported openai and does not do so itself.

        The instrumentor is loaded directly: version 0.1.18 (Python 3.8) has no entry point, and its version check asks
        for an openai that works no better than 1.66 does.
        """
        if not self._clients:
            return
        self._recording = recording
        self._follow()
        if self.has_yielded:
            return
        import openai

        newest = {name: known for module, name, known in self._clients if module is openai}
        present = [(getattr(openai, name, None), known) for name, known in newest.items()]
        due = [client_class for client_class, _ in present if self._is_due(client_class)]
        if not due:
            return
        if any(_is_stood_in_for(*pair) for pair in present):
            for _, known in present:
                self._arming.postpone(known)
            return
        self._put_in_place(recording, openai, due)

    def _is_due(self, client_class: Any) -> bool:
        return client_class not in self._in_place or self._is_bare(client_class)

    def _put_in_place(self, recording: Recording, openai: Any, due: List[Any]) -> None:
        """All of it or nothing: the program's own exception may come in the middle, and the next client tries again."""
        from openinference.instrumentation.openai import OpenAIInstrumentor

        from hf_openobserve.clients.openai import request
        from hf_openobserve.clients.trace_config import trace_config
        from hf_openobserve.process import host_log

        class AgentInstrumentor(OpenAIInstrumentor):  # type: ignore[misc]
            # A singleton of its own: the application's OpenAIInstrumentor() reports what it would without us.
            _instance = None
            _is_instrumented_by_opentelemetry = False

        before = [(client_class, client_class.request) for client_class in (openai.OpenAI, openai.AsyncOpenAI)]
        instrumentor = AgentInstrumentor()
        try:
            instrumentor.instrument(
                tracer_provider=recording.tracer_provider, skip_dep_check=True, config=trace_config()
            )
            for client_class, below in before:
                if client_class in due:
                    ways = request.ways(recording, self._originals.get(below, below))
                    is_async = client_class is openai.AsyncOpenAI
                    client_class.request = around(client_class.request, ways, is_async=is_async)
                    self._in_place[client_class] = below
                else:
                    client_class.request = below  # it has ours, and OpenInference has just wrapped it once more
            self._instrumentor = instrumentor
            diagnostics.guarded("host's log", host_log.keep_clean, self._is_instrumenting)
        except BaseException:
            for client_class, below in before:
                client_class.request = below
                if client_class in due:
                    self._in_place.pop(client_class, None)
            raise

    def _is_instrumenting(self) -> bool:
        return self._instrumentor is not None

    def _follow(self) -> None:
        if self._is_following:
            return
        from hf_openobserve.clients import http

        for library in http.LIBRARIES:
            import_hook.on_import(library, http.install)
        self._is_following = True

    def uninstrument(self) -> None:
        """Take OpenInference away, and what stands around it."""
        for client_class, below in self._in_place.items():
            client_class.request = below
        self._in_place.clear()
        self._instrumentor = None


def _is_stood_in_for(present: Any, client_class: Any) -> bool:
    """True while a test has put something else in place of the class, or of its method."""
    if not isinstance(present, type) or not issubclass(present, client_class):
        return True
    return first_use.is_mocked(vars(present).get("request"))
