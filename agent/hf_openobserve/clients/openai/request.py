"""One request of an OpenAI client: which way it goes, and what is recorded of it.

A stream, and an answer that the program reads when it likes (``with_streaming_response``), gets a span of our own under
OpenInference's name. OpenInference would stand between the program and its stream, read a lazy answer before the
program asks for it, and in its older versions (0.1.18 and 0.1.49, on Python 3.8 and 3.9) never end a stream that is
left. So does a whole answer of an API that writes, where nobody else reads the spans: its row is made of request and
answer. Every other whole answer goes through OpenInference, whose span it is. Imported with the first call: it needs
OpenTelemetry.
"""

from __future__ import annotations

import functools
import time
from contextvars import ContextVar
from typing import Any, Dict, Mapping, Optional, Tuple, Union
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Status, StatusCode

from hf_openobserve.call import open_calls, unsampled
from hf_openobserve.call.call import LONGEST_ANSWER, Call
from hf_openobserve.call.own_span import OwnSpan, Spans
from hf_openobserve.call.recording import Recording
from hf_openobserve.call.sampled import is_dropped
from hf_openobserve.call.unsampled import Note
from hf_openobserve.clients import http
from hf_openobserve.clients.openai import background, model_calls
from hf_openobserve.clients.steps import Steps
from hf_openobserve.clients.table import BY_NAME
from hf_openobserve.clients.trace_config import trace_config
from hf_openobserve.privacy import literals
from hf_openobserve.process import diagnostics
from hf_openobserve.wire import bodies, openinference
from hf_openobserve.wire.apis import APIS, api_at
from hf_openobserve.wire.member import plain as plain_form

RAW_HEADER = "x-stainless-raw-response"
INSTRUMENTORS = BY_NAME["openai"].instrumentors
SCOPE = INSTRUMENTORS[0]
"""Under OpenInference's name: the span stands in for one of its own, to whoever goes by the scope."""

_CLIENT_ERROR = "openai.APIError"


class _Passage:
    """One request on its way through OpenInference. ``span`` is OpenInference's, once the request is sent."""

    __slots__ = ("span",)

    def __init__(self) -> None:
        self.span: Any = None

    def interrupted(self, error: BaseException) -> None:
        """End the span where OpenInference does not: its older versions look at no exception but ``Exception``."""
        span = self.span
        if span is not None and span.is_recording():
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            span.end()


_passage: ContextVar[Optional[_Passage]] = ContextVar("hf_openobserve.openai", default=None)
"""The request that is on its way through our own OpenInference in this context."""


# Beneath OpenInference, or whatever instruments the client.


def recorded(original: Any, args: Any, kwargs: Any, recording: Optional[Recording]) -> Steps:
    """Record the request for the span that is current, if that is an instrumentation's of OpenAI."""
    sending = diagnostics.guarded("openai request", _begin, args, kwargs, recording or Recording())
    if sending is None:
        return (yield functools.partial(original, *args, **kwargs))
    sending.enter()
    try:
        result = yield functools.partial(original, *args, **kwargs)
    except BaseException as error:
        diagnostics.guarded("openai request", sending.call.failed, error)
        raise
    finally:
        sending.leave()
    if sending.call.request is not None and sending.call.request.get("background"):
        diagnostics.guarded("openai request", background.begun, sending.call)
    return result


def _begin(args: Any, kwargs: Any, recording: Recording) -> Optional[http.Sending]:
    passage = _passage.get()
    _passage.set(None)  # what is called within this call is another one
    span = trace.get_current_span()
    if not span.is_recording():
        return None
    scope = getattr(span, "instrumentation_scope", None)
    if scope is None or not scope.name.startswith(INSTRUMENTORS):
        return None  # with instrumentation suppressed, for one, it is some other one of the application's
    options = args[2] if len(args) > 2 else kwargs["options"]
    under_way = http.current.get()
    if under_way is not None and (under_way.options is options or under_way.span is span):
        return None  # a wrapper of somebody's stands between our own span and the client
    around_it = http.enclosing()
    if around_it is not None:
        around_it.is_recorded_beneath = True
    sending = _sending(args[0], options, kwargs, recording)
    open_calls.remember(span, sending.call)
    if passage is not None:
        passage.span = span
    return sending


