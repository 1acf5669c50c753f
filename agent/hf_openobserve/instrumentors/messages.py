"""Request and answer bodies of the Inference API as OpenInference attributes, in openinference-instrumentation-openai's shape.

Pure. Formats: the OpenAI-compatible chat completion, Text Generation Inference's generation (and its OpenAI-compatible
form at some providers), feature extraction and sentence similarity. What a body does not say has no attribute.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

JSON = "application/json"
REDACTED = "__REDACTED__"

_DECODER = json.JSONDecoder()


class Images(NamedTuple):
    """What of the images in a request may be recorded, by OpenInference's ``TraceConfig``."""

    hidden: bool = False
    max_length: int = 32_000
    """Characters of a base64 data URI; a longer one is replaced."""


# Requests.


def chat_request(body: Mapping[str, Any], model: Optional[str], images: Images) -> Dict[str, Any]:
    """Attributes of a chat completion's request. ``model`` is the name the program used for it."""
    attributes: Dict[str, Any] = {}
    for index, message in enumerate(_objects(body.get("messages"))):
        for key, value in _message(message):
            attributes[f"llm.input_messages.{index}.message.{key}"] = value
    for index, tool in enumerate(_objects(body.get("tools"))):
        attributes[f"llm.tools.{index}.tool.json_schema"] = _dumps(tool)
    attributes["llm.invocation_parameters"] = _parameters(body, model, ("messages", "tools"))
    attributes.update(_input(body, images))
    return attributes


def generation_request(body: Mapping[str, Any], model: Optional[str], images: Images) -> Dict[str, Any]:
    """Attributes of a text generation's request, Text Generation Inference's ``inputs`` or OpenAI's ``prompt``."""
    prompt = body.get("inputs", body.get("prompt"))
    parameters = {key: value for key, value in body.items() if key not in ("inputs", "prompt", "parameters")}
    if isinstance(body.get("parameters"), Mapping):
        parameters.update(body["parameters"])
    attributes: Dict[str, Any] = {}
    if isinstance(prompt, str):
        attributes["llm.prompts.0.prompt.text"] = prompt
    limit = parameters.get("max_new_tokens")
    if isinstance(limit, int):
        attributes["gen_ai.request.max_tokens"] = limit
    attributes["llm.invocation_parameters"] = _parameters(parameters, model, ())
    attributes.update(_input(body, images))
    return attributes


def embedding_request(body: Mapping[str, Any], model: Optional[str], images: Images) -> Dict[str, Any]:
    """Attributes of a request for embeddings, or for the similarity of sentences."""
    inputs = body.get("inputs", body.get("input"))
    if isinstance(inputs, Mapping):
        inputs = [inputs.get("source_sentence"), *(inputs.get("sentences") or ())]
    texts = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    attributes = {
        f"embedding.embeddings.{index}.embedding.text": text
        for index, text in enumerate(texts)
        if isinstance(text, str)
    }
    attributes["embedding.invocation_parameters"] = _parameters(body, model, ("inputs", "input"))
    attributes.update(_input(body, images))
    return attributes


def _parameters(body: Mapping[str, Any], model: Optional[str], left_out: Tuple[str, ...]) -> str:
    # Where a provider has its own name for the model, the body carries that one, and the program another.
    named = model or body.get("model")
    rest = {key: value for key, value in body.items() if key != "model" and key not in left_out}
    return _dumps({"model": named, **rest} if named else rest)


def _input(body: Mapping[str, Any], images: Images) -> Dict[str, Any]:
    text = _dumps(body)
    if "data:image/" in text and (images.hidden or len(text) > images.max_length):
        text = _dumps(_without_images(body, -1 if images.hidden else images.max_length))
    return {"input.value": text, "input.mime_type": JSON}


def _without_images(value: Any, max_length: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_images(item, max_length) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_images(item, max_length) for item in value]
    if isinstance(value, str) and value.startswith("data:image/") and len(value) > max_length:
        return REDACTED
    return value


# Answers. Each takes the body's text and what it parses to.


