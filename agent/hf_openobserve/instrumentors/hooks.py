"""Where huggingface_hub's inference clients are entered: the one module with names that are private to huggingface_hub.

Each hook is guarded: a name that is not there is left out, with one debug line. Public task methods give a span its
extent; beneath them ``_inner_post`` (0.30 to 2.x) shows the request and ``hf_raise_for_status`` the answer's headers.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, List, Optional, Tuple, Union

from hf_openobserve import diagnostics
from hf_openobserve.instrumentors.call import Call, Tracing, Unrecorded, current
from hf_openobserve.instrumentors.stream import watch

CLIENTS = {
    "huggingface_hub.inference._client": "InferenceClient",
    "huggingface_hub.inference._generated._async_client": "AsyncInferenceClient",
}
"""The module of each client, and its class. They are imported when a program first touches the class, not before."""

_tracing: Optional[Tracing] = None
_installed: List[Tuple[Any, str, Any, Any]] = []
"""What was replaced: (owner, name, ours, original)."""


def trace_with(tracing: Tracing) -> None:
    """Record the calls of the clients that are, and will be, installed."""
    global _tracing
    _tracing = tracing


def install(module: Any) -> None:
    """Put the hooks on the client of ``module``, a key of ``CLIENTS``; nothing if they are there already."""
    client_class = getattr(module, CLIENTS[module.__name__], None)
    if client_class is None or "_inner_post" not in vars(client_class):
        diagnostics.debug(
            f"{module.__name__} has no {CLIENTS[module.__name__]}._inner_post: its calls are not recorded"
        )
        return
    if _tracing is None or any(owner is client_class for owner, *_ in _installed):
        return
    is_async = inspect.iscoroutinefunction(client_class._inner_post)  # noqa: SLF001
    for name, function in list(vars(client_class).items()):
        # A coroutine behind a plain function is the deprecated ``post`` of 0.30: it would not stay one.
        if not name.startswith("_") and _is_task(function) and inspect.iscoroutinefunction(function) is is_async:
            _replace(client_class, name, _async_task(name, function) if is_async else _task(name, function))
    post = client_class._inner_post  # noqa: SLF001
    _replace(client_class, "_inner_post", _async_post(post) if is_async else _post(post))
    if hasattr(module, "hf_raise_for_status"):
        _replace(module, "hf_raise_for_status", _raise_for_status(module.hf_raise_for_status))
    else:
        diagnostics.debug(f"{module.__name__} has no hf_raise_for_status: no response headers are recorded")
    if "_get_client_session" in vars(client_class):  # up to 0.36 the asynchronous client is built on aiohttp
        _replace(client_class, "_get_client_session", _session(client_class._get_client_session))  # noqa: SLF001


def uninstall() -> None:
    """Take the hooks away. One that somebody has wrapped since stays in their chain, and just passes on."""
    global _tracing
    _tracing = None
    while _installed:
        owner, name, ours, original = _installed.pop()
        if vars(owner).get(name) is ours:
            setattr(owner, name, original)


def _replace(owner: Any, name: str, ours: Any) -> None:
    original = vars(owner)[name]
    setattr(owner, name, ours)
    _installed.append((owner, name, ours, original))


def _is_task(function: Any) -> bool:
    """True for the methods that post a request, whatever tasks this version of huggingface_hub has."""
    return inspect.isfunction(function) and "_inner_post" in inspect.unwrap(function).__code__.co_names


def _begin(client: Any, name: str, kwargs: Any) -> Union[Call, Unrecorded, None]:
    return None if _tracing is None else _tracing.begin(client, name, kwargs)


def _running(client: Any) -> Union[Call, Unrecorded, None]:
    call = current()
    return call if call is not None and call.client is client else None


def _task(name: str, original: Any) -> Any:
    @functools.wraps(original)
    def task(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = diagnostics.guarded("huggingface_hub call", _begin, self, name, kwargs)
        if call is None:
            return original(self, *args, **kwargs)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return watch(result, call) if call.returned(result) else result

    return task


def _async_task(name: str, original: Any) -> Any:
    @functools.wraps(original)
    async def task(self: Any, *args: Any, **kwargs: Any) -> Any:
        call = diagnostics.guarded("huggingface_hub call", _begin, self, name, kwargs)
        if call is None:
            return await original(self, *args, **kwargs)
        try:
            result = await original(self, *args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return watch(result, call) if call.returned(result) else result

    return task


def _post(original: Any) -> Any:
    @functools.wraps(original)
    def _inner_post(self: Any, request_parameters: Any, *args: Any, **kwargs: Any) -> Any:
        call = _running(self)
        if call is None:
            return original(self, request_parameters, *args, **kwargs)
        parameters = call.posted(request_parameters)
        again = False
        try:
            answer = original(self, parameters, *args, **kwargs)
        except Exception as error:
            if not call.refused(error):
                raise
            again = True
        if again:  # outside the handler: an error of the second request has no other one as its context
            answer = original(self, request_parameters, *args, **kwargs)
        call.received(answer)
        return answer

    return _inner_post


def _async_post(original: Any) -> Any:
    @functools.wraps(original)
    async def _inner_post(self: Any, request_parameters: Any, *args: Any, **kwargs: Any) -> Any:
        call = _running(self)
        if call is None:
            return await original(self, request_parameters, *args, **kwargs)
        parameters = call.posted(request_parameters)
        again = False
        try:
            answer = await original(self, parameters, *args, **kwargs)
        except Exception as error:
            if not call.refused(error):
                raise
            again = True
        if again:
            answer = await original(self, request_parameters, *args, **kwargs)
        call.received(answer)
        return answer

    return _inner_post


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
