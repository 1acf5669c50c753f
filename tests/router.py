"""A scripted Hugging Face router: its paths, headers, model suffixes and errors, in front of llama.cpp or by itself.

``scripted/<case>`` is answered from ``router_answers``, any other model by llama.cpp if there is one. Deterministic:
the same requests after a ``reset`` get the same bytes, llama.cpp's answers included, which are asked for once and kept.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import unquote, urlsplit

import router_answers as answers
from router_answers import Reply

HOST = "router.huggingface.co"
POLICIES = {"fastest": "together", "cheapest": "novita", "preferred": "cerebras"}
"""The provider that each policy picks here; without one it is the fastest, as on the real router."""
PROVIDERS = ("cerebras", "hf-inference", "novita", "together")
OPERATIONS = ("chat/completions", "completions", "embeddings")
MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "scripted/plain")
RECOMMENDED = {
    "text-generation": "scripted/sea",
    "text-classification": "scripted/classes",
    "conversational": "scripted/plain",
}
"""What the Hub recommends for a task where a program names no model."""
SAID_BY_THE_ROUTER = ("x-request-id", "x-inference-provider", "inference-id", "access-control-expose-headers")
RETRIED = {"retried": (503, "retry-after-ms"), "retried-429": (429, "retry-after-ms"), "retried-twice": (500, "")}
"""Cases that fail once (``retried-twice``: twice) before they answer: status, and the header that says when to retry.
"""


class Call(NamedTuple):
    """A request as it came, and the status it got. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int


