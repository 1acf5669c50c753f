"""llama.cpp's own OpenAI-compatible server, run in a subprocess for the demo and the tests.

As a program (``python -m hf_openobserve.cli.llama_server``) it is the server: standard library and ``xllamacpp`` only,
so that it also runs as a plain script in an interpreter that has no hf-openobserve. For the process that starts it
there is ``LlamaServer``, which needs neither.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import Any, Dict, Iterator, List, NoReturn, Optional, TextIO, Type
from urllib.parse import urlsplit

PYTHON_VARIABLE = "HF_OPENOBSERVE_LLAMA_PYTHON"
ALIAS = "tiny-random-llama"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0

# Tokens of context, shared by the slots as each needs it, and how many requests run at once.
CONTEXT = 65536
SLOTS = 4

_HERE = os.path.dirname(os.path.abspath(__file__))


class LlamaServerError(RuntimeError):
    """The server cannot be started; the text says what is missing or went wrong."""


def interpreter() -> str:
    """The Python that can run the server: this one, else the one ``HF_OPENOBSERVE_LLAMA_PYTHON`` names.

    Raises ``LlamaServerError`` if there is none.
    """
    missing = [name for name in ("xllamacpp", "gguf") if importlib.util.find_spec(name) is None]
    if not missing:
        return sys.executable
    other = os.environ.get(PYTHON_VARIABLE, "").strip()
    if other:
        return other
    raise LlamaServerError(
        "llama.cpp's server needs {}: on Python 3.10 or newer, pip install 'hf-openobserve[demo]'; "
        "this is Python {}.{}. Or set {} to an interpreter that has them.".format(
            " and ".join(missing), *sys.version_info[:2], PYTHON_VARIABLE
        )
    )


class LlamaServer:
    """Context manager: a running server. ``url`` ends in ``/v1``; ``alias`` is the model name its answers carry.

    ``model`` is the path of a GGUF file; without one the tiny model is written to a temporary directory and removed
    again. The child ends when the block does, and when this process dies, since its standard input closes then. Raises
    ``LlamaServerError`` if the server cannot be started within ``timeout`` seconds.
    """

    def __init__(
        self,
        *,
        alias: str = ALIAS,
        model: Optional[str] = None,
        embeddings: bool = False,
        timeout: float = START_TIMEOUT_S,
    ) -> None:
        self.alias = alias
        self.url = ""
        self.pid = 0
        self._model = model
        self._embeddings = embeddings
        self._timeout = timeout
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> LlamaServer:  # noqa: PYI034 - typing has Self from Python 3.11 on
        with contextlib.ExitStack() as stack:
            python = interpreter()
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="hf-openobserve-llama-"))
            model = self._model
            if model is None:
                model = os.path.join(directory, "tiny.gguf")
                _write_tiny_model(python, model, self._timeout)
            process = stack.enter_context(_started(self._command(python, model, directory), python))
            self.pid = process.pid
            self.url = _announced_url(process, self._timeout, os.path.join(directory, "log"))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._stack.close()

    def _command(self, python: str, model: str, directory: str) -> List[str]:
        command = [python, os.path.join(_HERE, "llama_server.py"), "--model", model, "--alias", self.alias]
        command += ["--log", os.path.join(directory, "log")]
        return [*command, "--embeddings"] if self._embeddings else command


@contextlib.contextmanager
def _started(command: List[str], python: str) -> Iterator[subprocess.Popen[str]]:
    try:
        process = subprocess.Popen(  # noqa: S603 - our own script, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=_environment(python),
        )
    except OSError as error:
        raise LlamaServerError(f"cannot run {python}: {error}") from error
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _environment(python: str) -> Dict[str, str]:
    """The child's: another interpreter must not find this one's packages by ``PYTHONPATH``."""
    environment = dict(os.environ)
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)
        environment.pop("PYTHONHOME", None)
    return environment


def _write_tiny_model(python: str, path: str, timeout: float) -> None:
    command = [python, os.path.join(_HERE, "tiny_model.py"), path]
    try:
        done = subprocess.run(  # noqa: S603 - our own script, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(python),
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LlamaServerError(f"cannot write the tiny model with {python}: {error}") from error
    if done.returncode != 0:
        raise LlamaServerError(_last_line(done.stdout) or "writing the tiny model failed")


def _announced_url(process: subprocess.Popen[str], timeout: float, log: str) -> str:
    """The address from the child's one line. A timer ends a child that does not get there, which ends the wait."""
    assert process.stdout is not None and process.stderr is not None  # noqa: PT018 - pipes, see _started
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    try:
        said = json.loads(line)
    except ValueError:
        said = {}
    if "url" in said:
        return str(said["url"])
    process.kill()
    said_on_stderr = process.stderr.read()
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            logged = file.read()
    except OSError:
        logged = ""
    reason = (
        said.get("error")
        or _last_line(said_on_stderr)
        or _last_line(logged)
        or f"it said nothing (exit status {process.wait()})"
    )
    raise LlamaServerError(f"llama.cpp's server did not start: {reason}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def main(arguments: Optional[List[str]] = None) -> NoReturn:
    """Serve until standard input closes or SIGTERM comes; one line of JSON with the address goes to standard output."""
    parser = argparse.ArgumentParser(description="llama.cpp's OpenAI-compatible server on 127.0.0.1.")
    parser.add_argument("--model", required=True, metavar="PATH", help="model file (GGUF)")
    parser.add_argument("--alias", default=ALIAS, metavar="NAME", help="model name in the answers")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--embeddings", action="store_true", help="serve /v1/embeddings too")
    parser.add_argument("--log", default=os.devnull, metavar="FILE", help="where llama.cpp's log goes")
    options = parser.parse_args(arguments)

    # llama.cpp writes its log to the two standard descriptors, from native code.
    announce = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Ctrl-C goes to the whole process group; the parent decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        # The object is the server: it stops when it is collected.
        server = _serve(options)
        url = server.listening_address
        _wait_until_healthy(url)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        _say(announce, {"error": f"{type(error).__name__}: {error}"})
        os._exit(1)
    _say(announce, {"url": url + "/v1"})
    try:
        while sys.stdin.buffer.read(4096):
            pass
    finally:
        # Requests in flight end with the process; llama.cpp's own shutdown would wait for them.
        os._exit(0)


def _say(announce: TextIO, message: Dict[str, str]) -> None:
    announce.write(json.dumps(message) + "\n")
    announce.flush()


def _serve(options: argparse.Namespace) -> Any:
    if not os.path.isfile(options.model):
        raise FileNotFoundError(options.model)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.model_alias = {options.alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = options.port
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = SLOTS
    parameters.kv_unified = True
    parameters.use_jinja = True
    parameters.warmup = False
    parameters.ui = False
    # Sizes are given; measuring the machine's memory takes longer than all else.
    parameters.fit_params = False
    # A cache of past prompts in memory, apart from the slots' own: up to 8 GiB by default.
    parameters.cache_ram_mib = 0
    # A token of a model this small costs less than handing the work to another thread.
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    if options.embeddings:
        parameters.embedding = True
        # One vector per input, which is what the OpenAI endpoint answers with.
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return xllamacpp.Server(parameters)


def _wait_until_healthy(url: str) -> None:
    """Returns at the first 200 of ``/health``; the parent's patience is the limit."""
    address = urlsplit(url)
    while True:
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)


if __name__ == "__main__":
    # Run as a script, this directory is first on the path, and its `path.py` or `demo.py` would shadow other packages.
    if not __package__:
        sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    main()
