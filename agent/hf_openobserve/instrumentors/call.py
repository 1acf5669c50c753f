"""One call of a client as one span: from the public method's first line to its result, or to the end of its stream.

Every method is behind the boundary of law 1: the application's call goes on whatever happens here. Content is written
to the span at the end, in one go: what OpenTelemetry's default limit of 128 attributes evicts first is the oldest messages.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Set, Tuple, Union

from openinference.instrumentation import OITracer
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Status, StatusCode

from hf_openobserve import columns, diagnostics
from hf_openobserve.capture import errors, routing, stream_usage
from hf_openobserve.capture.pace import COUNTS, Pace, Tokens
from hf_openobserve.capture.stream_usage import Question
from hf_openobserve.instrumentors import messages

_KEY = context_api.create_key("hf_openobserve.huggingface_hub.call")

_RECOMMENDING = (None, "auto", "hf-inference")
"""Providers of a client for which huggingface_hub finds a model where the program names none: a Hub id, asked of hf-inference."""

_open: Set[Call] = set()
"""Calls whose stream the program has not finished. A stream still held at exit ends there."""

_following_exit = False


class Operation(NamedTuple):
    """How a task is recorded. Without ``request`` no content is: only the model, the way, the time and the outcome."""

    span_name: str
    kind: str
    genai_operation: Optional[str] = None
    request: Optional[Callable[[Mapping[str, Any], Optional[str], messages.Images], Dict[str, Any]]] = None
    answer: Optional[Callable[[bytes, Any], Dict[str, Any]]] = None
    stream: Optional[Callable[[], Any]] = None


def _parsed(read: Callable[[str, Any], Dict[str, Any]]) -> Callable[[bytes, Any], Dict[str, Any]]:
    def answer(body: bytes, _: Any) -> Dict[str, Any]:
        text = body.decode("utf-8", "replace")
        return read(text, json.loads(text))

    return answer


OPERATIONS = {
    "chat_completion": Operation(
        "ChatCompletion",
        "LLM",
        "chat",
        messages.chat_request,
        _parsed(messages.chat_answer),
        messages.ChatStream,
    ),
    "text_generation": Operation(
        "TextGeneration",
        "LLM",
        "text_completion",
        messages.generation_request,
        _parsed(messages.generation_answer),
        messages.GenerationStream,
    ),
    "feature_extraction": Operation(
        "CreateEmbeddings",
        "EMBEDDING",
        "embeddings",
        messages.embedding_request,
        lambda body, result: {**messages.shape_output(result), **messages.embedding_answer(body)},
    ),
    "sentence_similarity": Operation(
        "SentenceSimilarity",
        "EMBEDDING",
        "embeddings",
        messages.embedding_request,
        lambda body, result: {**messages.value_output(result), **messages.embedding_answer(body)},
    ),
}
"""Methods whose content is recorded. Every other task is a span of its own name, with no tokens to count."""


class Tracing:
    """The tracer in use, what of images may be recorded, and which streams are asked for their usage."""

    def __init__(self, tracer: trace.Tracer, config: Any, stream_usage: str = "off") -> None:
        self._tracer = tracer
        self._config = config
        self._stream_usage = stream_usage
        self._images = messages.Images(bool(config.hide_input_images), int(config.base64_image_max_length))

    def begin(self, client: Any, method: str, kwargs: Mapping[str, Any]) -> Union[Call, Unrecorded, None]:
        """Start the span of ``client.method(**kwargs)``; None inside another call of the same client, or if suppressed."""
        active = current()
        if (active is not None and active.client is client) or not is_instrumentation_enabled():
            return None
        operation = OPERATIONS.get(method) or Operation(method, "UNKNOWN")
        attributes = {"openinference.span.kind": operation.kind}
        span = self._tracer.start_span(operation.span_name, kind=trace.SpanKind.CLIENT, attributes=attributes)
        if not span.is_recording():
            return Unrecorded(client, span)
        # OpenInference's tracer costs many times what the SDK's does: only for a span that is recorded.
        span = OITracer(_Started(span), config=self._config).start_span(operation.span_name, attributes=attributes)
        return Call(client, operation, span, kwargs.get("model"), self._images, self._stream_usage)


class _Started(trace.Tracer):
    """A tracer that hands out a span which has begun: OpenInference's puts its masking and its context's attributes on it."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def start_span(self, *_: Any, **__: Any) -> Any:
        return self._span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def current() -> Union[Call, Unrecorded, None]:
    """The call whose method is running in this context."""
    return context_api.get_value(_KEY)  # type: ignore[return-value]


