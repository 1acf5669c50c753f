"""Base64 and embedding vectors as type, size and digest: enough to compare two calls, and small enough for a column."""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
from typing import Any, Dict, Iterable, Match, Optional, Tuple

_SHORTEST_PAYLOAD = 4
"""Characters of base64, three bytes, where a media type or a field's name announces it."""

_LARGE = 1 << 16
_REMEMBERED = 64

_SHORTEST_VECTOR = 16
"""Numbers. An array of 16 has 31 characters."""

_NUMBERS = re.compile(r"\[[-+0-9.eE,\s]{31,}\]")
_STRING_OR_NUMBERS = r'(?s)"[^"\\]*(?:\\.?[^"\\]*)*"?|' + _NUMBERS.pattern

_LINE = r"(?:\\+[nr]|[\r\n]){1,4}(?=[A-Za-z0-9+/]{40}|[A-Za-z0-9+/]+=)"
_BASE64 = rf"(?:[A-Za-z0-9+/_-]+|\\+/|{_LINE})*(?:=|%3D){{0,2}}"
"""In lines or not, with slashes that are escaped or not. A line break counts as one where base64 goes on behind it."""

_DATA_URL = re.compile(rf"(;(?:base64|BASE64),)({_BASE64})")

_ANNOUNCES_PAYLOAD = re.compile(";(?=base64,|BASE64,)")
_ANNOUNCES_FIELDS = re.compile(r"6(?<=[be]6)(?=4[_\"'\\])")
"""``b64_json``, ``"type": "base64"``."""
_FIELD = re.compile(
    r"(\\*[\"'](?:data|b64_json|file_data|base64|bytes)\\*[\"']\s{0,4}:\s{0,4}\\*[\"'])"
    rf"({_BASE64})(?=\\*[\"'])"
)

_HEADS = tuple(
    (gate, re.compile(rf"()({head[0]}(?<![A-Za-z0-9+/_=-]{head[0]})(?={head[1:]}[A-Za-z0-9+/_-]{{16}}){_BASE64})"))
    for gate, head in (("V", "iVBORw0KGgo"), ("/", "/9j/"), ("R", "R0lGOD"), ("U", "UklGR"), ("J", "JVBERi0"))
)
"""PNG, JPEG, GIF, WAV and WebP, PDF: known by their first bytes, wherever they stand and however short they are."""

_BLOCK = 256
_BLOCK_OF_RUN = re.compile(f"[A-Za-z0-9+/_-]{{{_BLOCK}}}")
_RUN = re.compile(f"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{2 * _BLOCK},}}={{0,2}}")
"""Base64 that nothing announces. A run of 512 covers an aligned block of 256: only where one is found, ``_RUN`` is
tried.
"""


def found(texts: str) -> bool:
    """False if ``compact`` would change none of the texts that are joined here by NUL."""
    return (
        _has_data_url(texts)
        or _NUMBERS.search(texts) is not None
        or _has_fields(texts)
        or any(gate in texts and head.search(texts) is not None for gate, head in _HEADS)
        or _has_run(texts)
    )


def _has_data_url(text: str) -> bool:
    return ";" in text and _ANNOUNCES_PAYLOAD.search(text) is not None


def _has_fields(text: str) -> bool:
    return ("6" in text and _ANNOUNCES_FIELDS.search(text) is not None) or "input_audio" in text


def _has_run(text: str) -> bool:
    return any(_BLOCK_OF_RUN.match(text, start) for start in range(0, len(text) - _BLOCK + 1, _BLOCK))


def compact_announced(text: str) -> str:
    """Base64 behind a media type, or in a field of that, as size and digest."""
    if _has_data_url(text):
        text = _DATA_URL.sub(_payload, text)
    return _FIELD.sub(_payload, text) if _has_fields(text) else text


