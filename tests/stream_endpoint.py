"""An OpenAI-compatible endpoint that streams slowly, breaks off, refuses and relents: what a scripted reply cannot do.

The model's name is the case. Chunks are written one by one; usage comes where the case says, as on the router's
providers.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional, Tuple

WORDS = ("Hel", "lo", ".")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CREDITS = "You have depleted your monthly included credits."
STALL_S = 20.0
"""How long a stalled stream waits for its reader to go away, or for the request that releases it."""


def chunk(model: str, delta: Dict[str, Any], reason: Optional[str] = None) -> Dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A program that leaves a stream hangs up: that is what its test wants."""


class StreamEndpoint:
    """Context manager; ``calls`` are the requests seen, as (path, headers with names in lower case, body)."""

    resolved = "llama3.1-8b"

    def __init__(self) -> None:
        self.calls: List[Tuple[str, Dict[str, str], Any]] = []
        self.released = threading.Event()
        self.tries: Dict[str, int] = {}
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> StreamEndpoint:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """As before the first request."""
        self.calls.clear()
        self.tries.clear()
        self.released.clear()


def _handler(endpoint: StreamEndpoint) -> Any:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            endpoint.calls.append((self.path, {}, None))
            self._json(200, {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            if "json" not in self.headers.get("content-type", ""):
                endpoint.calls.append((self.path, {}, None))
                self._json(200, {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "f"})
                return
            body = json.loads(raw)
            endpoint.calls.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            case = body["model"].split("/")[-1].partition(":")[0]
            asked = "stream_options" in body
            tried = endpoint.tries[case] = endpoint.tries.get(case, 0) + 1
            if case.startswith("retried") and tried < 3:
                limits = {"retry-after-ms": "20", "retry-after": "1", "x-ratelimit-remaining-requests": "0"}
                self._json(429 if tried == 1 else 503, {"error": "Slow down."}, limits)
            elif case.startswith("no-json"):
                self._json(200, "{", whole=False)
            elif case.startswith("limited"):
                self._json(429, {"error": "Slow down."}, {"retry-after": "3", "x-ratelimit-limit-requests": "60"})
            elif case.startswith("credits"):
                self._json(402, {"error": CREDITS}, {"x-request-id": "Root=1-402", "x-inference-provider": "novita"})
            elif case.startswith("refuses") and asked:
                self._json(400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}})
            elif case.startswith("again") and tried == 1:
                self._json(503, {"error": "Slow down."}, {"retry-after-ms": "20"})
            elif case.startswith(("unnamed", "again")) and asked:
                self._json(422, {"error": "Input validation error: unknown field", "error_type": "validation"})
            elif case.startswith("falls") and asked:
                self._json(500, {"error": "Internal Server Error"})
            elif case.startswith("bad"):
                self._json(400, {"error": f"Bad Request, {'with' if asked else 'without'} the option"})
            elif case.startswith("slow") and not body.get("stream"):
                endpoint.released.wait(STALL_S)
                self._json(200, self._whole())
            elif body.get("stream"):
                self._stream(case, asked)
            else:
                if case == "release":
                    endpoint.released.set()
                self._json(200, self._whole(), self._served())

        def _served(self) -> Dict[str, str]:
            return {"x-inference-provider": "together", "x-request-id": "Root=1-200", "inference-id": "0-1"}

        def _whole(self) -> Dict[str, Any]:
            message = {"role": "assistant", "content": "".join(WORDS)}
            return {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": endpoint.resolved,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": USAGE,
            }

        def _json(self, status: int, body: Any, headers: Any = (), whole: bool = True) -> None:
            payload = (json.dumps(body) if whole else body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def _stream(self, case: str, asked: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            for name, value in self._served().items():
                self.send_header(name, value if name != "x-inference-provider" or "novita" not in case else "novita")
            self.end_headers()
            nulled = {"usage": None} if asked else {}
            self._event({**chunk(endpoint.resolved, {"role": "assistant", "content": ""}), **nulled})
            for index, word in enumerate(WORDS):
                self._event({**chunk(endpoint.resolved, {"content": word}), **nulled})
                if index == 1 and case.startswith("error"):
                    self._event({"error": {"message": "The provider died."}})
                    self._event("[DONE]", last=True)
                    return
                if index == 1 and case.startswith("broken"):
                    self.close_connection = True
                    return
                if index == 1 and case.startswith("slow"):
                    endpoint.released.wait(STALL_S)
            finish = chunk(endpoint.resolved, {}, "stop")
            if case.startswith("groq"):
                usage = {"usage": USAGE} if asked else {}
                self._event({**finish, "x_groq": {"id": "req_1", "usage": USAGE}, **usage})
            else:
                self._event({**finish, **({"usage": USAGE} if case.startswith("usage-at-finish") else nulled)})
                if asked or "novita" in case:
                    theirs = {"x_provider": {"usage": USAGE}} if case.startswith("usage-twice") else {}
                    self._event({**finish, "choices": [], "usage": USAGE, **theirs})
            self._event("[DONE]", last=True)

        def _event(self, event: Any, last: bool = False) -> None:
            payload = f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload) + (b"0\r\n\r\n" if last else b""))
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Quiet: the test's output is the test's."""

    return Handler
