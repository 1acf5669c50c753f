"""Import hook: calls back each time a named module has been imported, and costs nothing for every other import.

A ``sys.meta_path`` finder asks the other finders and shadows ``exec_module`` on the loader it gets; the shadow goes
when it fires, and comes back with the loader of the next import: after ``importlib.reload``, or where a program has
dropped the module from ``sys.modules``. Of the standard library it imports only what a starting interpreter has loaded
already (docs/laws.md#2).
"""

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself is not imported: every Python process pays for this module
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple

    Callback = Callable[[ModuleType], None]

_callbacks: "Dict[str, List[Callback]]" = {}

_DEEPEST = 2
"""A finder that asks all others, as ours does, would go on for ever: those that keep themselves from it ask us once."""


def on_import(name: str, callback: "Callback") -> None:
    """Call ``callback(module)`` right after each import of ``name``, and at once if it has been imported.

    The callback runs on the importing thread, inside that import: it should be short, and import little. Its own
    exceptions are swallowed. A module in the middle of its import counts as not imported, and fires at its next one. An
    import that fails does not fire; a later one that succeeds does. A reloaded module may hold what it held before: a
    callback must not mind to be called again for that.
    """
    waiting = _callbacks.setdefault(name, [])
    if callback not in waiting:
        waiting.append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    module = sys.modules.get(name)
    if module is not None and not _initializing(module):
        _call(callback, module)


def _initializing(module: "ModuleType") -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _call(callback: "Callback", module: "ModuleType") -> None:
    try:
        callback(module)
    except Exception:  # noqa: BLE001 - docs/laws.md#1: the program's import goes on
        from hf_openobserve.process import diagnostics

        diagnostics.swallowed("import hook")


def _fire(name: str) -> None:
    module = sys.modules.get(name)
    if module is None:  # it took itself out again
        return
    # Nothing is locked while a callback runs: it may import, and other threads may be importing.
    for callback in tuple(_callbacks.get(name, ())):
        _call(callback, module)


class _Finder:
    """First on ``sys.meta_path``; answers None for every name nobody waits for."""

    _watched = 0

    def __init__(self) -> None:
        self._asking: Dict[Tuple[int, str], int] = {}
        """(thread, name) -> how deep: another tool's finder may ask us in its turn."""

    def find_spec(self, fullname: str, path: "Any" = None, target: "Any" = None) -> "Optional[ModuleSpec]":
        if fullname not in _callbacks:
            return None
        key = (get_ident(), fullname)
        depth = self._asking.get(key, 0)
        if depth >= _DEEPEST:
            return None
        self._asking[key] = depth + 1
        try:
            return self._ask_others(fullname, path, target)
        finally:
            if depth:
                self._asking[key] = depth
            else:
                del self._asking[key]

    def _ask_others(self, fullname: str, path: "Any", target: "Any") -> "Optional[ModuleSpec]":
        for finder in list(sys.meta_path):
            if finder is self:
                continue
            find_spec = getattr(finder, "find_spec", None)
            if find_spec is None:
                if hasattr(finder, "find_module"):
                    # The protocol of before Python 3.4, served up to 3.11: the import system asks it in its place.
                    return None
                continue
            before = self._watched
            spec: Optional[ModuleSpec] = find_spec(fullname, path, target)
            if spec is not None:
                # A finder that asks sys.meta_path itself, as wrapt's does, has been here already for this module.
                # A namespace package has nothing to execute, and cannot be watched.
                if spec.loader is not None and before == self._watched:
                    _watch(spec.loader, fullname)
                    self._watched += 1
                return spec
        return None


def _watch(loader: "Any", fullname: str) -> None:
    """See to it that executing ``fullname`` fires: by a shadow of the loader's method, on this one instance."""
    if isinstance(loader, type):  # a class used as a loader serves every module of its kind
        return
    # zipimporter has no exec_module before Python 3.10.
    method = "exec_module" if hasattr(loader, "exec_module") else "load_module"
    current = getattr(loader, method, None)
    if isinstance(current, _Shadow):
        current.names.add(fullname)
    elif current is not None:
        shadow = _Shadow(loader, method, current)
        shadow.names.add(fullname)
        try:
            setattr(loader, method, shadow)
        except (AttributeError, TypeError):
            # A loader with slots: the module cannot be watched, the import is untouched.
            pass


class _Shadow:
    """Stands for a loader's method until the modules it waits for have been executed; passes every other one on."""

    def __init__(self, loader: "Any", method: str, original: "Any") -> None:
        self.names: Set[str] = set()
        self._loader = loader
        self._method = method
        self._original = original
        # Another tool may have put a method of its own on this instance: then that is what stays behind.
        self._previous = getattr(loader, "__dict__", {}).get(method)

    def __call__(self, argument: "Any") -> "Any":
        by_name = self._method == "load_module"
        name = argument if by_name else getattr(getattr(argument, "__spec__", None), "name", None)
        if name not in self.names:  # one zipimporter serves every module of its archive
            return self._original(argument)
        self.names.discard(name)
        if not self.names:
            self._step_aside()
        # A module executed by hand, as applications load plugins, is not the imported one: that import may still come.
        imported = by_name or sys.modules.get(name) is argument
        result = self._original(argument)
        if imported:
            _fire(name)
        return result

    def _step_aside(self) -> None:
        try:
            if self._loader.__dict__.get(self._method) is not self:
                return  # somebody wrapped the shadow: it stays in their chain, and passes on
            if self._previous is not None:
                setattr(self._loader, self._method, self._previous)
            else:
                delattr(self._loader, self._method)
        except (AttributeError, TypeError):
            pass


_finder = _Finder()
