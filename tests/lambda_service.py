"""AWS Lambda's runtime interface, as the process of a function sees it: one invocation at a time, frozen in between.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. Frozen is stopped here: by SIGSTOP, as soon as the
answer has been posted, until the next invocation.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence

WAIT_S = 60
_API = "/2018-06-01/runtime/"


class Posted(NamedTuple):
    """What came back: ``kind`` is ``response``, ``error`` or ``init``; ``seen`` what ``look`` returned then."""

    kind: str
    body: Any
    seconds: float
    seen: Any


class LambdaService:
    """Context manager. ``look`` is called when an answer has come, before the process is stopped."""

    def __init__(self, look: Callable[[], Any] = lambda: None) -> None:
        self.process: Optional[subprocess.Popen[bytes]] = None
        self._look = look
        self._events: queue.Queue[Any] = queue.Queue()
        self._answers: queue.Queue[Posted] = queue.Queue()
        self._began = 0.0
        self._count = 0
        self._server = _Server(("127.0.0.1", 0), _handler(self))

    @property
    def environment(self) -> Mapping[str, str]:
        """What Lambda sets, as far as it matters. The user's home is not there, in Lambda either."""
        return {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "asking",
            "HOME": "/home/sbx_user1051",
        }

    def __enter__(self) -> LambdaService:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._server.shutdown()
        self._server.server_close()

    def start(self, command: Sequence[str], **options: Any) -> None:
        """The process of the function, which asks for its first invocation by itself."""
        self.process = subprocess.Popen(command, **options)

    def kill(self) -> None:
        """As Lambda ends an environment: without a signal that could be handled."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def invoke(self, event: Any, *, deadline_s: float = WAIT_S) -> Posted:
        """One invocation. The process is stopped when this returns."""
        assert self.process is not None
        self._began = time.time()
        self._count += 1
        self._events.put((self._count, event, self._began + deadline_s))
        self.process.send_signal(signal.SIGCONT)
        return self._answers.get(timeout=WAIT_S)

    def wait_until_stopped(self) -> None:
        """Until the last answer's SIGSTOP has had its effect on every thread."""
        assert self.process is not None
        end = time.monotonic() + WAIT_S
        status = f"/proc/{self.process.pid}/stat"
        while time.monotonic() < end:
            with open(status, encoding="utf-8") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "T":
                    return
            time.sleep(0.005)
        raise AssertionError("the process does not stop")

    def next(self) -> Any:
        return self._events.get()

    def posted(self, kind: str, body: Any) -> None:
        """An answer has come: this is the moment in which the process is frozen."""
        assert self.process is not None
        answer = Posted(kind, body, time.time() - self._began, self._look())
        os.kill(self.process.pid, signal.SIGSTOP)
        self.wait_until_stopped()
        self._answers.put(answer)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that is killed hangs up; any other fault is printed, as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(service: LambdaService) -> Any:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            assert self.path == _API + "invocation/next", self.path
            count, event, deadline = service.next()
            self._reply(
                200,
                json.dumps(event).encode(),
                {
                    "Lambda-Runtime-Aws-Request-Id": f"request-{count}",
                    "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:asking",
                    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419",
                    "Content-Type": "application/json",
                },
            )

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"null")
            service.posted(self.path[len(_API) :].split("/")[0 if "/init/" in self.path else 2], body)
            self._reply(202, b'{"status":"OK"}', {"Content-Type": "application/json"})

        def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the process was killed
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet: the test's output is the test's."""

    return Handler
