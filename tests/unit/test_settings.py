"""Settings as tables: an environment and a ``.env`` in; destination, values, sources and lines out."""

import base64
import inspect
import os
import re
import string
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_openobserve import diagnostics, dotenv_file, environment_variables
from hf_openobserve.settings import Destination, disabled_instrumentations, is_switched_off, load


def basic(credentials):
    return base64.b64encode(credentials.encode()).decode()


PASSWORD = "not-a-real-password"
CREDENTIALS = f"nobody@example.com:{PASSWORD}"
TOKEN = "Basic " + basic(CREDENTIALS)
SERVER = {"OPENOBSERVE_URL": "https://o2.example", "OPENOBSERVE_AUTH_TOKEN": TOKEN}
LOCAL = Destination("local")
NOT_RECORDED = " - nothing is recorded until it is corrected."


def read(environ, script_dir=None, cwd=None):
    return load(environ, script_dir=script_dir, cwd=cwd)


def with_file(directory, text, environ):
    (directory / ".env").write_text(text)
    return read(environ, script_dir=str(directory))


@pytest.fixture(autouse=True)
def _nothing_is_swallowed(monkeypatch):
    def fail(where):
        raise AssertionError(where)

    monkeypatch.setattr(diagnostics, "swallowed", fail)


# --- Nothing set -----------------------------------------------------------------------------------------------------


def test_without_any_variable_spans_stay_here_and_everything_is_a_default():
    it = read({})
    assert (it.enabled, it.destination, it.other_exporters) == (True, LOCAL, ())
    assert (it.destination.kind, it.destination.endpoint, it.destination.identity) == ("local", "", "local")
    assert (it.outbox_dir, it.outbox_max_bytes, it.exit_timeout_s) == (None, 64 * 1024 * 1024, 1.0)
    assert (it.capture_content, it.debug, it.secrets, it.problems, it.notes) == (True, False, (), (), ())
    assert set(it.sources.values()) == {"default"}


def test_every_variable_read_has_a_source():
    asked_elsewhere = {
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
        "OTEL_PYTHON_DISTRO",
        "OTEL_PYTHON_CONFIGURATOR",
        "OTEL_PYTHON_ID_GENERATOR",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    }
    known = {value for name, value in vars(environment_variables).items() if name == value}
    known.update(environment_variables.HF_TOKEN_VARIABLES)
    for environ in ({}, SERVER, COLLECTOR):
        assert known - asked_elsewhere <= set(read(environ).sources)


def test_settings_cannot_be_changed():
    it = read(SERVER)
    with pytest.raises(AttributeError):
        it.enabled = False
    with pytest.raises(AttributeError):
        it.destination.endpoint = "http://elsewhere.example"
    with pytest.raises(TypeError):
        it.destination.headers["Authorization"] = "x"
    with pytest.raises(TypeError):
        it.sources["OPENOBSERVE_URL"] = "x"


# --- OpenObserve -----------------------------------------------------------------------------------------------------