def chat_answer(text: str, answer: Any) -> Dict[str, Any]:
    """Attributes of a chat completion."""
    attributes: Dict[str, Any] = {}
    if not isinstance(answer, Mapping):
        return _output(text)
    choices = _objects(answer.get("choices"))
    for index, choice in enumerate(choices):
        message = choice.get("message")
        if isinstance(message, Mapping):
            for key, value in _message(message):
                attributes[f"llm.output_messages.{index}.message.{key}"] = value
    if choices and choices[0].get("finish_reason"):
        attributes["llm.finish_reason"] = str(choices[0]["finish_reason"])
    attributes.update(_model(answer.get("model"), "llm.model_name"))
    attributes.update(_output(text))
    attributes.update(usage_attributes(answer.get("usage")))
    return attributes


def generation_answer(text: str, answer: Any) -> Dict[str, Any]:
    """Attributes of a generation: a list of one, an object, or an OpenAI-compatible completion."""
    answer = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(answer, Mapping):
        return _output(text)
    attributes: Dict[str, Any] = {}
    texts = [answer["generated_text"]] if isinstance(answer.get("generated_text"), str) else []
    reasons: List[Any] = []
    for choice in _objects(answer.get("choices")):
        if isinstance(choice.get("text"), str):
            texts.append(choice["text"])
            reasons.append(choice.get("finish_reason"))
    for index, completion in enumerate(texts):
        attributes[f"llm.choices.{index}.completion.text"] = completion
    details = answer.get("details")
    details = details if isinstance(details, Mapping) else {}
    reasons.append(details.get("finish_reason"))
    if reasons[0]:
        attributes["llm.finish_reason"] = str(reasons[0])
    attributes.update(_model(answer.get("model"), "llm.model_name"))
    attributes.update(_output(text))
    attributes.update(_details(details))
    attributes.update(usage_attributes(answer.get("usage")))
    return attributes


def embedding_answer(body: bytes) -> Dict[str, Any]:
    """Model and usage of an answer, where a provider's form has them. The vectors are neither parsed nor recorded."""
    attributes = _model(_member(body, b'"model"'), "embedding.model_name")
    attributes.update(usage_attributes(_member(body, b'"usage"')))
    return attributes


def shape_output(result: Any) -> Dict[str, Any]:
    """In place of vectors, what they are: the shape and the type of the array that the client returned."""
    shape = getattr(result, "shape", None)
    if not isinstance(shape, tuple):
        return {}
    return _output(_dumps({"shape": [int(size) for size in shape], "dtype": str(getattr(result, "dtype", ""))}))


def value_output(result: Any) -> Dict[str, Any]:
    """The answer itself, where it is small."""
    return _output(_dumps(result))


def usage_attributes(usage: Any) -> Dict[str, Any]:
    """Token counts of an OpenAI-compatible ``usage``, as far as it has them."""
    attributes: Dict[str, Any] = {}
    for name, path in (
        ("prompt", ("prompt_tokens",)),
        ("completion", ("completion_tokens",)),
        ("total", ("total_tokens",)),
        ("prompt_details.cache_read", ("prompt_tokens_details", "cached_tokens")),
        ("completion_details.reasoning", ("completion_tokens_details", "reasoning_tokens")),
    ):
        value = usage
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool):
            attributes["llm.token_count." + name] = value
    return attributes


def _details(details: Mapping[str, Any]) -> Dict[str, Any]:
    """Token counts of Text Generation Inference's ``details``; the prompt's only where it lists or counts them."""
    attributes: Dict[str, Any] = {}
    if isinstance(details.get("generated_tokens"), int):
        attributes["llm.token_count.completion"] = details["generated_tokens"]
    prefill, length = details.get("prefill"), details.get("input_length")
    if isinstance(length, int):
        attributes["llm.token_count.prompt"] = length
    elif isinstance(prefill, list) and prefill:
        attributes["llm.token_count.prompt"] = len(prefill)
    return attributes


def _output(text: str) -> Dict[str, Any]:
    return {"output.value": text, "output.mime_type": JSON}


def _model(model: Any, name: str) -> Dict[str, Any]:
    return {name: model} if isinstance(model, str) and model else {}