class ScriptedRouter:
    """Context manager. ``calls`` are the requests so far, in order of arrival.

    upstream: the address of an OpenAI-compatible server that ends in ``/v1``.
    kept: answers of the upstream that several routers share, since it gives another one each time.
    """

    def __init__(self, upstream: Optional[str] = None, kept: Optional[Dict[str, Reply]] = None) -> None:
        self.calls: List[Call] = []
        self._upstream = upstream
        self._kept: Dict[str, Reply] = {} if kept is None else kept
        self._seen: Dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.root}/v1"
        self.by_name = f"http://{HOST}/v1"
        """The address by the router's real name, for a program that runs with ``environment``."""

    @property
    def environment(self) -> Dict[str, str]:
        """The variables by which a program reaches this router as ``http://router.huggingface.co`` and the Hub here."""
        return {"HTTP_PROXY": self.root, "NO_PROXY": "127.0.0.1,localhost", "HF_ENDPOINT": self.root}

    def reset(self) -> None:
        """Forget the calls, and that a case has failed before."""
        with self._lock:
            self.calls.clear()
            self._seen.clear()

    def __enter__(self) -> ScriptedRouter:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for_stop(self, timeout_s: float) -> None:
        self._stopping.wait(timeout_s)

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> Reply:
        """The answer to one request, which is kept among the calls."""
        path = unquote(urlsplit(target).path)
        with self._lock:
            reply = self._answer(method, path, headers, body)
            if headers.get("host", "").partition(":")[0] not in (HOST, "127.0.0.1", "localhost"):
                # Somebody else's server, asked through this one as the proxy.
                reply = reply._replace(headers={k: v for k, v in reply.headers.items() if k not in SAID_BY_THE_ROUTER})
            self.calls.append(Call(method, path, headers, body, reply.status))
        return reply

    # Where a request goes.

    def _answer(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Reply:
        segments = path.strip("/").split("/")
        if segments[:2] == ["api", "models"]:
            return _hub_model("/".join(segments[2:]))
        if segments == ["api", "tasks"]:
            return Reply(body={task: {"widgetModels": [model]} for task, model in RECOMMENDED.items()})
        if segments[:2] == ["v1", "models"] and method == "GET":
            return _models("/".join(segments[2:]))
        if "authorization" not in headers:
            return self._said(answers.ERRORS["wrong-token"], path, None)
        if segments[0] == "v1":
            return self._routed(path, None, body)
        if segments[0] not in PROVIDERS:
            return self._said(Reply(404, {"error": f"Unknown provider {segments[0]}"}), path, None)
        if segments[1:2] == ["models"] and "chat" not in segments:
            return self._said(_task(segments, body), path, segments[0])
        return self._routed(path, segments[0], body)

    def _routed(self, path: str, provider: Optional[str], body: Any) -> Reply:
        # A provider's own path stands before it: /novita/v3/openai/chat/completions.
        operation = next((known for known in OPERATIONS if path.endswith("/" + known)), None)
        if operation is None:
            return self._said(Reply(404, {"error": f"Not found: {path}"}), path, provider)
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            return self._said(Reply(400, answers.as_object("model is required", param="model")), path, provider)
        base, _, suffix = body["model"].partition(":")
        if provider is None:
            provider = POLICIES.get(suffix or "fastest", suffix)
        if provider not in PROVIDERS:
            return self._said(answers.ERRORS["unsupported"], path, None)
        # A provider has a name of its own for a model: novita's is in lower case, the others' without its owner.
        model = base.lower() if provider == "novita" else base.rpartition("/")[2].lower()
        if not base.startswith("scripted/") and self._upstream is not None:
            return self._said(self._from_upstream(operation, body), path, provider)
        case = base.partition("/")[2] if base.startswith("scripted/") else "plain"
        return self._said(self._scripted(case, operation, model, body), path, provider)

    def _scripted(self, case: str, operation: str, model: str, body: Mapping[str, Any]) -> Reply:
        if case in answers.ERRORS:
            return answers.ERRORS[case]
        if case in RETRIED:
            status, header = RETRIED[case]
            times = self._seen[case] = self._seen.get(case, 0) + 1
            if times <= (2 if case == "retried-twice" else 1):
                return Reply(status, {"error": "Try again"}, {header: "20"} if header else {"retry-after-ms": "1"})
            case = "plain"
        if operation == "embeddings":
            return Reply(body={**answers.EMBEDDING, "model": model, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
        if not body.get("stream"):
            return answers.CHATS.get(case, answers.CHATS["plain"])(model)
        if case in answers.REFUSED_OPTION:
            if "stream_options" in body:
                return answers.REFUSED_OPTION[case]
            case = "plain"
        reply = answers.STREAMS.get(case, answers.STREAMS["plain"])(model)
        if (body.get("stream_options") or {}).get("include_usage"):
            return answers.asked_for_usage(case, model, reply)
        return reply

    def _said(self, reply: Reply, path: str, provider: Optional[str]) -> Reply:
        """The answer with the router's headers. The ids are the same for the same path and provider."""
        digest = zlib.crc32(f"{path} {provider}".encode())
        headers = {"x-request-id": f"Root=1-{digest:08x}", "access-control-expose-headers": "X-Request-Id"}
        if provider is not None:
            headers["x-inference-provider"] = provider
            headers["inference-id"] = f"0-{digest:08x}"
        return reply._replace(headers={**headers, **reply.headers})

    def _from_upstream(self, operation: str, body: Mapping[str, Any]) -> Reply:
        """llama.cpp's answer.

        A stream is always asked for its usage, which is left out where the program did not ask.
        """
        asked = bool((body.get("stream_options") or {}).get("include_usage"))
        sent = {**body, **({"stream_options": {"include_usage": True}} if body.get("stream") else {})}
        key = operation + json.dumps(sent, sort_keys=True)
        if key not in self._kept:
            assert self._upstream is not None
            self._kept.setdefault(key, _ask(self._upstream, operation, sent))
        reply = self._kept[key]
        if reply.events is None or asked:
            return reply
        events = [event for event in reply.events if event.get("choices")]
        for extra in reply.events[len(events) :]:  # where nobody asks, llama.cpp's timings stand on the last chunk
            events[-1] = {**events[-1], **{name: extra[name] for name in ("timings",) if name in extra}}
        return reply._replace(events=events)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; any other fault is printed, as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _ask(url: str, operation: str, body: Mapping[str, Any]) -> Reply:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        headers = {"content-type": "application/json"}
        connection.request("POST", f"{address.path}/{operation}", json.dumps(body), headers)
        response = connection.getresponse()
        payload = response.read().decode()
    finally:
        connection.close()
    if response.status >= 400 or not body.get("stream"):
        return Reply(response.status, json.loads(payload))
    lines = [line[len("data: ") :] for line in payload.splitlines() if line.startswith("data: ")]
    return Reply(events=[json.loads(line) for line in lines if line != "[DONE]"])


def _models(name: str) -> Reply:
    if not name:
        return Reply(body={"object": "list", "data": [answers.listed_model(model) for model in MODELS]})
    if name in MODELS:
        return Reply(body=answers.listed_model(name))
    return Reply(404, {"error": f"Model {name} not found"})


def _hub_model(name: str) -> Reply:
    """The Hub's page of a model, of which the clients read which providers serve it, and under what name."""
    tasks = {"generation": "text-generation", "embedding": "feature-extraction", "classes": "text-classification"}
    task = tasks.get(name.partition("/")[2], "conversational")
    mapping = {
        provider: {"status": "live", "providerId": name if provider == "hf-inference" else name.lower(), "task": task}
        for provider in PROVIDERS
    }
    pipeline_tag = "text-generation" if task == "conversational" else task
    return Reply(
        body={
            "id": name,
            "modelId": name,
            "pipeline_tag": pipeline_tag,
            "tags": ["conversational"] if name == RECOMMENDED["conversational"] else [],
            "inferenceProviderMapping": mapping,
        }
    )


def _task(segments: List[str], body: Any) -> Reply:
    """hf-inference's own paths, ``/hf-inference/models/<owner>/<model>``, and the pipeline after it."""
    case = segments[3] if len(segments) > 3 else ""
    if case in answers.ERRORS:
        return answers.ERRORS[case]
    if case == "embedding":
        return Reply(body=[[0.25, 0.5, 0.125]])
    if case == "classes":
        return Reply(body=[[{"label": "joy", "score": 0.9}]])
    if isinstance(body, dict) and body.get("stream"):
        return Reply(events=answers.GENERATION_TOKENS, then="end")
    return answers.GENERATION


def _handler(router: ScriptedRouter) -> Any:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._respond(None)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                body = json.loads(raw)
            except ValueError:
                body = raw.decode("utf-8", "replace")
            self._respond(body)

        def _respond(self, body: Any) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = router.respond(self.command, self.path, headers, body)
            try:
                self._send(reply)
            except OSError:  # the client has left
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            # No Date and no Server header: a program that prints its headers prints the same each time.
            self.send_response_only(reply.status)
            payload, kind = _payload(reply)
            chosen = {"content-type": kind, **reply.headers}
            if reply.events is None:
                chosen["content-length"] = str(len(payload))
            else:
                chosen["transfer-encoding"] = "chunked"
            for name, value in chosen.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.events is None:
                self.wfile.write(payload)
            else:
                self._stream(reply)

        def _stream(self, reply: Reply) -> None:
            for event in [*(reply.events or ()), *(["[DONE]"] if reply.then == "done" else [])]:
                line = event if isinstance(event, str) else json.dumps(event)
                data = (line if line.startswith(":") else f"data: {line}").encode() + b"\n\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            if reply.then == "hang":
                router.wait_for_stop(60)
            if reply.then in ("cut", "hang"):
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            """Quiet: the test's output is the test's."""

    return Handler


def _payload(reply: Reply) -> Tuple[bytes, str]:
    if reply.events is not None:
        return b"", "text/event-stream"
    if isinstance(reply.body, str):
        return reply.body.encode(), "text/plain"
    return json.dumps(reply.body).encode(), "application/json"
