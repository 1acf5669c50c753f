from __future__ import annotations

import pytest

from hf_openobserve.cli.remedies import hint, inline, remedies
from hf_openobserve.wire.errors import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_meaning_and_something_to_do(kind):
    remedy = remedies()[kind]
    meaning = "".join(text for _, text in remedy.meaning)
    assert meaning.endswith((".", ")"))
    assert "\n" not in hint(kind)
    assert len(hint(kind)) > 20
    assert not any(set("`*") & set(text) for sentence in [remedy.meaning, *remedy.steps] for _, text in sentence)


def test_the_steps_are_the_pages():
    steps = ["".join(text for _, text in step) for step in remedies()["credits_exhausted"].steps]
    assert steps[0].startswith("Buy credits or subscribe to PRO at https://huggingface.co/settings/billing; included")
    assert len(steps) == 3
    assert steps[2] == "Find who spends: sum the tokens by service_name and model."


def test_no_kind_has_no_hint():
    assert hint("") == hint("no_such_kind") == ""


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain\n  and wrapped", [("", "plain and wrapped")]),
        ("set `HF_TOKEN`.", [("", "set "), ("code", "HF_TOKEN"), ("", ".")]),
        ("**Read** it", [("strong", "Read"), ("", " it")]),
        ("at <https://a.example/b>", [("", "at "), ("link", "https://a.example/b")]),
        ("see [model_loading](#model_loading)", [("", "see "), ("", "model_loading")]),
        ("<script>", [("", "<script>")]),
    ],
)
def test_markdown_in_pieces(text, pieces):
    assert inline(text) == pieces
