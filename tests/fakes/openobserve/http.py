"""The fake's transport: a threaded HTTP/1.1 server on 127.0.0.1 that can also reset, hang and answer by halves.

It knows nothing of OpenObserve: a request goes to one function, its answer goes back. A client that leaves in the
middle is normal here and prints nothing; an error of that function's own is kept and answered with 500.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import socketserver
import struct
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Union

BEHAVIOURS = ("normal", "reset", "hang", "half")


class Answer(NamedTuple):
    """What a client gets, also as a script for the next ingest request (``FakeOpenObserve.script``).

    ``status`` None: what the server would answer of itself (with ``headers`` added, after ``delay_s`` seconds); the
    spans are then stored if ``behaviour`` is ``normal``. With a status, the request is not processed at all unless
    ``store`` is set: stored, and answered differently, is what an ambiguous failure looks like.
    ``behaviour``: ``reset`` (TCP RST instead of an answer), ``hang`` (no answer until the client leaves or the server
    stops), ``half`` (the connection closes in the middle of the answer).
    """

    status: Optional[int] = None
    headers: Mapping[str, str] = {}
    body: Union[bytes, str] = b""
    delay_s: float = 0.0
    behaviour: str = "normal"
    store: bool = False


def json_answer(status: int, value: Any, headers: Optional[Mapping[str, str]] = None) -> Answer:
    return Answer(status, dict(headers or {}, **{"content-type": "application/json"}), json.dumps(value))


class Request:
    """One HTTP request as it was received.

    ``path`` is the request target with its query, ``headers`` have lower-case names, ``body`` is raw (compressed as
    sent), ``time`` is epoch seconds of arrival. ``status`` is what was answered: 0 for a reset or hanging connection.
    Of a trace export, ``decoded_size`` is the size of the body uncompressed, ``message`` the decoded
    ``ExportTraceServiceRequest`` and ``spans`` the number of spans in it: None, None and 0 where it cannot be read.
    """

    def __init__(self, method: str, path: str, headers: Dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.time = time.time()
        self.status = 0
        self.decoded_size: Optional[int] = None
        self.message: Any = None
        # The answer a body that cannot be read deserves; it is given only where the request gets that far.
        self.fault: Optional[Answer] = None

    @property
    def spans(self) -> int:
        if self.message is None:
            return 0
        return sum(len(scope.spans) for resource in self.message.resource_spans for scope in resource.scope_spans)

    def __repr__(self) -> str:
        return "<{} {} -> {}, {} spans, {} bytes>".format(
            self.method, self.path, self.status or "no answer", self.spans, len(self.body)
        )


class Server(ThreadingHTTPServer):
    """One listening socket; ``application`` answers each request on its connection's own thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, application: Callable[[Request], Answer]) -> None:
        self.application = application
        self.connections = 0
        self.faults: List[str] = []
        self.stopping = threading.Event()
        self._live: Set[socket.socket] = set()
        self._live_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the listening socket and every connection: to a client, the server is gone."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._live_lock:
            live = list(self._live)
        for connection in live:
            _shutdown(connection)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for the host's name, which may take seconds without a network.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._live_lock:
            self.connections += 1
            self._live.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._live_lock:
            self._live.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.faults.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            # The client left: the application's own errors are caught in _serve and never arrive here.
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        headers: Dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = headers[key] + ", " + value if key in headers else value
        try:
            body = self._read_body(headers)
        except ValueError:
            self.send_error(400)
            return
        request = Request(self.command, self.path, headers, body)
        try:
            answer = self.server.application(request)
        except Exception:
            self.server.faults.append(traceback.format_exc())
            answer = json_answer(500, {"code": 500, "message": "the fake server failed"})
        request.status = (answer.status or 200) if answer.behaviour in ("normal", "half") else 0
        if answer.delay_s:
            self.server.stopping.wait(answer.delay_s)
        self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._read_exactly(int(headers.get("content-length", "0")))
        chunks = []
        while True:
            size = int(self._read_line().split(b";")[0], 16)
            if not size:
                break
            chunks.append(self._read_exactly(size))
            self._read_line()
        while self._read_line().strip():
            pass
        return b"".join(chunks)

    def _read_line(self) -> bytes:
        line = self.rfile.readline(65537)
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError("the client left within its request")
        return line

    def _read_exactly(self, size: int) -> bytes:
        if size < 0:
            raise ValueError("negative length")
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionAbortedError("the client left within its request")
        return body

    def _send(self, answer: Answer) -> None:
        if answer.behaviour == "reset":
            self.close_connection = True
            # An l_linger of zero turns close into RST; the buffered reader holds the socket open until it is closed
            # too.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
            return
        if answer.behaviour == "hang":
            self.close_connection = True
            while self.connection.recv(65536):
                pass
            return
        body = answer.body.encode("utf-8") if isinstance(answer.body, str) else answer.body
        status = answer.status or 200
        # Half of nothing would be a whole answer: an empty body is then announced as one that does not come.
        length = len(body) or 64 if answer.behaviour == "half" else len(body)
        headers = {"content-length": str(length), "date": self.date_time_string()}
        headers.update((name.lower(), value) for name, value in answer.headers.items())
        head = "HTTP/1.1 {} {}\r\n{}\r\n".format(
            status,
            http.client.responses.get(status, "Unknown"),
            "".join("{}: {}\r\n".format(*header) for header in headers.items()),
        ).encode("latin-1")
        if answer.behaviour == "half":
            self.close_connection = True
            self.wfile.write(head + body[: len(body) // 2])
            return
        self.wfile.write(head if self.command == "HEAD" else head + body)


def _shutdown(connection: socket.socket) -> None:
    # The client may have been faster.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
