"""What a program sees of huggingface_hub's two clients, printed to be compared, as ``differential_openai`` does."""

import asyncio
import gc
import importlib.util
import inspect
import json
import logging
import os
import sys

import huggingface_hub
from huggingface_hub import constants

ROUTER = os.environ["ROUTER"]
constants.INFERENCE_PROXY_TEMPLATE = ROUTER[: -len("/v1")] + "/{provider}"  # a provider's own path, without TLS

from huggingface_hub import AsyncInferenceClient, InferenceClient

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MESSAGES = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Tell me about the sea."}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
USAGE = {"stream_options": {"include_usage": True}}
ERRORS = json.loads(os.environ["ERRORS"])
STREAMS = json.loads(os.environ["STREAMS"])
REFUSALS = json.loads(os.environ["REFUSALS"])
ALWAYS = {"usage-last": ":novita"}
"""Who sends a chunk of usage alone also when nobody asks: of novita that is known."""
HAS_ASYNC = (
    int(huggingface_hub.__version__.split(".")[0]) >= 1 or importlib.util.find_spec("aiohttp") is not None
)  # before 1.0 the asynchronous client is built on aiohttp, which may not be installed

PLAIN = [
    ("llama", {"model": LLAMA, "max_tokens": 8}),
    ("llama tools", {"model": LLAMA + ":cheapest", "max_tokens": 8, "tools": TOOLS}),
    ("pinned", {"model": "scripted/plain:novita"}),
    ("nobody serves it", {"model": "scripted/plain:nobody"}),
    *((case, {"model": "scripted/" + case}) for case in ("no-usage", "tools", "reasoning", "cached", "nonsense")),
    ("truncated", {"model": "scripted/truncated"}),
    *((case, {"model": "scripted/" + case}) for case in ERRORS),
    ("bad argument", {"model": "scripted/plain", "no_such_argument": 1}),
]
STREAMED = [
    ("llama", {"model": LLAMA, "max_tokens": 8}),
    ("llama usage", {"model": LLAMA, "max_tokens": 8, **USAGE}),
    *((case, {"model": "scripted/" + case + ALWAYS.get(case, "")}) for case in STREAMS if case != "hanging"),
    *((case + " asked", {"model": "scripted/" + case, **USAGE}) for case in ("plain", "usage-last", "broken-object")),
    *((case, {"model": "scripted/" + case}) for case in REFUSALS),
    *((case + " again", {"model": "scripted/" + case}) for case in REFUSALS),
    *((case, {"model": "scripted/" + case}) for case in ("invalid", "context", "a-list", "invalid", "internal")),
    ("option refused to the program", {"model": "scripted/refuses-option", **USAGE}),
    *((case, {"model": "scripted/" + case}) for case in ("no-credits", "rate-limited-wait", "loading", "no-upstream")),
]
BY_PROVIDER = [
    ("together", "chat_completion", (MESSAGES,), {"model": LLAMA, "max_tokens": 8}),
    ("novita", "chat_completion", (MESSAGES,), {"model": "scripted/no-credits"}),
    ("hf-inference", "text_generation", ("The sea",), {"model": "scripted/generation"}),
    (
        "hf-inference",
        "text_generation",
        ("The sea",),
        {"model": "scripted/generation", "details": True, "stream": True},
    ),
]
if importlib.util.find_spec("numpy") is not None:
    BY_PROVIDER.append(("hf-inference", "feature_extraction", ("the sea",), {"model": "scripted/embedding"}))


def show(label, *what):
    print(label, *what)


def show_error(label, error):
    # aiohttp's errors carry the request, whose length is that of the question for the usage too.
    args = error.args if not hasattr(error, "request_info") else None
    show(label, type(error).__module__, type(error).__qualname__, str(error), repr(args))
    show(label, [getattr(error, name, None) for name in ("server_message", "request_id", "status", "message")])
    show(label, type(error.__cause__).__name__, type(error.__context__).__name__, error.__suppress_context__)
    response = getattr(error, "response", None)
    if response is not None:
        show(label, response.status_code, sorted(response.headers.items()), str(response.url))


