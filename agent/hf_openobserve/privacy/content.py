"""What is left of a record when content is hidden: all of it, or what ``OPENINFERENCE_HIDE_*`` names.

An attribute is judged by its name. Of names that are known to carry content, what is hidden goes; of other names under
the namespaces of LLM tools, only numbers and labels stay, since nobody can say which text they hold. Hidden attributes
are removed, not replaced: the server estimates tokens from any input text, also from ``__REDACTED__``.
"""

from __future__ import annotations

import functools
import json
import re
from collections import abc
from typing import Any, Callable, Dict, FrozenSet, Mapping, Set

from hf_openobserve.row.record import SpanRecord

REDACTED = "__REDACTED__"
"""OpenInference's own replacement, used where a message keeps its role and loses its text."""


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


_GONE: Any = object()

_Judge = Callable[[str, Any, FrozenSet[str]], Any]
"""(name, value, what is hidden) -> what is left of the value, ``_GONE`` if nothing."""

_IN = _words("INPUTS INPUT_MESSAGES INPUT_TEXT")
_OUT = _words("OUTPUTS OUTPUT_MESSAGES OUTPUT_TEXT")
_PROMPT = _IN | {"PROMPTS"}
_TEXT = _PROMPT | _OUT | {"CHOICES"}
"""With one of these hidden, names that nobody knows go."""

_IN_ERRORS = _TEXT | _words(
    "LLM_TOOLS EMBEDDINGS_TEXT RETRIEVAL_DOCUMENTS INPUT_IMAGES LLM_INVOCATION_PARAMETERS",
)
"""With one of these hidden, what errors say goes: servers echo what they were sent, and stack traces show source lines.
"""


def hide(record: SpanRecord, hidden: FrozenSet[str]) -> None:
    """Remove what is hidden, in place, from attributes, events, links and the status message."""
    hidden = _on_this_span(record, hidden)
    if hidden & _IN_ERRORS:
        record.status_message = _error_class(record)
    record.attributes = _left(record.attributes, hidden)
    record.events = [event._replace(attributes=_left(event.attributes, hidden, event.name)) for event in record.events]
    record.links = [link._replace(attributes=_left(link.attributes, hidden)) for link in record.links]


def _on_this_span(record: SpanRecord, hidden: FrozenSet[str]) -> FrozenSet[str]:
    """``hidden`` with what it means on this kind of span: to hide a completion's prompts is to hide its inputs."""
    attributes = record.attributes
    operation, kind = attributes.get("gen_ai.operation.name"), attributes.get("openinference.span.kind")
    completion = operation != "chat" and kind in (None, "LLM")
    more: Set[str] = set()
    if "PROMPTS" in hidden and (completion or _has_prompt(attributes.get("input.value"))):
        more.add("INPUTS")
    if "EMBEDDINGS_TEXT" in hidden and (operation == "embeddings" or kind == "EMBEDDING"):
        more.add("INPUTS")
    if "CHOICES" in hidden and completion:
        more.add("OUTPUTS")
    if "RETRIEVAL_DOCUMENTS" in hidden and (operation == "retrieval" or kind in ("RETRIEVER", "RERANKER")):
        more.add("OUTPUTS")
    # The completions API then repeats the prompt at the head of each answer.
    if hidden & _PROMPT and re.search(r'"echo"\s*:\s*true', str(attributes.get("llm.invocation_parameters"))):
        more.add("OUTPUTS")
    return hidden | more


def _has_prompt(request: Any) -> bool:
    """Whether a request has one, as those for images do. One that cannot be read may have."""
    body = _loaded(request)
    return body is _GONE or (isinstance(body, dict) and "prompt" in body)


def _left(attributes: Mapping[str, Any], hidden: FrozenSet[str], event: str = "") -> Dict[str, Any]:
    # The conventions' message events name their attributes by one word each: role, content, ...
    namespace = "gen_ai." if event.startswith("gen_ai.") else ""
    left = {}
    for key, value in attributes.items():
        name = namespace + key if namespace and "." not in key else key
        rest = _judge(name)(name, value, hidden)
        if rest is not _GONE:
            left[key] = rest
    if hidden & _IN_ERRORS:
        left.update(_error_left(attributes))
    return left


