"""Request and answer bodies as OpenInference's attributes."""

from __future__ import annotations

import json

import pytest

from hf_openobserve.wire import openinference

ANY_IMAGES = openinference.ANY_IMAGES
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


def test_a_chat_request_in_openinference_names():
    body = {
        "model": "provider/other-name",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image("http://x.invalid/a.png")]},
            {"role": "assistant", "content": None, "tool_calls": [tool_call("c1", "look", '{"at": 1}')]},
            {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "a sea"},
        ],
        "tools": [{"type": "function", "function": {"name": "look"}}],
        "max_tokens": 8,
    }
    attributes = {**openinference.chat_request(body, "org/name", ANY_IMAGES), **openinference.messages(body, {})}
    prefix = "llm.input_messages."
    assert {name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)} == {
        "0.message.role": "system",
        "0.message.content": "Be brief.",
        "1.message.role": "user",
        "1.message.contents.0.message_content.type": "text",
        "1.message.contents.0.message_content.text": "What is it?",
        "1.message.contents.1.message_content.type": "image",
        "1.message.contents.1.message_content.image.image.url": "http://x.invalid/a.png",
        "2.message.role": "assistant",
        "2.message.tool_calls.0.tool_call.id": "c1",
        "2.message.tool_calls.0.tool_call.function.name": "look",
        "2.message.tool_calls.0.tool_call.function.arguments": '{"at": 1}',
        "3.message.role": "tool",
        "3.message.name": "look",
        "3.message.tool_call_id": "c1",
        "3.message.content": "a sea",
    }
    assert json.loads(attributes["llm.tools.0.tool.json_schema"])["function"]["name"] == "look"
    assert json.loads(attributes["llm.invocation_parameters"]) == {"model": "org/name", "max_tokens": 8}
    assert json.loads(attributes["input.value"])["model"] == "provider/other-name"


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def tool_call(identifier, name, arguments):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


SHORT, LONG = "data:image/png;base64,AAAA", "data:image/png;base64," + "A" * 500


@pytest.mark.parametrize(
    ("images", "url", "left"),
    [
        (openinference.Images(max_length=100), SHORT, True),
        (openinference.Images(max_length=100), LONG, False),
        (openinference.Images(max_length=1000), LONG, True),
        (openinference.Images(hidden=True), SHORT, False),
        (openinference.Images(hidden=True), "http://x.invalid/a.png", True),
    ],
)
def test_images_in_the_recorded_request_follow_the_configuration(images, url, left):
    body = {"messages": [{"role": "user", "content": [image(url)]}]}
    value = openinference.chat_request(body, None, images)["input.value"]
    assert (url in value) is left
    assert (openinference.REDACTED in value) is not left
    assert body["messages"][0]["content"][0]["image_url"]["url"] == url, "what is sent is untouched"


@pytest.mark.parametrize(
    ("body", "parameters"),
    [
        (
            {"inputs": "The sea", "parameters": {"max_new_tokens": 8, "stop": ["."]}, "stream": True},
            {"model": "org/name", "stream": True, "max_new_tokens": 8, "stop": ["."]},
        ),
        (
            {"prompt": "The sea", "max_new_tokens": 8, "model": "other"},
            {"model": "org/name", "max_new_tokens": 8},
        ),
    ],
)
def test_a_generation_request_in_both_forms(body, parameters):
    attributes = openinference.generation_request(body, "org/name", ANY_IMAGES)
    assert attributes["llm.prompts.0.prompt.text"] == "The sea"
    assert attributes["gen_ai.request.max_tokens"] == 8
    assert json.loads(attributes["llm.invocation_parameters"]) == parameters


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({"inputs": "a"}, ["a"]),
        ({"inputs": ["a", "b"]}, ["a", "b"]),
        ({"input": ["a", "b"], "model": "m"}, ["a", "b"]),
        ({"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}, ["a", "b", "c"]),
    ],
)
def test_texts_to_embed(body, texts):
    attributes = openinference.embedding_request(body, None, ANY_IMAGES)
    assert [value for name, value in attributes.items() if name.startswith("embedding.embeddings.")] == texts


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([{"generated_text": "blue"}], {"llm.choices.0.completion.text": "blue"}),
        (
            {"generated_text": "blue", "details": {"finish_reason": "length", "generated_tokens": 4, "prefill": []}},
            {
                "llm.choices.0.completion.text": "blue",
                "llm.finish_reason": "length",
                "llm.token_count.completion": 4,
            },
        ),
        (
            {"generated_text": "b", "details": {"generated_tokens": 1, "prefill": [{"id": 1}, {"id": 2}]}},
            {
                "llm.choices.0.completion.text": "b",
                "llm.token_count.completion": 1,
                "llm.token_count.prompt": 2,
            },
        ),
        (
            {
                "model": "m",
                "choices": [{"text": "blue", "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
            },
            {
                "llm.choices.0.completion.text": "blue",
                "llm.finish_reason": "stop",
                "llm.model_name": "m",
                "llm.token_count.prompt": 3,
                "llm.token_count.completion": 1,
                "llm.token_count.total": 4,
            },
        ),
        ("nonsense", {}),
    ],
)
def test_generation_answers_in_every_form(answer, expected):
    attributes = openinference.generation_answer(json.dumps(answer), answer)
    assert attributes.pop("output.value") == json.dumps(answer)
    assert attributes.pop("output.mime_type") == "application/json"
    assert attributes == expected


def embedded(body):
    return openinference.embedding_answer(openinference.members_behind_media(body))


@pytest.mark.parametrize("model_first", [True, False])
def test_an_embedding_answer_gives_model_and_usage_without_being_parsed(model_first):
    described = {"model": "bge-small-en", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    vectors = {"data": [{"embedding": [0.25] * 4000}]}
    body = {**described, **vectors} if model_first else {**vectors, **described}
    assert embedded(json.dumps(body).encode()) == {
        "embedding.model_name": "bge-small-en",
        "llm.token_count.prompt": 7,
        "llm.token_count.total": 7,
    }


@pytest.mark.parametrize("body", [b"[[0.1, 0.2]]", b"", b'{"usage"', b'{"usage": nothing}'])
def test_an_embedding_answer_without_usage_gives_none(body):
    assert embedded(body) == {}


@pytest.mark.parametrize("content", [[{"type": "text", "text": "Four"}], [THINKING, {"type": "text", "text": "Four"}]])
def test_thinking_is_no_part_of_a_message(content):
    answer = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    attributes = openinference.messages({}, answer)
    prefix = "llm.output_messages.0.message."
    assert {name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)} == {
        "role": "assistant",
        "contents.0.message_content.type": "text",
        "contents.0.message_content.text": "Four",
    }
