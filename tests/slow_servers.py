"""Servers that answer without end, or so slowly that no single read of theirs ever takes long."""

from __future__ import annotations

import socket
import threading

PAUSE_S = 0.1


class Drip:
    """A server that says ``first`` at once and then ``rest``, one piece after each pause. Context manager.

    It reads a request's head and not its body; ``reads``: bytes of the body that it takes after each pause.
    """

    def __init__(self, first=b"", rest=(), pause_s=PAUSE_S, context=None, reads=None):
        self._first, self._rest, self._pause_s, self._reads = first, rest, pause_s, reads
        self._context = context
        self._stopped = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        if reads is not None:  # the kernel takes what the program does not
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._listening.close()

    def _accept(self):
        while not self._stopped.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(200 if self._reads else 65536)
                while self._reads and not self._stopped.wait(self._pause_s):
                    connection.recv(self._reads)
                connection.sendall(self._first)
                for piece in self._rest:
                    connection.sendall(piece)
                    if self._stopped.wait(self._pause_s):
                        return
        except OSError:  # the client has left
            pass


def byte_by_byte(text):
    return [text[number : number + 1] for number in range(len(text))]


_LONG = 10_000
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
SLOW = {
    "silence": (b"", [b""] * _LONG),
    "100-continue": (b"", [CONTINUE] * _LONG),
    "100-continue-with-headers": (b"", [b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n"] * _LONG),
    "status-line": (b"", byte_by_byte(b"HTTP/1.1 200 " + b"O" * _LONG)),
    "a-header": (OK, byte_by_byte(b"x: " + b"y" * _LONG)),
    "headers-without-end": (OK, [b"x: y\r\n"] * 90),
    "body": (OK + b"content-length: 9999\r\n\r\n", byte_by_byte(b" " * 9999)),
    "body-until-closed": (OK + b"\r\n", byte_by_byte(b" " * _LONG)),
    "chunks": (CHUNKED, [b"1\r\nx\r\n"] * _LONG),
    "chunk-size": (CHUNKED, byte_by_byte(b"0" * _LONG)),
    "body-of-a-refusal": (b"HTTP/1.1 400 Bad\r\n\r\n", byte_by_byte(b" " * _LONG)),
}


def serve(what, context=None):
    """One of these. Context manager."""
    return Drip(*SLOW[what], context=context)