@functools.lru_cache(maxsize=1024)
def _judge(name: str) -> _Judge:
    if name in _LABELS or name.startswith(_LABEL_PREFIXES):
        return _keep
    if name in _ERRORS or name.endswith((".message", "_message", "-message")):
        return _gone_with(_IN_ERRORS)
    known = name
    while known:  # the name itself, or the nearest one it is under
        if known in _KNOWN:
            return _KNOWN[known]
        known = known.rpartition(".")[0]
    return _llm_tools if name.startswith(_NAMESPACES) else _anybodys


def _keep(_name: str, value: Any, _hidden: FrozenSet[str]) -> Any:
    return value


def _gone_with(hiding: FrozenSet[str]) -> _Judge:
    return lambda _name, value, hidden: _GONE if hidden & hiding else value


def _documents(hiding: FrozenSet[str]) -> _Judge:
    """They keep their ids and scores."""

    def judge(name: str, value: Any, hidden: FrozenSet[str]) -> Any:
        stays = not hidden & hiding or _is_number(value) or (name.endswith(".id") and _is_word(value))
        return value if stays else _GONE

    return judge


# ------------------------------------------------------------------------------------------------ names nobody knows


_LABELS = _words(
    """
    openinference.span.kind input.mime_type output.mime_type llm.model_name embedding.model_name
    llm.request.parameters.model gen_ai.request.model gen_ai.response.model gen_ai.conversation.id
    llm.prompt_template.version session.id user.id metadata tag.tags
    """
)
_LABEL_PREFIXES = (
    "metadata.",
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "langfuse.trace.metadata",
    "langfuse.observation.metadata",
)
"""What the application itself names a span by stays."""

_NAMESPACES = tuple(
    _words(
        """
        agent. ai. annotation audio. completion. crewai. decision. document. dspy. embedding. evaluation
        gcp.vertex.agent. gen_ai. gen_ai_ haystack. image. input. langchain. langfuse. langgraph. langsmith. lk.
        llama_index. llm. llm_ message. message_content. mlflow. openai. output. prompt. pydantic_ai. reranker.
        retrieval. session.annotations session.evaluations smolagents. tool. tool_call. trace.annotations
        trace.evaluations traceloop. video.
        """
    )
)
_LABEL_WORDS = _words(
    """
    annotator_kind api_base base_url encoding_format encoding_formats finish_reason finish_reasons format framework id
    kind label language mime_type model model_name operation provider role service_tier status stop_reason system
    system_fingerprint tier type vendor version
    """
)
"""Last words of names whose value, if it is one word, is a label."""

_CONTENT_WORDS = _words(
    """
    answer arguments body completion completions content contents input inputs instruction instructions message messages
    output outputs prompt prompts query question reply response text texts transcript transcription
    """
)
"""Last words of names, whoever gave them, whose value is text of somebody's: ``answer``, ``system_prompt``."""

_CONTENT_NAMES = _words(
    """
    all_messages_events crew_agents crew_tasks events final_result formatted_description input_value output_value
    request_data response_data
    """
)
"""Names that the instrumentors of CrewAI, Pydantic AI and others use without a namespace."""

_WORD = re.compile(r"[\w.:/@+~=-]{1,256}\Z", re.ASCII)


def _is_word(value: Any) -> bool:
    """One word, as labels are: no prose gets through, whatever an instrumentor puts under a name."""
    return isinstance(value, str) and _WORD.match(value) is not None


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


def _is_label(name: str, value: Any) -> bool:
    last = name.rpartition(".")[2].lower()
    if _is_number(value):
        return True
    if last == "name":
        return isinstance(value, str) and len(value) <= 256 and value.isprintable()
    return last in _LABEL_WORDS and all(map(_is_word, value if isinstance(value, (list, tuple)) else (value,)))


def _says_text(name: str, value: Any) -> bool:
    if _is_number(value) or name.startswith(("db.", "url.")):
        return False
    last = name.rpartition(".")[2].lower()
    pieces = last.split("_")
    return (
        pieces[-1] in _CONTENT_WORDS
        or "prompt" in pieces
        or "completion" in pieces
        or last in _CONTENT_NAMES
        or (isinstance(value, abc.Mapping) and any(_says_text(member, item) for member, item in value.items()))
    )