def test_an_openobserve_destination():
    it = read(
        {**SERVER, "OPENOBSERVE_ORG": "acme", "OPENOBSERVE_TRACES_STREAM_NAME": "llm", "OPENOBSERVE_TIMEOUT": "7.5"}
    )
    assert it.enabled
    assert it.problems == ()
    assert it.destination == Destination(
        "openobserve",
        endpoint="https://o2.example/api/acme/v1/traces",
        base_url="https://o2.example",
        headers={"Authorization": TOKEN, "stream-name": "llm"},
        timeout_s=7.5,
        gzip=True,
        identity="openobserve https://o2.example/api/acme/v1/traces stream=llm",
    )
    assert it.sources["OPENOBSERVE_ORG"] == "environment"
    assert it.sources["OPENOBSERVE_HF_DEBUG"] == "default"


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("https://o2.example", "https://o2.example"),
        ("https://o2.example/", "https://o2.example"),
        ("https://o2.example//", "https://o2.example"),
        ("http://localhost:5080", "http://localhost:5080"),
        ("http://127.0.0.1:5080/", "http://127.0.0.1:5080"),
        ("http://[::1]:5080/", "http://[::1]:5080"),
        ("https://o2.example/o2", "https://o2.example/o2"),
        ("https://o2.example/obs/o2/", "https://o2.example/obs/o2"),
        ("https://o2.example/api-gateway/", "https://o2.example/api-gateway"),
        ("https://o2.example/api/v9/o2", "https://o2.example/api/v9/o2"),
        ("HTTPS://O2.Example:443/Path", "https://o2.example/Path"),
        ("http://o2.example:80", "http://o2.example"),
        ("http://o2.example:443", "http://o2.example:443"),
        ("  https://o2.example  ", "https://o2.example"),
        ('"https://o2.example"', "https://o2.example"),
        ("'https://o2.example/'", "https://o2.example"),
    ],
)
def test_right_urls(url, base_url):
    it = read({**SERVER, "OPENOBSERVE_URL": url})
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination.base_url == base_url
    assert it.destination.endpoint == base_url + "/api/default/v1/traces"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("localhost:5080", 'has no scheme ("localhost:5080"); write for example https://api.openobserve.ai'),
        ("o2.example/prefix", 'has no scheme ("o2.example/prefix"); write for example https://api.openobserve.ai'),
        ("//o2.example", "has no scheme; write for example https://api.openobserve.ai"),
        ("https:/o2.example", "has no scheme; write for example https://api.openobserve.ai"),
        ("hf_fakefakefakefake", "has no scheme; write for example https://api.openobserve.ai"),
        ("default", "has no scheme; write for example https://api.openobserve.ai"),
        (
            "ftp://o2.example",
            "has a scheme that is neither http nor https; write for example https://api.openobserve.ai",
        ),
        (
            "grpc://o2.example:5081",
            "has a scheme that is neither http nor https; write for example https://api.openobserve.ai",
        ),
        ("https://", "names no host; write for example https://api.openobserve.ai"),
        ("https:///api", "names no host; write for example https://api.openobserve.ai"),
        ("http://:5080", "names no host; write for example https://api.openobserve.ai"),
        ("http://o2.example:port", "has no valid host and port; write for example https://api.openobserve.ai"),
        ("http://o2.example:99999", "has no valid host and port; write for example https://api.openobserve.ai"),
        ("http://o2.example:0", "has no valid port; write for example https://api.openobserve.ai"),
        ("http://[::1", "has no valid host and port; write for example https://api.openobserve.ai"),
        ("http://o2 example", "has characters that a URL has not; write for example https://api.openobserve.ai"),
        (
            "http://o2.example\nX-Other: 1",
            "has characters that a URL has not; write for example https://api.openobserve.ai",
        ),
        ("http://o2.example\x00", "has characters that a URL has not; write for example https://api.openobserve.ai"),
        ("http://o2.example/\udcff", "has characters that a URL has not; write for example https://api.openobserve.ai"),
        (
            "https://o2.example?org=acme",
            "has a query or a fragment, which a base URL has not; write for example https://api.openobserve.ai",
        ),
        (
            "https://o2.example/#/logs",
            "has a query or a fragment, which a base URL has not; write for example https://api.openobserve.ai",
        ),
        ('"https://o2.example', "begins with a quote that is not closed; write for example https://api.openobserve.ai"),
        (
            "https://nobody:secret@o2.example",
            "carries credentials, which belong in OPENOBSERVE_AUTH_TOKEN; write for example https://api.openobserve.ai",
        ),
        (
            "nobody:secret@localhost:5080",
            "carries credentials, which belong in OPENOBSERVE_AUTH_TOKEN; write for example https://api.openobserve.ai",
        ),
        (
            "https://o2.example/api/acme/v1/traces",
            (
                'ends in "/api/acme/v1/traces", which the agent adds itself; '
                "write for example OPENOBSERVE_URL=https://o2.example and OPENOBSERVE_ORG=acme"
            ),
        ),
        (
            "https://o2.example:5080/o2/api/acme/",
            (
                'ends in "/api/acme", which the agent adds itself; '
                "write for example OPENOBSERVE_URL=https://o2.example:5080/o2 and OPENOBSERVE_ORG=acme"
            ),
        ),
        (
            "https://o2.example/api/acme/otel/v1/traces",
            (
                'ends in "/api/acme/otel/v1/traces", which the agent adds itself; '
                "write for example OPENOBSERVE_URL=https://o2.example and OPENOBSERVE_ORG=acme"
            ),
        ),
        (
            "https://o2.example/api/acme/traces",
            (
                'ends in "/api/acme/traces", which the agent adds itself; '
                "write for example OPENOBSERVE_URL=https://o2.example and OPENOBSERVE_ORG=acme"
            ),
        ),
        (
            "https://o2.example/api",
            'ends in "/api", which the agent adds itself; write for example OPENOBSERVE_URL=https://o2.example',
        ),
        (
            "https://o2.example/v1/traces",
            'ends in "/v1/traces", which the agent adds itself; write for example OPENOBSERVE_URL=https://o2.example',
        ),
    ],
)
def test_wrong_urls(url, line):
    it = read({**SERVER, "OPENOBSERVE_URL": url})
    assert it.problems == (f"OPENOBSERVE_URL {line}{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


@pytest.mark.parametrize(
    ("token", "authorization"),
    [
        (TOKEN, TOKEN),
        (f"  {TOKEN}\n", TOKEN),
        (f'"{TOKEN}"', TOKEN),
        (f"'{TOKEN}'", TOKEN),
        (TOKEN.replace("Basic", "basic"), TOKEN),
        (TOKEN.replace("Basic", "BASIC"), TOKEN),
        (TOKEN.replace(" ", "   "), TOKEN),
        (TOKEN.replace(" ", "\t"), TOKEN),
        (f"Authorization: {TOKEN}", TOKEN),
        (f"authorization={TOKEN}", TOKEN),
        (TOKEN.split()[1], TOKEN),
        (CREDENTIALS, TOKEN),
        ("nobody:p\u00e4ss w\u00f6rd:with:colons", "Basic " + basic("nobody:p\u00e4ss w\u00f6rd:with:colons")),
        ("nobody:p\udcfcss", "Basic " + base64.b64encode(b"nobody:p\xfcss").decode()),
        ("Basic " + basic("ab:c"), "Basic YWI6Yw=="),
        ("Basic YWI6Yw", "Basic YWI6Yw=="),
        ("YWI6Yw", "Basic YWI6Yw=="),
        (
            "Basic " + base64.b64encode(b"nobody:p\xfcss").decode(),
            "Basic " + base64.b64encode(b"nobody:p\xfcss").decode(),
        ),
        ("Bearer fake.fake.fake", "Bearer fake.fake.fake"),
        ("bearer fake", "bearer fake"),
        ("Bearer\nfake", "Bearer fake"),
    ],
)
def test_right_tokens(token, authorization):
    it = read({"OPENOBSERVE_AUTH_TOKEN": token})
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination.headers["Authorization"] == authorization


FORMS = 'is neither "Basic <base64 of user:password>" nor "user:password" nor "Bearer <token>"'
BAD_BASIC = 'has no base64 of user:password behind "Basic"'


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("o2oi_fakefakefakefake", FORMS),
        ("hf_fakefakefakefake", FORMS),
        (basic("no colon in here"), FORMS),
        (base64.b64encode(bytes(range(0x3A, 0x3A + 30)) + b"\xff\xfe").decode(), FORMS),
        ("Token nobody:secret", FORMS),
        (":", FORMS),
        (":secretsecret", FORMS),
        ("nobody:", FORMS),
        ("http://localhost:5080", FORMS),
        ("Bearer", FORMS),
        ("Bearer two words", FORMS),
        ("Bearer f\u00e4ke", FORMS),
        ("Bearer fake\r\nX-Other: 1", FORMS),
        ("Basic", BAD_BASIC),
        ("Basic not*base64", BAD_BASIC),
        (f"Basic {CREDENTIALS}", BAD_BASIC),
        ("Basic " + basic("no colon in here"), BAD_BASIC),
        (f"Basic {TOKEN}", BAD_BASIC),
        (f'"{TOKEN}', "begins with a quote that is not closed"),
    ],
)
def test_wrong_tokens(token, what):
    it = read({"OPENOBSERVE_URL": "https://o2.example", "OPENOBSERVE_AUTH_TOKEN": token})
    example = '"Basic <base64 of user:password>"'
    assert it.problems == (f"OPENOBSERVE_AUTH_TOKEN {what}; write for example {example}{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


def test_a_token_without_a_url_means_this_machine():
    it = read({"OPENOBSERVE_AUTH_TOKEN": TOKEN})
    assert it.destination.endpoint == "http://localhost:5080/api/default/v1/traces"
    assert it.sources["OPENOBSERVE_URL"] == "default"


def test_a_url_without_a_token_records_nothing():
    it = read({"OPENOBSERVE_URL": "https://o2.example"})
    assert not it.enabled
    assert len(it.problems) == 1
    assert it.problems[0].startswith("OPENOBSERVE_AUTH_TOKEN is not set beside OPENOBSERVE_URL; write for example ")


@pytest.mark.parametrize(
    ("org", "what"),
    [
        ("acme/prod", "contains a slash"),
        ("/", "contains a slash"),
        ("acme prod", "contains a space"),
        ("acme\tprod", "contains a space"),
        ("..", "has characters that an organization's identifier has not"),
        ("acme?x", "has characters that an organization's identifier has not"),
        ("acme#x", "has characters that an organization's identifier has not"),
        ("acme%2fprod", "has characters that an organization's identifier has not"),
        ("acme\\prod", "has characters that an organization's identifier has not"),
        ("\u00e4cme", "has characters that an organization's identifier has not"),
        (TOKEN, "is the text of OPENOBSERVE_AUTH_TOKEN"),
        (TOKEN.split()[1], "is the text of OPENOBSERVE_AUTH_TOKEN"),
    ],
)
def test_wrong_organizations_are_not_shown(org, what):
    it = read({**SERVER, "OPENOBSERVE_ORG": org})
    assert it.problems == (f"OPENOBSERVE_ORG {what}; write for example default{NOT_RECORDED}",)
    assert (it.enabled, it.destination.kind) == (False, "local")


def test_each_wrong_variable_has_its_own_line():
    it = read(
        {"OPENOBSERVE_URL": "o2", "OPENOBSERVE_AUTH_TOKEN": "x", "OPENOBSERVE_ORG": "a/b", "OPENOBSERVE_TIMEOUT": "-"}
    )
    assert [line.split()[0] for line in it.problems] == [
        "OPENOBSERVE_TIMEOUT",
        "OPENOBSERVE_URL",
        "OPENOBSERVE_AUTH_TOKEN",
        "OPENOBSERVE_ORG",
    ]


@pytest.mark.parametrize(
    ("stream", "sent"), [("llm", "llm"), ("My Stream", "My Stream"), ("caf\u00e9\nX: 1", "caf_X: 1"), ("", "default")]
)
def test_the_stream_is_always_a_header_value(stream, sent):
    assert read({**SERVER, "OPENOBSERVE_TRACES_STREAM_NAME": stream}).destination.headers["stream-name"] == sent


# --- Numbers, booleans, content --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "read_as"),
    [
        ("OPENOBSERVE_TIMEOUT", "5", 5.0),
        ("OPENOBSERVE_TIMEOUT", " 0.5 ", 0.5),
        ("OPENOBSERVE_TIMEOUT", "86400", 86400.0),
        ("OPENOBSERVE_TIMEOUT", "", 30.0),
        ("OPENOBSERVE_HF_OUTBOX_MAX_MB", "1.5", 1.5 * 1024 * 1024),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "0", 0.0),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "2", 2.0),
    ],
)
def test_numbers(name, value, read_as):
    it = read({**SERVER, name: value})
    assert it.problems == ()
    assert number(it, name) == read_as


