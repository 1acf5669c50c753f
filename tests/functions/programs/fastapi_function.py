"""The same with FastAPI: an ``async def`` endpoint, one in its pool of threads, a stream."""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from web_calls import call, call_async, stream

app = FastAPI()


@app.get("/async/{label}")
async def answer_async(label: str) -> str:
    return await call_async(label)


@app.get("/thread/{label}")
def answer_in_a_thread(label: str) -> str:
    return call(label)


@app.get("/stream/{label}")
async def answer_as_it_comes(label: str) -> StreamingResponse:
    return StreamingResponse(stream(label))