def _member(body: bytes, name: bytes) -> Any:
    """The value of a member near the end of a large JSON object, without parsing the rest; None if it is not there.

    Only for bodies whose other strings cannot hold the name: numbers and what describes them.
    """
    at = body.rfind(name)
    if at < 0:
        return None
    start = body.find(b":", at) + 1
    try:
        return _DECODER.raw_decode(body[start : start + 4096].decode("utf-8", "replace").lstrip())[0]
    except ValueError:
        return None


# Streams.


class ChatStream:
    """Collects the chunks of a streamed chat completion, and makes one answer of them at the end.

    Chunks are huggingface_hub's objects, whose members are attributes; unknown members are in their dictionary.
    """

    def __init__(self) -> None:
        self._choices: Dict[int, _StreamedChoice] = {}
        self._id: Any = None
        self._model: Any = None
        self._fingerprint: Any = None
        self._usage: Any = None

    def add(self, chunk: Any) -> bool:
        """Look at a chunk; True if it carried content."""
        if self._model is None:
            self._id, self._model = _get(chunk, "id"), _get(chunk, "model")
            self._fingerprint = _get(chunk, "system_fingerprint")
        usage = _get(chunk, "usage")
        if usage:
            self._usage = usage
        content = False
        for choice in _get(chunk, "choices") or ():
            index = _index(choice)
            streamed = self._choices.get(index)
            if streamed is None:
                streamed = self._choices[index] = _StreamedChoice()
            content = streamed.add(choice) or content
        return content

    @property
    def reasoned(self) -> bool:
        """True if reasoning was among what came."""
        return any(choice.reasoning for choice in self._choices.values())

    def attributes(self) -> Dict[str, Any]:
        """What ``chat_answer`` would say of the whole."""
        answer: Dict[str, Any] = {"id": self._id, "object": "chat.completion", "model": self._model}
        answer["system_fingerprint"] = self._fingerprint
        answer = {key: value for key, value in answer.items() if value}
        answer["choices"] = [
            {"index": index, **choice.built()}
            for index, choice in sorted(self._choices.items(), key=lambda item: item[0])
        ]
        if self._usage:
            answer["usage"] = self._usage
        return chat_answer(_dumps(answer), answer)


