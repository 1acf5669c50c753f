"""httpx and httpx2, with which openai and litellm send: which requests belong to a call, and how each is answered.

Seen at the public ``send`` of their clients, for which everybody else's request pays a look at two context variables.
Here a request gets its trace, and a stream is asked for its usage: beneath the client, so that its own debug log shows
the program's request, and above the network, so that whoever stands in the network's place (a mock, a recorder) meets
the program's own bytes.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any, NamedTuple, Optional

from hf_openobserve.call.call import Call
from hf_openobserve.clients import network, propagation, response_body, usage_question
from hf_openobserve.clients.steps import Steps, around
from hf_openobserve.process import diagnostics, interruptions
from hf_openobserve.wire import errors, routing
from hf_openobserve.wire.event_stream import EventStream, UsageHidden

LIBRARIES = ("httpx", "httpx2")
_MARK = "_hf_openobserve_send"
"""On our ``send``: a library that is imported anew gets one, and only one."""

current: ContextVar[Optional[Sending]] = ContextVar("hf_openobserve.sending", default=None)
"""The call that is being sent in this context."""


class Sending:
    """A call on its way: what the requests beneath it need to know of it."""

    __slots__ = (
        "_token",
        "call",
        "encloses",
        "has_left",
        "is_read_later",
        "is_recorded_beneath",
        "on_end",
        "options",
        "propagate",
        "span",
        "usage_mode",
    )

    def __init__(
        self,
        call: Call,
        *,
        options: Any = None,
        usage_mode: str = "off",
        propagate: str = "off",
        encloses: bool = False,
    ) -> None:
        self.call = call
        self.encloses = encloses
        """True if what other clients do meanwhile is part of this call: then they record none of their own."""
        self.is_recorded_beneath = False
        """True if the application's own instrumentation of such a client has recorded the call all the same."""
        self.has_left = False
        self.options = options
        """The client's own object for the request, by which it is known again."""
        self.span: Any = None
        """The call's, where that is not the current one."""
        self.usage_mode = usage_mode
        """One of ``config.settings.STREAM_USAGE_MODES``: which streams are asked for their usage."""
        self.propagate = propagate
        """One of ``config.settings.PROPAGATE_MODES``: whether the server is told the trace."""
        self.is_read_later = call.timing is not None
        """True if the program reads the body of the answer after the client has returned."""
        self.on_end: Any = None
        """Called with an error or None once such a body is over."""
        self._token: Any = None

    def enter(self) -> None:
        """What is sent from now on belongs to the call."""
        self._token = current.set(self)

    def leave(self) -> None:
        """It has been sent."""
        self.has_left = True
        self.call.attempts.close()  # a task that was started meanwhile keeps the context, and the call, for good
        try:
            current.reset(self._token)
        except ValueError:  # a coroutine that was thrown away in another context than it ran in
            diagnostics.swallowed("http")


def enclosing() -> Optional[Sending]:
    """The call of another client of which what is called now is a part; None if there is none."""
    sending = current.get()
    # A task that was started meanwhile keeps the context for good.
    return sending if sending is not None and sending.encloses and not sending.has_left else None


class _Asking(NamedTuple):
    question: usage_question.Question
    request: Any
    """The request that asks; None where the question is not put this time."""


def install(library: Any) -> None:
    """See the requests of httpx's or httpx2's clients."""
    for name in ("Client", "AsyncClient"):
        client_class = getattr(library, name, None)
        if client_class is None or "send" not in vars(client_class):
            diagnostics.debug(f"{library.__name__}.{name} has no send: what its calls are answered is not seen")
            continue
        original = vars(client_class)["send"]
        if not getattr(original, _MARK, False):
            seen = around(original, _async_send if name == "AsyncClient" else _send)
            vars(seen)[_MARK] = True
            client_class.send = seen


def _sending(original: Any, args: Any, kwargs: Any, read: str, close: str) -> Steps:
    sending = current.get()
    request = args[1] if len(args) > 1 else kwargs.get("request")
    if sending is None or not diagnostics.guarded("send", sending.call.attempts.begin, request, default=False):
        told = propagation.destination.get() if sending is None else None
        if told is not None and told.host == request.url.host and request.method == "POST":
            return (yield from _sent(original, args, kwargs, request, close, told.mode))
        return (yield functools.partial(original, *args, **kwargs))
    call = sending.call
    asking = None
    if call.timing is not None and sending.usage_mode != "off":
        asking = diagnostics.guarded("stream usage", _asking, sending, args[0], request, kwargs.get("auth"))
    question = None if asking is None else asking.question
    response = None
    try:
        if asking is not None and asking.request is not None:
            try:
                response = yield from _sent(
                    original, args, kwargs, asking.request, close, sending.propagate, sending.span
                )
                if response.status_code in asking.question.statuses:
                    yield getattr(response, read)
                    if diagnostics.guarded("stream usage", _is_refused, call, asking.question, response, default=False):
                        yield getattr(response, close)
                        response = None
                if response is not None and not _can_hide(response):
                    yield getattr(response, close)
                    response = None
                    asking.question.not_to_be_put()
                if response is not None:
                    response.request = request
            except Exception as error:
                if response is not None or not _is_the_clients_refusal(error):
                    raise
                asking.question.not_to_be_put()
        if response is None:  # outside the handler: an error of the second request has no other one as its context
            response = yield from _sent(original, args, kwargs, request, close, sending.propagate, sending.span)
    except BaseException as error:
        diagnostics.guarded("send", _broke, call, question, error)
        raise
    diagnostics.guarded("send", _answered, sending, question, response)
    return response


