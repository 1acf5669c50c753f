"""What an exception of a call says: its type, its kind out of a closed list, and the server's sentence. Pure.

Clients and HTTP libraries are known by the names of their classes, so none is imported: openai 1.66 to 3.x,
huggingface_hub 0.30 to 2.x, and httpx, httpx2, requests and aiohttp beneath them. docs/errors.md says of each kind what
to do about it.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Set

from hf_openobserve.process import diagnostics
from hf_openobserve.wire.error_kinds import BY_CLASS, KINDS, SEARCHED, kind_of

__all__ = ["KINDS", "SEARCHED", "Failure", "describe", "describe_answer", "error_type_of", "kind_of", "sentence_of"]

_LONGEST = 1000
"""Characters of a status message. A validation error may quote the whole request."""


class Failure(NamedTuple):
    """``kind`` is of ``KINDS``, or None where none fits honestly.

    ``headers`` are the answer's, None when there was none.
    """

    error_type: str
    message: str
    kind: Optional[str] = None
    status_code: Optional[int] = None
    headers: Optional[Mapping[str, Any]] = None


_CLIENTS = frozenset({"httpx", "httpx2", "httpcore", "requests", "urllib3", "aiohttp", "openai", "huggingface_hub"})

_TGI_ERRORS = {
    "GenerationError": "generation",
    "IncompleteGenerationError": "generation",
    "OverloadedError": "overloaded",
    "ValidationError": "validation",
}
"""huggingface_hub's classes for the ``error_type`` of Text Generation Inference."""


def describe(error: BaseException, *, streaming: bool = False) -> Failure:
    """The failure that ``error`` tells of; it never raises. streaming: the answer had begun when it came."""
    try:
        for source in _chain(error):
            response = getattr(source, "response", None)
            status_code = _status_of(source, response)
            if status_code is not None:
                return _answered(error, source, response, status_code, streaming)
        return _unanswered(error, streaming)
    except Exception:  # noqa: BLE001 - an exception such as nobody has written yet
        diagnostics.pass_the_programs_own()
        return Failure(error_type_of(error), type(error).__name__)


def describe_answer(what: str, body: Any, client_error: str, *, streaming: bool = False) -> Failure:
    """The failure that an answer under a 200 tells of: ``bodies.Refusal``'s word and body, or a page for people.

    client_error: ``error.type``, the class that the client raises for an error within an answer.
    """
    told = _read(body)
    status_code = told.status_code
    if what == "cancelled":
        kind: Optional[str] = "cancelled"
    else:
        kind = kind_of(status_code=status_code, sentence=told.sentence, codes=told.codes, streaming=streaming)
    message = f"{client_error.rpartition('.')[2]}: {told.sentence or what}"
    if what not in ("error", "failed"):
        message = f"{what}: {told.sentence}" if told.sentence and told.sentence != what else what
    return Failure(client_error, _bounded(message), kind or "server_error", status_code)


def error_type_of(error: BaseException) -> str:
    """``error.type``: the package and the class, ``huggingface_hub.HfHubHTTPError``; a builtin's bare name."""
    name = _class_name(type(error))
    return name[len("builtins.") :] if name.startswith("builtins.") else name


def _class_name(cls: type) -> str:
    return f"{str(cls.__module__).partition('.')[0]}.{cls.__qualname__}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: those of text generation have the HTTP error as their cause."""
    cause: Optional[BaseException] = error
    for _ in range(4):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__


def _status_of(source: Any, response: Any) -> Optional[int]:
    # aiohttp's errors have a "status", and no response.
    for owner, name in ((response, "status_code"), (source, "status_code"), (source, "status")):
        status_code = _as_status(getattr(owner, name, None))
        if status_code is not None:
            return status_code
    return None


def _as_status(value: Any) -> Optional[int]:
    if isinstance(value, str) and len(value) == 3 and value.isdigit():
        value = int(value)
    return int(value) if isinstance(value, int) and 100 <= value < 600 else None


def _answered(error: BaseException, source: Any, response: Any, status_code: int, streaming: bool) -> Failure:
    headers = getattr(source if response is None else response, "headers", None)
    if status_code < 400:  # the body is an answer, and none of an error message's business
        told, kind = _Body(_own_words(source)), "stream_broken" if streaming else None
    else:
        told = _read(*_bodies(source, response))
        told.codes.add(str(_header(headers, "x-error-code")).lower())
        url = getattr(response, "url", None) or getattr(getattr(source, "request_info", None), "real_url", "")
        kind = kind_of(status_code=status_code, sentence=told.sentence, codes=told.codes, url=str(url))
    phrase = _phrase(status_code)
    message = f"{type(error).__name__}: {status_code} {phrase}".rstrip()
    sentence = told.sentence or _clean(str(_header(headers, "x-error-message") or ""))
    if sentence.lower().rstrip(".") not in ("", phrase.lower(), f"{status_code} {phrase}".lower()):
        message += ": " + sentence
    return Failure(error_type_of(error), _bounded(message), kind, status_code, headers)


