"""What OpenInference and OpenTelemetry would say in the application's log of calls that only we trace."""

from __future__ import annotations

import importlib
import logging
import sys
import types

import pytest

from hf_openobserve.process import host_log

OWNER = "openinference.instrumentation.openai"
MODULES = ("_request", "_stream", "_utils", "_with_span")


@pytest.fixture
def said(monkeypatch):
    """What a handler of the application's gets, and whether we instrument: filtered, and as before at the end."""
    for name in MODULES:
        monkeypatch.setitem(sys.modules, f"{OWNER}.{name}", types.ModuleType(name))
    loggers = [
        logging.getLogger(name) for name in ("opentelemetry.context", *(name for name in sys.modules if OWNER in name))
    ]
    before = [list(logger.filters) for logger in loggers]
    entries, ours = [], [True]

    class Handler(logging.Handler):
        def emit(self, entry):
            entries.append(entry.getMessage())

    handler = Handler()
    logging.getLogger().addHandler(handler)
    host_log.keep_clean(lambda: ours[0])
    yield types.SimpleNamespace(entries=entries, ours=ours)
    logging.getLogger().removeHandler(handler)
    for logger, filters in zip(loggers, before):
        logger.filters[:] = filters


def fail(logger):
    try:
        raise ValueError("no JSON")
    except ValueError:
        logging.getLogger(logger).exception("Failed to parse %s", "response")


@pytest.mark.parametrize("module", MODULES)
def test_of_our_own_calls_the_application_hears_nothing(module, said, capsys):
    fail(f"{OWNER}.{module}")
    assert (said.entries, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize("module", MODULES)
def test_an_application_that_instruments_itself_hears_what_it_would(module, said):
    said.ours[0] = False
    fail(f"{OWNER}.{module}")
    assert said.entries == ["Failed to parse response"]


@pytest.mark.parametrize("logger", ["openinference.instrumentation.langchain", "openinference.instrumentation", "app"])
def test_other_logs_are_nobodys_business(logger, said):
    fail(logger)
    assert said.entries == ["Failed to parse response"]


def test_it_is_debug_output(said, monkeypatch, capsys):
    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "1")
    fail(f"{OWNER}._request")
    logging.getLogger(f"{OWNER}._request").warning("odd")
    text = capsys.readouterr().err
    assert f"{OWNER}._request: Failed to parse response" in text
    assert "ValueError: no JSON" in text
    assert f"{OWNER}._request: odd\n" in text


@pytest.mark.parametrize(
    ("module", "ours", "message", "heard"),
    [
        (f"{OWNER}._request", True, "Failed to detach context", False),
        (f"{OWNER}._request", False, "Failed to detach context", True),
        (f"{OWNER}._request", True, "Failed to attach context", True),
        ("app", True, "Failed to detach context", True),
    ],
)
def test_a_context_that_openinference_leaves_too_late(module, ours, message, heard, said):
    said.ours[0] = ours
    frame = {"__name__": module, "logging": logging}
    exec(f"def leave(): logging.getLogger('opentelemetry.context').error({message!r})", frame)
    frame["leave"]()
    assert said.entries == ([message] if heard else [])


def test_the_modules_are_openinferences():
    request = pytest.importorskip(f"{OWNER}._request")
    assert request.logger is logging.getLogger(f"{OWNER}._request")
    for name in MODULES:
        importlib.import_module(f"{OWNER}.{name}")
