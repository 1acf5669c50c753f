"""The files of ``deploy/`` are what their tools accept: Kubernetes, the Operator, Compose, and a Dockerfile linter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness
import hf_openobserve

DEPLOY = harness.REPOSITORY / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("application*.yaml"))
DOCKERFILES = sorted(DEPLOY.glob("*/Dockerfile"))
ALL = [*sorted(DEPLOY.glob("kubernetes/*.yaml")), DEPLOY / "compose" / "compose.yaml", *DOCKERFILES]

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: the files are NOT TESTED")
BIN = Path(sys.executable).parent


def accepted(tool, *arguments):
    if not (BIN / tool).exists():
        pytest.skip(f"{tool} is not installed: NOT TESTED")
    done = subprocess.run(
        [str(BIN / tool), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout.decode()


def documents(path):
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_kubernetes_accepts_the_deployments(version):
    assert len(KUBERNETES) == 2
    accepted("kubernetes-validate", "--strict", "--kubernetes-version", version, *KUBERNETES)


def test_the_operator_accepts_the_instrumentation(tmp_path):
    schema = Path(__file__).with_name("instrumentation.schema.json")
    accepted("check-jsonschema", "--schemafile", schema, DEPLOY / "kubernetes" / "instrumentation.yaml")
    # And the one of the page, which has its own variables.
    ((block,), instrumentation) = (
        re.findall(r"```yaml\n(.*?)```", (harness.REPOSITORY / "docs" / "kubernetes.md").read_text(), re.DOTALL),
        documents(DEPLOY / "kubernetes" / "instrumentation.yaml")[0],
    )
    del instrumentation["spec"]["exporter"]
    instrumentation["spec"].update(yaml.safe_load(block))
    (tmp_path / "of-the-page.json").write_text(json.dumps(instrumentation))
    accepted("check-jsonschema", "--schemafile", schema, tmp_path / "of-the-page.json")


def test_compose_accepts_its_file():
    accepted("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose" / "compose.yaml")


def test_hadolint_accepts_the_dockerfiles(tmp_path):
    assert len(DOCKERFILES) == 2
    (compose,) = documents(DEPLOY / "compose" / "compose.yaml")
    inline = tmp_path / "Dockerfile"
    inline.write_text(compose["services"]["application"]["build"]["dockerfile_inline"])
    accepted("hadolint", "--ignore", "DL3013", inline)  # an example's dependency need not be pinned
    accepted("hadolint", *DOCKERFILES)


def test_of_what_they_name_the_files_exist():
    (compose,) = documents(DEPLOY / "compose" / "compose.yaml")
    build = compose["services"]["application"]["build"]
    context = (DEPLOY / "compose" / build["context"]).resolve()
    for name in re.findall(r"COPY (\S+) ", build["dockerfile_inline"]):
        assert (context / name).exists()
    agent = compose["services"]["agent"]["build"]
    # dist/agent is what `make bundle` writes; the Dockerfile's path is relative to it.
    assert (DEPLOY / "compose" / agent["context"]).resolve() == harness.REPOSITORY / "dist" / "agent"
    assert (harness.REPOSITORY / "dist" / "agent" / agent["dockerfile"]).resolve() == DEPLOY / "agent" / "Dockerfile"


def test_the_version_is_this_one():
    for path in ALL:
        for version in re.findall(r"example\.com/hf-openobserve:([\w.]+)", path.read_text(encoding="utf-8")):
            assert version == hf_openobserve.__version__, path


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_no_container_has_a_right_that_it_does_not_need(path):
    (deployment,) = documents(path)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, container["name"]
        assert "limits" in container["resources"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_no_secret_is_in_a_file(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".yaml":
        assert re.findall(r"(?:ENV|ARG)\s+\S*(?:TOKEN|PASSWORD|SECRET|KEY)", text) == []
        return
    for document in documents(path):
        assert document.get("kind") != "Secret"
        for name, value in variables(document):
            if re.search("TOKEN|PASSWORD|SECRET", name):
                assert isinstance(value, dict) or value.rpartition(":")[2].startswith(("${", "?")) or "${" in value, (
                    name
                )


def variables(node):
    """(name, what it comes from) of each environment variable below a node."""
    if isinstance(node, list):
        for entry in node:
            yield from variables(entry)
    elif isinstance(node, dict):
        if "name" in node and ("value" in node or "valueFrom" in node):
            yield node["name"], node.get("valueFrom", node.get("value"))
        for key, value in node.items():
            if key == "environment":
                yield from value.items()
            else:
                yield from variables(value)
