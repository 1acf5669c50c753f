"""The last stage before a record is encoded: what it lets through reaches the disk and the server. Pure.

Always: secrets are masked; base64 media and embedding vectors become type, size and digest. On demand: content is
removed, all of it (``OPENOBSERVE_HF_CAPTURE_CONTENT=none``) or what ``OPENINFERENCE_HIDE_*`` names, on any span, by
attribute name.
"""

from __future__ import annotations

import re
from collections import abc
from typing import Any, Callable, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Pattern, Tuple

from hf_openobserve.config.environment_variables import HF_TOKEN_VARIABLES, OPENINFERENCE_HIDE_PREFIX
from hf_openobserve.privacy import cut, literals, masking, media
from hf_openobserve.privacy import secrets as credentials
from hf_openobserve.row.record import CUT_BYTES, SpanRecord

_VECTORS = frozenset(("EMBEDDINGS_VECTORS", "EMBEDDING_VECTORS"))

_ALL_CONTENT = _VECTORS.union(
    ("INPUTS", "INPUT_MESSAGES", "INPUT_TEXT", "INPUT_IMAGES", "OUTPUTS", "OUTPUT_MESSAGES", "OUTPUT_TEXT"),
    ("PROMPTS", "CHOICES", "LLM_TOOLS", "EMBEDDINGS_TEXT", "RETRIEVAL_DOCUMENTS"),
)
"""What ``none`` hides. Parameters are no content; of them, those of sampling stay."""

HIDE_NAMES = _ALL_CONTENT | {"LLM_INVOCATION_PARAMETERS"}
"""Suffixes of ``OPENINFERENCE_HIDE_*`` known to any OpenInference from 0.1.27 to 0.1.72."""

_TOGETHER = 1 << 20
"""Characters. Beyond, each text is cleaned by itself: the joined one is a copy."""

_MESSAGES = "gen_ai.input.messages"

_CALLERS_HEADERS = ("gen_ai.headers", "llm.headers")
"""Here OpenLLMetry writes the extra headers of a call, credentials and all."""


class Policy(NamedTuple):
    """What may pass."""

    capture_content: bool
    """False: ``OPENOBSERVE_HF_CAPTURE_CONTENT=none``, no prompt or answer text at all."""

    hide: FrozenSet[str]
    """Members of ``HIDE_NAMES`` that are in force."""

    secrets: Tuple[str, ...]
    """Literal texts to mask wherever they occur, longest first."""

    patterns: Tuple[Pattern[str], ...] = ()
    """The user's own: what they match is masked, too."""


def build_policy(
    *, capture_content: bool, environ: Mapping[str, str], secrets: Iterable[str] = (), pattern: str = ""
) -> Policy:
    """The policy of this process.

    ``secrets`` are those of ``Settings``; of the application's, placeholders are left out.

    A hide variable counts when it is ``true`` in any case, as in OpenInference, and also as ``1``, ``yes`` or ``on``,
    which OpenInference warns about and ignores: whoever wrote that wants the content hidden. Secrets are also looked
    for as JSON, ``repr`` and URLs would write them. ``pattern`` is the user's own, a regular expression or nothing.
    """
    hide = frozenset(
        name
        for name in HIDE_NAMES
        if environ.get(OPENINFERENCE_HIDE_PREFIX + name, "").strip().lower() in ("true", "1", "yes", "on")
    )
    patterns = (re.compile(pattern),) if pattern else ()
    keys = {environ.get(name, "") for name in HF_TOKEN_VARIABLES}
    placeholders = {key for key in keys if not literals.is_worth_masking(key)}
    known = literals.forms_of(text for text in secrets if text not in placeholders)
    return Policy(capture_content, hide, known, patterns)


def hidden_by_config(config: object) -> FrozenSet[str]:
    """``HIDE_NAMES`` that a ``TraceConfig`` (or anything with its public ``hide_*`` attributes) hides."""
    return frozenset(name for name in HIDE_NAMES if getattr(config, "hide_" + name.lower(), None) is True)


