"""A body that is looked at reads as it would alone, in every way it can be read, and the call knows how it ended."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hf_openobserve.call.call import Call
from hf_openobserve.clients import http
from hf_openobserve.clients.usage_question import Question

pytestmark = pytest.mark.matrix


def event(content=None, finish_reason=None, **members):
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return b"data: " + json.dumps({"model": "m", "choices": choices, **members}).encode() + b"\n\n"


EVENTS = [event("Hi"), event(" the\u2028re"), event(".", "stop"), b"data: [DONE]\n\n"]
STREAM = b"".join(EVENTS)
CUT_APART = [STREAM[index : index + 7] for index in range(0, len(STREAM), 7)]
USAGE = {"total_tokens": 3}
USAGE_EVENT = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
WHOLE = {"model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi the\u2028re."}}]}
DOCUMENT = json.dumps(WHOLE).encode()

CUT, HANG = object(), object()
BODIES = {
    "events": (EVENTS, None),
    "cut-apart": (CUT_APART, None),
    "one-piece": ([STREAM], None),
    "crlf": ([STREAM.replace(b"\n", b"\r\n")], None),
    "gzip": ([gzip.compress(STREAM)], "gzip"),
    "deflate": ([zlib.compress(STREAM)], "deflate"),
    "asked": ([*EVENTS[:3], USAGE_EVENT, EVENTS[3]], None),
    "document": ([DOCUMENT[:20], DOCUMENT[20:]], None),
    "gzip-document": ([gzip.compress(DOCUMENT)], "gzip"),
    "white-space": ([b"\n\n", b" ", DOCUMENT], None),
    "error-document": ([b'{"error": {"message": "died", "code": 402}}'], None),
    "page": ([b"<!doctype html><title>Sign in</title>"], None),
    "error": ([EVENTS[0], b'data: {"error": {"message": "died"}}\n\n'], None),
    "no-json": ([EVENTS[0], b"data: {nothing\n\n", EVENTS[3]], None),
    "empty": ([], None),
    "cut": ([*EVENTS[:2], CUT], None),
    "cut-while-held": ([*EVENTS[:3], CUT], None),
    "hang": ([*EVENTS[:2], HANG], None),
}
COMPLETE = ["events", "cut-apart", "one-piece", "crlf", "gzip", "deflate", "document", "gzip-document", "white-space"]


@pytest.fixture(scope="module")
def server():
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            pieces, encoding = BODIES[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            for piece in pieces:
                if piece is CUT:
                    self.close_connection = True
                    return
                if piece is HANG:
                    over.wait(30)
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A program that leaves its answer hangs up."""

    running = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    over.set()
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module", params=["httpx", "httpx2"])
def library(request):
    return pytest.importorskip(request.param)


class Watched:
    """The call of an answer, and how often and with what it was told to be over."""

    def __init__(self, *, asked=False):
        self.call = Call(url="http://127.0.0.1/v1/chat/completions", host="127.0.0.1", client_error="APIError")
        self.call.streams()
        self.ends = []
        self._sending = http.Sending(self.call)
        self._sending.on_end = self.ends.append
        self._question = Question(("x", "m"), asked, frozenset()) if asked else None

    def put_on(self, response):
        http.watch(self._sending, self._question, response)

    @property
    def text(self):
        choices = self.call.facts().answer.get("choices") or [{"message": {"content": None}}]
        return choices[0]["message"]["content"]


# Ways to read. Each takes the response, and gives what it has read to ``seen``.


def by_bytes(response, seen):
    seen.extend(response.iter_bytes())


def by_raw_bytes(response, seen):
    seen.extend(response.iter_raw())


def by_small_pieces(response, seen):
    seen.extend(response.iter_bytes(5))


def by_lines(response, seen):
    seen.extend(response.iter_lines())


def by_text(response, seen):
    seen.extend(response.iter_text())


def at_once(response, seen):
    seen.append(response.read())


WAYS = [by_bytes, by_raw_bytes, by_small_pieces, by_lines, by_text, at_once]


async def asynchronously(way, response, seen):
    if way is at_once:
        seen.append(await response.aread())
        return
    reading = {
        by_bytes: response.aiter_bytes,
        by_raw_bytes: response.aiter_raw,
        by_small_pieces: lambda: response.aiter_bytes(5),
        by_lines: response.aiter_lines,
        by_text: response.aiter_text,
    }
    async for piece in reading[way]():
        seen.append(piece)


@pytest.fixture(params=["sync", "async"])
def read(request, server, library):
    """Reads an answer as a program does: what it has seen, and the error, if any."""

    def sync(case, way, watched):
        seen = []
        try:
            with library.Client() as client, client.stream("GET", f"{server}/{case}") as response:
                if watched is not None:
                    watched.put_on(response)
                way(response, seen)
        except Exception as error:
            return seen, type(error), str(error)
        return seen, None, ""

    def asynchronous(case, way, watched):
        async def main():
            seen = []
            try:
                async with library.AsyncClient() as client, client.stream("GET", f"{server}/{case}") as response:
                    if watched is not None:
                        watched.put_on(response)
                    await asynchronously(way, response, seen)
            except Exception as error:
                return seen, type(error), str(error)
            return seen, None, ""

        return asyncio.run(main())

    reading = sync if request.param == "sync" else asynchronous
    return lambda case, way, watched=None: reading(case, way, watched)


def joined(result):
    """Bytes may come in other pieces than alone; what they are is the same."""
    seen, error, message = result
    return (seen[0][:0].join(seen) if seen and not isinstance(seen[0], list) else seen), error, message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", COMPLETE)
