"""A text too long for a row is cut before anything is made of it, and no secret is cut in half."""

from __future__ import annotations

import json
import random
from typing import Any, List

import pytest

from hf_openobserve import privacy
from hf_openobserve.privacy import cut, masking
from hf_openobserve.row import columns
from hf_openobserve.row.record import CUT_BYTES, EventRecord
from privacy_records import FULL, HF_TOKEN, NONE, span

LONGEST = 4000
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog\n"]
KEY = "\n".join(
    ["-----BEGIN PRIVATE KEY-----", *[str(line) + "aB3/" * 15 for line in range(5)], "-----END PRIVATE KEY-----"]
)
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3"
SECRETS = [
    HF_TOKEN,
    f"password='Xy{'9' * 20}zW'",
    f"Authorization: Bearer {TOKEN}",
    f"https://h/?sig={'aB3' * 12}&x=1",
    KEY,
]


def prose(length: int) -> str:
    rng = random.Random(length)
    text = ""
    while len(text) < length:
        text += rng.choice(WORDS) + " "
    return text[:length]


def cleaned(text: str) -> str:
    return masking.mask(text, ())


@pytest.mark.parametrize("secret", SECRETS, ids=["token", "named", "header", "address", "key block"])
@pytest.mark.parametrize("place", [LONGEST * 2 // 3, 20_000 - LONGEST // 3])
def test_no_secret_is_cut_in_half(secret: str, place: int) -> None:
    core = max(secret.replace("\n", " ").replace("'", " ").replace("=", " ").split(" "), key=len)
    for offset in range(-len(secret) - 3, 4):
        text = prose(place + offset - 1) + " " + secret + " " + prose(20_000 - place - offset - len(secret) - 1)
        left = cleaned(cut.middle(text, LONGEST, cleaned))
        assert len(left) < LONGEST + 1500
        for start in range(len(core) - 8):
            assert core[start : start + 8] not in left, offset
        assert left.startswith(text[:1000])
        assert left.endswith(text[-500:])


def test_what_is_cut_says_so() -> None:
    text = "begin " + prose(3 * cut.LONGEST) + " end"
    record = privacy.shorten(span({"input.value": text, "short": "x"}), FULL)
    left = str(record.attributes["input.value"])
    assert left.startswith("begin ")
    assert left.endswith(" end")
    assert " characters cut by hf-openobserve ...] " in left
    assert len(left) <= cut.LONGEST + 2000
    assert record.attributes[CUT_BYTES] == pytest.approx(len(text) - len(left), rel=0.01)
    assert record.attributes["short"] == "x"


def test_what_is_not_too_long_stays() -> None:
    attributes = {"input.value": prose(cut.LONGEST - 10)}
    assert privacy.shorten(span(attributes), FULL).attributes == attributes


@pytest.mark.parametrize("sizes", [[3_000_000], [30_000] * 100, [100, 2_000_000, 100, 900_000]])
def test_messages_share_the_room_and_stay_json(sizes: List[int]) -> None:
    attributes: Any = {"openinference.span.kind": "LLM", "llm.system": "openai", "input.value": "x" * 3_000_000}
    for index, size in enumerate(sizes):
        attributes[f"llm.input_messages.{index}.message.role"] = "user"
        attributes[f"llm.input_messages.{index}.message.content"] = f"{index}: " + prose(size)
    record = columns.apply(privacy.shorten(span(attributes), FULL))
    record = privacy.apply(record, FULL)
    messages = json.loads(record.attributes["gen_ai.input.messages"])
    assert [message["content"].split(":")[0] for message in messages] == [str(index) for index in range(len(sizes))]
    assert len(record.attributes["gen_ai.input.messages"]) < cut.LONGEST_MADE * 3
    for size, message in zip(sizes, messages):
        if size <= 900:
            assert message["content"].endswith(prose(size))


def test_an_answer_is_read_whole_and_stored_cut() -> None:
    body = {"model": "m", "choices": [{"message": {"content": prose(3 * cut.LONGEST)}}], "usage": {"prompt_tokens": 7}}
    attributes = {"openinference.span.kind": "LLM", "output.value": json.dumps(body)}
    record = privacy.apply(columns.apply(privacy.shorten(span(attributes), FULL)), FULL)
    assert record.attributes["llm.token_count.prompt"] == 7
    assert len(record.attributes["output.value"]) < cut.LONGEST_MADE + 2000


def test_events_and_status_are_cut_too() -> None:
    text = prose(3 * cut.LONGEST)
    record = privacy.apply(
        span(
            {"list": [text], "map": {"a": text}},
            events=[EventRecord("exception", 1, {"exception.message": text, "exception.stacktrace": text})],
            status_message=text,
        ),
        FULL,
    )
    values = [record.status_message, record.attributes["list"][0], record.attributes["map"]["a"]]
    values += record.events[0].attributes.values()
    assert all(len(value) < cut.LONGEST_MADE + 2000 for value in values)
    assert record.attributes[CUT_BYTES] > 4 * cut.LONGEST


def test_media_go_before_anything_is_cut() -> None:
    text = json.dumps([{"url": "data:image/png;base64," + "QUJD" * 1_000_000}, {"text": "the end"}])
    record = privacy.shorten(span({"input.value": text}), FULL)
    assert "<3000000 bytes, sha256:" in record.attributes["input.value"]
    assert CUT_BYTES not in record.attributes
    assert json.loads(record.attributes["input.value"])[1] == {"text": "the end"}


@pytest.mark.parametrize("policy", [FULL, NONE])
def test_little_of_a_long_text_is_looked_through(policy: privacy.Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: List[int] = []
    original = masking.mask

    def counting(text: str, *args: Any) -> str:
        seen.append(len(text))
        return original(text, *args)

    monkeypatch.setattr(masking, "mask", counting)
    text = prose(100_000) * 100
    attributes = {
        "openinference.span.kind": "LLM",
        "input.value": json.dumps({"messages": [{"role": "user", "content": text}]}),
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": text,
    }
    privacy.apply(columns.apply(privacy.shorten(span(attributes), policy)), policy)
    assert sum(seen) < 4 * cut.LONGEST
