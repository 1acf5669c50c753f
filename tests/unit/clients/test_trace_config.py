"""OpenInference's configuration: what it hides stays hidden, and where it hides nothing nothing is looked for."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from openinference.instrumentation import TraceConfig

from hf_openobserve.clients.trace_config import _hides_nothing, trace_config

pytestmark = pytest.mark.matrix

HIDES = sorted(field.name for field in dataclasses.fields(TraceConfig) if field.name.startswith("hide_"))
NAMES = (
    "llm.model_name",
    "input.value",
    "output.value",
    "input.mime_type",
    "output.mime_type",
    "llm.invocation_parameters",
    "llm.tools.0.tool.json_schema",
    "llm.input_messages.0.message.content",
    "llm.input_messages.0.message.contents.0.message_content.text",
    "llm.input_messages.0.message.contents.0.message_content.image.image.url",
    "llm.output_messages.0.message.content",
    "llm.prompts.0.prompt.text",
    "llm.choices.0.completion.text",
    "embedding.embeddings.0.embedding.text",
    "embedding.embeddings.0.embedding.vector",
)
VALUES = ("text", 1, lambda: "made when it is needed", "data:image/png;base64," + "A" * 100_000)


def masked(config):
    return [config.mask(name, value) for name in NAMES for value in VALUES]


def test_where_nothing_is_hidden_every_value_is_what_openinference_would_give():
    config = trace_config()
    assert type(config) is not TraceConfig
    assert isinstance(config, TraceConfig)
    assert masked(config) == masked(TraceConfig(base64_image_max_length=sys.maxsize))


@pytest.mark.parametrize("name", HIDES)
def test_what_is_to_be_hidden_is_openinferences_business(name, monkeypatch):
    monkeypatch.setenv("OPENINFERENCE_" + name.upper(), "true")
    config = trace_config()
    assert getattr(config, name) is True
    assert masked(config) == masked(TraceConfig(base64_image_max_length=sys.maxsize, **{name: True}))


def test_a_limit_for_images_is_openinferences_business(monkeypatch):
    monkeypatch.setenv("OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH", "9")
    config = trace_config()
    assert config.base64_image_max_length == 9
    assert masked(config) == masked(TraceConfig(base64_image_max_length=9))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (5, 5),
        (["a", "b"], ["a", "b"]),
        ((1, 2), (1, 2)),
        ([], []),
        ({"city": "Paris"}, '{"city": "Paris"}'),
        ([1, "a"], '[1, "a"]'),
        ([None], "[null]"),
        ([{"a": 1}], '[{"a": 1}]'),
        (None, None),
    ],
)
def test_an_attribute_has_a_type_that_opentelemetry_takes(value, expected):
    assert trace_config().mask("llm.anything", value) == expected


def test_an_option_that_nobody_here_knows_may_hide_something():
    @dataclasses.dataclass(frozen=True)
    class Known:
        hide_inputs: bool = False
        base64_image_max_length: int = 9

    @dataclasses.dataclass(frozen=True)
    class Later(Known):
        redact_everything: bool = False

    assert _hides_nothing(Known())
    assert not _hides_nothing(Known(hide_inputs=True))
    assert not _hides_nothing(Later())
