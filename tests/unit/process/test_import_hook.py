"""The import hook against everything Python and other tools do with imports. Real packages, real import system."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import itertools
import os
import pkgutil
import signal
import sys
import textwrap
import threading
import types
import zipfile
from pathlib import Path

import pytest

import harness
from hf_openobserve.process import import_hook

pytestmark = pytest.mark.matrix

AGENT = Path(import_hook.__file__).resolve().parents[2]
_numbers = itertools.count()


class Packages:
    """A directory on sys.path for modules under names that nobody else has."""

    def __init__(self, root):
        self.root = root
        self.fired = []

    def name(self):
        return f"hfo_trigger_{os.getpid()}_{next(_numbers)}"

    def module(self, source="", name=None):
        name = name or self.name()
        path = self.root / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return name

    def package(self, source="", name=None):
        name = name or self.name()
        return self.module(source, name + ".__init__")[: -len(".__init__")]

    def archive(self, **sources):
        path = self.root / f"{self.name()}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, source in sources.items():
                archive.writestr(f"{name}.py", textwrap.dedent(source))
        sys.path.insert(0, str(path))
        importlib.invalidate_caches()
        return path

    def watch(self, name):
        import_hook.on_import(name, self.fired.append)
        return name


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """The import system as it was, before and after: finders, path, loaded modules and the hook's own state."""
    finders = list(sys.meta_path)
    monkeypatch.setattr(import_hook, "_callbacks", {})
    monkeypatch.setattr(import_hook, "_finder", import_hook._Finder())
    monkeypatch.setattr(sys, "meta_path", list(finders))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Packages(tmp_path)
    for name in [name for name in sys.modules if name.startswith("hfo_trigger_")]:
        del sys.modules[name]


# When it fires.


def test_it_fires_once_when_the_module_is_complete(packages):
    name = packages.watch(packages.module("first = 1\nlast = 2\n"))
    seen = []
    import_hook.on_import(name, lambda module: seen.append((module.last, threading.current_thread())))
    assert packages.fired == []
    module = importlib.import_module(name)
    assert packages.fired == [module]
    assert seen == [(2, threading.current_thread())]
    importlib.import_module(name)
    assert packages.fired == [module]


def test_an_imported_module_fires_at_once(packages):
    name = packages.module()
    module = importlib.import_module(name)
    packages.watch(name)
    assert packages.fired == [module]


def test_every_callback_is_called_in_order(packages):
    name = packages.module()
    order = []
    for number in range(3):
        import_hook.on_import(name, lambda _, number=number: order.append(number))
    importlib.import_module(name)
    assert order == [0, 1, 2]


def test_a_submodule_fires_by_its_full_name(packages):
    package = packages.package()
    child = packages.watch(packages.module("x = 1", f"{package}.child"))
    parent = importlib.import_module(package)
    assert packages.fired == []
    assert importlib.import_module(child) is parent.child
    assert packages.fired == [parent.child]


def test_a_package_fires_after_the_submodules_it_imports(packages):
    package = packages.package()
    packages.module("", f"{package}.child")
    packages.package("from . import child\ndone = True\n", package)
    order = []
    import_hook.on_import(package, lambda module: order.append(("package", module.done)))
    import_hook.on_import(f"{package}.child", lambda module: order.append(("child", module.__name__)))
    importlib.import_module(package)
    assert order == [("child", f"{package}.child"), ("package", True)]


def test_circular_imports_fire_when_each_is_complete(packages):
    one, two = packages.name(), packages.name()
    packages.module(f"import {two}\ndone = True\n", one)
    packages.module(f"import {one}\nhalf = not hasattr({one}, 'done')\ndone = True\n", two)
    order = []
    for name in (one, two):
        import_hook.on_import(name, lambda module: order.append((module.__name__, module.done)))
    importlib.import_module(one)
    assert order == [(two, True), (one, True)]
    assert sys.modules[two].half


