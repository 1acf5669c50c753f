"""What is measured, under the names and with the boundaries of OpenTelemetry's conventions for generative AI 0.1.0."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class Instrument(NamedTuple):
    """A histogram where it has boundaries, a counter that only grows where it has none."""

    name: str
    unit: str
    description: str
    boundaries: Tuple[float, ...] = ()


SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(float(4**power) for power in range(14))

_CALL = "gen_ai.client.inference."
_USAGE = _CALL + "usage."

DURATION = Instrument(_CALL + "duration", "s", "Duration of a call of a model, with its retries.", SECONDS)
OTHER_DURATION = Instrument(
    "gen_ai.client.operation.duration", "s", "Duration of an operation, with its retries.", SECONDS
)
"""Of what generates nothing, as embeddings; and of every call under the names from before 0.1.0."""
FIRST_CHUNK = Instrument(_CALL + "time_to_first_chunk", "s", "Time until the first chunk of a stream.", SECONDS)
PER_CHUNK = Instrument(
    _CALL + "time_per_output_chunk", "s", "Mean time between two chunks of a stream, once a stream.", SECONDS
)
INPUT = Instrument(_USAGE + "input_tokens", "{token}", "Tokens of prompts, those from a cache among them.")
OUTPUT = Instrument(_USAGE + "output_tokens", "{token}", "Tokens of answers, those of reasoning among them.")
CACHE_READ = Instrument(_USAGE + "cache_read.input_tokens", "{token}", "Tokens of prompts that came from a cache.")
CACHE_WRITE = Instrument(_USAGE + "cache_write.input_tokens", "{token}", "Tokens of prompts written to a cache.")
REASONING = Instrument(_USAGE + "reasoning.output_tokens", "{token}", "Tokens of reasoning.")
RETRIES = Instrument("hf.client.retries", "{request}", "Requests that were sent again.")

COST = Instrument("hf.client.cost", "{currency}", "What calls cost, as far as it is known.")

LEGACY_TOKENS = Instrument("gen_ai.client.token.usage", "{token}", "Tokens of a call.", TOKENS)
"""From before 0.1.0, with ``gen_ai.token.type``."""
