"""Where huggingface_hub's inference clients are entered: the one module with names that are private to huggingface_hub.

Each hook is guarded: a name that is not there is left out, with one debug line. Public task methods give a span its
extent; beneath them ``_inner_post`` (0.30 to 2.x) shows the request and ``hf_raise_for_status`` the answer's headers.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, Callable, List, Optional, Tuple, Union
from urllib.parse import urlsplit

from hf_openobserve.clients import network, propagation
from hf_openobserve.clients.first_use import is_mocked
from hf_openobserve.clients.huggingface_hub.stream import watch
from hf_openobserve.clients.huggingface_hub.task import Task, Tracing, Unrecorded, current
from hf_openobserve.clients.steps import Steps, around
from hf_openobserve.process import diagnostics

CLIENTS = {
    "huggingface_hub.inference._client": "InferenceClient",
    "huggingface_hub.inference._generated._async_client": "AsyncInferenceClient",
}
"""The module of each client, and its class. They are imported when a program first touches the class, not before."""


class Hooks:
    """What is put on the clients; nothing is before ``trace_with``."""

    def __init__(self) -> None:
        self._tracing: Optional[Tracing] = None
        self._installed: List[Tuple[Any, str, Any, Any]] = []
        """What was replaced: (owner, name, ours, original)."""

    def trace_with(self, tracing: Tracing) -> None:
        """Record the calls of the clients that are, and will be, installed."""
        self._tracing = tracing

    def install(self, module: Any) -> None:
        """Put the hooks on the client of ``module``, a key of ``CLIENTS``."""
        self.install_on(getattr(module, CLIENTS[module.__name__], None), module)

    def install_on(self, client_class: Any, module: Any) -> None:
        """Put the hooks on a client of ``module``, as far as they are not there already.

        What a test has put a mock in place of is left alone: it will be put back.
        """
        if is_stood_in_for(client_class):
            return
        if client_class is None or "_inner_post" not in vars(client_class):
            diagnostics.debug(
                f"{module.__name__} has no {CLIENTS[module.__name__]}._inner_post: its calls are not recorded"
            )
            return
        if self._tracing is None:
            return
        is_async = inspect.iscoroutinefunction(client_class._inner_post)  # noqa: SLF001
        for name, function in list(vars(client_class).items()):
            # A coroutine behind a plain function is the deprecated ``post`` of 0.30: it would not stay one.
            if not name.startswith("_") and _is_task(function) and inspect.iscoroutinefunction(function) is is_async:
                self._replace(client_class, name, functools.partial(around, logic=functools.partial(self._task, name)))
        self._replace(client_class, "_inner_post", functools.partial(around, logic=_post))
        if hasattr(module, "hf_raise_for_status"):
            self._replace(module, "hf_raise_for_status", _raise_for_status)
        else:
            diagnostics.debug(f"{module.__name__} has no hf_raise_for_status: no response headers are recorded")
        if "_get_client_session" in vars(client_class):  # up to 0.36 the asynchronous client is built on aiohttp
            self._replace(client_class, "_get_client_session", _session)

    def uninstall(self) -> None:
        """Take the hooks away. One that somebody has wrapped since stays in their chain, and just passes on."""
        self._tracing = None
        while self._installed:
            owner, name, ours, original = self._installed.pop()
            if vars(owner).get(name) is ours:
                setattr(owner, name, original)

    def _replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put ``make(original)`` there, unless ours is there already, be it beneath somebody's wrapper."""
        original = beneath = vars(owner)[name]
        while beneath is not None:
            if any(beneath is ours for _, _, ours, _ in self._installed):
                return
            beneath = getattr(beneath, "__wrapped__", None)
        ours = make(original)
        self._installed.append((owner, name, ours, original))
        setattr(owner, name, ours)

    def _task(self, name: str, original: Any, args: Any, kwargs: Any) -> Steps:
        call = diagnostics.guarded("huggingface_hub call", self._begin, args[0], name, kwargs)
        if call is None:
            return (yield functools.partial(original, *args, **kwargs))
        try:
            result = yield functools.partial(original, *args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return watch(result, call) if call.returned(result) else result

    def _begin(self, client: Any, name: str, kwargs: Any) -> Union[Task, Unrecorded, None]:
        return None if self._tracing is None else self._tracing.begin(client, name, kwargs)


def is_stood_in_for(client_class: Any) -> bool:
    """True while a test has put a mock in place of the class, or of one of its methods."""
    return is_mocked(client_class) or any(is_mocked(value) for value in vars(client_class or object).values())


def _is_task(function: Any) -> bool:
    """True for the methods that post a request, whatever tasks this version of huggingface_hub has."""
    return inspect.isfunction(function) and "_inner_post" in inspect.unwrap(function).__code__.co_names


def _running(client: Any) -> Union[Task, Unrecorded, None]:
    call = current()
    return call if call is not None and call.client is client else None


def _post(original: Any, args: Any, kwargs: Any) -> Steps:
    client, request_parameters = args[0], args[1] if len(args) > 1 else kwargs.get("request_parameters")
    call = _running(client)
    if call is None or len(args) < 2:
        return (yield functools.partial(original, *args, **kwargs))
    call.posted(request_parameters)
    if isinstance(call, Unrecorded):
        return (yield functools.partial(original, *args, **kwargs))
    parameters = request_parameters
    if call.would_ask:
        session = yield functools.partial(_session_of, original, client)
        if diagnostics.guarded("stream usage", network.is_reached_by, session, request_parameters.url, default=False):
            parameters = call.asking(request_parameters)
        else:
            call.does_not_ask()
    again = False
    told = diagnostics.guarded("trace", _told, request_parameters, call.propagate) if call.propagate != "off" else None
    token = propagation.destination.set(told)
    try:
        try:
            answer = yield functools.partial(original, client, parameters, *args[2:], **kwargs)
        except Exception as error:
            if not call.refused(error):
                raise
            again = True
        if again:  # outside the handler: an error of the second request has no other one as its context
            answer = yield functools.partial(original, *args, **kwargs)
    finally:
        propagation.leave(token)
    return call.received(answer)


def _told(parameters: Any, mode: str) -> Optional[propagation.Destination]:
    """Where the request goes, if that may be told the trace; None if huggingface_hub logs each request's headers."""
    constants = sys.modules.get("huggingface_hub.constants")
    if getattr(constants, "HF_DEBUG", False):
        return None
    return propagation.Destination(urlsplit(str(parameters.url)).hostname or "", mode)


def _session_of(inner_post: Any, client: Any) -> Any:
    """What the client is about to send with; of an asynchronous one an awaitable of that."""
    if inspect.iscoroutinefunction(inner_post):
        return _async_session_of(client)
    get_session = inspect.unwrap(inner_post).__globals__.get("get_session")
    return None if get_session is None else get_session()


async def _async_session_of(client: Any) -> Any:
    get_client = getattr(client, "_get_async_client", None)  # from 1.0 on; it makes the client's own, once
    if get_client is not None:
        return await get_client()
    try:
        import aiohttp  # the client imports it with its first request, which is this one
    except ImportError:
        return None
    return aiohttp.ClientSession


def _raise_for_status(original: Any) -> Any:
    @functools.wraps(original)
    def hf_raise_for_status(response: Any, *args: Any, **kwargs: Any) -> Any:
        call = current()
        if call is not None:
            call.answered(response)
        return original(response, *args, **kwargs)

    return hf_raise_for_status


def _session(original: Any) -> Any:
    @functools.wraps(original)
    def _get_client_session(self: Any, *args: Any, **kwargs: Any) -> Any:
        session = original(self, *args, **kwargs)
        if _running(self) is not None:
            diagnostics.guarded("aiohttp session", _watch_session, session)
        return session

    return _get_client_session


def _watch_session(session: Any) -> None:
    """See the headers of a session's answers through aiohttp's own (public) tracing."""
    config = sys.modules["aiohttp"].TraceConfig()
    config.on_request_end.append(_session_answered)
    config.freeze()
    session.trace_configs.append(config)


async def _session_answered(_session: Any, _context: Any, params: Any) -> None:
    call = current()
    if call is not None:
        call.answered(params.response)
