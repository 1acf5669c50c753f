"""Bytecode of every minor whose interpreter is on this machine: a read-only directory can have none later.

It is of the kind that is not compared with its source (``unchecked-hash``), so that neither a time nor a place is in
it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, Optional, Sequence

from lock import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
import interpreters

WITHOUT = (
    "cli/",
    "click/",
    "google/protobuf/",
    "opentelemetry/proto/",
    "opentelemetry/sdk/_configuration/",
    "opentelemetry/sdk/_logs/",
    "opentelemetry/sdk/metrics/",
    "opentelemetry/semconv/_incubating/",
    "packaging/licenses/",
    "rich/",
    "urllib3/contrib/emscripten/",
)
"""What no process imports, and what only a command does: it starts half a second later."""
ALL_THE_SAME = (
    "/__init__.py",
    *(f"/{name}_attributes.py" for name in ("db", "http", "net", "otel")),
    "/otel_metrics.py",
)
"""What OpenTelemetry itself imports of it."""
_COMPILE = """
import os, py_compile, sys
without, all_the_same = (tuple(words.split()) for words in sys.argv[1:3])
for root in sys.argv[3:]:
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != "__pycache__")
        for name in sorted(files):
            path = os.path.join(directory, name)
            shown = os.path.relpath(path, root)
            if name.endswith(".py") and (not shown.startswith(without) or shown.endswith(all_the_same)):
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(path, dfile=shown, doraise=True, quiet=1, invalidation_mode=mode)
"""


def interpreter(python: str) -> Optional[str]:
    """Of this minor, on this machine."""
    return None if python.endswith("t") else interpreters.find(python)


def version(python: str) -> Dict[str, str]:
    """What its bytecode depends on."""
    ask = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.implementation.cache_tag)"
    said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    return {"version": said[0], "cache_tag": said[1]}


def write(python: str, directories: Sequence[Path]) -> None:
    """Compile what is below these directories.

    In one process and one order: the bytes depend on both, and on hashes.
    """
    words = [" ".join(WITHOUT), " ".join(ALL_THE_SAME)]
    command = [python, "-s", "-S", "-c", _COMPILE, *words, *map(str, directories)]
    subprocess.run(command, env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8"}, cwd="/", check=True)
