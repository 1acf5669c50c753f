"""Selects this distro before the wrapper command starts the program, whatever other distros are installed.

The wrapper imports every ``opentelemetry_environment_variables`` entry point, and nothing else does; its loader would
otherwise take the first distro that a directory listing shows. The wrapper makes a command-line option of every
``OTEL_*`` name it finds in such a module and fails on one that another module has too, so this one exports none.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import MutableMapping, Sequence


def select(environ: "MutableMapping[str, str]", argv: "Sequence[str]") -> None:
    """Set the wrapper's selection where the user has not, and hand our bootstrap directory on to grandchildren.

    Nowhere else the agent writes to the environment (docs/laws.md#5). Loaders before 0.63b0 take their own directory
    off PYTHONPATH, so that a program's children would go dark; ours stays on it. Another distro selected: nothing is
    changed.
    """
    if not os.path.basename(argv[0] if argv else "").startswith("opentelemetry-instrument"):
        return
    # An empty variable is one that is not set, by OpenTelemetry's specification.
    if (environ.get("OTEL_PYTHON_DISTRO") or "hf_openobserve") != "hf_openobserve":
        return
    environ["OTEL_PYTHON_DISTRO"] = "hf_openobserve"
    environ["OTEL_PYTHON_CONFIGURATOR"] = environ.get("OTEL_PYTHON_CONFIGURATOR") or "hf_openobserve"
    bootstrap = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bootstrap")
    given = environ.get("PYTHONPATH")
    entries = given.split(os.pathsep) if given else []  # an empty entry is the working directory, and stays
    if bootstrap not in entries:
        environ["PYTHONPATH"] = os.pathsep.join([bootstrap, *entries])


select(os.environ, sys.argv)
