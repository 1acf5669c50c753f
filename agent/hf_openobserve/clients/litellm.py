"""Capture of litellm: its public functions, with what httpx sends beneath them, be it litellm's own handler or openai.

litellm gives its calls to whichever client fits the model. So litellm's call is the call, and what other clients do for
it is part of that (``http.Sending.encloses``). Where the application instruments openai itself, that span is the row,
and litellm's is a step around it. A stream is watched where its bytes come from: the program gets litellm's own object,
whose class litellm's router looks for.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from hf_openobserve.call.attempts import Attempts
from hf_openobserve.call.call import Call
from hf_openobserve.clients import contract, first_use, http
from hf_openobserve.clients.steps import Steps, around
from hf_openobserve.clients.table import Client
from hf_openobserve.privacy import literals
from hf_openobserve.process import diagnostics, import_hook
from hf_openobserve.wire import errors, openinference, routing
from hf_openobserve.wire.apis import APIS, Api, api_at
from hf_openobserve.wire.member import plain

if TYPE_CHECKING:
    from hf_openobserve.call.recording import Recording

FUNCTIONS = {
    "completion": APIS["chat/completions"],
    "acompletion": APIS["chat/completions"],
    "text_completion": APIS["completions"],
    "atext_completion": APIS["completions"],
    "embedding": APIS["embeddings"],
    "aembedding": APIS["embeddings"],
}
"""Each function, and the API of OpenAI's that it speaks. Some call each other: the outermost is the call."""

PARAMETERS = frozenset(
    [
        "messages",
        "input",
        "prompt",
        "temperature",
        "top_p",
        "top_k",
        "n",
        "stream",
        "stream_options",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "response_format",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "logprobs",
        "top_logprobs",
        "functions",
        "function_call",
        "reasoning_effort",
        "thinking",
        "modalities",
        "prediction",
        "audio",
        "service_tier",
        "dimensions",
        "encoding_format",
        "user",
        "suffix",
        "best_of",
        "echo",
    ]
)
"""Arguments that are part of the request; the others say how litellm sends it, and some of them are secrets."""

_MARK = "_hf_openobserve_call"
_HUB = "huggingface"
_LONGEST_MESSAGE = 1000


class Library(contract.ClientLibrary):
    """litellm, and each copy of it that was imported anew."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._replaced: List[Tuple[Any, Any]] = []
        """(ours, original)."""
        self._calls: Optional[_Calls] = None
        """What records the calls, once there has been one."""

    def arm(self, module: Any) -> None:
        """Replace the functions for good: the first call activates."""
        for owner in (module, getattr(module, "main", None)):
            for name in FUNCTIONS:
                original = vars(owner).get(name) if owner is not None else None
                if original is None:
                    diagnostics.debug(f"litellm has no {name}: its calls are not recorded")
                elif not hasattr(original, _MARK):
                    setattr(owner, name, self._recording(name, original))

    def _recording(self, name: str, original: Any) -> Any:
        for ours, known in self._replaced:
            if known is original:
                return ours
        ours = around(original, functools.partial(self._call, name))
        vars(ours)[_MARK] = True
        self._replaced.append((ours, original))
        return ours

    def instrument(self, recording: Recording) -> None:
        """Make what records the calls."""
        for library in http.LIBRARIES:
            import_hook.on_import(library, http.install)
        if self._calls is None:
            self._calls = _Calls(self, recording)

    def uninstrument(self) -> None:
        """Nothing is taken away: to a span of the application's own instrumentation the call tells what it knows."""

    def _call(self, name: str, original: Any, args: Any, kwargs: Any) -> Steps:
        if self._calls is None:
            diagnostics.guarded("activate", first_use.activate)
        begun = None
        if self._calls is not None:
            begun = diagnostics.guarded("litellm call", self._calls.begin, name, original, args, kwargs)
        if begun is None:
            return (yield functools.partial(original, *args, **kwargs))
        begun.enter()
        try:
            result = yield functools.partial(original, *args, **kwargs)
        except BaseException as error:
            diagnostics.guarded("litellm call", begun.failed, error)
            raise
        finally:
            begun.leave()
        diagnostics.guarded("litellm call", begun.returned, result)
        return result


