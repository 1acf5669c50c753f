"""Where spans go, as tables: variables in; endpoint, headers, identity and lines out."""

import base64
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_openobserve import diagnostics
from hf_openobserve.destination import Destination
from settings_cases import (
    COLLECTOR,
    CREDENTIALS,
    ENV_TOKEN,
    ENV_URL,
    FILE_PAIR,
    FILE_TOKEN,
    FILE_URL,
    GENERAL,
    PASSWORD,
    SERVER,
    TOKEN,
    TRACES,
    basic,
    read,
    with_file,
)

NOT_RECORDED = " - nothing is recorded until it is corrected."


@pytest.fixture(autouse=True)
def _nothing_is_swallowed(monkeypatch):
    def fail(where):
        raise AssertionError(where)

    monkeypatch.setattr(diagnostics, "swallowed", fail)


# --- OpenObserve ------------------------------------------------------------------------------------------------------


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


# --- OTLP -------------------------------------------------------------------------------------------------------------


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


# --- Which destination ------------------------------------------------------------------------------------------------


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


# --- An address in the .env -------------------------------------------------------------------------------------------


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


# --- Secrets ----------------------------------------------------------------------------------------------------------


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
