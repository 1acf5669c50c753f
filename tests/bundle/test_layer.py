"""The layer of AWS Lambda: unpacked as Lambda does it, beside a function that knows nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import harness
from lambda_service import LambdaService

pytestmark = [pytest.mark.bundle, pytest.mark.timeout(150)]
FUNCTION = harness.REPOSITORY / "tests" / "functions" / "programs"
MOST_BYTES = 50_000_000
"""Of a zip that is sent to Lambda directly."""


@pytest.fixture(scope="module")
def layer(bundle, tmp_path_factory):
    """``/opt``, as it is there."""
    subprocess.run([sys.executable, str(harness.REPOSITORY / "deploy" / "functions"), "3.12"], check=True)
    archive = harness.REPOSITORY / "dist" / "hf-openobserve-layer.zip"
    assert archive.stat().st_size < MOST_BYTES
    opt = tmp_path_factory.mktemp("opt")
    with zipfile.ZipFile(str(archive)) as packed:
        assert all(entry.external_attr >> 28 == 8 for entry in packed.infolist()), "files alone: no links"
        packed.extractall(str(opt))
        (opt / "hf-openobserve").chmod(packed.getinfo("hf-openobserve").external_attr >> 16)
    return opt


def test_a_function_is_recorded_by_the_layer_alone(layer, interpreter, application, env, openobserve, tmp_path):
    packages = application("3.12", "openai", "awslambdaric")
    with LambdaService(lambda: len(openobserve.rows())) as service:
        wrapper = str(layer / "hf-openobserve")  # AWS_LAMBDA_EXEC_WRAPPER
        with (tmp_path / "stderr").open("wb") as stderr:
            service.start(
                [wrapper, interpreter("3.12"), "-m", "awslambdaric", "asking_function.handle"],
                env={**env, **service.environment, "PYTHONPATH": str(packages)},
                cwd=str(FUNCTION),
                stderr=stderr,
            )
        answer = service.invoke({"how": "plain", "label": "layer"})
        assert (answer.kind, answer.seen) == ("response", 1)
        (row,) = openobserve.rows()
        assert json.loads(row["llm_invocation_parameters"])["user"] == "layer"
        assert "hf-openobserve" not in (tmp_path / "stderr").read_text()
        # What stood on PYTHONPATH stays there, behind ours.
        environment = Path(f"/proc/{service.process.pid}/environ").read_bytes().decode().split("\0")
        assert f"PYTHONPATH={layer}/hf-openobserve-agent/bootstrap:{packages}" in environment


def test_what_the_bundle_has_not_is_said(bundle):
    command = [sys.executable, str(harness.REPOSITORY / "deploy" / "functions"), "3.7"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"make bundle TARGETS=3.7" in done.stderr
