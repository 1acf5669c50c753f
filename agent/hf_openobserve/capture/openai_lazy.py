"""``with_streaming_response`` of openai: a span of our own around a body that the program reads when, and if, it likes.

OpenInference would read the body before the program asks for it, and leave a coroutine unawaited on the asynchronous
client; so these requests go past it. What the program reads is looked at as it passes.
"""

from __future__ import annotations

import json
import os
import weakref
from typing import Any, Dict, List, Mapping, Optional

from openinference.instrumentation import OITracer
from opentelemetry import context, trace
from opentelemetry.trace import Status, StatusCode

from hf_openobserve import __version__, diagnostics
from hf_openobserve.arm import OPENAI_INSTRUMENTORS
from hf_openobserve.capture import attempts, calls, openai_stream, responses
from hf_openobserve.capture.trace_config import trace_config

RAW_HEADER = "x-stainless-raw-response"
SCOPE = OPENAI_INSTRUMENTORS[0]
"""Under OpenInference's name: the span stands in for one of its own, to whoever goes by the scope."""

_LONGEST = 8 * 1024 * 1024
"""Bytes of an answer that are kept to be recorded; of a longer one, none are."""

_NOT_PARAMETERS = ("messages", "input", "prompt", "tools", "functions")


def is_lazy(options: Any) -> bool:
    """True for the options of a request made through ``with_streaming_response``."""
    headers = options.headers
    if not isinstance(headers, Mapping):
        return False
    return any(value == "stream" for name, value in headers.items() if str(name).lower() == RAW_HEADER)


class Answer:
    """One such request, from its sending until its answer is read or closed."""

    def __init__(self, tracer_provider: Any, client: Any, args: Any, kwargs: Any) -> None:
        options = args[1] if len(args) > 1 else kwargs["options"]
        name = getattr(args[0] if args else kwargs["cast_to"], "__name__", "Response")
        embedding = name == "CreateEmbeddingResponse"
        self._span = _tracer(tracer_provider).start_span("CreateEmbeddings" if embedding else name)
        body = options.json_data if isinstance(options.json_data, dict) else {}
        self._call = calls.Call(*calls.address_of(client, options), body)
        if self._span.is_recording():
            calls.remember(self._span, self._call)
            self._span.set_attributes(_request_attributes(body, embedding=embedding))
        self._call.streams = self
        self._kept: List[bytes] = []
        self._length = 0
        self._is_text = False
        self._stepping = False
        self._over = False
        self._tokens: Any = None
        self._response: Any = None
        self._pid = os.getpid()

    # As the request is sent. Nothing of the context outlives it: the answer is read anywhere.

    def enter(self) -> None:
        """What is sent from now on belongs to the call."""
        self._tokens = (attempts.current.set(self._call), context.attach(trace.set_span_in_context(self._span)))

    def leave(self) -> None:
        """It has been sent."""
        token, attached = self._tokens
        if trace.get_current_span() is self._span:  # else thrown away in another context: OpenTelemetry would log that
            context.detach(attached)
            attempts.current.reset(token)

    def answered(self, result: Any) -> None:
        """``result`` is what the program gets."""
        response = getattr(result, "http_response", None)
        if response is None or response.is_closed:
            self._end(Status(StatusCode.OK))
            return
        kind = response.headers.get("content-type", "")
        self._is_text = "json" in kind or "event-stream" in kind
        responses.shadow(response, self.closed, self._passing, self._passing_async)
        # The program may let go of it, unread.
        self._response = weakref.ref(response, lambda _: self.abandoned())
        openai_stream.remember(self)

    def failed(self, error: BaseException) -> None:
        """No answer, or an error for one."""
        self._call.failed(error)
        self._span.record_exception(error)
        self._end(Status(StatusCode.ERROR, type(error).__name__))

    # As the program reads.

    def _passing(self, source: Any) -> Any:
        while True:
            self._stepping = True
            try:
                data = source.__next__()
            except StopIteration:
                self._came_to_its_end()
                return
            except BaseException as error:
                diagnostics.guarded("openai answer", self._broke, error)
                raise
            self._came(data)
            yield data

    async def _passing_async(self, source: Any) -> Any:
        while True:
            self._stepping = True
            try:
                data = await source.__anext__()
            except StopAsyncIteration:
                self._came_to_its_end()
                return
            except BaseException as error:
                diagnostics.guarded("openai answer", self._broke, error)
                raise
            self._came(data)
            yield data

    def closed(self) -> None:
        """The response has been closed; at its end the client does so itself, before the last bytes have passed."""
        if not self._stepping:
            diagnostics.guarded("openai answer", self._end, Status(StatusCode.OK))

    def abandoned(self) -> None:
        """The process ends with the answer still open."""
        diagnostics.guarded("openai answer", self._end, Status(StatusCode.OK))

    def settle(self) -> None:
        """Its span has ended."""

    def _came(self, data: bytes) -> None:
        self._stepping = False
        self._length += len(data)
        if self._is_text and self._length <= _LONGEST:
            self._kept.append(data)

    def _came_to_its_end(self) -> None:
        self._stepping = False
        self.closed()

    def _broke(self, error: BaseException) -> None:
        self._stepping = False
        if isinstance(error, GeneratorExit):
            self.closed()
        elif not self._over:
            self._call.failed(error, streaming=True)
            self._span.record_exception(error)
            self._end(Status(StatusCode.ERROR, type(error).__name__))

    def _end(self, status: Status) -> None:
        if self._over:
            return
        self._over = True
        openai_stream.forget(self)
        response = None if self._response is None else self._response()
        if response is not None:
            responses.unshadow(response, responses.ALL)
        kept, self._kept, self._response = self._kept, [], None
        if self._pid != os.getpid():  # the parent's
            return
        if self._span.is_recording():
            if kept and self._length <= _LONGEST:
                self._span.set_attributes(
                    diagnostics.guarded("openai answer", _answer_attributes, b"".join(kept), default={})
                )
            self._span.set_status(status)
            self._span.end()


