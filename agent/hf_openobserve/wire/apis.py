"""The APIs of OpenAI's that a model answers: how a row of each is called. Pure.

``operation`` is OpenTelemetry's ``gen_ai.operation.name`` where it has a value for it, ``kind`` is OpenInference's span
kind.
"""

from __future__ import annotations

import functools
from typing import Mapping, NamedTuple, Optional


class Api(NamedTuple):
    """One API."""

    span_name: str
    operation: str
    kind: str = "LLM"
    has_media: bool = False
    """True if most of its answer is vectors or media: of that body only the members behind them are read."""


APIS: Mapping[str, Api] = {
    "chat/completions": Api("ChatCompletion", "chat"),
    "completions": Api("Completion", "text_completion"),
    "responses": Api("Response", "chat"),
    "embeddings": Api("CreateEmbeddings", "embeddings", "EMBEDDING", has_media=True),
    "moderations": Api("Moderation", "moderation", "GUARDRAIL"),
    "images/generations": Api("ImageGeneration", "generate_content", has_media=True),
    "images/edits": Api("ImageEdit", "generate_content", has_media=True),
    "images/variations": Api("ImageVariation", "generate_content", has_media=True),
    "audio/speech": Api("Speech", "generate_content", has_media=True),
    "audio/transcriptions": Api("Transcription", "generate_content"),
    "audio/translations": Api("Translation", "generate_content"),
}
"""By the path below the API's base address."""


@functools.lru_cache(maxsize=256)
def api_at(url: str) -> Optional[Api]:
    """The API at an address, whatever stands before its path; None for one that is not known."""
    path = url.partition("?")[0].strip("/")
    for length in (2, 1):
        found = APIS.get("/".join(path.split("/")[-length:]))
        if found is not None:
            return found
    return None
