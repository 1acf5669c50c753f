"""One task of an inference client as one span: from the public method's first line to its result, or its stream's end.

Every method is behind the boundary of docs/laws.md#1: the application's call goes on whatever happens here. Content is
written to the span at the end, in one go: what OpenTelemetry's default limit of 128 attributes evicts first is the
oldest messages.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from hf_openobserve.call import announcement, open_calls, unsampled
from hf_openobserve.call.call import Call
from hf_openobserve.call.own_span import OwnSpan, Spans
from hf_openobserve.call.sampled import is_dropped
from hf_openobserve.call.stream_timing import StreamTiming
from hf_openobserve.clients import http, usage_question
from hf_openobserve.clients.huggingface_hub import lines
from hf_openobserve.privacy import literals
from hf_openobserve.process import diagnostics
from hf_openobserve.row import columns
from hf_openobserve.wire import errors, openinference, routing
from hf_openobserve.wire.bodies import as_json
from hf_openobserve.wire.event_stream import UsageHidden

_KEY = context_api.create_key("hf_openobserve.huggingface_hub.call")

_RECOMMENDING = (None, "auto", "hf-inference")
"""Providers of a client for which huggingface_hub finds a model where the program names none: a Hub id, asked of
hf-inference.
"""


class Operation(NamedTuple):
    """How a task is recorded. Without ``request`` no content is: only the model, the way, the time and the outcome."""

    span_name: str
    kind: str
    genai_operation: Optional[str] = None
    request: Optional[Callable[[Mapping[str, Any], Optional[str], openinference.Images], Dict[str, Any]]] = None
    answer: Optional[Callable[[str, Any], Dict[str, Any]]] = None
    """Of the body's text and what it parses to."""
    result: Optional[Callable[[Any], Dict[str, Any]]] = None
    """Of what the method returns, where the body is too large to be of use."""


OPERATIONS = {
    "chat_completion": Operation(
        "ChatCompletion", "LLM", "chat", openinference.chat_request, openinference.chat_answer
    ),
    "text_generation": Operation(
        "TextGeneration",
        "LLM",
        "text_completion",
        openinference.generation_request,
        openinference.generation_answer,
    ),
    "feature_extraction": Operation(
        "CreateEmbeddings",
        "EMBEDDING",
        "embeddings",
        openinference.embedding_request,
        result=openinference.shape_output,
    ),
    "sentence_similarity": Operation(
        "SentenceSimilarity",
        "EMBEDDING",
        "embeddings",
        openinference.embedding_request,
        result=openinference.value_output,
    ),
}
"""Methods whose content is recorded. Every other task is a span of its own name, with no tokens to count."""

CHAT, GENERATION = OPERATIONS["chat_completion"], OPERATIONS["text_generation"]


