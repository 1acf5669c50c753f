"""Which OpenObserve the fake is: the differences between server versions, as switches (contract sections 2, 3.1, 3.5)."""

from __future__ import annotations

import re
from typing import FrozenSet, NamedTuple

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


class Personality(NamedTuple):
    """``derives_gen_ai``: ``gen_ai_*`` columns (0.91 on) instead of ``llm_observation_type``, ``llm_usage_tokens_*``
    and ``llm_request_parameters_*`` (0.80 to 0.90). ``usage_overwrites``: derived usage replaces what the client sent
    (0.91 alone); later servers insert it only if absent.
    """

    version: str
    derives_gen_ai: bool
    usage_overwrites: bool
    reserved: FrozenSet[str]


def personality(version: str) -> Personality:
    """The personality of ``"0.93.0"``, ``"v0.90.3"``, ...; ValueError for what no contract describes (before 0.80)."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None:
        raise ValueError("not an OpenObserve version: " + repr(version))
    number = (int(match.group(1)), int(match.group(2)))
    if number < (0, 80):
        # Section 3.5, "History": _o2_llm_* columns; nothing more is known of them.
        raise ValueError("the contract begins with OpenObserve 0.80, got " + version)
    new = number >= (0, 91)
    return Personality(version, new, number == (0, 91), RESERVED if new else RESERVED_OLD)
