"""Every form of a credential that docs/privacy.md lists: wherever it stands, nothing of it is left."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from hf_openobserve import privacy
from hf_openobserve.row.record import EventRecord
from privacy_records import FULL, everything_in, span


def drawn(length: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") -> str:
    """Uniformly random, as keys are, and the same at each run."""
    rng = random.Random(length * 7919 + len(alphabet))
    return "".join(rng.choice(alphabet) for _ in range(length - 1)) + "7"


HEX = "0123456789abcdef"
UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

ISSUED = {
    # name: (what may stay, what must not)
    "Hugging Face": ("hf_", drawn(34)),
    "Hugging Face, an organization's": ("api_org_", drawn(34)),
    "OpenObserve": ("o2oi_", drawn(32, HEX)),
    "OpenAI": ("sk-", drawn(48)),
    "OpenAI, a project's": ("sk-", "proj-" + drawn(74, URL) + "T3BlbkFJ" + drawn(74, URL)),
    "Anthropic": ("sk-", "ant-api03-" + drawn(93, URL) + "AA"),
    "OpenRouter": ("sk-", "or-v1-" + drawn(64, HEX)),
    "Langfuse": ("sk-", "lf-3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
    "Groq": ("gsk_", drawn(52)),
    "Replicate": ("r8_", drawn(37)),
    "NVIDIA": ("nvapi-", drawn(64, URL)),
    "xAI": ("xai-", drawn(80)),
    "Perplexity": ("pplx-", drawn(48)),
    "Cerebras": ("csk-", drawn(48)),
    "Fireworks": ("fw_", drawn(24)),
    "Together": ("tgp_v1_", drawn(43, URL)),
    "Jina": ("jina_", drawn(60)),
    "Tavily": ("tvly-", "dev-" + drawn(32)),
    "LangSmith": ("lsv2_pt_", drawn(32, HEX) + "_" + drawn(10, HEX)),
    "Pinecone": ("pcsk_", "a1B2c_" + drawn(63)),
    "ElevenLabs": ("sk_", drawn(48, HEX)),
    "AWS, key id": ("", "AKIA" + drawn(16, UPPER)),
    "AWS, temporary key id": ("", "ASIA" + drawn(16, UPPER)),
    "AWS Bedrock": ("", "ABSK" + drawn(120)),
    "Google": ("", "AIza" + drawn(35, URL)),
    "Google OAuth secret": ("GOCSPX-", drawn(28, URL)),
    "Google access token": ("ya29.", drawn(120, URL)),
    "Azure AD": ("", "aB38Q~" + drawn(34)),
    "Alibaba": ("", "LTAI" + drawn(20)),
    "DigitalOcean": ("dop_v1_", drawn(64, HEX)),
    "Databricks": ("", "dapi" + drawn(32, HEX)),
    "Vault": ("hvs.", drawn(95, URL)),
    "Doppler": ("dp.pt.", drawn(43)),
    "Supabase": ("sbp_", drawn(40, HEX)),
    "PlanetScale": ("pscale_tkn_", drawn(43, URL)),
    "Pulumi": ("pul-", drawn(40, HEX)),
    "GitHub": ("ghp_", drawn(36)),
    "GitHub Actions": ("ghs_", drawn(36)),
    "GitHub, fine-grained": ("github_pat_", drawn(22) + "_" + drawn(59)),
    "GitLab": ("glpat-", drawn(20, URL)),
    "GitLab, routable": ("glpat-", drawn(27, URL) + ".01.0w" + drawn(7, HEX)),
    "Bitbucket": ("BBDC-", drawn(44)),
    "Atlassian": ("", "ATATT3xFfGF0" + drawn(180, URL)),
    "npm": ("npm_", drawn(36)),
    "PyPI": ("pypi-", "AgEIcHlwaS5vcmc" + drawn(150, URL)),
    "Docker Hub": ("dckr_pat_", drawn(27, URL)),
    "RubyGems": ("rubygems_", drawn(48, HEX)),
    "Artifactory": ("", "AKCp" + drawn(69)),
    "Slack, a bot's": ("xoxb-", "123456789012-1234567890123-" + drawn(24)),
    "Slack, a user's": ("xoxp-", "123456789012-123456789012-123456789012-" + drawn(32, HEX)),
    "Slack, an app's": ("xapp-", "1-A0123456789-1234567890123-" + drawn(64, HEX)),
    "Telegram": ("", "AA" + drawn(33, URL)),
    "Discord": ("", "MTA" + drawn(21) + "." + drawn(6) + "." + drawn(38, URL)),
    "Stripe": ("sk_live_", drawn(24)),
    "Stripe, restricted": ("rk_live_", drawn(24)),
    "Shopify": ("shpat_", drawn(32, HEX)),
    "Square": ("sq0csp-", drawn(43, URL)),
    "Twilio": ("", "SK" + drawn(32, HEX)),
    "SendGrid": ("SG.", drawn(22, URL) + "." + drawn(43, URL)),
    "Mailgun": ("key-", drawn(32, HEX)),
    "New Relic": ("NRAK-", drawn(27, UPPER)),
    "Grafana": ("glsa_", drawn(32) + "_" + drawn(8, HEX)),
    "Postman": ("PMAK-", drawn(24, HEX) + "-" + drawn(34, HEX)),
    "Linear": ("lin_api_", drawn(40)),
    "Notion": ("ntn_", drawn(46)),
    "Sentry": ("sntryu_", drawn(64, HEX)),
    "Figma": ("figd_", drawn(40, URL)),
    "JSON Web Token": ("", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + drawn(43, URL)),
    "age": ("AGE-SECRET-KEY-", "1" + drawn(58, UPPER)),
}

DEPTHS = [
    lambda text: text,
    lambda text: json.dumps({"arguments": text}),
    lambda text: json.dumps([json.dumps({"a": text})]),
    lambda text: json.dumps(json.dumps(json.dumps({"a": text}))),
    lambda text: json.dumps(json.dumps(json.dumps(json.dumps(json.dumps({"a": text}))))),
    lambda text: repr({"a": text}),
    lambda text: repr(json.dumps({"a": text})),
]


@pytest.mark.parametrize("name", ISSUED)
def test_a_key_is_known_by_its_form(name: str) -> None:
    stays, secret = ISSUED[name]
    before = "123456789:" if name == "Telegram" else ""
    for number, depth in enumerate(DEPTHS):
        text = depth(f"first\n{before}{stays}{secret}\nnext, {before}{stays}{secret}.")
        masked = privacy.mask_text(text, FULL)
        assert secret not in masked, number
        assert secret[-12:] not in masked, number
        assert masked == depth(f"first\n{before}{stays}***\nnext, {before}{stays}***.")
        assert privacy.mask_text(masked, FULL) == masked


NAMED = [
    ("password=hunter2", "password=***"),
    ("password=Sup3rS3cret! next", "password=*** next"),
    ("PGPASSWORD=letmein psql", "PGPASSWORD=*** psql"),
    ("host=db user=app password=letmein dbname=x", "host=db user=app password=*** dbname=x"),
    ("Server=db;User Id=sa;Password=Passw0rd;Encrypt=true", "Server=db;User Id=sa;Password=***;Encrypt=true"),
    ('password = "hunter2"', 'password = "***"'),
    ("password='correcthorse'", "password='***'"),
    ('{"user": "bob", "password": "letmein!"}', '{"user": "bob", "password": "***"}'),
    ('{"db_password":"with\\"quote1"}', '{"db_password":"***"}'),
    ('{"pwd":"back\\\\"}', '{"pwd":"***"}'),
    ("password: hunter22", "password: ***"),
    ("password: str = 'hunter2'", "password: str = '***'"),
    ("<password>hunter22</password>", "<password>***</password>"),
    ("config['password'] = 'hunter2'", "config['password'] = '***'"),
    ("x-api-key: abcdef123456", "x-api-key: ***"),
    ("X-API-Key: SuperSecretValue", "X-API-Key: ***"),
    ("-H 'x-api-key: abcdef123456' \\", "-H 'x-api-key: ***' \\"),
    ("{'x-api-key': 'opaque99'}", "{'x-api-key': '***'}"),
    ("(b'x-api-key', b'opaque99')", "(b'x-api-key', b'***')"),
    ("Ocp-Apim-Subscription-Key: 0123456789abcdef0123456789abcdef", "Ocp-Apim-Subscription-Key: ***"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY=***"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "aws_secret_access_key = ***"),
    (
        "AccountName=x;AccountKey=" + "aB3/" * 21 + "ab==;EndpointSuffix=y",
        "AccountName=x;AccountKey=***;EndpointSuffix=y",
    ),
    ("api_key=QuerySecret123", "api_key=***"),
    ('OpenAI(api_key="opaque-key-99")', 'OpenAI(api_key="***")'),
    ('{"apiKey":"0123abcd4567efgh"}', '{"apiKey":"***"}'),
    ('{"client_secret": "QuerySecretValue"}', '{"client_secret": "***"}'),
    ("access_token=0123opaque4567", "access_token=***"),
    ('"refresh_token":"1//0gAbCdEfGh123"', '"refresh_token":"***"'),
    ("MY_SERVICE_TOKEN=0123opaque4567", "MY_SERVICE_TOKEN=***"),
    ("token: 0a1b2c3d4e5f6a7b8c9d0e1f", "token: ***"),
    ("Cookie: session=abc; theme=dark\nHost: x", "Cookie: ***\nHost: x"),
    ("'set-cookie': 'sid=opaque; HttpOnly'", "'set-cookie': '***'"),
    ("Proxy-Authorization: Basic opaque1", "Proxy-Authorization: Basic ***"),
    ("AUTHORIZATION: BEARER opaque", "AUTHORIZATION: BEARER ***"),
    # addresses
    ("https://h/v1?api_key=abc", "https://h/v1?api_key=***"),
    ("https://h/v1?x=1&api-key=QuerySecret&y=2", "https://h/v1?x=1&api-key=***&y=2"),
    ("https://h/v1?apikey=abc#part", "https://h/v1?apikey=***#part"),
    ("(https://h/?token=QuerySecret)", "(https://h/?token=***)"),
    ("https://h/?access_token=QuerySecret, then", "https://h/?access_token=***, then"),
    ("https://h/?password=letmein", "https://h/?password=***"),
    ("https://h/?sig=aB%2Fc%3D&se=2024", "https://h/?sig=***&se=2024"),
    ("https://h/?X-Amz-Signature=0a1b2c&X-Amz-Date=20240101", "https://h/?X-Amz-Signature=***&X-Amz-Date=20240101"),
    ("https://h/?X-Amz-Credential=AKIA%2F2024&x=1", "https://h/?X-Amz-Credential=***&x=1"),
    (
        "https://h/?Policy=eyJTdGF0&Signature=a~b-c&Key-Pair-Id=K2",
        "https://h/?Policy=***&Signature=***&Key-Pair-Id=***",
    ),
    ("https://h/?key=QuerySecret123", "https://h/?key=***"),
    ("https://h/?subscription-key=QuerySecret", "https://h/?subscription-key=***"),
    ("https://h/?client_secret=a", "https://h/?client_secret=***"),
    ("https:\\/\\/h\\/?api_key=abc\\u0026x=1", "https:\\/\\/h\\/?api_key=***\\u0026x=1"),
    ("https%3A%2F%2Fh%2F%3Fapi_key%3DQuerySecret%26x%3D1", "https%3A%2F%2Fh%2F%3Fapi_key%3D***%26x%3D1"),
    ("https:\\/\\/user:pass@h", "https:\\/\\/***@h"),
    ("http%3A%2F%2Fuser%3Apass%40h", "http%3A%2F%2F***%40h"),
    ("https://hooks.slack.com/services/T00/B00/abcdefghijklmnop1234", "https://hooks.slack.com/services/***"),
    ("https://discord.com/api/webhooks/123456/abcdefghijklmnop1234", "https://discord.com/api/webhooks/***"),
]


@pytest.mark.parametrize(("text", "masked"), NAMED)
def test_a_value_is_known_by_its_name(text: str, masked: str) -> None:
    for form in DEPTHS[:4]:
        assert privacy.mask_text(form(text), FULL) == form(masked)
        assert privacy.mask_text(form(masked), FULL) == form(masked)


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys(kind: str) -> None:
    lines = "\n".join(drawn(64 - number, URL.replace("-", "+").replace("_", "/")) for number in range(8))
    text = f"before\n-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----\nafter"
    for depth in DEPTHS:
        masked = privacy.mask_text(depth(text), FULL)
        assert not any(line in masked for line in lines.split("\n"))
        assert f"-----BEGIN {kind}PRIVATE KEY-----***-----END {kind}PRIVATE KEY-----" in masked
        assert "before" in masked
        assert "after" in masked
    cut = privacy.mask_text(text[:300], FULL)
    assert not any(line[:20] in cut for line in lines.split("\n"))


def test_in_every_place_of_a_record() -> None:
    secret = "QuerySecret123"
    url = f"https://h/nosuch/m?api_key={secret}"
    record = span(
        {
            "input.value": json.dumps({"messages": [{"content": url}], "metadata": {"password": secret}}),
            "gen_ai.system_instructions": f"password={secret}",
            "gen_ai.tool.definitions": json.dumps([{"x-api-key": secret}]),
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": json.dumps({"api_key": secret}),
            "metadata": {"inner": [{"password": secret}]},
            "tag.tags": [url, "x"],
        },
        events=[EventRecord("exception", 1, {"exception.message": url, "exception.stacktrace": f'  get("{url}")'})],
        status_message=f"HTTPStatusError: 502 for {url}",
        name=f"POST {url}",
    )
    assert secret not in everything_in(privacy.apply(record, FULL))


def test_what_a_user_adds() -> None:
    policy = privacy.build_policy(capture_content=True, environ={}, pattern=r"ACME-\d{6}")
    record: Any = privacy.apply(span({"input.value": "customer ACME-123456, ACME-12", "a": ["ACME-000000"]}), policy)
    assert record.attributes == {"input.value": "customer ***, ACME-12", "a": ["***"]}
    assert privacy.mask_text("ACME-123456", policy) == "***"
