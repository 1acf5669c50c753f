"""Content is hidden by name, wherever it stands, and what is no content stays."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_openobserve import privacy
from hf_openobserve.row.record import EventRecord, LinkRecord, SpanRecord
from privacy_records import FULL, NONE, after, everything_in, hiding, span

VECTOR = [round(0.001 * i - 0.5, 6) for i in range(1024)]

PROMISED = {
    "openinference.span.kind": "LLM",
    "input.mime_type": "application/json",
    "output.mime_type": "application/json",
    "llm.system": "openai",
    "llm.model_name": "llama3.1-8b",
    "llm.observation.type": "GENERATION",
    "llm.finish_reason": "stop",
    "llm.token_count.prompt": 30,
    "llm.token_count.completion": 5,
    "llm.token_count.total": 35,
    "llm.token_count.prompt_details.cache_read": 0,
    "llm.token_count.completion_details.reasoning": 0,
    "llm.usage.tokens.input": 30,
    "llm.usage.tokens.output": 5,
    "llm.usage.tokens.total": 35,
    "llm.request.parameters.model": "meta-llama/Llama-3.1-8B-Instruct:cerebras",
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "huggingface",
    "gen_ai.request.model": "meta-llama/Llama-3.1-8B-Instruct:cerebras",
    "gen_ai.response.model": "llama3.1-8b",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.cost": 0.0,
    "gen_ai.conversation.id": "session 1 of Ann",
    "gen_ai.agent.name": "Support agent",
    "gen_ai.tool.name": "lookup",
    "gen_ai.tool.call.id": "call_1",
    "session.id": "session 1 of Ann",
    "user.id": "Ann Onymous",
    "metadata": '{"team": "search and rescue"}',
    "tag.tags": ("two words", "b"),
    "metadata.team": "search and rescue",
    "traceloop.association.properties.customer": "two words",
    "error.type": "openai.RateLimitError",
    "server.address": "router.huggingface.co",
    "server.port": 443,
    "http.response.status_code": 429,
    "service_tier.of.the.application": "gold plated",
}
"""Attributes that stay whatever is hidden."""

PARAMETERS_LEFT = {
    "llm.request.parameters.max_tokens": 100,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.max_tokens": 100,
    "gen_ai.request.reasoning.level": "high",
    "gen_ai.request.previous_response.id": "resp_68a1",
    "gen_ai.request.encoding_formats": ("base64",),
}
"""And those that stay unless the invocation parameters themselves are hidden."""


def messages(*contents: Any) -> str:
    return json.dumps([{"role": "user", "content": content} for content in contents])


IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,<CANARYimage>"}}
IMAGE_ITEM = {"type": "input_image", "image_url": "https://example.com/CANARYimage.png"}

REQUEST = {
    "model": "m",
    "temperature": 0.5,
    "user": "CANARY-parameter",
    "stop": ["CANARY-parameter"],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "CANARY-input"}, IMAGE_PART, IMAGE_ITEM]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "CANARY-tool"}}],
}
RESPONSE = {
    "id": "chatcmpl-1",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "CANARY-output"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 30, "prompt_tokens_details": {"cached_tokens": 0}},
    "instructions": "CANARY-input",
    "tools": [{"description": "CANARY-tool"}],
    "prompt_logprobs": [{"CANARY-input": -1.0}],
    "data": [{"revised_prompt": "CANARY-input"}],
}
INVOCATION_PARAMETERS = {
    "model": "m",
    "temperature": 0.5,
    "max_tokens": 100,
    "stream": True,
    "prompt": "CANARY-input of an image",
    "image": "data:image/png;base64,<CANARYimage>",
    "tools": ["CANARY-tool"],
    "user": "CANARY-parameter",
    "response_format": {"description": "CANARY-parameter"},
    "voice": "two words CANARY-parameter",
}

CONTENT: Dict[str, Any] = {
    # OpenInference, as the openai instrumentor and its siblings write it
    "input.value": json.dumps(REQUEST),
    "output.value": json.dumps(RESPONSE),
    "llm.invocation_parameters": json.dumps(INVOCATION_PARAMETERS),
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "CANARY-input",
    "llm.input_messages.0.message.contents.0.message_content.text": "CANARY-input",
    "llm.input_messages.0.message.contents.1.message_content.image.image.url": "data:image/png;base64,<CANARYimage>",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": "CANARY-input",
    "llm.input_messages.2.message.function_call_arguments_json": "CANARY-input",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "CANARY-output",
    "llm.output_messages.0.message.contents.0.message_content.text": "CANARY-output",
    "llm.output_messages.0.message.contents.0.message_content.encrypted_content": "CANARY-output",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "CANARY-output",
    "llm.tools.0.tool.json_schema": '{"description": "CANARY-tool"}',
    "llm.prompt_template.template": "CANARY-input",
    "llm.prompt_template.variables": "CANARY-input",
    "llm.function_call": "CANARY-either",
    "input.images.0.image.url": "https://example.com/CANARYimage.png",
    "input.documents.0.document.content": "CANARY-input",
    "input.audio.transcript": "CANARY-input",
    "output.images.0.image.url": "https://example.com/CANARY-output.png",
    "tool.description": "CANARY-tool",
    "tool.parameters": "CANARY-either",
    "tool_call.function.arguments": "CANARY-either",
    "retrieval.documents.0.document.content": "CANARY-document",
    "retrieval.documents.0.document.metadata": "CANARY-document",
    "retrieval.documents.0.document.id": "doc-1",
    "retrieval.documents.0.document.score": 0.5,
    "reranker.query": "CANARY-input",
    "reranker.input_documents.0.document.content": "CANARY-document",
    "reranker.output_documents.0.document.content": "CANARY-document",
    "annotations.0.annotation.explanation": "CANARY-unknown",
    # the conventions', as columns.py writes it
    "gen_ai.input.messages": messages("CANARY-input", [{"type": "text", "text": "CANARY-input"}, IMAGE_PART]),
    "gen_ai.output.messages": json.dumps(
        [
            {
                "role": "assistant",
                "content": "CANARY-output",
                "reasoning_content": "CANARY-output",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "CANARY-output"}}
                ],
                "finish_reason": "stop",
            }
        ]
    ),
    "gen_ai.system_instructions": "CANARY-input",
    "gen_ai.tool.definitions": '[{"description": "CANARY-tool"}]',
    "gen_ai.tool.description": "CANARY-tool",
    "gen_ai.tool.call.arguments": "CANARY-either",
    "gen_ai.tool.call.result": "CANARY-either",
    "gen_ai.request.stop_sequences": ("CANARY-parameter",),
    "gen_ai.retrieval.query.text": "CANARY-input",
    "gen_ai.retrieval.documents": "CANARY-document",
    "gen_ai.evaluation.explanation": "CANARY-unknown",
    "gen_ai.something.to.come": "CANARY-unknown",
    # other instrumentors'
    "gen_ai.prompt.0.content": "CANARY-input",
    "gen_ai.completion.0.content": "CANARY-output",
    "gen_ai.completion.0.tool_calls.0.arguments": "CANARY-output",
    "llm.request.functions.0.description": "CANARY-tool",
    "traceloop.entity.input": "CANARY-input",
    "traceloop.entity.output": "CANARY-output",
    "traceloop.prompt.template": "CANARY-input",
    "ai.prompt.messages": "CANARY-input",
    "ai.prompt.tools": "CANARY-tool",
    "ai.response.text": "CANARY-output",
    "ai.toolCall.args": "CANARY-either",
    "langfuse.observation.input": "CANARY-input",
    "langfuse.observation.output": "CANARY-output",
    "mlflow.spanInputs": "CANARY-input",
    "mlflow.spanOutputs": "CANARY-output",
    "gcp.vertex.agent.llm_request": "CANARY-input",
    "gcp.vertex.agent.llm_response": "CANARY-output",
    "lk.input_text": "CANARY-input",
    "pydantic_ai.all_messages": "CANARY-either",
    "db.query.result.0.document": "CANARY-document",
    # bare names of manual spans
    "input": "CANARY-input",
    "output": "CANARY-output",
    "prompt": "CANARY-input",
    "system_prompt": "CANARY-input",
    "answer": "CANARY-output",
    "events": "CANARY-either",
    "final_user_prompt": "CANARY-unknown",
    "http.request.body.text": "CANARY-unknown",
    "call": {"payload": {"messages": "CANARY-unknown"}},
    # what errors say
    "hf.error.message": "CANARY-error",
    "http.response.header.x_error_message": ("CANARY-error",),
    "error.message": "CANARY-error",
    "exception.message": "CANARY-error",
    "exception.stacktrace": "CANARY-error",
    "code.stacktrace": "CANARY-error",
}

STACK = """Traceback (most recent call last):
  File "/app/client.py", line 10, in call
    client.chat.completions.create(messages=[{"role": "user", "content": "CANARY-error"}])
                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
