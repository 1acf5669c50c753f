"""An OpenAI-compatible endpoint that answers by script: what llama.cpp cannot be made to say (errors, embeddings)."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union


class Reply(NamedTuple):
    """One answer: a JSON body, the ``data:`` lines of an event stream, or the bytes themselves, in pieces."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    events: Optional[List[Any]] = None
    raw: Optional[Sequence[Union[bytes, float]]] = None
    """Pieces of a chunked body, sent one by one; a number waits as many seconds, ``CUT`` ends the connection there."""


CUT = -1.0


def event(data: Any, *, name: str = "", end: str = "\n", ascii_only: bool = True) -> bytes:
    """One server-sent event of a text, or of a value's JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=ascii_only)
    return ((f"event: {name}{end}" if name else "") + f"data: {text}{end}{end}").encode()


def chat_body(model: str = "llama3.1-8b", content: str = "Hello there.", usage: Any = "default") -> Dict[str, Any]:
    """A chat completion as the router's providers send it."""
    body: Dict[str, Any] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1700000000,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
    }
    if usage == "default":
        usage = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}
    if usage is not None:
        body["usage"] = usage
    return body


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # of 5, many calls at once would overflow it: connections are reset

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A program that is killed, or leaves a stream, hangs up: that is what its test wants.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ScriptedEndpoint:
    """Context manager; ``answer(path, body)`` decides. ``calls`` are the requests seen, as (path, headers, body)."""

    def __init__(self, answer: Callable[[str, Dict[str, Any]], Reply]) -> None:
        self.answer = answer
        self.calls: List[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.calls.append((self.path, dict(self.headers), None))
                self._reply(outer.retrieved(self.path))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                body = json.loads(raw or b"{}")
                outer.calls.append((self.path, dict(self.headers), body))
                self._reply(outer.answer(self.path, body))

            def _reply(self, reply: Reply) -> None:
                if reply.raw is not None:
                    self._pieces(reply)
                    return
                if reply.events is not None:
                    lines = [
                        f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in reply.events
                    ]
                    payload, kind = "".join(lines).encode(), "text/event-stream"
                else:
                    payload, kind = json.dumps(reply.body).encode(), "application/json"
                self.send_response(reply.status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(payload)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def _pieces(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in {"Transfer-Encoding": "chunked", **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in reply.raw or ():
                    if piece == CUT:
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    if isinstance(piece, float):
                        time.sleep(piece)
                    else:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: Any) -> None:
                """Quiet: the test's output is the test's."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def retrieved(self, path: str) -> Reply:
        """The answer to a GET request."""
        return Reply(404, {"error": f"nothing at {path}"})

    def __enter__(self) -> ScriptedEndpoint:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
