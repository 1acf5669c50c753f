"""Ended spans of chat calls, as OpenInference makes them: what both pipelines of the delivery benchmark are given.

The attributes are those that openinference-instrumentation-openai 0.1.66 writes for one chat completion, in its order;
the prose is made of words, so that it compresses as prose does. Seeded: every process has the same spans.
"""

from __future__ import annotations

import json
import random
from typing import Any, Dict, Iterator, List, Tuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

SCOPE = "openinference.instrumentation.openai"
MODEL = "meta-llama/Llama-3.1-8B-Instruct:cerebras"
_PROSE = """
the of and to a in that is was it for on are as with they at be this from have or by one had not but what all were
when we there can an your which their said if do will each about how up out them then she many some so these would
other into has more her two like him see time could no make than first been its who now people my made over did down
only way find use may water long little very after words called just where most know token model prompt cluster
latency queue retry snippet deploy service request response timeout index vector embedding window context server
"""
_WORDS = _PROSE.split()
WORDS = (25, 50)
"""Of a question and of its answer."""


def spans(count: int, seed: int = 1, words: Tuple[int, int] = WORDS) -> List[ReadableSpan]:
    """``count`` ended spans, all different."""
    return list(iter_spans(count, seed, words))


def iter_spans(count: int, seed: int = 1, words: Tuple[int, int] = WORDS) -> Iterator[ReadableSpan]:
    """The same, made one at a time."""
    ended: List[ReadableSpan] = []
    tracer = tracer_provider(_Collector(ended)).get_tracer(SCOPE, "0.1.66")
    texts = random.Random(seed)
    for number in range(count):
        chat(tracer, texts, number, words)
        yield ended.pop()


def tracer_provider(*processors: SpanProcessor) -> TracerProvider:
    """The SDK's provider with a resource like that of a service. Its exit is the caller's business."""
    resource = Resource.create({"service.name": "shop", "deployment.environment.name": "production"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


def chat(tracer: Any, texts: random.Random, number: int, words: Tuple[int, int] = WORDS) -> None:
    """One span, begun and ended. words: of the question and of the answer."""
    span = tracer.start_span("ChatCompletion", attributes={"openinference.span.kind": "LLM", "llm.system": "openai"})
    span.set_attributes(_attributes(prose(texts, words[0]), prose(texts, words[1]), number))
    span.end()


def prose(texts: random.Random, words: int) -> str:
    """So many words, about five and a half characters each."""
    return " ".join(texts.choices(_WORDS, k=words)).capitalize() + "."


def _attributes(question: str, answer: str, number: int) -> Dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    parameters = {"model": MODEL, "max_tokens": 64, "temperature": 0.2}
    prompt, completion = 20 + number % 50, 40 + number % 25
    body = {
        "id": f"chatcmpl-{number:024x}",
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"content": answer, "role": "assistant"}}],
        "created": 1_700_000_000 + number,
        "model": "llama3.1-8b",
        "object": "chat.completion",
        "usage": {
            "completion_tokens": completion,
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion,
        },
    }
    return {
        "input.value": json.dumps({"model": MODEL, "messages": messages, "max_tokens": 64, "temperature": 0.2}),
        "input.mime_type": "application/json",
        "output.value": json.dumps(body, separators=(",", ":")),
        "output.mime_type": "application/json",
        "llm.invocation_parameters": json.dumps(parameters),
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": question,
        "llm.model_name": "llama3.1-8b",
        "llm.token_count.total": prompt + completion,
        "llm.token_count.prompt": prompt,
        "llm.token_count.completion": completion,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": answer,
        "llm.finish_reason": "stop",
    }


class _Collector(SpanProcessor):
    """Hands over what a processor gets."""

    def __init__(self, ended: List[ReadableSpan]) -> None:
        self._ended = ended

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)
