"""The stage that says how many tokens a call took, and what it cost where the answer tells."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from hf_openobserve.row.cost_columns import COST, LLM_COST
from hf_openobserve.row.work import Work
from hf_openobserve.wire.usage import USAGE_PATHS, counts_of, is_count

_GENAI_USAGE = {
    "prompt": ("gen_ai.usage.input_tokens", "llm.usage.tokens.input"),
    "completion": ("gen_ai.usage.output_tokens", "llm.usage.tokens.output"),
    "total": ("gen_ai.usage.total_tokens", "llm.usage.tokens.total"),
    "prompt_details.cache_read": ("gen_ai.usage.cache_read.input_tokens",),
    "prompt_details.cache_write": (
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",  # the older name, which the server knows
    ),
    "prompt_details.audio": ("gen_ai.usage.audio.input_tokens",),
    "prompt_details.image": ("gen_ai.usage.image.input_tokens",),
    "prompt_details.text": ("gen_ai.usage.text.input_tokens",),
    "completion_details.reasoning": ("gen_ai.usage.reasoning.output_tokens",),
    "completion_details.audio": ("gen_ai.usage.audio.output_tokens",),
    "completion_details.image": ("gen_ai.usage.image.output_tokens",),
    "completion_details.text": ("gen_ai.usage.text.output_tokens",),
}

_USAGE_ATTRIBUTES = {
    source: name for name in USAGE_PATHS for source in ("llm.token_count." + name, *_GENAI_USAGE[name])
}

_MOST_DOLLARS = 1e9


def usage(work: Work) -> None:
    """Token counts under all their names. None where the answer carried no usage; zeros on a failed call.

    The zeros keep the server from estimating tokens, and a price, for a call that cost nothing.
    """
    attributes = work.attributes
    counts = _counts(work)
    attributes.update(_told_cost(work.usage))
    if not counts:
        if not work.failed:
            return
        counts = {"prompt": 0, "completion": 0, "total": 0}
        for name in (COST, COST + ".input", COST + ".output"):
            attributes.setdefault(name, 0.0)
    else:
        if "prompt" in counts:  # an answer that counts only what it generated says nothing of the rest
            counts.setdefault("total", counts["prompt"] + counts.setdefault("completion", 0))
            counts.setdefault("prompt_details.cache_read", 0)
        counts.setdefault("completion_details.reasoning", 0)
    for name, count in counts.items():
        attributes["llm.token_count." + name] = count
        for genai_name in _GENAI_USAGE[name]:
            attributes[genai_name] = count


def _told_cost(usage: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """The cost that the answer itself tells, in dollars. Any other is computed where the call is sent: ``row.cost``."""
    amount = None if usage is None else usage.get("estimated_cost")
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount < _MOST_DOLLARS:
        return {}
    return {
        COST: float(amount),
        LLM_COST: float(amount),
        COST + ".amount": float(amount),
        COST + ".currency": "USD",
        COST + ".source": "provider",
    }


def _counts(work: Work) -> Dict[str, int]:
    counts = counts_of(work.usage)
    for source in _USAGE_ATTRIBUTES.keys() & work.attributes.keys():
        name, count = _USAGE_ATTRIBUTES[source], work.attributes[source]
        # A count of zero that the instrumentor derived from a missing detail does not outrank the answer's own.
        if is_count(count) and count > counts.get(name, -1):
            counts[name] = count
    return counts
