"""What a program lets go of is gone at once, as without the agent: nothing waits for the garbage collector.

The collector runs anywhere. Within the pool of httpcore it waited for ever for the lock that the pool itself held
(docs/laws.md#4).
"""

from __future__ import annotations

import pytest

import harness
from router import ScriptedRouter

pytestmark = pytest.mark.matrix

PROGRAM = """
import asyncio, gc, inspect, os, sys, types

CLIENT = os.environ["CLIENT"]
LIBRARIES = ("httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "openai", "huggingface_hub")
OPTIONS = {"base_url": os.environ["ROUTER"], "timeout": 20}
MESSAGES = [{"role": "user", "content": "Hi"}]
if CLIENT == "openai":
    import openai
    clients = [kind(api_key="hf_" + "x" * 34, **OPTIONS) for kind in (openai.OpenAI, openai.AsyncOpenAI)]
    asked = lambda client, case: client.chat.completions.create(
        messages=MESSAGES, stream=True, model="scripted/" + case)
else:
    from huggingface_hub import AsyncInferenceClient, InferenceClient
    clients = [kind(token="hf_" + "x" * 34, **OPTIONS) for kind in (InferenceClient, AsyncInferenceClient)]
    asked = lambda client, case: client.chat_completion(MESSAGES, stream=True, model="scripted/" + case)

def whole(stream):
    for chunk in stream:
        pass

def leave(stream):
    for chunk in stream:
        break

def close(stream):
    next(stream)
    stream.close()

def throw(stream):
    next(stream)
    getattr(stream, "throw", stream.close)(*[KeyError("mine")] * hasattr(stream, "throw"))

def error_within(stream):
    for chunk in stream:
        raise KeyError("mine")

async def whole_async(stream):
    async for chunk in stream:
        pass

async def throw_async(stream):
    await stream.__anext__()
    if hasattr(stream, "athrow"):
        await stream.athrow(KeyError("mine"))
    await (stream.aclose() if hasattr(stream, "aclose") else stream.close())

def report(*label):
    print(*label, sorted(
        f"{running.__qualname__} of {(inspect.getmodule(code) or types).__name__}"
        for running in gc.get_objects()
        if isinstance(running, (types.GeneratorType, types.AsyncGeneratorType))
        for frame, code in [(getattr(running, "gi_frame", None) or getattr(running, "ag_frame", None),
                             getattr(running, "gi_code", None) or getattr(running, "ag_code", None))]
        if frame is not None and any(f"/{library}/" in code.co_filename for library in LIBRARIES)
    ))

# "cut" and "no-event" fail while they are read, "plain" and "usage-last" end.
CASES = ("plain", "usage-last", "cut", "no-event", "long")

def synchronously(client):
    for case in CASES:
        for end in (whole, leave, close, throw, error_within):
            try:
                end(asked(client, case))
            except Exception:
                pass
            report(case, end.__name__)

async def asynchronously(client):
    for case in CASES:
        for end in (whole_async, throw_async):
            try:
                await end(await asked(client, case))
            except Exception:
                pass
            await asyncio.sleep(0.02)  # the event loop closes what was let go of
            report(case, end.__name__)
    await client.close()

whole(asked(clients[0], "plain"))  # what the first call makes for all
gc.collect()
gc.disable()
synchronously(clients[0])
if CLIENT == "openai" or hasattr(clients[1], "close"):
    asyncio.run(asynchronously(clients[1]))
sys.stdout.flush()
os._exit(0)  # Python 3.13.0 crashes where its last collection meets that many waiting generators, without the agent too
"""


@pytest.fixture(scope="module")
def router():
    with ScriptedRouter() as running:
        yield running


@pytest.mark.parametrize("client", ["openai", "huggingface_hub"])
def test_no_more_waits_for_the_collector_than_without_the_agent(client, router, tmp_path, openobserve):
    pytest.importorskip(client)
    where = {"ROUTER": router.by_name, "CLIENT": client}
    env = harness.environment(tmp_path, router.environment, openobserve.environment, where)
    bare = harness.run(PROGRAM, door=None, env=env, cwd=tmp_path)
    assert bare.returncode == 0, bare.stderr
    for usage in ("auto", "off"):
        env = {**env, "OPENOBSERVE_HF_STREAM_USAGE": usage}
        done = harness.run_ok(PROGRAM, door="pythonpath", env=env, cwd=tmp_path)
        differing = [pair for pair in zip(done.stdout.splitlines(), bare.stdout.splitlines()) if pair[0] != pair[1]]
        assert differing == [], usage
    assert len(bare.stdout.splitlines()) > 24
