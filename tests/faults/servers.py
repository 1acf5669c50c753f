"""Servers that misbehave below and above HTTP, in front of a fake OpenObserve that never does.

A ``Fault`` gives the program an address, and can be mended while the program runs or after it has ended: then whoever
sends to the same address reaches the fake. Whatever the fake is sent meanwhile it stores by its own strict rules.
"""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, Optional
from urllib.parse import urlsplit

from fakes.openobserve import FakeOpenObserve
from scripted import chat_body

FORWARD_S = 30


class Fault:
    """No fault: the fake itself. Context manager."""

    def __init__(self, fake: FakeOpenObserve, directory: Path) -> None:
        self.fake = fake
        self.directory = directory
        """For files of the fault's own."""

    def __enter__(self) -> Fault:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def url(self) -> str:
        return self.fake.url

    @property
    def auth_token(self) -> str:
        return self.fake.auth_token

    @property
    def environment_once_mended(self) -> Dict[str, str]:
        """What a person sets to mend it, if it is not the server that changes."""
        return {}

    @property
    def exports(self) -> int:
        """Exports that have arrived, mended or not, where that is counted."""
        return 0

    def mend(self) -> None:
        """From now on the server is healthy."""


class Refuses(Fault):
    """Nobody listens."""

    def __enter__(self) -> Fault:
        self.fake.stop()
        self._down = True
        return self

    def __exit__(self, *_: object) -> None:
        self.mend()

    def mend(self) -> None:
        if self._down:
            self._down = False
            self.fake.start()


class WrongToken(Fault):
    """The fake's own 401: the program was given a token that the server does not know."""

    _mended = False

    @property
    def auth_token(self) -> str:
        return self.fake.auth_token if self._mended else "Basic bm9ib2R5OndpdGgtYS13cm9uZy1wYXNzd29yZA=="

    def mend(self) -> None:
        self._mended = True


