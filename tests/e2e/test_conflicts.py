"""The agent as pip has installed it, and a package of the program's that it cannot work with."""

from __future__ import annotations

import json
import os

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

NAME = "openinference-instrumentation-openai"
CALL = """
import json, os, sys
import openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model)
modules = sorted(name for name in sys.modules if name.startswith(("opentelemetry.sdk", "openinference")))
print(json.dumps([sys.path, modules]))
"""


@pytest.mark.parametrize("door", harness.DOORS)
@pytest.mark.parametrize("force", ["false", "true"])
def test_it_steps_back_before_it_imports_any_of_it(tmp_path, openobserve, door, force):
    theirs = tmp_path / "theirs"
    metadata = theirs / "openinference_instrumentation_openai-0.1.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1.1\n")
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as endpoint:
        env = harness.environment(
            tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"}
        )
        env.update({"OPENOBSERVE_HF_FORCE": force, "PYTHONPATH": str(theirs)})
        done = harness.run(CALL, door=door, env=env, cwd=tmp_path)
    model, rest = done.stdout.splitlines()
    assert (model, done.returncode) == ("llama3.1-8b", 0)
    if force == "true":  # it is as it should be, but for what it says of itself
        assert done.stderr == ""
        assert len(openobserve.wait_for_rows(1)) == 1
        return
    line = f"{NAME} 0.1.1 is installed, >=0.1.18 is needed; nothing is recorded in this process. Remedy: pip install "
    assert done.stderr.startswith(f"hf-openobserve: {line}'{NAME}>=0.1.18'")
    assert len(done.stderr.splitlines()) == 1
    assert openobserve.rows() == []
    path, modules = json.loads(rest)
    assert os.path.realpath(theirs) in map(os.path.realpath, path)
    # The wrapper's loader has the API, and nothing of the SDK.
    assert modules == []
