"""An application's real packages beside the bundle's: calls are recorded with the former, or the agent steps back."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import harness

pytestmark = pytest.mark.bundle

HUB_CALL = """
import json, os, sys
before = list(sys.path)
from huggingface_hub import InferenceClient
client = InferenceClient(base_url=os.environ["HF_BASE_URL"], api_key="x")
print(client.chat_completion(messages=[{"role": "user", "content": "Hi"}], model="m").model)
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print(json.dumps({"before": before, "after": sys.path, "files": files}))
"""
OLD_CALL = """
import json, os, sys
before = list(sys.path)
import openai
openai.api_base = os.environ["HF_BASE_URL"]
print(openai.ChatCompletion.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model)
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print(json.dumps({"before": before, "after": sys.path, "files": files}))
"""


def said(done):
    model, files = done.stdout.splitlines()
    assert model == "llama3.1-8b"
    return json.loads(files)


def beside(said_of_it, bundle):
    """The module files that came from the bundle's packages, as they would be called in the application's directory."""
    own = [entry for entry in said_of_it["after"] if entry.startswith(str(bundle / ".hf-openobserve"))]
    found = {}
    for file in said_of_it["files"].values():
        for entry in own:
            if file and file.startswith(entry + os.sep):
                found[os.path.relpath(file, entry)] = os.path.basename(entry)
    return found


@pytest.mark.parametrize(
    ("version", "packages", "alone", "earlier"),
    [
        ("3.12", ("openai==1.66.*", "pydantic==1.10.*"), (), False),
        ("3.12", ("openai==2.*",), ("wrapt==1.17.3", "protobuf==3.20.3"), False),
        ("3.12", ("openai", "requests==2.25.1", "opentelemetry-sdk"), (), False),
        ("3.12", ("openai", "opentelemetry-sdk==1.33.1"), (), False),
        ("3.12", ("openai", "opentelemetry-sdk==1.30.0"), (), True),
        ("3.12", ("openai", "opentelemetry-api==1.41.1"), (), True),
        ("3.12", ("openai", "openinference-instrumentation"), (), False),
        ("3.13", ("openai", "opentelemetry-instrumentation==0.54b1"), (), True),
        ("3.8", ("openai", "opentelemetry-sdk==1.33.1", "wrapt<2"), (), False),
        ("3.9", ("openai", "opentelemetry-sdk==1.31.1"), (), True),
    ],
)
def test_a_call_is_recorded_with_the_applications_own(
    version, packages, alone, earlier, bundle, interpreter, application, env, under, script, tmp_path, openobserve
):
    theirs = application(version, *packages, alone=alone)
    done = harness.run_ok([str(script)], door=None, env=under(env, theirs), cwd=tmp_path, python=interpreter(version))
    ours = beside(said(done), bundle)
    assert [file for file in ours if (theirs / file).exists()] == []
    assert ("earlier" in ours.values()) is earlier
    (row,) = openobserve.wait_for_rows(1)
    assert row["operation_name"] == "ChatCompletion"


@pytest.mark.parametrize("release", ["0.30.*", "1.*"])
def test_a_program_without_openai(release, bundle, interpreter, application, env, under, script, tmp_path, openobserve):
    """The bundle leaves out what openai brings, and nobody else needs.

    Its metadata is there from the first client on.
    """
    theirs = application("3.12", f"huggingface_hub=={release}")
    script.write_text(
        HUB_CALL + "import importlib.metadata as m; print(m.version('opentelemetry-sdk'), file=sys.stderr)"
    )
    done = harness.run([str(script)], door=None, env=under(env, theirs), cwd=tmp_path, python=interpreter("3.12"))
    assert [file for file in beside(said(done), bundle) if (theirs / file).exists()] == []
    assert len(openobserve.wait_for_rows(1)) == 1
    sdk = (bundle / ".hf-openobserve").glob(f"cp312-*/opentelemetry_sdk-{done.stderr.strip()}.dist-info")
    assert len(list(sdk)) == 1


@pytest.mark.parametrize(
    ("version", "packages", "alone", "line"),
    [
        (
            "3.12",
            ("openai", "opentelemetry-sdk==1.20.0"),
            (),
            "opentelemetry-api 1.20.0 is installed, >=1.30.0 is needed",
        ),
        ("3.8", ("openai",), ("wrapt==2.0.1",), "wrapt 2.0.1 is installed, <2,>=1.0 is needed"),
        (
            "3.12",
            ("huggingface_hub==0.30.*",),
            ("typing-extensions==4.0.1",),
            "typing-extensions 4.0.1 is installed, >=4.5.0 is needed",
        ),
    ],
)
def test_it_steps_back_and_the_program_is_as_without_us(
    version, packages, alone, line, bundle, interpreter, application, env, under, script, tmp_path, openobserve
):
    theirs, python = application(version, *packages, alone=alone), interpreter(version)
    if "openai" not in packages:
        script.write_text(HUB_CALL)
    bare = said(
        harness.run_ok([str(script)], door=None, env={**env, "PYTHONPATH": str(theirs)}, cwd=tmp_path, python=python)
    )
    done = harness.run([str(script)], door=None, env=under(env, theirs), cwd=tmp_path, python=python)
    name = line.partition(" ")[0]
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(
        f"hf-openobserve: {line}; nothing is recorded in this process. Remedy: pip install '{name}"
    )
    with_us = said(done)
    assert with_us["after"] == with_us["before"] == [bare["before"][0], str(bundle / "bootstrap"), *bare["before"][1:]]
    assert {name: with_us["files"].get(name) for name in bare["files"] if name != "sitecustomize"} == {
        name: file for name, file in bare["files"].items() if name != "sitecustomize"
    }
    assert beside({**with_us, "after": [str(bundle / ".hf-openobserve" / "store")]}, bundle) == {}
    assert not [file for name, file in with_us["files"].items() if file and ".hf-openobserve/cp" in file]
    assert openobserve.rows() == []


def test_its_many_processes_say_it_once(interpreter, application, env, under, script, tmp_path):
    """Children of every kind inherit the door, and each decides for itself."""
    script.write_text("""