class _Calls:
    """Begins each call. Made with the first one: it needs OpenTelemetry."""

    def __init__(self, library: Library, recording: Recording) -> None:
        from hf_openobserve.call.own_span import Spans
        from hf_openobserve.clients.trace_config import trace_config

        self._library = library
        self._scopes = library.client.instrumentors
        self._spans = Spans(recording, self._scopes[0], trace_config())
        self._recording = recording
        self._names: Dict[Any, Tuple[str, ...]] = {}

    def begin(self, name: str, original: Any, args: Any, kwargs: Any) -> Any:
        """The call that begins; None within another one, or if it is not to be recorded."""
        from opentelemetry.instrumentation.utils import is_instrumentation_enabled

        from hf_openobserve.call import open_calls

        if http.enclosing() is not None:
            return None
        if not is_instrumentation_enabled():
            diagnostics.debug("a call is not recorded: another tool suppresses instrumentation in its context")
            return None
        api = FUNCTIONS[name]
        if self._library.has_yielded:
            theirs = self._theirs()
            if theirs is None:
                return None
            begun = _Begun(self._call(api, original, args, kwargs), self._recording)
            open_calls.remember(theirs, begun.call)
            return begun
        span = self._spans.start(api.span_name, api.kind)
        if not span.is_recorded:
            return _Unrecorded(span)
        begun = _Begun(self._call(api, original, args, kwargs), self._recording)
        begun.span = span
        span.tells_of(begun.call, begun.attributes)
        begun.sending.on_end = begun.over
        begun.sending.span = span.span
        return begun

    def _theirs(self) -> Any:
        """The span that the application's instrumentation of litellm has made for this call."""
        from opentelemetry import trace

        span = trace.get_current_span()
        scope = getattr(span, "instrumentation_scope", None)
        if span.is_recording() and scope is not None and scope.name.startswith(self._scopes):
            return span
        return None

    def _call(self, api: Api, original: Any, args: Any, kwargs: Any) -> Call:
        arguments = {**dict(zip(self._parameters(original), args)), **kwargs}
        literals.remember(arguments.get("api_key"))
        for name in ("headers", "extra_headers"):
            literals.remember_headers(arguments.get(name))
        request = {name: arguments[name] for name in PARAMETERS & arguments.keys() if arguments[name] is not None}
        named, model, provider = _named(str(arguments.get("model") or ""), arguments)
        request["model"] = model
        call = Call(
            url="",
            host="",
            request=request,
            model=model,
            provider=provider,
            by_address=named != _HUB or bool(arguments.get("api_base") or arguments.get("base_url")),
            api=api,
            client_error="litellm.APIError",
            asker=self._recording.asker,
        )
        call.attempts = _Attempts(call, of_hub=named == _HUB)
        if named and named != "openai":
            call.attributes["llm.system"] = named
        if request.get("stream") is True:
            call.streams()
        return call

    def _parameters(self, function: Any) -> Tuple[str, ...]:
        """Those that may be given by place."""
        names = self._names.get(function)
        if names is None:
            parameters = inspect.signature(function).parameters.values()
            kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            names = tuple(known.name for known in parameters if known.kind in kinds)
            self._names[function] = names = names or ("model",)
        return names


def _named(model: str, arguments: Mapping[str, Any]) -> Tuple[str, str, Optional[str]]:
    """Whose API, which model and which of Hugging Face's providers: ``huggingface/together/org/name`` names all."""
    named, separator, rest = model.partition("/")
    given = arguments.get("custom_llm_provider")
    if isinstance(given, str) and given:
        named, rest = given, rest if named == given else model
    elif not separator:
        return "", model, None
    if named != _HUB:
        return named, rest, None
    provider, _, hub_id = rest.partition("/")
    return (_HUB, hub_id, provider) if "/" in hub_id and not routing.is_url(rest) else (_HUB, rest, None)


