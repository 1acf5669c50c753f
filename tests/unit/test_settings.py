"""Settings as tables: an environment and a ``.env`` in; values, sources and lines out. For the destination see its own."""

import inspect
import os
import re
import string
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_openobserve import destination, diagnostics, dotenv_file, environment_variables
from hf_openobserve import settings as settings_module
from hf_openobserve.switches import disabled_instrumentations, is_switched_off
from settings_cases import (
    COLLECTOR,
    CREDENTIALS,
    FILE_PAIR,
    FILE_URL,
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


@pytest.fixture(autouse=True)
def _nothing_is_swallowed(monkeypatch):
    def fail(where):
        raise AssertionError(where)

    monkeypatch.setattr(diagnostics, "swallowed", fail)


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


# --- Numbers, booleans, content ---------------------------------------------------------------------------------------


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
    ("value", "expected"),
    [("auto", "auto"), ("ON", "on"), (" off ", "off"), ("", "auto")],
    ids=["auto", "on", "off", ""],
)
def test_stream_usage(value, expected):
    it = read({"OPENOBSERVE_HF_STREAM_USAGE": value})
    assert (it.stream_usage, it.problems) == (expected, ())


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


# --- .env -------------------------------------------------------------------------------------------------------------


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


# --- Secrets ----------------------------------------------------------------------------------------------------------

# Hypothesis also tries texts out of the source; a secret that the lines themselves are made of proves nothing.
SOURCES = "".join(inspect.getsource(module) for module in (settings_module, destination, environment_variables))
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

    monkeypatch.setattr(dotenv_file, "find", broken)
    it = read(SERVER)
    assert (it.enabled, it.destination) == (False, LOCAL)
    assert it.problems == ("The settings could not be read (RuntimeError) - nothing is recorded in this process.",)
    assert said == ["settings.load"]


# --- A guest in the host's process ------------------------------------------------------------------------------------


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
