"""What stands in the bundle, whether two are the same, and whether a copy holds."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

import harness
from hf_openobserve.process import dependencies

pytestmark = pytest.mark.bundle


def contents(directory):
    """Relative path -> mode, and the bytes of a file or where a link leads."""
    found = {}
    for above, names, files in os.walk(directory):
        for name in (*names, *files):
            path = os.path.join(above, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)
            else:
                what = None if stat.S_ISDIR(status.st_mode) else Path(path).read_bytes()
            found[os.path.relpath(path, directory)] = (status.st_mode, status.st_mtime, what)
    return found


def test_two_builds_have_the_same_bytes(bundle, build, tmp_path):
    targets = ("3.8", "3.14-musllinux-aarch64")
    for place in ("one", "another/place"):
        build(tmp_path / place, *targets)
    first, second = contents(tmp_path / "one"), contents(tmp_path / "another/place")
    assert sorted(first) == sorted(second)
    assert [path for path in first if first[path] != second[path]] == []
    # What cannot be run here says so, for machines too.
    described = json.loads((tmp_path / "one" / "bundle.json").read_text())["targets"]
    assert {target["directory"]: target["untested"] for target in described} == {
        dependencies.tag().replace(dependencies.tag().split("-")[0], "cp38"): False,
        "cp314-musllinux-aarch64": True,
    }


def test_six_minors_take_at_most_60_mib_on_a_disk(bundle):
    described = json.loads((bundle / "bundle.json").read_text())["targets"]
    assert [target["python"] for target in described] == ["3.10", "3.11", "3.12", "3.13", "3.8", "3.9"]
    assert not [target for target in described if target["bytecode_of"] and target["untested"]]
    seen = {}
    for above, names, files in os.walk(bundle):
        for name in (*names, *files):
            status = os.lstat(os.path.join(above, name))
            within = stat.S_ISLNK(status.st_mode) and status.st_size < 60  # in the inode, as ext4 has it
            seen[status.st_ino] = 0 if within else -(-status.st_size // 4096) * 4096
    assert sum(seen.values()) <= 60 * 2**20


def test_every_user_can_read_it_and_every_link_stays_within(bundle):
    root = os.path.realpath(bundle)
    for path, (mode, _, what) in contents(bundle).items():
        if stat.S_ISLNK(mode):
            assert not os.path.isabs(what)
            assert os.path.realpath(os.path.join(root, path)).startswith(root + os.sep), path
        else:
            assert mode & 0o044 == 0o044, path
            assert not stat.S_ISDIR(mode) or mode & 0o011 == 0o011, path


def test_the_digests_are_those_of_the_files(bundle):
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=str(bundle), check=True)


def test_every_distribution_stands_in_the_bill_with_its_licence(bundle):
    bill = json.loads((bundle / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    stored = {path.name for path in (bundle / ".hf-openobserve" / "store").iterdir()}
    assert {component["bom-ref"] for component in bill["components"]} == stored
    assert all(component["licenses"] for component in bill["components"])
    listed = (bundle / "LICENSES" / "README.txt").read_text().splitlines()
    assert {line.split(": ")[0] for line in listed} == {*stored, bill["metadata"]["component"]["bom-ref"]}


def test_no_init_file_stands_on_the_operators_path(bundle):
    for directory in (
        "opentelemetry",
        "opentelemetry/instrumentation",
        "opentelemetry/instrumentation/auto_instrumentation",
    ):
        assert not (bundle / directory / "__init__.py").exists()


def cp(bundle, to):
    subprocess.run(["cp", "-r", f"{bundle}/.", str(to)], check=True)


def busybox_cp(bundle, to):
    if shutil.which("busybox") is None:
        pytest.skip("busybox is not on this machine: NOT TESTED")
    to.mkdir()
    subprocess.run(["busybox", "cp", "-r", f"{bundle}/.", str(to)], check=True)


def tar(bundle, to):
    to.mkdir()
    archive = to.parent / "agent.tar"
    subprocess.run(["tar", "-cf", str(archive), "-C", str(bundle), "."], check=True)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(to)], check=True)


@pytest.mark.parametrize("copy", [cp, busybox_cp, tar])
def test_a_copy_is_the_same(bundle, tmp_path, copy):
    copy(bundle, tmp_path / "copy")
    without_times = [
        {path: (mode, what) for path, (mode, _, what) in contents(place).items()}
        for place in (bundle, tmp_path / "copy")
    ]
    assert without_times[0] == without_times[1]


@pytest.mark.parametrize("door", ["bootstrap", "opentelemetry/instrumentation/auto_instrumentation"])
def test_a_zip_of_one_python_has_no_links_and_works(
    build, bundle, tmp_path, interpreter, application, env, script, openobserve, door
):
    """As for a layer of AWS Lambda: links are followed, and of one Python nothing is there twice."""
    build(tmp_path / "agent", "3.12")
    archive = tmp_path / "layer.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for above, _, files in os.walk(tmp_path / "agent", followlinks=True):
            for name in files:
                path = os.path.join(above, name)
                relative = os.path.relpath(path, tmp_path / "agent")
                if not relative.startswith(os.path.join(".hf-openobserve", "store")):
                    file.write(path, relative)
    zipfile.ZipFile(archive).extractall(tmp_path / "layer")
    assert not [path for path in (tmp_path / "layer").rglob("*") if path.is_symlink()]
    path = [str(tmp_path / "layer" / door), str(application("3.12", "openai"))]
    env["PYTHONPATH"] = os.pathsep.join(path)
    harness.run_ok([str(script)], door=None, env=env, cwd=tmp_path, python=interpreter("3.12"))
    assert len(openobserve.wait_for_rows(1)) == 1


def test_nothing_that_an_activation_imports_lacks_its_bytecode(bundle, interpreter, application, env, under, tmp_path):
    program = """
import os, sys, openai
openai.OpenAI(base_url=os.environ["HF_BASE_URL"])
import hf_openobserve.openobserve.session, hf_openobserve.outbox.pricing, requests
cached = {name: getattr(module, "__cached__", None) for name, module in list(sys.modules.items())}
print(sorted(name for name, path in cached.items() if path and ".hf-openobserve" in path and not os.path.exists(path)))
"""
    for version in ("3.8", "3.9", "3.13"):
        there = under(env, application(version, "openai"))
        done = harness.run_ok(program, door=None, env=there, cwd=tmp_path, python=interpreter(version))
        assert done.stdout == "[]\n", version
