"""Base64 and embedding vectors as type, size and digest: enough to compare two calls, and small enough for a column."""

from __future__ import annotations

import binascii
import hashlib
import re
import struct
from typing import Any, Dict, Iterable, Match, Optional

_SHORTEST_PAYLOAD = 64
"""Characters of base64 behind a media type that stay as they are."""

_SHORTEST_VECTOR = 16
"""Numbers. An array of 16 has 31 characters."""

_NUMBERS = re.compile(r"\[[-+0-9.eE,\s]{31,}\]")
_STRING_OR_NUMBERS = r'(?s)"[^"\\]*(?:\\.?[^"\\]*)*"?|' + _NUMBERS.pattern

_DATA_URI = r"(;base64,)((?:[A-Za-z0-9+/_-]+|(?:\\[nr]|[\r\n]){1,4}(?=[A-Za-z0-9+/]{40}|[A-Za-z0-9+/]+=))*)={0,2}"

_BLOCK = 512
_BLOCK_OF_RUN = re.compile("[A-Za-z0-9+/_-]{512}")
_RUN = "(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{1024,}={0,2}"
"""Base64 without a media type. A run of 1024 covers an aligned block of 512: only where one is found, ``_RUN`` is tried."""


def found(texts: str) -> bool:
    """False if ``compact`` would change none of the texts, each shorter than 1024, that are joined here by NUL."""
    return ";base64," in texts or _NUMBERS.search(texts) is not None


def compact(text: str) -> str:
    """Base64, and JSON's arrays of numbers, as type, size and digest. JSON stays JSON. Linear."""
    if ";base64," in text:
        text = re.sub(_DATA_URI, _data_uri, text)
    if text[:1] + text[-1:] in ("{}", "[]") and _NUMBERS.search(text):
        text = re.sub(_STRING_OR_NUMBERS, _string_or_numbers, text)
    if any(_BLOCK_OF_RUN.match(text, start) for start in range(0, len(text), _BLOCK)):
        text = re.sub(_RUN, _run, text)
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


def _data_uri(match: Match[str]) -> str:
    if match.end() - match.start(2) < _SHORTEST_PAYLOAD:
        return match.group()
    return f"{match.group(1)}<{_size_and_digest(match.group(2))}>"


def _run(match: Match[str]) -> str:
    """Base64 has letters of both cases and digits. A row of dashes, a DNA sequence, a hexadecimal dump have not."""
    run = match.group()
    is_base64 = all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return f"<base64: {_size_and_digest(run)}>" if is_base64 else run


def _size_and_digest(payload: str) -> str:
    """Of base64, standard or URL-safe, padded or not, in lines or not; a last lone character is cut off."""
    for escaped, plain in (("\\n", ""), ("\\r", ""), ("-", "+"), ("_", "/"), ("=", "")):
        payload = payload.replace(escaped, plain)
    try:
        data = binascii.a2b_base64(payload + "==")
    except binascii.Error:
        data = binascii.a2b_base64(payload[:-1] + "==")
    return f"{len(data)} bytes, {_digest(data)}"
