"""Writes ``dist/agent``: the agent and what it needs, for every Python at once, to be copied beside any application.

``make bundle``; ``make bundle TARGETS="3.12 3.14-musllinux-aarch64"``; ``make bundle-lock`` resolves the versions anew.
docs/bundle.md says what is in it and why.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import bytecode
import lock
import papers
import tree
import wheels
from targets import Target, parse

HIDDEN = ".hf-openobserve"
SHIM = ("opentelemetry", "instrumentation", "auto_instrumentation")
"""The path that the OpenTelemetry Operator puts on PYTHONPATH. No ``__init__.py`` on it: it shadows no installed
package.
"""
_TIME = 1577836800
"""Of every file: 2020, and no reason to differ."""
_RUN = """
import os, tempfile
os.environ.update(OPENOBSERVE_HF_OUTBOX_DIR=tempfile.mkdtemp(), OPENOBSERVE_HF_DOTENV="false")
from hf_openobserve.pipeline import agent
agent.process.activate()
assert agent.process.pipeline is not None
from hf_openobserve.cli import report, ship, tail
import google.protobuf, rich, shutil
shutil.rmtree(os.environ["OPENOBSERVE_HF_OUTBOX_DIR"])
"""


def build(root: Path, targets: Sequence[Target]) -> None:
    """Make the whole tree below ``root``, which does not exist yet."""
    hidden = root / HIDDEN
    store: Dict[str, Path] = {}
    sources: Dict[str, Path] = {}
    of_target: Dict[Target, List[str]] = {}
    for target in targets:
        of_target[target] = []
        for wheel in wheels.of_target(target, lock.pins(target)):
            key = wheels.stored_as(wheel)
            if key not in store:
                store[key], sources[key] = hidden / "store" / key, wheel
                wheels.unpack(wheel, store[key])
            of_target[target].append(key)
    earlier = wheels.of_earlier(lock.earlier())
    for wheel in earlier:
        key = wheels.stored_as(wheel)
        if key not in store:
            store[key], sources[key] = hidden / "store" / key, wheel
            wheels.unpack(wheel, store[key])
    with tempfile.TemporaryDirectory() as directory:
        wheel = wheels.of_the_agent(Path(directory))
        agent, (_, version) = wheels.stored_as(wheel), wheels.name_and_version(wheel)
        wheels.unpack(wheel, hidden)
        os.mkdir(root / "bin")
        shutil.copy(Path(__file__).parent / "hf-openobserve", root / "bin" / "hf-openobserve")
        _doors(root)
        pythons = _compile(hidden, store, of_target)
        _link(hidden, store, of_target, pythons)
        tree.lay_out(hidden / "earlier", [store[wheels.stored_as(wheel)] for wheel in earlier], "none")
        described = [_described(target, of_target[target], pythons.get(target), root) for target in targets]
        with_agent = {**store, agent: hidden}
        papers.write_licences(root, with_agent)
        papers.write_bill_of_materials(root, with_agent, {**sources, agent: wheel}, agent)
    papers.write_description(root, version, described)
    _normalise(root)
    papers.write_digests(root)
    _normalise(root)


def _doors(root: Path) -> None:
    """The two directories that may stand on PYTHONPATH hold one file: the door of the package."""
    tree.link(root / "bootstrap", root / HIDDEN / "hf_openobserve" / "bootstrap")
    above = root.joinpath(*SHIM[:-1])
    above.mkdir(parents=True)
    tree.link(above / SHIM[-1], root / HIDDEN / "hf_openobserve" / "bootstrap")


def _compile(hidden: Path, store: Dict[str, Path], of_target: Dict[Target, List[str]]) -> Dict[Target, Dict[str, str]]:
    """Write the bytecode. Target -> its interpreter here."""
    found: Dict[Target, Dict[str, str]] = {}
    keys: Dict[str, List[str]] = {}
    for target, names in of_target.items():
        known = keys.setdefault(target.python, [])
        known.extend(name for name in names if name not in known)
    for python, names in keys.items():
        interpreter = bytecode.interpreter(python)
        if interpreter is None:
            continue
        described = {"executable": interpreter, **bytecode.version(interpreter)}
        bytecode.write(interpreter, [hidden / "hf_openobserve", *(store[name] for name in names)])
        found.update({target: described for target in of_target if target.python == python})
    return found


def _link(
    hidden: Path, store: Dict[str, Path], of_target: Dict[Target, List[str]], pythons: Dict[Target, Dict[str, str]]
) -> None:
    for target, names in of_target.items():
        directory = hidden / target.tag
        tree.lay_out(directory, [store[name] for name in names], pythons.get(target, {}).get("cache_tag", "none"))
        for entry in [hidden / "hf_openobserve", *hidden.glob("hf_openobserve-*.dist-info")]:
            tree.link(directory / entry.name, entry)


def _described(target: Target, names: Sequence[str], python: Optional[Dict[str, str]], root: Path) -> Dict[str, Any]:
    """For ``bundle.json``. Where its interpreter is here, it is run once."""
    from targets import this_machine

    run = python is not None and (target.libc, target.machine) == tuple(this_machine())
    if run and python is not None:
        command = [python["executable"], "-I", "-B", "-c", f"import sys; sys.path.append(sys.argv[1]){_RUN}"]
        subprocess.run([*command, str(root / HIDDEN / target.tag)], check=True)
    return {
        "directory": target.tag,
        "python": target.python,
        "libc": target.libc,
        "machine": target.machine,
        "distributions": sorted(names),
        "bytecode_of": python["version"] if python else None,
        "run_with": python["version"] if run and python else None,
        "untested": not run,
    }


def _normalise(root: Path) -> None:
    """Readable by any user, and of one time, whoever builds it and when."""
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                is_run = os.path.isdir(path) or os.path.dirname(path) == str(root / "bin")
                os.chmod(path, 0o755 if is_run else stat.S_IMODE(0o644))
            os.utime(path, (_TIME, _TIME), follow_symlinks=False)
    os.chmod(root, 0o755)
    os.utime(root, (_TIME, _TIME))


def _size(root: Path) -> Tuple[int, int]:
    """Files and MiB on disk, links not followed."""
    paths = [os.path.join(directory, name) for directory, _, files in os.walk(root) for name in files]
    blocks = sum(os.lstat(path).st_blocks for path in paths if not os.path.islink(path))
    return len(paths), blocks * 512 // 2**20


def main() -> int:
    """Build, or resolve anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve the versions anew and write lock.txt")
    parser.add_argument("--out", default=str(lock.REPOSITORY / "dist" / "agent"))
    parser.add_argument("targets", nargs="*", help="3.12, 3.14t, 3.13-musllinux-aarch64 ..., all")
    arguments = parser.parse_args()
    if arguments.lock:
        lock.refresh()
        return 0
    try:
        targets = parse(arguments.targets)
    except ValueError as error:
        parser.error(str(error))
    out = Path(arguments.out).absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as directory:
        fresh = Path(directory, "agent")
        fresh.mkdir()
        build(fresh, targets)
        wheels.discard(out)
        fresh.rename(out)
    files, size = _size(out)
    print(f"{out}: {files} files, {size} MiB, for {', '.join(target.tag for target in targets)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
