"""Token counts, wherever an answer carries them. Pure."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

from hf_openobserve.wire.member import at

USAGE_PATHS: Dict[str, Tuple[Tuple[str, ...], ...]] = {
    "prompt": (("prompt_tokens",), ("input_tokens",)),
    "completion": (("completion_tokens",), ("output_tokens",)),
    "total": (("total_tokens",),),
    "prompt_details.cache_read": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("cached_tokens",),
        ("prompt_cache_hit_tokens",),
    ),
    "completion_details.reasoning": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
}
"""OpenInference's name of each count, and where an OpenAI-compatible answer carries it, first one that counted
something.

Top-level ``cached_tokens`` is Together's, ``prompt_cache_hit_tokens`` DeepSeek's.
"""

RARE_DETAILS: Mapping[str, str] = {
    "cache_write_tokens": "cache_write",  # OpenRouter's
    "cache_creation_tokens": "cache_write",  # litellm's
    "audio_tokens": "audio",
    "image_tokens": "image",
    "text_tokens": "text",
}
"""Details of few models by their member of the answer's details. Their zeros, which some servers always send, say
nothing.
"""

_DETAILS = (
    ("prompt_tokens_details", "prompt_details."),
    ("input_tokens_details", "prompt_details."),
    ("completion_tokens_details", "completion_details."),
    ("output_tokens_details", "completion_details."),
)


def counts_of(usage: Any) -> Dict[str, int]:
    """Each count that ``usage`` has, by OpenInference's name. A zero does not win over another name's count."""
    counts: Dict[str, int] = {}
    if not isinstance(usage, dict):
        return counts
    for name, paths in USAGE_PATHS.items():
        for path in paths:
            count = usage.get(path[0]) if len(path) == 1 else at(usage, path)
            if count is not None and is_count(count) and count > counts.get(name, -1):
                counts[name] = count
                if count:
                    break
    _add_rare_details(usage, counts)
    return counts


def is_count(value: Any) -> bool:
    """True for a whole number, which JSON's true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _add_rare_details(usage: Mapping[str, Any], counts: Dict[str, int]) -> None:
    for member, prefix in _DETAILS:
        details = usage.get(member)
        if isinstance(details, dict):
            for detail, count in details.items():
                if count and detail in RARE_DETAILS and is_count(count):
                    counts[prefix + RARE_DETAILS[detail]] = count


def usage_of(answer: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The usage of an answer's body: its own, Groq's extension's, or what Text Generation Inference's details count."""
    usage = answer.get("usage") or at(answer, ("x_groq", "usage"))
    if isinstance(usage, dict):
        return usage
    details = answer.get("details")
    return _of_details(details) if isinstance(details, dict) else None


def _of_details(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The prompt's tokens stand there only if it lists or counts them."""
    prefill = details.get("prefill")
    prompt = details.get("input_length")
    if not isinstance(prompt, int) and isinstance(prefill, list) and prefill:
        prompt = len(prefill)
    return {"prompt_tokens": prompt, "completion_tokens": details.get("generated_tokens")}