def apply(record: SpanRecord, policy: Policy) -> SpanRecord:
    """Make the record fit to be stored, in place: name, status message, attributes, events and links."""
    hidden = policy.hide if policy.capture_content else policy.hide | _ALL_CONTENT
    with_digest = hidden.isdisjoint(_VECTORS)
    media.fold_embeddings(record.attributes, with_digest=with_digest)
    if hidden:
        from hf_openobserve.privacy import content

        content.hide(record, hidden)

    gone = 0

    def clean(text: str) -> str:
        nonlocal gone
        if len(text) > cut.LONGEST_MADE:
            text, less = _cut(text, cut.LONGEST_MADE, policy)
            gone += less
        return mask_text(media.compact(text), policy)

    def cleaned(attributes: Mapping[str, Any], *beside: str) -> Tuple[Dict[str, Any], bool]:
        left = dict(attributes)
        for key in _CALLERS_HEADERS:
            left.pop(key, None)
        texts, others = list(beside), []
        for key, value in left.items():
            kind = type(value)
            if kind is str:
                if key != _MESSAGES or value not in str(left.get("input.value")):  # mostly it is, letter by letter
                    texts.append(value)
            elif kind is int or kind is float:
                continue
            elif (kind is list or kind is tuple) and value and {*map(type, value)} == {str}:
                texts += value
            else:
                others.append(key)
        clean_texts = _may_change(texts, policy)
        for key in left if clean_texts else others:
            value = left[key]
            if type(value) is str:
                left[key] = clean(value)
            elif not isinstance(value, (int, float)):
                left[key] = media.vector_marker(key, value, with_digest=with_digest) or _each_text(value, clean)
        for key in [key for key in left if "header" in key]:
            if credentials.is_credential(key.rpartition(".")[2]):
                left[key] = (credentials.MASK,)
        return left, clean_texts

    record.attributes, clean_texts = cleaned(record.attributes, record.name, record.status_message)
    if clean_texts:
        record.name = mask_text(record.name, policy)
        record.status_message = clean(record.status_message)
    if record.events:
        record.events = [
            event._replace(name=mask_text(event.name, policy), attributes=cleaned(event.attributes)[0])
            for event in record.events
        ]
    if record.links:
        record.links = [link._replace(attributes=cleaned(link.attributes)[0]) for link in record.links]
    if gone:
        record.attributes[CUT_BYTES] = record.attributes.get(CUT_BYTES, 0) + gone
    return record


def shorten(record: SpanRecord, policy: Policy) -> SpanRecord:
    """Cut what is too long for a row, in place, before columns are made of it.

    The answer stays whole, since its tokens are read from it; so does a request that messages are read from.
    """
    gone = 0

    def shortened(text: str, longest: int) -> str:
        nonlocal gone
        left, less = _cut(text, longest, policy)
        gone += less
        return left

    whole = ["output.value", "input.value"] if record.name == "Response" else ["output.value"]
    cut.texts(record.attributes, shortened, whole)
    if gone:
        record.attributes[CUT_BYTES] = gone
    return record


def _cut(text: str, longest: int, policy: Policy) -> Tuple[str, int]:
    """A text of about ``longest`` characters at the most, and how many bytes are gone, as what is left of it weighs.

    Media go first: their digest is over all of them. To count the bytes of 20 MB would take longer than to cut them.
    """
    text = media.compact_announced(text)
    if len(text) <= longest:
        return text, 0
    left = cut.middle(text, longest, lambda zone: mask_text(media.compact(zone), policy))
    size = len(left) if left.isascii() else len(left.encode("utf-8", "surrogatepass"))
    return left, max(0, (len(text) - len(left)) * size // len(left))


def _may_change(texts: List[str], policy: Policy) -> bool:
    """Whether any of them may have to be cleaned.

    They are looked through as one: there are dozens, and rarely a secret in any.
    """
    if policy.patterns or sum(map(len, texts)) > _TOGETHER:
        return True
    joined = "\0".join(texts)
    return media.found(joined) or masking.found(joined, policy.secrets + literals.known())


def mask_resource(attributes: Mapping[str, Any], policy: Policy) -> Dict[str, Any]:
    """A resource's attributes with secrets masked (``process.command_args`` is where they turn up)."""

    def change(text: str) -> str:
        return mask_text(text, policy)

    return {
        key: tuple(_arguments(value, change)) if key.endswith("command_args") else _each_text(value, change)
        for key, value in attributes.items()
    }


def _arguments(values: Iterable[Any], change: Callable[[str], str]) -> Iterator[Any]:
    """A command line's, where the value of an option stands by itself: ``--token``, ``opaque``."""
    before = ""
    for value in values:
        is_value = before.startswith("-") and literals.names_a_credential(before)
        before = str(value)
        yield credentials.MASK if is_value and not before.startswith("-") else _each_text(value, change)


def mask_text(text: str, policy: Policy) -> str:
    """The text without secrets: known ones, what has the form of a credential, and what the user's pattern matches."""
    return masking.mask(text, policy.secrets + literals.known(), policy.patterns)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """An attribute's value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        items = [_each_text(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, abc.Mapping):
        return {
            change(key): credentials.MASK if _is_secret(key, item, change) else _each_text(item, change)
            for key, item in value.items()
        }
    if isinstance(value, bytes):
        return change(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return value


def _is_secret(key: Any, value: Any, change: Callable[[str], str]) -> bool:
    """Whether a member's name betrays its value, as it would in JSON."""
    if credentials.is_credential(str(key)):
        return True
    pair = f'"{key}": "{value}"' if isinstance(value, str) else ""
    return change(pair) != pair and change(value) == value
