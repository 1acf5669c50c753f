"""Inference API requests and answers as OpenInference attributes, in openinference-instrumentation-openai's shape.

Pure. Formats: the OpenAI-compatible chat completion, Text Generation Inference's generation (and its OpenAI-compatible
form at some providers), feature extraction and sentence similarity. What a body does not say has no attribute.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from hf_openobserve.wire.bodies import NOT_PARAMETERS, as_json, sent, tool_calls
from hf_openobserve.wire.member import objects
from hf_openobserve.wire.usage import counts_of, usage_of

JSON = "application/json"
REDACTED = "__REDACTED__"

_DECODER = json.JSONDecoder()


class Images(NamedTuple):
    """What of the images in a request may be recorded, by OpenInference's ``TraceConfig``."""

    hidden: bool = False
    max_length: int = 32_000
    """Characters of a base64 data URI; a longer one is replaced."""


ANY_IMAGES = Images(max_length=sys.maxsize)


# Requests.


def request(body: Mapping[str, Any], messages: Optional[str] = None) -> Dict[str, Any]:
    """Attributes of a request of any OpenAI API, but for its ``messages``; their JSON is taken where it is known."""
    if messages is not None and "tools" not in body and "data:image/" not in messages:
        others = _parameters(body, None, ("messages",))
        text = f'{{"messages": {messages}, {others[1:]}' if len(others) > 2 else f'{{"messages": {messages}}}'
        return {"llm.invocation_parameters": others, "input.value": text, "input.mime_type": JSON}
    if isinstance(body.get("messages"), list):
        return chat_request(body, None, ANY_IMAGES)
    parameters = {name: value for name, value in body.items() if name not in NOT_PARAMETERS}
    attributes = {"llm.invocation_parameters": as_json(parameters), **_input(body, ANY_IMAGES)}
    prompts = body.get("prompt")
    for index, prompt in enumerate(prompts if isinstance(prompts, list) else [prompts]):
        if isinstance(prompt, str):
            attributes[f"llm.prompts.{index}.prompt.text"] = prompt
    return attributes


def chat_request(body: Mapping[str, Any], model: Optional[str], images: Images) -> Dict[str, Any]:
    """Attributes of a chat completion's request. ``model`` is the name the program used for it."""
    parameters = _parameters(body, model, ("messages", "tools"))
    return {"llm.invocation_parameters": parameters, **_input(body, images)}


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
    return as_json({"model": named, **rest} if named else rest)


def _input(body: Mapping[str, Any], images: Images) -> Dict[str, Any]:
    text = as_json(body)
    if "data:image/" in text and (images.hidden or len(text) > images.max_length):
        text = as_json(_without_images(body, -1 if images.hidden else images.max_length))
    return {"input.value": text, "input.mime_type": JSON}


def _without_images(value: Any, max_length: int) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_images(item, max_length) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_images(item, max_length) for item in value]
    if isinstance(value, str) and value.startswith("data:image/") and len(value) > max_length:
        return REDACTED
    return value


def messages(body: Mapping[str, Any], answer: Mapping[str, Any], *, of_responses: bool = False) -> Dict[str, Any]:
    """The messages of a chat's request and answer and the tools offered, one attribute for each thing said."""
    attributes: Dict[str, Any] = {}
    asked = sent(body) if of_responses else objects(body.get("messages"))
    for index, message in enumerate(asked):
        for key, value in _message(message):
            attributes[f"llm.input_messages.{index}.message.{key}"] = value
    for index, tool in enumerate(objects(body.get("tools"))):
        attributes[f"llm.tools.{index}.tool.json_schema"] = as_json(tool)
    for index, choice in enumerate(objects(answer.get("choices"))):
        said = choice.get("message")
        if isinstance(said, Mapping):
            for key, value in _message(said):
                attributes[f"llm.output_messages.{index}.message.{key}"] = value
    return attributes


# Answers. Each takes the body's text and what it parses to.


def answer(body: Mapping[str, Any], text: Optional[str] = None) -> Dict[str, Any]:
    """Attributes of an answer of any API of OpenAI's, but for its ``messages``. text: the body's, if that is known."""
    text = as_json(body) if text is None else text
    if any("text" in choice for choice in objects(body.get("choices"))):
        return generation_answer(text, body)
    return chat_answer(text, body)


def chat_answer(text: str, answer: Any) -> Dict[str, Any]:
    """Attributes of a chat completion."""
    attributes: Dict[str, Any] = {}
    if not isinstance(answer, Mapping):
        return _output(text)
    choices = objects(answer.get("choices"))
    if choices and choices[0].get("finish_reason"):
        attributes["llm.finish_reason"] = str(choices[0]["finish_reason"])
    attributes.update(_model(answer.get("model"), "llm.model_name"))
    attributes.update(_output(text))
    attributes.update(usage_attributes(usage_of(answer)))
    return attributes


def generation_answer(text: str, answer: Any) -> Dict[str, Any]:
    """Attributes of a generation: a list of one, an object, or an OpenAI-compatible completion."""
    answer = answer[0] if isinstance(answer, list) and answer else answer
    if not isinstance(answer, Mapping):
        return _output(text)
    attributes: Dict[str, Any] = {}
    texts = [answer["generated_text"]] if isinstance(answer.get("generated_text"), str) else []
    reasons: List[Any] = []
    for choice in objects(answer.get("choices")):
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
    attributes.update(usage_attributes(usage_of(answer)))
    return attributes


def members_behind_media(body: bytes) -> Dict[str, Any]:
    """Model, usage and error of an answer, where a provider's form has them. Vectors and media are not parsed."""
    members = {name: _member(body, f'"{name}"'.encode()) for name in ("model", "usage", "error")}
    return {name: value for name, value in members.items() if value is not None}


def embedding_answer(answer: Mapping[str, Any]) -> Dict[str, Any]:
    """Attributes of ``members_behind_media``."""
    return {**_model(answer.get("model"), "embedding.model_name"), **usage_attributes(answer.get("usage"))}


def shape_output(result: Any) -> Dict[str, Any]:
    """In place of vectors, what they are: the shape and the type of the array that the client returned."""
    shape = getattr(result, "shape", None)
    if not isinstance(shape, tuple):
        return {}
    return _output(as_json({"shape": [int(size) for size in shape], "dtype": str(getattr(result, "dtype", ""))}))


def value_output(result: Any) -> Dict[str, Any]:
    """The answer itself, where it is small."""
    return _output(as_json(result))


def usage_attributes(usage: Any) -> Dict[str, Any]:
    """Token counts of a ``usage``, as far as it has them."""
    return {"llm.token_count." + name: count for name, count in counts_of(usage).items()}


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


# Messages.


def _message(message: Mapping[str, Any]) -> Iterator[Tuple[str, Any]]:
    """A message of the chat API as OpenInference's flat names, without their prefix."""
    yield "role", str(message.get("role") or "user")
    content = message.get("content")
    if content and isinstance(content, str):
        yield "content", content
    else:
        # Thinking is no part of what is said. It is in the body.
        for index, part in enumerate(part for part in objects(content) if "thinking" not in part):
            for key, value in _part(part):
                yield f"contents.{index}.message_content.{key}", value
    for name in ("name", "tool_call_id"):
        if isinstance(message.get(name), str):
            yield name, message[name]
    for index, call in enumerate(tool_calls(message)):
        if call.get("id") is not None:
            yield f"tool_calls.{index}.tool_call.id", str(call["id"])
        for name, value in call["function"].items():
            yield f"tool_calls.{index}.tool_call.function.{name}", str(value)


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