class Unrecorded:
    """A call that the sampler left out: its span is current for what is beneath it, and nothing is looked at."""

    __slots__ = ("_token", "client")

    def __init__(self, client: Any, span: Any) -> None:
        self.client = client
        self._token = context_api.attach(context_api.set_value(_KEY, self, trace.set_span_in_context(span)))

    def posted(self, parameters: Any) -> Any:
        """The same parameters."""
        return parameters

    def refused(self, _error: BaseException) -> bool:
        """Nothing was added that could be refused."""
        return False

    def answered(self, _response: Any) -> None:
        """Nothing."""

    def received(self, _answer: Any) -> None:
        """Nothing."""

    def returned(self, _result: Any) -> bool:
        """The method returned; a stream is not watched."""
        if current() is self:
            context_api.detach(self._token)
        return False

    def failed(self, _error: BaseException) -> None:
        """The method raised."""
        self.returned(None)


class Call:
    """The span of one call, current from its making until ``returned`` or ``failed``."""

    def __init__(
        self, client: Any, operation: Operation, span: Any, model: Any, images: messages.Images, stream_usage: str
    ) -> None:
        self.client = client
        self._operation = operation
        self._span = span
        self._images = images
        self._stream_usage = stream_usage
        self._question: Optional[Question] = None
        self._asked_for_usage = False
        self._system = "openai" if operation is OPERATIONS["chat_completion"] else "huggingface"
        self._recording: bool = span.is_recording()
        self._models: Tuple[Any, ...] = (model, getattr(client, "model", None))
        self._attributes: Dict[str, Any] = {}
        self._status: Optional[int] = None
        self._body: Optional[bytes] = None
        self._stream: Any = None
        self._streaming = False
        self._pace = Pace()
        self._pid = os.getpid()
        self._ended = False
        context = context_api.set_value(_KEY, self, trace.set_span_in_context(span))
        self._token = context_api.attach(context)

    @property
    def _model(self) -> Optional[str]:
        """The Hub id that the program named, or huggingface_hub for it; what a provider calls the model is another thing."""
        named = (model for model in self._models if isinstance(model, str) and model and not routing.is_url(model))
        return next(named, None)

    # While the method runs.

    def posted(self, parameters: Any) -> Any:
        """The request is about to be sent; again when the client repeats it with fewer parameters.

        Returns the parameters to send: the same, or a copy that asks for the usage, see ``stream_usage``.
        """
        if not self._recording:
            return parameters
        diagnostics.guarded("huggingface_hub request", self._posted, parameters)
        if self._operation is not OPERATIONS["chat_completion"]:
            return parameters
        return diagnostics.guarded("stream usage", self._asking, parameters, default=parameters)

    def _asking(self, parameters: Any) -> Any:
        kind = self._attributes.get("hf.endpoint.kind", "")
        question = stream_usage.question(parameters.json, self._stream_usage, kind, str(parameters.url))
        if question is not None and question.asks:
            parameters = stream_usage.parameters_asking(parameters)
            self._asked_for_usage = True
        self._question = question
        return parameters

    def refused(self, error: BaseException) -> bool:
        """True if the error may answer the option that ``posted`` added: then the program's parameters go out."""
        if not self._asked_for_usage:
            return False
        self._asked_for_usage = not diagnostics.guarded("stream usage", self._refused, error, default=False)
        return not self._asked_for_usage

    def _refused(self, error: BaseException) -> bool:
        told = errors.describe(error)
        # An error of the client's own has none: huggingface_hub does not know a body that is a JSON string.
        status_code = self._status if told.status_code is None else told.status_code
        provider = self._attributes.get("hf.provider.served")
        return self._question is not None and self._question.refused(status_code, f"{told.message} {error}", provider)

    def _posted(self, parameters: Any) -> None:
        body, url, sent = parameters.json, str(parameters.url), parameters.model
        addresses = [str(model).rstrip("/") for model in self._models if routing.is_url(model)]
        by_address = any(url.startswith(address) for address in addresses)
        provider = getattr(self.client, "provider", None)
        mapped = sent if isinstance(sent, str) and sent and not by_address and not routing.is_url(sent) else None
        if mapped and self._model is None and provider in _RECOMMENDING:
            self._models = (*self._models, mapped)
        if self._operation.request is not None and isinstance(body, dict):
            self._add("request", self._operation.request, body, self._model, self._images)
        self._system = routing.api_of(url)
        self._add(
            "route",
            lambda: routing.request_attributes(
                url=url, model=self._model, provider=provider, headers=parameters.headers, by_address=by_address
            ),
        )
        self._attributes["hf.task"] = str(parameters.task)
        if mapped and self._model != mapped:
            self._attributes["hf.provider.model"] = mapped

    def answered(self, response: Any) -> None:
        """The status line and the headers of the answer are there."""
        if self._recording:
            self._status = getattr(
                response, "status_code", getattr(response, "status", None)
            )  # the latter is aiohttp's
            diagnostics.guarded("huggingface_hub headers", self._headers, getattr(response, "headers", None))

    def _headers(self, headers: Any) -> None:
        if headers is None:
            return
        said = self._add("answer's headers", routing.response_attributes, headers)
        if self._model and "hf.provider.served" in said:
            # The router has answered, whatever stands between: it has read the model's suffix.
            self._add("model", lambda: routing.model_attributes(str(self._model), routed=True))
        if self._operation is OPERATIONS["text_generation"]:
            self._add("token counts", routing.header_token_counts, headers)

    def received(self, answer: Any) -> None:
        """The body of the answer, or what a stream's lines come from."""
        if isinstance(answer, bytes):
            self._body = answer
        if self._question is not None:
            diagnostics.guarded("stream usage", self._question.answered, self._attributes.get("hf.provider.served"))
            self._question = None

    # How the method ends.

    def returned(self, result: Any) -> bool:
        """The method returned: the call is over, unless ``result`` is a stream. True if it is one, to be watched."""
        self._leave()
        if not self._recording:
            self._end(Status(StatusCode.OK))
            return False
        if self._body is None and self._operation.stream is not None and _is_stream(result):
            self._stream = self._operation.stream()
            self._streaming = True
            _opened(self)
            return True
        if self._body is not None and self._operation.answer is not None:
            self._add("answer", self._operation.answer, self._body, result)
        self._end(Status(StatusCode.OK))
        return False

    def failed(self, error: BaseException) -> None:
        """The method, or its stream, raised."""
        self._leave()
        if self._question is not None:
            diagnostics.guarded("stream usage", self._question.failed)
        if not self._ended:
            diagnostics.guarded("huggingface_hub error", self._failed, error)
            self._end(Status(StatusCode.ERROR, type(error).__name__))

    def _failed(self, error: BaseException) -> None:
        if not self._recording:
            return
        told = errors.describe(error, streaming=self._streaming)
        diagnostics.guarded("huggingface_hub exception", self._span.record_exception, error)
        diagnostics.guarded("huggingface_hub headers", self._headers, told.headers)
        self._attributes["error.type"] = told.error_type
        if told.kind is not None:
            self._attributes["hf.error.kind"] = told.kind
        if told.status_code is not None:
            self._attributes["http.response.status_code"] = told.status_code
        self._end(Status(StatusCode.ERROR, told.message))

    # While the program reads the stream.

    def asked(self) -> None:
        """The program asks for the next chunk."""
        self._pace.asked()

    def passes(self, chunk: Any) -> bool:
        """Look at the next chunk; False if it is not the program's, but the answer to our own question."""
        hidden = False
        try:
            provider = self._attributes.get("hf.provider.served")
            hidden = self._asked_for_usage and stream_usage.is_hidden(chunk, provider)
            if not hidden:
                self._pace.came()
            if self._stream is not None and self._stream.add(chunk):
                self._pace.had_content()
            if self._asked_for_usage:
                stream_usage.take_from(chunk)
        except Exception:  # noqa: BLE001 - a chunk of a form nobody knows: it passes as it is
            diagnostics.swallowed("huggingface_hub chunk")
        return not hidden

    def finished(self) -> None:
        """The stream is at its end, or the program closed it."""
        self._end(Status(StatusCode.OK))

    def abandoned(self) -> None:
        """The program let go of the stream. It ended with the last chunk taken, not when that was noticed."""
        if self._ended:
            return
        last = self._pace.last_chunk
        end_time = time.time_ns() - int((time.perf_counter() - last) * 1e9) if last else None
        self._end(Status(StatusCode.OK), end_time)

    # The span.

    def _leave(self) -> None:
        self.client = None
        # A coroutine may be thrown away in another context than it ran in: there is nothing to detach there.
        if current() is self:
            context_api.detach(self._token)

    def _end(self, status: Status, end_time: Optional[int] = None) -> None:
        if self._ended:
            return
        self._ended = True
        _open.discard(self)
        # A stream that was open at a fork belongs to the parent, whose copy ends its span.
        if self._pid == os.getpid():
            diagnostics.guarded("huggingface_hub span", self._write)
            diagnostics.guarded("huggingface_hub span", self._close, status, end_time)

    def _write(self) -> None:
        if not self._recording:
            return
        if self._stream is not None:
            self._add("stream", self._stream.attributes)
        if self._streaming:
            self._add("pace", self._paced)
        self._add("provider", self._provider)
        if self._operation.genai_operation:
            self._attributes["gen_ai.operation.name"] = self._operation.genai_operation
        if self._model:
            self._attributes["gen_ai.request.model"] = self._model
        self._span.set_attributes(self._attributes)

    def _paced(self) -> Dict[str, Any]:
        self._pace.reasoned = getattr(self._stream, "reasoned", False)
        return self._pace.attributes(Tokens(*(self._attributes.get("llm.token_count." + name) for name in COUNTS)))

    def _provider(self) -> Dict[str, Any]:
        """Whose API was spoken, and who offers it: as ``columns`` does for any client, but where the provider is asked itself."""
        known = self._attributes
        system, name = self._system, "huggingface"
        if "server.address" in known and "hf.provider.served" not in known:
            if known.get("hf.endpoint.kind") == "provider":
                name = known["hf.provider.requested"]
                system = system if system == "openai" else name
            else:
                name = columns.provider_name(known["server.address"], system)
        return {"llm.system": system, "gen_ai.provider.name": name}

    def _add(self, what: str, build: Callable[..., Dict[str, Any]], *args: Any) -> Dict[str, Any]:
        """Add what ``build(*args)`` gives, which is also returned; if it raises, this part of the row is all that is lost."""
        built: Dict[str, Any] = diagnostics.guarded(f"huggingface_hub {what}", build, *args, default={})
        self._attributes.update(built)
        return built

    def _close(self, status: Status, end_time: Optional[int]) -> None:
        self._span.set_status(status)
        self._span.end(end_time=end_time)


def _is_stream(result: Any) -> bool:
    return hasattr(type(result), "__next__") or hasattr(type(result), "__anext__")


def _opened(call: Call) -> None:
    """Remember an open stream. Our exit handler runs before the tracer provider's, which was registered before it."""
    global _following_exit
    if not _following_exit:
        _following_exit = True
        atexit.register(diagnostics.guarded, "exit", _abandon_all)
    _open.add(call)


def _abandon_all() -> None:
    for call in list(_open):
        call.abandoned()
