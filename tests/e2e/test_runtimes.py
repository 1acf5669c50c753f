"""Runtimes other than a plain script: greenlets, uvloop, a notebook's kernel, no kernel locks, an interpreter's end.

Each program says and does what it does without the agent, and its rows arrive: by itself, or by the next ``ship`` where
its test says so. Subinterpreters are left out: pydantic-core, which openai needs, refuses to be imported into one.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import harness
import outboxes
from scripted import Reply, ScriptedEndpoint, chat_body

HERE = Path(__file__).parent
RUNTIMES = HERE / "runtimes"
START_S = 60
"""How long a program may run, and a row may take to arrive, on a machine that is busy elsewhere."""

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(200)]


class Endpoint(ScriptedEndpoint):
    """Answers chats; those labelled ``never``, when the test is over."""

    def __init__(self):
        self.over = threading.Event()
        super().__init__(self._chat)

    def _chat(self, _path, body):
        if body["user"] == "never":
            self.over.wait(START_S)
        return Reply(body=chat_body(), headers={"Connection": "close"})


_bare = {}
"""What each program and its arguments left behind without the agent."""


class Stage:
    """What a test has: an endpoint to call, a server to be told, and programs that are run bare and through a door."""

    def __init__(self, openobserve, endpoint, tmp_path):
        self.openobserve = openobserve
        self.endpoint = endpoint
        self.tmp_path = tmp_path
        self.env = harness.environment(
            tmp_path,
            openobserve.environment,
            {
                "HF_BASE_URL": endpoint.url,
                "OPENAI_API_KEY": "x",
                "PYTHONPATH": str(HERE / "processes"),
                "PYTHONDONTWRITEBYTECODE": "1",
                # gevent's warning names modules in the order of a set; eventlet's is about eventlet.
                "PYTHONWARNINGS": "ignore",
            },
        )

    def run(self, door, *program, **env):
        merged = dict(self.env, **env)
        if door is None:
            merged = {name: value for name, value in merged.items() if not name.startswith("OPENOBSERVE_")}
        command = [str(RUNTIMES / program[0]), *program[1:]]
        return harness.run(command, door=door, env=merged, cwd=self.tmp_path, timeout=START_S)

    def run_as_bare(self, door, *program):
        """Run a program through the door: it says and ends the same as it does bare, where it is run but once."""
        done = self.run(door, *program)
        if program not in _bare:
            _bare[program] = self.run(None, *program)
        assert done == _bare[program]
        return done

    def ship(self):
        shipped = outboxes.invoke(["ship"], self.env)
        assert shipped.exit_code == 0, shipped.stderr

    def arrived(self, *labels):
        """The rows of these calls, each once, and of no other ones."""
        self.openobserve.wait_for_rows(len(labels), timeout=START_S)
        rows = self.openobserve.rows()
        assert sorted(json.loads(row["llm_invocation_parameters"])["user"] for row in rows) == sorted(labels)
        return rows


@pytest.fixture
def stage(openobserve, tmp_path):
    with Endpoint() as endpoint:
        try:
            yield Stage(openobserve, endpoint, tmp_path)
        finally:
            endpoint.over.set()


def needs(name):
    """Skip where a package has no wheel for this Python."""
    return pytest.importorskip(name, reason=f"{name} is not installed: it may have no wheel for this Python")


# Greenlets. The sender is one of them, or a thread where it started before the patch.


GREENLETS = [f"greenlet-{number}" for number in range(5)]


def green(library):
    """Not imported here: eventlet warns, and both look at the threads of the process that runs the tests."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: it may have no wheel for this Python")


