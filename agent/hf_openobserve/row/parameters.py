"""The stage that says what was asked of the model, under the conventions' names."""

from __future__ import annotations

from hf_openobserve.row.work import Work
from hf_openobserve.wire.member import at

_REQUEST_PARAMETERS = (
    ("temperature", "gen_ai.request.temperature"),
    ("top_p", "gen_ai.request.top_p"),
    ("frequency_penalty", "gen_ai.request.frequency_penalty"),
    ("presence_penalty", "gen_ai.request.presence_penalty"),
    ("seed", "gen_ai.request.seed"),
    ("n", "gen_ai.request.choice.count"),
    ("top_k", "gen_ai.request.top_k"),
    ("dimensions", "gen_ai.embeddings.dimension.count"),
    ("max_new_tokens", "gen_ai.request.max_tokens"),
    ("max_output_tokens", "gen_ai.request.max_tokens"),
    ("max_completion_tokens", "gen_ai.request.max_tokens"),
    ("max_tokens", "gen_ai.request.max_tokens"),
)

_REQUEST_LABELS = (
    (("reasoning_effort",), "gen_ai.request.reasoning.level"),
    (("reasoning", "effort"), "gen_ai.request.reasoning.level"),
    (("previous_response_id",), "gen_ai.request.previous_response.id"),
    (("service_tier",), "openai.request.service_tier"),
)

_LESS_COMMON = frozenset(
    {*(path[0] for path, _ in _REQUEST_LABELS), "encoding_format", "response_format", "text", "modalities"}
)
"""Members of a request of which most have none."""

_OUTPUT_TYPES = {"text": "text", "json_object": "json", "json_schema": "json", "json": "json"}
"""``gen_ai.output.type`` by the type of the request's format: OpenAI's names and Text Generation Inference's."""


def parameters(work: Work) -> None:
    """The sampling parameters under their conventional names. Only what was sent: defaults are not invented."""
    for parameter, name in _REQUEST_PARAMETERS:
        value = work.request.get(parameter)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            work.attributes[name] = value
    # Text generation's own name of the same limit.
    max_tokens = work.request.get("max_tokens", work.request.get("max_new_tokens", work.facts.max_tokens))
    if max_tokens is None and not work.request:  # a span of the GenAI conventions
        max_tokens = work.attributes.get("gen_ai.request.max_tokens")
    if isinstance(max_tokens, (int, str)):
        work.attributes["llm.request.parameters.max_tokens"] = max_tokens
        work.attributes.setdefault("gen_ai.request.max_tokens", max_tokens)
    stop = work.request.get("stop")
    if isinstance(stop, str):
        stop = [stop]
    if isinstance(stop, list) and stop:
        work.attributes["gen_ai.request.stop_sequences"] = [str(sequence) for sequence in stop]
    if work.request.get("stream") is True:
        work.attributes["gen_ai.request.stream"] = True
    if not _LESS_COMMON.isdisjoint(work.request):
        _less_common_parameters(work)


def _less_common_parameters(work: Work) -> None:
    for path, name in _REQUEST_LABELS:
        label = at(work.request, path)
        if label and isinstance(label, str):
            work.attributes[name] = label
    encoding = work.request.get("encoding_format")
    if encoding and isinstance(encoding, str):
        work.attributes["gen_ai.request.encoding_formats"] = [encoding]
    asked = at(work.request, ("response_format", "type")) or at(work.request, ("text", "format", "type"))
    output = _OUTPUT_TYPES.get(asked) if isinstance(asked, str) else None
    modalities = work.request.get("modalities")
    if isinstance(modalities, (list, tuple)) and "audio" in modalities:
        output = "speech"
    if output is not None:
        work.attributes["gen_ai.output.type"] = output