def number(it, name):
    return {
        "OPENOBSERVE_TIMEOUT": it.destination.timeout_s,
        "OPENOBSERVE_HF_OUTBOX_MAX_MB": it.outbox_max_bytes,
        "OPENOBSERVE_HF_EXIT_TIMEOUT_S": it.exit_timeout_s,
    }[name]


@pytest.mark.parametrize("value", ["abc", "30s", "-1", "nan", "inf", "-inf", "1e999", "0x10", "1,5"])
@pytest.mark.parametrize(
    ("name", "default", "bounds"),
    [
        ("OPENOBSERVE_TIMEOUT", "30", "seconds above 0 to 86400"),
        ("OPENOBSERVE_HF_OUTBOX_MAX_MB", "64", "MiB above 0"),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "1", "seconds from 0 to 86400"),
    ],
)
def test_wrong_numbers(name, default, bounds, value):
    it = read({**SERVER, name: value})
    assert it.problems == (
        f'{name} is not a number of {bounds} ("{value}"); write for example {default} - using the default {default}.',
    )
    assert it.enabled
    assert number(it, name) == number(read(SERVER), name)
    assert it.sources[name] == "default"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENOBSERVE_TIMEOUT", "0"),
        ("OPENOBSERVE_TIMEOUT", "86401"),
        ("OPENOBSERVE_HF_OUTBOX_MAX_MB", "0"),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "1e10"),
    ],
)
def test_numbers_out_of_bounds(name, value):
    it = read({**SERVER, name: value})
    assert len(it.problems) == 1
    assert number(it, name) == number(read(SERVER), name)


