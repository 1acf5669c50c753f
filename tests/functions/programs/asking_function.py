"""A function of AWS Lambda's: what the event names calls a model, and the answer is returned."""

import asyncio
import os

import openai

URL = os.environ["HF_BASE_URL"]
MODEL = "scripted/plain"
client = openai.OpenAI(base_url=URL, max_retries=0)


def handle(event, context):
    return globals()[event["how"]](event.get("label", ""))


def ask(client, label, **more):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], user=label, **more)


def plain(label):
    return ask(client, label).model


def streamed(label):
    return "".join(chunk.choices[0].delta.content or "" for chunk in ask(client, label, stream=True) if chunk.choices)


def in_a_loop(label):
    async def run():
        return (await ask(openai.AsyncOpenAI(base_url=URL, max_retries=0), label)).model

    return asyncio.run(run())


def broken(label):
    ask(client, label)
    raise ValueError("the function's own")


def nothing(label):
    return "nothing"
