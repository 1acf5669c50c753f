"""Secrets never survive, words do."""

from __future__ import annotations

import base64
import json
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_openobserve import privacy
from privacy_records import FULL, HF_TOKEN, span

# Fakes of the right shape: letters and digits in alphabetical order are nobody's key.
LETTERS_34 = "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"
ORG_TOKEN = "api_org_" + LETTERS_34
OAUTH_TOKEN = "hf_oauth_eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.FAKE0SIGNATURE1"
OPENAI_KEY = "sk-" + "aB3" * 16
PROJECT_KEY = "sk-proj-" + "aB3_dE-6" * 10
ANTHROPIC_KEY = "sk-ant-api03-" + "aB3dE-6_" * 11 + "AA"
HEX_KEY = "sk-" + "0123456789abcdef" * 2
INGESTION_TOKEN = "o2oi_" + "0123456789abcdef" * 2
JSON_WEB_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.FAKE0SIGNATURE1"
USER_PASSWORD = base64.b64encode(b"user@example.com:pass?word>1").decode()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (HF_TOKEN, "hf_***"),
        ("hf_" + "a" * 34, "hf_***"),
        (f"token={HF_TOKEN}, next", "token=hf_***, next"),
        (f"%3D{HF_TOKEN}%26", "%3Dhf_***%26"),
        (f'{{"token": "{HF_TOKEN}"}}', '{"token": "hf_***"}'),
        (f'{{\\"token\\":\\"{HF_TOKEN}\\"}}', '{\\"token\\":\\"hf_***\\"}'),
        (f"line\\n{HF_TOKEN}\\nline", "line\\nhf_***\\nline"),
        (f"\\u003d{HF_TOKEN}", "\\u003dhf_***"),
        (f"{HF_TOKEN} {HF_TOKEN}", "hf_*** hf_***"),
        (ORG_TOKEN, "api_org_***"),
        (OAUTH_TOKEN, "hf_oauth_***"),
        (OPENAI_KEY, "sk-***"),
        (PROJECT_KEY, "sk-***"),
        (ANTHROPIC_KEY, "sk-***"),
        (HEX_KEY, "sk-***"),
        (f"key%3D{PROJECT_KEY}&x=1", "key%3Dsk-***&x=1"),
        (f"\\n{PROJECT_KEY}", "\\nsk-***"),
        (f"a-task-of-{PROJECT_KEY}", "a-task-of-sk-***"),
        (f"Incorrect API key provided: {OPENAI_KEY}.", "Incorrect API key provided: sk-***."),
        (INGESTION_TOKEN, "o2oi_***"),
        (f"Bearer {JSON_WEB_TOKEN}", "Bearer ***"),
        (f"bearer {JSON_WEB_TOKEN}", "bearer ***"),
        (f"Bearer%20{JSON_WEB_TOKEN}", "Bearer%20***"),
        (f"Bearer {HF_TOKEN}", "Bearer ***"),
        ("sent Bearer abcdef123456.", "sent Bearer ***."),
        (f"Bearer Bearer {JSON_WEB_TOKEN}", "Bearer Bearer ***"),
        (f"Basic Basic {USER_PASSWORD}", "Basic Basic ***"),
        (f"Authorization: Basic Basic {USER_PASSWORD}", "Authorization: Basic Basic ***"),
        ("Authorization: Bearer token x", "Authorization: Bearer token ***"),
        ('{"Authorization": "Bearer x"}', '{"Authorization": "Bearer ***"}'),
        ('{\\"authorization\\": \\"bearer x\\"}', '{\\"authorization\\": \\"bearer ***\\"}'),
        ("{'Authorization': 'Bearer x'}", "{'Authorization': 'Bearer ***'}"),
        ("(b'authorization', b'Bearer x')", "(b'authorization', b'Bearer ***')"),
        ("curl -H 'Authorization: Bearer x'", "curl -H 'Authorization: Bearer ***'"),
        ("Authorization%3A%20Bearer%20x", "Authorization%3A%20Bearer%20***"),
        ('"authorization": "0123opaque"', '"authorization": "***"'),
        (f"Basic {USER_PASSWORD}", "Basic ***"),
        (f"basic {USER_PASSWORD}", "basic ***"),
        ("Basic " + USER_PASSWORD.rstrip("=") + "%3D", "Basic ***"),
        ("Basic " + USER_PASSWORD.replace("+", "-").replace("/", "_"), "Basic ***"),
        (f'{{"Authorization":"Basic {USER_PASSWORD}"}}', '{"Authorization":"Basic ***"}'),
        ("https://user:pass@host/path", "https://***@host/path"),
        ("postgres://user:p@ss#1@host:5432/db", "postgres://***@host:5432/db"),
        ('{"url": "https://user:pass@host"}', '{"url": "https://***@host"}'),
        (f"https://user:{HF_TOKEN}@huggingface.co/org/model", "https://***@huggingface.co/org/model"),
        (f"https://{HF_TOKEN}@huggingface.co", "https://hf_***@huggingface.co"),
        ("https://0123456789abcdef0123456789abcdef@example.com/1", "https://***@example.com/1"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert privacy.mask_text(text, FULL) == masked
    assert privacy.mask_text(masked, FULL) == masked


@pytest.mark.parametrize(
    "text",
    [
        "hf_openobserve",
        "hf_transformers",
        "hf_hub_download",
        "hf_hub_download_and_load_from_pretrained_model",
        "hf_oauth_expiration_minutes: 480",
        "hf_InferenceClient",
        "hf_llama3_1_8b_instruct_q4",
        "hf_...",
        "hf_***",
        "api_org_settings",
        "o2oi_ tokens and o2oi_token_format",
        "sk-learn",
        "sk-internationalization",
        "sk-learn-contrib-imbalanced-datasets",
        "sk-SK-Chirp3-HD-Achernar",
        "task-3f2504e04f8941d39a0c0305e82c3301",
        "task-20240101T120000Z",
        "risk-adjusted-return-2024-q3",
        "Basic authentication",
        "basic knowledge of chemistry",
        "Basic YWJjZGVmZ2g=",  # base64, but of no user and password
        "the bearer of bad news",
        "Bearer authentication",
        "Bearer RFC6750",
        "bearer token, or basic credentials",
        "an authorization, please",
        '["authorization", "content-type", "x-request-id"]',
        '{"authorization": {"type": "string"}}',
        "https://host:8080/path",
        "https://example.com/?email=user@example.com",
        "git clone ssh://git@github.com/org/repo",
        "mail user@example.com",
        "http://[::1]:5080",
        "短い文 :// @",
        "",
    ],
)
def test_words_are_not_secrets(text: str) -> None:
    assert privacy.mask_text(text, FULL) == text


@pytest.mark.parametrize(
    ("secret", "text", "masked"),
    [
        ("correct horse battery", "say correct horse battery!", "say ***!"),
        ('quo"ted\\secret', json.dumps({"a": 'quo"ted\\secret'}), '{"a": "***"}'),
        ("pass/word+1 2", "p=pass%2Fword%2B1%202", "p=***"),
        ('it\'s a "secret"', repr(['it\'s a "secret"']), "['***']"),
        ("hf_shortfake", "hf_shortfake.", "hf_***."),
        ("Complexpass#123", "Complexpass#1234", "***4"),
    ],
)
def test_literal_secrets(secret: str, text: str, masked: str) -> None:
    policy = privacy.build_policy(capture_content=True, environ={}, secrets=[secret])
    assert privacy.mask_text(text, policy) == masked


def test_the_longest_literal_is_masked_first() -> None:
    policy = privacy.build_policy(capture_content=True, environ={}, secrets=["password", "password-and-more"])
    assert privacy.mask_text("password-and-more password", policy) == "*** ***"


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _drawn(alphabet: str, low: int, high: int) -> Any:
    return st.text(alphabet=alphabet, min_size=low, max_size=high)


@st.composite
def secrets(draw: Any) -> str:
    """(text with the secret, the part that must not survive)."""
    kind = draw(st.sampled_from(["hf", "org", "sk", "proj", "bearer", "basic", "url", "o2oi"]))
    # Hypothesis likes "AAAA...": real keys are uniformly random.
    rng = random.Random(draw(st.integers(0, 2**32)))

    def key(length: int, alphabet: str = ALPHABET) -> str:
        return "".join(rng.choice(alphabet) for _ in range(length))

    body = key(rng.randint(34, 60))
    if kind == "hf":
        return "hf_" + body
    if kind == "org":
        return "api_org_" + body
    if kind == "o2oi":
        return "o2oi_" + key(32, "0123456789abcdef")
    if kind == "sk":
        return "sk-" + body
    if kind == "proj":
        return draw(st.sampled_from(["sk-proj-", "sk-ant-api03-", "sk-svcacct-"])) + key(80, ALPHABET + "-_")
    if kind == "bearer":
        return draw(st.sampled_from(["Bearer ", "bearer "])) + key(30, ALPHABET + "-._~")
    if kind == "basic":
        return "Basic " + base64.b64encode(("user:" + body).encode()).decode()
    return "https://user:" + body + "@example.com"


SURROUNDINGS = st.text(max_size=60).filter(lambda text: not re.search(r"[A-Za-z0-9+/=%._~-]\Z", text))
"""What may stand before a secret: anything that does not run into it."""
FOLLOWING = st.text(max_size=60).filter(lambda text: not re.match(r"[A-Za-z0-9+/=%@._~-]", text))


@settings(max_examples=400, deadline=None)
@given(before=SURROUNDINGS, secret=secrets(), following=FOLLOWING, form=st.integers(0, 4))
def test_a_secret_never_survives(before: str, secret: str, following: str, form: int) -> None:
    text = before + secret + following
    if form == 1:
        text = json.dumps({"messages": [{"role": "user", "content": text}]})
    elif form == 2:
        text = json.dumps(json.dumps([text]))
    elif form == 3:
        text = repr({"content": text})
    elif form == 4:
        text = json.dumps([text], ensure_ascii=False)
    credential = max(re.split(r"[ /@]|user:", secret), key=len)
    assert credential in text
    masked = privacy.mask_text(text, FULL)
    assert credential not in masked
    assert credential[len(credential) // 2 :] not in masked
    assert privacy.mask_text(masked, FULL) == masked
    if form in (1, 2, 4):
        json.loads(masked)


PIECES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "hf_",
                "api_org_",
                "sk-",
                "o2oi_",
                "Bearer",
                "Basic",
                "bearer",
                "basic",
                "Authorization:",
                "authorization=",
                "://",
                "@",
                "%40",
                "%3A%2F%2F",
                ":\\/\\/",
                "'",
                '"',
                "\\",
                '\\"',
                "{",
                "[",
                ";base64,",
                "data:image/png;base64,",
                "AbCdEfGhIjKlMnOpQrStUvWx",
                "0123456789abcdef",
                "***",
            ]
        ),
        st.just(" "),
        secrets().map(lambda secret: " " + secret + " "),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(text=PIECES)
def test_masking_is_idempotent(text: str) -> None:
    masked = privacy.mask_text(text, FULL)
    assert privacy.mask_text(masked, FULL) == masked


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=300))
def test_text_without_secrets_is_unchanged(text: str) -> None:
    hints = ["hf_", "api_org_", "sk-", "o2oi_", "earer", "asic", "uthorization", "://", "%3a%2f%2f"]
    if not any(hint in text.lower() for hint in hints):
        assert privacy.mask_text(text, FULL) == text
    record = privacy.apply(span({"input.value": text}, status_message="x"), FULL)
    assert record.attributes == {"input.value": privacy.mask_text(text, FULL)}
