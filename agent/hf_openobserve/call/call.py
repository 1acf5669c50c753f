"""One call of a client, whichever client it is: where it went, what was asked, how it came back, how it ended.

Every client fills a ``Call``; ``facts`` says what its row needs to know. The facts are kept beside the span, see
``open_calls``: the span may be the application's own, and its exporters receive what they would have received without
us (docs/laws.md#7).
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from hf_openobserve.call.asker import Asker
from hf_openobserve.call.attempts import Attempts, retry_events
from hf_openobserve.call.stream_timing import COUNTS, StreamTiming, Tokens
from hf_openobserve.process import diagnostics
from hf_openobserve.row.record import EventRecord
from hf_openobserve.row.work import CallFacts
from hf_openobserve.wire import bodies, errors, openinference, routing
from hf_openobserve.wire.apis import Api
from hf_openobserve.wire.chunks import StreamedAnswer
from hf_openobserve.wire.member import plain
from hf_openobserve.wire.usage import counts_of, usage_of

LONGEST_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer that are looked at to be recorded; of a longer one only the client's own parsed form is."""


_NOBODY = Asker()


class Call:
    """One call, from its sending to the end of its span."""

    __slots__ = (
        "__weakref__",
        "answer_body",
        "answer_text",
        "api",
        "attempts",
        "attributes",
        "by_address",
        "client_error",
        "describe",
        "ended",
        "failure",
        "max_tokens",
        "model",
        "open_body",
        "provider",
        "request",
        "response",
        "sent_as_json",
        "streamed",
        "timing",
        "url",
    )

    def __init__(
        self,
        *,
        url: str,
        host: str,
        request: Optional[Mapping[str, Any]] = None,
        model: Optional[str] = None,
        provider: Optional[str] = None,
        by_address: bool = True,
        api: Optional[Api] = None,
        client_error: str = "_OTHER",
        asker: Asker = _NOBODY,
    ) -> None:
        """The call is about to be sent to ``url``.

        request: its body. model: the Hub id that the program named, if not the body's. provider, by_address: see
        ``routing.request_attributes``. api: OpenAI's that is called, if it is one of those. client_error: the class
        that the client raises for an error within an answer. asker: reads who asks.
        """
        body = request or {}
        named, limit = model or body.get("model"), body.get("max_tokens")
        self.url = url
        self.request = request
        self.model: Optional[str] = named if isinstance(named, str) else None
        self.max_tokens: Optional[int] = limit if isinstance(limit, int) else None
        self.provider = provider
        self.by_address = by_address
        self.api = api
        self.client_error = client_error
        self.attempts = Attempts(host)
        self.attributes: Dict[str, Any] = diagnostics.guarded("who asks", asker.attributes, default={})
        """What only this client, and the context of the call, know, under their final names."""
        self.timing: Optional[StreamTiming] = None
        self.streamed: Optional[StreamedAnswer] = None
        """What of a stream has come."""
        self.open_body: Any = None
        """The body of the answer while the program reads it; it can be told to ``settle``."""
        self.response: Any = None
        """The client's HTTP response, whose body has been read when the call returns."""
        self.answer_body: Optional[Mapping[str, Any]] = None
        """The answer, where a client has it parsed."""
        self.answer_text: Optional[str] = None
        """The JSON of it as the server has written it, where nothing in that is escaped: an escape hides what is to be
        masked.
        """
        self.sent_as_json: Optional[str] = None
        """The messages of the request as a row has them, where they were made for its span already."""
        self.describe: Optional[Callable[[], Mapping[str, Any]]] = None
        """What its span would say, where nobody but us reads it: under OpenInference's names."""
        self.failure: Optional[errors.Failure] = None
        self.ended: Optional[int] = None
        """When a stream was over, in nanoseconds since the epoch, where the span ends later than that."""

    def streams(self, streamed: Optional[StreamedAnswer] = None) -> None:
        """The answer is a stream.

        The program may change its request while it reads: what is recorded is as it was sent.
        """
        self.timing = StreamTiming()
        self.streamed = streamed or StreamedAnswer()
        if self.request is not None:
            self.request = {
                name: list(value) if isinstance(value, list) else value for name, value in self.request.items()
            }

    def failed(self, error: BaseException, *, streaming: bool = False) -> None:
        """Add how the call failed: while it was sent, or while its stream was read."""
        failure = errors.describe(error, streaming=streaming)
        if failure.kind is None and self.failure is not None:  # the answer itself says why the client could not read it
            failure = failure._replace(kind=self.failure.kind, message=self.failure.message)
        self.failure = failure

    def left_with_last_chunk(self) -> Optional[int]:
        """The program let go of the stream: it ended with the last chunk taken. Nanoseconds since the epoch."""
        last_chunk = 0.0 if self.timing is None else self.timing.last_chunk
        if last_chunk:
            self.ended = time.time_ns() - int((time.perf_counter() - last_chunk) * 1e9)
        return self.ended

    def answer(self) -> Mapping[str, Any]:
        """The body of the answer, as far as there is one; empty if none is known."""
        if self.answer_body is None:
            self.answer_body = diagnostics.guarded("answer", self._answer, default={})
            self.response = None
        return self.answer_body or {}

    def _answer(self) -> Mapping[str, Any]:
        if self.streamed is not None:
            body = self.streamed.body()
            usage = plain(body.get("usage"))
            return {**body, "usage": usage} if usage is not body.get("usage") else body
        response = self.response
        if response is None or response.status_code >= 400:
            return {}
        content = response.content
        if not content or (len(content) > LONGEST_ANSWER and (self.api is None or not self.api.has_media)):
            return {}
        return self.parsed(content, response.headers)

    def parsed(self, content: bytes, headers: Any) -> Mapping[str, Any]:
        """The object that a JSON body holds. A page for people under a 200 is no answer: then the call has failed."""
        content = content.lstrip(b"\xef\xbb\xbf \t\r\n")  # a byte order mark, and what keeps a connection alive
        if content[:1] in (b"{", b"["):
            if self.api is not None and self.api.has_media:
                return openinference.members_behind_media(content)
            try:
                text = content.decode("utf-8", "surrogatepass")
                body = json.loads(text)
            except ValueError:
                body = json.loads(content)  # in another encoding
            else:
                self.answer_text = None if "\\" in text else text
            if isinstance(body, list) and body:  # Text Generation Inference's list of one
                body = body[0]
            return body if isinstance(body, dict) else {}
        if "html" in str(headers.get("content-type")) or content[:1] == b"<":
            text = content[: errors.SEARCHED * 4].decode("utf-8", "replace")
            if bodies.is_web_page(text) and self.failure is None:
                self.failure = errors.describe_answer("web page", text, self.client_error)
        return {}

    def outcome(self) -> Optional[errors.Failure]:
        """How the call failed, also where only the answer itself says so; None if it did not."""
        answer = self.answer()
        if self.failure is None:
            refusal = bodies.refusal_of(answer)
            if refusal is not None:
                streaming = self.streamed is not None
                self.failure = errors.describe_answer(
                    refusal.what, refusal.body, self.client_error, streaming=streaming
                )
        return self.failure

    def facts(self) -> CallFacts:
        """What is known when its span has ended."""
        if self.open_body is not None:
            self.open_body.settle()
        answer = self.answer()
        failure: Optional[errors.Failure] = diagnostics.guarded("outcome", self.outcome)
        attributes = self.known_attributes()
        retries: Tuple[EventRecord, ...] = ()
        if len(self.attempts.done) > 1:
            retries = diagnostics.guarded("retries", retry_events, self.attempts.done, default=())
        if retries:
            attributes["http.request.resend_count"] = len(retries)
        described: Mapping[str, Any] = {}
        if self.describe is not None:  # last: where the program interrupts us, all of this is done once more
            described = diagnostics.guarded("description", self.describe, default={})
        return CallFacts(
            host=attributes.pop("server.address", ""),
            port=attributes.pop("server.port", None),
            model=self.model,
            max_tokens=self.max_tokens,
            failed=failure is not None,
            status_code=None if failure is None else failure.status_code,
            error_type=None if failure is None else failure.error_type,
            message=None if failure is None else failure.message,
            attributes=attributes,
            described=described,
            api=self.api,
            request=self.request,
            sent_as_json=self.sent_as_json,
            answer=answer,
            events=retries,
            last_attempt=self.attempts.last_start if retries else None,
            ended=self.ended,
        )

    def known_attributes(self) -> Dict[str, Any]:
        """The attributes that the call itself gives, under their final names.

        One part that fails costs that part only.
        """
        attributes = dict(self.attributes)
        diagnostics.guarded("route", self._add_route, attributes)
        diagnostics.guarded("answer's headers", self._add_answer_headers, attributes)
        named_by_hub = "hf.provider.served" in attributes or "hf.provider.requested" in attributes
        if attributes.get("hf.endpoint.kind") in ("other", "provider", "gateway") and not named_by_hub:
            attributes.pop("hf.model.base", None)  # not a Hub id, as far as anybody can tell
        if self.failure is not None and self.failure.kind:
            attributes["hf.error.kind"] = self.failure.kind
        if self.timing is not None:
            diagnostics.guarded("stream timing", self._add_timing, attributes)
        return attributes

    def _add_route(self, attributes: Dict[str, Any]) -> None:
        if not self.url:
            return  # it came to no request
        attributes.update(
            routing.request_attributes(
                url=self.attempts.url or self.url,
                model=self.model,
                provider=self.provider,
                headers=self.attempts.request_headers or {},
                by_address=self.by_address,
            )
        )

    def _add_answer_headers(self, attributes: Dict[str, Any]) -> None:
        failure = self.failure
        headers = self.attempts.answer if failure is None or failure.headers is None else failure.headers
        if headers is None:
            return
        said = routing.response_attributes(headers)
        attributes.update(said)
        if self.model and "hf.provider.served" in said:
            # The router has answered, whatever stands between: it has read the model's suffix.
            attributes.update(routing.model_attributes(self.model, routed=True))

    def _add_timing(self, attributes: Dict[str, Any]) -> None:
        assert self.timing is not None
        assert self.streamed is not None
        counts = counts_of(usage_of(self.answer()))
        tokens = Tokens(*(counts.get(name) for name in COUNTS))
        pieces, reasoned = self.streamed.pieces, self.streamed.reasoned
        attributes.update(self.timing.attributes(tokens, pieces=pieces, reasoned=reasoned))
