"""A streamed answer, put together again: chunks or events in, the body that the answer would have been out. Pure.

One accumulator for every client and every way to read: openai's models, huggingface_hub's objects and plain
dictionaries of the chat and completions APIs, events of the Responses, images and audio APIs, and Text Generation
Inference's tokens.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

from hf_openobserve.wire import server_timings
from hf_openobserve.wire.member import member, plain

_FACTS = ("id", "model", "created", "system_fingerprint", "service_tier")
"""Members of a chunk that say something of the whole answer."""

_OF_FEW_CHUNKS = frozenset(("usage", "x_groq", "error", *server_timings.MEMBERS))
"""Members of which most chunks have none."""


class StreamedAnswer:
    """What of a stream has come so far."""

    def __init__(self) -> None:
        self.usage: Any = None
        """As the server wrote it, or as the client parsed it; the last one wins."""
        self.error: Any = None
        """The member ``error`` of a chunk: the answer failed after its 200."""
        self.pieces = 0
        """Chunks that carried a part of the answer."""
        self.reasoned = False
        """True if such a part was of the reasoning."""
        self._facts: Dict[str, Any] = {}
        self._choices: Dict[int, _Choice] = {}
        self._is_text_completion = False
        self._events: Optional[_Events] = None
        self._generation: Optional[_Generation] = None

    def add(self, chunk: Any) -> bool:
        """Take the next chunk; True if it carried a part of the answer, not only a role, a reason or the usage."""
        choices = member(chunk, "choices")
        carried = self._add_other(chunk) if choices is None else self._add_choices(chunk, choices)
        if carried:
            self.pieces += 1
        return carried

    def body(self) -> Dict[str, Any]:
        """The answer as one body; empty if nothing of one has come."""
        if self._events is not None:
            return self._events.body(self.usage)
        if self._generation is not None:
            return self._generation.body()
        if not self._facts and not self._choices:
            return {} if self.error is None else {"error": self.error}
        whole = dict(self._facts)
        whole["object"] = "text_completion" if self._is_text_completion else "chat.completion"
        whole["choices"] = [{"index": index, **choice.built()} for index, choice in sorted(self._choices.items())]
        if self.usage:
            whole["usage"] = self.usage
        if self.error is not None:
            whole["error"] = self.error
        return whole

    def _add_choices(self, chunk: Any, choices: Any) -> bool:
        self._add_facts(chunk)
        carried = False
        for position, choice in enumerate(choices):
            index = _index(member(choice, "index"), position)
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice()
            if known.add(choice):
                carried = True
                self.reasoned = self.reasoned or bool(known.reasoning)
        return carried

    def _add_facts(self, chunk: Any) -> None:
        if "model" not in self._facts:
            for name in _FACTS:
                value = member(chunk, name)
                if value is not None:
                    self._facts[name] = value
            self._is_text_completion = member(chunk, "object") == "text_completion"
        if type(chunk) is dict and _OF_FEW_CHUNKS.isdisjoint(chunk):
            return
        usage = member(chunk, "usage") or member(member(chunk, "x_groq"), "usage")
        if usage:
            self.usage = usage
        if isinstance(chunk, dict):  # a client's model takes long to say that it has none of these
            for name in server_timings.MEMBERS:
                if chunk.get(name):
                    self._facts[name] = chunk[name]
        error = member(chunk, "error")
        if error:
            self.error = error

    def _add_other(self, chunk: Any) -> bool:
        kind = member(chunk, "type")
        if isinstance(kind, str) and not isinstance(chunk, str) and ("." in kind or kind == "error"):
            if self._events is None:
                self._events = _Events()
            return self._add_event(kind, chunk)
        if isinstance(chunk, str) or member(chunk, "token") is not None or member(chunk, "generated_text") is not None:
            if self._generation is None:
                self._generation = _Generation()
            return self._generation.add(chunk)
        self._add_facts(chunk)
        return False

    def _add_event(self, kind: str, event: Any) -> bool:
        events = self._events
        assert events is not None
        usage = member(event, "usage") or member(member(event, "response"), "usage")
        if usage:
            self.usage = usage
        if kind == "error":
            self.error = events.error = {name: member(event, name) for name in ("code", "message", "param")}
            nested = member(event, "error")  # some servers nest it as the chat API does
            if nested:
                self.error = events.error = nested
            return False
        carried = events.add(kind, event)
        self.reasoned = self.reasoned or (carried and "reasoning" in kind)
        return carried


# The chat and completions APIs.


_RARE = frozenset(("reasoning_content", "reasoning", "audio", "refusal", "tool_calls", "function_call"))
"""Members of a delta that most have not."""


class _Choice:
    """One choice of a streamed answer (``n`` > 1 has several, interleaved)."""

    __slots__ = ("_audio", "_calls", "_content", "_finish_reason", "_parts", "_refusal", "_role", "_text", "reasoning")

    def __init__(self) -> None:
        self.reasoning: List[str] = []
        self._role: Any = None
        self._content: List[str] = []
        self._parts: List[Any] = []
        """Of a structured content, what is neither text nor thinking."""
        self._text: Optional[List[str]] = None
        """Of the completions API."""
        self._refusal: List[str] = []
        self._audio: Optional[Dict[str, Any]] = None
        self._calls: Optional[ToolCalls] = None
        self._finish_reason: Any = None

    def add(self, choice: Any) -> bool:
        self._finish_reason = member(choice, "finish_reason") or self._finish_reason
        delta = member(choice, "delta")
        if delta is None:
            text = member(choice, "text")
            if text is not None:
                self._text = self._text or []
                self._text.append(str(text))
                return bool(text)
            delta = member(choice, "message")  # a whole answer under a stream's name
            if delta is None:
                return False
        content = member(delta, "content")
        if content and type(content) is str:
            self._content.append(content)
        elif content:
            self._add_parts(content)
        more = self._add_rest(delta)
        return bool(content) or more

    def _add_rest(self, delta: Any) -> bool:
        if self._role is None:
            self._role = member(delta, "role")
        if type(delta) is dict and _RARE.isdisjoint(delta):
            return False
        reasoning = member(delta, "reasoning_content") or member(delta, "reasoning")
        if reasoning:
            self.reasoning.append(_text(reasoning))
        audio = member(delta, "audio")
        if isinstance(audio, dict):
            self._add_audio(audio)
        refusal = member(delta, "refusal")
        if refusal:
            self._refusal.append(str(refusal))
        calls, legacy = member(delta, "tool_calls"), member(delta, "function_call")
        if calls or legacy:
            self._calls = self._calls or ToolCalls()
            if calls:
                self._calls.add(calls)
            if legacy:
                self._calls.add_legacy(legacy)
        return bool(reasoning or refusal or calls or legacy or audio)

    def _add_parts(self, content: Any) -> None:
        """Content in parts, as Magistral streams: ``[{"type": "thinking", "thinking": [{"type": "text", ...}]}]``."""
        for part in content if isinstance(content, (list, tuple)) else (content,):
            if isinstance(part, str):
                self._content.append(part)
            elif member(part, "thinking"):
                self.reasoning.append(_text(member(part, "thinking")))
            elif isinstance(member(part, "text"), str):
                self._content.append(member(part, "text"))
            else:
                self._parts.append(part)

    def _add_audio(self, audio: Mapping[str, Any]) -> None:
        known = self._audio = self._audio or {"transcript": ""}
        known["transcript"] += str(audio.get("transcript") or "")
        if audio.get("id"):
            known["id"] = audio["id"]

    def built(self) -> Dict[str, Any]:
        if self._text is not None:
            return {"text": "".join(self._text), "finish_reason": self._finish_reason}
        text = "".join(self._content)
        parts = [*([{"type": "text", "text": text}] if text else ()), *self._parts]
        message: Dict[str, Any] = {"role": self._role or "assistant", "content": parts if self._parts else text}
        if self.reasoning:
            message["reasoning"] = "".join(self.reasoning)
        if self._refusal:
            message["refusal"] = "".join(self._refusal)
        if self._audio is not None:
            message["audio"] = self._audio
        if self._calls is not None:
            message.update(self._calls.built())
        return {"message": message, "finish_reason": self._finish_reason}


class ToolCalls:
    """The tool calls of one streamed message, told apart as servers really send them.

    A call is known by its id; where a piece has none, by its index; where it has neither, it belongs to the call before
    it, unless it names a function. Ollama numbers all calls 0 and tells them apart by id, TGI sends an object for a
    list and for the arguments: https://github.com/ollama/ollama/issues/7881,
    https://github.com/huggingface/text-generation-inference/issues/2864
    """

    def __init__(self) -> None:
        self._calls: List[Dict[str, Any]] = []
        self._by_id: Dict[str, Dict[str, Any]] = {}
        self._by_index: Dict[int, Dict[str, Any]] = {}
        self._legacy: Optional[Dict[str, Any]] = None

    def add(self, calls: Any) -> None:
        """Take the member ``tool_calls`` of a delta: a list, or one call."""
        for piece in calls if isinstance(calls, (list, tuple)) else (calls,):
            function = member(piece, "function")
            self._add_to(self._call_of(piece, function), piece, function)

    def add_legacy(self, function: Any) -> None:
        """Take the member ``function_call`` of a delta, the API's older form of one call."""
        if self._legacy is None:
            self._legacy = _new_call()
        self._add_to(self._legacy, None, function)

    def built(self) -> Dict[str, Any]:
        """The members ``tool_calls`` and ``function_call`` of the whole message."""
        members: Dict[str, Any] = {}
        if self._calls:
            members["tool_calls"] = [_built_call(call) for call in self._calls]
        if self._legacy is not None:
            members["function_call"] = _built_call(self._legacy)["function"]
        return members

    def _call_of(self, piece: Any, function: Any) -> Dict[str, Any]:
        identifier, index, name = member(piece, "id"), _number(member(piece, "index")), member(function, "name")
        known = None
        if identifier not in (None, ""):
            identifier = str(identifier)
            known = self._by_id.get(identifier)
            if known is None:
                at_index = self._by_index.get(index) if index is not None else None
                # The first pieces of a call may have come without its id.
                known = at_index if at_index is not None and at_index["id"] is None and not name else None
        elif index is not None:
            known = self._by_index.get(index)
        elif self._calls:
            known = self._calls[-1]
        if known is not None and identifier in (None, "") and name and known["name"] not in (None, name):
            known = None  # another function: another call, whatever its index
        if known is None:
            known = _new_call()
            self._calls.append(known)
        if identifier not in (None, ""):
            known["id"] = known["id"] or identifier
            self._by_id[str(identifier)] = known
        if index is not None:
            self._by_index[index] = known
        return known

    def _add_to(self, call: Dict[str, Any], piece: Any, function: Any) -> None:
        call["type"] = member(piece, "type") or call["type"]
        call["name"] = member(function, "name") or call["name"]
        arguments = member(function, "arguments")
        if isinstance(arguments, str):
            call["arguments"].append(arguments)
        elif arguments is not None:
            call["arguments"] = [_dumps(arguments)]


