"""An OpenAI-compatible endpoint that answers by script: what llama.cpp cannot be made to say (errors, embeddings)."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional


class Reply(NamedTuple):
    """One answer: a JSON body, or the ``data:`` lines of an event stream."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    events: Optional[List[Any]] = None


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

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                body = json.loads(raw or b"{}")
                outer.calls.append((self.path, dict(self.headers), body))
                reply = outer.answer(self.path, body)
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

            def log_message(self, *_: Any) -> None:
                """Quiet: the test's output is the test's."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ScriptedEndpoint:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
