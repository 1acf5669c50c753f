"""Which OpenObserve the fake is: the differences between server versions, as switches (contract sections 2, 3.1, 3.5).

0.90.3 and 0.91.5 are held to recordings of real servers (``tests/recordings``). What is newer is as the contract read
it from the source of 0.93, and as 0.91.5 where the contract and the recording disagree.
"""

from __future__ import annotations

import re
from typing import FrozenSet, NamedTuple, Sequence

NEWEST_RECORDED = "v0.91.5"

# Section 2, "Collisions": the 16 names a span attribute cannot take from 0.91 on.
RESERVED = frozenset(
    [
        "trace_id",
        "span_id",
        "flags",
        "span_status",
        "span_kind",
        "operation_name",
        "start_time",
        "end_time",
        "duration",
        "service_name",
        "infer_service_name",
        "infer_service_type",
        "infer_service_system",
        "events",
        "links",
        "_timestamp",
    ]
)
# "Older servers (<=0.90) only protected 4 names": the contract does not say which. These four are the plausible ones:
# the times every query of a trace stream relies on.
RESERVED_OLD = frozenset(("_timestamp", "start_time", "end_time", "duration"))

# Recorded: the schema of a stream that has seen one LLM span.
_TOKENS = ("gen_ai_usage_input_tokens", "gen_ai_usage_output_tokens", "gen_ai_usage_total_tokens")
_FLOATS = (
    "gen_ai_response_time_to_first_chunk",
    "gen_ai_usage_cost",
    "gen_ai_usage_cost_input",
    "gen_ai_usage_cost_output",
)
# 3.1, "Numeric columns after normalisation" of 0.93.
_CACHE_TOKENS = ("gen_ai_usage_cache_read_input_tokens", "gen_ai_usage_cache_creation_input_tokens")
_CACHE_FLOATS = (
    "gen_ai_usage_cost_cache_read_input",
    "gen_ai_usage_cost_cache_creation_input",
    "gen_ai_usage_cost_estimated_without_cache",
    "gen_ai_usage_cost_cache_read_savings",
    "gen_ai_usage_cost_net_cache_impact",
)


class Personality(NamedTuple):
    """``derives_gen_ai``: ``gen_ai_*`` columns (0.91 on) instead of ``llm_observation_type``, ``llm_usage_*``,
    ``llm_input``, ``llm_output`` and ``llm_request_parameters_*`` (0.80 to 0.90). ``usage_overwrites``: derived usage
    replaces what the client sent (0.91 alone); later servers insert it only if absent. ``int_columns`` and
    ``float_columns``: numbers whatever was sent, and provisioned by the first LLM span.
    ``ingestion_token_per_user``: passcodes (0.90), where newer servers have one per organization.
    ``reads_json_metrics``: whether values and histograms of OTLP/JSON metrics are read (0.91 on).
    ``stamps_arrival``: ``_o2_ingest_ts`` (0.92 on). ``prices_models``: model prices are applied by default (0.92 on).
    """

    version: str
    derives_gen_ai: bool
    usage_overwrites: bool
    reserved: FrozenSet[str]
    int_columns: Sequence[str]
    float_columns: Sequence[str]
    ingestion_token_per_user: bool
    reads_json_metrics: bool
    stamps_arrival: bool
    prices_models: bool


def personality(version: str) -> Personality:
    """The personality of ``"0.93.0"``, ``"v0.90.3"``, ...; ValueError for what no contract describes (before 0.80)."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None:
        raise ValueError("not an OpenObserve version: " + repr(version))
    number = (int(match.group(1)), int(match.group(2)))
    if number < (0, 80):
        # Section 3.5, "History": _o2_llm_* columns; nothing more is known of them.
        raise ValueError("the contract begins with OpenObserve 0.80, got " + version)
    new, newest = number >= (0, 91), number >= (0, 92)
    return Personality(
        version,
        derives_gen_ai=new,
        usage_overwrites=number == (0, 91),
        reserved=RESERVED if new else RESERVED_OLD,
        int_columns=_TOKENS + (_CACHE_TOKENS if newest else ()),
        float_columns=_FLOATS + (_CACHE_FLOATS if newest else ()),
        ingestion_token_per_user=not new,
        reads_json_metrics=new,
        stamps_arrival=newest,
        prices_models=newest,
    )
