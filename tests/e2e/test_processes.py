"""Processes that make processes: every call of a parent or a child arrives once, whoever forked, spawned or killed it.

The servers and frameworks are real; each runs in a process group of its own, which is killed at the end of its test.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import harness
import outboxes
from hf_openobserve.outbox import store
from scripted import Reply, ScriptedEndpoint, chat_body

PROGRAMS = Path(__file__).parent / "processes"
START_S = 60
"""How long a server may take to listen, a call to be answered or a row to arrive on a machine that is busy elsewhere.
"""

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(150)]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


class Endpoint(ScriptedEndpoint):
    """Answers chats. Calls labelled ``pair-*`` are answered two at a time: one worker must not take both."""

    def __init__(self):
        self._pairs = threading.Barrier(2)
        super().__init__(self._chat)

    def _chat(self, _path, body):
        if body["user"].startswith("pair-"):
            self._pairs.wait(START_S)
        # A connection kept alive would be inherited by forked children, which is no client's fault and no agent's.
        return Reply(body=chat_body(), headers={"Connection": "close"})

    def forget(self):
        """A new test: no calls yet, and nobody who waits for a second half of a pair."""
        self.calls.clear()
        self._pairs.reset()

    def wait_for_calls(self, count):
        wait_until(lambda: len(self.calls) >= count, f"{count} calls")


class Service:
    """A server under test: one process group, its output in files, a free port in ``{port}`` of its arguments."""

    def __init__(self, arguments, door, env, cwd):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        program = str(Path(sys.executable).parent / arguments[0])
        rest = [str(argument).replace("{port}", str(self.port)) for argument in arguments[1:]]
        self._stdout, self._stderr = cwd.parent / "stdout", cwd.parent / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                list(harness.command(door, program, rest)),
                env=harness.through(door, env),
                cwd=str(cwd),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def stdout(self):
        return self._stdout.read_text(errors="replace")

    @property
    def stderr(self):
        return self._stderr.read_text(errors="replace")

    def wait_until_listening(self):
        def listens():
            assert self._process.poll() is None, self.stdout + self.stderr
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listens, "the server to listen")

    def get(self, path):
        """The body of a GET; None if the server hung up without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, body + self.stderr
            return body
        except (ConnectionError, http.client.BadStatusLine):
            return None
        finally:
            connection.close()

    def ask(self, label):
        """The pid of the process that made the call. A server that has just been told to reload may hang up once."""
        found = []
        wait_until(lambda: found.append(self._try_to_ask(label)) or found[-1], f"an answer to {label}")
        return int(found[-1])

    def _try_to_ask(self, label):
        try:
            return self.get("/ask/" + label)
        except OSError:  # not listening between two lives
            return None

    def ask_both_workers(self, endpoint):
        """Calls ``pair-1`` and ``pair-2``, made by two processes: the first is kept busy until the second calls."""
        pids = []
        first = threading.Thread(target=lambda: pids.append(self.ask("pair-1")), daemon=True)
        before = len(endpoint.calls)
        first.start()
        endpoint.wait_for_calls(before + 1)
        pids.append(self.ask("pair-2"))
        first.join(START_S)
        return set(pids)

    def stop(self, signal_number=signal.SIGTERM, *, group=False):
        """End it as its supervisor would, or as a terminal would (the whole group), and read what it said."""
        self.tell(signal_number, group=group)
        self._process.wait(START_S)
        self.check_stderr()

    def tell(self, signal_number, *, group=False):
        (os.killpg if group else os.kill)(self._process.pid, signal_number)

    def check_stderr(self):
        said = self.stderr
        for word in ("hf-openobserve:", "Traceback", "Exception ignored", "multi-threaded"):
            assert word not in said, said

    def kill(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(START_S)


class Stage:
    """What a test has: the endpoint that is called, the server that is told, a copy of the programs to run and edit."""

    def __init__(self, openobserve, endpoint, tmp_path):
        self.openobserve = openobserve
        self.endpoint = endpoint
        self.programs = tmp_path / "programs"
        shutil.copytree(str(PROGRAMS), str(self.programs), ignore=shutil.ignore_patterns("__pycache__"))
        self.env = harness.environment(
            tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"}
        )
        self._services = []

    def serve(self, door, *arguments, **env):
        service = Service(arguments, door, dict(self.env, **env), self.programs)
        self._services.append(service)
        return service

    def run(self, door, script, *arguments, **env):
        env = dict(self.env, **env)
        return harness.run_ok(
            [str(self.programs / script), *arguments], door=door, env=env, cwd=self.programs, timeout=START_S
        )

    def arrived(self, *labels, others=0):
        """The rows of these calls and of no other ones, each once; ``others``: spans of other instrumentors."""
        self.openobserve.wait_for_rows(len(labels) + others, timeout=START_S)
        rows = self.openobserve.rows()
        calls = [row for row in rows if row.get("openinference_span_kind") == "LLM"]
        assert sorted(json.loads(row["llm_invocation_parameters"])["user"] for row in calls) == sorted(labels)
        assert len(self.endpoint.calls) == len(labels)
        assert len(rows) == len(labels) + others
        assert self.openobserve.collisions == []
        return calls

    def edit(self, program):
        """Change a program as an editor would, for its reloader to see."""
        path = self.programs / program
        path.write_text(path.read_text() + "\n# edited\n")
        later = time.time() + 2  # some reloaders compare whole seconds
        os.utime(str(path), (later, later))

    def close(self):
        for service in self._services:
            service.kill()


@pytest.fixture(scope="module")
def endpoint():
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def stage(openobserve, endpoint, tmp_path):
    endpoint.forget()
    stage = Stage(openobserve, endpoint, tmp_path)
    try:
        yield stage
    finally:
        stage.close()


def wait_until(condition, what):
    end = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < end, f"waited {START_S} s for {what}"
        time.sleep(0.05)


def services(rows):
    return {row["service_name"] for row in rows}


def test_uvicorn_workers(stage, door):
    pytest.importorskip("uvicorn")
    uvicorn = stage.serve(door, "uvicorn", "--workers", "2", "--port", "{port}", "web_asgi:app")
    uvicorn.wait_until_listening()
    assert len(uvicorn.ask_both_workers(stage.endpoint)) == 2
    stage.arrived("pair-1", "pair-2")
    uvicorn.stop()
    assert services(stage.arrived("pair-1", "pair-2")) == {"uvicorn"}


def test_uvicorn_reloader(stage, door):
    pytest.importorskip("uvicorn")
    uvicorn = stage.serve(door, "uvicorn", "--reload", "--port", "{port}", "web_asgi:app")
    reloads(stage, uvicorn, "web_asgi.py")
    uvicorn.stop()
    assert services(stage.arrived("before", "after")) == {"uvicorn"}


def test_flask_reloader(stage, door):
    pytest.importorskip("flask")
    flask = stage.serve(door, "flask", "--app", "web_flask", "run", "--debug", "--port", "{port}")
    server_span = 1 if door == "wrapper" else 0
    reloads(stage, flask, "web_flask.py", others=server_span)
    flask.stop(signal.SIGINT, group=True)
    calls = stage.arrived("before", "after", others=2 * server_span)
    assert services(calls) == {"flask"}
    requests = [row for row in stage.openobserve.rows() if row not in calls]
    assert [row["span_kind"] for row in requests] == ["2"] * len(requests)
    if server_span:
        parents = {request["span_id"]: request["trace_id"] for request in requests}
        assert {call["reference_parent_span_id"]: call["trace_id"] for call in calls} == parents


def test_django_reloader(stage, door):
    pytest.importorskip("django")
    django = stage.serve(door, "python", "manage.py", "runserver", "{port}")
    reloads(stage, django, "manage.py")
    django.stop(signal.SIGINT, group=True)
    assert services(stage.arrived("before", "after")) == {"manage"}


def reloads(stage, service, program, others=0):
    """A call, an edit, a call by the process that was started then. ``others``: spans beside each call's.

    Each row is waited for: a reloader ends its children without grace, and one that dies after the server has taken a
    row and before it could delete it leaves it to be sent a second time.
    """
    service.wait_until_listening()
    before = service.ask("before")
    stage.arrived("before", others=others)
    for _ in range(START_S // 3):
        # An edit before the reloader's first look at the file is none to it: edit again.
        stage.edit(program)
        if is_gone_within(3, before):
            break
    assert service.ask("after") != before
    stage.arrived("before", "after", others=2 * others)


def is_gone_within(timeout_s, pid):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("door", harness.DOORS)
def test_gunicorn_workers(stage, door):
    pytest.importorskip("gunicorn")
    gunicorn = stage.serve(door, "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "web_wsgi:app")
    gunicorn.wait_until_listening()
    assert len(gunicorn.ask_both_workers(stage.endpoint)) == 2
    gunicorn.stop()
    assert services(stage.arrived("pair-1", "pair-2")) == {"gunicorn"}


def test_gunicorn_preloaded_client_that_called_before_the_fork(stage, door):
    pytest.importorskip("gunicorn")
    arguments = ("--preload", "--workers", "2", "--bind", "127.0.0.1:{port}", "web_preloaded:app")
    gunicorn = stage.serve(door, "gunicorn", *arguments)
    gunicorn.wait_until_listening()
    assert len(gunicorn.ask_both_workers(stage.endpoint)) == 2
    gunicorn.stop()
    assert services(stage.arrived("master", "pair-1", "pair-2")) == {"gunicorn"}


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["loaded", "preloaded"])
def test_gunicorn_worker_of_greenlets(stage, door, preload):
    """gevent patches in the worker: where the application is preloaded, after the client has been built and forked.

    Its two calls are two greenlets' at the same time.
    """
    pytest.importorskip("gunicorn")
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("gevent is not installed: it may have no wheel for this Python")
    application = "web_preloaded:app" if preload else "web_wsgi:app"
    arguments = (*preload, "--worker-class", "gevent", "--bind", "127.0.0.1:{port}", application)
    gunicorn = stage.serve(door, "gunicorn", *arguments, PYTHONWARNINGS="ignore")
    gunicorn.wait_until_listening()
    assert len(gunicorn.ask_both_workers(stage.endpoint)) == 1
    gunicorn.stop()
    stage.arrived(*(["master"] if preload else []), "pair-1", "pair-2")


@pytest.mark.parametrize("application", ["web_wsgi:app", "web_preloaded:app"])
def test_gunicorn_worker_killed_after_its_call(stage, application):
    pytest.importorskip("gunicorn")
    preload = ["--preload"] if application == "web_preloaded:app" else []
    gunicorn = stage.serve("pythonpath", "gunicorn", *preload, "--bind", "127.0.0.1:{port}", application)
    gunicorn.wait_until_listening()
    assert gunicorn.get("/die/killed") is None
    if preload:
        # The master has a sender of its own, which delivers what its dead child left, at its end at the latest.
        gunicorn.stop()
        stage.arrived("master", "killed")
    else:
        # The master knows no client: the worker that takes the dead one's place delivers.
        gunicorn.ask("next")
        stage.arrived("killed", "next")
        gunicorn.stop()


def test_celery_prefork_through_the_wrapper(stage, tmp_path):
    celery = stage.serve("wrapper", "celery", *celery_worker(), BROKER_DIR=broker(tmp_path), ASK_AT_IMPORT="1")
    give_a_task_to_each_child(stage, celery, tmp_path)
    assert services(stage.arrived("master", "pair-1", "pair-2")) == {"celery"}
    celery.check_stderr()


def test_celery_prefork_children_deliver_when_the_worker_is_stopped(stage, tmp_path):
    celery = stage.serve("pythonpath", "celery", *celery_worker(), BROKER_DIR=broker(tmp_path), ASK_AT_IMPORT="1")
    give_a_task_to_each_child(stage, celery, tmp_path)
    celery.tell(signal.SIGTERM)
    # Not waited for to the end: on this broker the worker's master takes 7 s for it, with and without an agent.
    assert services(stage.arrived("master", "pair-1", "pair-2")) == {"celery"}
    celery.check_stderr()


def test_celery_prefork_children_deliver_when_they_end_after_a_task(stage, tmp_path):
    arguments = celery_worker("--max-tasks-per-child", "1")
    celery = stage.serve("pythonpath", "celery", *arguments, BROKER_DIR=broker(tmp_path))
    give_a_task_to_each_child(stage, celery, tmp_path)
    # Their master, which kills them when they say that they are at their end, knows no client.
    stage.arrived("pair-1", "pair-2")
    celery.check_stderr()


def give_a_task_to_each_child(stage, celery, tmp_path):
    wait_until(lambda: "ready" in celery.stdout, "the worker to be ready")
    before = len(stage.endpoint.calls)
    for label in ("pair-1", "pair-2"):
        send_task(tmp_path, label)
    stage.endpoint.wait_for_calls(before + 2)


def celery_worker(*more):
    pytest.importorskip("celery")
    return ("-A", "tasks", "worker", "--concurrency", "2", "--without-gossip", "--without-mingle", *more)


def broker(tmp_path):
    directory = tmp_path / "broker"
    (directory / "control").mkdir(parents=True)
    return str(directory)


def send_task(tmp_path, label):
    from celery import Celery

    directory = str(tmp_path / "broker")
    # The control folder is made when it is not named too, in the working directory of the tests.
    options = {"data_folder_in": directory, "data_folder_out": directory, "control_folder": directory + "/control"}
    with Celery(broker="filesystem://", broker_connection_retry=False) as app:
        app.conf.broker_transport_options = options
        app.send_task("tasks.ask_in_worker", [label])


FORKED = ("process/fork", "executor/fork")
STARTED = ("process/forkserver", "process/spawn", "executor/forkserver", "executor/spawn", "subprocess")


@pytest.mark.parametrize("door", harness.DOORS)
@forks
@pytest.mark.matrix
@pytest.mark.parametrize(("parent", "ways"), [("calls", FORKED + STARTED), ("idle", FORKED)], ids=["calls", "idle"])
def test_children_of_multiprocessing_and_subprocess(stage, door, parent, ways):
    stage.run(door, "children.py", parent, "exit", *ways)
    own = ["parent"] if parent == "calls" else []
    assert services(stage.arrived(*own, *labels(*ways))) == {"children"}


@forks
@pytest.mark.matrix
@pytest.mark.parametrize(
    ("parent", "way"), [("builds", "process/fork"), ("idle", "process/fork"), ("idle", "process/forkserver")]
)
def test_a_child_of_multiprocessing_delivers_at_its_own_end(stage, way, parent):
    """These leave by ``os._exit``; here their parent does so too, and delivers nothing in their place."""
    stage.run("pythonpath", "children.py", parent, "_exit", way)
    stage.arrived(*labels(way))


@forks
@pytest.mark.matrix
def test_what_killed_children_left_is_delivered_by_a_parent_with_a_client(stage):
    stage.run("pythonpath", "children.py", "builds", "exit", "os.fork", "killed/fork")
    stage.arrived(*labels("os.fork", "killed/fork"))


@forks
@pytest.mark.matrix
def test_what_the_workers_of_a_pool_left_is_delivered_by_a_parent_with_a_client_at_its_exit(stage):
    """``with Pool()`` ends its workers by SIGTERM, most often before their first flush."""
    # Nothing is listening while they live: one that is killed while it sends would leave what has been taken.
    stage.openobserve.stop()

    def listen_again():
        wait_until((stage.programs / "waiting").exists, "the parent to be done with its pool")
        stage.openobserve.start()
        (stage.programs / "go").touch()

    listening = threading.Thread(target=listen_again, daemon=True)
    listening.start()
    stage.run("pythonpath", "children.py", "builds", "exit", "pool/fork", "wait")
    listening.join(START_S)
    stage.arrived(*labels("pool/fork"))


@forks
@pytest.mark.matrix
def test_what_killed_children_left_is_delivered_by_the_next_process(stage):
    ways = ("os.fork", "killed/fork", "pool/fork")
    # Nothing is listening: a child that is killed while it sends would leave to the next one what has been taken.
    stage.openobserve.stop()
    # The parent knows no client, and with it nothing of the agent but a trigger.
    stage.run("pythonpath", "children.py", "idle", "exit", *ways)
    stage.openobserve.start()
    # This one makes no call, but with a client its sender is there.
    stage.run("pythonpath", "children.py", "builds", "exit")
    stage.arrived(*labels(*ways))


def labels(*ways):
    return [f"{way}-{number}" for way in ways for number in ((1, 2) if way.endswith("/fork") else (1,))]


@forks
@pytest.mark.matrix
def test_a_fork_while_the_sender_imports_leaves_the_child_its_imports(stage):
    done = stage.run("pythonpath", "fork_while_importing.py")
    assert done.stdout == "requests\n0\n"
    stage.arrived("parent", "child")


@forks
@pytest.mark.matrix
def test_the_warning_about_threads_at_a_fork_is_the_applications_own(stage):
    script = str(stage.programs / "fork_warning.py")
    done = harness.run([script], door="pythonpath", env=stage.env, cwd=stage.programs, timeout=START_S)
    # The program forks three times, and has a thread of its own at the third one.
    assert done.returncode == 0
    assert done.stderr.count("DeprecationWarning: This process") == (1 if sys.version_info >= (3, 12) else 0)
    assert len(done.stderr.splitlines()) == (2 if sys.version_info >= (3, 12) else 0)


@forks
@pytest.mark.matrix
def test_a_signal_that_the_program_waits_for_is_not_taken_by_the_sender(stage):
    done = stage.run("pythonpath", "wait_for_signal.py")
    assert done.stdout == "True\n"
    stage.arrived("parent")


@forks
@pytest.mark.matrix
def test_a_segment_that_another_process_takes_before_it_is_locked_costs_no_span(tmp_path, monkeypatch):
    ours, theirs = (store.DirectoryStore(str(tmp_path), "local", 1 << 20) for _ in range(2))
    ours.append(1, b"first")
    ours.seal()
    os_open, taken = os.open, []

    def open_and_be_seen(path, flags, *mode, **within):
        descriptor = os_open(path, flags, *mode, **within)
        if flags & os.O_CREAT and not taken:
            taken.append(path)
            for claimed in theirs.claim():
                claimed.delete()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_be_seen)
    ours.append(2, b"second")
    monkeypatch.undo()
    assert not (tmp_path / "local" / taken[0]).exists()
    ours.seal()
    assert [claimed.records for claimed in theirs.claim()] == [[(2, b"second")]]


def test_a_process_without_a_destination_is_delivered_while_it_runs(endpoint, openobserve, tmp_path):
    """A sidecar does it: the program has no token, and `ship` finds its calls in the directory that they share."""
    program = (
        "import openai, os, sys\n"
        "client = openai.OpenAI(base_url=os.environ['HF_BASE_URL'], api_key='x', max_retries=0)\n"
        "client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'Hi'}], user='one')\n"
        "sys.stdin.read()\n"
    )
    env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url})
    command = list(harness.command("pythonpath", sys.executable, ["-c", program]))
    running = subprocess.Popen(command, env=harness.through("pythonpath", env), stdin=subprocess.PIPE)
    try:

        def shipped():
            outboxes.invoke(["ship"], {**env, **openobserve.environment})
            return openobserve.rows(timeout=0.5)

        wait_until(shipped, "the call of a process that goes on")
        assert running.poll() is None
    finally:
        running.communicate(b"", timeout=30)
    assert running.returncode == 0
    assert len(openobserve.rows(timeout=1)) == 1
