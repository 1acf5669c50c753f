"""Every way a call of huggingface_hub's clients fails, against a scripted router.

Each error is printed, to be compared.

Arguments: the router's address, one where nobody listens, and JSON: pairs of the case and whether it is streamed.
"""

import asyncio
import importlib.util
import json
import sys

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient

ROUTER, NOBODY = sys.argv[1], sys.argv[2]
CASES = json.loads(sys.argv[3])
TIMED = ("hanging", "cancelled")
MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]
HAS_ASYNC = (
    int(huggingface_hub.__version__.split(".")[0]) >= 1 or importlib.util.find_spec("aiohttp") is not None
)  # before 1.0 the asynchronous client is built on aiohttp, which may not be installed


def client(kind, label, case):
    timeout = 0.5 if case == "hanging" else 30
    address = NOBODY if case == "nobody" else ROUTER
    return kind(base_url=address, token="x", timeout=timeout, headers={"X-HF-Bill-To": label})


def show_chunk(label, chunk):
    if not label.endswith(TIMED):
        print(label, chunk.choices[0].delta.content)


def show(label, error):
    print(label, "failed")
    if label.endswith(TIMED):
        return  # when in the call its time is up is a matter of chance
    if not label.endswith("nobody"):  # some texts have addresses of objects in them
        print(label, str(error).replace(ROUTER, "ROUTER"))
    print(label, type(error).__qualname__, type(error.__cause__), getattr(error, "server_message", None))


def sync_calls():
    for case, stream in CASES:
        label = ("stream " if stream else "call ") + case
        if case == "cancelled":
            continue
        synchronous = client(InferenceClient, label, case)  # a stream ends with its client
        try:
            answer = synchronous.chat_completion(MESSAGES, model="scripted/" + case, max_tokens=8, stream=stream)
            for chunk in answer if stream else ():
                show_chunk(label, chunk)
        except Exception as error:
            show(label, error)


async def async_calls():
    # huggingface_hub 0.36 raises a KeyError where a broken stream is thrown away after its client has been closed.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for case, stream in CASES:
        label = ("async stream " if stream else "async call ") + case
        try:
            work = ask(label, case, stream)
            await (asyncio.wait_for(work, 0.5) if case == "cancelled" else work)
        except Exception as error:
            show(label, error)


async def ask(label, case, stream):
    model = "scripted/" + ("hanging" if case == "cancelled" else case)
    async with client(AsyncInferenceClient, label, case) as asynchronous:
        answer = await asynchronous.chat_completion(MESSAGES, model=model, max_tokens=8, stream=stream)
        if stream:
            async for chunk in answer:
                show_chunk(label, chunk)


sync_calls()
if HAS_ASYNC:
    asyncio.run(async_calls())
print("asynchronous too:", HAS_ASYNC)