def _new_call() -> Dict[str, Any]:
    return {"id": None, "type": None, "name": None, "arguments": []}


def _built_call(call: Mapping[str, Any]) -> Dict[str, Any]:
    function = {"name": call["name"] or "", "arguments": "".join(call["arguments"])}
    built = {"id": call["id"], "type": call["type"] or "function", "function": function}
    return {name: value for name, value in built.items() if value is not None}


# The Responses API, and the other APIs that stream typed events.


class _Events:
    """Events with a ``type``.

    The last whole response wins; what was cut off is put together from its items and deltas.
    """

    def __init__(self) -> None:
        self.error: Any = None
        self._response: Optional[Dict[str, Any]] = None
        self._is_final = False
        self._items: Dict[int, Any] = {}
        self._texts: Dict[Any, List[str]] = {}
        self._last: Dict[str, Any] = {}

    def add(self, kind: str, event: Any) -> bool:
        response = member(event, "response")
        if response is not None:
            self._response = response
            self._is_final = kind.rpartition(".")[2] in ("completed", "failed", "incomplete", "cancelled")
        item = member(event, "item")
        if item is not None:
            self._items[_index(member(event, "output_index"), len(self._items))] = item
        if kind.endswith((".done", ".completed")) and response is None:
            self._last = {
                name: member(event, name)
                for name in ("text", "usage", "size", "quality", "output_format")
                if member(event, name) is not None
            }
        delta = member(event, "delta")
        if not kind.endswith((".delta", ".partial_image")):
            return False
        if isinstance(delta, str) and "audio.delta" not in kind:
            place = (_index(member(event, "output_index"), 0), kind)
            self._texts.setdefault(place, []).append(delta)
        return True

    def body(self, usage: Any) -> Dict[str, Any]:
        if self._response is None:
            return self._of_other_api(usage)
        response = dict(plain(self._response) or {})
        if not self._is_final or not response.get("output"):
            output = self._output()
            if output:
                response["output"] = output
        if self.error is not None and not response.get("error"):
            response["error"] = self.error
        return response

    def _output(self) -> List[Any]:
        """The output as far as it came: whole items, and the texts of those that did not end."""
        output = []
        for index in sorted({*self._items, *(place[0] for place in self._texts)}):
            item = dict(plain(self._items.get(index)) or {})
            text = self._text_of(index, "output_text") or self._text_of(index, "refusal")
            if self._text_of(index, "function_call_arguments") and not item.get("arguments"):
                item["arguments"] = self._text_of(index, "function_call_arguments")
            elif text and not item.get("content"):
                item = {
                    "type": "message",
                    "role": "assistant",
                    **item,
                    "content": [{"type": "output_text", "text": text}],
                }
            output.append(item)
        return output

    def _text_of(self, index: int, what: str) -> str:
        return "".join(
            "".join(pieces) for (place, kind), pieces in self._texts.items() if place == index and what in kind
        )

    def _of_other_api(self, usage: Any) -> Dict[str, Any]:
        """Of a transcription its text, of images and speech what they cost: the media are not kept."""
        body = dict(self._last)
        text = "".join("".join(pieces) for pieces in self._texts.values())
        if text and not body.get("text"):
            body["text"] = text
        if usage and not body.get("usage"):
            body["usage"] = usage
        if self.error is not None:
            body["error"] = self.error
        return body


# Text Generation Inference.


class _Generation:
    """Texts, or with ``details`` Text Generation Inference's token objects."""

    def __init__(self) -> None:
        self._texts: List[str] = []
        self._generated: Any = None
        self._details: Any = None

    def add(self, chunk: Any) -> bool:
        if isinstance(chunk, str):
            self._texts.append(chunk)
            return bool(chunk)
        token = member(chunk, "token")
        text = member(token, "text")
        if isinstance(text, str) and not member(token, "special"):
            self._texts.append(text)
        self._generated = member(chunk, "generated_text") or self._generated
        self._details = member(chunk, "details") or self._details
        return bool(text)

    def body(self) -> Dict[str, Any]:
        answer: Dict[str, Any] = {"generated_text": self._generated or "".join(self._texts)}
        if self._details:
            answer["details"] = self._details
        return answer


# Values.


def _number(value: Any) -> Optional[int]:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else None


def _index(value: Any, otherwise: int) -> int:
    number = _number(value)
    return otherwise if number is None else number


def _text(value: Any) -> str:
    """The text of a text, of a part of structured content, or of a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(_text(part) for part in value)
    text = member(value, "text")
    return text if isinstance(text, str) else _dumps(value)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
