"""What an interpreter would find -> through which door a program comes to the agent, and what stands in the way."""

from __future__ import annotations

import pytest

from hf_openobserve.cli.doctor import doors, installation, other_tools
from hf_openobserve.cli.doctor.interpreter import Facts

PYTHON = "/venv/bin/python"
SITE = "/venv/lib/site-packages"
LOADER = f"{SITE}/opentelemetry/instrumentation/auto_instrumentation"
BOOTSTRAP = f"{SITE}/hf_openobserve/bootstrap"
OURS, LOADERS = f"{BOOTSTRAP}/sitecustomize.py", f"{LOADER}/sitecustomize.py"
THEIRS, DDTRACE = "/srv/app/sitecustomize.py", f"{SITE}/ddtrace/bootstrap/sitecustomize.py"
GROUPS = {
    "opentelemetry_distro": [("distro", "a:b"), ("hf_openobserve", "c:d")],
    "opentelemetry_configurator": [("configurator", "a:b"), ("hf_openobserve", "c:d")],
    "opentelemetry_environment_variables": [("hf_openobserve", "a")],
    "opentelemetry_instrumentor": [("openai", "openinference.instrumentation.openai:X"), ("flask", "f:F")],
}
INSTALLED = {"hf-openobserve": "0.1.0", "openai": "3.57.0", "opentelemetry-sdk": "1.45.1"}


def facts(sitecustomize=(), **more):
    given = {
        "executable": PYTHON,
        "version": (3, 11, 7),
        "sitecustomize": list(sitecustomize),
        "loader": LOADER,
        "agent": f"{SITE}/hf_openobserve",
        "distributions": INSTALLED,
        "entry_points": GROUPS,
        "conflicts": [],
        "broken": {},
    }
    return Facts(**{**given, **more})


@pytest.mark.parametrize(
    ("sitecustomize", "door"),
    [
        ([OURS], "PYTHONPATH"),
        ([OURS, THEIRS], "PYTHONPATH"),
        ([DDTRACE, OURS], "PYTHONPATH"),
        ([LOADERS, OURS], "opentelemetry-instrument"),
        ([LOADERS, THEIRS], "opentelemetry-instrument"),
    ],
)
def test_a_door(sitecustomize, door):
    assert doors.entrance(facts(sitecustomize), {}) == doors.Entrance(door)


WITHOUT_AGENT = {"entry_points": {**GROUPS, "opentelemetry_distro": [("distro", "a:b")]}}
NAMED = {"PYTHONPATH": f"/srv/app:{BOOTSTRAP}"}


@pytest.mark.parametrize(
    ("found", "environ", "flags", "sentence", "remedy"),
    [
        (facts(), {}, "", "neither door is used", "opentelemetry-instrument ..."),
        (facts(), {}, "I", "neither door is used", "opentelemetry-instrument ..."),
        (facts([THEIRS]), {}, "", "neither door is used", "opentelemetry-instrument ..."),
        (facts(), NAMED, "I", "-I makes Python ignore PYTHONPATH", "without -I"),
        (facts([THEIRS]), NAMED, "sE", "-E makes Python ignore PYTHONPATH", "without -E"),
        (facts(), NAMED, "S", "-S makes Python ignore site", "without -S"),
        (facts([THEIRS, OURS]), NAMED, "", f"{THEIRS} comes first on PYTHONPATH", "Put the agent's directory first"),
        (facts([LOADERS], loader=""), {}, "", "has no OpenTelemetry", f"{PYTHON} -m pip install hf-openobserve"),
        (facts([LOADERS], **WITHOUT_AGENT), {}, "", "has no hf-openobserve", f"{PYTHON} -m pip install"),
        (facts([LOADERS]), {"OTEL_PYTHON_DISTRO": "distro"}, "", "selects another distro", "Unset OTEL_PYTHON_DISTRO"),
        (facts([LOADERS]), {"OTEL_PYTHON_DISTRO": "typo"}, "", "no such distro is installed", "Unset"),
    ],
)
def test_an_obstacle(found, environ, flags, sentence, remedy):
    door, obstacle = doors.entrance(found, environ, flags)
    assert (door, obstacle.level, obstacle.subject) == ("", "red", "command")
    assert sentence in obstacle.sentence
    assert remedy in obstacle.remedy