@pytest.mark.parametrize(
    ("library", "when"),
    [
        *(("gevent", when) for when in ("before", "built", "called", "forks")),
        # Not once it has called: eventlet itself prints a traceback then, and the interpreter may crash at its end.
        *(("eventlet", when) for when in ("before", "built", "forks")),
    ],
)
def test_greenlets(stage, door, library, when):
    green(library)
    if library == "eventlet":
        # An instrumentor imports its library when the wrapper loads it, under any distro, and so before eventlet can
        # patch.
        stage.env["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "flask,requests"
    stage.run_as_bare(door, "green.py", library, when)
    more = {"called": ["early"], "forks": ["child"]}.get(when, [])
    if when == "called":
        # The sender is a thread from before the patch, and looks up its server by the library from now on: on a thread
        # of that one, which cannot be started any more if the program is about to end. Then the next process delivers.
        stage.ship()
    stage.arrived(*GREENLETS, *more)


@pytest.mark.parametrize(("library", "when"), [("gevent", "before"), ("gevent", "called"), ("eventlet", "before")])
def test_a_silent_server_delays_the_exit_of_greenlets_by_the_budget_alone(stage, library, when):
    """Not where eventlet patches after a call: a thread that waits on its hub then can crash the interpreter's end."""
    green(library)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        took = []
        for door in (None, "pythonpath"):
            began = time.monotonic()
            done = stage.run(door, "green.py", library, when, OPENOBSERVE_URL=url, OPENOBSERVE_HF_EXIT_TIMEOUT_S="1")
            took.append(time.monotonic() - began)
            assert (done.stdout, done.returncode) == ("done\n", 0)
    # A request would wait 10 s for the server.
    assert took[1] - took[0] < 1 + 6


# uvloop.


@pytest.mark.parametrize("door", harness.DOORS)
def test_uvloop(stage, door):
    needs("uvloop")
    done = stage.run_as_bare(door, "uv.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("uvloop\n")
    stage.arrived(*(f"task-{number}" for number in range(20)))


# A notebook's kernel.


class Kernel:
    """A kernel of ipykernel, entered through a door; ``None`` is no door."""

    def __init__(self, stage, door):
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager

        spec = stage.tmp_path / "kernels" / f"through-{door}"
        spec.mkdir(parents=True)
        arguments = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv = list(harness.command(door, sys.executable, arguments))
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}))
        specs = KernelSpecManager(kernel_dirs=[str(spec.parent)])
        self.manager = KernelManager(
            kernel_name=spec.name, kernel_spec_manager=specs, connection_file=str(stage.tmp_path / f"{spec.name}.json")
        )
        env = dict(stage.env, IPYTHONDIR=str(stage.tmp_path / "ipython"))
        if door is None:
            env = {name: value for name, value in env.items() if not name.startswith("OPENOBSERVE_")}
        self.stderr = stage.tmp_path / f"stderr-{door}"
        with self.stderr.open("wb") as stderr:
            self.manager.start_kernel(
                env=harness.through(door, env), cwd=str(stage.tmp_path), stdout=stderr, stderr=stderr
            )
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=START_S)
        except BaseException:
            self.end()
            raise

    def run(self, cell, *, interrupt_when=None):
        """What a cell shows: its streams, and the name of the error it ends with."""
        shown = []

        def show(message):
            content = message["content"]
            if message["header"]["msg_type"] == "stream":
                shown.append((content["name"], content["text"]))
            elif message["header"]["msg_type"] == "error":
                shown.append(("error", content["ename"]))

        if interrupt_when is not None:
            threading.Thread(target=self._interrupt, args=(interrupt_when,), daemon=True).start()
        self.client.execute_interactive(cell, output_hook=show, timeout=START_S, store_history=False)
        return shown

    def _interrupt(self, when):
        wait_until(when)
        self.manager.interrupt_kernel()

    def end(self):
        """Shut it down as a notebook does, with the time to end by itself."""
        self.manager.shutdown_wait_time = START_S
        self.client.stop_channels()
        self.manager.shutdown_kernel()


def wait_until(condition):
    end = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def kernel(stage):
    needs("jupyter_client")
    needs("ipykernel")
    started = []

    def start(door):
        started.append(Kernel(stage, door))
        return started[-1]

    yield start
    for one in started:
        if one.manager.has_kernel:
            one.manager.shutdown_kernel(now=True)
        one.manager.cleanup_resources()


CELLS = ("from asking import ask\nprint('imported')", "print(ask('cell-1') and 'asked')", "_ = ask('cell-2')")


@pytest.mark.parametrize("door", harness.DOORS)
def test_cells_of_a_notebook(stage, kernel, door):
    bare = kernel(None)
    expected = [bare.run(cell) for cell in CELLS]
    bare.end()
    through = kernel(door)
    assert [through.run(cell) for cell in CELLS] == expected
    through.end()
    assert through.stderr.read_text() == bare.stderr.read_text()
    rows = stage.arrived("cell-1", "cell-2")
    assert {row["service_name"] for row in rows} == {"ipykernel_launcher"}


