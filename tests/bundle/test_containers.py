"""The bundle as ``deploy/``'s files mount it: read-only, on a read-only root, for a user without rights or home."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess

import pytest

import containers
import harness
import pods

pytestmark = pytest.mark.bundle

DEPLOY = harness.REPOSITORY / "deploy"
yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: nothing of deploy/ is run")
PROGRAM = """
import atexit, json, os, signal, sys
before = dict(os.environ)

@atexit.register  # the first, and so the last to run: the agent has delivered by then
def report():
    home = os.path.expanduser("~")
    print(json.dumps({
        "model": answer.model,
        "user": [os.getuid(), os.getgid()],
        "home": os.path.isdir(home) and os.access(home, os.W_OK),
        "environment": dict(os.environ) == before,
        "root": errno_of_writing("/made"),
        "agent": errno_of_writing(os.environ["PYTHONPATH"].partition(":")[0] + "/made")
        if "PYTHONPATH" in before else None,
        "files": {name: getattr(module, "__file__", None) for name, module in sys.modules.items()},
    }))

def errno_of_writing(path):
    try:
        os.mkdir(path)
    except OSError as error:
        return os.strerror(error.errno)

import openai
client = openai.OpenAI(max_retries=0)
answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
if os.path.exists("/outbox/killed"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def documents(name):
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


@pytest.fixture(scope="module", autouse=True)
def possible():
    if containers.why_not():
        pytest.skip(f"no containers on this machine: {containers.why_not()}")


@pytest.fixture(scope="module")
def agent_image(bundle, tmp_path_factory):
    """What deploy/agent/Dockerfile makes of the bundle."""
    directory = tmp_path_factory.mktemp("agent-image")
    return containers.build((DEPLOY / "agent" / "Dockerfile").read_text(encoding="utf-8"), bundle, directory)


@pytest.fixture
def application_image(tmp_path, interpreter, application, router):
    """``application_image(*packages)``: an image that knows nothing of us."""

    def made(*packages, version="3.12"):
        python, site_packages = interpreter(version), application(version, "openai", *packages)
        # Its bytecode, which pip would have compiled, and a container's user could not write.
        subprocess.run([python, "-c", "import openai"], env={"PYTHONPATH": str(site_packages)}, check=True)
        image = containers.python_image(tmp_path / "application", python, site_packages, PROGRAM)
        image.env.update(OPENAI_BASE_URL=router.url, OPENAI_API_KEY="x")
        image.env["OPENOBSERVE_HF_EXIT_TIMEOUT_S"] = "20"  # on a loaded machine, too, "arrives" is now
        return image

    return made


def secrets_of(openobserve):
    settings = openobserve.environment
    token = {"url": openobserve.url, "organization": "default", "token": settings["OPENOBSERVE_AUTH_TOKEN"]}
    return {"openobserve": token, "huggingface": {"token": "hf_" + "x" * 34}}


def test_the_pod_of_the_manifest(tmp_path, agent_image, application_image, openobserve):
    (deployment,) = documents("kubernetes/application.yaml")
    template = deployment["spec"]["template"]
    application = template["spec"]["containers"][0]["image"]
    images = {
        application: application_image(),
        template["spec"]["initContainers"][0]["image"]: agent_image,
    }
    with pods.Pod(template, tmp_path / "volumes", images, secrets_of(openobserve)) as pod:
        pod.initialise()
        said = json.loads(pod.application().check())
        said.pop("files")
        assert said == {
            "model": "llama3.1-8b",
            "user": [10001, 10001],
            "home": False,
            "environment": True,
            "root": "Read-only file system",
            "agent": "Read-only file system",
        }
        (row,) = openobserve.wait_for_rows(1)
        assert (row["service_name"], row["llm_model_name"]) == ("application", "llama3.1-8b")

        # Killed before it could send: the sidecar delivers what it left.
        (pod.volumes["outbox"] / "killed").mkdir()
        killed = pod.application()
        assert killed.wait() == -signal.SIGKILL, killed.stderr
        openobserve.wait_for_rows(2)
        ship = pod.running["hf-openobserve-ship"]
        ship.signal(signal.SIGTERM)
        assert (ship.wait(), ship.stderr) == (0, "")
        assert ship.stdout.splitlines()[-1].startswith("1 span accepted")

        # A node comes back: Kubernetes runs the init containers again, over what they have written.
        pod.start(template["spec"]["initContainers"][0]).check()

        # What docs/kubernetes.md and docs/docker.md run in such a container.
        (described,) = template["spec"]["containers"]

        def said_by(line):
            container = pod.start({**described, "command": line.split()})
            return container.check()

        doctor = said_by("python3 /hf-openobserve/bin/hf-openobserve doctor")
        assert doctor.splitlines()[-1].startswith("All is well"), doctor
        assert "0.0 KiB of 64.0 MiB" in said_by("python3 /hf-openobserve/bin/hf-openobserve outbox")
        assert said_by("python3 /hf-openobserve/bin/hf-openobserve ship --dir /outbox").startswith("Nothing waits in")


def test_the_pod_that_the_operator_injects_into(tmp_path, agent_image, application_image, openobserve):
    """The application's packages are the ones imported, older ones and another OpenTelemetry among them."""
    (deployment,), (instrumentation,) = (
        documents(f"kubernetes/{name}.yaml") for name in ("application-with-operator", "instrumentation")
    )
    template = deployment["spec"]["template"]
    # The Collector is played by OpenObserve itself: its OTLP paths are below those of an organization.
    instrumentation["spec"]["exporter"]["endpoint"] = f"{openobserve.url}/api/default"
    header = openobserve.environment["OPENOBSERVE_AUTH_TOKEN"].replace(" ", "%20")
    instrumentation["spec"]["env"] = [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": f"Authorization={header}"}]
    images = {
        template["spec"]["containers"][0]["image"]: application_image(
            "opentelemetry-sdk==1.33.1", "opentelemetry-instrumentation==0.54b1", "requests==2.31.0"
        ),
        instrumentation["spec"]["python"]["image"]: agent_image,
    }
    without = pods.Pod(template, tmp_path / "without", images, secrets_of(openobserve))
    with without:
        files = json.loads(without.application().check())["files"]
    injected = pods.by_operator(template, instrumentation)
    with pods.Pod(injected, tmp_path / "with", images, secrets_of(openobserve)) as pod:
        pod.initialise()
        said = json.loads(pod.application().check())
    assert (said["model"], said["environment"], said["home"]) == ("llama3.1-8b", True, False)
    with_us = said["files"]
    files.pop("sitecustomize", None)  # of this machine's Python, perhaps
    assert {name: with_us[name] for name in files} == files
    for name in ("opentelemetry.sdk.trace", "opentelemetry.trace", "requests", "wrapt", "typing_extensions"):
        assert with_us[name].startswith("/opt/venv/"), with_us[name]
    for name in ("hf_openobserve.pipeline.agent", "openinference.instrumentation.openai"):
        assert with_us[name].startswith("/otel-auto-instrumentation-python/.hf-openobserve/"), with_us[name]

    (row,) = openobserve.wait_for_rows(1)
    assert row["service_name"] == "application"
    assert row["service_k8s_pod_name"] == "metadata.name-of-this-pod"
    assert row["service_service_version"] == "1.0.0"
    assert row["llm_model_name"] == "llama3.1-8b"
    paths = {request.path.partition("?")[0] for request in openobserve.requests if request.method == "POST"}
    assert paths == {"/api/default/v1/traces", "/api/default/v1/metrics"}


def test_the_operator_copies_the_same_for_musl(tmp_path, agent_image):
    """By the annotation of Alpine's images, into the volume that it mounts, as the user of the application."""
    copied = {}
    for source in ("/autoinstrumentation/.", "/autoinstrumentation-musl/."):
        place = tmp_path / source.strip("/.")
        place.mkdir()
        place.chmod(0o777)
        mounts = [containers.Mount(place, "/otel-auto-instrumentation-python")]
        command = ["cp", "-r", source, "/otel-auto-instrumentation-python"]
        for _ in range(2):  # it may be run again
            agent_image.run(command, user=(10001, 10001), mounts=mounts, read_only=True).check()
        copied[source] = sorted(
            (os.path.relpath(os.path.join(directory, name), str(place)), os.path.islink(os.path.join(directory, name)))
            for directory, names, files in os.walk(str(place))
            for name in (*names, *files)
        )
    first, second = copied.values()
    assert first == second
    assert ("bootstrap", True) in first


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_the_two_lines_of_a_dockerfile(tmp_path, agent_image, application_image, openobserve, version):
    page = (harness.REPOSITORY / "docs" / "docker.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```dockerfile\n(.*?)```", page, re.DOTALL)
    image = application_image(version=version)
    name = re.search(r"--from=(\S+)", lines)[1]
    for instruction, value in containers.instructions(lines):
        containers.apply(image, instruction, value, tmp_path, {name: agent_image})
    container = image.run(env=openobserve.environment, user=(10001, 10001), read_only=True)
    assert container.wait() == 0
    said = json.loads(container.stdout)
    # There is no volume here, and nothing can be written.
    (line,) = container.stderr.splitlines()
    assert "spans wait in memory" in line
    assert (said["root"], said["agent"]) == ("Read-only file system",) * 2
    assert said["files"]["hf_openobserve.pipeline.agent"].startswith("/opt/hf-openobserve/.hf-openobserve/")
    (row,) = openobserve.wait_for_rows(1)
    assert row["llm_model_name"] == "llama3.1-8b"


def test_the_services_of_compose(tmp_path, agent_image, application_image, openobserve):
    (compose,) = documents("compose/compose.yaml")
    services = compose["services"]
    volumes = {name: tmp_path / name for name in compose["volumes"]}
    variables = {"HF_TOKEN": "hf_" + "x" * 34, "OPENOBSERVE_PASSWORD": "Complexpass#123"}
    for _ in range(2):  # it is started each time
        pods.by_compose(services["agent"], agent_image, volumes, variables).check()
    services["application"]["environment"]["OPENOBSERVE_URL"] = openobserve.url
    said = json.loads(pods.by_compose(services["application"], application_image(), volumes, variables).check())
    assert (said["user"], said["root"], said["agent"]) == ([10001, 0], *["Read-only file system"] * 2)
    (row,) = openobserve.wait_for_rows(1)
    assert (row["service_name"], row["llm_model_name"]) == ("application", "llama3.1-8b")
    assert (volumes["outbox"].stat().st_uid, volumes["outbox"].stat().st_mode & 0o777) == (10001, 0o700)
