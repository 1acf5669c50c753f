"""Law 2: a process that builds no LLM client pays nothing: no OpenTelemetry module, thread, file or connection."""

from __future__ import annotations

import pytest

import harness

WHAT_IT_PAID = """
import sys, threading
paid = [name for name in sys.modules
        if name.partition(".")[0] in ("opentelemetry", "openinference", "requests", "google", "dotenv")]
print(sorted(paid), [thread.name for thread in threading.enumerate()])
"""
NOTHING = "[] ['MainThread']\n"

PROGRAMS = {
    "nothing at all": "",
    "import openai": "import openai\n",
    "an OpenAI type": "from openai.types.chat import ChatCompletion\n",
    "huggingface_hub as transformers and datasets use it": """
import huggingface_hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download, HfFileSystem
HfApi(token=False)
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_through_pythonpath(name, tmp_path, openobserve):
    pytest.importorskip("huggingface_hub")
    env = harness.environment(tmp_path, openobserve.environment)
    # huggingface_hub up to 0.36 is built on requests: what the program itself imports is not ours.
    bare = harness.run_ok(PROGRAMS[name] + WHAT_IT_PAID, door=None, env=env, cwd=tmp_path)
    done = harness.run_ok(PROGRAMS[name] + WHAT_IT_PAID, door="pythonpath", env=env, cwd=tmp_path)
    assert done.stdout == bare.stdout
    assert "opentelemetry" not in done.stdout
    assert "MainThread'" in done.stdout
    assert "hf-openobserve" not in done.stdout
    assert not (tmp_path / "outbox").exists()
    assert openobserve.connections == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_through_the_wrapper_nothing_beyond_its_own_loader(name, tmp_path, openobserve):
    """The wrapper's loader imports the API whatever the distro; the SDK, OpenInference and requests stay out."""
    pytest.importorskip("huggingface_hub")
    program = (
        PROGRAMS[name]
        + """
import sys, threading
heavy = (
    "opentelemetry.sdk", "openinference", "opentelemetry.exporter", "google.protobuf", "hf_openobserve.config.settings"
)
print([name for name in sys.modules if name.startswith(heavy)], [thread.name for thread in threading.enumerate()])
"""
    )
    env = harness.environment(tmp_path, openobserve.environment)
    done = harness.run_ok(program, door="wrapper", env=env, cwd=tmp_path)
    assert done.stdout == NOTHING
    assert not (tmp_path / "outbox").exists()
    assert openobserve.connections == 0


def test_nothing_is_imported_from_the_agent_but_its_first_stage(tmp_path):
    env = harness.environment(tmp_path)
    program = "import sys\nprint(sorted(name for name in sys.modules if name.startswith('hf_')))\n"
    done = harness.run_ok(program, door="pythonpath", env=env, cwd=tmp_path)
    table = ["hf_openobserve.clients", "hf_openobserve.clients.table"]
    door = ["hf_openobserve.door", "hf_openobserve.door.switches", "hf_openobserve.door.watch_imports"]
    hook = ["hf_openobserve.process", "hf_openobserve.process.import_hook"]
    assert done.stdout == f"{['hf_openobserve', *table, *door, *hook]}\n"
