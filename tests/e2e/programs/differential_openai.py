"""What a program sees of openai's two clients, printed to be compared: every chunk, value, error, header and attribute.

``ROUTER`` is the scripted router's address. Nothing printed depends on time, on an address in memory or on the agent.
"""

import asyncio
import gc
import json
import logging
import os
import sys

import openai

ROUTER = os.environ["ROUTER"]
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
MESSAGES = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Tell me about the sea."}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
USAGE = {"stream_options": {"include_usage": True}}
ERRORS = json.loads(os.environ["ERRORS"])
STREAMS = json.loads(os.environ["STREAMS"])
REFUSALS = json.loads(os.environ["REFUSALS"])
ALWAYS = {"usage-last": ":novita"}
"""Who sends a chunk of usage alone also when nobody asks: of novita that is known."""
OPTIONS = {"base_url": ROUTER, "api_key": "hf_" + "x" * 34, "max_retries": 0, "timeout": 20}

PLAIN = [
    ("llama", {"model": LLAMA, "max_tokens": 8}),
    ("llama tools", {"model": LLAMA + ":cheapest", "max_tokens": 8, "tools": TOOLS}),
    ("pinned", {"model": "scripted/plain:novita"}),
    ("nobody serves it", {"model": "scripted/plain:nobody"}),
    *((case, {"model": "scripted/" + case}) for case in ("no-usage", "tools", "reasoning", "cached", "nonsense")),
    ("truncated", {"model": "scripted/truncated"}),
    ("bill to", {"model": "scripted/plain", "extra_headers": {"X-HF-Bill-To": "org"}, "extra_body": {"top_k": 5}}),
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
SILENT = {"model": "scripted/hanging", "messages": MESSAGES, "timeout": 2}
"""A call whose answer does not come: long enough for a busy machine to have connected."""
RETRIED = ("retried", "retried-429", "retried-twice", "no-credits")


def show(label, *what):
    print(label, *what)


def show_error(label, error):
    show(label, type(error).__module__, type(error).__qualname__, str(error), repr(error.args))
    attributes = ("body", "code", "param", "type", "status_code", "request_id", "message")
    show(label, [getattr(error, name, None) for name in attributes])
    show(label, type(error.__cause__).__name__, type(error.__context__).__name__, error.__suppress_context__)
    response = getattr(error, "response", None)
    if response is not None:
        show(label, response.status_code, sorted(response.headers.items()), response.text, str(response.url))


def show_answer(label, answer):
    show(label, type(answer).__name__, answer.model_dump_json() if hasattr(answer, "model_dump_json") else repr(answer))
    show(label, getattr(answer, "_request_id", None), sorted(getattr(answer, "model_fields_set", ())))


def synchronously():
    client = openai.OpenAI(**OPTIONS)
    create = client.chat.completions.create
    for label, kwargs in PLAIN:
        try:
            show_answer(label, create(messages=MESSAGES, **kwargs))
        except Exception as error:
            show_error(label, error)
    for label, kwargs in STREAMED:
        try:
            stream = create(messages=MESSAGES, stream=True, **kwargs)
            show(label, sorted(stream.response.headers.items()))
            for chunk in stream:
                show(label, type(chunk).__name__, chunk.model_dump_json())
            show(label, list(stream))
        except Exception as error:
            show_error(label, error)
    for case in RETRIED:
        try:
            show_answer(
                case,
                client.with_options(max_retries=2).chat.completions.create(model="scripted/" + case, messages=MESSAGES),
            )
        except Exception as error:
            show_error(case, error)
    try:
        create(**SILENT)
    except openai.APITimeoutError as error:
        show_error("timeout", error)
    leave(create)
    by_hand(client)
    for model in client.models.list():
        show("models", model.model_dump_json())
    show("model", client.models.retrieve(LLAMA).model_dump_json())
    try:
        client.models.retrieve("nobody/nothing")
    except openai.NotFoundError as error:
        show_error("model", error)
    show_answer(
        "embedding", client.embeddings.create(model="scripted/embedding", input="the sea", encoding_format="float")
    )
    try:
        openai.OpenAI(**{**OPTIONS, "base_url": "http://127.0.0.1:9/v1"}).chat.completions.create(
            model="m", messages=MESSAGES
        )
    except Exception as error:
        show_error("refused connection", error)


def leave(create):
    """A stream that is not read to its end, in each way a program has."""
    stream = create(model="scripted/long", messages=MESSAGES, stream=True)
    for chunk in stream:
        show("break", chunk.choices[0].delta.content)
        break
    stream.close()
    show("break", stream.response.is_closed)
    with create(model="scripted/long", messages=MESSAGES, stream=True) as stream:
        show("with", next(stream).choices[0].delta.content)
    show("with", stream.response.is_closed)
    stream = create(model="scripted/long", messages=MESSAGES, stream=True)
    show("let go", next(iter(stream)).choices[0].delta.content)
    del stream
    gc.collect()
    try:
        with create(model="scripted/long", messages=MESSAGES, stream=True) as stream:
            raise KeyError(next(stream).choices[0].delta.content)
    except KeyError as error:
        show("error of its own", repr(error), type(error.__context__).__name__)


def by_hand(client):
    """The answer before it is parsed."""
    raw = client.chat.completions.with_raw_response.create(model="scripted/plain", messages=MESSAGES)
    show("raw", type(raw).__name__, raw.status_code, sorted(raw.headers.items()), raw.text, raw.retries_taken)
    show_answer("raw", raw.parse())
    raw = client.chat.completions.with_raw_response.create(model="scripted/truncated", messages=MESSAGES)
    show("raw and no JSON", raw.text)
    try:
        raw.parse()
    except ValueError as error:
        show_error("raw and no JSON", error)
    raw = client.chat.completions.with_raw_response.create(model="scripted/plain", messages=MESSAGES, stream=True)
    show("raw stream", [chunk.model_dump_json() for chunk in raw.parse()])
    by_hand = client.chat.completions.with_streaming_response
    for kwargs in ({}, {"stream": True}):
        with by_hand.create(model="scripted/plain", messages=MESSAGES, **kwargs) as response:
            show("unread", type(response).__name__, response.status_code, response.http_response.is_stream_consumed)
            show("unread", list(response.iter_lines()))
    with by_hand.create(model="scripted/plain", messages=MESSAGES) as response:
        show_answer("unread", response.parse())
    with by_hand.create(model="scripted/plain", messages=MESSAGES, stream=True) as response:
        show("unread", [chunk.model_dump_json() for chunk in response.parse()])


async def asynchronously():
    async with openai.AsyncOpenAI(**OPTIONS) as client:
        create = client.chat.completions.create
        for label, kwargs in PLAIN:
            try:
                show_answer(label, await create(messages=MESSAGES, **kwargs))
            except Exception as error:
                show_error(label, error)
        for label, kwargs in STREAMED:
            try:
                stream = await create(messages=MESSAGES, stream=True, **kwargs)
                show(label, sorted(stream.response.headers.items()))
                async for chunk in stream:
                    show(label, type(chunk).__name__, chunk.model_dump_json())
                show(label, [chunk async for chunk in stream])
            except Exception as error:
                show_error(label, error)
        for case in RETRIED:
            try:
                again = client.with_options(max_retries=2).chat.completions
                show_answer(case, await again.create(model="scripted/" + case, messages=MESSAGES))
            except Exception as error:
                show_error(case, error)
        try:
            async for chunk in await create(stream=True, **SILENT):
                show("timeout", chunk.choices[0].delta.content)
        except Exception as error:
            show_error("timeout", error)
        await leave_asynchronously(create)
        raw = await client.chat.completions.with_raw_response.create(model="scripted/plain", messages=MESSAGES)
        show("raw", type(raw).__name__, raw.status_code, sorted(raw.headers.items()), raw.retries_taken)
        show_answer("raw", raw.parse())
        raw = await client.chat.completions.with_raw_response.create(model="scripted/truncated", messages=MESSAGES)
        show("raw and no JSON", raw.text)
        await by_hand_asynchronously(client.chat.completions.with_streaming_response)
        show("models", [model.id async for model in client.models.list()])
        show_answer("embedding", await client.embeddings.create(model="scripted/e", input="a", encoding_format="float"))


async def by_hand_asynchronously(by_hand):
    for kwargs in ({}, {"stream": True}):
        async with by_hand.create(model="scripted/plain", messages=MESSAGES, **kwargs) as response:
            show("unread", type(response).__name__, response.status_code, response.http_response.is_stream_consumed)
            show("unread", [line async for line in response.iter_lines()])
    async with by_hand.create(model="scripted/plain", messages=MESSAGES) as response:
        show_answer("unread", await response.parse())


async def leave_asynchronously(create):
    stream = await create(model="scripted/long", messages=MESSAGES, stream=True)
    async for chunk in stream:
        show("break", chunk.choices[0].delta.content)
        break
    await stream.close()
    show("break", stream.response.is_closed)
    async with await create(model="scripted/long", messages=MESSAGES, stream=True) as stream:
        show("with", (await stream.__anext__()).choices[0].delta.content)
    show("with", stream.response.is_closed)

    last = asyncio.Event()

    async def hang():
        async for chunk in await create(model="scripted/hanging", messages=MESSAGES, stream=True):
            show("cancelled", chunk.choices[0].delta.content)
            if chunk.choices[0].delta.content == ".":  # after which the router hangs
                last.set()

    task = asyncio.create_task(hang())
    await last.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as error:
        show("cancelled", type(error).__name__, type(error.__context__).__name__)


if __name__ == "__main__":
    logging.basicConfig()  # what anybody has to say in the program's log would be seen
    synchronously()
    asyncio.run(asynchronously())
    sys.exit(4)