_WORDLESS = {
    "connection": "the connection was closed",
    "client_timeout": "no answer within the time that the client waits",
    "stream_broken": "the connection was closed before the end of the answer",
}
"""What to say where neither the error nor its cause has a word: httpx's ReadError of a reset has none."""


def _unanswered(error: BaseException, streaming: bool) -> Failure:
    said = error.args[0] if error.args else None
    # A text generation error has the server's object as its argument; openai's of a stream say "An error occurred".
    told = _read(said if isinstance(said, (Mapping, list)) else None, getattr(error, "body", None))
    name, said = type(error).__name__, told.sentence or _own_words(error)
    kind = _kind_of_class(error, said, told, streaming)
    if kind in _WORDLESS:
        said = _with_reason(error, said) or _WORDLESS[kind]
    return Failure(error_type_of(error), _bounded(f"{name}: {said}" if said else name), kind)


def _kind_of_class(error: BaseException, said: str, told: _Body, streaming: bool) -> Optional[str]:
    names = {_class_name(cls) for cls in type(error).__mro__}
    if isinstance(_inner(error), BaseException):
        # requests, whose ConnectionError a time out within a stream is.
        names |= {_class_name(cls) for cls in type(_inner(error)).__mro__} & {"urllib3.ReadTimeoutError"}
    for kind, classes in BY_CLASS:
        if names & classes:
            return "stream_broken" if kind == "connection" and streaming else kind
    package, _, name = _class_name(type(error)).partition(".")
    if package in _CLIENTS:
        codes = told.codes | {_TGI_ERRORS.get(name, "")}
        return kind_of(status_code=told.status_code, sentence=said, codes=codes, streaming=streaming)
    if streaming:  # a line that is no JSON or no text: of anything else the program itself may be the cause
        return "stream_broken" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else None
    if isinstance(error, (ValueError, TypeError)):  # what clients find out before they ask a server
        kind = kind_of(sentence=said)
        return kind if kind in ("model_not_supported", "auth_invalid") else None
    return None


# What errors and bodies say.


class _Body:
    """What was found in the bodies of an error: its sentence, its codes in lower case, and its own status."""

    def __init__(self, sentence: str = "") -> None:
        self.sentence = sentence
        self.codes: Set[str] = set()
        self.status_code: Optional[int] = None


def sentence_of(body: Any) -> str:
    """An error body's sentence: ``{"error": "..."}``, ``{"error": {"message": ...}}``, their relatives, text, HTML."""
    return _clean(_sentence(body, 0))


def _sentence(body: Any, depth: int) -> str:
    if depth > 6:
        return ""
    if isinstance(body, bytes):
        body = body[: 4 * SEARCHED].decode("utf-8", "replace")
    if isinstance(body, str):
        return _sentence_of_text(body, depth)
    if isinstance(body, (list, tuple)):
        return "; ".join(filter(None, (_sentence(item, depth + 1) for item in body[:5])))
    if isinstance(body, Mapping):
        return _sentence_of_object(body, depth)
    return ""


def _sentence_of_text(text: str, depth: int) -> str:
    text = text[: 16 * SEARCHED].strip()
    if text.startswith("<"):  # a gateway's page
        title = re.search(r"(?is)<title[^>]{0,200}>([^<]{0,500})", text[: 4 * SEARCHED])
        return title.group(1) if title else ""
    if text.startswith("{"):  # a provider's body as the message of the router's
        try:
            return _sentence(json.loads(text), depth + 1) or text
        except ValueError:
            return text
    return text


def _sentence_of_object(body: Mapping[Any, Any], depth: int) -> str:
    # FastAPI (transformers serve, vLLM) says "detail", and a list of {"loc": ..., "msg": ...} where a field is wrong.
    for name in ("error", "message", "errors", "detail", "msg", "error_description", "title", "code", "type"):
        sentence = _sentence(body.get(name), depth + 1)
        if not sentence:
            continue
        if name == "error" and isinstance(body[name], str) and len(sentence.split()) < 3:
            # A name ("invalid_grant", "Bad Request"), and beside it what it means.
            more = (_sentence(body.get(key), depth + 1) for key in ("error_description", "message", "detail"))
            return ": ".join(dict.fromkeys([sentence, *filter(None, more)]))
        place = [str(part) for part in body.get("loc") or () if part != "body"] if name == "msg" else []
        return f"{'.'.join(place)}: {sentence}" if place else sentence
    return ""