def test_a_cell_interrupted_in_its_call(stage, kernel):
    shown = {}
    for door in (None, "pythonpath"):
        stage.endpoint.calls.clear()
        one = kernel(door)
        one.run(CELLS[0])
        cells = [one.run("_ = ask('never')", interrupt_when=lambda: stage.endpoint.calls)]
        cells.append(one.run("print(ask('next') and 'asked')"))
        one.end()
        shown[door] = (cells, one.stderr.read_text())
    assert shown["pythonpath"] == shown[None]
    assert shown[None][0][0] == [("error", "KeyboardInterrupt")]
    rows = stage.arrived("never", "next")
    assert {row["span_status"] for row in rows} == {"ERROR", "OK"}


# No kernel locks, as on some NFS mounts: flock itself fails, by a library put before the C library.


def preloaded(stage, name, text):
    """A library with a ``flock`` of its own, to be put before the C library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = stage.tmp_path / f"{name}.c", stage.tmp_path / f"{name}.so"
    source.write_text(text)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=START_S)
    return str(library)


on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD")


@on_linux
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_without_kernel_locks_spans_wait_in_memory(stage, error):
    text = f"#include <errno.h>\nint flock(int f, int o) {{ (void)f; (void)o; errno = {error}; return -1; }}\n"
    done = stage.run("pythonpath", "late.py", "nowhere", "first", LD_PRELOAD=preloaded(stage, "no_locks", text))
    assert (done.stdout, done.returncode) == ("main ended\n", 0)
    (line,) = done.stderr.splitlines()
    assert line.startswith("hf-openobserve: no directory for the outbox")
    assert os.strerror(getattr(errno, error)) in line
    stage.arrived("early")


@on_linux
def test_where_locks_keep_nobody_out_spans_wait_in_memory(stage):
    library = preloaded(stage, "any_lock", "int flock(int f, int o) { (void)f; (void)o; return 0; }\n")
    done = stage.run("pythonpath", "late.py", "nowhere", "first", LD_PRELOAD=library)
    (line,) = done.stderr.splitlines()
    assert "locks keep nobody out" in line
    stage.arrived("early")


NFS = """
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int file, int what) {
    int mode = fcntl(file, F_GETFL) & O_ACCMODE;
    if (((what & LOCK_EX) && mode == O_RDONLY) || ((what & LOCK_SH) && mode == O_WRONLY)) { errno = EBADF; return -1; }
    return syscall(SYS_flock, file, what);
}
"""
"""The rule of Linux's NFSv4 client: who asks for an exclusive lock must have the file open for writing."""


@on_linux
def test_on_nfs_spans_are_on_disk_and_delivered(stage):
    done = stage.run("pythonpath", "late.py", "nowhere", "first", LD_PRELOAD=preloaded(stage, "nfs", NFS))
    assert (done.stdout, done.stderr, done.returncode) == ("main ended\n", "", 0)
    stage.arrived("early")


# The end of the interpreter.


@pytest.mark.matrix
@pytest.mark.parametrize("when", ["first", "there"])
@pytest.mark.parametrize("where", ["atexit", "thread", "del"])
def test_a_call_made_while_the_interpreter_ends(stage, where, when):
    done = stage.run_as_bare("pythonpath", "late.py", where, when)
    assert done.returncode == 0
    stage.ship()
    # Some clients cannot make their first call by then, with us or without: openai 2.48 on Python 3.9 imports in it.
    asked = "asked" in done.stdout
    assert asked is (where != "del") or (when == "there" and "can't register atexit" in done.stdout)
    stage.arrived(*(["early"] if when == "first" else []), *(["late"] if asked else []))


@pytest.mark.matrix
def test_a_daemon_thread_in_its_call_when_the_program_ends(stage):
    stage.run_as_bare("pythonpath", "late.py", "daemon", "first")
    stage.arrived("early")


@pytest.mark.matrix
@pytest.mark.parametrize("door", harness.DOORS)
def test_a_program_that_leaves_by_os_exit(stage, door):
    done = stage.run_as_bare(door, "leave.py")
    assert (done.stdout, done.stderr, done.returncode) == ("leaving\n", "", 7)
    stage.ship()
    stage.arrived("last")
