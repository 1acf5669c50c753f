"""The configurator of the wrapper's door: who configures the SDK, by what the user has asked for."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from types import SimpleNamespace

import pytest

from hf_openobserve import distro


class Theirs:
    configured = 0

    def configure(self, **kwargs):
        assert kwargs == {"auto_instrumentation_version": "1"}
        type(self).configured += 1


@pytest.mark.parametrize(
    ("environ", "theirs"),
    [
        ({}, 0),
        ({"OTEL_PYTHON_DISTRO": "hf_openobserve", "OTEL_PYTHON_CONFIGURATOR": "hf_openobserve"}, 0),
        # `--distro distro` of the wrapper command: our preselection was there first.
        ({"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "hf_openobserve"}, 1),
        # Ours is the first that the loader finds.
        ({"OTEL_PYTHON_DISTRO": "distro"}, 1),
    ],
    ids=["nothing-chosen", "ours", "another-by-option", "another-by-variable"],
)
def test_another_distro_is_configured_by_its_own(monkeypatch, environ, theirs):
    for name in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = [
        SimpleNamespace(name=distro.NAME, load=lambda: distro.OpenObserveConfigurator),
        SimpleNamespace(name="configurator", load=lambda: Theirs),
    ]
    monkeypatch.setattr(distro.entry_points, "in_group", lambda _: found)
    monkeypatch.setattr(Theirs, "configured", 0)
    distro.OpenObserveConfigurator().configure(auto_instrumentation_version="1")
    assert Theirs.configured == theirs


# Other instrumentors: loaded when their library is imported, if their metadata tells which that is, else at once.


class Installed:
    """A distribution, as ``importlib.metadata`` shows it."""

    def __init__(self, *files, requires=None):
        self.files = [importlib.metadata.PackagePath(file) for file in files]
        self.requires = requires


INSTALLED = {
    "flask": Installed("flask/__init__.py", "flask/app.py", "flask-1.0.dist-info/METADATA"),
    "several": Installed("one/__init__.py", "two.py", "two_native.so", "several-1.0.dist-info/METADATA"),
    "google-x": Installed("google/x/__init__.py"),
}


def instrumentor(*requires):
    return SimpleNamespace(name="other", dist=Installed(requires=list(requires) or None))


@pytest.mark.parametrize(
    ("entry_point", "modules"),
    [
        (instrumentor('flask>=1.0; extra == "instruments"', "wrapt"), ["flask"]),
        (instrumentor("several ; extra == 'instruments-any'", 'flask >=1; extra == "instruments-any"'), None),
        (instrumentor('absent>=1; extra == "instruments"'), []),
        (instrumentor('google-x; extra == "instruments"'), []),
        (instrumentor('flask; extra == "test"'), []),
        (instrumentor(), []),
        (SimpleNamespace(name="other"), []),
    ],
    ids=[
        "one",
        "any-of-several",
        "not-installed",
        "in-a-namespace",
        "no-extra-of-ours",
        "no-requirements",
        "no-metadata",
    ],
)
def test_the_library_of_an_instrumentor(monkeypatch, entry_point, modules):
    def installed(name):
        if name not in INSTALLED:
            raise importlib.metadata.PackageNotFoundError(name)
        return INSTALLED[name]

    monkeypatch.setattr(importlib.metadata, "distribution", installed)
    expected = ["one", "two", "two_native", "flask"] if modules is None else modules
    assert distro._instrumented_modules(entry_point) == expected


@pytest.fixture
def loaded(monkeypatch):
    """Whose instrumentors the base class has loaded. Those named ``broken`` raise."""
    names = []

    def load_instrumentor(_self, entry_point, **_):
        if entry_point.name == "broken":
            raise RuntimeError("its library is too old")
        names.append(entry_point.name)

    monkeypatch.setattr(distro.BaseDistro, "load_instrumentor", load_instrumentor)
    monkeypatch.setattr(distro.arm, "door", "wrapper")
    monkeypatch.setattr(distro.trigger, "_callbacks", {})
    monkeypatch.setattr(distro.trigger, "_finder", None)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    return names


def arrive(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(__name__=name))
    distro.trigger._fire(name)


def test_an_instrumentor_waits_for_its_library_or_for_nothing(monkeypatch, loaded):
    known = {"waits": ["a_library", "another"], "does-not": []}
    monkeypatch.setattr(distro, "_instrumented_modules", lambda entry_point: known[entry_point.name])
    for name in known:
        distro.OpenObserveDistro().load_instrumentor(SimpleNamespace(name=name))
    assert loaded == ["does-not"]
    arrive(monkeypatch, "another")
    arrive(monkeypatch, "a_library")
    assert loaded == ["does-not", "waits"], "once, though two modules stand for its library"


def test_of_several_packages_that_instrument_openai_none_but_ours_is_loaded(loaded):
    for _ in range(3):
        distro.OpenObserveDistro().load_instrumentor(SimpleNamespace(name="openai", dist=Installed()))
    assert loaded == []


def test_an_instrumentor_that_fails_later_is_said_as_the_loader_says_it(monkeypatch, loaded, caplog):
    monkeypatch.setattr(distro, "_instrumented_modules", lambda _: ["a_library"])
    distro.OpenObserveDistro().load_instrumentor(SimpleNamespace(name="broken"))
    with caplog.at_level(logging.ERROR):
        arrive(monkeypatch, "a_library")
    (entry,) = caplog.records
    assert (entry.name, entry.getMessage()) == (distro._LOADER, "Instrumenting of broken failed")
    assert "too old" in str(entry.exc_info[1])