TRUE = ["true", "True", "1", "yes", "on", " ON "]
FALSE = ["false", "False", "0", "no", "off", "'false'"]


@pytest.mark.parametrize(("value", "expected"), [(v, True) for v in TRUE] + [(v, False) for v in FALSE])
def test_booleans(value, expected):
    assert read({"OPENOBSERVE_HF_DEBUG": value}).debug is expected
    assert read({"OPENOBSERVE_ENABLED": value}).enabled is expected


def test_a_wrong_boolean_is_the_default():
    it = read({"OPENOBSERVE_ENABLED": "maybe", "OPENOBSERVE_HF_DEBUG": "a-long-value-that-might-be-a-secret"})
    assert (it.enabled, it.debug) == (True, False)
    assert it.problems == (
        'OPENOBSERVE_ENABLED is neither true nor false ("maybe"); write for example true - using the default true.',
        "OPENOBSERVE_HF_DEBUG is neither true nor false; write for example false - using the default false.",
    )


@pytest.mark.parametrize(
    ("value", "expected"), [("full", True), ("FULL", True), ("none", False), ("None", False), ("", True)]
)
def test_capture_content(value, expected):
    it = read({"OPENOBSERVE_HF_CAPTURE_CONTENT": value})
    assert (it.capture_content, it.problems) == (expected, ())


@pytest.mark.parametrize("value", ["false", "non", "metadata", "0", "ful"])
def test_a_wrong_capture_content_is_read_as_none(value):
    it = read({"OPENOBSERVE_HF_CAPTURE_CONTENT": value})
    assert not it.capture_content
    assert it.problems == (
        (
            f'OPENOBSERVE_HF_CAPTURE_CONTENT is neither full nor none ("{value}"); write for example none - '
            "prompts and answers are not recorded until it is corrected, as none may have been meant."
        ),
    )


@pytest.mark.parametrize(
    ("path", "cwd", "expected"),
    [
        ("/var/outbox", "/srv", "/var/outbox"),
        ("outbox/", "/srv", "/srv/outbox"),
        ("outbox", None, "outbox"),
        ("~/outbox", "/srv", "/home/nobody/outbox"),
        ("", "/srv", None),
    ],
)
def test_outbox_directory(monkeypatch, path, cwd, expected):
    monkeypatch.setenv("HOME", "/home/nobody")
    assert read({"OPENOBSERVE_HF_OUTBOX_DIR": path}, cwd=cwd).outbox_dir == expected


# --- Switched off ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENOBSERVE_ENABLED": "false"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_SDK_DISABLED": " TRUE "},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "console, None"},
    ],
)
def test_switched_off_says_nothing_about_what_would_be_wrong_otherwise(environ):
    it = read({**environ, "OPENOBSERVE_URL": "o2.example"})
    assert (it.enabled, it.problems) == (False, ())
    assert any(line.startswith("OPENOBSERVE_URL has no scheme") for line in it.notes)


@pytest.mark.parametrize("value", ["1", "yes", "false", "", "on"])
def test_only_true_disables_the_sdk(value):
    assert read({"OTEL_SDK_DISABLED": value}).enabled


@pytest.mark.parametrize(
    ("value", "others"),
    [
        ("", ()),
        ("otlp", ()),
        ("openobserve", ()),
        ("otlp,openobserve", ()),
        ("otlp_proto_http", ()),
        ("otlp_proto_grpc", ()),
        ("console", ("console",)),
        ("otlp, console", ("console",)),
        ("console,zipkin,console,", ("console", "zipkin")),
    ],
)
def test_other_exporters(value, others):
    it = read({**SERVER, "OTEL_TRACES_EXPORTER": value})
    assert (it.other_exporters, it.enabled, it.destination.kind) == (others, True, "openobserve")


