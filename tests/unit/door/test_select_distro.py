"""What the wrapper command's environment becomes: our distro where the user chose none, and nothing else, ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hf_openobserve.door import select_distro

AGENT = Path(select_distro.__file__).resolve().parents[2]
BOOTSTRAP = str(AGENT / "hf_openobserve" / "bootstrap")
WRAPPER = ["/usr/local/bin/opentelemetry-instrument", "python", "app.py"]
OURS = {"OTEL_PYTHON_DISTRO": "hf_openobserve", "OTEL_PYTHON_CONFIGURATOR": "hf_openobserve"}
SEP = os.pathsep


def selected(environ, argv=WRAPPER):
    result = dict(environ)
    select_distro.select(result, argv)
    return result


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, {**OURS, "PYTHONPATH": BOOTSTRAP}, id="nothing-chosen"),
        pytest.param(
            {"PATH": "/bin", "OTEL_SERVICE_NAME": "shop"},
            {"PATH": "/bin", "OTEL_SERVICE_NAME": "shop", **OURS, "PYTHONPATH": BOOTSTRAP},
            id="the-rest-stays",
        ),
        pytest.param(
            {"OTEL_PYTHON_DISTRO": "hf_openobserve"}, {**OURS, "PYTHONPATH": BOOTSTRAP}, id="ours-chosen-by-name"
        ),
        pytest.param(
            {"OTEL_PYTHON_CONFIGURATOR": "theirs"},
            {"OTEL_PYTHON_DISTRO": "hf_openobserve", "OTEL_PYTHON_CONFIGURATOR": "theirs", "PYTHONPATH": BOOTSTRAP},
            id="another-configurator",
        ),
        pytest.param({"OTEL_PYTHON_DISTRO": "distro"}, {"OTEL_PYTHON_DISTRO": "distro"}, id="another-distro"),
        pytest.param(
            {"OTEL_PYTHON_DISTRO": "", "OTEL_PYTHON_CONFIGURATOR": ""},
            {**OURS, "PYTHONPATH": BOOTSTRAP},
            id="an-empty-choice-is-none",
        ),
        pytest.param(
            {"PYTHONPATH": f"/a{SEP}/b"}, {**OURS, "PYTHONPATH": f"{BOOTSTRAP}{SEP}/a{SEP}/b"}, id="before-the-users"
        ),
        pytest.param(
            {"PYTHONPATH": f"/a{SEP}{BOOTSTRAP}"}, {**OURS, "PYTHONPATH": f"/a{SEP}{BOOTSTRAP}"}, id="there-already"
        ),
        # An empty entry is the working directory: `PYTHONPATH=$PYTHONPATH:/app` with the first unset makes one.
        pytest.param(
            {"PYTHONPATH": f"{SEP}/app"}, {**OURS, "PYTHONPATH": f"{BOOTSTRAP}{SEP}{SEP}/app"}, id="empty-entry-kept"
        ),
        pytest.param({"PYTHONPATH": ""}, {**OURS, "PYTHONPATH": BOOTSTRAP}, id="empty-variable-is-none"),
    ],
)
def test_what_the_wrapper_hands_on(environ, expected):
    assert selected(environ) == expected


@pytest.mark.parametrize(
    ("argv", "is_the_wrapper"),
    [
        (["opentelemetry-instrument"], True),
        (["/opt/venv/bin/opentelemetry-instrument", "--service_name", "x", "python"], True),
        ([r"opentelemetry-instrument.exe"], True),
        (["opentelemetry-instrument-script.py"], True),
        (["/usr/bin/opentelemetry-bootstrap"], False),
        (["/opt/opentelemetry-instrument/bin/python"], False),
        (["app.py", "opentelemetry-instrument"], False),
        (["-c"], False),
        ([""], False),
        ([], False),
    ],
)
def test_only_the_wrapper_command_is_preselected(argv, is_the_wrapper):
    assert (selected({}, argv) != {}) is is_the_wrapper


def test_selecting_again_changes_nothing():
    once = selected({"PYTHONPATH": "/a"})
    assert selected(once) == once


def test_no_otel_name_becomes_an_option_of_the_wrapper():
    assert [name for name in vars(select_distro) if name.startswith("OTEL_")] == []


def test_an_ordinary_process_that_imports_it_keeps_its_environment():
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); before, modules = dict(os.environ), set(sys.modules); "
        "import hf_openobserve.door.select_distro; "
        "print(dict(os.environ) == before, sorted(set(sys.modules) - modules))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, str(AGENT)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "True ['hf_openobserve', 'hf_openobserve.door', 'hf_openobserve.door.select_distro']\n"