def test_looking_for_a_module_is_not_importing_it(packages):
    name = packages.watch(packages.module())
    for _ in range(3):
        assert importlib.util.find_spec(name) is not None
    assert name in {module.name for module in pkgutil.iter_modules([str(packages.root)])}
    assert packages.fired == []
    importlib.import_module(name)
    assert len(packages.fired) == 1


def test_a_failed_import_does_not_fire_and_a_later_good_one_does(packages):
    name = packages.watch(packages.module("raise RuntimeError('not yet')"))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not yet"):
            importlib.import_module(name)
    assert packages.fired == []
    packages.module("ready = True\nlonger = True\n", name)
    module = importlib.import_module(name)
    assert packages.fired == [module]


def test_a_module_that_is_nowhere_ends_as_it_does_without_us(packages):
    name = packages.watch(packages.name())
    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module(name)
    assert raised.value.name == name
    assert packages.fired == []


def test_a_blocked_import_stays_blocked(packages, monkeypatch):
    name = packages.module()
    monkeypatch.setitem(sys.modules, name, None)
    packages.watch(name)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
    assert packages.fired == []


def test_a_reload_fires_again_with_what_was_reloaded(packages):
    name = packages.watch(packages.module("value = 1"))
    module = importlib.import_module(name)
    packages.module("value = 22", name)
    assert importlib.reload(module).value == 22
    assert packages.fired == [module, module]
    assert "exec_module" not in vars(module.__spec__.loader)


@pytest.mark.parametrize("before", [False, True], ids=["watched-first", "imported-first"])
def test_a_package_that_is_dropped_and_imported_anew_fires_anew(packages, before):
    package = packages.package("from . import child")
    packages.module("", f"{package}.child")
    first = importlib.import_module(package) if before else None
    for name in (package, f"{package}.child"):
        packages.watch(name)
    first = first or importlib.import_module(package)
    assert {module.__name__ for module in packages.fired} == {package, f"{package}.child"}
    packages.fired.clear()
    for name in (f"{package}.child", package):
        del sys.modules[name]
    second = importlib.import_module(package)
    assert second is not first
    assert packages.fired == [second.child, second]


def test_a_callback_that_the_program_interrupts_is_called_with_the_next_import(packages):
    class Limit(Exception):
        pass

    def ring(signum, frame):
        raise Limit

    calls = []

    def callback(module):
        calls.append(module.__name__)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGALRM)

    name = packages.module("value = 1")
    import_hook.on_import(name, callback)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Limit):
            importlib.import_module(name)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert importlib.import_module(name).value == 1
    assert calls == [name, name]


def test_a_lazy_module_fires_when_it_is_touched(packages):
    name = packages.watch(packages.module("value = 3"))
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    assert packages.fired == []
    assert module.value == 3
    assert packages.fired == [module]


def test_a_module_that_replaces_itself_fires_as_what_it_became(packages):
    name = packages.watch(
        packages.module(
            """
            import sys, types
            class Facade(types.ModuleType):
                answer = 42
            sys.modules[__name__] = Facade(__name__)
            """
        )
    )
    module = importlib.import_module(name)
    assert module.answer == 42
    assert packages.fired == [module]


def test_a_module_executed_by_hand_is_the_applications_business(packages):
    # As applications load plugins: the module never stands in sys.modules.
    name = packages.watch(packages.module("value = 5"))
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.value == 5
    imported = importlib.import_module(name)
    assert imported is not module
    assert imported in packages.fired


def test_code_executed_in_a_bare_module_runs(packages):
    name = packages.watch(packages.module("value = 6"))
    loader = importlib.util.find_spec(name).loader
    module = types.ModuleType(name)
    loader.exec_module(module)
    assert module.value == 6


def test_a_namespace_package_is_left_alone(packages):
    # It has nothing that is executed: what needs to see one imported has to look at its modules (see distro).
    package = packages.name()
    packages.module("value = 7", f"{package}.inner")
    packages.watch(package)
    inner = importlib.import_module(f"{package}.inner")
    assert inner.value == 7
    assert packages.fired == []