@pytest.mark.parametrize(
    ("found", "environ", "level", "subject", "sentence"),
    [
        (facts(), {}, "green", "distro", "ours under opentelemetry-instrument"),
        (facts(), {}, "green", "configurator", "ours (installed: configurator, hf_openobserve)"),
        (facts(), {}, "green", "sitecustomize", "PYTHONPATH does not name the agent"),
        (facts([OURS, THEIRS]), {}, "green", "sitecustomize", f"{THEIRS} runs as well"),
        (facts([THEIRS, OURS]), {}, "red", "sitecustomize", f"{THEIRS} comes first"),
        (facts(**WITHOUT_AGENT, agent=""), {}, "red", "distro", "another distro is used there"),
        (facts([OURS], **WITHOUT_AGENT), {}, "yellow", "distro", "is found, and is not installed"),
        (facts([OURS]), {"OTEL_PYTHON_DISTRO": "distro"}, "yellow", "distro", "selects another distro"),
        (facts(), {"OTEL_PYTHON_CONFIGURATOR": "configurator"}, "yellow", "configurator", "a pipeline of its own"),
        (facts(), {}, "green", "instrumentors", "openai, huggingface_hub, litellm by the agent; flask as installed"),
        (
            facts(),
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, openai"},
            "yellow",
            "instrumentors",
            "huggingface_hub, litellm by the agent; none as installed",
        ),
    ],
)
def test_who_wins(found, environ, level, subject, sentence):
    lines = {(line.level, line.subject): line.sentence for line in doors.check(found, environ)}
    assert sentence in lines.get((level, subject), ""), lines


def test_the_wrapper_hands_its_selection_on_unless_the_user_has_one():
    entries = f"{LOADER}:/srv/app:{BOOTSTRAP}:/lib"
    ours = {"OTEL_PYTHON_DISTRO": "hf_openobserve", "OTEL_PYTHON_CONFIGURATOR": "hf_openobserve"}
    assert doors.preselected({"PYTHONPATH": "/lib"}, facts(), "/srv/app") == {"PYTHONPATH": entries, **ours}
    asked = {"OTEL_PYTHON_DISTRO": "distro"}
    assert doors.preselected(asked, facts(), "/srv/app") == {"PYTHONPATH": f"{LOADER}:/srv/app", **asked}
    stock = facts(entry_points={})
    assert doors.preselected({}, stock, "/srv/app") == {"PYTHONPATH": f"{LOADER}:/srv/app"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (facts(), []),
        (facts(agent="", entry_points={}), [("red", "hf-openobserve", "is not there", f"{PYTHON} -m pip install")]),
        (
            facts(
                conflicts=["requests is not installed, >=2.25 is needed", "wrapt 1 is installed, <3,>=2 is needed"],
                broken={"requests": "ModuleNotFoundError: No module named 'requests'", "dotenv": "OSError: x"},
            ),
            [
                ("red", "requests", "is not installed", "pip install 'requests>=2.25'"),
                ("red", "wrapt", "wrapt 1 is installed", "pip install 'wrapt<3,>=2'"),
                ("red", "dotenv", "dotenv cannot be imported (OSError: x)", "--force-reinstall dotenv"),
            ],
        ),
        (
            facts(broken={"opentelemetry.sdk.trace": "ImportError: x", "hf_openobserve.a": "ImportError: x"}),
            [("red", "opentelemetry", "opentelemetry.sdk.trace cannot", "--force-reinstall hf-openobserve")],
        ),
        (facts(distributions={"openai": "1.65.9"}), [("red", "openai", "1.65.9 is too old", "'openai>=1.66'")]),
        (facts(distributions={"openai": "4.0.0"}), [("yellow", "openai", "newer than what was tested", "rows")]),
        (facts(distributions={"huggingface-hub": "0.29.3"}), [("red", "huggingface-hub", "too old", ">=0.30'")]),
        (facts(distributions={"litellm": "2.0"}), []),
        (facts(distributions={}), [("yellow", "clients", "none of openai", "Install what you call")]),
    ],
)
def test_the_installation(found, expected):
    bad = [line for line in installation.check(found) if line.level != "green"]
    assert [(line.level, line.subject) for line in bad] == [line[:2] for line in expected]
    for line, (_, _, sentence, remedy) in zip(bad, expected):
        assert sentence in line.sentence
        assert remedy in line.remedy


@pytest.mark.parametrize(
    ("distribution", "level", "sentence"),
    [
        ("logfire", "yellow", "these calls have no row"),
        ("sentry-sdk", "green", "the row stays the agent's"),
        ("ddtrace", "green", "its sitecustomize runs ours as well"),
        ("traceloop-sdk", "green", "its instrumentation makes the row"),
        ("openobserve-telemetry-sdk", "green", "it delivers the row itself"),
        ("openobserve-python-sdk", "green", "it delivers the row itself"),
    ],
)
def test_other_tools(distribution, level, sentence):
    (line, row) = other_tools.check(facts(distributions={distribution: "5.4.0"}))
    assert line.level == level
    assert line.sentence.startswith("5.4.0: ")
    assert sentence in line.sentence
    assert row.subject == "row"
    if level == "yellow":
        assert "suppress_other_instrumentation=False" in line.remedy


def test_of_several_instrumentors_of_openai_one_is_loaded():
    two = [*GROUPS["opentelemetry_instrumentor"], ("openai", "opentelemetry.instrumentation.openai_v2:Y")]
    lines = list(other_tools.check(facts(entry_points={"opentelemetry_instrumentor": two})))
    assert [line.subject for line in lines] == ["openai's instrumentors", "row"]
    assert "opentelemetry.instrumentation.openai_v2: under the agent's distro ours alone is loaded" in lines[0].sentence