_send = functools.partial(_sending, read="read", close="close")
_async_send = functools.partial(_sending, read="aread", close="aclose")


def _sent(original: Any, args: Any, kwargs: Any, request: Any, close: str, propagate: str, span: Any = None) -> Steps:
    """Send a request of the call, with its trace where that is for the server.

    A redirect would take the trace to wherever the server says: then the request goes out once more, without.
    """
    others = {name: value for name, value in kwargs.items() if name != "request"}
    plain = functools.partial(original, args[0], request, *args[2:], **others)
    added = None
    if propagate != "off" and network.is_from_a_library(original):
        added = diagnostics.guarded("trace", propagation.add_to, request, args[0], kwargs.get("auth"), span, propagate)
    if not added:
        return (yield plain)
    try:
        response = yield functools.partial(plain, follow_redirects=False)
    finally:
        diagnostics.guarded("trace", propagation.take_from, request, added)
    if not response.has_redirect_location:
        return response
    yield getattr(response, close)
    return (yield plain)


def _broke(call: Call, question: Optional[usage_question.Question], error: BaseException) -> None:
    call.attempts.broke(error)
    if question is not None:
        question.failed()


def _answered(sending: Sending, question: Optional[usage_question.Question], response: Any) -> None:
    call = sending.call
    call.attempts.answered(response)
    if response.status_code >= 400:
        if question is not None:
            question.failed()
        return
    if question is not None:
        question.answered(routing.served_by(call.url, response.headers))
    if sending.is_read_later:
        watch(sending, question, response)
    else:
        call.response = response


def watch(sending: Sending, question: Optional[usage_question.Question], response: Any) -> None:
    """Look at the body of an answer that the program reads after the client has returned."""
    call = sending.call
    provider = routing.served_by(call.url, response.headers)
    asked = question is not None and question.asks
    events: Optional[EventStream] = None
    if call.streamed is not None:
        look = functools.partial(_look, call)
        if asked:
            assert question is not None
            events = UsageHidden(
                look,
                sent_unasked=not usage_question.hides_extra(provider),
                holds=question.may_move,
                tell=question.came,
            )
        else:
            events = EventStream(look)
    if response.is_closed:  # a mock's, whose body has been read: nobody will read it from its source
        response_body.look_at(response, call, events)
    else:
        response_body.watch(response, call, events, sending.on_end)


def _look(call: Call, chunk: Any) -> None:
    """Take the next chunk of a stream, or an event that is none."""
    timing, streamed = call.timing, call.streamed
    assert timing is not None
    assert streamed is not None
    timing.chunks += 1
    try:
        if streamed.add(chunk):
            timing.had_content()
    except Exception:  # noqa: BLE001 - a chunk of a form nobody knows
        diagnostics.swallowed("chunk")


# Asking a stream for its usage.


def _asking(sending: Sending, http_client: Any, request: Any, auth: Any) -> Optional[_Asking]:
    """The question for the usage of a chat's stream, and the request that puts it; None if there is nothing to ask."""
    call = sending.call
    if not request.url.path.endswith("/chat/completions"):
        return None
    kind = routing.endpoint_kind_of(call.url)
    question = usage_question.question(call.request, sending.usage_mode, kind, call.url)
    library = type(request).__module__.partition(".")[0]
    if question is None or not network.leaves_the_body_alone(auth):
        return None
    if not network.is_reached_by_httpx(http_client, request.url, library):
        return None
    if not question.asks:
        return _Asking(question, None)
    content = None if "content-encoding" in request.headers else usage_question.bytes_asking(request.content)
    if content is None:
        return None
    headers = request.headers.copy()
    headers["content-length"] = str(len(content))
    headers["accept-encoding"] = "identity"  # what is encoded cannot be taken out of a stream
    changed = type(request)(
        request.method, request.url, headers=headers, content=content, extensions=request.extensions
    )
    return _Asking(question, changed)


def _is_refused(call: Call, question: usage_question.Question, response: Any) -> bool:
    text = response.text[: 4 * errors.SEARCHED]
    return question.refused(response.status_code, text, routing.served_by(call.url, response.headers))


def _can_hide(response: Any) -> bool:
    """True unless the server has compressed what we asked for as it is: nothing can be taken out of that."""
    return response.status_code >= 400 or (response.headers.get("content-encoding") or "identity") == "identity"


def _is_the_clients_refusal(error: Exception) -> bool:
    """True if something of the program's, a hook or a signature, did not take the request: it was not sent."""
    if interruptions.programs_own(error) is not None or isinstance(error, OSError):
        return False
    packages = {str(cls.__module__).partition(".")[0] for cls in type(error).__mro__}
    return not packages & {"httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "anyio", "ssl", "aiohttp"}
