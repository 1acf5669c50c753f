"""The one line that says which package, which version and which range keep the agent from working (docs/laws.md#6)."""

from __future__ import annotations

import importlib.metadata
import sys
import types

import packaging.requirements  # noqa: F401 - imported before sys.path is taken away
import pytest

from hf_openobserve.process import conflicts, dependencies


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


# A program's packages beside those of the agent's directory

NEEDS = {
    "hf-openobserve 0.1.0": [
        "click>=8.0",
        "openinference-instrumentation-openai>=0.1.18",
        "opentelemetry-api>=1.30.0",
        "opentelemetry-distro>=0.51b0",
        "opentelemetry-instrumentation>=0.51b0",
        "opentelemetry-sdk>=1.30.0",
        "python-dotenv>=1.0",
        "requests>=2.25",
    ],
    "openinference-instrumentation-openai 0.1.66": ["openinference-instrumentation>=0.1.71", "wrapt>=1.0", "anyio"],
    "openinference-instrumentation 0.1.72": ["opentelemetry-api", "opentelemetry-sdk", "wrapt", "typing-extensions"],
    "opentelemetry-api 1.45.2": ["typing-extensions>=4.5.0"],
    "opentelemetry-sdk 1.45.2": ["opentelemetry-api==1.45.2", "opentelemetry-semantic-conventions==0.66b2"],
    "opentelemetry-semantic-conventions 0.66b2": ["opentelemetry-api==1.45.2"],
    "opentelemetry-instrumentation 0.66b2": [
        "opentelemetry-api~=1.4",
        "opentelemetry-semantic-conventions==0.66b2",
        "wrapt<3.0.0,>=1.0.0",
        "packaging>=18.0",
    ],
    "packaging 26.4": [],
    "requests 2.34.2": ["urllib3<3,>=1.26", "idna<4,>=2.5", "PySocks!=1.5.7; extra == 'socks'"],
    "typing-extensions 4.16.0": [],
    "urllib3 2.8.0": [],
    "wrapt 2.5.2": [],
}
"""As a bundle has them for Python 3.10 and newer. ``anyio`` and ``idna`` are not in this one."""
EARLIER = {
    "opentelemetry-sdk 1.33.1": ["opentelemetry-api==1.33.1", "opentelemetry-semantic-conventions==0.54b1"],
    "opentelemetry-semantic-conventions 0.54b1": ["opentelemetry-api==1.33.1"],
    "opentelemetry-instrumentation 0.54b1": ["opentelemetry-semantic-conventions==0.54b1", "wrapt<2.0.0,>=1.0.0"],
}


def write(directory, packages):
    directory.mkdir()
    for package, requires in packages.items():
        name, version = package.split()
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join([*lines, "", "Version: 0 of the description", ""]))
    return str(directory)


@pytest.fixture
def decide(tmp_path, monkeypatch):
    """``decide("wrapt 1.17.3", ...)``: which parts are used beside a program with these, and what is in the way."""
    for name in list(sys.modules):
        if name.partition(".")[0] in (
            "opentelemetry",
            "openinference",
            "wrapt",
            "requests",
            "typing_extensions",
            "urllib3",
        ):
            monkeypatch.delitem(sys.modules, name)  # else what these tests have imported counts
    own, earlier = write(tmp_path / "own", NEEDS), write(tmp_path / "earlier", EARLIER)
    monkeypatch.setattr(dependencies, "sets", lambda: [(own,), (earlier, own)])
    monkeypatch.setattr(dependencies, "is_bundle", lambda: True)
    monkeypatch.setattr(dependencies, "root", lambda: str(tmp_path))
    importlib.invalidate_caches()

    def decided(*program, requires=None):
        path = write(tmp_path / "program", dict.fromkeys(program, ()) if requires is None else requires)
        monkeypatch.setattr(sys, "path", [path, own])
        monkeypatch.setattr(dependencies, "reached", [own])
        directories, conflicts_found = conflicts.choose()
        if conflicts_found:
            return str(conflicts_found[0])
        return "earlier" if earlier in directories else "newest"

    return decided


