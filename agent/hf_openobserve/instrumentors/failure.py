"""What an exception of a call says: its type, the status, and the sentence of the server as a person would write it.

``HfHubHTTPError`` (httpx, httpx2 or requests beneath), aiohttp's errors, and those of text generation, which carry the
HTTP error as their cause.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Iterator, Mapping, NamedTuple, Optional


class Failure(NamedTuple):
    """``headers`` are the answer's, None when there was none."""

    error_type: str
    message: str
    status_code: Optional[int] = None
    headers: Optional[Mapping[str, Any]] = None


def describe(error: BaseException) -> Failure:
    """The failure that ``error`` tells of."""
    status_code, headers, sentence = None, None, ""
    for source in _sources(error):
        response = getattr(source, "response", None)
        status = getattr(response, "status_code", None) or getattr(source, "status", None)
        if isinstance(status, int):
            status_code = status
            headers = getattr(response, "headers", None) if response is not None else getattr(source, "headers", None)
            sentence = _sentence_of_response(source, response)
            break
    name = type(error).__name__
    if status_code is None:
        said = _own_words(error)
        return Failure(error_type_of(error), f"{name}: {said}" if said else name)
    message = f"{name}: {status_code} {_phrase(status_code)}".rstrip()
    return Failure(error_type_of(error), f"{message}: {sentence}" if sentence else message, status_code, headers)


def error_type_of(error: BaseException) -> str:
    """``error.type``: the package and the class, ``huggingface_hub.HfHubHTTPError``; a builtin's bare name."""
    package = type(error).__module__.partition(".")[0]
    return type(error).__qualname__ if package == "builtins" else f"{package}.{type(error).__qualname__}"


def sentence_of(body: Any) -> str:
    """The sentence in an error body: ``{"error": "..."}``, ``{"error": {"message": ...}}``, and their relatives."""
    if isinstance(body, str):
        return " ".join(body.split())
    if isinstance(body, (list, tuple)):
        return "; ".join(filter(None, (sentence_of(item) for item in body)))
    if isinstance(body, Mapping):
        # FastAPI (transformers serve, vLLM) says "detail", and a list of {"msg": ...} where a field is wrong.
        for name in ("error", "message", "errors", "detail", "msg", "error_description"):
            sentence = sentence_of(body.get(name))
            if sentence:
                return sentence
    return ""


def _sources(error: BaseException) -> Iterator[BaseException]:
    yield error
    if error.__cause__ is not None:
        yield error.__cause__


def _sentence_of_response(error: Any, response: Any) -> str:
    payload = getattr(error, "response_error_payload", None)  # put there by huggingface_hub for aiohttp's errors
    if payload is None and response is not None:
        try:
            payload = response.json()
        except Exception:  # noqa: BLE001 - not JSON, or a stream that nobody has read
            payload = None
    return sentence_of(payload) or sentence_of(getattr(error, "server_message", None))


def _own_words(error: BaseException) -> str:
    # A text generation error has the server's object as its argument, where that sent one.
    if error.args and isinstance(error.args[0], Mapping):
        return sentence_of(error.args[0])
    return " ".join(str(error).split())


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return ""
