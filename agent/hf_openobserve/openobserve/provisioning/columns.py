"""The columns that panels and alerts name, made to exist.

A query that names a column which no row ever had fails (code 20004; COALESCE does not help), so one row of the agent's
own has them all. Its attributes are named as columns are: with their dotted names the server would take it for a call
of a model. Panels and alerts count spans of OpenInference's kinds alone, and this one has none of those.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, Tuple, Union

from hf_openobserve.openobserve.answers import ACCEPTED
from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.api_errors import UNAVAILABLE, ApiError
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.row import agent_span

SPAN_NAME = "hf-openobserve columns"

_TEXT, _WHOLE, _DECIMAL = "-", 0, 0.0
"""A value that leaves a column the type which a call's own gives it: the server stores most numbers as text."""

COLUMNS: Mapping[str, Union[str, float]] = MappingProxyType(
    {
        "error_type": _TEXT,
        "gen_ai_provider_name": _TEXT,
        "gen_ai_request_model": _TEXT,
        "gen_ai_response_time_to_first_chunk": _DECIMAL,
        "gen_ai_usage_cost": _DECIMAL,
        "hf_bill_to": _TEXT,
        "hf_error_kind": _TEXT,
        "hf_outbox_lost": _WHOLE,
        "hf_outbox_message": _TEXT,
        "hf_provider_served": _TEXT,
        "hf_request_id": _TEXT,
        "hf_retry_after": _WHOLE,
        "hf_stream_tokens_per_second": _WHOLE,
        "http_request_resend_count": _WHOLE,
        "http_response_status_code": _WHOLE,
        "llm_model_name": _TEXT,
        "llm_token_count_completion": _WHOLE,
        "llm_token_count_completion_details_reasoning": _WHOLE,
        "llm_token_count_prompt": _WHOLE,
        "llm_token_count_prompt_details_cache_read": _WHOLE,
        "llm_token_count_total": _WHOLE,
        "openinference_span_kind": "UNKNOWN",
        "service_deployment_environment_name": _TEXT,
        "session_id": _TEXT,
        "user_id": _TEXT,
    }
)
"""Beside those that every span has."""


def missing(api: Api) -> Tuple[str, ...]:
    """Those that the stream has not, in order; all of a stream that does not exist."""
    schema = api.schema(api.stream)
    return tuple(column for column in COLUMNS if column not in schema)


def make(api: Api, columns: Tuple[str, ...]) -> None:
    """Send the one row that has these.

    :raises ApiError: the server does not take it
    """
    client = Client(api.delivery)
    verdict = client.send([_row(columns)])
    client.close()
    if verdict.outcome != ACCEPTED or verdict.rejected:
        line = f"{api.base_url} does not take the row that makes columns exist: {verdict.reason}"
        raise ApiError(UNAVAILABLE, line)


def _row(columns: Tuple[str, ...]) -> bytes:
    attributes = {column: COLUMNS[column] for column in columns}
    return encode_span(agent_span.now(SPAN_NAME, "hf_openobserve.openobserve.provisioning", attributes))
