"""Values of the environment and of a ``.env``: what is read, where it came from, what is said of a wrong one."""

import pytest

from hf_openobserve.config import dotenv
from settings_cases import (
    FILE_PAIR,
    FILE_URL,
    LOCAL,
    SERVER,
    read,
    with_file,
)


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


# --- .env ---


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
        (
            f"{name} in {tmp_path / '.env'} is not used: a .env file may not set it; "
            "set it in the environment - using the default."
        ),
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
    line = (
        "OPENOBSERVE_HF_DOTENV names a file that cannot be used ({}: {}); "
        "write for example /srv/app/.env - no .env file is read."
    )
    missing = str(tmp_path / "missing")
    it = read({"OPENOBSERVE_HF_DOTENV": missing})
    assert it.problems == (line.format(missing, "No such file or directory"),)

    named = tmp_path / ".env"
    named.write_text(FILE_PAIR)

    def refuse(status):
        raise dotenv.Refused("it belongs to somebody")

    monkeypatch.setattr(dotenv, "_refuse_unless_trusted", refuse)
    it = read({"OPENOBSERVE_HF_DOTENV": str(named)})
    assert it.problems == (line.format(named, "it belongs to somebody"),)
    assert it.destination == LOCAL


def test_notes_of_the_search_are_handed_on(tmp_path):
    (tmp_path / ".env").mkdir()
    assert read({}, script_dir=str(tmp_path)).notes == (f"{tmp_path / '.env'} is not read: it is not a regular file.",)
