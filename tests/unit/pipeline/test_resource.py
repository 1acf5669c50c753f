"""Who a process says it is: never ``unknown_service``, and never the name of Python's own machinery."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource

import harness
from hf_openobserve import __version__
from hf_openobserve.pipeline import resource

AGENT = Path(resource.__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("argv", "spec", "name"),
    [
        (["/srv/app/chat.py"], None, "chat"),
        (["chat.py", "--flag", "other.py"], None, "chat"),
        (["./my.service.py"], None, "my.service"),
        (["/usr/local/bin/gunicorn", "app:app"], None, "gunicorn"),
        (["/opt/app.pyz"], None, "app.pyz"),
        (["/site-packages/uvicorn/__main__.py"], "uvicorn.__main__", "uvicorn"),
        (["/app/pkg/tasks/run.py"], "pkg.tasks.run", "pkg.tasks.run"),
        (["/app/pkg/sub/__main__.py"], "pkg.sub.__main__", "pkg.sub"),
        # A directory or an archive run as a program has a spec as well, by the name of __main__ itself.
        (["/srv/shop"], "__main__", "shop"),
        (["/srv/shop/"], "__main__", "shop"),
        (["/srv/shop.pyz"], "__main__", "shop.pyz"),
        (["/srv/shop/__main__.py"], None, "shop"),
        (["-c"], None, "python"),
        (["-c", "x"], None, "python"),
        (["-"], None, "python"),
        (["-m"], None, "python"),
        ([""], None, "python"),
        ([], None, "python"),
    ],
)
def test_the_name_is_the_programs(argv, spec, name):
    assert resource.service_name({}, argv, spec) == name


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_SERVICE_NAME": " shop "}, "shop"),
        ({"OTEL_SERVICE_NAME": ""}, "chat"),
        ({"OTEL_SERVICE_NAME": "  "}, "chat"),
    ],
)
def test_a_name_the_user_gave_is_taken(environ, name):
    assert resource.service_name(environ, ["chat.py"], None) == name


IDENTITY = {"telemetry.distro.name": "hf-openobserve", "telemetry.distro.version": __version__}
BOTH = {"deployment.environment.name": "prod", "deployment.environment": "prod"}


@pytest.mark.parametrize(
    ("detected", "added"),
    [
        ({"service.name": "unknown_service"}, {"service.name": "chat"}),
        ({"service.name": "unknown_service:python"}, {"service.name": "chat"}),
        ({"service.name": "shop"}, {"service.name": "shop"}),
        ({"service.name": "shop", "deployment.environment": "prod"}, BOTH),
        ({"service.name": "shop", "deployment.environment.name": "prod"}, BOTH),
        (
            {"service.name": "shop", "deployment.environment.name": "new", "deployment.environment": "old"},
            {"deployment.environment.name": "new", "deployment.environment": "old"},
        ),
        ({"service.name": "shop", "host.name": "h1"}, {"host.name": "h1"}),
    ],
)
def test_what_is_completed(detected, added):
    completed = dict(resource.complete(Resource(detected), "chat").attributes)
    assert completed == {**detected, **IDENTITY, **added}


def test_no_environment_is_invented():
    completed = resource.complete(Resource({"service.name": "shop"}), "chat").attributes
    assert not [name for name in completed if name.startswith("deployment.")]


SHOW = "from hf_openobserve.pipeline import resource\nprint(resource.create().attributes['service.name'])\n"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    root = tmp_path_factory.mktemp("programs")
    (root / "script.py").write_text(SHOW)
    (root / "pkg").mkdir()
    (root / "pkg" / "__init__.py").write_text("")
    (root / "pkg" / "__main__.py").write_text(SHOW)
    (root / "command").write_text(SHOW)
    with zipfile.ZipFile(root / "tool.pyz", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    return root


@pytest.mark.parametrize(
    ("arguments", "environ", "name"),
    [
        pytest.param(["script.py"], {}, "script", id="script"),
        pytest.param(["-m", "pkg"], {}, "pkg", id="module"),
        pytest.param(["command"], {}, "command", id="console-command"),
        pytest.param(["pkg"], {}, "pkg", id="directory"),
        pytest.param(["tool.pyz"], {}, "tool.pyz", id="archive"),
        pytest.param(["-c", SHOW], {}, "python", id="-c"),
        pytest.param(["script.py"], {"OTEL_SERVICE_NAME": "shop"}, "shop", id="OTEL_SERVICE_NAME"),
        pytest.param(["script.py"], {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}, "shop", id="attributes"),
        pytest.param(
            ["script.py"],
            {"OTEL_SERVICE_NAME": "one", "OTEL_RESOURCE_ATTRIBUTES": "service.name=two"},
            "one",
            id="both",
        ),
    ],
)
def test_real_programs(programs, arguments, environ, name):
    env = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    env.update(environ, PYTHONPATH=str(AGENT))
    done = harness.run(arguments, door=None, env=env, cwd=programs, timeout=60)
    assert (done.stdout, done.stderr) == (name + "\n", "")