def test_whatever_is_read_and_however(read, case, way):
    watched = Watched()
    assert joined(read(case, way, watched)) == joined(read(case, way))
    assert watched.text == "Hi the\u2028re."
    assert watched.ends == [None]
    assert not watched.call.facts().failed


@pytest.mark.parametrize("way", WAYS)
def test_what_was_asked_for_does_not_get_through(read, way):
    watched = Watched(asked=True)
    assert joined(read("asked", way, watched)) == joined(read("events", way))
    known = watched.call.facts()
    assert known.answer["usage"] == USAGE
    assert known.attributes["hf.stream.chunks"] == 3
    assert watched.text == "Hi the\u2028re."


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", ["cut", "cut-while-held"])
def test_a_source_that_breaks(read, case, way, asked):
    watched = Watched(asked=asked)
    assert joined(read(case, way, watched)) == joined(read(case, way))
    known = watched.call.facts()
    assert (known.failed, known.attributes["hf.error.kind"]) == (True, "stream_broken")
    assert watched.text == ("Hi the\u2028re" if case == "cut" else "Hi the\u2028re.")
    (end,) = watched.ends
    assert end is not None


@pytest.mark.parametrize(
    ("case", "kind", "message"),
    [
        ("error-document", "credits_exhausted", "APIError: died"),
        ("page", "server_error", "web page: Sign in"),
        ("error", "stream_broken", "APIError: died"),
        ("no-json", "stream_broken", "JSONDecodeError: a chunk of the stream is no JSON: line 1 column 1 (char 0)"),
    ],
)
def test_an_answer_that_is_none(read, case, kind, message):
    watched = Watched()
    assert joined(read(case, by_bytes, watched)) == joined(read(case, by_bytes))
    known = watched.call.facts()
    assert (known.failed, known.attributes.get("hf.error.kind"), known.message) == (True, kind, message)
    assert watched.ends == [None]


def test_an_empty_answer(read):
    watched = Watched()
    assert read("empty", by_bytes, watched) == read("empty", by_bytes)
    assert (watched.text, watched.ends) == (None, [None])


# How a program leaves it.


def opened(library, server, watched, case="events"):
    client = library.Client()
    response = client.send(client.build_request("GET", f"{server}/{case}"), stream=True)
    watched.put_on(response)
    pieces = response.iter_raw()
    assert next(pieces) == EVENTS[0]
    return client, response, pieces


def test_left_and_closed_it_ended_well(library, server):
    watched = Watched()
    client, response, _ = opened(library, server, watched, "hang")
    response.close()
    response.close()
    client.close()
    assert (watched.text, watched.ends, watched.call.facts().failed) == ("Hi", [None], False)


def test_dropped_it_ended_with_the_last_piece(library, server):
    watched = Watched()
    client, response, pieces = opened(library, server, watched)
    assert watched.ends == []
    del response, pieces
    gc.collect()
    assert (watched.text, watched.ends) == ("Hi", [None])
    assert watched.call.ended is not None
    client.close()


def test_an_exception_of_the_programs_own_leaves_it_broken(library, server):
    watched = Watched()

    def use():
        with library.Client() as client, client.stream("GET", f"{server}/events") as response:
            watched.put_on(response)
            pieces = response.iter_raw()
            next(pieces)
            raise KeyError("mine")

    with pytest.raises(KeyError) as raised:
        use()
    assert raised.value.__context__ is None
    assert (watched.ends, watched.call.facts().message) == ([raised.value], "KeyError: 'mine'")


def test_a_break_of_the_loop_is_no_error(library, server):
    watched = Watched()
    with library.Client() as client, client.stream("GET", f"{server}/hang") as response:
        watched.put_on(response)
        for _ in response.iter_raw():
            break
    assert (watched.text, watched.ends, watched.call.facts().failed) == ("Hi", [None], False)


def test_a_task_that_is_cancelled(library, server):
    watched = Watched()

    async def use():
        async with library.AsyncClient() as client, client.stream("GET", f"{server}/hang") as response:
            watched.put_on(response)
            async for _ in response.aiter_raw():
                pass

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(use(), 1)

    asyncio.run(main())
    assert watched.text == "Hi the\u2028re"
    assert watched.call.facts().attributes["hf.error.kind"] == "cancelled"
    (end,) = watched.ends
    assert isinstance(end, asyncio.CancelledError)


def test_closed_in_the_middle_by_an_asynchronous_program(library, server):
    watched = Watched()

    async def main():
        async with library.AsyncClient() as client:
            response = await client.send(client.build_request("GET", f"{server}/hang"), stream=True)
            watched.put_on(response)
            assert await response.aiter_raw().__anext__() == EVENTS[0]
            await response.aclose()

    asyncio.run(main())
    assert (watched.text, watched.ends, watched.call.facts().failed) == ("Hi", [None], False)


def test_what_the_librarys_own_stream_has_is_there(library, server):
    watched = Watched()
    with library.Client() as client, client.stream("GET", f"{server}/events") as response:
        watched.put_on(response)
        response.read()
        assert isinstance(response.stream, library.SyncByteStream)
    assert response.elapsed.total_seconds() >= 0


def test_a_span_that_ended_first_knows_what_has_come_so_far(library, server):
    watched = Watched()
    client, response, _ = opened(library, server, watched)
    known = watched.call.facts()
    assert (known.answer["choices"][0]["message"]["content"], known.ended is not None) == ("Hi", True)
    response.close()
    client.close()
    assert watched.ends == []
