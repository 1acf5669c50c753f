"""The last stage before a record is encoded: what it lets through reaches the disk and the server. Pure.

Always: secrets are masked; base64 media and embedding vectors become type, size and digest. On demand: content is removed,
all of it (``OPENOBSERVE_HF_CAPTURE_CONTENT=none``) or what ``OPENINFERENCE_HIDE_*`` names, on any span, by attribute name.
"""

from __future__ import annotations

import json
from collections import abc
from typing import Any, Callable, Dict, FrozenSet, Iterable, Mapping, NamedTuple, Set, Tuple
from urllib.parse import quote

from hf_openobserve.environment_variables import OPENINFERENCE_HIDE_PREFIX
from hf_openobserve.privacy import media
from hf_openobserve.privacy import secrets as credentials
from hf_openobserve.record import SpanRecord

_VECTORS = frozenset(("EMBEDDINGS_VECTORS", "EMBEDDING_VECTORS"))

_ALL_CONTENT = _VECTORS.union(
    ("INPUTS", "INPUT_MESSAGES", "INPUT_TEXT", "INPUT_IMAGES", "OUTPUTS", "OUTPUT_MESSAGES", "OUTPUT_TEXT"),
    ("PROMPTS", "CHOICES", "LLM_TOOLS", "EMBEDDINGS_TEXT", "RETRIEVAL_DOCUMENTS"),
)
"""What ``none`` hides. Parameters are no content; of them, those of sampling stay."""

HIDE_NAMES = _ALL_CONTENT | {"LLM_INVOCATION_PARAMETERS"}
"""Suffixes of ``OPENINFERENCE_HIDE_*`` known to any OpenInference from 0.1.27 to 0.1.72."""

_SHORT = 1024
"""Characters. The shorter texts of a record are looked through as one: there are dozens, and rarely a secret in any."""

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


def build_policy(*, capture_content: bool, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> Policy:
    """The policy of this process. ``secrets`` are those of ``Settings``: none that ordinary words would contain.

    A hide variable counts when it is ``true`` in any case, as in OpenInference, and also as ``1``, ``yes`` or ``on``, which
    OpenInference warns about and ignores: whoever wrote that wants the content hidden. Secrets are also looked for as
    JSON, ``repr`` and URLs would write them.
    """
    hide = frozenset(
        name
        for name in HIDE_NAMES
        if environ.get(OPENINFERENCE_HIDE_PREFIX + name, "").strip().lower() in ("true", "1", "yes", "on")
    )
    literals: Set[str] = set()
    for text in secrets:
        literals.update((text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe="", errors="replace")))
    return Policy(capture_content, hide, tuple(sorted(literals, key=lambda text: (-len(text), text))))


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

    def clean(text: str) -> str:
        return credentials.mask(media.compact(text), policy.secrets)

    def cleaned(attributes: Mapping[str, Any]) -> Dict[str, Any]:
        left = dict(attributes)
        for key in _CALLERS_HEADERS:
            left.pop(key, None)
        short = "\0".join([value for value in left.values() if type(value) is str and len(value) < _SHORT])
        clean_all = media.found(short) or credentials.found(short, policy.secrets)
        for key, value in left.items():
            if "header" in key and credentials.is_credential(key.rpartition(".")[2]):
                left[key] = ("***",)
            elif type(value) is str:
                if clean_all or len(value) >= _SHORT:
                    left[key] = clean(value)
            elif not isinstance(value, (int, float)):
                left[key] = media.vector_marker(key, value, with_digest=with_digest) or _each_text(value, clean)
        return left

    record.name = mask_text(record.name, policy)
    record.attributes = cleaned(record.attributes)
    if record.status_message:
        record.status_message = clean(record.status_message)
    if record.events:
        record.events = [
            event._replace(name=mask_text(event.name, policy), attributes=cleaned(event.attributes))
            for event in record.events
        ]
    if record.links:
        record.links = [link._replace(attributes=cleaned(link.attributes)) for link in record.links]
    return record


def mask_resource(attributes: Mapping[str, Any], policy: Policy) -> Dict[str, Any]:
    """A resource's attributes with secrets masked (``process.command_args`` is where they turn up)."""
    return {key: _each_text(value, lambda text: mask_text(text, policy)) for key, value in attributes.items()}


def mask_text(text: str, policy: Policy) -> str:
    """The text without secrets: the policy's literals, and whatever has the form of a credential. Idempotent, linear."""
    return credentials.mask(text, policy.secrets)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """An attribute's value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, (list, tuple)):
        items = [_each_text(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, abc.Mapping):
        return {
            change(key): "***" if credentials.is_credential(key) else _each_text(item, change)
            for key, item in value.items()
        }
    if isinstance(value, bytes):
        return change(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return value
