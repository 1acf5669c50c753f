"""An ASGI application: ``/async/LABEL``, ``/stream/LABEL`` and ``/thread/LABEL`` call.

``/gap`` says how long the loop stood still.
"""

import asyncio
import time

from web_calls import call, call_async, stream

longest_gap = 0.0
ticker = None


async def tick():
    global longest_gap
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest_gap = max(longest_gap, time.monotonic() - before)


async def app(scope, receive, send):
    global ticker
    if scope["type"] == "lifespan":
        return
    ticker = ticker or asyncio.ensure_future(tick())
    _, how, label = (scope["path"] + "/").split("/")[:3]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if how == "stream":
        async for piece in stream(label):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
        return
    if how == "gap":
        answer = str(longest_gap)
    elif how == "thread":
        answer = await asyncio.get_running_loop().run_in_executor(None, call, label)
    else:
        answer = await call_async(label)
    await send({"type": "http.response.body", "body": answer.encode()})
