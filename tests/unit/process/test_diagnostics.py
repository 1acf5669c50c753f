"""One line, once, on stderr (docs/laws.md#9), and the boundary between our errors and the program (docs/laws.md#1)."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hf_openobserve.process import diagnostics

AGENT = Path(diagnostics.__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch):
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    monkeypatch.setattr(diagnostics, "_switched_on", set())
    monkeypatch.delenv("OPENOBSERVE_HF_DEBUG", raising=False)


def test_a_line_is_said_once_and_with_our_name(capsys):
    for _ in range(3):
        diagnostics.say_once("the token is wrong")
    diagnostics.say_once("so is the URL")
    captured = capsys.readouterr()
    assert captured.err == "hf-openobserve: the token is wrong\nhf-openobserve: so is the URL\n"
    assert captured.out == ""


def test_threads_that_find_the_same_thing_wrong_say_it_once(monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(50):
            barrier = threading.Barrier(8)

            def say(barrier=barrier, number=number):
                barrier.wait()
                diagnostics.say_once(f"line {number}")

            threads = [threading.Thread(target=say) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(stderr.getvalue().splitlines()) == sorted(f"hf-openobserve: line {number}" for number in range(50))


class Broken(io.StringIO):
    def write(self, _):
        raise BrokenPipeError("nobody reads this")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize(
    "stderr",
    [
        pytest.param(None, id="none"),
        pytest.param(Broken(), id="broken-pipe"),
        pytest.param(closed(), id="closed"),
        pytest.param(object(), id="not-a-file"),
        pytest.param(io.TextIOWrapper(io.BytesIO(), encoding="ascii"), id="cannot-encode-it"),
    ],
)
@pytest.mark.parametrize("speak", [diagnostics.say_once, diagnostics.debug])
def test_a_stderr_that_cannot_be_written_is_the_applications_choice(monkeypatch, stderr, speak):
    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "true")
    monkeypatch.setattr(sys, "stderr", stderr)
    speak("señor")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("value", "on"),
    [(value, True) for value in ("true", "TRUE", " on ", "1", "yes")]
    + [(value, False) for value in ("false", "0", "", "no", "off", "2")],
)
def test_debug_lines_are_written_when_they_are_asked_for(monkeypatch, capsys, value, on):
    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", value)
    diagnostics.debug("decided")
    diagnostics.debug("decided")
    assert capsys.readouterr().err == ("hf-openobserve: decided\n" * 2 if on else "")


def test_debug_can_be_asked_for_by_the_settings(capsys):
    diagnostics.debug("before")
    diagnostics.debug_from_now_on()
    diagnostics.debug("after")
    assert capsys.readouterr().err == "hf-openobserve: after\n"


def test_no_line_shows_a_credential_of_the_environment(monkeypatch, capsys):
    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://bob:pr%40xy-pass1@proxy.example:3128")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue,x-opaque=header-value-1")
    monkeypatch.setenv("HF_TOKEN", "opaque-token-1")
    monkeypatch.setenv("MY_DB_PASSWORD", "db horse 22")
    monkeypatch.setenv("SSH_KEY", "/home/me/.ssh/id_ed25519")

    def step():
        raise OSError("cannot reach pr@xy-pass1, http://bob:pr%40xy-pass1@proxy.example:3128, header-value-1")

    diagnostics.guarded("somewhere", step)
    diagnostics.say_once("asked with 'opaque-token-1' and \"db horse 22\" of /home/me/.ssh/id_ed25519 for blue")
    diagnostics.debug("?api_key=whatever")
    said = capsys.readouterr().err
    for secret in ("xy-pass1", "header-value-1", "opaque-token-1", "db horse", "whatever"):
        assert secret not in said
    assert "asked with '***' and \"***\" of /home/me/.ssh/id_ed25519 for blue" in said


@pytest.mark.parametrize("debugging", [False, True])
def test_a_swallowed_error_shows_only_in_debug(monkeypatch, capsys, debugging):
    if debugging:
        monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "1")
    assert diagnostics.guarded("somewhere", lambda: 1 / 0, default="kept") == "kept"
    captured = capsys.readouterr()
    assert captured.out == ""
    if debugging:
        assert captured.err.startswith("hf-openobserve: swallowed in somewhere:\nTraceback")
        assert captured.err.endswith("ZeroDivisionError: division by zero\n")
    else:
        assert captured.err == ""


def test_guarded_gives_the_result_and_takes_arguments():
    assert diagnostics.guarded("here", divmod, 7, 2) == (3, 1)
    assert diagnostics.guarded("here", divmod, 7, 0) is None
    assert diagnostics.guarded("here", divmod, 7, 0, default=(0, 0)) == (0, 0)


class GreenletExit(BaseException):
    """As gevent's: it ends a greenlet, and is nobody's error."""


@pytest.mark.parametrize("control_flow", [KeyboardInterrupt, SystemExit, GeneratorExit, GreenletExit])
def test_the_applications_control_flow_passes(control_flow):
    def step():
        raise control_flow

    with pytest.raises(control_flow):
        diagnostics.guarded("here", step)


def test_an_error_without_a_text_is_swallowed_too(monkeypatch):
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    monkeypatch.setenv("OPENOBSERVE_HF_DEBUG", "1")

    def step():
        raise Mute

    assert diagnostics.guarded("here", step, default=1) == 1


def test_logging_is_the_hosts_and_stays_unimported():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from hf_openobserve.process import diagnostics; "
        "diagnostics.say_once('x'); print(sorted({'logging', 'traceback', 'warnings'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, str(AGENT)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "hf-openobserve: x\n"
    assert "logging" not in done.stdout