def _llm_tools(name: str, value: Any, hidden: FrozenSet[str]) -> Any:
    if hidden & _TEXT:
        return value if _is_label(name, value) else _GONE
    return _reshaped(value, _without_images) if "INPUT_IMAGES" in hidden and isinstance(value, str) else value


def _anybodys(name: str, value: Any, hidden: FrozenSet[str]) -> Any:
    return _llm_tools(name, value, hidden) if _says_text(name, value) else value


# ------------------------------------------------------------------------------------------------ errors


_ERRORS = _words(
    """
    code.stacktrace error.details error.stack error.stack_trace error.stacktrace error.type exception.stacktrace
    exception.type hf.error.body otel.status_description
    """
)
_FRAME = re.compile(r'  File "[^"\n]{1,1024}", line \d+, in [\w<>.]+\Z')


def _error_class(record: SpanRecord) -> str:
    """``RateLimitError`` of ``RateLimitError: Error code ...``; nothing of a text that does not begin with its type."""
    head = record.status_message.partition(":")[0].strip()
    types = [record.attributes.get("error.type"), *(event.attributes.get("exception.type") for event in record.events)]
    return head if _is_word(head) and any(("." + str(name)).endswith("." + head) for name in types) else ""


def _error_left(attributes: Mapping[str, Any]) -> Dict[str, Any]:
    """Of an error its type, also in place of its message, and the frames of its stack trace."""
    left = {name: attributes[name] for name in ("error.type", "exception.type") if _is_word(attributes.get(name))}
    message = str(attributes.get("exception.message", ""))
    if message and "exception.type" in left:
        left["exception.message"] = left["exception.type"]
    frames = _frames(str(attributes.get("exception.stacktrace", "")), message)
    if frames:
        left["exception.stacktrace"] = frames
    return left


def _frames(stack: str, message: str) -> str:
    """The ``File`` lines of a Python stack trace: no source line, no exception text.

    A text that quotes a traceback must not pass for one: frames count only from a ``Traceback`` header to the first
    line that is not indented (with it the exception's text begins), and a message of several lines is cut out before.
    """
    if "\n" in message:
        stack = stack.replace(message, "")
    kept, in_frames = [], True
    for line in stack.split("\n"):
        if line[:1] not in ("", " "):
            in_frames = line.startswith("Traceback (most recent call last)")
        elif in_frames and _FRAME.match(line):
            kept.append(line)
    return "\n".join(kept)


# ------------------------------------------------------------------------------------------------ known names


