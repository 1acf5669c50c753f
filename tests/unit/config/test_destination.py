"""Which destination counts, what tells one from another, and which of its texts are secrets."""

import pytest

from settings_cases import (
    COLLECTOR,
    CREDENTIALS,
    ENV_TOKEN,
    FILE_PAIR,
    GENERAL,
    PASSWORD,
    SERVER,
    TOKEN,
    TRACES,
    basic,
    read,
    with_file,
)


@pytest.mark.parametrize(
    ("environ", "kind", "enabled"),
    [
        ({**SERVER, **COLLECTOR}, "openobserve", True),
        ({"OPENOBSERVE_AUTH_TOKEN": TOKEN, **COLLECTOR}, "openobserve", True),
        ({"OPENOBSERVE_ORG": "acme", **COLLECTOR}, "otlp", True),
        ({"OPENOBSERVE_URL": "", "OPENOBSERVE_AUTH_TOKEN": " ", **COLLECTOR}, "otlp", True),
        ({"OPENOBSERVE_ORG": "acme"}, "local", True),
        ({"OPENOBSERVE_URL": "o2.example", "OPENOBSERVE_AUTH_TOKEN": TOKEN, **COLLECTOR}, "local", False),
        ({"OPENOBSERVE_URL": "https://o2.example", **COLLECTOR}, "local", False),
        ({**SERVER, "OPENOBSERVE_ORG": "a/b", **COLLECTOR}, "local", False),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=fake"}, "local", True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "local", True),
    ],
)
def test_precedence(environ, kind, enabled):
    it = read(environ)
    assert (it.destination.kind, it.enabled) == (kind, enabled)


def test_beside_openobserve_the_collector_s_faults_do_not_matter():
    it = read({**SERVER, GENERAL: "c.example:4317", "OTEL_EXPORTER_OTLP_TIMEOUT": "fast"})
    assert it.problems == ()
    assert it.sources[GENERAL] == "environment"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SERVER, {**SERVER, "OPENOBSERVE_URL": "HTTPS://O2.example:443/"}, True),
        (SERVER, {**SERVER, "OPENOBSERVE_AUTH_TOKEN": "other@example.com:another-password"}, True),
        (SERVER, {**SERVER, "OPENOBSERVE_ORG": "acme"}, False),
        (SERVER, {**SERVER, "OPENOBSERVE_TRACES_STREAM_NAME": "llm"}, False),
        (SERVER, {**SERVER, "OPENOBSERVE_URL": "https://o2.example/o2"}, False),
        (SERVER, {TRACES: "https://o2.example/api/default/v1/traces"}, False),
        (COLLECTOR, {GENERAL: "http://c.example:4318/"}, True),
        (COLLECTOR, {TRACES: "http://c.example:4318/v1/traces"}, True),
        (COLLECTOR, {**COLLECTOR, "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}, True),
        (COLLECTOR, {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a"}, False),
        (
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a"},
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=b"},
            False,
        ),
        (
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer today"},
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer tomorrow"},
            True,
        ),
        (
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic " + basic("one:today")},
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic " + basic("one:tomorrow")},
            True,
        ),
        (
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic " + basic("one:today")},
            {**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic " + basic("two:today")},
            False,
        ),
        ({TRACES: "http://c.example/?key=a"}, {TRACES: "http://c.example/?key=b"}, False),
    ],
)
def test_identity_tells_destinations_apart_and_nothing_else(one, other, same):
    identities = [read(environ).destination.identity for environ in (one, other)]
    assert (identities[0] == identities[1]) is same
    assert "local" not in identities


@pytest.mark.parametrize(
    ("environ", "secrets"),
    [
        (ENV_TOKEN, {TOKEN, TOKEN.split()[1], CREDENTIALS, PASSWORD}),
        ({"OPENOBSERVE_AUTH_TOKEN": CREDENTIALS}, {TOKEN, TOKEN.split()[1], CREDENTIALS, PASSWORD}),
        ({"OPENOBSERVE_AUTH_TOKEN": "Bearer fake-bearer"}, {"Bearer fake-bearer", "fake-bearer"}),
        ({"OPENOBSERVE_AUTH_TOKEN": "o2oi_wrong_form"}, {"o2oi_wrong_form"}),
        ({"HF_TOKEN": "hf_fakefake", "OPENAI_API_KEY": "sk-fakefake"}, {"hf_fakefake", "sk-fakefake"}),
        ({"OPENAI_API_KEY": "EMPTY", "HF_TOKEN": "none"}, set()),
        ({"OPENOBSERVE_URL": "http://nobody:in-the-url@o2.example"}, {"nobody:in-the-url", "in-the-url"}),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=fake-api-key"}, {"fake-api-key"}),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=fake0123456789abcdef"}, {"fake0123456789abcdef"}),
        ({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=production"}, set()),
        ({TRACES: "http://c.example/v1/traces?api_key=fake-api-key&tenant=production"}, {"fake-api-key"}),
    ],
)
def test_what_is_to_be_masked(environ, secrets):
    it = read(environ)
    assert secrets <= set(it.secrets)
    assert all(len(secret) >= 8 for secret in it.secrets)
    assert list(it.secrets) == sorted(it.secrets, key=lambda text: (-len(text), text))
    if not secrets:
        assert it.secrets == ()


def test_a_token_in_the_file_is_masked_even_if_it_is_not_used(tmp_path):
    assert "password-of-the-file" in with_file(tmp_path, FILE_PAIR, SERVER).secrets


def test_text_forms_show_header_names_only():
    it = read(
        {TRACES: "http://u:hidden-pass@c.example/v1/traces?k=hidden-key", "OTEL_EXPORTER_OTLP_HEADERS": "x=hidden-x"}
    )
    for text in (repr(it), str(it), repr(it.destination), str(it.destination), f"{it.destination}"):
        assert "hidden" not in text
        assert "'x'" in text
        assert "http://c.example/v1/traces?***" in text
    assert it.destination.endpoint == "http://c.example/v1/traces?k=hidden-key"
