"""Lines on their way to huggingface_hub: held back and let go, however they end; and answers that are no stream."""

from __future__ import annotations

import asyncio
import json

import pytest

from hf_openobserve.clients.huggingface_hub import lines
from hf_openobserve.wire.event_stream import UsageHidden

USAGE = {"total_tokens": 3}


def line(finish_reason=None, **members):
    choices = [{"index": 0, "delta": {}, "finish_reason": finish_reason}]
    return "data: " + json.dumps({"choices": choices, **members})


ALONE = "data: " + json.dumps({"choices": [], "usage": USAGE})
STOP, DONE = line("stop"), "data: [DONE]"


@pytest.fixture(params=["sync", "async"])
def read(request):
    """Everything that comes of a source that may break in the end: the lines, and the error."""

    def sync(source, hidden, document):
        seen = []
        try:
            seen.extend(lines.watched(source(), hidden, document))
        except Exception as error:
            return seen, error
        return seen, None

    def asynchronous(source, hidden, document):
        async def sending():
            for one in source():
                yield one

        async def main():
            seen = []
            try:
                async for one in lines.watched(sending(), hidden, document):
                    seen.append(one)
            except Exception as error:
                return seen, error
            return seen, None

        return asyncio.run(main())

    reading = sync if request.param == "sync" else asynchronous

    def read(sent, *, error=None, asked=True):
        def source():
            yield from sent
            if error is not None:
                raise error

        document = []
        return (*reading(source, UsageHidden(lambda _: None) if asked else None, document), document)

    return read


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ([line(), "", STOP, "", ALONE, "", DONE], [line(), "", STOP, "", "", DONE]),
        ([line(), STOP], [line(), STOP]),
        ([STOP, ALONE], [STOP]),
        ([": ping", STOP, ": ping", ALONE], [": ping", STOP, ": ping"]),
        (["event: x", line()], ["event: x", line()]),
        ([], []),
    ],
)
def test_what_comes_of_a_stream_that_was_asked(read, sent, seen):
    assert read(sent)[:2] == (seen, None)
    assert read(sent, asked=False)[:2] == (sent, None)


def test_what_was_held_back_goes_before_the_error(read):
    error = ConnectionError("cut")
    assert read([line(), STOP], error=error)[:2] == ([line(), STOP], error)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("sent", "document"),
    [
        (['{"error":', '"died"}'], [b'{"error":', b'"died"}']),
        (["<html>", "</html>"], [b"<html>", b"</html>"]),
        (["", line()], []),
        (["x" * 70_000, "y"], []),
    ],
    ids=["an error", "a page", "a stream", "too long"],
)
def test_an_answer_that_is_no_stream_is_kept(read, sent, document, asked):
    assert read(sent, asked=asked) == (sent, None, document)


def test_what_cannot_be_looked_at_passes(read):
    odd = [5, line(), "\ud800", b"bytes"]
    assert read(odd)[:2] == (odd, None)