class Tracing:
    """What starts the spans, what of images may be recorded, and which streams are asked for their usage."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self.recording = spans.recording
        config = spans.config
        self.images = openinference.Images(bool(config.hide_input_images), int(config.base64_image_max_length))

    def begin(self, client: Any, method: str, kwargs: Mapping[str, Any]) -> Union[Task, Unrecorded, None]:
        """Start the span of ``client.method(**kwargs)``; None inside another call, or if suppressed."""
        active = current()
        if (active is not None and active.client is client) or http.enclosing() is not None:
            return None
        if not is_instrumentation_enabled():
            diagnostics.debug("a call is not recorded: another tool suppresses instrumentation in its context")
            return None
        operation = OPERATIONS.get(method) or Operation(method, "UNKNOWN")
        # None where nobody counts. A stream is watched for it: its usage is in its last chunk.
        counted = operation.genai_operation if self.recording.note is not None else None
        if is_dropped(self.recording.tracer_provider) and not (counted and kwargs.get("stream")):
            return Counted(client, None, self.recording.note, counted, kwargs.get("model")) if counted else None
        span = self._spans.start(operation.span_name, operation.kind)
        if not span.is_recorded:
            if not counted:
                return Unrecorded(client, span)
            if not kwargs.get("stream"):
                return Counted(client, span, self.recording.note, counted, kwargs.get("model"))
        literals.remember_client(client)
        return Task(client, operation, span, kwargs.get("model"), self)


def current() -> Union[Task, Unrecorded, None]:
    """The task whose method is running in this context."""
    return context_api.get_value(_KEY)  # type: ignore[return-value]


class Unrecorded:
    """A task that the sampler left out: its span is current for what is beneath it, and nothing is looked at."""

    __slots__ = ("_token", "client")

    def __init__(self, client: Any, span: Optional[OwnSpan]) -> None:
        """span: None where whatever is beneath it is left out without it, too."""
        self.client = client
        within = None if span is None else announcement.context_of(span.span)
        self._token = context_api.attach(context_api.set_value(_KEY, self, within))

    def posted(self, _parameters: Any) -> None:
        """Nothing."""

    def answered(self, _response: Any) -> None:
        """Nothing."""

    def returned(self, _result: Any) -> bool:
        """The method returned; a stream is not watched."""
        if current() is self:
            context_api.detach(self._token)
        return False

    def failed(self, _error: BaseException) -> None:
        """The method raised."""
        self.returned(None)


class Counted(Unrecorded):
    """A task that the sampler left out, with a whole answer: a few numbers are kept of it, see ``unsampled``."""

    __slots__ = ("_began", "_model", "_note", "_operation", "_url")

    def __init__(self, client: Any, span: Optional[OwnSpan], note: Any, operation: str, model: Any) -> None:
        super().__init__(client, span)
        self._note = note
        self._began = time.time_ns()
        self._operation = operation
        self._model = model
        self._url = ""

    def posted(self, parameters: Any) -> None:
        """Where the request goes, and to which model."""
        self._url, self._model = str(parameters.url), self._model or parameters.model

    def returned(self, result: Any) -> bool:
        """The method returned."""
        if self._url:
            named = (self._url, self._model, result, self._began)
            diagnostics.guarded("metrics", unsampled.answered, self._note, *named, self._operation)
        return super().returned(result)

    def failed(self, error: BaseException) -> None:
        """The method raised."""
        if self._url and isinstance(error, Exception):
            named = (self._url, self._model, error, self._began)
            diagnostics.guarded("metrics", unsampled.failed, self._note, *named, self._operation)
        super().returned(None)


class Task:
    """One task that is recorded, or counted; its span is current from its making until ``returned`` or ``failed``."""

    def __init__(self, client: Any, operation: Operation, span: OwnSpan, model: Any, tracing: Tracing) -> None:
        self.client = client
        self._operation = operation
        self._tracing = tracing
        self._models: Tuple[Any, ...] = (model, getattr(client, "model", None))
        self._system = "openai" if operation is CHAT else "huggingface"
        self._question: Optional[usage_question.Question] = None
        self._asks_for_usage = False
        self._hidden: Optional[UsageHidden] = None
        """What takes out of a stream's lines what only our question has brought."""
        self._document: List[bytes] = []
        """The lines of an answer to a stream's request that is no stream."""
        self._status: Optional[int] = None
        self.is_recorded = span.is_recorded
        self._began = time.perf_counter()
        self._call = Call(
            url="",
            host="",
            model=self._model,
            client_error="huggingface_hub.InferenceClientError",
            asker=tracing.recording.asker,
        )
        self._usage_mode = tracing.recording.stream_usage if self.is_recorded else "off"
        self.propagate = tracing.recording.propagate if self.is_recorded else "off"
        """One of ``config.settings.PROPAGATE_MODES``: whether the server is told the trace."""
        self._span = span
        span.tells_of(self._call, self._attributes)
        self._request_attributes: Dict[str, Any] = {}
        self._result_attributes: Dict[str, Any] = {}
        self._over = False
        self._token = context_api.attach(context_api.set_value(_KEY, self, announcement.context_of(span.span)))

    @property
    def _model(self) -> Optional[str]:
        """The Hub id that the program named, or huggingface_hub for it; a provider's name for the model is another."""
        named = (model for model in self._models if isinstance(model, str) and model and not routing.is_url(model))
        return next(named, None)

    # While the method runs.

    def posted(self, parameters: Any) -> None:
        """The request is about to be sent; again when the client repeats it with fewer parameters."""
        diagnostics.guarded("huggingface_hub request", self._posted, parameters)
        if self._operation is CHAT:
            self._question = diagnostics.guarded("stream usage", self._question_for, parameters)

    @property
    def would_ask(self) -> bool:
        """True if the stream is to be asked for its usage, provided that it comes from a network."""
        return self._question is not None and self._question.asks

    def asking(self, parameters: Any) -> Any:
        """A copy of the parameters that asks for the usage, see ``usage_question``."""
        asking = diagnostics.guarded("stream usage", usage_question.parameters_asking, parameters)
        if asking is None:
            return parameters
        self._asks_for_usage = True
        return asking

    def does_not_ask(self) -> None:
        """What stands in the network's place compares bodies, or records them: it gets the program's own."""
        self._question = None

    def _posted(self, parameters: Any) -> None:
        body, url, sent = parameters.json, str(parameters.url), parameters.model
        literals.remember_headers(parameters.headers)
        addresses = [str(model).rstrip("/") for model in self._models if routing.is_url(model)]
        by_address = any(url.startswith(address) for address in addresses)
        provider = getattr(self.client, "provider", None)
        mapped = sent if isinstance(sent, str) and sent and not by_address and not routing.is_url(sent) else None
        if mapped and self._model is None and provider in _RECOMMENDING:
            self._models = (*self._models, mapped)
        call = self._call
        call.url, call.provider, call.by_address, call.model = url, provider, by_address, self._model
        call.attempts.request_headers = parameters.headers
        self._system = routing.api_of(url)
        call.attributes["hf.task"] = str(parameters.task)
        if mapped and self._model != mapped:
            call.attributes["hf.provider.model"] = mapped
        if self._operation.request is not None and isinstance(body, dict):
            call.request = body
            self._request_attributes = diagnostics.guarded(
                "request", self._operation.request, body, self._model, self._tracing.images, default={}
            )

    def _question_for(self, parameters: Any) -> Optional[usage_question.Question]:
        kind = routing.request_attributes(
            url=self._call.url,
            model=None,
            provider=self._call.provider,
            headers={},
            by_address=self._call.by_address,
        )["hf.endpoint.kind"]
        return usage_question.question(parameters.json, self._usage_mode, kind, str(parameters.url))

    def refused(self, error: BaseException) -> bool:
        """True if the error may answer the option that ``posted`` added: then the program's parameters go out."""
        if not self._asks_for_usage:
            return False
        self._asks_for_usage = not diagnostics.guarded("stream usage", self._refused, error, default=False)
        return not self._asks_for_usage

    def _refused(self, error: BaseException) -> bool:
        told = errors.describe(error)
        # An error of the client's own has none: huggingface_hub does not know a body that is a JSON string.
        status_code = self._status if told.status_code is None else told.status_code
        return self._question is not None and self._question.refused(
            status_code, f"{told.message} {error}", self._served_by()
        )

    def _served_by(self) -> Optional[str]:
        return routing.served_by(self._call.url, self._call.attempts.answer)

    def answered(self, response: Any) -> None:
        """The status line and the headers of the answer are there."""
        # The latter is aiohttp's.
        self._status = getattr(response, "status_code", getattr(response, "status", None))
        diagnostics.guarded("huggingface_hub headers", self._add_headers, getattr(response, "headers", None))

    def _add_headers(self, headers: Any) -> None:
        if headers is None:
            return
        self._call.attempts.answer = headers
        if self._operation is GENERATION:
            self._call.attributes.update(routing.header_token_counts(headers))

    def received(self, answer: Any) -> Any:
        """The body of the answer, or what a stream's lines come from; returns what goes on to the client."""
        if isinstance(answer, bytes):
            diagnostics.guarded("answer", self._received, answer)
            return answer
        question, self._question = self._question, None
        if question is not None:
            diagnostics.guarded("stream usage", question.answered, self._served_by())
        if self._operation not in (CHAT, GENERATION):
            return answer
        return diagnostics.guarded("stream's lines", self._watched_lines, question, answer, default=answer)

    def _watched_lines(self, question: Optional[usage_question.Question], answer: Any) -> Any:
        if question is not None and self._asks_for_usage:
            self._hidden = UsageHidden(
                lambda _: None,
                sent_unasked=not usage_question.hides_extra(self._served_by()),
                holds=question.may_move,
                tell=question.came,
            )
        return lines.watched(answer, self._hidden, self._document)

    def _received(self, answer: bytes) -> None:
        if self._operation.result is not None:
            self._call.answer_body = openinference.members_behind_media(answer)
        elif self._operation.answer is not None:
            self._call.answer_body = self._call.parsed(answer, self._call.attempts.answer or {})

    # How the method ends.

    def returned(self, result: Any) -> bool:
        """The method returned: the call is over, unless ``result`` is a stream. True if it is one, to be watched."""
        self._leave()
        if self._call.answer_body is None and self._operation in (CHAT, GENERATION) and _is_stream(result):
            self._call.streams()
            self._call.timing = StreamTiming(self._began)
            open_calls.streams.add(self)
            return True
        if self._operation.result is not None:
            self._result_attributes = diagnostics.guarded("answer", self._operation.result, result, default={})
        self._end()
        return False

    def failed(self, error: BaseException) -> None:
        """The method, or its stream, raised."""
        self._leave()
        if self._question is not None:
            diagnostics.guarded("stream usage", self._question.failed)
        if not self._over:
            diagnostics.guarded("huggingface_hub error", self._failed, error)
            self._end(error)

    def _failed(self, error: BaseException) -> None:
        self._call.failed(error, streaming=self._call.streamed is not None)

    # While the program reads the stream.

    def asked(self) -> None:
        """The program asks for the next chunk."""
        assert self._call.timing is not None
        self._call.timing.asked()

    def came(self, chunk: Any) -> None:
        """Look at the next chunk."""
        try:
            timing, streamed = self._call.timing, self._call.streamed
            assert timing is not None
            assert streamed is not None
            timing.came()
            if streamed.add(chunk):
                timing.had_content()
        except Exception:  # noqa: BLE001 - a chunk of a form nobody knows: it passes as it is
            diagnostics.swallowed("huggingface_hub chunk")

    def finished(self) -> None:
        """The stream is at its end, or the program closed it."""
        self._end()

    def abandoned(self) -> None:
        """The program let go of the stream. It ended with the last chunk taken, not when that was noticed."""
        if not self._over:
            self._call.left_with_last_chunk()
            self._end()

    # The span.

    def _leave(self) -> None:
        self.client = None
        # A coroutine may be thrown away in another context than it ran in: there is nothing to detach there.
        if current() is self:
            context_api.detach(self._token)

    def _end(self, error: Optional[BaseException] = None) -> None:
        if not self._over:
            self._over = True
            open_calls.streams.discard(self)
            hidden, streamed = self._hidden, self._call.streamed
            if hidden is not None and hidden.usage and streamed is not None:
                streamed.usage = hidden.usage
            if self._document and streamed is not None and not streamed.body():
                diagnostics.guarded("answer", self._no_stream)
            self._span.end(error)

    def _no_stream(self) -> None:
        text = b"\n".join(self._document)
        self._call.answer_body = self._call.parsed(text.strip(), self._call.attempts.answer or {})

    def _attributes(self, answer: Mapping[str, Any]) -> Dict[str, Any]:
        """What the span says beside what every call's does."""
        attributes = {**self._request_attributes, **self._result_attributes}
        operation = self._operation
        if answer and operation.answer is not None:
            text = self._call.answer_text
            text = as_json(answer) if text is None else text
            attributes.update(diagnostics.guarded("answer", operation.answer, text, answer, default={}))
        elif answer:
            attributes.update(openinference.embedding_answer(answer))
        attributes.update(diagnostics.guarded("provider", self._provider, default={}))
        if operation.genai_operation:
            attributes["gen_ai.operation.name"] = operation.genai_operation
        if self._model:
            attributes["gen_ai.request.model"] = self._model
        return attributes

    def _provider(self) -> Dict[str, Any]:
        """Whose API was spoken, and who offers it.

        As ``columns`` does for any client, but where the provider is asked itself.
        """
        known = self._call.known_attributes()
        system, name = self._system, "huggingface"
        if "server.address" in known and "hf.provider.served" not in known:
            if known.get("hf.endpoint.kind") == "provider" and "hf.provider.requested" in known:
                name = known["hf.provider.requested"]
                system = system if system == "openai" else name
            else:
                name = columns.provider_name(known["server.address"], system)
        return {"llm.system": system, "gen_ai.provider.name": name}


def _is_stream(result: Any) -> bool:
    return hasattr(type(result), "__next__") or hasattr(type(result), "__anext__")