def _sending(client: Any, options: Any, kwargs: Any, recording: Recording) -> http.Sending:
    literals.remember_client(client, options)
    url, host = address_of(client, options)
    body = options.json_data if isinstance(options.json_data, dict) else {}
    extra = getattr(options, "extra_json", None)
    if extra:
        body = {**body, **extra}
    call = Call(url=url, host=host, request=body, api=api_at(url), client_error=_CLIENT_ERROR, asker=recording.asker)
    if _streams(options, kwargs):
        call.streams()
    # Where the client does not read a stream the program does: it would see what the question brings.
    usage_mode = recording.stream_usage if kwargs.get("stream") else "off"
    return http.Sending(call, options=options, usage_mode=usage_mode, propagate=recording.propagate)


def address_of(client: Any, options: Any) -> Tuple[str, str]:
    """Where a request with these options is about to go, and that host: under the client's ``base_url`` or anywhere."""
    url = str(getattr(options, "url", ""))
    if url.startswith(("http://", "https://")):
        return url, urlsplit(url).hostname or ""
    base = client.base_url
    text = str(base)
    host = getattr(base, "host", None) or urlsplit(text).hostname or ""  # of a subclass whose address is a text
    return f"{text.rstrip('/')}/{url.lstrip('/')}", host


# Around OpenInference.


_THROUGH, _PAST, _OWN = "through OpenInference", "past it", "past it, with a span of ours"
_COUNTED = "past it, and counted"
_LATER = "past it, with a span of ours if it is the answer at last"


def ways(recording: Recording, plain: Any) -> Any:
    """The logic around OpenInference's ``request``; ``plain`` is the one beneath it."""
    spans = Spans(recording, SCOPE, trace_config())
    provider, note = recording.tracer_provider, recording.note

    def choose(args: Any, kwargs: Any) -> str:
        options = args[2]
        if http.enclosing() is not None:
            return _PAST
        if background.is_awaited(options):
            return _PAST if is_dropped(provider) or not is_instrumentation_enabled() else _LATER
        body = options.json_data
        if not model_calls.is_model_call(options.method, options.url, body):
            return _PAST
        dropped = is_dropped(provider)
        if dropped and note is None:
            return _PAST
        if not is_instrumentation_enabled():
            diagnostics.debug("a call is not recorded: another tool suppresses instrumentation in its context")
            return _PAST
        if _streams(options, kwargs) or _is_lazy(options):
            return _OWN
        if dropped:
            return _COUNTED
        return _THROUGH if spans.are_read_by_others or api_at(options.url) not in _WRITING else _OWN

    def request(inner: Any, args: Any, kwargs: Any) -> Steps:
        if len(args) < 3:
            args, kwargs = diagnostics.guarded("openai request", _positional, args, kwargs, default=(args, kwargs))
        way = diagnostics.guarded("openai request", choose, args, kwargs, default=_THROUGH)
        if way is _THROUGH:
            return (yield from _through(note, inner, args, kwargs))
        if way is _COUNTED:
            return (yield from _counted(note, plain, args, kwargs))
        if way is _LATER:
            return (yield from _retrieved(spans, plain, args, kwargs))
        if way is _OWN:
            own = diagnostics.guarded("openai request", _own, spans, args, kwargs, default=_THROUGH)
            if own is _THROUGH:
                return (yield from _through(note, inner, args, kwargs))
            if own is not None:
                return (yield from own.steps(plain, args, kwargs))
        return (yield functools.partial(plain, *args, **kwargs))

    return request


