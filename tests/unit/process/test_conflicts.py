"""The one line that says which package, which version and which range keep the agent from working (docs/laws.md#6)."""

from __future__ import annotations

import importlib.metadata
import sys

import packaging.requirements  # noqa: F401 - imported before sys.path is taken away
import pytest

from hf_openobserve.process import conflicts


@pytest.fixture
def install(tmp_path, monkeypatch):
    """An environment of its own: ``install("name", "1.0", requires=[...])``; nothing else is installed in it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def install(name, version, requires=()):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join([*lines, "", ""]))
        importlib.invalidate_caches()

    return install


@pytest.mark.parametrize(
    ("requires", "explanation"),
    [
        pytest.param([], None, id="nothing-needed"),
        pytest.param(["alpha>=1.0"], None, id="in-range"),
        pytest.param(["alpha"], None, id="no-range"),
        pytest.param(["alpha>=2.0"], "alpha 1.5 is installed, >=2.0 is needed", id="too-old"),
        pytest.param(["alpha<1.0"], "alpha 1.5 is installed, <1.0 is needed", id="too-new"),
        pytest.param(["beta>=0.50b0"], None, id="a-prerelease-counts"),
        pytest.param(["beta>=0.60b0"], "beta 0.51b0 is installed, >=0.60b0 is needed", id="an-older-prerelease"),
        pytest.param(["gamma>=3"], "gamma is not installed, >=3 is needed", id="missing"),
        pytest.param(["gamma"], "gamma is not installed, any version is needed", id="missing-without-a-range"),
        pytest.param(["alpha>=1", "beta>=1", "gamma>=3"], "beta 0.51b0 is installed, >=1 is needed", id="first-one"),
        pytest.param(["alpha>=9; python_version < '3'"], None, id="another-python"),
        pytest.param(["alpha>=9; python_version >= '3'"], "alpha 1.5 is installed, >=9 is needed", id="this-python"),
        pytest.param(["gamma>=3; extra == 'demo'"], None, id="an-extra-is-not-needed"),
        pytest.param(["dashed-name>=2"], "dashed-name 1.0 is installed, >=2 is needed", id="dashes"),
    ],
)
def test_what_is_said(install, requires, explanation):
    install("hf-openobserve", "9.9", requires)
    install("alpha", "1.5")
    install("beta", "0.51b0")
    install("dashed-name", "1.0")
    assert conflicts.explain() == explanation


def test_a_copy_that_is_not_installed_has_no_ranges_to_compare(install):
    install("alpha", "1.5")
    assert conflicts.explain() is None


def test_the_environment_of_these_tests_is_in_range():
    assert conflicts.explain() is None