# What a callback may do.


def test_a_callback_that_raises_disturbs_nobody(packages, capsys):
    name = packages.module("value = 1")
    import_hook.on_import(name, lambda _: 1 / 0)
    packages.watch(name)
    module = importlib.import_module(name)
    assert packages.fired == [module]
    import_hook.on_import(name, lambda _: 1 / 0)
    assert capsys.readouterr() == ("", "")


def test_a_callback_may_import_and_register(packages):
    second = packages.module()
    first = packages.module()
    third = packages.module()

    def callback(module):
        packages.fired.append(module)
        import_hook.on_import(second, packages.fired.append)
        import_hook.on_import(third, packages.fired.append)
        importlib.import_module(second)
        importlib.import_module(first)

    import_hook.on_import(first, callback)
    importlib.import_module(first)
    importlib.import_module(third)
    assert [module.__name__ for module in packages.fired] == [first, second, third]


# Archives and loaders of other kinds.


def test_modules_in_an_archive_fire_and_their_neighbours_import(packages):
    one, two, three = (packages.name() for _ in range(3))
    packages.archive(**{one: f"import {two}\nvalue = 1", two: "value = 2", three: "value = 3"})
    packages.watch(one)
    packages.watch(three)
    module = importlib.import_module(one)
    assert packages.fired == [module]
    assert sys.modules[two].value == 2
    assert importlib.import_module(three).value == 3
    assert [fired.__name__ for fired in packages.fired] == [one, three]
    assert not {"exec_module", "load_module"} & set(vars(module.__spec__.loader))


def test_a_module_in_an_archive_that_fails_can_be_imported_later(packages):
    name, other = packages.name(), packages.name()
    packages.archive(**{name: "import os\nif 'HFO_FAIL' in os.environ: raise RuntimeError\n", other: "value = 2"})
    packages.watch(name)
    os.environ["HFO_FAIL"] = "1"
    try:
        with pytest.raises(RuntimeError):
            importlib.import_module(name)
    finally:
        del os.environ["HFO_FAIL"]
    assert importlib.import_module(other).value == 2
    assert packages.fired == []
    module = importlib.import_module(name)
    assert packages.fired == [module]


def test_asking_for_an_archived_module_again_and_again_costs_nothing_later(packages):
    # One zipimporter serves its archive for the life of the process: what is put on it must not pile up.
    name = packages.name()
    packages.archive(**{name: "value = 1"})
    packages.watch(name)
    for _ in range(2000):
        assert importlib.util.find_spec(name) is not None
    assert importlib.import_module(name).value == 1
    assert len(packages.fired) == 1


class Finder:
    """A meta path finder of the application's own, for the modules of one loader."""

    def __init__(self, loader, names):
        self.loader = loader
        self.names = names

    def find_spec(self, fullname, path=None, target=None):
        return importlib.machinery.ModuleSpec(fullname, self.loader) if fullname in self.names else None


class SlottedLoader:
    __slots__ = ()

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.value = "slotted"


def test_a_loader_that_cannot_be_watched_still_imports(packages):
    name = packages.watch(packages.name())
    sys.meta_path.insert(0, Finder(SlottedLoader(), {name}))
    assert importlib.import_module(name).value == "slotted"


class ClassLoader:
    """A class used as a loader, as the interpreter's BuiltinImporter and FrozenImporter are."""

    @classmethod
    def create_module(cls, spec):
        return None

    @staticmethod
    def exec_module(module):
        module.value = "by a class"


def test_a_class_used_as_a_loader_is_left_whole(packages):
    names = [packages.name() for _ in range(3)]
    packages.watch(names[0])
    before = dict(vars(ClassLoader))
    sys.meta_path.append(Finder(ClassLoader, set(names)))
    try:
        for name in names:
            assert importlib.import_module(name).value == "by a class"
        assert dict(vars(ClassLoader)) == before
    finally:
        ClassLoader.exec_module = before["exec_module"]


