# -*- coding: utf-8 -*-
"""The door for PYTHONPATH: watches imports for the agent, then runs the sitecustomize that would have run without us.

This directory is the only one that ever goes on PYTHONPATH. Every Python process that inherits it executes this file,
so it is valid Python 2.7, does nothing below 3.8, imports nothing heavy, and never lets an error of the agent's pass.
"""
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))

_OPERATORS = os.path.join("opentelemetry", "instrumentation", "auto_instrumentation")
_OF_A_BUNDLE = (
    ".hf-openobserve LICENSES SHA256SUMS bin bootstrap bundle.json opentelemetry sbom.cdx.json"
).split()


def find_root():
    """The directory that holds the package: above this one, or in a bundle's hidden one (docs/bundle.md)."""
    # A Dockerfile links this directory to a fixed place, and so does a bundle: the package is where the link points.
    above = os.path.dirname(os.path.realpath(_HERE))
    if os.path.basename(above) == "hf_openobserve":
        return os.path.dirname(above)
    # A bundle that was copied with its links followed (a zip file has none).
    while not os.path.isdir(os.path.join(above, ".hf-openobserve")) and os.path.dirname(above) != above:
        above = os.path.dirname(above)
    return os.path.join(above, ".hf-openobserve")


def leave_path():
    """Take a bundle's own top directory off sys.path, where the OpenTelemetry Operator puts it beside its fixed path.

    ``import opentelemetry`` would find a namespace there in a program that has no such package.
    """
    if not _HERE.endswith(_OPERATORS):
        return
    top = _HERE[: -len(_OPERATORS)].rstrip(os.sep)
    if top in sys.path and set(os.listdir(top)) <= set(_OF_A_BUNDLE):
        sys.path[:] = [entry for entry in sys.path if entry != top]


def arm():
    # The agent's own copy is imported, whatever else is installed. Only its dependencies come from sys.path
    # (docs/laws.md#6).
    root = find_root()
    sys.path.insert(0, root)
    try:
        import hf_openobserve.door.watch_imports
    finally:
        sys.path.remove(root)
    hf_openobserve.door.watch_imports.arm("pythonpath")


def run_shadowed(own_directories):
    """Import the next ``sitecustomize`` on sys.path as if ours were not there. Its exceptions are its own: they pass.

    own_directories: the directories whose ``sitecustomize`` is to be passed over.
    """
    own = set(os.path.realpath(directory) for directory in own_directories)
    search = [entry for entry in sys.path if os.path.realpath(entry or os.curdir) not in own]
    if sys.version_info[0] == 2:
        import imp

        try:
            found = imp.find_module("sitecustomize", search)
        except ImportError:
            return
        try:
            imp.load_module("sitecustomize", *found)
        finally:
            if found[0] is not None:
                found[0].close()
        return
    # Found on sys.meta_path rather than imported: importlib costs a millisecond in a process that needs none of it.
    finders = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "PathFinder"]
    spec = finders[0].find_spec("sitecustomize", search) if finders else None
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    previous = sys.modules.get("sitecustomize")
    sys.modules["sitecustomize"] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        if previous is not None:
            sys.modules["sitecustomize"] = previous
        raise


def main():
    if sys.version_info >= (3, 8):
        try:
            leave_path()
            arm()
        except Exception:
            # Nothing may reach the application, and nothing may be printed by a process that never asked for us.
            if os.environ.get("OPENOBSERVE_HF_DEBUG") and sys.stderr is not None:
                import traceback

                traceback.print_exc()
    run_shadowed([_HERE])


# The wrapper command's door imports this file as a part of the package, for ``run_shadowed`` alone.
if __name__ == "sitecustomize":
    main()