_tracers: Dict[int, Any] = {}


def _tracer(tracer_provider: Any) -> Any:
    known = _tracers.get(id(tracer_provider))
    if known is None:
        tracer = OITracer(trace.get_tracer(SCOPE, __version__, tracer_provider), config=trace_config())
        # With its provider, whose id is not given away while it is a key. There is one in a process.
        known = _tracers[id(tracer_provider)] = (tracer_provider, tracer)
    return known[1]


def _request_attributes(body: Mapping[str, Any], *, embedding: bool) -> Dict[str, Any]:
    parameters = {name: value for name, value in body.items() if name not in _NOT_PARAMETERS}
    return {
        "openinference.span.kind": "EMBEDDING" if embedding else "LLM",
        "llm.system": "openai",
        "input.value": json.dumps(body, default=str, ensure_ascii=False),
        "input.mime_type": "application/json",
        ("embedding" if embedding else "llm") + ".invocation_parameters": json.dumps(parameters, default=str),
    }


def _answer_attributes(body: bytes) -> Dict[str, Any]:
    text = body.decode("utf-8", "replace")
    if not text.lstrip().startswith(("{", "[")):
        answer = whole_of_events(text)
        if answer is None:
            return {}
        text = json.dumps(answer, ensure_ascii=False)
    return {"output.value": text, "output.mime_type": "application/json"}


def whole_of_events(text: str) -> Optional[Dict[str, Any]]:
    """The chat completion that an event stream adds up to, as far as it was read; None if it holds no chunk of one."""
    whole: Dict[str, Any] = {}
    response: Optional[Dict[str, Any]] = None
    said: Dict[int, Dict[str, Any]] = {}
    for line in text.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            chunk = json.loads(line[5:])
        except ValueError:  # [DONE], or cut off
            continue
        if isinstance(chunk, dict) and isinstance(chunk.get("response"), dict):  # of the Responses API
            response = chunk["response"]
        if not isinstance(chunk, dict) or not isinstance(chunk.get("choices"), list):
            continue
        whole.update({name: chunk[name] for name in ("id", "model", "usage") if chunk.get(name) is not None})
        for choice in chunk["choices"]:
            one = said.setdefault(choice.get("index", 0), {"content": "", "finish_reason": None})
            one["content"] += (choice.get("delta") or {}).get("content") or ""
            one["finish_reason"] = choice.get("finish_reason") or one["finish_reason"]
    if not whole and not said:
        return response
    whole["choices"] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": one["content"]},
            "finish_reason": one["finish_reason"],
        }
        for index, one in sorted(said.items())
    ]
    return whole
