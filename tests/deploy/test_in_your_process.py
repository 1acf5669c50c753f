"""docs/in-your-process.md names each difference that the agent makes in a process; its commands do what they say."""

from __future__ import annotations

import json
import os
import sys

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

PAGE = (harness.REPOSITORY / "docs" / "in-your-process.md").read_text(encoding="utf-8")
OURS = str(harness.BOOTSTRAP.parent) + os.sep
CHANGES = str(harness.REPOSITORY / "tests" / "deploy" / "changes.py")
TASK_METHODS = "the task methods and `_inner_post`"


@pytest.fixture(scope="module")
def router():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:
        yield endpoint


@pytest.fixture
def env(tmp_path, router, openobserve):
    return harness.environment(
        tmp_path, openobserve.environment, {"OPENAI_BASE_URL": router.url, "OPENAI_API_KEY": "x"}
    )


def test_no_function_is_replaced_that_the_page_does_not_name(tmp_path, env, openobserve):
    bare = json.loads(harness.run_ok([CHANGES], door=None, env=env, cwd=tmp_path).stdout)
    with_us = json.loads(harness.run_ok([CHANGES], door="pythonpath", env=env, cwd=tmp_path).stdout)
    assert len(openobserve.wait_for_rows(2)) == 2

    replaced = {
        name
        for name, place in with_us["functions"].items()
        if bare["functions"].get(name, place) != place or place.startswith(OURS)
    }
    replaced = {name for name in replaced if not name.startswith("sitecustomize.")}
    unnamed = {name for name in replaced if not named(*name.rsplit(".", 2)[1:])}
    assert unnamed == set()
    for name in ("openai.OpenAI.request", "openai.AsyncOpenAI.request"):
        assert name in replaced
    # What waited for the first client is back.
    assert not any(name.endswith(".__init__") for name in replaced)

    ours = [place for place in with_us["finders"] if place.startswith(OURS)]
    assert ours == with_us["finders"][:1] == [OURS + os.path.join("process", "import_hook.py")]
    assert with_us["finders"][1:] == bare["finders"]
    assert [entry for entry in with_us["path"] if entry not in bare["path"]] == [str(harness.BOOTSTRAP)]
    assert set(with_us["threads"]) - set(bare["threads"]) <= {"hf-openobserve-sender"}
    for name in ("environment", "hooks", "signals", "random", "timeout", "listening"):
        assert with_us[name] == bare[name], name
    assert with_us["environment"] is True
    assert with_us["listening"] == []


def named(owner, attribute):
    """Whether the page says that ``owner.attribute`` is replaced."""
    if owner in ("InferenceClient", "AsyncInferenceClient") and not attribute.startswith("__"):
        return TASK_METHODS in PAGE
    return f"`{owner}.{attribute}`" in PAGE or f"`{attribute}`" in PAGE


@pytest.mark.parametrize(
    "line",
    [
        "env -u PYTHONPATH python app.py",
        "OPENOBSERVE_ENABLED=false python app.py",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai python app.py",
    ],
)
def test_a_command_that_switches_it_off_does(tmp_path, env, openobserve, line):
    assert line in PAGE
    (tmp_path / "app.py").write_text(
        "import openai, sys\n"
        "client = openai.OpenAI(max_retries=0)\n"
        "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi'}])\n"
        "print(sorted(name for name in sys.modules if 'hf_openobserve' in name))\n"
    )
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env["PATH"]])
    done = harness.run(
        ["-c", "import subprocess, sys; sys.exit(subprocess.call(['sh', '-ec', sys.argv[1]]))", line],
        door="pythonpath",
        env=env,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "hf_openobserve.pipeline" not in done.stdout
    if line.startswith("env"):
        assert done.stdout == "[]\n"
    assert openobserve.rows() == []
    assert not (tmp_path / "outbox").exists()


def test_what_it_leaves_on_a_disk_is_removed(tmp_path, env):
    """The lines but for `pip uninstall`, which is a line of the README, and run there."""
    lines = {
        line.partition("  #")[0].strip() for line in PAGE.splitlines() if line.startswith(("rm ", "hf-openobserve "))
    }
    assert lines == {"hf-openobserve outbox", 'rm -rf "${XDG_STATE_HOME:-$HOME/.local/state}/hf-openobserve"'}
    assert "\npip uninstall -y hf-openobserve\n" in PAGE
    for name in ("OPENOBSERVE_HF_OUTBOX_DIR", "OPENOBSERVE_URL", "OPENOBSERVE_AUTH_TOKEN"):
        env.pop(name, None)
    program = "import openai; openai.OpenAI(max_retries=0).models.with_raw_response; "
    program += "openai.OpenAI(max_retries=0).chat.completions.create(model='m', messages=[])"
    harness.run_ok(["-c", program], door="pythonpath", env=env, cwd=tmp_path)
    left = tmp_path / "home" / ".local" / "state" / "hf-openobserve"
    assert left.is_dir()
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env["PATH"]])
    for line in sorted(lines):
        assert os.waitstatus_to_exitcode(os.spawnvpe(os.P_WAIT, "sh", ["sh", "-ec", line], env) << 8) == 0
    assert not left.exists()
    everything = [os.path.join(directory, name) for directory, _, names in os.walk(str(tmp_path)) for name in names]
    assert [path for path in everything if "openobserve" in path] == []
