"""A Collector, as tables: OTLP variables in; endpoint, headers, options and lines out."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_openobserve.config.destination import Destination
from settings_cases import (
    COLLECTOR,
    GENERAL,
    TRACES,
    basic,
    read,
)


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
def test_endpoints(environ, endpoint):
    it = read(environ)
    assert (it.enabled, it.problems) == (True, ())
    assert it.destination == Destination("otlp", endpoint=endpoint, timeout_s=10.0, identity=it.destination.identity)
    assert it.destination.base_url == ""


def test_a_whole_url_as_the_general_endpoint_is_not_doubled():
    it = read({GENERAL: "http://c.example:4318/v1/traces"})
    assert it.destination.endpoint == "http://c.example:4318/v1/traces"
    assert len(it.problems) == 1
    assert it.problems[0].startswith("OTEL_EXPORTER_OTLP_ENDPOINT ends in /v1/traces, which is added to it; ")


PORT_OF_GRPC = "names port 4317, where a collector speaks gRPC, and the agent speaks HTTP"
PASSWORD_CUT = 'has an "@" behind its host; a password\'s "/", "?" and "#" are written %2F, %3F and %23'
EXAMPLE = "http://localhost:4318"
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@pytest.mark.parametrize(
    ("name", "url", "more", "what", "example"),
    [
        (GENERAL, "c.example:4318", {}, 'has no scheme ("c.example:4318")', EXAMPLE),
        (TRACES, "c.example:4318", {}, 'has no scheme ("c.example:4318")', EXAMPLE + "/v1/traces"),
        (GENERAL, "unix:///var/run/otlp", {}, "has a scheme that is neither http nor https", EXAMPLE),
        (GENERAL, "http://nobody:12345/not-a-path@c.example", {}, PASSWORD_CUT, EXAMPLE),
        (
            GENERAL,
            "http://c.example:4317",
            GRPC,
            PORT_OF_GRPC,
            f"{EXAMPLE} and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        (
            GENERAL,
            "http://c.example:4317/",
            {},
            PORT_OF_GRPC,
            f"{EXAMPLE} and OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        (
            TRACES,
            "c.example:4317",
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            PORT_OF_GRPC,
            f"{EXAMPLE}/v1/traces and OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
        ),
    ],
)
def test_endpoints_that_cannot_be_used_keep_spans_here(name, url, more, what, example):
    it = read({name: url, **more})
    kept = "spans are kept on disk, unsent, until it is corrected."
    assert it.problems == (f"{name} {what}; write for example {example} - {kept}",)
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
    ],
)
def test_options(environ, expected):
    it = read({**COLLECTOR, **environ})
    assert it.problems == ()
    usual = {"timeout_s": 10.0, "gzip": True}
    assert {name: getattr(it.destination, name) for name in usual} == {**usual, **expected}


NO_SECONDS = "is not a number of seconds above 0 to 86400"
NO_HEADER = (
    "has an entry that is not name=value in characters a header can carry; "
    "write for example authorization=Basic%20<base64> - that entry is left out."
)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TIMEOUT", "fast", NO_SECONDS + ' ("fast"); write for example 10 - using the default 10.'),
        ("TRACES_TIMEOUT", "0", NO_SECONDS + ' ("0"); write for example 10 - using the default 10.'),
        ("COMPRESSION", "zstd", 'is neither gzip nor none ("zstd"); write for example gzip - using gzip.'),
        ("HEADERS", "secret-without-a-name,api-key=fake,c2VjcmV0LXdpdGhvdXQtYS1uYW1l==", NO_HEADER),
        ("TRACES_HEADERS", "api-key=fake%0D%0Ax-other:1", NO_HEADER),
    ],
)
def test_wrong_options(name, value, line):
    name = f"OTEL_EXPORTER_OTLP_{name}"
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
def test_headers(environ, headers):
    it = read({**COLLECTOR, **environ})
    assert it.problems == ()
    assert it.destination.headers == headers
    assert "@" not in it.destination.endpoint


@given(text=st.text(alphabet=string.ascii_letters + string.digits + ' \t=,;%-_.:/"\\+{}\x7f\u00e4', max_size=40))
def test_headers_are_read_as_the_sdk_reads_them(text):
    from opentelemetry.util.re import parse_env_headers

    expected = {
        name: value
        for name, value in parse_env_headers(text.strip(), liberal=True).items()
        if re.fullmatch(r"[!-~]+", name) and re.fullmatch(r"[ -~]*", value) and value.strip("=")
    }
    # One pair of quotes around the whole is ours to take away, and the SDK refuses it.
    if text.strip()[:1] != '"':
        assert read({**COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": text}).destination.headers == expected