@pytest.mark.parametrize(
    ("program", "decision"),
    [
        ([], "newest"),
        (["openai 0.28.1"], "newest"),
        (["openai 1.66.5", "pydantic 1.10.21", "anyio 3.0"], "newest"),
        (["openai 3.54.0", "pydantic 2.13.0"], "newest"),
        (["protobuf 3.20.3"], "newest"),
        (["requests 2.25.1", "urllib3 1.26.20"], "newest"),
        (["urllib3 1.26.20"], "newest"),
        (["urllib3 1.25.9"], "urllib3 1.25.9 is installed, <3,>=1.26 is needed"),
        (["requests 2.24.0"], "requests 2.24.0 is installed, >=2.25 is needed"),
        (["typing-extensions 4.0.1"], "typing-extensions 4.0.1 is installed, >=4.5.0 is needed"),
        (["wrapt 1.17.3"], "newest"),
        (["wrapt 2.0.0"], "newest"),
        (["wrapt 3.0.0"], "wrapt 3.0.0 is installed, <3.0.0,>=1.0.0 is needed"),
        (["click 7.0", "rich 9.0", "python-dotenv 0.10.0", "opentelemetry-distro 0.40b0"], "newest"),
        # OpenTelemetry as one whole: an SDK with its API and conventions, the agent's parts beside them.
        (
            ["opentelemetry-api 1.20.0", "opentelemetry-sdk 1.20.0", "opentelemetry-semantic-conventions 0.41b0"],
            "opentelemetry-api 1.20.0 is installed, >=1.30.0 is needed",
        ),
        (
            ["opentelemetry-api 1.30.0", "opentelemetry-sdk 1.30.0", "opentelemetry-semantic-conventions 0.51b0"],
            "earlier",
        ),
        (
            ["opentelemetry-api 1.33.1", "opentelemetry-sdk 1.33.1", "opentelemetry-semantic-conventions 0.54b1"],
            "newest",
        ),
        (
            ["opentelemetry-api 1.45.2", "opentelemetry-sdk 1.45.2", "opentelemetry-semantic-conventions 0.66b2"],
            "newest",
        ),
        (
            ["opentelemetry-api 1.99.0", "opentelemetry-sdk 1.99.0", "opentelemetry-semantic-conventions 0.99b0"],
            "newest",
        ),
        # An API alone, or with the instrumentors' conventions: the SDK that goes with it.
        (["opentelemetry-api 1.29.0"], "opentelemetry-api 1.29.0 is installed, >=1.30.0 is needed"),
        (["opentelemetry-api 1.30.0"], "earlier"),
        (["opentelemetry-api 1.42.1"], "earlier"),
        (["opentelemetry-api 1.43.0"], "newest"),
        (["opentelemetry-api 1.45.2"], "newest"),
        (
            [
                "opentelemetry-api 1.33.1",
                "opentelemetry-instrumentation 0.54b1",
                "opentelemetry-semantic-conventions 0.54b1",
            ],
            "earlier",
        ),
        (["opentelemetry-semantic-conventions 0.51b0"], "earlier"),
        (
            ["openinference-instrumentation 0.1.27"],
            "openinference-instrumentation 0.1.27 is installed, >=0.1.71 is needed",
        ),
        # It names an argument of wrapt's that wrapt 2 calls otherwise.
        (
            ["openinference-instrumentation-openai 0.1.18", "openinference-instrumentation 0.1.72"],
            "wrapt 2.5.2 is installed, <2,>=1.0 is needed",
        ),
        (
            ["openinference-instrumentation-openai 0.1.18", "openinference-instrumentation 0.1.72", "wrapt 1.17.3"],
            "newest",
        ),
    ],
)
def test_the_programs_packages_are_used_where_they_are_in_range(decide, program, decision):
    assert decide(*program) == decision


def test_what_two_packages_of_the_programs_think_of_each_other_is_its_own_affair(decide):
    assert decide(requires={"requests 2.30.0": ["urllib3<2"], "urllib3 2.8.0": []}) == "newest"


def test_what_is_imported_counts_wherever_the_path_leads(decide, tmp_path, monkeypatch):
    elsewhere = write(tmp_path / "elsewhere", {"typing-extensions 4.0.1": []})
    module = types.ModuleType("typing_extensions")
    module.__file__ = f"{elsewhere}/typing_extensions.py"
    monkeypatch.setitem(sys.modules, "typing_extensions", module)
    assert decide("typing-extensions 4.16.0") == "typing-extensions 4.0.1 is installed, >=4.5.0 is needed"


def test_an_imported_module_without_a_version_is_tried(decide, tmp_path, monkeypatch):
    module = types.ModuleType("wrapt")
    module.__file__ = str(tmp_path / "vendored" / "wrapt" / "__init__.py")
    monkeypatch.setitem(sys.modules, "wrapt", module)
    assert decide() == "newest"
    module.__version__ = "3.1"
    assert conflicts.explain() == "wrapt 3.1 is installed, <3.0.0,>=1.0.0 is needed"


def test_a_directory_for_another_python_lacks_everything(decide, tmp_path, monkeypatch):
    """As in a bundle that was not built for this one: the agent's requirements stand beside it."""
    import shutil

    for entry in (tmp_path / "own").iterdir():
        if not entry.name.startswith("hf_openobserve"):
            shutil.rmtree(entry)
    assert decide() == "openinference-instrumentation-openai is not installed, >=0.1.18 is needed"


def test_damaged_metadata_counts_as_none(decide, tmp_path):
    assert decide("wrapt 1.17.3") == "newest"
    (tmp_path / "program" / "wrapt-1.17.3.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    importlib.invalidate_caches()
    assert conflicts.explain() is None


@pytest.mark.parametrize(
    ("version", "requires"),
    [("2.0.0-of-our-own", []), ("1.17.3", ["not a requirement (at all"]), ("1.17.3", ["six; python_version in 'x'"])],
)
def test_what_no_rule_can_read_is_tried(decide, version, requires):
    assert decide(requires={f"wrapt {version}": requires}) == "newest"