@pytest.mark.parametrize(
    ("environ", "off"),
    [
        ({}, False),
        ({"OPENOBSERVE_ENABLED": "false"}, True),
        ({"OPENOBSERVE_ENABLED": "OFF"}, True),
        ({"OPENOBSERVE_ENABLED": "true"}, False),
        ({"OPENOBSERVE_ENABLED": "maybe"}, False),
        ({"OTEL_SDK_DISABLED": "True"}, True),
        ({"OTEL_SDK_DISABLED": "1"}, False),
    ],
)
def test_the_cheap_switch_agrees_with_the_settings(environ, off):
    assert is_switched_off(environ) is off
    assert read(environ).enabled is not off


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", set()), ("openai", {"openai"}), (" openai , flask,", {"openai", "flask"}), ("*", {"*"})],
)
def test_disabled_instrumentations(value, expected):
    assert disabled_instrumentations({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": value}) == expected


# --- OTLP ------------------------------------------------------------------------------------------------------------

GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
COLLECTOR = {GENERAL: "http://c.example:4318"}


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({GENERAL: "http://c.example:4318"}, "http://c.example:4318/v1/traces"),
        ({GENERAL: "http://c.example:4318/"}, "http://c.example:4318/v1/traces"),
        ({GENERAL: "https://c.example/otlp"}, "https://c.example/otlp/v1/traces"),
        ({GENERAL: "https://c.example/otlp?x=1"}, "https://c.example/otlp/v1/traces?x=1"),
        ({TRACES: "http://c.example:4318/v1/traces"}, "http://c.example:4318/v1/traces"),
        ({TRACES: "http://c.example:4318/custom/"}, "http://c.example:4318/custom/"),
        ({TRACES: "http://c.example:4318"}, "http://c.example:4318"),
        ({TRACES: "http://t.example/x", GENERAL: "http://c.example"}, "http://t.example/x"),
        ({TRACES: "", GENERAL: "http://c.example"}, "http://c.example/v1/traces"),
        ({TRACES: "  ", GENERAL: "http://c.example"}, "http://c.example/v1/traces"),
        (
            {GENERAL: "http://c.example:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "http://c.example:4317/v1/traces",
        ),
    ],
)
def test_otlp_endpoints(environ, endpoint):
    it = read(environ)
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination == Destination("otlp", endpoint=endpoint, timeout_s=10.0, identity=it.destination.identity)
    assert it.destination.base_url == ""


def test_a_whole_url_as_the_general_endpoint_is_not_doubled():
    it = read({GENERAL: "http://c.example:4318/v1/traces"})
    assert it.destination.endpoint == "http://c.example:4318/v1/traces"
    assert len(it.problems) == 1
    assert it.problems[0].startswith("OTEL_EXPORTER_OTLP_ENDPOINT ends in /v1/traces, which is added to it; ")


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {GENERAL: "c.example:4318"},
            'OTEL_EXPORTER_OTLP_ENDPOINT has no scheme ("c.example:4318"); write for example http://localhost:4318',
        ),
        (
            {TRACES: "c.example:4318"},
            (
                'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has no scheme ("c.example:4318"); '
                "write for example http://localhost:4318/v1/traces"
            ),
        ),
        (
            {GENERAL: "unix:///var/run/otlp"},
            "OTEL_EXPORTER_OTLP_ENDPOINT has a scheme that is neither http nor https; write for example http://localhost:4318",
        ),
        (
            {GENERAL: "http://nobody:12345/not-a-path@c.example"},
            (
                'OTEL_EXPORTER_OTLP_ENDPOINT has an "@" behind its host; a password\'s "/", "?" and "#" are written '
                "%2F, %3F and %23; write for example http://localhost:4318"
            ),
        ),
        (
            {GENERAL: "http://c.example:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT names port 4317, where a collector speaks gRPC, and the agent speaks HTTP; "
                "write for example http://localhost:4318 and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            ),
        ),
        (
            {GENERAL: "http://c.example:4317/"},
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT names port 4317, where a collector speaks gRPC, and the agent speaks HTTP; "
                "write for example http://localhost:4318 and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            ),
        ),
        (
            {TRACES: "c.example:4317", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT names port 4317, where a collector speaks gRPC, and the agent speaks HTTP; "
                "write for example http://localhost:4318/v1/traces and OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"
            ),
        ),
    ],
)
def test_otlp_endpoints_that_cannot_be_used_keep_spans_here(environ, line):
    it = read(environ)
    assert it.problems == (line + " - spans are kept on disk, unsent, until it is corrected.",)
    assert (it.enabled, it.destination.kind) == (True, "local")


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({GENERAL: "https://c.example"}, "https://c.example/v1/traces"),
        ({TRACES: "https://c.example:443"}, "https://c.example/v1/traces"),
        ({TRACES: "https://c.example/own/path"}, "https://c.example/own/path"),
    ],
)
def test_grpc_at_another_port_goes_over_http_with_a_line(environ, endpoint):
    it = read({**environ, "OTEL_EXPORTER_OTLP_PROTOCOL": "GRPC"})
    assert it.destination.endpoint == endpoint
    assert it.problems == (
        (
            f"OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and the agent speaks HTTP; spans go over HTTP to {endpoint}; "
            "write for example http/protobuf - if that server speaks gRPC alone, none of them arrives."
        ),
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "3"}, {"timeout_s": 3.0}),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "3", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "4.5"}, {"timeout_s": 4.5}),
        ({"OPENOBSERVE_TIMEOUT": "3"}, {"timeout_s": 10.0}),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}, {"gzip": False}),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, {"gzip": True}),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "Deflate"}, {"gzip": True}),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "none"}, {"gzip": False}),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca"}, {"certificate": "/ca"}),
        (
            {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/t"},
            {"certificate": "/t"},
        ),
        (
            {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/k"},
            {"client_certificate": "/c", "client_key": "/k"},
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": "/c", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/k"},
            {"client_certificate": "/c", "client_key": "/k"},
        ),
    ],
)
def test_otlp_options(environ, expected):
    it = read({**COLLECTOR, **environ})
    assert it.problems == ()
    usual = {"timeout_s": 10.0, "gzip": True, "certificate": None, "client_certificate": None, "client_key": None}
    assert {name: getattr(it.destination, name) for name in usual} == {**usual, **expected}


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "fast",
            'is not a number of seconds above 0 to 86400 ("fast"); write for example 10 - using the default 10.',
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "0",
            'is not a number of seconds above 0 to 86400 ("0"); write for example 10 - using the default 10.',
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            'is neither gzip nor none ("zstd"); write for example gzip - using gzip.',
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "secret-without-a-name,api-key=fake,c2VjcmV0LXdpdGhvdXQtYS1uYW1l==",
            (
                "has an entry that is not name=value in characters a header can carry; "
                "write for example authorization=Basic%20<base64> - that entry is left out."
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "api-key=fake%0D%0Ax-other:1",
            (
                "has an entry that is not name=value in characters a header can carry; "
                "write for example authorization=Basic%20<base64> - that entry is left out."
            ),
        ),
    ],
)
def test_wrong_otlp_options(name, value, line):
    it = read({**COLLECTOR, name: value})
    assert it.problems == (f"{name} {line}",)
    assert (it.destination.kind, it.destination.timeout_s, it.destination.gzip) == ("otlp", 10.0, True)
    assert dict(it.destination.headers) in ({}, {"api-key": "fake"})


