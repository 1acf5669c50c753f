"""The pure parts of the huggingface_hub instrumentor, as tables: routing, bodies, pace, and asking for usage."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, Dict, Optional

import pytest

from hf_openobserve import arm
from hf_openobserve.capture import pace, routing
from hf_openobserve.instrumentors import hooks, messages

ANY_IMAGES = messages.Images()
ROUTER = "https://router.huggingface.co/v1/chat/completions"


def route(url, model="org/name", provider=None, headers=None, by_address=False):
    return routing.request_attributes(
        url=url, model=model, provider=provider, headers=headers or {}, by_address=by_address
    )


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("org/name", ("org/name", None, None)),
        ("org/name:fastest", ("org/name", "fastest", None)),
        ("org/name:cheapest", ("org/name", "cheapest", None)),
        ("org/name:preferred", ("org/name", "preferred", None)),
        ("org/name:together", ("org/name", None, "together")),
        ("org/name:fal-ai", ("org/name", None, "fal-ai")),
        ("org/name:", ("org/name:", None, None)),
        (":together", (":together", None, None)),
    ],
)
def test_a_model_id_has_a_base_and_a_policy_or_a_provider(model, parts):
    assert tuple(routing.split_model(model)) == parts


@pytest.mark.parametrize(
    ("url", "pinned", "kind"),
    [
        (ROUTER, False, "router"),
        ("https://router.huggingface.co/together/v1/chat/completions", True, "router_provider"),
        ("https://router.huggingface.co/hf-inference/models/org/name", False, "router_provider"),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions", False, "dedicated"),
        ("http://127.0.0.1:8080/v1/chat/completions", True, "local"),
        ("http://localhost:8080/v1", False, "local"),
        ("https://api.together.xyz/v1/chat/completions", True, "provider"),
        ("https://llm.example.com/v1", False, "other"),
        ("https://endpoints.huggingface.cloud.example.com/v1", False, "other"),
    ],
)
def test_the_kind_of_endpoint_is_what_the_address_says(url, pinned, kind):
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    assert routing.endpoint_kind(parts.hostname, parts.path, pinned=pinned) == kind


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            {"url": ROUTER, "model": "org/name:cheapest"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.model.policy": "cheapest"},
        ),
        (
            {"url": ROUTER, "model": "org/name:together"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.provider.requested": "together"},
        ),
        (
            {"url": "https://router.huggingface.co/novita/v3/openai/chat/completions", "provider": "novita"},
            {
                "hf.endpoint.kind": "router_provider",
                "hf.model.base": "org/name",
                "hf.provider.requested": "novita",
                "hf.provider.served": "novita",
            },
        ),
        (
            {"url": ROUTER, "provider": "fastest"},
            {"hf.endpoint.kind": "router", "hf.model.base": "org/name", "hf.model.policy": "fastest"},
        ),
        ({"url": ROUTER, "provider": "auto"}, {"hf.endpoint.kind": "router", "hf.model.base": "org/name"}),
        (
            {"url": "https://api.together.xyz/v1/chat/completions", "provider": "together"},
            {"hf.endpoint.kind": "provider", "hf.model.base": "org/name", "hf.provider.requested": "together"},
        ),
        (
            {"url": "https://llm.example.com/v1", "provider": "together", "by_address": True, "model": "llama3:8b"},
            {"hf.endpoint.kind": "other", "hf.model.base": "llama3:8b"},
        ),
        (
            {"url": ROUTER, "model": None, "headers": {"X-HF-Bill-To": "my-org", "authorization": "Bearer x"}},
            {"hf.endpoint.kind": "router", "hf.bill_to": "my-org"},
        ),
    ],
)
def test_a_request_says_where_it_goes_and_no_more(call, expected):
    attributes = route(**call)
    assert {name: value for name, value in attributes.items() if name.startswith("hf.")} == expected


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        (ROUTER, "router.huggingface.co", 443),
        ("http://127.0.0.1:8080/v1", "127.0.0.1", 8080),
        ("http://[::1]/v1", "::1", 80),
    ],
)
def test_server_address_and_port(url, address, port):
    attributes = route(url)
    assert (attributes["server.address"], attributes["server.port"]) == (address, port)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {}),
        ({"x-inference-provider": "together"}, {"hf.provider.served": "together"}),
        ({"x-request-id": "Root=1-a", "x-amzn-trace-id": "b"}, {"hf.request_id": "Root=1-a"}),
        ({"x-amz-cf-id": "c"}, {"hf.request_id": "c"}),
        ({"inference-id": "0-019ff"}, {"hf.inference_id": "0-019ff"}),
        ({"server": "llama.cpp"}, {"hf.endpoint.server": "llama.cpp"}),
        ({"server": "uvicorn"}, {}),
        ({"x-time-per-token": "12"}, {"hf.endpoint.server": "tgi"}),
        ({"retry-after": "3"}, {"hf.retry_after": 3.0}),
        ({"retry-after": "0.5"}, {"hf.retry_after": 0.5}),
        (
            {"retry-after": "Mon, 23 Nov 2026 18:00:00 GMT"},
            {"hf.retry_after.date": "Mon, 23 Nov 2026 18:00:00 GMT"},
        ),
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-colour": "red"},
            {"hf.ratelimit.remaining_requests": "0", "hf.ratelimit.reset_tokens": "6m0s"},
        ),
    ],
)
def test_response_headers_say_who_answered(headers, expected):
    assert routing.response_attributes(headers) == expected


@pytest.mark.parametrize(
    ("url", "headers", "served"),
    [
        (ROUTER, {"x-inference-provider": "novita"}, "novita"),
        (ROUTER, {}, None),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", {}, "novita"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", {"x-inference-provider": "a"}, "a"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", None, "novita"),
        ("http://localhost:8080/novita/v1/chat/completions", None, None),
    ],
)
def test_who_served_an_answer(url, headers, served):
    assert routing.served_by(url, headers) == served


@pytest.mark.parametrize(
    ("url", "api"),
    [
        (ROUTER, "openai"),
        ("https://router.huggingface.co/novita/v3/openai/chat/completions", "openai"),
        ("https://router.huggingface.co/together/v1/completions?x=1", "openai"),
        ("http://127.0.0.1:8080/v1/embeddings", "openai"),
        ("https://router.huggingface.co/hf-inference/models/org/name", "huggingface"),
        ("http://127.0.0.1:8080", "huggingface"),
        ("", "huggingface"),
    ],
)
def test_the_api_that_is_spoken_is_what_the_address_says(url, api):
    assert routing.api_of(url) == api


def test_tokens_in_headers_are_taken_as_numbers_only():
    counts = routing.header_token_counts({"x-prompt-tokens": "7", "x-generated-tokens": "many"})
    assert counts == {"llm.token_count.prompt": 7}


# Bodies.


def test_a_chat_request_in_openinference_names():
    attributes = messages.chat_request(
        {
            "model": "provider/other-name",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image("http://x.invalid/a.png")]},
                {"role": "assistant", "content": None, "tool_calls": [tool_call("c1", "look", '{"at": 1}')]},
                {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "a sea"},
            ],
            "tools": [{"type": "function", "function": {"name": "look"}}],
            "max_tokens": 8,
        },
        "org/name",
        ANY_IMAGES,
    )
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
        (messages.Images(max_length=100), SHORT, True),
        (messages.Images(max_length=100), LONG, False),
        (messages.Images(max_length=1000), LONG, True),
        (messages.Images(hidden=True), SHORT, False),
        (messages.Images(hidden=True), "http://x.invalid/a.png", True),
    ],
)
def test_images_in_the_recorded_request_follow_the_configuration(images, url, left):
    body = {"messages": [{"role": "user", "content": [image(url)]}]}
    value = messages.chat_request(body, None, images)["input.value"]
    assert (url in value) is left
    assert (messages.REDACTED in value) is not left
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
    attributes = messages.generation_request(body, "org/name", ANY_IMAGES)
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
    attributes = messages.embedding_request(body, None, ANY_IMAGES)
    assert [value for name, value in attributes.items() if name.startswith("embedding.embeddings.")] == texts


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, {}),
        ({}, {}),
        (
            {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
            {"prompt": 3, "completion": 2, "total": 5},
        ),
        (
            {
                "prompt_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            {"prompt": 3, "prompt_details.cache_read": 1, "completion_details.reasoning": 2},
        ),
        ({"prompt_tokens": None, "completion_tokens": "2", "prompt_tokens_details": None}, {}),
    ],
)
def test_usage_is_taken_as_far_as_it_goes(usage, counts):
    expected = {"llm.token_count." + name: count for name, count in counts.items()}
    assert messages.usage_attributes(usage) == expected


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
    attributes = messages.generation_answer(json.dumps(answer), answer)
    assert attributes.pop("output.value") == json.dumps(answer)
    assert attributes.pop("output.mime_type") == "application/json"
    assert attributes == expected


@pytest.mark.parametrize("model_first", [True, False])
def test_an_embedding_answer_gives_model_and_usage_without_being_parsed(model_first):
    described = {"model": "bge-small-en", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    vectors = {"data": [{"embedding": [0.25] * 4000}]}
    body = {**described, **vectors} if model_first else {**vectors, **described}
    assert messages.embedding_answer(json.dumps(body).encode()) == {
        "embedding.model_name": "bge-small-en",
        "llm.token_count.prompt": 7,
        "llm.token_count.total": 7,
    }


@pytest.mark.parametrize("body", [b"[[0.1, 0.2]]", b"", b'{"usage"', b'{"usage": nothing}'])
def test_an_embedding_answer_without_usage_gives_none(body):
    assert messages.embedding_answer(body) == {}


@dataclasses.dataclass
class Chunk:
    choices: Any = ()
    usage: Optional[Dict[str, Any]] = None
    id: str = "x"
    model: str = "m"
    system_fingerprint: Optional[str] = None


def delta(index=0, finish_reason=None, **members):
    return SimpleNamespace(index=index, finish_reason=finish_reason, delta=SimpleNamespace(**members))


def test_a_chat_stream_is_put_together_once_at_its_end():
    stream = messages.ChatStream()
    contents = [
        stream.add(Chunk([delta(role="assistant", content=None)], system_fingerprint="vllm-0.21.0-955d20dc")),
        stream.add(Chunk([delta(content="Hel"), delta(1, role="assistant", content="Ho")])),
        stream.add(Chunk([delta(content="lo", reasoning="why")])),
        stream.add(Chunk([delta(finish_reason="stop"), delta(1, finish_reason="length")])),
        stream.add(Chunk([], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})),
    ]
    assert contents == [False, True, True, False, False]
    attributes = stream.attributes()
    assert attributes["llm.output_messages.0.message.content"] == "Hello"
    assert attributes["llm.output_messages.1.message.content"] == "Ho"
    assert attributes["llm.finish_reason"] == "stop"
    assert attributes["llm.token_count.total"] == 7
    answer = json.loads(attributes["output.value"])
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello", "reasoning": "why"}
    assert answer["choices"][1]["finish_reason"] == "length"
    assert answer["system_fingerprint"] == "vllm-0.21.0-955d20dc"


def test_the_pieces_of_streamed_tool_calls_are_joined():
    def piece(index, arguments, **members):
        function = SimpleNamespace(name=members.pop("name", None), arguments=arguments)
        return SimpleNamespace(index=index, id=members.get("id"), function=function)

    stream = messages.ChatStream()
    for calls in (
        [piece(0, "", id="c1", name="look")],
        [piece(0, '{"at":')],
        [piece(0, " 1}"), piece(1, "{}", id="c2", name="wait")],
    ):
        assert stream.add(Chunk([delta(tool_calls=calls)]))
    attributes = stream.attributes()
    prefix = "llm.output_messages.0.message.tool_calls."
    assert {name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)} == {
        "0.tool_call.id": "c1",
        "0.tool_call.function.name": "look",
        "0.tool_call.function.arguments": '{"at": 1}',
        "1.tool_call.id": "c2",
        "1.tool_call.function.name": "wait",
        "1.tool_call.function.arguments": "{}",
    }


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([{"content": THINKING}, {"content": "Four"}], {"content": "Four", "reasoning": "hm"}),
        ([{"content": THINKING}, {"content": THINKING}], {"content": "", "reasoning": "hmhm"}),
        ([{"content": [{"type": "text", "text": "Fo"}, "ur"]}, {"content": "."}], {"content": "Four."}),
        ([{"content": {"type": "text", "text": "Four"}}], {"content": "Four"}),
        (
            [{"content": "See"}, {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            {"content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ),
        ([{"content": 4}], {"content": [4]}),
        ([{"reasoning": [{"type": "text", "text": "why"}], "content": "a"}], {"content": "a", "reasoning": "why"}),
        ([{"reasoning": {"why": 1}, "content": "a"}], {"content": "a", "reasoning": '{"why": 1}'}),
    ],
    ids=lambda value: None if isinstance(value, list) else json.dumps(value),
)
def test_content_in_parts_is_text_as_far_as_it_is_text(deltas, message):
    stream = messages.ChatStream()
    for members in deltas:
        assert stream.add(Chunk([delta(**members)]))
    (choice,) = json.loads(stream.attributes()["output.value"])["choices"]
    assert choice["message"] == {"role": "assistant", **message}


def test_indexes_of_any_form_cost_nothing_but_their_order():
    stream = messages.ChatStream()
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    for index in (None, "1", "b", [], 2):
        stream.add(Chunk([delta(index, content="a", tool_calls=[{"index": index, **call}])]))
    choices = json.loads(stream.attributes()["output.value"])["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "aaa"), (1, "a"), (2, "a")]


@pytest.mark.parametrize("content", [[{"type": "text", "text": "Four"}], [*THINKING, {"type": "text", "text": "Four"}]])
def test_thinking_is_no_part_of_a_message(content):
    answer = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    attributes = messages.chat_answer(json.dumps(answer), answer)
    prefix = "llm.output_messages.0.message."
    assert {name[len(prefix) :]: value for name, value in attributes.items() if name.startswith(prefix)} == {
        "role": "assistant",
        "contents.0.message_content.type": "text",
        "contents.0.message_content.text": "Four",
    }


@pytest.mark.parametrize(
    ("chunks", "text", "tokens"),
    [
        (["The", " sea", ""], "The sea", None),
        (
            [
                SimpleNamespace(token=SimpleNamespace(text="The", special=False), generated_text=None, details=None),
                SimpleNamespace(
                    token=SimpleNamespace(text="</s>", special=True),
                    generated_text="The sea",
                    details={"generated_tokens": 2, "finish_reason": "eos_token"},
                ),
            ],
            "The sea",
            2,
        ),
    ],
)
def test_a_streamed_generation_is_put_together(chunks, text, tokens):
    stream = messages.GenerationStream()
    for chunk in chunks:
        stream.add(chunk)
    attributes = stream.attributes()
    assert attributes["llm.choices.0.completion.text"] == text
    assert attributes.get("llm.token_count.completion") == tokens


# Pace.


def test_pace_counts_only_what_is_known(monkeypatch):
    clock = iter([1.0, 1.5, 1.6, 2.0, 5.0, 6.0])
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    stream = pace.Pace(began=0.5)
    for content in (False, True, True):
        stream.asked()
        stream.came()
        if content:
            stream.had_content()
    assert stream.attributes(pace.Tokens(output=3)) == {
        "hf.stream.chunks": 3,
        "hf.stream.longest_wait": 1.0,
        "gen_ai.response.time_to_first_chunk": 1.5,
        "hf.stream.time_per_output_token": 2.0,
        "hf.stream.tokens_per_second": 0.5,
    }
    assert set(stream.attributes(pace.Tokens())) == {
        "hf.stream.chunks",
        "hf.stream.longest_wait",
        "gen_ai.response.time_to_first_chunk",
    }
    assert pace.Pace(began=0.5).attributes(pace.Tokens(output=3)) == {}


@pytest.mark.parametrize(
    ("tokens", "pieces", "reasoned", "seen"),
    [
        (pace.Tokens(5, None, None, 3), 2, False, None),
        (pace.Tokens(5, 1000, 1005, None), 11, False, 1000),
        (pace.Tokens(5, 1000, 1005, 0), 11, False, 1000),
        (pace.Tokens(5, 1000, 1005, 989), 11, False, 11),  # hidden
        (pace.Tokens(5, 1000, 1005, 989), 11, True, 1000),  # shown, several tokens to a piece
        (pace.Tokens(5, 1000, 1005, 989), 600, False, 1000),  # shown as <think> within the text
        (pace.Tokens(None, 1000, None, 989), 11, False, 11),
        (pace.Tokens(5, 11, 1005, 989), 11, False, 11),  # counted beside the output
        (pace.Tokens(5, 11, 16, 989), 11, False, 11),  # no count that could be
    ],
)
def test_reasoning_that_did_not_come_as_pieces_counts_for_no_pace(tokens, pieces, reasoned, seen):
    assert tokens.seen(pieces=pieces, reasoned=reasoned) == seen


@pytest.mark.parametrize(
    ("members", "reasoned"),
    [({"content": "a"}, False), ({"content": None, "reasoning": "a"}, True), ({"content": THINKING}, True)],
    ids=["text", "reasoning", "thinking"],
)
def test_a_hub_stream_knows_if_it_had_reasoning(members, reasoned):
    stream = messages.ChatStream()
    stream.add(Chunk([delta(**members)]))
    assert stream.reasoned is reasoned


# The names of huggingface_hub's modules.


def test_the_trigger_and_the_hooks_wait_for_the_same_modules():
    assert set(arm.HUGGINGFACE_HUB_CLIENTS) == set(hooks.CLIENTS)


def test_the_instrumentor_imports_no_huggingface_hub():
    program = (
        "import sys\n"
        "from hf_openobserve.instrumentors.huggingface_hub import HuggingFaceHubInstrumentor\n"
        "HuggingFaceHubInstrumentor().instrument(skip_dep_check=True)\n"
        "assert 'huggingface_hub' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
