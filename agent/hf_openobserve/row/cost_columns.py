"""What a cost is computed from, by name: noted where calls are made, which imports no price list. Pure."""

from __future__ import annotations

COST = "gen_ai.usage.cost"
LLM_COST = "llm.cost.total"
"""OpenInference's name of the same; the server reads the other one."""
LLM_ROW = "llm.observation.type"
"""Has every row of a call to a model. A framework's span around it may have its tokens, and costs nothing more."""
NEEDED = (
    LLM_ROW,
    COST,
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "hf.model.base",
    "gen_ai.request.model",
    "hf.provider.served",
    "hf.provider.requested",
    "llm.provider",
    "server.address",
)
"""The columns that a cost is computed from."""