def _loaded(value: Any) -> Any:
    """The JSON value of a text that looks like an object or array, ``_GONE`` if it is none; any other value itself."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _GONE


def _reshaped(value: Any, change: Callable[[Any], Any]) -> Any:
    """JSON in, JSON out. What cannot be read, or is nested too deep, goes."""
    body = _loaded(value)
    try:
        body = body if body is _GONE else change(body)
        # ASCII: a lone surrogate of the original stays an escape, and can be encoded.
        return json.dumps(body) if isinstance(value, str) and isinstance(body, (dict, list)) else body
    except RecursionError:
        return _GONE


def _pruned(value: Any, is_hidden: Callable[[str, Any], bool]) -> Any:
    """Without the members, at any depth, that are hidden."""
    if isinstance(value, dict):
        return {name: _pruned(item, is_hidden) for name, item in value.items() if not is_hidden(name, item)}
    return [_pruned(item, is_hidden) for item in value] if isinstance(value, (list, tuple)) else value


_IMAGE_TYPES = ("image", "image_url", "input_image", "image_file")  # no set: a JSON schema's type may be a list
_IMAGE_KEYS = _words("image images image_url image_urls mask b64_json input_image")


def _is_image(part: Mapping[str, Any]) -> bool:
    return part.get("type") in _IMAGE_TYPES or part.get("modality") == "image"


def _without_images(value: Any) -> Any:
    """An image part keeps its type; members that hold images, and data URIs wherever they stand, go."""
    if isinstance(value, dict):
        if _is_image(value):
            return {name: value[name] for name in ("type", "modality", "mime_type") if name in value}
        return {name: _without_images(item) for name, item in value.items() if name not in _IMAGE_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_images(item) for item in value]
    return REDACTED if isinstance(value, str) and "data:image" in value else value


_OUTLINE = _words("role type name id index tool_call_id finish_reason modality mime_type")
_IMAGE_MEMBERS = _OUTLINE | _words("image_url image url uri detail file_id content")


def _outline(value: Any) -> Any:
    """Messages, or one, or a part of one, without text: roles, types, names, ids and images.

    An allow-list, not a search.
    """
    if isinstance(value, (list, tuple)):
        return [_outline(item) for item in value]
    if not isinstance(value, dict):
        return REDACTED if value else value
    if _is_image(value):
        return {name: value[name] for name in _IMAGE_MEMBERS if name in value}
    left = {name: value[name] for name in _OUTLINE if isinstance(value.get(name), int) or _is_word(value.get(name))}
    for name in ("text", "content", "parts", "tool_calls", "function", "arguments"):
        if name in value:
            left[name] = _outline(value[name])
    return left


def _messages(whole: FrozenSet[str], text: str, images: str = "") -> _Judge:
    """``gen_ai.input.messages`` and its like: JSON."""

    def judge(_name: str, value: Any, hidden: FrozenSet[str]) -> Any:
        def change(body: Any) -> Any:
            if images in hidden:
                body = _without_images(body)
            return _outline(body) if text in hidden else body

        if hidden & whole:
            return _GONE
        return _reshaped(value, change) if text in hidden or images in hidden else value

    return judge


def _indexed_messages(whole: FrozenSet[str], text: str, images: str = "") -> _Judge:
    """``llm.input_messages.N.*`` and its like, as spans around calls have them: of calls, ``columns`` leaves none."""

    def judge(name: str, value: Any, hidden: FrozenSet[str]) -> Any:
        is_image = ".message_content.image" in name
        if hidden & whole or (is_image and images in hidden):
            return _GONE
        return value if text not in hidden or is_image or _is_label(name, value) else _GONE

    return judge


_WORD_PARAMETERS = _words(
    """
    encoding_format encoding_formats id language level model output_format quality reasoning_effort response_format
    service_tier size style tool_choice truncation verbosity voice
    """
)


def _holds_no_prompt(name: str, value: Any) -> bool:
    """Whether a parameter is a number, or a word that chooses.

    Images, speech and others have their prompt among them.
    """
    words = value if name == "encoding_formats" and isinstance(value, (list, tuple)) else (value,)
    return _is_number(value) or (name in _WORD_PARAMETERS and all(map(_is_word, words)))


def _parameter(name: str, value: Any, hidden: FrozenSet[str]) -> Any:
    """``llm.request.parameters.<name>``, ``gen_ai.request.<name>``."""
    if "LLM_INVOCATION_PARAMETERS" in hidden:
        return _GONE
    return value if not hidden & _PROMPT or _holds_no_prompt(name.rpartition(".")[2], value) else _GONE


def _parameters(_name: str, value: Any, hidden: FrozenSet[str]) -> Any:
    """``llm.invocation_parameters``."""

    def change(body: Any) -> Any:
        if not isinstance(body, dict):
            return _GONE
        if hidden & _PROMPT:
            body = {name: item for name, item in body.items() if _holds_no_prompt(name, item)}
        if "LLM_TOOLS" in hidden:
            body = {name: item for name, item in body.items() if name not in _TOOLS}
        return _without_images(body) if "INPUT_IMAGES" in hidden else body

    if "LLM_INVOCATION_PARAMETERS" in hidden:
        return _GONE
    return _reshaped(value, change) if hidden & (_PROMPT | {"LLM_TOOLS", "INPUT_IMAGES"}) else value


_TOOLS = _words("tools functions")
_VECTORS = _words("embedding embeddings vector vectors")
_MEMBERS = {"LLM_TOOLS": _TOOLS, "INPUTS": _TOOLS, "EMBEDDINGS_VECTORS": _VECTORS, "EMBEDDING_VECTORS": _VECTORS}
"""Members of a body, at any depth, that go with what is hidden."""

_NO_PARAMETERS = _words(
    """
    choices created created_at data documents error functions id input inputs instructions messages model object output
    prompt query status suffix tools usage
    """
)
"""Members of a request, or of an answer (the Responses API repeats the parameters there), that are no parameters."""

_ECHOES = _words("input inputs instructions messages prefill query request __verbose")


def _is_echo(name: str, item: Any) -> bool:
    """What answers repeat: ``instructions`` (Responses), ``revised_prompt`` (images), ``prompt_logprobs`` (vLLM) ...

    Token counts have "prompt" in their name, too, and stay.
    """
    return name in _ECHOES or ("prompt" in name and "_tokens" not in name and not _is_number(item))


def _body(whole: FrozenSet[str], *, of_request: bool) -> _Judge:
    """The body of a request, or of an answer, from which goes too what it repeats of the request."""

    def judge(_name: str, value: Any, hidden: FrozenSet[str]) -> Any:
        if hidden & whole:
            return _GONE
        members: Set[str] = set().union(*(_MEMBERS[name] for name in hidden if name in _MEMBERS))
        images = of_request and "INPUT_IMAGES" in hidden
        echoes = not of_request and bool(hidden & _PROMPT)
        parameters = "LLM_INVOCATION_PARAMETERS" in hidden

        def change(body: Any) -> Any:
            if parameters and isinstance(body, dict) and "model" in body:  # else it is none of a model
                body = {name: item for name, item in body.items() if name in _NO_PARAMETERS}
            body = _pruned(body, lambda name, item: name in members or (echoes and _is_echo(name, item)))
            return _without_images(body) if images else body

        return _reshaped(value, change) if members or images or echoes or parameters else value

    return judge


_TOOL_DEFINITIONS = _words("INPUTS LLM_TOOLS")

_KNOWN: Dict[str, _Judge] = {
    name: judge
    for names, judge in (
        (
            "input.value gen_ai.system_instructions gen_ai.prompt gen_ai.content.prompt traceloop.entity.input",
            _body(_IN, of_request=True),
        ),
        (
            "output.value gen_ai.completion gen_ai.content.completion traceloop.entity.output",
            _body(_OUT, of_request=False),
        ),
        ("gen_ai.input.messages", _messages(_words("INPUTS INPUT_MESSAGES"), "INPUT_TEXT", "INPUT_IMAGES")),
        ("gen_ai.output.messages", _messages(_words("OUTPUTS OUTPUT_MESSAGES"), "OUTPUT_TEXT")),
        ("llm.input_messages", _indexed_messages(_words("INPUTS INPUT_MESSAGES"), "INPUT_TEXT", "INPUT_IMAGES")),
        ("llm.output_messages", _indexed_messages(_words("OUTPUTS OUTPUT_MESSAGES"), "OUTPUT_TEXT")),
        ("llm.invocation_parameters embedding.invocation_parameters", _parameters),
        ("llm.request.parameters gen_ai.request", _parameter),
        ("llm.prompt_template", _gone_with(_PROMPT)),
        ("input.images", _gone_with(_words("INPUTS INPUT_IMAGES"))),
        ("output.images", _gone_with(_words("OUTPUTS"))),
        ("llm.tools tool.description tool.json_schema gen_ai.tool.definitions", _gone_with(_TOOL_DEFINITIONS)),
        ("gen_ai.tool.description gen_ai.request.tools llm.request.functions", _gone_with(_TOOL_DEFINITIONS)),
        ("ai.prompt.tools mlflow.chat.tools", _gone_with(_TOOL_DEFINITIONS)),
        (
            "llm.function_call gen_ai.tool.call.arguments gen_ai.tool.call.result tool.parameters",
            _gone_with(_IN | _OUT),
        ),
        ("reranker.input_documents", _documents(_words("INPUTS INPUT_TEXT RETRIEVAL_DOCUMENTS"))),
        (
            "retrieval.documents reranker.output_documents gen_ai.retrieval.documents db.query.result",
            _documents(_words("OUTPUTS OUTPUT_TEXT RETRIEVAL_DOCUMENTS")),
        ),
        ("db.query.embeddings", _gone_with(_words("EMBEDDINGS_VECTORS EMBEDDING_VECTORS"))),
    )
    for name in names.split()
}
"""For each name itself and the names under it."""
