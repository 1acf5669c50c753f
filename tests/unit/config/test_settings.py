"""Settings as tables: an environment and a ``.env`` in; values, sources and lines out."""

import os
import re
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_openobserve import config
from hf_openobserve.config import dotenv, environment_variables
from hf_openobserve.door.switches import disabled_instrumentations, is_switched_off
from hf_openobserve.process import diagnostics
from settings_cases import (
    COLLECTOR,
    CREDENTIALS,
    GENERAL,
    LOCAL,
    PASSWORD,
    SERVER,
    TOKEN,
    TRACES,
    basic,
    read,
    with_file,
)

# --- Nothing set ------------------------------------------------------------------------------------------------------


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


# --- Content, streams, exporters ---


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
    ("value", "expected"),
    [("auto", "auto"), ("ON", "on"), (" off ", "off"), ("", "auto")],
    ids=["auto", "on", "off", ""],
)
def test_stream_usage(value, expected):
    it = read({"OPENOBSERVE_HF_STREAM_USAGE": value})
    assert (it.stream_usage, it.problems) == (expected, ())


@pytest.mark.parametrize(
    ("value", "expected", "problems"), [("", "auto", 0), ("ON", "on", 0), ("off", "off", 0), ("yes", "auto", 1)]
)
def test_propagate(value, expected, problems):
    it = read({"OPENOBSERVE_HF_PROPAGATE": value})
    assert (it.propagate, len(it.problems)) == (expected, problems)


@pytest.mark.parametrize(
    ("environ", "expected", "platform", "notes"),
    [
        ({}, "exit", "", 0),
        ({"OPENOBSERVE_HF_FLUSH": "each"}, "each", "", 0),
        ({"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}, "each", "AWS_LAMBDA_RUNTIME_API", 1),
        ({"K_SERVICE": "asking", "OPENOBSERVE_HF_FLUSH": "auto"}, "each", "K_SERVICE", 1),
        ({"FUNCTIONS_WORKER_RUNTIME": "python"}, "each", "FUNCTIONS_WORKER_RUNTIME", 1),
        ({"K_SERVICE": "asking", "OPENOBSERVE_HF_FLUSH": "EXIT"}, "exit", "K_SERVICE", 0),
    ],
)
def test_flush(environ, expected, platform, notes):
    it = read(environ)
    assert (it.flush, it.platform, len(it.notes), it.problems) == (expected, platform, notes, ())


def test_a_wrong_flush_is_the_default():
    it = read({"OPENOBSERVE_HF_FLUSH": "always"})
    assert (it.flush, len(it.problems)) == ("exit", 1)


@pytest.mark.parametrize("value", ["true", "yes", "always"])
def test_a_wrong_stream_usage_is_the_default(value):
    it = read({"OPENOBSERVE_HF_STREAM_USAGE": value})
    assert it.stream_usage == "auto"
    assert it.sources["OPENOBSERVE_HF_STREAM_USAGE"] == "default"
    assert it.problems == (
        (
            f'OPENOBSERVE_HF_STREAM_USAGE is neither auto, on nor off ("{value}"); write for example auto - '
            "using the default auto."
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


# --- Switched off -----------------------------------------------------------------------------------------------------


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


# --- Secrets ----------------------------------------------------------------------------------------------------------

# Hypothesis also tries texts out of the source; a secret that the lines themselves are made of proves nothing.
SOURCES = "".join(path.read_text(encoding="utf-8") for path in Path(config.__file__).parent.glob("*.py"))
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
    "OPENOBSERVE_HF_STREAM_USAGE",
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

    monkeypatch.setattr(dotenv, "find", broken)
    it = read(SERVER)
    assert (it.enabled, it.destination) == (False, LOCAL)
    assert it.problems == ("The settings could not be read (RuntimeError) - nothing is recorded in this process.",)
    assert said == ["settings.load"]


# --- A guest in the host's process ------------------------------------------------------------------------------------


def test_reading_settings_imports_little_and_prints_nothing():
    environ = {**SERVER, **COLLECTOR, "OTEL_EXPORTER_OTLP_HEADERS": "broken,api-key=fake"}
    program = (
        "import sys; before = set(sys.modules)\n"
        "from hf_openobserve.config import settings\n"
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


@pytest.mark.parametrize("pattern", ["(", "a*", "", "x{99999999999}", "(?P<a>x)(?P<a>y)"])
def test_a_mask_that_cannot_be_used_is_said_and_ignored(pattern):
    settings = read({**SERVER, "OPENOBSERVE_HF_MASK": pattern})
    assert settings.mask == ""
    assert settings.enabled
    assert [line.split()[0] for line in settings.problems] == (["OPENOBSERVE_HF_MASK"] if pattern else [])


def test_a_mask_comes_from_the_environment_only(tmp_path):
    assert read({**SERVER, "OPENOBSERVE_HF_MASK": r"ACME-\d{6}"}).mask == r"ACME-\d{6}"
    assert with_file(tmp_path, "OPENOBSERVE_HF_MASK=(a+)+b", SERVER).mask == ""