@pytest.mark.parametrize(
    ("environ", "headers"),
    [
        ({"OTEL_EXPORTER_OTLP_HEADERS": "api-key=fake"}, {"api-key": "fake"}),
        ({"OTEL_EXPORTER_OTLP_HEADERS": " Api-Key = fake , x=1=2,,"}, {"api-key": "fake", "x": "1=2"}),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20YWI6Yw%3D%3D"}, {"authorization": "Basic YWI6Yw=="}),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic YWI6Yw=="}, {"authorization": "Basic YWI6Yw=="}),
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=3"},
            {"a": "3"},
        ),
        ({GENERAL: "http://nobody:s3cret%21@c.example"}, {"authorization": "Basic " + basic("nobody:s3cret!")}),
    ],
)
def test_otlp_headers(environ, headers):
    it = read({**COLLECTOR, **environ})
    assert it.problems == ()
    assert it.destination.headers == headers
    assert "@" not in it.destination.endpoint


@given(text=st.text(alphabet=string.ascii_letters + string.digits + ' \t=,;%-_.:/"\\+{}\x7f\u00e4', max_size=40))
def test_otlp_headers_are_read_as_the_sdk_reads_them(text):
    from opentelemetry.util.re import parse_env_headers

    expected = {
        name: value
        for name, value in parse_env_headers(text.strip(), liberal=True).items()
        if re.fullmatch(r"[!-~]+", name) and re.fullmatch(r"[ -~]*", value) and value.strip("=")
    }
    # One pair of quotes around the whole is ours to take away, and the SDK refuses it.
    if text.strip()[:1] != '"':
        assert read({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": text}).destination.headers == expected


# --- Which destination -----------------------------------------------------------------------------------------------


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


# --- .env ------------------------------------------------------------------------------------------------------------

FILE_URL = "https://file.example"
FILE_TOKEN = "Basic " + basic("file@example.com:password-of-the-file")
FILE_PAIR = f"OPENOBSERVE_URL={FILE_URL}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}\n"
ENV_TOKEN = {"OPENOBSERVE_AUTH_TOKEN": TOKEN}
ENV_URL = {"OPENOBSERVE_URL": "https://o2.example"}


@pytest.mark.parametrize(
    ("text", "environ", "endpoint", "token"),
    [
        pytest.param(FILE_PAIR, {}, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="both-from-the-file"),
        pytest.param(
            FILE_PAIR, SERVER, "https://o2.example/api/default/v1/traces", TOKEN, id="both-from-the-environment"
        ),
        pytest.param(
            FILE_PAIR, ENV_TOKEN, "http://localhost:5080/api/default/v1/traces", TOKEN, id="token-goes-to-no-file's-url"
        ),
        pytest.param(
            f"OPENOBSERVE_URL={FILE_URL}",
            ENV_TOKEN,
            "http://localhost:5080/api/default/v1/traces",
            TOKEN,
            id="token-goes-to-no-file's-lone-url",
        ),
        pytest.param(FILE_PAIR, ENV_URL, "", "", id="file's-token-goes-to-no-environment's-url"),
        pytest.param(
            FILE_PAIR, {"OPENOBSERVE_URL": ""}, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="empty-is-unset"
        ),
        pytest.param(
            f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}",
            {},
            "http://localhost:5080/api/default/v1/traces",
            FILE_TOKEN,
            id="file's-token",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            {},
            f"{FILE_URL}/api/filed/v1/traces",
            FILE_TOKEN,
            id="file's-organization",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            {"OPENOBSERVE_ORG": "acme"},
            f"{FILE_URL}/api/acme/v1/traces",
            FILE_TOKEN,
            id="environment's-organization-first",
        ),
        pytest.param(
            FILE_PAIR + "OPENOBSERVE_ORG=filed",
            SERVER,
            "https://o2.example/api/default/v1/traces",
            TOKEN,
            id="organization-of-another-server",
        ),
        pytest.param(
            "OPENOBSERVE_ORG=filed",
            SERVER,
            "https://o2.example/api/filed/v1/traces",
            TOKEN,
            id="organization-completes",
        ),
        pytest.param(FILE_PAIR, COLLECTOR, f"{FILE_URL}/api/default/v1/traces", FILE_TOKEN, id="before-the-collector"),
    ],
)
def test_url_and_token_come_from_one_source(tmp_path, text, environ, endpoint, token):
    it = with_file(tmp_path, text, environ)
    assert it.destination.endpoint == endpoint
    assert it.destination.headers.get("Authorization", "") == token
    pair = {it.sources[name] for name in SERVER} - {"default"}
    assert len(pair) == 1


def test_the_stream_follows_the_address(tmp_path):
    stream = "OPENOBSERVE_TRACES_STREAM_NAME=filed\n"
    assert with_file(tmp_path, FILE_PAIR + stream, {}).destination.headers["stream-name"] == "filed"
    assert with_file(tmp_path, FILE_PAIR + stream, SERVER).destination.headers["stream-name"] == "default"
    assert with_file(tmp_path, stream, SERVER).destination.headers["stream-name"] == "filed"


def test_half_an_address_in_the_file_is_explained(tmp_path):
    path = tmp_path / ".env"
    it = with_file(tmp_path, f"OPENOBSERVE_URL={FILE_URL}", ENV_TOKEN)
    assert it.problems == (
        (
            f"OPENOBSERVE_URL in {path} is not used: OPENOBSERVE_AUTH_TOKEN comes from the environment, and both must come from "
            "the same place; set OPENOBSERVE_URL in the environment too - using the default http://localhost:5080."
        ),
    )
    it = with_file(tmp_path, f"OPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}", ENV_URL)
    assert not it.enabled
    assert len(it.problems) == 1
    assert f"(the one in {path} is not sent to a server that the environment names)" in it.problems[0]


def test_a_whole_address_in_the_file_beside_the_environment_s_is_worth_a_note_only(tmp_path):
    it = with_file(tmp_path, FILE_PAIR, SERVER)
    assert it.problems == ()
    assert it.notes == (
        f"OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN in {tmp_path / '.env'} not used: the environment names the server.",
    )


def test_the_file_s_other_settings_and_their_sources(tmp_path):
    text = (
        "OPENOBSERVE_TIMEOUT=5\nOPENOBSERVE_HF_DEBUG=1\nOPENOBSERVE_HF_CAPTURE_CONTENT=none\nOPENOBSERVE_ENABLED=no\n"
    )
    it = with_file(tmp_path, text, {"OPENOBSERVE_HF_DEBUG": "0"})
    assert (it.enabled, it.debug, it.capture_content, it.destination.timeout_s) == (False, False, False, 30.0)
    path = str(tmp_path / ".env")
    assert it.sources["OPENOBSERVE_TIMEOUT"] == it.sources["OPENOBSERVE_ENABLED"] == path
    assert it.sources["OPENOBSERVE_HF_DEBUG"] == "environment"
    assert with_file(tmp_path, "OPENOBSERVE_TIMEOUT=5\n", SERVER).destination.timeout_s == 5.0


def test_the_file_cannot_switch_content_on(tmp_path):
    it = with_file(tmp_path, "OPENOBSERVE_HF_CAPTURE_CONTENT=full", {"OPENOBSERVE_HF_CAPTURE_CONTENT": "none"})
    assert not it.capture_content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENOBSERVE_HF_OUTBOX_DIR", "/mnt/shared"),
        ("OPENOBSERVE_HF_OUTBOX_MAX_MB", "999999"),
        ("OPENOBSERVE_HF_EXIT_TIMEOUT_S", "600"),
    ],
)
def test_the_file_cannot_touch_disk_or_exit(tmp_path, name, value):
    usual = read({})
    it = with_file(tmp_path, f"{name}={value}", {})
    assert (it.outbox_dir, it.outbox_max_bytes, it.exit_timeout_s) == (
        usual.outbox_dir,
        usual.outbox_max_bytes,
        usual.exit_timeout_s,
    )
    assert it.sources[name] == "default"
    assert it.problems == (
        f"{name} in {tmp_path / '.env'} is not used: a .env file may not set it; set it in the environment - using the default.",
    )
    assert with_file(tmp_path, f"{name}={value}", {name: "3"}).problems == ()