class _StreamedChoice:
    __slots__ = ("content", "finish_reason", "parts", "reasoning", "role", "tool_calls")

    def __init__(self) -> None:
        self.role: Any = None
        self.content: List[str] = []
        self.parts: List[Any] = []
        """Of a structured content, what is neither text nor thinking."""
        self.reasoning: List[str] = []
        self.finish_reason: Any = None
        self.tool_calls: Dict[int, Dict[str, Any]] = {}

    def add(self, choice: Any) -> bool:
        self.finish_reason = _get(choice, "finish_reason") or self.finish_reason
        delta = _get(choice, "delta")
        if delta is None:
            return False
        self.role = self.role or _get(delta, "role")
        content = _get(delta, "content")
        if isinstance(content, str):
            self.content.append(content)
        elif content:
            self._add_parts(content)
        reasoning = _get(delta, "reasoning") or _get(delta, "reasoning_content")
        if reasoning:
            self.reasoning.append(_text(reasoning))
        calls = _get(delta, "tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else [calls] if calls else ()):
            self._add_tool_call(position, call)
        return bool(content or reasoning or calls)

    def _add_parts(self, content: Any) -> None:
        """Content in parts, as Magistral streams it: ``[{"type": "thinking", "thinking": [{"type": "text", ...}]}]``."""
        for part in content if isinstance(content, (list, tuple)) else (content,):
            if isinstance(part, str):
                self.content.append(part)
            elif _get(part, "thinking"):
                self.reasoning.append(_text(_get(part, "thinking")))
            elif isinstance(_get(part, "text"), str):
                self.content.append(_get(part, "text"))
            else:
                self.parts.append(part)

    def _add_tool_call(self, position: int, call: Any) -> None:
        known = self.tool_calls.setdefault(
            _index(call, position), {"id": None, "type": "function", "name": "", "arguments": []}
        )
        known["id"] = _get(call, "id") or known["id"]
        function = _get(call, "function")
        known["name"] = _get(function, "name") or known["name"]
        arguments = _get(function, "arguments")
        if arguments:
            known["arguments"].append(arguments if isinstance(arguments, str) else _dumps(arguments))

    def built(self) -> Dict[str, Any]:
        text = "".join(self.content)
        parts = [*([{"type": "text", "text": text}] if text else ()), *self.parts]
        message: Dict[str, Any] = {"role": self.role or "assistant", "content": parts if self.parts else text}
        if self.reasoning:
            message["reasoning"] = "".join(self.reasoning)
        calls = [
            {
                "id": call["id"],
                "type": call["type"],
                "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
            }
            for _, call in sorted(self.tool_calls.items(), key=lambda item: item[0])
        ]
        if calls:
            message["tool_calls"] = calls
        return {"message": message, "finish_reason": self.finish_reason}


class GenerationStream:
    """Collects a streamed text generation: texts, or with ``details`` Text Generation Inference's token objects."""

    def __init__(self) -> None:
        self._texts: List[str] = []
        self._generated: Any = None
        self._details: Any = None

    def add(self, chunk: Any) -> bool:
        """Look at a chunk; True if it carried content."""
        if isinstance(chunk, str):
            self._texts.append(chunk)
            return bool(chunk)
        token = _get(chunk, "token")
        text = _get(token, "text")
        if isinstance(text, str) and not _get(token, "special"):
            self._texts.append(text)
        self._generated = _get(chunk, "generated_text") or self._generated
        self._details = _get(chunk, "details") or self._details
        return bool(text)

    def attributes(self) -> Dict[str, Any]:
        """What ``generation_answer`` would say of the whole."""
        answer: Dict[str, Any] = {"generated_text": self._generated or "".join(self._texts)}
        if self._details:
            answer["details"] = self._details
        return generation_answer(_dumps(answer), answer)


# Messages.


def _message(message: Mapping[str, Any]) -> Iterator[Tuple[str, Any]]:
    """A message of the chat API as OpenInference's flat names, without their prefix."""
    yield "role", str(message.get("role") or "user")
    content = message.get("content")
    if content and isinstance(content, str):
        yield "content", content
    else:
        # Thinking is no part of what is said. It is in the body.
        for index, part in enumerate(part for part in _objects(content) if "thinking" not in part):
            for key, value in _part(part):
                yield f"contents.{index}.message_content.{key}", value
    for name in ("name", "tool_call_id"):
        if isinstance(message.get(name), str):
            yield name, message[name]
    for index, call in enumerate(_objects(message.get("tool_calls"))):
        if isinstance(call.get("id"), str):
            yield f"tool_calls.{index}.tool_call.id", call["id"]
        function = call.get("function")
        if isinstance(function, Mapping):
            if isinstance(function.get("name"), str):
                yield f"tool_calls.{index}.tool_call.function.name", function["name"]
            arguments = function.get("arguments")
            if arguments is not None:
                text = arguments if isinstance(arguments, str) else _dumps(arguments)
                yield f"tool_calls.{index}.tool_call.function.arguments", text


def _part(part: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
    kind = part.get("type")
    image = part.get("image_url")
    if kind == "image_url" or image is not None:
        yield "type", "image"
        url = image.get("url") if isinstance(image, Mapping) else image
        if isinstance(url, str):
            yield "image.image.url", url
        return
    yield "type", str(kind or "text")
    if isinstance(part.get("text"), str):
        yield "text", part["text"]


def _objects(value: Any) -> List[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, (list, tuple)) else []


def _get(value: Any, name: str) -> Any:
    """A member of one of huggingface_hub's objects: an attribute, or an unknown one in its dictionary."""
    found = getattr(value, name, None)
    return value.get(name) if found is None and isinstance(value, dict) else found


def _index(value: Any, otherwise: int = 0) -> int:
    index = _get(value, "index")
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    return index if isinstance(index, int) else otherwise


def _text(value: Any) -> str:
    """The text of a text, of a part of structured content, or of a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return "".join(_text(part) for part in value)
    text = _get(value, "text")
    return text if isinstance(text, str) else _dumps(value)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