def compact(text: str) -> str:
    """Base64, and JSON's arrays of numbers, as type, size and digest. JSON stays JSON. Linear."""
    text = compact_announced(text)
    for gate, head in _HEADS:
        if gate in text:
            text = head.sub(_payload, text)
    if text[:1] + text[-1:] in ("{}", "[]") and _NUMBERS.search(text):
        text = re.sub(_STRING_OR_NUMBERS, _string_or_numbers, text)
    if _has_run(text):
        text = _RUN.sub(_run, text)
    return text


def fold_embeddings(attributes: Dict[str, Any], *, with_digest: bool) -> None:
    """Vectors as three attributes, however many they are; their texts go: the request, in ``input.value``, has them."""
    taken = {key: attributes.pop(key) for key in [key for key in attributes if "embedding.embeddings." in key]}
    vectors = [value for key, value in taken.items() if key.endswith(".vector")]
    known = [value for value in vectors if _is_vector(value)]
    if vectors:
        attributes["hf.embeddings.count"] = len(vectors)
    if known:
        attributes.setdefault("gen_ai.embeddings.dimension.count", len(known[0]))
        if with_digest:
            attributes["hf.embeddings.digest"] = _vector_digest(known)


def vector_marker(key: str, value: Any, *, with_digest: bool) -> Optional[str]:
    """What is left of a vector under another name; None for anything else."""
    if ("vector" in key or "embedding" in key) and _is_vector(value) and len(value) >= _SHORTEST_VECTOR:
        return f"<vector: {len(value)} dimensions{', ' + _vector_digest([value]) if with_digest else ''}>"
    return None


def _is_vector(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and {type(item) for item in value} <= {int, float}


def _vector_digest(vectors: Iterable[Iterable[float]]) -> str:
    """Over the components as little-endian doubles."""
    return _digest(b"".join(struct.pack(f"<{len(values)}d", *values) for values in map(tuple, vectors)))


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()[:16]


def _string_or_numbers(match: Match[str]) -> str:
    """An array becomes a string. In a string, numbers are somebody's text and stay.

    The digest is over the array's text without white space: to parse the numbers would take ten times as long.
    """
    text = match.group()
    dimensions = text.count(",") + 1
    if text.startswith('"') or dimensions < _SHORTEST_VECTOR:
        return text
    return f'"<vector: {dimensions} dimensions, {_digest("".join(text.split()).encode())}>"'


def _payload(match: Match[str]) -> str:
    """Of a placeholder (``<base64>``, nothing, a word) there is nothing to reduce."""
    announced, payload = match.groups()
    if len(payload) < _SHORTEST_PAYLOAD:
        return match.group()
    return f"{announced}<{'' if announced.endswith(',') else 'base64: '}{_size_and_digest_once(payload)}>"


def _run(match: Match[str]) -> str:
    """Base64 has letters of both cases and digits. A row of dashes, a DNA sequence, a hexadecimal dump have not."""
    run = match.group()
    is_base64 = all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return f"<base64: {_size_and_digest(run)}>" if is_base64 else run


_seen: Dict[Tuple[int, int], str] = {}
"""The last large payloads, by their length and hash: each stands in the request's body and in a message."""


def _size_and_digest_once(payload: str) -> str:
    if len(payload) < _LARGE:
        return _size_and_digest(payload)
    key = len(payload), hash(payload)
    known = _seen.get(key)
    if known is None:
        known = _size_and_digest(payload)
        if len(_seen) >= _REMEMBERED:
            _seen.clear()
        _seen[key] = known
    return known


def _size_and_digest(payload: str) -> str:
    """Of base64, standard or URL-safe, padded or not, in lines or not; a last lone character is cut off."""
    if "\\" in payload:
        payload = re.sub(r"\\+[nr]?", "", payload)
    for escaped, plain in (("%3D", ""), ("-", "+"), ("_", "/"), ("=", "")):
        payload = payload.replace(escaped, plain)
    try:
        data = binascii.a2b_base64(payload + "==")
    except binascii.Error:
        data = binascii.a2b_base64(payload[:-1] + "==")
    return f"{len(data)} bytes, {_digest(data)}"
