"""The two doors: who wins, who is respected, what is chained, and what happens in odd interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

CALL = """
import os
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
print(client.chat.completions.create(
    model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi"}], max_tokens=8).model)
"""
LOADED = """
import sys
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk") or name == "openai"))
"""
BOTH = pytest.mark.parametrize("door", harness.DOORS)


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as scripted:
        yield scripted


@pytest.fixture
def env(tmp_path, endpoint, openobserve):
    return harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})


# Selection


@pytest.mark.matrix
def test_the_wrapper_selects_us_though_the_stock_distro_is_installed(env, tmp_path, openobserve):
    done = harness.run_ok(CALL, door="wrapper", env=env, cwd=tmp_path)
    assert done.stdout == "llama3.1-8b\n"
    (row,) = openobserve.wait_for_rows(1)
    assert row["service_telemetry_distro_name"] == "hf-openobserve"


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["variable", "option"])
def test_another_distro_that_is_asked_for_is_respected(env, tmp_path, openobserve, how):
    env.update({"OTEL_TRACES_EXPORTER": "openobserve", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"})
    env["OTEL_SERVICE_NAME"] = "theirs"
    prices = tmp_path / "prices.json"
    prices.write_text('{"per_million_tokens": {"meta-llama/Llama-3.1-8B-Instruct": {"*": {"input": 1, "output": 2}}}}')
    env["OPENOBSERVE_HF_PRICES"] = str(prices)
    script = tmp_path / "program.py"
    script.write_text(CALL + "\nfrom opentelemetry import trace\nprint(type(trace.get_tracer_provider()).__module__)\n")
    command = list(harness.command("wrapper", sys.executable, [str(script)]))
    if how == "variable":
        env["OTEL_PYTHON_DISTRO"] = "distro"
        env["OTEL_PYTHON_CONFIGURATOR"] = "configurator"
    else:
        command[1:1] = ["--distro", "distro"]
    done = subprocess.run(command, env=env, cwd=str(tmp_path), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == ["llama3.1-8b", "opentelemetry.sdk.trace"]
    assert b"hf-openobserve:" not in done.stderr
    assert b"Traceback" not in done.stderr
    rows = openobserve.rows(timeout=5, count=1)
    # The stock distro finds OpenInference by its entry point, which the version of Python 3.8 does not have.
    assert {row["service_name"] for row in rows} <= {"theirs"}
    if has_entry_point("openai"):
        (row,) = rows
        assert row["llm_request_parameters_model"] == "meta-llama/Llama-3.1-8B-Instruct"
        assert row.get("service_telemetry_distro_name") is None, "our exporter, their distro"
        sent, received = row["gen_ai_usage_input_tokens"], row["gen_ai_usage_output_tokens"]
        assert row["gen_ai_usage_cost"] == pytest.approx((sent + 2 * received) / 1e6) != 0


@pytest.mark.matrix
def test_without_the_wrapper_command_the_pre_instrument_hook_is_the_last_net(env, tmp_path, openobserve):
    """The operator puts the loader's directory on PYTHONPATH: nothing preselects us, the first distro found wins."""
    import opentelemetry.instrumentation.auto_instrumentation as loader

    env.update({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"})
    env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    env["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
    env["PYTHONPATH"] = str(Path(loader.__file__).parent)
    done = harness.run(CALL, door=None, env=env, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("llama3.1-8b\n", 0), done.stderr
    assert [row["operation_name"] for row in openobserve.wait_for_rows(1)] == ["ChatCompletion"]


def has_entry_point(name):
    from hf_openobserve.process import entry_points

    return entry_points.find("opentelemetry_instrumentor", name) is not None


# Switches


@BOTH
@pytest.mark.parametrize(
    "switch",
    [
        {"OPENOBSERVE_ENABLED": "false"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai"},
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"},
        {"OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=lambda switch: "=".join(*switch.items()),
)
def test_switched_off_means_nothing_is_recorded(env, tmp_path, openobserve, door, switch):
    env.update(switch)
    done = harness.run_ok(CALL + LOADED, door=door, env=env, cwd=tmp_path)
    assert done.stdout == "llama3.1-8b\n['openai']\n"
    assert openobserve.rows() == []
    assert openobserve.connections == 0
    assert not (tmp_path / "outbox").exists()


def test_disabled_in_the_dotenv_file(env, tmp_path, openobserve):
    (tmp_path / ".env").write_text("OPENOBSERVE_ENABLED=false\n")
    harness.run_ok(CALL, door="pythonpath", env=env, cwd=tmp_path)
    assert openobserve.rows() == []


# Other sitecustomize modules


@pytest.mark.matrix
@BOTH
def test_a_users_sitecustomize_after_ours_runs_as_without_us(env, tmp_path, openobserve, door):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import sys\nsys.theirs = __file__\nMARK = 1\n")
    env["PYTHONPATH"] = str(theirs)
    program = CALL + "\nimport sys, sitecustomize\nprint(sys.theirs == sitecustomize.__file__, sitecustomize.MARK)\n"
    done = harness.run_ok(program, door=door, env=env, cwd=tmp_path)
    assert done.stdout == "llama3.1-8b\nTrue 1\n"
    assert len(openobserve.wait_for_rows(1)) == 1


def test_a_users_sitecustomize_before_ours_is_the_one_that_runs(env, tmp_path, openobserve):
    """Python imports the first one only; ours cannot know. The program is as it would be without us."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import sys\nsys.theirs = True\n")
    env["PYTHONPATH"] = os.pathsep.join([str(theirs), str(harness.BOOTSTRAP)])
    done = harness.run_ok(CALL + "\nimport sys\nprint(sys.theirs)\n", door=None, env=env, cwd=tmp_path)
    assert done.stdout == "llama3.1-8b\nTrue\n"
    assert openobserve.rows() == []


@BOTH
def test_an_error_in_a_users_sitecustomize_is_said_as_python_says_it(env, tmp_path, openobserve, door):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("raise ValueError('theirs')\n")
    env["PYTHONPATH"] = str(theirs)
    bare = harness.run(CALL, door=None, env=env, cwd=tmp_path)
    done = harness.run(CALL, door=door, env=env, cwd=tmp_path)
    assert "ValueError: theirs" in bare.stderr
    # The wrapper command is a Python process too, and says it once more before it becomes the program.
    assert done == bare._replace(stderr=bare.stderr * (2 if door == "wrapper" else 1))
    assert len(openobserve.wait_for_rows(1)) == 1


# Interpreters


@pytest.mark.parametrize("flag", ["-S", "-I", "-E"])
def test_an_interpreter_that_ignores_pythonpath_or_site_runs_as_without_us(env, tmp_path, flag):
    arguments = [flag, "-c", "import sys; print('fine', [m for m in sys.modules if m.startswith('hf_')])"]
    bare = harness.run(arguments, door=None, env=env, cwd=tmp_path)
    for door in harness.DOORS:
        assert harness.run(arguments, door=door, env=env, cwd=tmp_path) == bare
    assert bare.stdout == "fine []\n"


@pytest.mark.matrix
@BOTH
def test_a_module_run_with_m_is_captured_under_its_own_name(env, tmp_path, openobserve, door):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(CALL)
    harness.run_ok(["-m", "shop"], door=door, env=env, cwd=tmp_path)
    (row,) = openobserve.wait_for_rows(1)
    assert row["service_name"] == "shop"


@BOTH
def test_a_script_gives_the_service_its_name_unless_the_user_did(env, tmp_path, openobserve, door):
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    env["OTEL_RESOURCE_ATTRIBUTES"] = "service.name=from-attributes,deployment.environment=staging"
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    env["OTEL_SERVICE_NAME"] = "from-name"
    harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    rows = openobserve.wait_for_rows(3)
    assert [row["service_name"] for row in rows] == ["program", "from-attributes", "from-name"]
    assert rows[1]["service_deployment_environment_name"] == rows[1]["service_deployment_environment"] == "staging"


@BOTH
def test_stderr_may_be_missing(env, tmp_path, openobserve, door):
    env["OPENOBSERVE_HF_DEBUG"] = "true"
    env["OPENOBSERVE_TIMEOUT"] = "a minute"  # something to complain about
    done = harness.run("import sys\nsys.stderr = None\n" + CALL, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("llama3.1-8b\n", "", 0)
    assert len(openobserve.wait_for_rows(1)) == 1


# Other instrumentors and exporters


def test_the_spans_of_other_instrumentors_arrive(env, tmp_path, openobserve):
    pytest.importorskip("opentelemetry.instrumentation.flask", reason="not part of the version matrix's packages")
    program = (
        LOADED
        + """
import flask
import os
import openai
app = flask.Flask("shop")
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
@app.route("/ask")
def ask():
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model
print(app.test_client().get("/ask").text)
"""
    )
    done = harness.run_ok(program, door="wrapper", env=env, cwd=tmp_path)
    assert done.stdout == "[]\nllama3.1-8b\n"
    rows = {row["operation_name"]: row for row in openobserve.wait_for_rows(2)}
    assert set(rows) == {"ChatCompletion", "GET /ask"}
    assert rows["ChatCompletion"]["reference_parent_span_id"] == rows["GET /ask"]["span_id"]


@BOTH
def test_console_is_added_beside_the_one_delivery(env, tmp_path, openobserve, door):
    env["OTEL_TRACES_EXPORTER"] = "console,otlp,openobserve"
    done = harness.run_ok(CALL, door=door, env=env, cwd=tmp_path)
    assert done.stdout.count('"name": "ChatCompletion"') == 1
    assert len(openobserve.wait_for_rows(1)) == 1


@BOTH
def test_an_exporter_that_is_not_installed_is_named_once(env, tmp_path, openobserve, door):
    env["OTEL_TRACES_EXPORTER"] = "otlp,carrier-pigeon"
    done = harness.run(CALL, door=door, env=env, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("carrier-pigeon") == 1
    assert done.stderr.count("\n") == 1
    assert len(openobserve.wait_for_rows(1)) == 1