import multiprocessing, os, subprocess, sys
import openai

def build(_=None):
    openai.OpenAI(base_url=os.environ["HF_BASE_URL"])

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=build) for _ in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    for _ in range(2): subprocess.run([sys.executable, "-c", "import openai; openai.OpenAI()"], check=True)
    build()
""")
    there = under(env, application("3.12", "openai", "opentelemetry-sdk==1.20.0"))
    done = harness.run([str(script)], door=None, env=there, cwd=tmp_path, python=interpreter("3.12"))
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("force", ["true", "false"])
def test_it_goes_on_where_it_is_told_to(force, interpreter, application, env, under, script, tmp_path, openobserve):
    theirs = application("3.12", "openai", "openinference-instrumentation==0.1.60")
    there = under({**env, "OPENOBSERVE_HF_FORCE": force}, theirs)
    done = harness.run([str(script)], door=None, env=there, cwd=tmp_path, python=interpreter("3.12"))
    if force == "true":
        assert done.stderr == ""
        assert len(openobserve.wait_for_rows(1)) == 1
    else:
        assert "openinference-instrumentation 0.1.60 is installed, >=0.1.71 is needed" in done.stderr


def test_an_openai_that_is_too_old_to_be_seen_is_left_alone(
    interpreter, application, env, under, script, tmp_path, openobserve
):
    script.write_text(OLD_CALL)
    there = under(env, application("3.12", "openai==0.28.1"))
    done = harness.run_ok([str(script)], door=None, env=there, cwd=tmp_path, python=interpreter("3.12"))
    with_us = said(done)
    assert with_us["after"] == with_us["before"]
    assert openobserve.rows() == []


def test_a_python_that_the_bundle_was_not_built_for_is_told_so(
    bundle, interpreter, application, env, script, tmp_path, openobserve
):
    subprocess.run(["cp", "-r", str(bundle), str(tmp_path / "agent")], check=True)
    (directory,) = (tmp_path / "agent" / ".hf-openobserve").glob("cp313-*")
    directory.rename(tmp_path / "elsewhere")
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "agent" / "bootstrap"), str(application("3.13", "openai"))])
    done = harness.run([str(script)], door=None, env=env, cwd=tmp_path, python=interpreter("3.13"))
    said(done)
    (line,) = done.stderr.splitlines()
    assert f"this bundle has no packages for {directory.name}; nothing is recorded in this process" in line


def test_doctor_says_what_stands_in_the_way(bundle, interpreter, application, env, under, script, tmp_path):
    there = under(env, application("3.12", "openai", "opentelemetry-sdk==1.20.0"))
    command = [str(bundle / "bin" / "hf-openobserve"), "doctor", "--json", "--", "python", str(script)]
    there["PATH"] = os.path.dirname(interpreter("3.12")) + os.pathsep + there["PATH"]
    done = harness.run(command, door=None, env=there, cwd=tmp_path, python=sys.executable)
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    found = findings["opentelemetry-api"]
    assert (found["level"], found["sentence"]) == ("red", "opentelemetry-api 1.20.0 is installed, >=1.30.0 is needed")
    assert "opentelemetry-api>=1.30.0" in found["remedy"]
