"""The servers of a run, each a process of its own so that its CPU is not the caller's. Each prints its port.

``servers.py model [CHUNKS]`` answers an OpenAI-compatible request with canned bytes. ``servers.py sink [VERSION]``
accepts OTLP as that OpenObserve and a collector do, and tells the number of spans per path at ``/counts``; it takes
what other tools send as well, and gives all of it at ``/taken``. ``servers.py router`` answers as Hugging Face's router
does, small answers whose parts can be found again (``USAGE``, ``SENTENCE``). ``servers.py error`` answers 500 to
everything, ``slow`` does what ``sink`` does ``SLOW_S`` seconds later, and ``hang`` reads and never answers.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import sys
import zlib
from collections import Counter
from typing import Any, Callable, Dict, Iterator, List, Tuple

CHUNKS = 200
SLOW_S = 3.0
MODEL = "llama3.1-8b"
ANSWER = "Tokens are what a model reads and writes: pieces of words, about four characters each in English text. "

USAGE = {"prompt_tokens": 4211, "completion_tokens": 1733, "total_tokens": 5944}
SENTENCE = "is not supported by any provider you have enabled."
UNSUPPORTED = "benchmark/unsupported"

Answer = Callable[[str, Dict[str, str], bytes], bytes]


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and Content-Length, which is all that the clients here send."""

    def __init__(self, answer: Answer, delay_s: float = 0.0) -> None:
        self._answer = answer
        self._delay_s = delay_s
        self._buffer = bytearray()

    def connection_made(self, transport: Any) -> None:
        """Keep what answers are written to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            stop = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < stop:
                return
            body = bytes(self._buffer[end + 4 : stop])
            del self._buffer[:stop]
            answer = self._answer(first.split(" ")[1], headers, body)
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


def response(content_type: str, body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def model(chunks: int) -> Answer:
    """One chat completion, or a stream of so many chunks if the request says so; both made once."""
    common = {"id": "chatcmpl-benchmark", "created": 1700000000, "model": MODEL}
    usage = {"prompt_tokens": 42, "completion_tokens": 64, "total_tokens": 106}
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER * 3}, "finish_reason": "stop"}
    chat = {**common, "object": "chat.completion", "choices": [choice], "usage": usage}
    whole = response("application/json", json.dumps(chat).encode())
    events = []
    for number in range(chunks):
        delta = {"role": "assistant", "content": ""} if number == 0 else {"content": f" token{number}"}
        last = "stop" if number == chunks - 1 else None
        choices = [{"index": 0, "delta": delta, "finish_reason": last}]
        events.append(json.dumps({**common, "object": "chat.completion.chunk", "choices": choices}))
    # Each event is one HTTP chunk, as a server sends it; all in one write, so that the caller's reads do not depend on
    # how the two processes are scheduled.
    lines = [f"data: {event}\n\n".encode() for event in [*events, "[DONE]"]]
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    stream += b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines) + b"0\r\n\r\n"

    def answer(_path: str, _headers: Dict[str, str], body: bytes) -> bytes:
        return stream if b'"stream":true' in body or b'"stream": true' in body else whole

    return answer


def router(_path: str, _headers: Dict[str, str], body: bytes) -> bytes:
    """A chat or a stream; the usage of a stream is told to who asks for it; a refusal for the model ``UNSUPPORTED``."""
    request = json.loads(body)
    if request["model"] == UNSUPPORTED:
        error = {"message": f"The requested model '{UNSUPPORTED}' {SENTENCE}", "type": "invalid_request_error"}
        body = json.dumps({"error": {**error, "param": "model", "code": "model_not_supported"}}).encode()
        return response("application/json", body, "400 Bad Request")
    common = {"id": "chatcmpl-recorded", "created": 1700000000, "model": request["model"]}
    if not request.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        chat = {**common, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        return response("application/json", json.dumps(chat).encode())
    common["object"] = "chat.completion.chunk"
    pieces: List[Any] = [
        {"index": 0, "delta": {"content": word + " "}, "finish_reason": None} for word in ANSWER.split()
    ]
    pieces.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [{**common, "choices": [piece]} for piece in pieces]
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append({**common, "choices": [], "usage": USAGE})
    lines = [json.dumps(event) for event in events] + ["[DONE]"]
    return response("text/event-stream", "".join(f"data: {line}\n\n" for line in lines).encode())


def sink(version: str = "v0.93.0") -> Answer:
    """Takes everything; 200 with an empty body is a full success in OTLP. Spans are counted when somebody asks.

    Logfire asks what project its token is of.
    """
    counts: Counter = Counter()
    taken: List[Tuple[str, Dict[str, str], bytes]] = []

    def answer(path: str, headers: Dict[str, str], body: bytes) -> bytes:
        if path == "/config":
            return response("application/json", json.dumps({"version": version}).encode())
        if path == "/v1/info":
            project = {"project_name": "benchmark", "project_url": "http://127.0.0.1/benchmark"}
            return response("application/json", json.dumps(project).encode())
        if path == "/counts":
            for traces_path, sent, request in taken:
                if traces_path.endswith("/v1/traces"):
                    counts[traces_path] += spans(unpacked(sent, request))
            taken.clear()
            return response("application/json", json.dumps(counts).encode())
        if path == "/taken":
            requests = [(to, sent, base64.b64encode(unpacked(sent, request)).decode()) for to, sent, request in taken]
            return response("application/json", json.dumps(requests).encode())
        taken.append((path, headers, body))
        if "protobuf" in headers.get("content-type", ""):
            return response("application/x-protobuf", b"")
        return response("application/json", b"{}")

    return answer


def unpacked(headers: Dict[str, str], body: bytes) -> bytes:
    """The body of a request as it was before its Content-Encoding."""
    encoding = headers.get("content-encoding", "")
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def error(_path: str, _headers: Dict[str, str], _body: bytes) -> bytes:
    return response("text/plain", b"a failed write", "500 Internal Server Error")


def hang(_path: str, _headers: Dict[str, str], _body: bytes) -> bytes:
    return b""


def spans(request: bytes) -> int:
    """The number of spans in an ``ExportTraceServiceRequest``: its field 1, of that 2, of that 2."""
    level = [request]
    for field in (1, 2, 2):
        level = [content for message in level for number, content in _messages(message) if number == field]
    return len(level)


def _messages(message: bytes) -> Iterator[Tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message that has no others at these levels."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 != 2:
            raise ValueError(f"unexpected wire type {tag & 7}")
        size, at = _varint(message, at)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


async def serve(answer: Answer, delay_s: float = 0.0) -> None:
    """Serve on a free port until the parent closes our standard input."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answer, delay_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main(kind: str, *arguments: str) -> None:
    if kind == "model":
        answer = model(int(arguments[0]) if arguments else CHUNKS)
    elif kind in ("sink", "slow"):
        answer = sink(*arguments)
    else:
        answer = {"error": error, "hang": hang, "router": router}[kind]
    asyncio.run(serve(answer, SLOW_S if kind == "slow" else 0.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
