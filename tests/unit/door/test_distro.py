"""The configurator of the wrapper's door: who configures the SDK, by what the user has asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hf_openobserve.door import distro


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


# Other instrumentors.


def test_of_several_packages_that_instrument_openai_none_but_ours_is_loaded(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        distro.BaseDistro, "load_instrumentor", lambda _self, entry_point, **_: loaded.append(entry_point)
    )
    monkeypatch.setattr(distro.watch_imports.door, "name", "wrapper")
    entry_points = [SimpleNamespace(name=name) for name in ("openai", "flask", "openai", "huggingface_hub", "openai")]
    for entry_point in entry_points:
        distro.OpenObserveDistro().load_instrumentor(entry_point)
    assert loaded == [entry_points[1]]