class SharedLoader:
    """One instance for many modules, with an attribute of its own where another tool has put its hook."""

    def __init__(self):
        self.hooked = []
        self.exec_module = self._hook

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        raise AssertionError("the hook is gone")

    def _hook(self, module):
        self.hooked.append(module.__name__)


def test_the_hook_of_another_tool_on_the_same_loader_stays(packages):
    loader, names = SharedLoader(), [packages.name() for _ in range(2)]
    packages.watch(names[0])
    sys.meta_path.append(Finder(loader, set(names)))
    for name in names:
        importlib.import_module(name)
    assert loader.hooked == names
    assert len(packages.fired) == 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python 3.12 took find_module out of the import system")
@pytest.mark.filterwarnings("ignore::ImportWarning", "ignore::DeprecationWarning")
def test_a_finder_of_the_old_protocol_keeps_its_place(packages):
    class OldFinder:
        def find_module(self, fullname, path=None):
            return self if fullname == name else None

        def load_module(self, fullname):
            module = sys.modules[fullname] = types.ModuleType(fullname)
            module.value = "from the old finder"
            module.__loader__ = self
            return module

    name = packages.watch(packages.module("value = 'from the file'"))
    sys.meta_path.insert(1, OldFinder())
    assert importlib.import_module(name).value == "from the old finder"


# Others on sys.meta_path.


class CuriousFinder:
    """Asks the import system itself, as coverage tools and lazy importers do; guards only its own recursion."""

    def __init__(self):
        self.asked = []
        self._busy = False

    def find_spec(self, fullname, path=None, target=None):
        if self._busy or not fullname.startswith("hfo_trigger_"):
            return None
        self._busy = True
        try:
            self.asked.append(fullname)
            return importlib.util.find_spec(fullname)
        finally:
            self._busy = False


@pytest.mark.parametrize("position", ["before", "after"])
def test_a_finder_that_asks_the_import_system_itself(packages, position):
    name = packages.module("value = 1")
    curious = CuriousFinder()
    if position == "before":
        packages.watch(name)
        sys.meta_path.insert(0, curious)
    else:
        sys.meta_path.insert(0, curious)
        packages.watch(name)
    assert importlib.import_module(name).value == 1
    assert len(packages.fired) == 1
    assert name in curious.asked


class Twin:
    """Asks all other finders, as ours does, and does not keep itself from being asked by them."""

    def find_spec(self, fullname, path=None, target=None):
        specs = (finder.find_spec(fullname, path, target) for finder in list(sys.meta_path) if finder is not self)
        return next((spec for spec in specs if spec is not None), None) if fullname.startswith("hfo_trigger_") else None


@pytest.mark.parametrize("position", ["before", "after"])
def test_two_finders_that_ask_each_other_come_to_an_end(packages, position):
    name, nowhere = packages.module("value = 1"), packages.name()
    for step in ("twin", "ours") if position == "before" else ("ours", "twin"):
        if step == "ours":
            packages.watch(name)
            packages.watch(nowhere)
        else:
            sys.meta_path.insert(0, Twin())
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(nowhere)
    assert importlib.import_module(name).value == 1
    assert len(packages.fired) == 1
    assert import_hook._finder._asking == {}


def test_an_application_that_rebuilds_the_meta_path_gets_the_trigger_back_with_the_next_registration(packages):
    packages.watch(packages.module())
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not import_hook._finder]
    name = packages.watch(packages.module())
    importlib.import_module(name)
    assert len(packages.fired) == 1
    assert sum(finder is import_hook._finder for finder in sys.meta_path) == 1


def test_the_finder_answers_for_nobody_else(packages):
    packages.watch(packages.name())
    assert sys.meta_path[0].find_spec("json", None, None) is None
    assert sys.meta_path[0].find_spec(packages.name()) is None
    importlib.invalidate_caches()


