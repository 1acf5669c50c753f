"""The calls of the web functions. Each answers with what the model said, or with the model's name."""

import os

import openai

_OPTIONS = {"base_url": os.environ["HF_BASE_URL"], "max_retries": 0}
client = openai.OpenAI(**_OPTIONS)
asynchronous = openai.AsyncOpenAI(**_OPTIONS)


def asked(label, **more):
    messages = [{"role": "user", "content": "Hi"}]
    return {"model": "scripted/plain", "messages": messages, "user": label, **more}


def call(label):
    return client.chat.completions.create(**asked(label)).model


async def call_async(label):
    return (await asynchronous.chat.completions.create(**asked(label))).model


async def stream(label):
    async for chunk in await asynchronous.chat.completions.create(**asked(label, stream=True)):
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content.encode()