def _read(*bodies: Any) -> _Body:
    """What the bodies say. The first that has a sentence gives it; codes are taken from all."""
    told = _Body()
    for body in bodies:
        told.sentence = told.sentence or sentence_of(body)
        _collect(body, told, 0)
    return told


def _collect(body: Any, told: _Body, depth: int) -> None:
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, Mapping) or depth > 4:
        return
    for name in ("code", "type", "error_type", "error_code", "reason", "status", "status_code"):
        value = body.get(name)
        if isinstance(value, str):
            told.codes.add(value[:100].lower())
        status_code = _as_status(value)
        if status_code is not None and status_code >= 400:
            told.status_code = told.status_code or status_code
    if isinstance(body.get("estimated_time"), (int, float)):
        told.codes.add("model_loading")  # hf-inference says how long it will take
    for name in ("error", "detail", "message"):
        _collect(body.get(name), told, depth + 1)


def _bodies(source: Any, response: Any) -> List[Any]:
    """What may be the body of the answer, best first. Nothing is read from the network."""
    bodies = [getattr(source, "response_error_payload", None)]  # put there by huggingface_hub for aiohttp's errors
    # requests would read a stream that nobody has read; httpx refuses to.
    if response is not None and getattr(response, "_content", None) is not False:
        bodies.append(_body_of(response))
    bodies.append(getattr(source, "body", None))  # openai's, without what stands around the "error" in it
    bodies.append(getattr(source, "server_message", None))  # huggingface_hub's
    return bodies


def _body_of(response: Any) -> Any:
    try:
        return response.json()
    except Exception:  # noqa: BLE001 - no JSON
        diagnostics.pass_the_programs_own()
        try:
            return response.text
        except Exception:  # noqa: BLE001 - not read
            diagnostics.pass_the_programs_own()
            return None


def _header(headers: Any, name: str) -> Any:
    return headers.get(name) if hasattr(headers, "get") else None


def _own_words(error: Any) -> str:
    message = getattr(error, "message", None)  # aiohttp's text has the address around it
    return _clean(message if isinstance(message, str) and message else str(error))


def _inner(error: BaseException) -> Any:
    """What requests was told by urllib3, beneath what it says of its retries."""
    inner = error.args[0] if error.args else None
    return getattr(inner, "reason", None) or inner


def _with_reason(error: BaseException, said: str) -> str:
    """``said``, and why: openai's "Connection error." is all that its errors say of a name that cannot be resolved."""
    inner = _inner(error)
    if isinstance(inner, BaseException):  # requests only repeats it
        what: Any = inner.args[0] if inner.args else None
        if not isinstance(what, str) or not isinstance(inner.args[-1], Exception):
            return _clean(str(inner))
        # urllib3's ("Connection aborted.", the reason), or ("Connection broken: the reason", the reason)
        return _clean(f"{what[:-1]}: {inner.args[-1]}" if what.endswith(".") else what)
    cause, name = error.__cause__, type(error.__cause__).__name__
    if _class_name(type(cause)).partition(".")[0] not in _CLIENTS or name == type(error).__name__:
        return said  # no cause, or httpcore's, which httpx names and quotes
    reason = _own_words(cause)
    if not reason or reason.lower() in said.lower():
        return said if name in said else f"{said.rstrip('.')} ({name})".lstrip()
    return f"{said.rstrip('.')}: {reason}"


_NOISE = (
    (r"<[^<>]{1,200} object at 0x[0-9a-f]+>(: )?|HTTPS?Connection(Pool)?\(host=[^()]{1,300}\): ", ""),
    (r"(?<=://)[^\s/?#@]{1,300}@", ""),
    (r"(://[^\s?#'\"<>]{1,300})[?#][^\s'\"<>)]*", r"\1"),
)
"""What tells a person nothing, and what of a URL may be a credential: its user and its query."""


def _clean(text: str) -> str:
    text = " ".join(text[: 16 * SEARCHED].split())[:SEARCHED]
    for pattern, replacement in _NOISE:
        text = re.sub(pattern, replacement, text)
    return text


def _bounded(message: str) -> str:
    return message if len(message) <= _LONGEST else message[: _LONGEST - 3] + "..."


def _phrase(status_code: int) -> str:
    try:
        return HTTPStatus(status_code).phrase
    except ValueError:
        return ""