def _streams(options: Any, kwargs: Any) -> bool:
    """True if the answer is asked for as a stream, by the client or in the program's own words."""
    asked = (options.json_data, getattr(options, "extra_json", None))
    return bool(kwargs.get("stream")) or any(isinstance(body, dict) and body.get("stream") is True for body in asked)


_WRITING = frozenset(APIS[name] for name in ("chat/completions", "completions", "responses"))
"""APIs of which OpenInference's attributes say no more than the bodies of request and answer."""


def _through(note: Optional[Note], inner: Any, args: Any, kwargs: Any) -> Steps:
    passage = _Passage()
    _passage.set(passage)
    began = time.time_ns()
    try:
        result = yield functools.partial(inner, *args, **kwargs)
        if passage.span is None:  # the sampler has left it out
            diagnostics.guarded("metrics", _count, note, args, result, None, began)
        return result
    except Exception as error:
        if passage.span is None:
            diagnostics.guarded("metrics", _count, note, args, None, error, began)
        raise
    except BaseException as error:
        diagnostics.guarded("openai request", passage.interrupted, error)
        raise
    finally:
        _passage.set(None)


def _counted(note: Optional[Note], plain: Any, args: Any, kwargs: Any) -> Steps:
    """Send what the sampler has left out: of it only its numbers are kept."""
    began = time.time_ns()
    try:
        result = yield functools.partial(plain, *args, **kwargs)
    except Exception as error:
        diagnostics.guarded("metrics", _count, note, args, None, error, began)
        raise
    diagnostics.guarded("metrics", _count, note, args, result, None, began)
    return result


def _count(note: Optional[Note], args: Any, result: Any, error: Optional[BaseException], began: int) -> None:
    if note is None:
        return
    client, _, options = args[:3]
    url, _ = address_of(client, options)
    body = options.json_data
    model = body.get("model") if isinstance(body, dict) else None
    if error is None:
        unsampled.answered(note, url, model, result, began)
    else:
        unsampled.failed(note, url, model, error, began)


def _positional(args: Any, kwargs: Any) -> Any:
    """OpenInference takes the first two arguments by place only, and logs an error for any other call."""
    placed, named = list(args), dict(kwargs)
    placed.extend(named.pop(name) for name in ("cast_to", "options")[len(placed) - 1 :])
    return tuple(placed), named


def _is_lazy(options: Any) -> bool:
    """True for the options of a request made through ``with_streaming_response``."""
    headers = options.headers
    if not isinstance(headers, Mapping):
        return False
    return any(value == "stream" for name, value in headers.items() if str(name).lower() == RAW_HEADER)


# With a span of our own.


def _own(spans: Spans, args: Any, kwargs: Any) -> Union[_OwnRequest, _CountedRequest, None]:
    client, cast_to, options = args[:3]
    recording = spans.recording
    name = getattr(cast_to, "__name__", "Response")
    is_embedding = name == "CreateEmbeddingResponse"
    span = spans.start("CreateEmbeddings" if is_embedding else name, "EMBEDDING" if is_embedding else "LLM")
    is_read_later = _streams(options, kwargs) or _is_lazy(options)
    if not span.is_recorded:
        if recording.note is None:
            return None
        if not is_read_later:
            return _CountedRequest(span)
        # What is asked is seen in the answer, and nobody looks at that.
        recording = recording._replace(stream_usage="off")
    sending = _sending(client, options, kwargs, recording)  # after the span: a stream's timing lies within it
    sending.is_read_later, sending.span = is_read_later, span.span
    return _OwnRequest(sending, span)


def _request_attributes(call: Call) -> Dict[str, Any]:
    request = call.request or {}
    call.sent_as_json = bodies.sent_as_json(request)
    return openinference.request(request, call.sent_as_json)


