"""The agent's directory of packages: its name, and how it comes onto ``sys.path`` and goes again."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from hf_openobserve.process import dependencies


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A bundle with one package and a namespace for this Python."""
    root = tmp_path / dependencies.BUNDLE
    directory = root / dependencies.tag()
    for name in ("brought_along", "of_nobody/inner"):
        (directory / name).mkdir(parents=True)
        (directory / name / "__init__.py").write_text("")
    monkeypatch.setattr(dependencies, "root", lambda: str(root))
    monkeypatch.setattr(dependencies, "reached", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield str(directory)
    dependencies.leave()


def fail(error):
    def confstr(name):
        raise error

    return confstr


@pytest.mark.parametrize(
    ("confstr", "libc"),
    [
        (lambda name: "glibc 2.36", "manylinux"),
        (lambda name: None, "musllinux"),
        (fail(ValueError("unrecognized configuration name")), "musllinux"),
        (fail(OSError(22, "Invalid argument")), "musllinux"),
    ],
)
def test_the_tag_says_which_libc(monkeypatch, confstr, libc):
    monkeypatch.setattr(os, "confstr", confstr)
    assert dependencies.tag().split("-")[1:] == [libc, os.uname().machine]


def test_the_tag_says_whether_it_is_free_threaded(monkeypatch):
    minor = "cp{}{}".format(*sys.version_info[:2])
    monkeypatch.setattr(sys, "abiflags", "")
    assert dependencies.tag().split("-")[0] == minor
    monkeypatch.setattr(sys, "abiflags", "t")
    assert dependencies.tag().split("-")[0] == minor + "t"


def test_it_is_appended_last_and_once(own):
    before = list(sys.path)
    dependencies.reach()
    dependencies.reach()
    assert sys.path == [*before, own]


def test_older_parts_stand_before_it(own):
    (earlier,) = [os.path.join(os.path.dirname(own), dependencies.EARLIER)]
    assert dependencies.sets() == [(own,)]
    os.mkdir(earlier)
    before = list(sys.path)
    dependencies.reach()
    assert dependencies.sets() == [(own,), (earlier, own)]
    dependencies.reach((earlier, own))
    assert sys.path == [*before, earlier, own]


def test_nothing_of_it_stays(own):
    path, modules = list(sys.path), set(sys.modules)
    dependencies.reach()
    assert importlib.import_module("brought_along").__file__.startswith(own)
    importlib.import_module("of_nobody.inner")
    dependencies.leave()
    assert sys.path == path
    assert set(sys.modules) == modules


def test_what_pip_has_installed_is_on_the_path_already(monkeypatch):
    monkeypatch.setattr(dependencies, "reached", [])
    before = list(sys.path)
    dependencies.reach()
    assert sys.path == before
    assert not dependencies.is_bundle()
    assert not dependencies.is_absent()
    dependencies.leave()
    assert sys.path == before
