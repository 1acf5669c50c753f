"""What a kubelet, Compose and the OpenTelemetry Operator make of our files, as far as those go; see ``containers``."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping

from containers import Container, Image, Mount


class Pod:
    """One pod of a Deployment. Context manager: its volumes and sidecars end with it.

    images: by their names in the manifest. secrets: name -> key -> value.
    """

    def __init__(
        self, template: Mapping[str, Any], directory: Path, images: Mapping[str, Image], secrets: Mapping[str, Any]
    ) -> None:
        self.spec = template["spec"]
        self._images, self._secrets = images, secrets
        self.running: Dict[str, Container] = {}
        self._started: List[Container] = []
        self._of_pod = self.spec.get("securityContext", {})
        group = self._of_pod.get("fsGroup")
        self.volumes: Dict[str, Path] = {}
        for volume in self.spec["volumes"]:
            assert set(volume) == {"name", "emptyDir"}
            place = directory / volume["name"]
            place.mkdir(parents=True)
            os.chown(str(place), 0, group or 0)
            place.chmod(0o2777 if group else 0o777)
            self.volumes[volume["name"]] = place

    def __enter__(self) -> Pod:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        return self

    def __exit__(self, *_: object) -> None:
        for container in self._started:
            container.kill()

    def initialise(self) -> None:
        """Run the init containers, and start those that stay."""
        for described in self.spec.get("initContainers", ()):
            container = self.start(described)
            if described.get("restartPolicy") != "Always":
                container.check()

    def application(self) -> Container:
        """Start the application's container, anew perhaps."""
        (described,) = self.spec["containers"]
        return self.start(described)

    def start(self, described: Mapping[str, Any]) -> Container:
        """Start one container."""
        context = {**self._of_pod, **described.get("securityContext", {})}
        image = self._images[described["image"]]
        user = (context["runAsUser"], context["runAsGroup"]) if "runAsUser" in context else image.user
        assert user[0] != 0 or not context.get("runAsNonRoot")
        container = image.run(
            [*described.get("command", ()), *described.get("args", ())],
            env=self._environment(described),
            user=user,
            groups=[context["fsGroup"]] if "fsGroup" in context else [],
            mounts=[
                Mount(self.volumes[mount["name"]], mount["mountPath"], mount.get("readOnly", False))
                for mount in described.get("volumeMounts", ())
            ],
            read_only=context.get("readOnlyRootFilesystem", False),
        )
        self.running[described["name"]] = container
        self._started.append(container)
        return container

    def _environment(self, described: Mapping[str, Any]) -> Dict[str, str]:
        env: Dict[str, str] = {}
        for variable in described.get("env", ()):
            if "value" in variable:
                # Kubernetes puts in what came before.
                value = re.sub(r"\$\((\w+)\)", lambda match: env.get(match[1], match[0]), variable["value"])
            elif "secretKeyRef" in variable["valueFrom"]:
                reference = variable["valueFrom"]["secretKeyRef"]
                value = self._secrets[reference["name"]][reference["key"]]
            else:
                value = variable["valueFrom"]["fieldRef"]["fieldPath"] + "-of-this-pod"
            env[variable["name"]] = value
        return env


def by_compose(
    service: Mapping[str, Any], image: Image, volumes: Mapping[str, Path], variables: Mapping[str, str]
) -> Container:
    """Start one service. ``variables`` are those of the shell that calls Compose; a volume is a directory of root's."""

    def filled(text: str) -> str:
        return re.sub(r"\$\{(\w+):\?[^}]+\}", lambda match: variables[match[1]], text)

    mounts = []
    for volume in service["volumes"]:
        name, target, *mode = volume.split(":")
        volumes[name].mkdir(exist_ok=True)
        mounts.append(Mount(volumes[name], target, read_only=mode == ["ro"]))
    return image.run(
        service.get("command", ()),
        env={name: filled(value) for name, value in service.get("environment", {}).items()},
        user=(int(service["user"]), 0),
        mounts=mounts,
        read_only=service["read_only"],
    )


def by_operator(template: Mapping[str, Any], instrumentation: Mapping[str, Any]) -> Dict[str, Any]:
    """The pod's template after the OpenTelemetry Operator has seen it.

    As ``internal/instrumentation/python.go`` (0f67dbab232b) and ``sdk.go`` (033694747e00) of
    open-telemetry/opentelemetry-operator do it: what matters to a process, no more.
    """
    pod = copy.deepcopy(dict(template))
    annotations = pod["metadata"]["annotations"]
    namespace, _, name = annotations["instrumentation.opentelemetry.io/inject-python"].partition("/")
    assert (namespace, name) == (instrumentation["metadata"]["namespace"], instrumentation["metadata"]["name"])
    platform = annotations.get("instrumentation.opentelemetry.io/otel-python-platform", "glibc")
    source = {"glibc": "/autoinstrumentation/.", "musl": "/autoinstrumentation-musl/."}[platform]
    place, volume = "/otel-auto-instrumentation-python", "opentelemetry-auto-instrumentation-python"
    spec, python = instrumentation["spec"], instrumentation["spec"]["python"]
    (container,) = pod["spec"]["containers"]
    pod["spec"].setdefault("volumes", []).append({"name": volume, "emptyDir": {}})
    container.setdefault("volumeMounts", []).append({"name": volume, "mountPath": place})
    pod["spec"].setdefault("initContainers", []).append(
        {
            "name": volume,
            "image": python["image"],
            "command": ["cp", "-r", source, place],
            "volumeMounts": [{"name": volume, "mountPath": place}],
            "securityContext": container["securityContext"],
        }
    )
    env = container.setdefault("env", [])
    given = {variable["name"]: variable for variable in env}
    path = [f"{place}/opentelemetry/instrumentation/auto_instrumentation"]
    path += [given["PYTHONPATH"]["value"]] if "PYTHONPATH" in given else []
    attributes = {
        "k8s.container.name": container["name"],
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "$(OTEL_RESOURCE_ATTRIBUTES_POD_NAME)",
        "service.instance.id": f"shop.$(OTEL_RESOURCE_ATTRIBUTES_POD_NAME).{container['name']}",
        "service.namespace": "shop",
        "service.version": container["image"].rpartition(":")[2],
    }
    pod_name = {"fieldRef": {"fieldPath": "metadata.name"}}
    injected = [
        {"name": "OTEL_NODE_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "OTEL_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *python.get("env", ()),
        *spec.get("env", ()),
        {"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "http/protobuf"},
        {"name": "OTEL_TRACES_EXPORTER", "value": "otlp"},
        {"name": "OTEL_METRICS_EXPORTER", "value": "otlp"},
        {"name": "OTEL_LOGS_EXPORTER", "value": "otlp"},
        {"name": "OTEL_SERVICE_NAME", "value": "application"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": spec["exporter"]["endpoint"]},
        {"name": "OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "valueFrom": pod_name},
        {"name": "OTEL_PROPAGATORS", "value": ",".join(spec["propagators"])},
        {"name": "OTEL_TRACES_SAMPLER", "value": spec["sampler"]["type"]},
        {"name": "OTEL_TRACES_SAMPLER_ARG", "value": spec["sampler"]["argument"]},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": ",".join("=".join(pair) for pair in sorted(attributes.items()))},
    ]
    env += [variable for variable in injected if variable["name"] not in given]
    whole = {"name": "PYTHONPATH", "value": ":".join([*path, place])}
    container["env"] = [variable for variable in env if variable["name"] != "PYTHONPATH"] + [whole]
    return pod
