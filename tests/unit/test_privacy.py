"""What may reach the disk: the policy, the places of a record it holds in, and what it costs."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_openobserve import privacy
from hf_openobserve.row.record import EventRecord, LinkRecord
from privacy_records import FULL, HF_TOKEN, NONE, after, hiding, span


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        (" true ", True),
        ("1", True),
        ("yes", True),
        ("on", True),
        ("false", False),
        ("0", False),
        ("", False),
        ("maybe", False),
    ],
)
def test_values_of_a_hide_variable(value: str, hidden: bool) -> None:
    policy = privacy.build_policy(capture_content=True, environ={"OPENINFERENCE_HIDE_INPUTS": value})
    assert policy.hide == (frozenset({"INPUTS"}) if hidden else frozenset())


def test_every_hide_variable_is_read() -> None:
    environ = {"OPENINFERENCE_HIDE_" + name: "true" for name in privacy.HIDE_NAMES}
    policy = privacy.build_policy(capture_content=True, environ={**environ, "HIDE_NOTHING": "true"})
    assert policy.hide == privacy.HIDE_NAMES


def test_secrets_of_the_policy() -> None:
    policy = privacy.build_policy(
        capture_content=True, environ={}, secrets=["eight888", "longer-than-eight", "eight888"]
    )
    assert policy.secrets == ("longer-than-eight", "eight888")


def test_hidden_by_config_reads_public_attributes() -> None:
    class Config:
        hide_inputs = True
        hide_outputs = False
        hide_llm_tools = None
        hide_embeddings_vectors = True
        hide_nothing_we_know = True

    assert privacy.hidden_by_config(Config()) == {"INPUTS", "EMBEDDINGS_VECTORS"}
    assert privacy.hidden_by_config(None) == frozenset()


def test_no_hide_option_of_the_installed_openinference_is_unknown() -> None:
    config = pytest.importorskip("openinference.instrumentation").TraceConfig
    options = {field.name for field in dataclasses.fields(config) if field.name.startswith("hide_")}
    assert options
    assert options <= {"hide_" + name.lower() for name in privacy.HIDE_NAMES}
    assert privacy.hidden_by_config(config(**dict.fromkeys(options, True))) == {
        option[len("hide_") :].upper() for option in options
    }


def test_an_applications_own_configuration_adds_to_the_policy() -> None:
    class Config:
        hide_inputs = True

    policy = FULL._replace(hide=FULL.hide | privacy.hidden_by_config(Config()))
    assert after({"input.value": "CANARY"}, policy) == {}


def test_secrets_are_masked_in_every_place_of_a_record() -> None:
    text = f"before {HF_TOKEN} after"
    record = span(
        {
            "text": text,
            "sequence": (text, "x", text),
            "list": ["x", text],
            "bytes": text.encode(),
            "mapping": {"a": {"b": [text]}, HF_TOKEN: 1, "Authorization": "opaque"},
            HF_TOKEN: "the key of an attribute stays",
            "number": 7,
            "truth": True,
        },
        events=[
            EventRecord(text, 5, {"exception.message": text, "exception.stacktrace": text, "exception.type": "E"}, 3)
        ],
        links=[LinkRecord(1, 2, {"a": text}, 4, True)],
        name=text,
        status_message=text,
    )
    result = privacy.apply(record, FULL)
    assert result is record
    masked = "before hf_*** after"
    assert record.attributes == {
        "text": masked,
        "sequence": (masked, "x", masked),
        "list": ["x", masked],
        "bytes": masked.encode(),
        "mapping": {"a": {"b": [masked]}, "hf_***": 1, "Authorization": "***"},
        HF_TOKEN: "the key of an attribute stays",
        "number": 7,
        "truth": True,
    }
    assert record.events == [
        EventRecord(masked, 5, {"exception.message": masked, "exception.stacktrace": masked, "exception.type": "E"}, 3)
    ]
    assert record.links == [LinkRecord(1, 2, {"a": masked}, 4, True)]
    assert (record.name, record.status_message) == (masked, masked)


def test_the_applications_own_dictionaries_are_not_written_to() -> None:
    event_attributes, link_attributes = {"a": HF_TOKEN}, {"a": HF_TOKEN}
    privacy.apply(span(events=[EventRecord("e", 1, event_attributes)], links=[LinkRecord(1, 2, link_attributes)]), NONE)
    assert event_attributes == link_attributes == {"a": HF_TOKEN}


def test_credential_headers_are_masked_by_their_name() -> None:
    assert after(
        {
            "http.request.header.authorization": ("opaque",),
            "http.request.header.x_api_key": "opaque",
            "http.response.header.set-cookie": ("opaque",),
            "http.request.header.content_type": ("application/json",),
            "gen_ai.headers": "{'x-api-key': 'opaque'}",
        },
        FULL,
    ) == {
        "http.request.header.authorization": ("***",),
        "http.request.header.x_api_key": ("***",),
        "http.response.header.set-cookie": ("***",),
        "http.request.header.content_type": ("application/json",),
    }


def test_a_resource_is_masked_and_otherwise_kept() -> None:
    attributes = {
        "service.name": "app",
        "process.command_args": ("python", "--token", HF_TOKEN),
        "process.pid": 4,
        "input": "a name like any other",
        "blob": "aB3/" * 400,
    }
    original = dict(attributes)
    assert privacy.mask_resource(attributes, NONE) == {
        **original,
        "process.command_args": ("python", "--token", "***"),
    }
    assert attributes == original


PIECES = st.lists(
    st.sampled_from(
        [
            HF_TOKEN,
            "Basic",
            " ",
            "\n",
            "dXNlcjpwYXNzd29yZA==",
            "Bearer",
            "abcdef123456",
            "authorization",
            ":",
            "sk-",
            "aB3" * 12,
            "task-",
            "://user:",
            "@",
            ";base64,",
            "QUJD" * 20,
            "[" + "1," * 40 + "1]",
            "literal-secret",
            "words",
        ]
    ),
    max_size=5,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(texts=st.lists(PIECES, max_size=6))
def test_texts_are_cleaned_together_as_each_would_be_alone(texts: Any) -> None:
    policy = privacy.build_policy(capture_content=True, environ={}, secrets=["literal-secret"])
    together = after({f"name.{index}": text for index, text in enumerate(texts)}, policy)
    alone = [privacy.apply(span(status_message=text), policy).status_message for text in texts]
    assert list(together.values()) == alone


MEGABYTE = 1 << 20


def megabyte(pattern: str) -> str:
    return (pattern * (MEGABYTE // len(pattern) + 1))[:MEGABYTE]


@pytest.mark.parametrize(
    "text",
    [
        megabyte("a"),
        megabyte("A") + " " + megabyte("/"),
        megabyte("hf_"),
        "hf_" + megabyte("a"),
        megabyte("hf_abcdefghijklmnopqrs "),
        megabyte("sk-"),
        "sk-" + megabyte("a-"),
        megabyte("ask-sk-a"),
        megabyte("bearer "),
        "bearer" + megabyte(" "),
        "Bearer " + megabyte("+"),
        "Bearer " + megabyte("%2B"),
        megabyte("basic abcd"),
        "Basic " + megabyte("YTpi"),
        megabyte("authorization:"),
        "authorization" + megabyte("\\"),
        "authorization:" + megabyte(" "),
        "authorization: bearer " + megabyte("x"),
        megabyte("authorization: bearer "),
        "Bearer " + megabyte("."),
        "Basic " + megabyte("%2B"),
        megabyte("_"),
        megabyte("://") + "@",
        "://" + megabyte("a") + " @",
        "://" + megabyte("@"),
        "://" + megabyte(":"),
        "%3A%2F%2F" + megabyte("%3A") + "%40 x",
        megabyte("%3A%2F%2F") + "%40",
        megabyte(";base64,"),
        ";base64," + megabyte("\n"),
        ";base64," + megabyte("\\n"),
        ";base64," + megabyte("\nA"),
        ";base64," + megabyte("%2"),
        "[" + megabyte("1,"),
        "[" + megabyte("1"),
        megabyte("[1,1"),
        megabyte("[" + "1," * 40),
        "{" + megabyte("[" + "-," * 40 + "]"),
        "[" + megabyte("1") + "," * 40 + "]",
        '["' + megabyte("\\") + "[" + "1," * 20 + "1]",
        '["' + megabyte('\\"[' + "1," * 20 + "1]"),
        '{"embedding": "' + megabyte("a"),
        megabyte('{"embedding":"'),
        megabyte("a" * 1023 + " "),
        megabyte("é"),
        megabyte("token="),
        megabyte('password="'),
        megabyte("Cookie: "),
        megabyte("hooks.slack.com/services/"),
        megabyte("-----BEGIN PRIVATE KEY-----!"),
        megabyte("eyJa.eyJa."),
        megabyte("1234567:AA"),
        megabyte('"data": "QUJD b64_json'),
        megabyte(" /9j/4AAQSkZJRgABAQAAAQ"),
        "https://h/?sig=" + megabyte("%2F"),
        megabyte("x-api-key, '"),
    ],
)
def test_time_is_linear_on_any_text(text: str) -> None:
    policy = hiding("EMBEDDINGS_VECTORS")
    for chosen in (FULL, policy):
        started = time.process_time()
        privacy.apply(span({"output.value": text}), chosen)
        # A megabyte takes milliseconds; what is quadratic takes minutes.
        assert time.process_time() - started < 3


@pytest.mark.parametrize("letter", ["o", "ö", "语"])
def test_an_ordinary_long_text_is_cheap(letter: str) -> None:
    words = [
        word.replace("o", letter)
        for word in ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog;", "risk-free", "task"]
    ]
    rng = random.Random(1)
    messages = [{"role": "user", "content": " ".join(rng.choice(words) for _ in range(200))} for _ in range(110)]
    text = json.dumps(messages, ensure_ascii=False)
    assert len(text) > 100_000

    def cost(call: Any) -> float:
        times = []
        for _ in range(7):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        return min(times)

    # One pass of ``re`` over the text is the measure: the scan must stay below, or it has lost its pre-checks.
    one_pass = cost(lambda: re.search(r"[hH]f_[a-z]{3}|[sS]k-[a-z]{40}", text))
    assert cost(lambda: privacy.apply(span({"gen_ai.input.messages": text}), FULL)) < one_pass * 2