def _retrieved(spans: Spans, plain: Any, args: Any, kwargs: Any) -> Steps:
    """Ask for the answer of a background response: one that is there gets the row, with its tokens, and only once."""
    began = time.time_ns()
    sending = diagnostics.guarded("openai request", _sending, args[0], args[2], kwargs, spans.recording)
    if sending is None or sending.call.timing is not None:
        return (yield functools.partial(plain, *args, **kwargs))
    sending.enter()
    try:
        result = yield functools.partial(plain, *args, **kwargs)
    finally:
        sending.leave()
    diagnostics.guarded("openai request", _record_retrieved, spans, sending.call, began)
    return result


def _record_retrieved(spans: Spans, call: Call, began: int) -> None:
    model = background.ended(call.answer())
    if model is None:
        return
    call.request, call.model, call.api = {"model": model}, model, APIS["responses"]
    span = spans.start("Response", "LLM", began)
    span.tells_of(call, lambda answer: {"llm.system": "openai", **openinference.answer(answer, call.answer_text)})
    span.end()


class _CountedRequest:
    """A request that the sampler has left out when its span was started: that is current for what is beneath it."""

    def __init__(self, span: OwnSpan) -> None:
        self._span = span

    def steps(self, plain: Any, args: Any, kwargs: Any) -> Steps:
        """Send it with ``plain``."""
        diagnostics.guarded("openai request", self._span.enter)
        try:
            return (yield from _counted(self._span.note, plain, args, kwargs))
        finally:
            diagnostics.guarded("openai request", self._span.leave)


class _OwnRequest:
    """A request with a span of ours, from its sending until its answer has been read or let go of."""

    def __init__(self, sending: http.Sending, span: OwnSpan) -> None:
        self._sending = sending
        self._span = span
        self._request: Dict[str, Any] = {}
        """What is said of the request, as it was when it was sent."""
        span.tells_of(sending.call, self._attributes)
        sending.on_end = span.end
        if span.is_recorded:
            self._request = diagnostics.guarded("request", _request_attributes, sending.call, default={})

    def _attributes(self, answer: Mapping[str, Any]) -> Dict[str, Any]:
        said = openinference.answer(answer, self._sending.call.answer_text) if answer else {}
        return {"llm.system": "openai", **self._request, **said}

    def steps(self, plain: Any, args: Any, kwargs: Any) -> Steps:
        """Send it with ``plain``."""
        sending = self._sending
        sending.enter()
        diagnostics.guarded("openai request", self._span.enter)
        try:
            result = yield functools.partial(plain, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("openai request", sending.call.failed, error)
            diagnostics.guarded("openai request", self._span.end, error)
            raise
        finally:
            diagnostics.guarded("openai request", self._span.leave)
            sending.leave()
        diagnostics.guarded("openai request", self._answered, result)
        return result

    def _answered(self, result: Any) -> None:
        """What the program gets. A client that sends on a thread of its own is not seen at ``send``, but here."""
        sending = self._sending
        if sending.call.open_body is not None:
            return
        raw = getattr(result, "http_response", None) or getattr(result, "response", None)
        if sending.is_read_later and raw is not None and not getattr(raw, "is_closed", True):
            http.watch(sending, None, raw)
            return
        try:
            if not sending.is_read_later:
                diagnostics.guarded("answer", self._take, result, raw)
        finally:
            self._span.end()

    def _take(self, result: Any, raw: Any) -> None:
        """A whole answer, also one that was not seen at ``send``. raw: the response, where the program gets that."""
        call = self._sending.call
        response = raw if call.response is None else call.response
        content = None if response is None else diagnostics.guarded("answer", getattr, response, "content")
        if isinstance(content, bytes) and len(content) <= LONGEST_ANSWER:
            call.response = response
        else:
            call.response = None
            if raw is None:
                call.answer_body = diagnostics.guarded("answer", plain_form, result)
            elif isinstance(content, bytes):
                call.answer_body = openinference.members_behind_media(content)
        if call.request is not None and call.request.get("background"):
            background.begun(call)
