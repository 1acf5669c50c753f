"""Every way a stream of openai's can go and end. The model's name is the label of the call, and the endpoint's case."""

import asyncio
import gc
import logging
import os

import openai

logging.basicConfig()


class Kept:
    """What is deleted after every module is: with the interpreter."""


MESSAGES = [{"role": "user", "content": "Hi"}]
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0, timeout=60)
chat = client.chat.completions


def stream(label, **options):
    return chat.create(model=label, messages=MESSAGES, max_tokens=5, stream=True, **options)


def told(chunks):
    return [chunk.model_dump_json(exclude_unset=True) for chunk in chunks]


def break_out(label):
    for _ in stream(label):
        break
    # httpcore closes it when the garbage collector comes, and waits for its own lock for ever if that is held just
    # then.
    gc.collect()


def close(label):
    chunks = stream(label)
    next(chunks)
    chunks.close()
    return chunks.response.is_closed


def with_block(label):
    with stream(label) as chunks:
        for _ in chunks:
            break


def raise_within(label):
    with stream(label) as chunks:
        next(chunks)
        raise LookupError("the program's own")


def helper(label):
    start = getattr(chat, "stream", None) or client.beta.chat.completions.stream
    with start(model=label, messages=MESSAGES) as events:
        for _ in events:
            break


def raw(label):
    answer = chat.with_raw_response.create(model=label, messages=MESSAGES, stream=True)
    return answer.headers["x-request-id"], told(answer.parse())


def never(label):
    stream(label)
    gc.collect()


def lines(label):
    chunks = stream(label)
    return list(chunks.response.iter_lines())


def usage_asked(label):
    return told(stream(label, stream_options={"include_usage": True}))


def bad_twice(label):
    try:
        stream(label)
    except openai.BadRequestError as error:
        show_error(label, error)
    stream(label)


def looks(label):
    chunks = stream(label)
    return isinstance(chunks, openai.Stream), chunks.__class__ is openai.Stream, told(iter(chunks))


CALLS = {
    "full": lambda label: told(stream(label)),
    "usage-asked": usage_asked,
    "usage-at-finish": lambda label: told(stream(label)),
    "novita": lambda label: told(stream(label)),
    "refuses": lambda label: told(stream(label)),
    "refuses-twice": lambda label: (told(stream(label)), told(stream(label))),
    "unnamed": lambda label: told(stream(label)),
    "unnamed-twice": lambda label: (told(stream(label)), told(stream(label))),
    "unnamed-raw": raw,
    "falls": lambda label: told(stream(label)),
    "again-unnamed": lambda label: told(
        client.with_options(max_retries=2).chat.completions.create(model=label, messages=MESSAGES, stream=True)
    ),
    "bad": lambda label: told(stream(label)),
    "bad-twice": bad_twice,
    "usage-twice": lambda label: told(stream(label)),
    "groq": lambda label: told(stream(label)),
    "raw": raw,
    "lines": lines,
    "looks": looks,
    "break": break_out,
    "close": close,
    "with-block": with_block,
    "raise-within": raise_within,
    "helper": helper,
    "never": never,
    "error": lambda label: told(stream(label)),
    "broken": lambda label: told(stream(label)),
    "credits": lambda label: told(stream(label)),
}


def show_error(label, error):
    print(label, type(error).__name__, error, getattr(error, "body", None))
    while error is not None:
        print(label, type(error).__name__, type(error.__cause__).__name__, error.__suppress_context__)
        error = error.__context__


def run():
    for label, call in CALLS.items():
        try:
            print(label, call(label))
        except Exception as error:
            show_error(label, error)


async def leave_asynchronously(astream):
    """By no call of a method of the stream: what is dropped, the loop and the garbage collector clear away."""
    async for _ in await astream("async-break"):
        break
    await astream("async-never")
    circle = Kept()
    circle.itself, circle.stream = circle, await astream("async-collected")
    await circle.stream.__anext__()
    del circle
    gc.collect()

    async def words(label):
        async for chunk in await astream(label):
            yield chunk.choices[0].delta.content

    outer = words("async-outer")
    await outer.__anext__()
    await outer.aclose()
    for label in ("error-async", "broken-async"):
        try:
            print(label, [word async for word in words(label)])
        except Exception as error:
            print(label, type(error).__name__, error)
    try:
        async with await astream("async-raise-within") as chunks:
            await chunks.__anext__()
            raise LookupError("the program's own")
    except LookupError as error:
        print("async-raise-within", error)


async def hold():
    """In a loop that nobody closes."""
    aclient = openai.AsyncOpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0, timeout=60)
    Kept.client = aclient
    Kept.async_stream = await aclient.chat.completions.create(
        model="async-held", messages=MESSAGES, max_tokens=5, stream=True
    )
    await Kept.async_stream.__anext__()


def but_for_generators(loop, context):
    """Which of the generators that nobody has closed is closed too late depends on where they are in memory."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


async def run_async():
    asyncio.get_running_loop().set_exception_handler(but_for_generators)
    aclient = openai.AsyncOpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0, timeout=60)

    async def astream(label):
        return await aclient.chat.completions.create(model=label, messages=MESSAGES, max_tokens=5, stream=True)

    for label in ("async-full", "unnamed-async", "unnamed-async"):
        print([chunk.model_dump_json(exclude_unset=True) async for chunk in await astream(label)])
    try:
        await astream("bad-async")
    except openai.BadRequestError as error:
        show_error("bad-async", error)
    async with await astream("async-with-block") as chunks:
        async for _ in chunks:
            break
    chunks = await astream("async-close")
    await chunks.__anext__()
    await chunks.close()

    await leave_asynchronously(astream)

    async def cancelled(label, take):
        begun = asyncio.Event()
        task = asyncio.ensure_future(take(label, begun))
        await begun.wait()
        await asyncio.sleep(
            0.2
        )  # until it waits for the next chunk, or for the answer; if not, it is cancelled earlier
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print(label)

    async def reading(label, begun):
        async for chunk in await astream(label):
            if chunk.choices[0].delta.content == "lo":
                begun.set()

    async def waiting(label, begun):
        begun.set()
        await aclient.chat.completions.create(model=label, messages=MESSAGES)

    await cancelled("slow-cancelled", reading)
    await cancelled("slow-cancelled-waiting", waiting)
    await aclient.close()


run()
asyncio.run(run_async())
print([model.id for model in client.models.list()])
print(client.files.create(file=b"x", purpose="batch").id)
held = stream("held")
next(held)


Kept.loop = asyncio.new_event_loop()
Kept.loop.run_until_complete(hold())
Kept.begun = stream("kept-begun")
next(Kept.begun)
Kept.read = stream("kept-read")
print(told(Kept.read))
