"""Whose exception it is: what our code raised is ours, what came from outside is the program's (docs/laws.md#1)."""

from __future__ import annotations

import bdb
import ctypes
import functools
import json
import os
import signal
import sys
import threading
import time
import types
from unittest import mock

import pytest

from hf_openobserve.process import diagnostics, interruptions

pytestmark = pytest.mark.matrix


class Limit(Exception):
    """A job runner's."""


def ring(signum, frame):
    raise Limit("took too long")


def ring_with_any(*_):
    raise Limit("took too long")


def ring_deeply(signum, frame):
    ring_with_any()


def ring_forgetful(signum, frame):
    del signum, frame
    raise Limit


def ring_named(signum, frame, *, message="took too long"):
    raise TimeoutError(message)


class Ringing:
    def method(self, signum, frame):
        raise Limit("took too long")

    def __call__(self, signum, frame):
        raise Limit("took too long")


HANDLERS = {
    "function": ring,
    "any-arguments": ring_with_any,
    "beneath-it": ring_deeply,
    "deleted-arguments": ring_forgetful,
    "lambda": lambda *given: ring_with_any(*reversed(given)),
    "method": Ringing().method,
    "object": Ringing(),
    "partial": functools.partial(ring_named, message="x"),
    "partial-positional": functools.partial(lambda _self, *more: ring(*more), 1),
    "mock": mock.Mock(side_effect=Limit("took too long")),
    "timeout-error": ring_named,
}


@pytest.fixture
def alarm():
    def set_up(handler):
        signal.signal(signal.SIGALRM, handler)

    before = signal.getsignal(signal.SIGALRM)
    yield set_up
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def by_a_call():
    signal.raise_signal(signal.SIGALRM)


def while_it_computes():
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    while True:
        json.dumps({"a": [1] * 10})


def while_it_waits():
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    threading.Event().wait(20)


@pytest.mark.parametrize("where", [by_a_call, while_it_computes, while_it_waits])
@pytest.mark.parametrize("handler", list(HANDLERS))
def test_what_a_signals_handler_raises_passes(alarm, handler, where):
    alarm(HANDLERS[handler])
    with pytest.raises((Limit, TimeoutError)) as raised:
        diagnostics.guarded("here", where)
    assert interruptions.programs_own(raised.value) is raised.value


@pytest.mark.parametrize("handler", [ring, ring_with_any, ring_named])
def test_a_handler_that_has_put_another_in_its_place_is_known_by_what_it_was_given(alarm, handler):
    def once(*given):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        handler(*given)

    alarm(once)
    with pytest.raises((Limit, TimeoutError)):
        diagnostics.guarded("here", by_a_call)


def test_what_a_debugger_raises_to_quit_passes():
    def trace(frame, event, argument):
        raise bdb.BdbQuit

    def step():
        sys.settrace(trace)
        return later()

    def later():
        return 1

    before = sys.gettrace()
    try:
        with pytest.raises(bdb.BdbQuit):
            diagnostics.guarded("here", step)
    finally:
        sys.settrace(before)


def raise_in(thread, error_class):
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error_class)) == 1


@pytest.mark.parametrize("error_class", [Limit, TimeoutError])
def test_what_another_thread_raises_in_this_one_passes(error_class):
    main, running = threading.get_ident(), threading.Event()

    def step():
        # Nothing of the program's runs here: the code is compiled as a module of ours would be.
        running.set()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            pass

    ours = types.FunctionType(
        step.__code__, {"time": time, "__name__": "hf_openobserve.step"}, closure=step.__closure__
    )
    thread = threading.Thread(target=lambda: running.wait(20) and raise_in(main, error_class))
    thread.start()
    try:
        with pytest.raises(error_class):
            diagnostics.guarded("here", ours)
    finally:
        thread.join()


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_what_concerns_the_whole_process_passes(error):
    def step():
        raise error

    with pytest.raises(type(error)) as raised:
        diagnostics.guarded("here", step)
    assert raised.value is error
    assert raised.value.__context__ is None


def test_the_end_of_the_programs_own_recursion_passes():
    reached = []

    def recurse(depth):
        diagnostics.guarded("here", lambda: None)
        reached.append(depth)
        recurse(depth + 1)

    with pytest.raises(RecursionError):
        recurse(0)
    assert len(reached) > 100


@pytest.mark.parametrize("explicit", [True, False])
def test_the_programs_own_passes_as_it_was_where_a_library_made_another_of_it(alarm, explicit):
    alarm(ring)

    def step():
        try:
            by_a_call()
        except Limit as error:
            if explicit:
                raise ValueError("no disk") from error
            raise ValueError("no disk")  # noqa: B904 - as a library might

    with pytest.raises(Limit) as raised:
        diagnostics.guarded("here", step)
    assert raised.value.__context__ is None


def test_what_the_program_was_handling_when_it_called_us_does_not_come_again(alarm):
    alarm(ring)
    try:
        by_a_call()
    except Limit:
        assert diagnostics.guarded("here", lambda: 1 / 0, default="kept") == "kept"


def nested_text():
    json.loads("[" * 100_000)


def own_recursion():
    own_recursion()


class Broken:
    def __str__(self):
        raise Limit("no text")

    __bool__ = __str__


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "step",
    [
        lambda: 1 / 0,
        nested_text,
        own_recursion,
        lambda: str(Broken()),
        lambda: bool(Broken()),
        lambda: next(iter(())),
        lambda: _raise(Limit()),
        lambda: _raise(Limit),
        lambda: _raise(TimeoutError),
        lambda: int("x"),
        lambda: os.stat("/nowhere/at/all"),
        lambda: _raise(StopIteration),
    ],
    ids=[
        "c-code",
        "deep-text",
        "own-recursion",
        "objects-str",
        "objects-bool",
        "no-arguments-c",
        "no-arguments",
        "class-alone",
        "timeout",
        "value",
        "os",
        "stop",
    ],
)
def test_what_we_called_and_it_raised_is_ours(alarm, step):
    alarm(ring)  # a handler in place changes nothing
    assert diagnostics.guarded("here", step, default="kept") == "kept"


def test_a_frame_that_is_passed_on_by_a_call_makes_no_handler():
    def look(frame):
        raise ValueError(str(frame.f_lineno))

    assert diagnostics.guarded("here", lambda: look(sys._getframe()), default="kept") == "kept"


def test_a_thread_of_ours_accounts_for_whatever_it_is(monkeypatch, capsys):
    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "1")
    try:
        raise MemoryError
    except MemoryError:
        diagnostics.account("sender")
    assert "MemoryError" in capsys.readouterr().err


def test_a_time_limit_is_no_fault_of_the_file_that_is_read_when_it_comes(alarm, tmp_path, monkeypatch):
    # TimeoutError, the most common of them, is an OSError.
    from hf_openobserve.config import dotenv, settings

    alarm(ring_named)
    (tmp_path / ".env").write_text("OPENOBSERVE_ORG=shop\n")
    monkeypatch.setattr(dotenv, "read", lambda _: by_a_call())
    with pytest.raises(TimeoutError, match="took too long"):
        settings.load({}, script_dir=str(tmp_path), cwd=str(tmp_path))
