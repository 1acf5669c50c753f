"""Import trigger: calls back once a named module has been imported, and costs nothing for every other import.

A ``sys.meta_path`` finder asks the other finders and shadows ``exec_module`` on the loader it gets; the shadow goes when
it fires. Standard library only, and of that only what a starting interpreter has loaded already (law 2).
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not imported: every Python process pays for this module
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Dict, List, Optional

    Callback = Callable[[ModuleType], None]

_callbacks: "Dict[str, List[Callback]]" = {}
_finder: "Optional[_Finder]" = None


def on_import(name: str, callback: "Callback") -> None:
    """Call ``callback(module)`` once, right after ``name`` has been imported; at once if it has been.

    The callback runs on the importing thread, inside that import: it should be short, and import little. Its exceptions
    are swallowed. An import that fails does not fire; a later one that succeeds does.
    """
    module = sys.modules.get(name)
    if module is not None and not _initializing(module):
        _call(callback, module)
        return
    _callbacks.setdefault(name, []).append(callback)
    _install()


def _install() -> None:
    global _finder
    if _finder is None:
        _finder = _Finder()
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _initializing(module: "ModuleType") -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _call(callback: "Callback", module: "ModuleType") -> None:
    try:
        callback(module)
    except Exception:  # noqa: BLE001 - law 1: the application's import goes on
        from hf_openobserve import diagnostics

        diagnostics.swallowed("trigger")


def _fire(name: str) -> None:
    # Nothing is locked while a callback runs: it may import, and other threads may be importing. ``pop`` hands the
    # callbacks to exactly one thread.
    for callback in _callbacks.pop(name, ()):
        _call(callback, sys.modules[name])


class _Finder:
    """First on ``sys.meta_path``; answers None for every name nobody waits for."""

    def find_spec(self, fullname: str, path: "Any" = None, target: "Any" = None) -> "Optional[ModuleSpec]":
        if fullname not in _callbacks:
            return None
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: "Optional[ModuleSpec]" = find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _shadow(spec.loader, fullname)
                return spec
        return None


def _shadow(loader: "Any", fullname: str) -> None:
    """Replace the loader's ``exec_module`` on this one instance until ``fullname`` has been executed."""
    # zipimporter has no exec_module before Python 3.10.
    method = "exec_module" if hasattr(loader, "exec_module") else "load_module"
    original = getattr(loader, method, None)
    if original is None:
        return

    def shadow(argument: "Any") -> "Any":
        name = argument if method == "load_module" else argument.__spec__.name
        if name != fullname:  # a zipimporter instance serves every module of its archive
            return original(argument)
        try:
            delattr(loader, method)
        except AttributeError:
            pass
        result = original(argument)
        _fire(fullname)
        return result

    try:
        setattr(loader, method, shadow)
    except (AttributeError, TypeError):
        # A loader with slots, or a class used as a loader: the module cannot be watched, the import is untouched.
        pass
