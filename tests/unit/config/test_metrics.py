"""Metrics, as tables: variables in; whether, where to, how often and as what out."""

import pytest

from settings_cases import COLLECTOR, GENERAL, SERVER, TOKEN, TRACES, read

MODE, EXPORTER = "OPENOBSERVE_HF_METRICS", "OTEL_METRICS_EXPORTER"
OWN = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
OF_SERVER = "https://o2.example/api/default/v1/metrics"


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({MODE: "on"}, None),
        (SERVER, OF_SERVER),
        ({**SERVER, OWN: "http://other.example/x"}, OF_SERVER),
        ({**SERVER, "OPENOBSERVE_ORG": "team", "OPENOBSERVE_URL": "https://o2.example/base/"},
         "https://o2.example/base/api/team/v1/metrics"),
        ({**SERVER, MODE: "off"}, None),
        ({**SERVER, EXPORTER: "none"}, None),
        ({**SERVER, EXPORTER: "otlp"}, OF_SERVER),
        ({**SERVER, EXPORTER: "none", MODE: "on"}, OF_SERVER),
        ({**SERVER, EXPORTER: "none", MODE: "legacy"}, OF_SERVER),
        (COLLECTOR, "http://c.example:4318/v1/metrics"),
        ({GENERAL: "https://c.example/otlp/?key=1"}, "https://c.example/otlp/v1/metrics?key=1"),
        ({**COLLECTOR, OWN: "http://m.example/own"}, "http://m.example/own"),
        ({TRACES: "http://c.example/v1/traces"}, None),
        ({TRACES: "http://c.example/v1/traces", MODE: "on"}, "http://c.example/v1/metrics"),
        ({TRACES: "http://c.example/custom", MODE: "on"}, None),
        ({TRACES: "http://c.example/v1/traces", OWN: "http://m.example/v1/metrics"}, "http://m.example/v1/metrics"),
    ],
)  # fmt: skip
def test_whether_and_where_to(environ, endpoint):
    it = read(environ)
    assert it.problems == ()
    assert (it.metrics and it.metrics.destination.endpoint) == endpoint
    if endpoint:
        assert it.metrics.destination.identity == it.destination.identity, "they wait in the same directory"


def test_the_credentials_go_along_and_the_name_of_the_traces_stream_does_not():
    destination = read(SERVER).metrics.destination
    assert dict(destination.headers) == {"Authorization": TOKEN}
    assert destination.base_url == ""


def test_headers_of_the_traces_go_to_no_other_address():
    headers = {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=Bearer%20of-the-traces-alone"}
    it = read({TRACES: "http://c.example/v1/traces", OWN: "http://m.example/v1/metrics", **headers})
    assert dict(it.metrics.destination.headers) == {}
    own = {"OTEL_EXPORTER_OTLP_METRICS_HEADERS": "x-key=of-the-metrics"}
    assert dict(read({**COLLECTOR, **headers, **own}).metrics.destination.headers) == {"x-key": "of-the-metrics"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (False, False, False, 60.0)),
        ({MODE: "on"}, (True, False, False, 60.0)),
        ({MODE: "LEGACY"}, (True, True, False, 60.0)),
        ({TEMPORALITY: "Delta"}, (False, False, True, 60.0)),
        ({TEMPORALITY: "lowmemory"}, (False, False, True, 60.0)),
        ({TEMPORALITY: "cumulative"}, (False, False, False, 60.0)),
        ({INTERVAL: "5000"}, (False, False, False, 5.0)),
        ({INTERVAL: "1"}, (False, False, False, 1.0)),
    ],
)
def test_how(more, expected):
    assert read({**SERVER, **more}).metrics[1:] == expected


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        (MODE, "yes", 'is neither auto, on, off nor legacy ("yes"); write for example auto - using the default auto.'),
        (
            TEMPORALITY,
            "sum",
            (
                'is neither cumulative, delta nor lowmemory ("sum"); write for example cumulative - '
                "using the default cumulative."
            ),
        ),
        (
            INTERVAL,
            "1m",
            'is not a number of milliseconds above 0 ("1m"); write for example 60000 - using the default 60000.',
        ),
    ],
)
def test_what_is_wrong_is_said(name, value, line):
    it = read({**SERVER, name: value})
    assert it.problems == (f"{name} {line}",)
    assert it.metrics[1:] == (False, False, False, 60.0)