class _Attempts(Attempts):
    """The requests of a call of which only litellm knows where they go: to where the last POST goes.

    Before it, litellm asks huggingface.co for the providers of a model, and clouds for a token.
    """

    __slots__ = ("_call", "_of_hub", "ended_with")

    def __init__(self, call: Call, *, of_hub: bool) -> None:
        super().__init__("")
        self._call = call
        self._of_hub = of_hub
        self.ended_with: Any = None
        """The last answer, or the exception in the place of one."""

    def begin(self, request: Any) -> bool:
        """A request is about to be sent; False if it is none of the call's own."""
        if self._sending or request.method != "POST":
            return False
        if self._host != request.url.host:
            self._host = request.url.host
            self.done.clear()
        self._call.url = str(request.url)
        if self._of_hub:
            self._call.attributes["llm.system"] = routing.api_of(self._call.url)
        literals.remember_headers(request.headers)
        return super().begin(request)

    def answered(self, response: Any) -> None:
        """The status line and the headers of the answer are there."""
        super().answered(response)
        self.ended_with = response

    def broke(self, error: BaseException) -> None:
        """No answer came."""
        super().broke(error)
        self.ended_with = error


class _Begun:
    """One call, from its first line until its answer has been read or let go of. ``span`` is None where it is not ours.

    It is not made the current span: litellm's callback "otel" writes on that one what it else makes a span of its own
    of.
    """

    def __init__(self, call: Call, recording: Recording) -> None:
        self.call = call
        self.sending = http.Sending(
            call, usage_mode=recording.stream_usage, propagate=recording.propagate, encloses=True
        )
        self.span: Any = None

    def enter(self) -> None:
        """What is sent from now on belongs to the call."""
        self.sending.enter()

    def leave(self) -> None:
        """It has been sent, or has failed."""
        self.sending.leave()

    def failed(self, error: BaseException) -> None:
        """The call raised.

        An exception of litellm's own has no answer's body, and a status also where no answer came.
        """
        self.call.failed(error)
        if isinstance(error, Exception):
            diagnostics.guarded("litellm error", self._add_cause, error)
        self.over(error)

    def _add_cause(self, error: Exception) -> None:
        call = self.call
        cause = getattr(call.attempts, "ended_with", None)
        if cause is None:
            assert call.failure is not None
            kind = None if call.failure.kind == "server_error" else call.failure.kind
            message = f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]
            call.failure = call.failure._replace(status_code=None, kind=kind, message=message)
        elif isinstance(cause, BaseException):
            call.failure = errors.describe(cause)._replace(error_type=errors.error_type_of(error))
        elif cause.status_code >= 400:
            cause.content  # noqa: B018 - raises where nobody has read it
            call.failure = errors.describe(_alike(error, cause))

    def returned(self, result: Any) -> None:
        """The function returned: the call is over, unless its answer is being read."""
        call = self.call
        if call.open_body is not None:
            return
        if call.streamed is None and api_at(call.url) is None:
            diagnostics.guarded("litellm answer", self._add_result, result)
        self.over(None)

    def _add_result(self, result: Any) -> None:
        """What litellm has made of the answer, where that speaks another API. Of vectors only whose they are."""
        body = plain(result) or {}
        if self.call.api is not None and self.call.api.has_media:
            body = {name: body[name] for name in ("model", "usage") if body.get(name)}
        self.call.response, self.call.answer_body = None, body

    def over(self, error: Optional[BaseException]) -> None:
        """The call, or the body of its answer, is over."""
        if self.span is None:
            return
        if self.sending.is_recorded_beneath:
            self._step_aside()
        self.span.end(error)

    def _step_aside(self) -> None:
        """The row is the application's span of openai, which lies beneath: this one tells of a step around it."""
        call = self.call
        call.api = call.response = call.streamed = call.timing = call.request = None
        call.answer_body = {}
        call.attributes.clear()
        self.span.span.set_attribute("openinference.span.kind", "CHAIN")

    def attributes(self, answer: Mapping[str, Any]) -> Dict[str, Any]:
        """What the span says beside what every call's does."""
        if self.sending.is_recorded_beneath:
            return {}
        return {**openinference.request(self.call.request or {}), **openinference.answer(answer, self.call.answer_text)}


def _alike(error: Exception, response: Any) -> Any:
    """An exception of the same name with the answer that litellm has left out of its own."""
    kind = type(error)
    alike = type(kind.__name__, (Exception,), {"__module__": kind.__module__})()
    alike.response = response
    return alike


class _Unrecorded:
    """A call that the sampler left out: its span is current for what is beneath it, which is left out with it."""

    def __init__(self, span: Any) -> None:
        self.enter, self.leave = span.enter, span.leave

    def failed(self, error: BaseException) -> None:
        """Nothing is recorded."""

    def returned(self, result: Any) -> None:
        """Nothing is recorded."""