ValueError: CANARY-error

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    ask("CANARY-error")
  File "/lib/openai/_base_client.py", line 20, in request
    raise self._make_status_error(err.response) from None
openai.RateLimitError: Error code: 429 - {'error': 'CANARY-error'}
"""
FRAMES = """  File "/app/client.py", line 10, in call
  File "/app/main.py", line 3, in <module>
  File "/lib/openai/_base_client.py", line 20, in request"""


def full_record() -> SpanRecord:
    """Every place that may carry content, with a canary in it that says what kind of content it is."""
    return span(
        {**PROMISED, **PARAMETERS_LEFT, **CONTENT},
        events=[
            EventRecord("First Token Stream Event", 1, {}),
            EventRecord("gen_ai.system.message", 1, {"role": "system", "content": "CANARY-input"}),
            EventRecord("gen_ai.user.message", 1, {"role": "user", "content": "CANARY-input", "id": "CANARY-input x"}),
            EventRecord("gen_ai.assistant.message", 1, {"role": "assistant", "tool_calls": "CANARY-input"}),
            EventRecord("gen_ai.tool.message", 1, {"id": "call_1", "content": "CANARY-input"}),
            EventRecord("gen_ai.choice", 1, {"index": 0, "finish_reason": "stop", "message": "CANARY-output"}),
            EventRecord("gen_ai.content.prompt", 1, {"gen_ai.prompt": "CANARY-input"}),
            EventRecord("gen_ai.content.completion", 1, {"gen_ai.completion": "CANARY-output"}),
            EventRecord(
                "gen_ai.client.inference.operation.details",
                1,
                {
                    "gen_ai.input.messages": messages("CANARY-input"),
                    "gen_ai.output.messages": messages("CANARY-output"),
                },
            ),
            EventRecord("log", 1, {"body": "CANARY-unknown", "level": "two words"}),
            EventRecord(
                "exception",
                1,
                {
                    "exception.type": "openai.RateLimitError",
                    "exception.message": "Error code: 429 - {'error': 'CANARY-error'}",
                    "exception.stacktrace": STACK,
                    "exception.escaped": "False",
                },
            ),
        ],
        links=[LinkRecord(1, 2, {"gen_ai.input.messages": messages("CANARY-input"), "prompt": "CANARY-input"})],
        status_message="RateLimitError: Error code: 429 - {'error': 'CANARY-error'}",
    )


def canaries(record: SpanRecord) -> List[str]:
    return sorted(set(re.findall(r"CANARY-?\w+", everything_in(record))))


ALL_CANARIES = sorted(
    [
        "CANARY-document",
        "CANARY-either",
        "CANARY-error",
        "CANARY-input",
        "CANARY-output",
        "CANARY-parameter",
        "CANARY-tool",
        "CANARY-unknown",
        "CANARYimage",
    ]
)


def test_the_record_of_these_tests_has_every_canary_and_full_keeps_them() -> None:
    assert canaries(full_record()) == ALL_CANARIES
    assert canaries(privacy.apply(full_record(), FULL)) == ALL_CANARIES


def test_full_changes_nothing_of_a_record_without_secrets_and_media() -> None:
    assert everything_in(privacy.apply(full_record(), FULL)) == everything_in(full_record())


def test_none_lets_no_content_through() -> None:
    record = privacy.apply(full_record(), NONE)
    assert "CANARY" not in everything_in(record)
    assert {key: record.attributes.get(key) for key in PROMISED} == PROMISED
    assert {key: record.attributes.get(key) for key in PARAMETERS_LEFT} == PARAMETERS_LEFT
    assert json.loads(record.attributes["llm.invocation_parameters"]) == {
        "model": "m",
        "temperature": 0.5,
        "max_tokens": 100,
        "stream": True,
    }


def test_none_leaves_these_attributes_and_no_others() -> None:
    record = privacy.apply(full_record(), NONE)
    assert set(record.attributes) == {
        *PROMISED,
        *PARAMETERS_LEFT,
        "llm.invocation_parameters",
        "retrieval.documents.0.document.id",
        "retrieval.documents.0.document.score",
    }


def test_none_keeps_of_events_what_is_no_text() -> None:
    record = privacy.apply(full_record(), NONE)
    assert [(event.name, dict(event.attributes)) for event in record.events] == [
        ("First Token Stream Event", {}),
        ("gen_ai.system.message", {"role": "system"}),
        ("gen_ai.user.message", {"role": "user"}),
        ("gen_ai.assistant.message", {"role": "assistant"}),
        ("gen_ai.tool.message", {"id": "call_1"}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "stop"}),
        ("gen_ai.content.prompt", {}),
        ("gen_ai.content.completion", {}),
        ("gen_ai.client.inference.operation.details", {}),
        ("log", {"level": "two words"}),
        (
            "exception",
            {
                "exception.type": "openai.RateLimitError",
                "exception.message": "openai.RateLimitError",
                "exception.stacktrace": FRAMES,
                "exception.escaped": "False",
            },
        ),
    ]
    assert record.status_message == "RateLimitError"
    assert record.links == [LinkRecord(1, 2, {})]


@pytest.mark.parametrize("kind", ["LLM", "CHAIN", "AGENT", "TOOL", "RETRIEVER", "EMBEDDING", None])
def test_none_holds_on_spans_of_every_kind(kind: Optional[str]) -> None:
    record = full_record()
    del record.attributes["gen_ai.operation.name"]
    record.attributes["openinference.span.kind"] = kind
    assert "CANARY" not in everything_in(privacy.apply(record, NONE))


@given(
    st.lists(
        st.sampled_from(
            ["llm", "gen_ai", "input", "output", "prompt", "value", "tool", "traceloop", "ai", "messages", "text", "0"]
        ),
        min_size=2,
    ),
    st.sampled_from(["CANARY", "a CANARY", '{"a": "CANARY"}', ("CANARY x",), {"a": "CANARY"}]),
)
@settings(max_examples=300, deadline=None)
def test_none_is_fail_closed_under_the_namespaces_of_llm_tools(words: List[str], value: Any) -> None:
    key = ".".join(["llm", *words]) if words[0] not in ("llm", "gen_ai", "input", "output", "ai") else ".".join(words)
    assert "CANARY" not in repr(after({key: value}, NONE).get(key))


# hidden: names in force; gone: canaries that nothing of may be left; kept: canaries that must still be there.
@pytest.mark.parametrize(
    ("hidden", "gone", "kept"),
    [
        (["INPUTS"], "input error image tool unknown either parameter", "output document"),
        (["OUTPUTS"], "output error unknown either", "input tool parameter image"),
        (["INPUT_MESSAGES"], "input?", "output document"),
        (["OUTPUT_MESSAGES"], "error unknown either", "input document image"),
        (["INPUT_TEXT"], "input error unknown either parameter", "output image tool"),
        (["OUTPUT_TEXT"], "output? error unknown either", "input image tool"),
        (["INPUT_IMAGES"], "image error", "input output tool document"),
        (["LLM_INVOCATION_PARAMETERS"], "parameter error", "input output tool image"),
        (["LLM_TOOLS"], "tool error", "input output parameter image"),
        (["PROMPTS"], "error unknown", "output document image"),
        (["CHOICES"], "error unknown", "input document image"),
        (["RETRIEVAL_DOCUMENTS"], "document error", "input output parameter"),
        (["EMBEDDINGS_TEXT"], "error", "input output parameter document"),
        (["EMBEDDINGS_VECTORS"], "", "input output parameter document error"),
        (["EMBEDDING_VECTORS"], "", "input output parameter document error"),
        (["INPUTS", "OUTPUTS"], "input output error image tool unknown either parameter document", ""),
    ],
)
def test_what_each_variable_hides(hidden: List[str], gone: str, kept: str) -> None:
    record = privacy.apply(full_record(), hiding(*hidden))
    left = {canary.replace("-", "")[len("CANARY") :] for canary in canaries(record)}
    assert left.isdisjoint(name for name in gone.split() if not name.endswith("?"))
    assert left >= set(kept.split())
    assert {key: record.attributes.get(key) for key in PROMISED} == PROMISED
    if "LLM_INVOCATION_PARAMETERS" not in hidden:
        assert {key: record.attributes.get(key) for key in PARAMETERS_LEFT} == PARAMETERS_LEFT


@pytest.mark.parametrize(
    ("hidden", "gone", "kept"),
    [
        (
            "INPUTS",
            (
                "input.value llm.input_messages.0.message.role gen_ai.input.messages gen_ai.system_instructions "
                "gen_ai.tool.definitions input.images.0.image.url gen_ai.prompt.0.content reranker.query input prompt"
            ),
            (
                "input.mime_type llm.invocation_parameters output.value gen_ai.output.messages "
                "output.images.0.image.url llm.output_messages.0.message.role"
            ),
        ),
        (
            "OUTPUTS",
            (
                "output.value gen_ai.output.messages llm.output_messages.0.message.content output "
                "gen_ai.completion.0.content retrieval.documents.0.document.content output.images.0.image.url "
                "gen_ai.retrieval.documents"
            ),
            (
                "output.mime_type input.value gen_ai.input.messages gen_ai.tool.definitions llm.invocation_parameters "
                "llm.prompt_template.template"
            ),
        ),
        (
            "INPUT_MESSAGES",
            "input.value gen_ai.input.messages llm.input_messages.0.message.role gen_ai.system_instructions",
            "output.value gen_ai.output.messages gen_ai.tool.definitions input.images.0.image.url",
        ),
        (
            "OUTPUT_MESSAGES",
            "output.value gen_ai.output.messages llm.output_messages.0.message.role gen_ai.completion.0.content",
            "input.value gen_ai.input.messages",
        ),
        (
            "INPUT_TEXT",
            (
                "input.value llm.input_messages.0.message.content gen_ai.system_instructions gen_ai.prompt.0.content "
                "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments"
            ),
            (
                "gen_ai.input.messages llm.input_messages.0.message.role output.value "
                "llm.input_messages.0.message.contents.1.message_content.image.image.url"
            ),
        ),
        (
            "OUTPUT_TEXT",
            "output.value llm.output_messages.0.message.content gen_ai.completion.0.content",
            "gen_ai.output.messages llm.output_messages.0.message.role input.value",
        ),
        (
            "LLM_INVOCATION_PARAMETERS",
            (
                "llm.invocation_parameters llm.request.parameters.max_tokens gen_ai.request.temperature "
                "gen_ai.request.stop_sequences"
            ),
            "llm.request.parameters.model gen_ai.request.model input.value",
        ),
        (
            "LLM_TOOLS",
            "llm.tools.0.tool.json_schema gen_ai.tool.definitions tool.description",
            "tool.parameters input.value",
        ),
    ],
)
def test_hidden_attributes_are_removed_not_replaced(hidden: str, gone: str, kept: str) -> None:
    """The server estimates tokens from any input text it gets, also from ``__REDACTED__``."""
    left = after({**PROMISED, **PARAMETERS_LEFT, **CONTENT}, hiding(hidden))
    assert set(gone.split()) & set(left) == set()
    assert set(kept.split()) <= set(left)


def test_bodies_lose_what_is_hidden_and_keep_the_rest() -> None:
    left = after(CONTENT, hiding("LLM_TOOLS", "INPUT_IMAGES"))
    text, first, second = json.loads(left["input.value"])["messages"][0]["content"]
    assert (text["text"], first, second) == ("CANARY-input", {"type": "image_url"}, {"type": "input_image"})
    assert "tools" not in json.loads(left["input.value"])
    assert "tools" not in json.loads(left["output.value"])
    parameters = {name: value for name, value in INVOCATION_PARAMETERS.items() if name not in ("image", "tools")}
    assert json.loads(left["llm.invocation_parameters"]) == parameters
    assert set(json.loads(after(CONTENT, hiding("LLM_INVOCATION_PARAMETERS"))["input.value"])) == {
        "model",
        "messages",
        "tools",
    }


def test_hidden_images_take_nothing_else_with_them() -> None:
    part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "CANARYimage"}}
    attributes = {**CONTENT, "gen_ai.input.messages": messages([part])}
    left = after(attributes, hiding("INPUT_IMAGES"))
    assert json.loads(left["gen_ai.input.messages"])[0]["content"] == [{"type": "image"}]
    assert json.loads(left["llm.invocation_parameters"])["tools"] == INVOCATION_PARAMETERS["tools"]
    images = {"input.value", "gen_ai.input.messages", "llm.invocation_parameters"}
    images |= {name for name in CONTENT if ".image" in name and name.startswith(("input.", "llm.input"))}
    images |= {name for name, value in CONTENT.items() if "CANARY-error" in str(value)}
    assert {name: value for name, value in attributes.items() if name not in images} == {
        name: value for name, value in left.items() if name not in images
    }


@pytest.mark.parametrize("hidden", ["INPUT_IMAGES", "INPUT_TEXT", "LLM_TOOLS"])
def test_a_schema_whose_type_is_a_list_does_not_cost_the_span(hidden: str) -> None:
    schema = {"type": ["string", "null"], "description": "CANARY-tool"}
    attributes = {
        "input.value": json.dumps({"model": "m", "tools": [schema]}),
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": [schema]}]),
        "llm.invocation_parameters": json.dumps({"model": "m", "tools": [schema]}),
    }
    assert json.loads(after(attributes, hiding(hidden))["llm.invocation_parameters"])["model"] == "m"


@pytest.mark.parametrize("value", ["max_tokens=5 CANARY", '["CANARY"]', "{CANARY"])
def test_parameters_that_are_no_object_go_with_the_prompt(value: str) -> None:
    assert after({"llm.invocation_parameters": value}, hiding("INPUTS")) == {}


def test_images_in_answers_are_not_input_images() -> None:
    attributes = {
        "gen_ai.output.messages": messages([IMAGE_PART]),
        "llm.output_messages.0.message.contents.0.message_content.image.image.url": "https://example.com/1.png",
    }
    assert after(attributes, hiding("INPUT_IMAGES")) == attributes


def test_parameters_that_an_answer_repeats_are_hidden_there() -> None:
    attributes = {"output.value": '{"object": "response", "model": "m", "temperature": 0.5, "output": []}'}
    left = after(attributes, hiding("LLM_INVOCATION_PARAMETERS"))["output.value"]
    assert json.loads(left) == {"object": "response", "model": "m", "output": []}


def test_the_input_of_a_chain_has_no_parameters() -> None:
    attributes = {"input.value": '{"question": "text"}', "output.value": '{"language": "text"}'}
    assert after(attributes, hiding("LLM_INVOCATION_PARAMETERS")) == attributes


def test_hidden_inputs_are_cut_out_of_the_answer() -> None:
    """The Responses API repeats its instructions, image models rewrite the prompt, vLLM returns its tokens."""
    left = json.loads(after(CONTENT, hiding("INPUTS"))["output.value"])
    assert left["choices"] == RESPONSE["choices"]
    assert left["usage"] == RESPONSE["usage"]
    assert left["data"] == [{}]
    assert left.keys() == {"id", "model", "choices", "usage", "data"}


def test_echoed_prompts_go_with_the_inputs() -> None:
    attributes = {
        "llm.invocation_parameters": '{"model": "m", "echo": true}',
        "output.value": '{"choices": [{"text": "CANARY and the answer"}]}',
        "gen_ai.output.messages": messages("CANARY and the answer"),
        "llm.choices.0.completion.text": "CANARY and the answer",
    }
    assert "CANARY" not in repr(after(attributes, hiding("INPUTS")))
    assert "CANARY" in after({**attributes, "llm.invocation_parameters": "{}"}, hiding("INPUTS"))["output.value"]


def test_hidden_text_leaves_the_outline_of_messages() -> None:
    sent = after(CONTENT, hiding("INPUT_TEXT"))["gen_ai.input.messages"]
    assert json.loads(sent) == [
        {"role": "user", "content": "__REDACTED__"},
        {"role": "user", "content": [{"type": "text", "text": "__REDACTED__"}, IMAGE_PART]},
    ]
    received = after(CONTENT, hiding("OUTPUT_TEXT"))["gen_ai.output.messages"]
    assert json.loads(received) == [
        {
            "role": "assistant",
            "content": "__REDACTED__",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "__REDACTED__"}},
            ],
            "finish_reason": "stop",
        }
    ]


@pytest.mark.parametrize(
    "value",
    [
        "[broken CANARY",
        '"CANARY"',
        '[["CANARY", {"x": "CANARY"}]]',
        '{"role": "CANARY x", "parts": [{"content": "CANARY"}]}',
    ],
)
def test_messages_of_an_unknown_form_lose_their_text_too(value: str) -> None:
    assert "CANARY" not in repr(after({"gen_ai.input.messages": value}, hiding("INPUT_TEXT")))


@pytest.mark.parametrize("value", ["{broken CANARY", "[broken CANARY", "{'python': 'CANARY'}"])
@pytest.mark.parametrize("name", ["LLM_TOOLS", "PROMPTS", "INPUT_IMAGES", "LLM_INVOCATION_PARAMETERS"])
def test_a_body_that_cannot_be_read_goes(name: str, value: str) -> None:
    assert "input.value" not in after({"input.value": value, "gen_ai.operation.name": "chat"}, hiding(name))


@pytest.mark.parametrize("depth", [100, 450, 600, 900, 980, 1100, 1300, 1500, 5000, 50_000])
def test_deeply_nested_json_does_not_cost_the_span(depth: int) -> None:
    nested = '{"a": ' + "[" * depth + '"data:image/png;base64,CANARY"' + "]" * depth + "}"
    left = after(
        {"input.value": nested, "gen_ai.input.messages": nested, "output.value": nested, "a": 1},
        hiding("INPUT_IMAGES", "INPUT_TEXT", "OUTPUTS"),
    )
    assert left["a"] == 1
    assert "CANARY" not in repr(left)
    assert after({"input.value": nested, "a": 1}, hiding("INPUT_IMAGES"))["a"] == 1


COMPLETION = {
    "gen_ai.operation.name": "text_completion",
    "openinference.span.kind": "LLM",
    "input.value": '{"model": "m", "prompt": "CANARY-prompt"}',
    "output.value": '{"model": "m", "choices": [{"index": 0, "text": "CANARY-choice"}]}',
    "llm.prompts.0.prompt.text": "CANARY-prompt",
    "llm.choices.0.completion.text": "CANARY-choice",
    "gen_ai.input.messages": messages("CANARY-prompt"),
    "gen_ai.output.messages": messages("CANARY-choice"),
    "llm.invocation_parameters": '{"model": "m", "temperature": 0.5}',
}


@pytest.mark.parametrize(
    ("hidden", "gone", "kept"),
    [("PROMPTS", "CANARY-prompt", "CANARY-choice"), ("CHOICES", "CANARY-choice", "CANARY-prompt")],
)
def test_prompts_and_choices_of_the_completions_api(hidden: str, gone: str, kept: str) -> None:
    left = repr(after(COMPLETION, hiding(hidden)))
    assert gone not in left
    assert kept in left
    unread = {key: value for key, value in COMPLETION.items() if not key.endswith(".value")}
    assert gone not in repr(after(unread, hiding(hidden)))


def test_prompts_are_hidden_where_a_request_has_one_and_not_in_a_chat() -> None:
    image = {
        "gen_ai.operation.name": "chat",  # what columns.py says of a response class it does not know
        "input.value": '{"model": "m", "prompt": "CANARY"}',
        "gen_ai.input.messages": messages("CANARY"),
        "llm.invocation_parameters": '{"model": "m", "prompt": "CANARY"}',
    }
    assert "CANARY" not in repr(after(image, hiding("PROMPTS")))
    chat = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": messages("text")}
    assert after(chat, hiding("PROMPTS")) == chat


EMBEDDING = {
    "gen_ai.operation.name": "embeddings",
    "openinference.span.kind": "EMBEDDING",
    "embedding.model_name": "m",
    "input.value": '{"model": "m", "input": ["CANARY-text"]}',
    "output.value": json.dumps(
        {"data": [{"embedding": [0.5] * 8}, {"embedding": "CANARYvector"}, {"embedding": VECTOR}]}
    ),
    "embedding.embeddings.0.embedding.text": "CANARY-text",
    "embedding.embeddings.0.embedding.vector": tuple(VECTOR),
    "embedding.text": "CANARY-text",
    "ai.value": "CANARY-text",
    "ai.values": ("CANARY-text",),
    "embedding.invocation_parameters": '{"model": "m", "user": "CANARY-text"}',
}


def test_hidden_embeddings_text() -> None:
    left = after(EMBEDDING, hiding("EMBEDDINGS_TEXT"))
    assert "CANARY-text" not in repr(left)
    assert left["hf.embeddings.digest"].startswith("sha256:")
    assert json.loads(left["embedding.invocation_parameters"]) == {"model": "m"}


@pytest.mark.parametrize("name", ["EMBEDDINGS_VECTORS", "EMBEDDING_VECTORS"])
def test_hidden_vectors_leave_their_number_and_no_digest(name: str) -> None:
    attributes = {
        **EMBEDDING,
        "db.query.embeddings.vector": VECTOR,
        "my.embedding": VECTOR,
    }
    left = after(attributes, hiding(name))
    assert json.loads(left["output.value"]) == {"data": [{}, {}, {}]}
    assert left["hf.embeddings.count"] == 1
    assert left["gen_ai.embeddings.dimension.count"] == 1024
    assert left["my.embedding"] == "<vector: 1024 dimensions>"
    assert "db.query.embeddings.vector" not in left
    assert "0.499" not in repr(left)
    assert "sha256" not in repr(left)
    assert "CANARY-text" in left["input.value"]


def test_documents_of_a_retriever_go_with_its_output() -> None:
    attributes = {
        "openinference.span.kind": "RETRIEVER",
        "output.value": "CANARY",
        "retrieval.documents.0.document.content": "CANARY",
        "retrieval.documents.0.document.id": "doc-1",
    }
    assert after(attributes, hiding("RETRIEVAL_DOCUMENTS")) == {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.0.document.id": "doc-1",
    }


@pytest.mark.parametrize(
    ("error_type", "status_message", "left"),
    [
        ("openai.RateLimitError", "RateLimitError: CANARY", "RateLimitError"),
        ("openai.RateLimitError", "openai.RateLimitError: CANARY", "openai.RateLimitError"),
        ("httpx.ReadTimeout", "httpx.ReadTimeout: CANARY", "httpx.ReadTimeout"),
        ("app.Odd", "Odd: CANARY", "Odd"),
        ("KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("app.Odd", "CANARY", ""),
        ("app.Odd", "CANARY: and more", ""),
        ("ValueError", "the prompt CANARY caused a ValueError: x", ""),
        ("app.Odd", "", ""),
        (None, "RateLimitError: CANARY", ""),
    ],
)
@pytest.mark.parametrize("said_by", ["attribute", "event"])
def test_a_status_message_becomes_the_errors_type(
    said_by: str, error_type: Optional[str], status_message: str, left: str
) -> None:
    attributes = {"error.type": error_type} if said_by == "attribute" else {}
    events = [EventRecord("exception", 1, {"exception.type": error_type})] if said_by == "event" else []
    record = span(attributes, events=events, status_message=status_message)
    assert privacy.apply(record, hiding("OUTPUTS")).status_message == left
    kept = span(attributes, events=events, status_message=status_message)
    assert privacy.apply(kept, hiding("EMBEDDINGS_VECTORS")).status_message == status_message


QUOTED = """Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    ask(text)
ValueError: cannot answer: why does this fail?
Traceback (most recent call last):
  File "/home/CANARY/thesis.py", line 1, in write_CANARY
    CANARY