def test_a_line_names_the_file_a_wrong_value_stands_in(tmp_path):
    it = with_file(tmp_path, FILE_PAIR.replace("https://", ""), {})
    assert it.problems[0].startswith(f'OPENOBSERVE_URL in {tmp_path / ".env"} has no scheme ("file.example"); ')
    assert not it.enabled


@pytest.mark.parametrize(
    "text",
    [
        f'OPENOBSERVE_URL="{FILE_URL}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}',
        f"OPENOBSERVE_URL=https://${{HOST}}\nOPENOBSERVE_AUTH_TOKEN={FILE_TOKEN}",
        f"OPENOBSERVE_URL={FILE_URL}\nOPENOBSERVE_AUTH_TOKEN=nobody:${{HF_TOKEN}}",
        f"{FILE_PAIR}OPENOBSERVE_ORG=${{HF_TOKEN}}",
    ],
)
def test_a_line_that_cannot_be_read_stops_recording_and_is_no_default(tmp_path, text):
    it = with_file(tmp_path, text, {"HF_TOKEN": "hf_fakefakefake"})
    assert (it.enabled, it.destination.kind) == (False, "local")
    assert len(it.problems) == 1


def test_a_dollar_in_the_environment_is_part_of_the_password():
    assert read({"OPENOBSERVE_AUTH_TOKEN": "nobody:pa${ss}word"}).enabled


@pytest.mark.parametrize("value", ["false", "0", "OFF"])
def test_no_file_is_looked_for_when_told_so(tmp_path, value):
    assert with_file(tmp_path, FILE_PAIR, {"OPENOBSERVE_HF_DOTENV": value}).destination == LOCAL


@pytest.mark.parametrize("value", ["true", "1", ""])
def test_the_usual_search(tmp_path, value):
    assert with_file(tmp_path, FILE_PAIR, {"OPENOBSERVE_HF_DOTENV": value}).destination.kind == "openobserve"


def test_a_named_file_is_the_only_one(tmp_path, monkeypatch):
    (tmp_path / "settings.env").write_text(FILE_PAIR)
    named = str(tmp_path / "settings.env")
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in (named, "settings.env", "~/settings.env"):
        (tmp_path / ".env").write_text("OPENOBSERVE_URL=http://other.example\n")
        it = read({"OPENOBSERVE_HF_DOTENV": value}, script_dir=str(tmp_path), cwd=str(tmp_path))
        assert it.destination.base_url == FILE_URL
        assert it.sources["OPENOBSERVE_URL"] == named