class Exchange:
    """One request that has arrived up to its body, and what can be done to it."""

    def __init__(self, handler: Any, method: str, path: str, headers: Mapping[str, str]) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self._handler = handler
        self.stopped: threading.Event = handler.server.stopped

    @property
    def is_export(self) -> bool:
        return self.method == "POST"

    def read(self, size: Optional[int] = None) -> bytes:
        """The body, or so many bytes of it."""
        return self._handler.rfile.read(int(self.headers.get("content-length", "0")) if size is None else size)

    def forward(self) -> bytes:
        """The fake's answer, as bytes of HTTP."""
        connection = http.client.HTTPConnection(*self._handler.server.behind, timeout=FORWARD_S)
        try:
            connection.request(self.method, self.path, self.read(), dict(self.headers))
            response = connection.getresponse()
            body = response.read()
            return http_answer(response.status, dict(response.getheaders()), body)
        finally:
            connection.close()

    def answer(self, data: bytes) -> None:
        self._handler.wfile.write(data)

    def reset(self) -> None:
        """RST: a linger of zero turns close into it; the buffered reader holds the socket open until it is closed."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.rfile.close()
        self._handler.connection.close()


Behaviour = Callable[[Exchange], bool]
"""What becomes of one exchange; True if the connection is good for another one."""


def http_answer(status: int, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
    named = {name.lower(): value for name, value in headers.items()}
    named["content-length"] = str(len(body))
    lines += [f"{name}: {value}" for name, value in named.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def behaves(exchange: Exchange) -> bool:
    exchange.answer(exchange.forward())
    return True


def hangs_after_reading(exchange: Exchange) -> bool:
    exchange.read()
    exchange.stopped.wait()
    return False


def resets_in_the_body(exchange: Exchange) -> bool:
    exchange.read(1 if exchange.is_export else None)
    exchange.reset()
    return False


def answers_half(exchange: Exchange) -> bool:
    """What the request asked for has been done; the answer ends within its headers."""
    if not exchange.is_export:
        return behaves(exchange)
    answer = exchange.forward()
    exchange.answer(answer[: len(answer) // 2])
    return False


def answers_a_byte_a_second(exchange: Exchange) -> bool:
    """What the request asked for has been done; no read of the answer ever times out."""
    if not exchange.is_export:
        return behaves(exchange)
    for byte in exchange.forward():
        exchange.answer(bytes([byte]))
        if exchange.stopped.wait(1):
            break
    return False


def refuses_exports(
    status: int,
    headers: Mapping[str, str] = MappingProxyType({}),
    body: bytes = b'{"code":0,"message":"scripted"}',
    times: Optional[int] = None,
) -> Callable[[], Behaviour]:
    """A status for every export, or for the first so many. A function that makes the behaviour: it counts."""

    def make() -> Behaviour:
        left = [times]

        def refuse(exchange: Exchange) -> bool:
            if not exchange.is_export or left[0] == 0:
                return behaves(exchange)
            if left[0] is not None:
                left[0] -= 1
            exchange.read()
            exchange.answer(http_answer(status, {"content-type": "application/json", **headers}, body))
            return True

        return refuse

    return make


class Front(Fault):
    """A server of our own that treats every request by a ``Behaviour`` until it is mended, and then forwards it."""

    def __init__(self, fake: FakeOpenObserve, directory: Path, make: Callable[[], Behaviour]) -> None:
        super().__init__(fake, directory)
        self._listener = _Listener(("127.0.0.1", 0), make(), ("127.0.0.1", urlsplit(fake.url).port))

    def __enter__(self) -> Fault:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def exports(self) -> int:
        return self._listener.exports

    def mend(self) -> None:
        self._listener.behaviour = behaves


class Tls(Front):
    """A server whose certificate nobody has vouched for; mended by naming its authority to the client."""

    def __init__(self, fake: FakeOpenObserve, directory: Path) -> None:
        super().__init__(fake, directory, lambda: behaves)
        self._certificate = directory / "certificate.pem"
        key = directory / "key.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(key), "-out", str(self._certificate)]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self._certificate), str(key))
        self._listener.context = context

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")

    @property
    def environment_once_mended(self) -> Dict[str, str]:
        return {"REQUESTS_CA_BUNDLE": str(self._certificate)}


class UnknownName(Front):
    """A host name that does not resolve (RFC 6761); mended by a proxy that knows it."""

    def __init__(self, fake: FakeOpenObserve, directory: Path) -> None:
        super().__init__(fake, directory, lambda: behaves)

    @property
    def url(self) -> str:
        return "http://openobserve.invalid:5080"

    @property
    def environment_once_mended(self) -> Dict[str, str]:
        return {"http_proxy": super().url}


class HangsBeforeAccept(Fault):
    """A listening socket whose queue is full: connecting to it takes until the client gives up."""

    def __init__(self, fake: FakeOpenObserve, directory: Path) -> None:
        super().__init__(fake, directory)
        self._deaf = socket.socket()
        self._deaf.bind(("127.0.0.1", 0))
        self._address = self._deaf.getsockname()
        self._deaf.listen(0)
        self._queue = [socket.socket() for _ in range(4)]
        for waiting in self._queue:
            waiting.setblocking(False)
            waiting.connect_ex(self._address)
        self._listener: Optional[_Listener] = None

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._listener is not None:
            self._listener.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._address[1]}"

    def mend(self) -> None:
        if self._listener is None:
            self._close()
            self._listener = _Listener(self._address, behaves, ("127.0.0.1", urlsplit(self.fake.url).port))
            self._listener.start()

    def _close(self) -> None:
        for opened in (self._deaf, *self._queue):
            opened.close()


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512  # many connections at once

    def __init__(self, address: Any, behaviour: Behaviour, behind: Any) -> None:
        self.behaviour = behaviour
        self.behind = behind
        self.exports = 0
        self.context: Optional[ssl.SSLContext] = None
        self.stopped = threading.Event()
        super().__init__(address, _Handler)

    def start(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves, or one that wants no TLS of ours, is what these rows are about."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Listener
    disable_nagle_algorithm = True

    def setup(self) -> None:
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        while True:
            words = self.rfile.readline().decode("latin-1").split()
            if len(words) != 3:
                return
            headers = {}
            for line in iter(self.rfile.readline, b"\r\n"):
                name, colon, value = line.decode("latin-1").partition(":")
                if not colon:  # the client left
                    return
                headers[name.strip().lower()] = value.strip()
            # A proxy is asked for the whole address, or to connect to a host.
            path = "/" + words[1].split("/", 3)[3] if "://" in words[1] else words[1]
            exchange = Exchange(self, words[0], path, headers)
            self.server.exports += exchange.is_export
            if not self.server.behaviour(exchange):
                return


class ModelEndpoint:
    """What the program calls: answers every chat in the same way, except one that is "never answered". Context manager.

    It does as little as possible: thousands of calls are made, and they are not what is measured.
    """

    def __enter__(self) -> ModelEndpoint:  # noqa: PYI034 - typing.Self is newer than Python 3.8
        self._listener = _Listener(("127.0.0.1", 0), _chat, None)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}/v1"
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()


_CHAT = http_answer(200, {"content-type": "application/json"}, json.dumps(chat_body()).encode())


def _chat(exchange: Exchange) -> bool:
    if b"never answered" in exchange.read():
        exchange.stopped.wait()
        return False
    exchange.answer(_CHAT)
    return True