def client(kind, **where):
    # aiohttp, before 1.0, asks for the proxy only if it is told to.
    more = {"trust_env": True} if "trust_env" in inspect.signature(kind).parameters else {}
    return kind(token="hf_" + "x" * 34, timeout=20, **where, **more)


def is_stream(kwargs):
    return kwargs.get("stream") is True


def synchronously():
    calling = client(InferenceClient, base_url=ROUTER)
    for label, kwargs in PLAIN:
        try:
            show(label, repr(calling.chat_completion(MESSAGES, **kwargs)))
        except Exception as error:
            show_error(label, error)
    for label, kwargs in STREAMED:
        try:
            for chunk in calling.chat.completions.create(MESSAGES, stream=True, **kwargs):
                show(label, repr(chunk))
        except Exception as error:
            show_error(label, error)
    for provider, method, args, kwargs in BY_PROVIDER:
        try:
            result = getattr(client(InferenceClient, provider=provider), method)(*args, **kwargs)
            show(method, repr(list(result) if is_stream(kwargs) else result))
        except Exception as error:
            show_error(method, error)
    leave(calling)
    try:
        client(InferenceClient, base_url="http://127.0.0.1:9/v1").chat_completion(MESSAGES)
    except Exception as error:
        show("refused connection", type(error).__qualname__, type(error.__cause__).__name__)


def leave(calling):
    """A stream that is not read to its end, in each way a program has."""
    stream = calling.chat_completion(MESSAGES, model="scripted/long", stream=True)
    for chunk in stream:
        show("break", chunk.choices[0].delta.content)
        break
    del stream
    gc.collect()
    stream = calling.chat_completion(MESSAGES, model="scripted/long", stream=True)
    show("close", next(stream).choices[0].delta.content)
    stream.close()
    show("close", list(stream))
    stream = calling.chat_completion(MESSAGES, model="scripted/long", stream=True)
    show("thrown", next(stream).choices[0].delta.content)
    try:
        stream.throw(KeyError("mine"))
    except KeyError as error:
        show("thrown", repr(error))
    show("never read", inspect.isgenerator(calling.chat_completion(MESSAGES, model="scripted/long", stream=True)))


async def asynchronously():
    async with client(AsyncInferenceClient, base_url=ROUTER) as calling:
        for label, kwargs in PLAIN:
            try:
                show(label, repr(await calling.chat_completion(MESSAGES, **kwargs)))
            except Exception as error:
                show_error(label, error)
        for label, kwargs in STREAMED:
            try:
                async for chunk in await calling.chat.completions.create(MESSAGES, stream=True, **kwargs):
                    show(label, repr(chunk))
            except Exception as error:
                show_error(label, error)
        stream = await calling.chat_completion(MESSAGES, model="scripted/long", stream=True)
        async for chunk in stream:
            show("break", chunk.choices[0].delta.content)
            break
        await stream.aclose()
        await cancel(calling)
    for provider, method, args, kwargs in BY_PROVIDER:
        async with client(AsyncInferenceClient, provider=provider) as pinned:
            try:
                result = await getattr(pinned, method)(*args, **kwargs)
                show(method, repr([chunk async for chunk in result] if is_stream(kwargs) else result))
            except Exception as error:
                show_error(method, error)


async def cancel(calling):
    last = asyncio.Event()

    async def hang():
        async for chunk in await calling.chat_completion(MESSAGES, model="scripted/hanging", stream=True):
            show("cancelled", chunk.choices[0].delta.content)
            if chunk.choices[0].delta.content == ".":  # after which the router hangs
                last.set()

    task = asyncio.create_task(hang())
    await last.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as error:
        show("cancelled", type(error).__name__)


if __name__ == "__main__":
    logging.basicConfig()  # what anybody has to say in the program's log would be seen
    synchronously()
    if HAS_ASYNC:
        asyncio.run(asynchronously())
    sys.exit(4)
