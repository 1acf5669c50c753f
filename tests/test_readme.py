"""Every command of the README is run, in its order, as a newcomer would: a fresh environment, the built package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

README = (harness.REPOSITORY / "README.md").read_text(encoding="utf-8")
APP = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a question"}]).model)
"""


def blocks(language):
    return [block.strip().splitlines() for block in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)]


def commands():
    """Every line of every shell block, comments off."""
    return [line.partition("  #")[0].strip() for block in blocks("sh") for line in block if line.strip()]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """A fresh virtual environment, and the wheel that `make wheel` builds."""
    directory = tmp_path_factory.mktemp("newcomer")
    wheels = directory / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(harness.REPOSITORY)], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], check=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([str(directory / "venv/bin/pip"), "--quiet", "install", "openai"], check=True)
    return directory, wheel


def of_pip():
    """How this machine reaches the package index."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    result = {name: os.environ[name] for name in os.environ if name.startswith("PIP_") or name.upper() in names}
    for configuration in (Path.home() / ".config" / "pip" / "pip.conf", Path.home() / ".pip" / "pip.conf"):
        if configuration.exists():
            result.setdefault("PIP_CONFIG_FILE", str(configuration))
    return result


def shell(script, env, cwd):
    done = subprocess.run(["sh", "-ec", script], env=env, cwd=str(cwd), capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, (script, done.stderr.decode())
    return done.stdout.decode()


@pytest.mark.timeout(400)
def test_the_way_of_a_newcomer(newcomer, openobserve):
    directory, wheel = newcomer
    said = commands()
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body(content="an answer"))) as endpoint:
        env = harness.environment(directory, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
        env["PATH"] = os.pathsep.join([str(directory / "venv" / "bin"), env["PATH"]])
        del env["OPENOBSERVE_HF_OUTBOX_DIR"]  # the newcomer has the default one
        (directory / "app.py").write_text(APP)

        def take(prefix):
            (line,) = [line for line in said if line.startswith(prefix)]
            said.remove(line)
            return line

        built = "dist/hf_openobserve-*.whl"
        shell(take("pip install " + built).replace(built, str(wheel)), {**env, **of_pip()}, directory)
        exports = "\n".join(
            [
                re.sub('".*"', f'"{openobserve.url}"', take("export OPENOBSERVE_URL=")),
                take("export OPENOBSERVE_ORG="),
                # The example's own token: it is the documented default user's.
                take("export OPENOBSERVE_AUTH_TOKEN="),
            ]
        )
        run = take("opentelemetry-instrument python app.py")
        assert shell(exports + "\n" + run, env, directory) == "llama3.1-8b\n"
        (row,) = openobserve.wait_for_rows(1)
        assert "a question" in row["gen_ai_input_messages"]
        assert row["service_name"] == "app"

        shell(exports + "\n" + take("export OPENOBSERVE_HF_CAPTURE_CONTENT=none") + "\n" + run, env, directory)
        row = openobserve.wait_for_rows(2)[1]
        assert "gen_ai_input_messages" not in row

        # The container's lines, with a place of the test's own for the fixed directory.
        ((copy, install, link, variable),) = blocks("dockerfile")
        assert (copy, install) == (f"COPY {built} /tmp/", f"RUN pip install {built.replace('dist', '/tmp')}")
        fixed = str(directory / "opt-hf-openobserve")
        assert link.startswith("RUN ")
        shell(link[len("RUN ") :].replace("/opt/hf-openobserve", fixed), env, directory)
        assert variable == "ENV PYTHONPATH=/opt/hf-openobserve"
        shell(f"export PYTHONPATH={fixed}\n{exports}\npython app.py", env, directory)
        assert len(openobserve.wait_for_rows(3)) == 3

        # Without a destination the outbox is the store, until somebody ships it.
        shell(f"export PYTHONPATH={fixed}\npython app.py", env, directory)
        stored, page = take("hf-openobserve report --html calls.html --from"), take("hf-openobserve report --html")
        assert shell(page, env, directory) == "1 call in calls.html\n"
        assert shell(exports + "\n" + stored, env, directory) == "3 calls in calls.html\n"
        assert "nothing is advised" in shell(take("hf-openobserve report --advise"), env, directory)  # too few calls
        assert "llama3.1-8b" in shell(take("hf-openobserve report"), env, directory)
        watch = "timeout --preserve-status --signal=INT 5 " + take("hf-openobserve tail")
        assert "llama3.1-8b" in shell(watch.replace("tail", "tail --json"), env, directory)
        assert shell(take("hf-openobserve prices"), env, directory).startswith("package of ")
        assert "no destination was configured" in shell(take("hf-openobserve outbox"), env, directory)
        assert (
            shell(exports + "\n" + take("hf-openobserve ship"), env, directory)
            .splitlines()[-1]
            .startswith("1 span acc")
        )
        assert len(openobserve.wait_for_rows(4)) == 4

        said_of_it = shell(exports + "\n" + take("hf-openobserve doctor"), env, directory)
        assert "green  instrumented: yes, through opentelemetry-instrument" in said_of_it
        assert said_of_it.splitlines()[-1].startswith("All is well")

        boards = shell(exports + "\n" + take("hf-openobserve dashboards apply"), env, directory)
        assert boards.count(" created ") == 4
        alerts = shell(exports + "\n" + take("hf-openobserve alerts apply"), env, directory)
        assert alerts.count(" created") == 9, "eight, and whom they are sent to"

        for completion in (
            *(take('eval "$(_HF_OPENOBSERVE_COMPLETE=' + sh) for sh in ("bash", "zsh")),
            take("_HF_OPEN"),
        ):
            script = re.search(r"_HF_OPENOBSERVE_COMPLETE=\w+ hf-openobserve", completion).group()
            assert "_complete" in shell(script, env, directory)

        state = directory / "home" / ".local" / "state" / "hf-openobserve"
        assert state.is_dir()
        shell(
            take("pip uninstall -y hf-openobserve") + "\n" + take("rm -rf ~/.local/state/hf-openobserve"),
            env,
            directory,
        )
        assert not state.exists()
        # The link now leads nowhere, which must hurt nobody.
        assert shell(f"export PYTHONPATH={fixed}\n{exports}\npython app.py", env, directory) == "llama3.1-8b\n"
    assert said == ["make demo", "make test", "make wheel"]


def test_make_targets_that_the_readme_names_exist():
    makefile = (harness.REPOSITORY / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`?make ((?:[a-z]+ ?)+)`", README)) | {"demo", "test"}
    targets = {target for names in named for target in names.split()}
    assert {"demo", "test", "help", "lint", "types", "matrix", "bench"} <= targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_ci_calls_the_readmes_test_command():
    # `make demo` is run whole by tests/cli/test_demo.py; `make test` cannot run itself.
    ci = (harness.REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake test\n" in ci
    assert "$(BIN)/hf-openobserve demo" in (harness.REPOSITORY / "Makefile").read_text(encoding="utf-8")


def test_the_dockerfile_holds_the_readmes_lines():
    dockerfile = (harness.REPOSITORY / "deploy" / "application" / "Dockerfile").read_text(encoding="utf-8")
    ((*lines,),) = blocks("dockerfile")
    assert "\n".join(lines) in dockerfile


def test_links_lead_somewhere():
    for name in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (harness.REPOSITORY / Path(name)).exists(), name


def test_every_variable_of_the_readme_is_one_the_agent_reads_and_the_other_way_round():
    from hf_openobserve.config import environment_variables

    ours = {name for name in vars(environment_variables) if name.startswith("OPENOBSERVE_")}
    named = set(re.findall(r"\bOPENOBSERVE_[A-Z_]+[A-Z]", README))
    assert named == ours