def test_a_named_file_that_cannot_be_used_is_said(tmp_path, monkeypatch):
    line = "OPENOBSERVE_HF_DOTENV names a file that cannot be used ({}: {}); write for example /srv/app/.env - no .env file is read."
    missing = str(tmp_path / "missing")
    it = read({"OPENOBSERVE_HF_DOTENV": missing})
    assert it.problems == (line.format(missing, "No such file or directory"),)

    named = tmp_path / ".env"
    named.write_text(FILE_PAIR)

    def refuse(status):
        raise dotenv_file.Refused("it belongs to somebody")

    monkeypatch.setattr(dotenv_file, "_refuse_unless_trusted", refuse)
    it = read({"OPENOBSERVE_HF_DOTENV": str(named)})
    assert it.problems == (line.format(named, "it belongs to somebody"),)
    assert it.destination == LOCAL


def test_notes_of_the_search_are_handed_on(tmp_path):
    (tmp_path / ".env").mkdir()
    assert read({}, script_dir=str(tmp_path)).notes == (f"{tmp_path / '.env'} is not read: it is not a regular file.",)


# --- Secrets ---------------------------------------------------------------------------------------------------------


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


# Hypothesis also tries texts out of the source; a secret that the lines themselves are made of proves nothing.
SOURCES = "".join(inspect.getsource(module) for module in (sys.modules[load.__module__], environment_variables))
SECRET = st.text(alphabet=string.ascii_letters + string.digits + "+/=_-.:;@!$%&#'\" ", min_size=10, max_size=40).filter(
    lambda text: len(set(text)) > 6 and text.strip("'\" ") == text and text not in SOURCES and "example" not in text
)
FORMS_OF_A_TOKEN = [
    "{}",
    "Basic {}",
    "Bearer {}",
    "Token {}",
    "nobody:{}",
    "Authorization: Bearer {}",
    "'{}",
]


PLACES_TO_PASTE = (
    "OPENOBSERVE_URL",
    "OPENOBSERVE_ORG",
    "OPENOBSERVE_TRACES_STREAM_NAME",
    "OPENOBSERVE_TIMEOUT",
    "OPENOBSERVE_ENABLED",
    "OPENOBSERVE_HF_DEBUG",
    "OPENOBSERVE_HF_CAPTURE_CONTENT",
    "OPENOBSERVE_HF_OUTBOX_MAX_MB",
    TRACES,
    GENERAL,
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "HF_TOKEN",
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=SECRET, form=st.sampled_from(FORMS_OF_A_TOKEN), encode=st.booleans(), data=st.data())
def test_no_text_shows_a_token(secret, form, encode, data):
    token = form.format(basic("nobody:" + secret) if encode else secret)
    # The same text in other variables, as somebody may paste it; URLs carry it as a password and as a key.
    pasted = data.draw(st.lists(st.sampled_from(PLACES_TO_PASTE), unique=True))
    # Without the first of the two, the collector's variables are the ones that count.
    environ = dict.fromkeys([data.draw(st.sampled_from(("OPENOBSERVE_AUTH_TOKEN", "HF_TOKEN"))), *pasted], token)
    urls = [f"http://nobody:{secret}@o2.example", f"https://o2.example/?k={secret}", "o2.example", "https://o2.example"]
    if data.draw(st.booleans()):
        environ[data.draw(st.sampled_from(("OPENOBSERVE_URL", TRACES, GENERAL)))] = data.draw(st.sampled_from(urls))
    it = read(environ)
    text = "\n".join([repr(it), str(it), it.destination.identity, *it.problems, *it.notes])
    for hidden in (token, secret, basic("nobody:" + secret), basic(secret)):
        assert hidden not in text


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    environ=st.dictionaries(
        st.sampled_from([value for name, value in sorted(vars(environment_variables).items()) if name == value]),
        st.one_of(
            st.text(max_size=30),
            st.sampled_from(
                [TOKEN, CREDENTIALS, "https://o2.example", "http://[::1]:4317/", "true", "none", "1e400", "\udcff"]
            ),
            st.builds("http://{}".format, st.text(max_size=20)),
        ),
        max_size=8,
    ).filter(lambda environ: "\0" not in environ.get("OPENOBSERVE_HF_DOTENV", ""))
)
def test_whatever_the_environment_holds_nothing_is_raised_and_every_line_is_one(environ):
    it = read(environ)
    for line in it.problems + it.notes:
        assert line.isprintable()
        assert line.endswith(".")
    for header, value in it.destination.headers.items():
        assert re.fullmatch(r"[!-~]+", header)
        assert re.fullmatch(r"[ -~]*", value)
    if not it.enabled:
        off = {"OPENOBSERVE_ENABLED", "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"}
        assert it.problems or off & set(environ)


def test_an_error_of_its_own_is_one_line_and_no_recording(monkeypatch):
    said = []
    monkeypatch.setattr(diagnostics, "swallowed", said.append)

    def broken(*args):
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(dotenv_file, "find", broken)
    it = read(SERVER)
    assert (it.enabled, it.destination) == (False, LOCAL)
    assert it.problems == ("The settings could not be read (RuntimeError) - nothing is recorded in this process.",)
    assert said == ["settings.load"]


# --- A guest in the host's process -----------------------------------------------------------------------------------


def test_reading_settings_imports_little_and_prints_nothing():
    environ = {**SERVER, **COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "broken,api-key=fake"}
    program = (
        "import sys; before = set(sys.modules)\n"
        "from hf_openobserve import settings\n"
        f"for environ in ({environ!r}, { ({**COLLECTOR, 'OTEL_EXPORTER_OTLP_HEADERS': 'broken,api-key=fake'})!r}):\n"
        "    settings.load(environ, script_dir='/', cwd='/')\n"
        "heavy = 'opentelemetry dotenv requests urllib3 logging json http email ssl socket google asyncio'.split()\n"
        "print([name for name in heavy if name in set(sys.modules) - before])\n"
    )
    child = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    output = subprocess.run(
        [sys.executable, "-c", program],
        env=child,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (output.stdout.strip(), output.stderr) == (b"[]", b"")
