"""The same behaviours through any client: each call has a model of its own, by which its row is known again."""

from __future__ import annotations

import asyncio
import os
import sys
import warnings

warnings.simplefilter("ignore")
CLIENT, URL = sys.argv[1], os.environ["HF_BASE_URL"]
KEY = "hf_ContractContractContractContract"
MESSAGES = [{"role": "user", "content": "Say hello"}]


def openai_calls():
    import openai

    client, aclient = (make(base_url=URL, api_key=KEY, max_retries=2) for make in (openai.OpenAI, openai.AsyncOpenAI))
    chat, achat = client.chat.completions.create, aclient.chat.completions.create
    return (
        lambda model, **kwargs: chat(model=model, messages=MESSAGES, **kwargs),
        lambda model, **kwargs: achat(model=model, messages=MESSAGES, **kwargs),
    )


def huggingface_hub_calls():
    import huggingface_hub

    client, aclient = (
        make(base_url=URL, api_key=KEY)
        for make in (huggingface_hub.InferenceClient, huggingface_hub.AsyncInferenceClient)
    )
    return (
        lambda model, **kwargs: client.chat_completion(MESSAGES, model=model, **kwargs),
        lambda model, **kwargs: aclient.chat_completion(MESSAGES, model=model, **kwargs),
    )


def litellm_calls():
    import litellm

    litellm.suppress_debug_info = True
    common = {"messages": MESSAGES, "api_base": URL, "api_key": KEY, "num_retries": 2}

    def chat(model, **kwargs):
        more = {"num_retries": 0} if "refused" in model else {}
        return litellm.completion(model="huggingface/" + model, **{**common, **more}, **kwargs)

    def achat(model, **kwargs):
        return litellm.acompletion(model="huggingface/" + model, **common, **kwargs)

    return chat, achat


chat, achat = {"openai": openai_calls, "huggingface_hub": huggingface_hub_calls, "litellm": litellm_calls}[CLIENT]()


def said(answer):
    return type(answer).__name__, answer.choices[0].message.content


def pieces(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


print("chat", said(chat("org/chat")))
print("stream", pieces(chat("org/stream", stream=True)))
left = chat("org/left", stream=True)
print("left", left.__class__.__name__, next(iter(left)).choices[0].delta.content)
del left
try:
    chat("org/refused")
except Exception as error:
    print("refused", type(error).__name__, type(error).__module__, str(error)[:60])
if CLIENT != "huggingface_hub":  # repeats no request of itself
    print("retried", said(chat("org/retried")))


def but_for_generators(loop, context):
    """huggingface_hub leaves its own unfinished; which the loop complains of depends on where they are in memory."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


async def asynchronous():
    asyncio.get_running_loop().set_exception_handler(but_for_generators)
    print("async", said(await achat("org/async")))
    chunks = [chunk async for chunk in await achat("org/astream", stream=True)]
    print("astream", pieces(chunks))


asyncio.run(asynchronous())
try:
    from opentelemetry.instrumentation.utils import suppress_instrumentation
except ImportError:
    pass
else:
    with suppress_instrumentation():
        print("suppressed", said(chat("org/suppressed")))