# Threads.


@pytest.mark.parametrize("modules", [1, 32], ids=["one-module", "a-module-each"])
def test_32_threads_importing(packages, modules):
    source = "import time\ntime.sleep(0.01)\ndone = True\n"
    names = [packages.watch(packages.module(source)) for _ in range(modules)] * (32 // modules)
    barrier, incomplete, errors = threading.Barrier(32), [], []

    def run(name):
        barrier.wait()
        try:
            if not hasattr(importlib.import_module(name), "done"):
                incomplete.append(name)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert (incomplete, errors) == ([], [])
    assert sorted(module.__name__ for module in packages.fired) == sorted(set(names))


# Whole processes.


def run(arguments, cwd):
    env = {**os.environ, "PYTHONPATH": str(AGENT), "PYTHONDONTWRITEBYTECODE": "1"}
    return harness.run(arguments, door=None, env=env, cwd=cwd, timeout=60)


WATCH = """
import sys
from hf_openobserve.process import import_hook
for name in ("hfo_pkg", "hfo_pkg.inner", "hfo_plain"):
    import_hook.on_import(name, lambda module: print("fired", module.__name__))
"""


@pytest.mark.parametrize(
    ("module", "output"),
    [
        pytest.param("hfo_pkg", ["fired hfo_pkg", "main __main__"], id="package"),
        pytest.param("hfo_pkg.inner", ["fired hfo_pkg", "inner __main__"], id="submodule"),
        pytest.param("hfo_plain", ["plain __main__"], id="module"),
    ],
)
def test_minus_m_runs_as_it_does_without_us(tmp_path, module, output):
    package = tmp_path / "hfo_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("print('main', __name__)")
    (package / "inner.py").write_text("print('inner', __name__)")
    (tmp_path / "hfo_plain.py").write_text("print('plain', __name__)")
    start = WATCH + f"\nimport runpy\nruntime = runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    done = run(["-c", start], tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == output


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_wrapts_import_hooks_and_ours_both_fire(tmp_path, first):
    # A process of its own: wrapt puts its finder on sys.meta_path once, for good.
    (tmp_path / "hfo_plain.py").write_text("value = 1")
    theirs = """
import wrapt
wrapt.register_post_import_hook(lambda module: print("wrapt", module.value), "hfo_plain")
"""
    start = theirs + WATCH if first == "theirs" else WATCH + theirs
    late = "import hfo_plain\nwrapt.when_imported('hfo_plain')(lambda module: print('late', module.value))\n"
    done = run(["-c", start + late], tmp_path)
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == ["fired hfo_plain", "late 1", "wrapt 1"]


def test_walking_packages_fires_for_what_it_imports_and_for_nothing_else(tmp_path):
    (tmp_path / "hfo_pkg").mkdir()
    (tmp_path / "hfo_pkg" / "__init__.py").write_text("")
    (tmp_path / "hfo_pkg" / "inner.py").write_text("")
    (tmp_path / "hfo_plain.py").write_text("")
    walk = f"import pkgutil\nprint(sorted(m.name for m in pkgutil.walk_packages([{str(tmp_path)!r}])))\n"
    done = run(["-c", WATCH + walk], tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["fired hfo_pkg", "['hfo_pkg', 'hfo_pkg.inner', 'hfo_plain']"]


def test_the_trigger_imports_nothing_that_a_starting_interpreter_has_not(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); "
        "from hf_openobserve.process import import_hook; import_hook.on_import('nothing', print); "
        "import colorsys; print(sorted(set(sys.modules) - before))"
    )
    done = run(["-S", "-c", program, str(AGENT)], tmp_path)
    assert done.stderr == ""
    assert (
        done.stdout
        == "['colorsys', 'hf_openobserve', 'hf_openobserve.process', 'hf_openobserve.process.import_hook']\n"
    )