"""


@pytest.mark.parametrize(
    ("stack", "message", "left"),
    [
        (STACK, "", FRAMES),
        (STACK, "e", FRAMES),
        (QUOTED, QUOTED.partition("ValueError: ")[2], '  File "/app/main.py", line 3, in <module>'),
        ('ValueError: x\n  File "CANARY", line 1, in f\n', "", None),
        ("CANARY without any frame", "", None),
        ('  File "CANARY x', "", None),
        ("", "", None),
    ],
)
def test_a_stack_trace_keeps_its_frames_only(stack: str, message: str, left: Optional[str]) -> None:
    event = EventRecord("exception", 1, {"exception.message": message, "exception.stacktrace": stack})
    attributes = privacy.apply(span(events=[event]), NONE).events[0].attributes
    assert (attributes.get("exception.stacktrace") or None) == left
    assert "CANARY" not in repr(attributes)


def test_a_real_exception() -> None:
    def ask(prompt: str) -> None:
        raise ValueError("refused:\n" + prompt)

    import traceback

    try:
        ask('CANARY\n  File "CANARY", line 1, in f')
    except ValueError as error:
        event = EventRecord(
            "exception",
            1,
            {
                "exception.type": "ValueError",
                "exception.message": str(error),
                "exception.stacktrace": traceback.format_exc(),
            },
        )
    attributes = privacy.apply(span(events=[event]), NONE).events[0].attributes
    assert attributes["exception.message"] == "ValueError"
    assert re.fullmatch(
        r'  File "[^"]+test_privacy_content.py", line \d+, in test_a_real_exception\n'
        r'  File "[^"]+test_privacy_content.py", line \d+, in ask',
        attributes["exception.stacktrace"],
    )


def test_what_errors_say_stays_where_no_text_is_hidden() -> None:
    attributes = {"exception.type": "ValueError", "exception.message": "text", "exception.stacktrace": STACK}
    assert after(attributes, hiding("EMBEDDINGS_VECTORS")) == attributes


def test_a_type_that_is_no_type_does_not_pass() -> None:
    event = EventRecord("exception", 1, {"exception.type": "CANARY is a text", "exception.message": "CANARY"})
    record = span({"error.type": "CANARY is a text"}, events=[event], status_message="CANARY is a text: x")
    assert "CANARY" not in everything_in(privacy.apply(record, NONE))


def test_parameters_hidden_by_name_are_hidden_with_none_too() -> None:
    policy = privacy.build_policy(
        capture_content=False, environ={"OPENINFERENCE_HIDE_LLM_INVOCATION_PARAMETERS": "true"}
    )
    left = after({**PROMISED, **PARAMETERS_LEFT, **CONTENT}, policy)
    assert not {*PARAMETERS_LEFT, "llm.invocation_parameters"} & set(left)


@pytest.mark.parametrize("policy", [NONE, hiding("INPUTS"), hiding("INPUT_TEXT", "OUTPUT_TEXT"), hiding("LLM_TOOLS")])
def test_applying_twice_changes_nothing_more(policy: privacy.Policy) -> None:
    once = privacy.apply(full_record(), policy)
    first = everything_in(once)
    assert everything_in(privacy.apply(once, policy)) == first


def test_none_keeps_spans_that_have_nothing_to_do_with_models() -> None:
    attributes = {
        "http.request.method": "GET",
        "url.full": "https://example.com/a b",
        "url.query": "q=1",
        "db.query.text": "SELECT 1",
        "user_agent.original": "curl 8",
        "rpc.message.id": 3,
        "messaging.message.id": "7",
        "order.id": "A 17",
        "cart": ("two words",),
        "response.time_ms": 5,
        "query.plan": "two words",
    }
    assert after(attributes, NONE) == attributes


@pytest.mark.parametrize("name", sorted(privacy.HIDE_NAMES - {"EMBEDDINGS_VECTORS", "EMBEDDING_VECTORS"}))
def test_what_is_hidden_is_hidden_where_an_error_echoes_it(name: str) -> None:
    echo = "invalid: {'messages': 'CANARY', 'image_url': 'https://h/CANARY.png', 'stop': ['CANARY']}"
    trace = (
        'Traceback (most recent call last):\n  File "app.py", line 3, in ask\n    ask("CANARY")\n'
        f"openai.BadRequestError: {echo}"
    )
    record = span(
        {"error.type": "openai.BadRequestError", "hf.error.kind": "validation", "http.response.status_code": 422},
        events=[
            EventRecord(
                "exception",
                1,
                {
                    "exception.type": "openai.BadRequestError",
                    "exception.message": echo,
                    "exception.stacktrace": trace,
                },
            )
        ],
        status_message=f"BadRequestError: 422 Unprocessable Entity: {echo}",
    )
    privacy.apply(record, hiding(name))
    assert "CANARY" not in everything_in(record)
    assert record.status_message == "BadRequestError"
    assert record.attributes["hf.error.kind"] == "validation"
    assert 'File "app.py", line 3, in ask' in record.events[0].attributes["exception.stacktrace"]
