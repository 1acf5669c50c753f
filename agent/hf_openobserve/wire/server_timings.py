"""How long the server itself took for a call, by its answer: ``hf.server.*``, in seconds. Pure.

Beside the duration that the client sees they tell a slow model from a slow network. Servers say it in milliseconds or
in seconds, in headers or in the body: each place has its own unit, and what is no number there is no column.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping, Tuple

from hf_openobserve.wire.member import at

_TGI_HEADERS = {
    "x-total-time": "hf.server.total_time",
    "x-validation-time": "hf.server.validation_time",
    "x-queue-time": "hf.server.queue_time",
    "x-inference-time": "hf.server.inference_time",
    "x-time-per-token": "hf.server.time_per_token",
}
"""Text Generation Inference's, and its sister's for embeddings, in milliseconds. The last but one marks them as theirs.
"""

MEMBERS = ("timings", "sla_metrics", "time_info")
"""Members of an answer that say it: llama.cpp's, Novita's, Cerebras'. In a stream they stand on one chunk, of late
ones.
"""

_SECONDS, _MILLISECONDS = 1.0, 1e3

_IN_BODY: Tuple[Tuple[Tuple[str, str], str, float], ...] = (
    (("timings", "prompt_ms"), "hf.server.prompt_time", _MILLISECONDS),
    (("timings", "predicted_ms"), "hf.server.completion_time", _MILLISECONDS),
    (("timings", "predicted_per_token_ms"), "hf.server.time_per_token", _MILLISECONDS),
    (("sla_metrics", "ttft_ms"), "hf.server.time_to_first_token", _MILLISECONDS),
    (("time_info", "queue_time"), "hf.server.queue_time", _SECONDS),
    (("time_info", "prompt_time"), "hf.server.prompt_time", _SECONDS),
    (("time_info", "completion_time"), "hf.server.completion_time", _SECONDS),
    (("time_info", "total_time"), "hf.server.total_time", _SECONDS),
)

_IN_USAGE = {
    "queue_time": "hf.server.queue_time",
    "prompt_time": "hf.server.prompt_time",
    "completion_time": "hf.server.completion_time",
}
"""Groq's, in seconds. Its ``total_time`` leaves the queue out, and is the sum of the other two."""


def of_headers(headers: Mapping[str, Any]) -> Dict[str, float]:
    """What the headers of an answer say. Names are lower case."""
    attributes: Dict[str, float] = {}
    if "x-inference-time" in headers:
        for header, name in _TGI_HEADERS.items():
            _add(attributes, name, headers.get(header), _MILLISECONDS)
    _add(attributes, "hf.server.total_time", headers.get("openai-processing-ms"), _MILLISECONDS)
    return attributes


def of_answer(answer: Mapping[str, Any], usage: Any) -> Dict[str, float]:
    """What the body of an answer says, and its usage."""
    attributes: Dict[str, float] = {}
    if any(member in answer for member in MEMBERS):
        for path, name, unit in _IN_BODY:
            _add(attributes, name, at(answer, path), unit)
    if isinstance(usage, dict):
        for member, name in _IN_USAGE.items():
            if member in usage:
                _add(attributes, name, usage[member], _SECONDS)
    return attributes


def _add(attributes: Dict[str, float], name: str, value: Any, unit: float) -> None:
    if value is None or isinstance(value, bool):
        return
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return
    if math.isfinite(number) and number >= 0:
        attributes[name] = round(number / unit, 9)
