"""Every kind of call an OpenAI client makes, one after the other, each with its own user name as a label.

What the model said goes to the file RECEIVED, by label: a random model says something else each time, or nothing.
"""

import asyncio
import json
import os
import sys

import openai

BASE_URL = os.environ["HF_BASE_URL"]
SCRIPTED_URL = os.environ["SCRIPTED_URL"]
MODEL = "meta-llama/Llama-3.1-8B-Instruct:fastest"
MESSAGES = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Tell me about the sea."}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]},
    },
}


received = {}


def settings(label, **more):
    return {"model": MODEL, "max_tokens": 8, "user": label, **more}


def sync_calls():
    client = openai.OpenAI(base_url=BASE_URL, max_retries=0)
    chat = client.chat.completions
    answer = chat.create(messages=MESSAGES, **settings("chat"))
    received["chat"] = answer.choices[0].message.content
    print(answer.usage.completion_tokens > 0)
    stream = chat.create(messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **settings("stream"))
    pieces = [choice.delta.content for chunk in stream for choice in chunk.choices]
    received["stream"] = "".join(piece or "" for piece in pieces)
    print(len(pieces) > 0)
    print(chat.create(messages=MESSAGES, tools=TOOLS, **settings("tools")).model)
    print(chat.create(messages=MESSAGES, response_format=SCHEMA, **settings("structured")).object)
    print(chat.with_raw_response.create(messages=MESSAGES, **settings("raw")).parse().object)
    completion = client.completions.create(prompt="The sea", **settings("completion"))
    received["completion"] = completion.choices[0].text
    print(completion.object)
    response = client.responses.create(
        model=MODEL, input="Hi", instructions="Brief.", max_output_tokens=8, user="responses"
    )
    received["responses"] = response.output_text
    print(response.object)
    scripted = openai.OpenAI(base_url=SCRIPTED_URL, max_retries=0)
    answer = scripted.embeddings.create(model="BAAI/bge-small", input=["the sea", "the sky"], user="embeddings")
    print(len(answer.data), len(answer.data[0].embedding))
    print(len(client.embeddings.create(model=MODEL, input="the sea", user="llama embeddings").data))
    try:
        chat.create(messages=MESSAGES, model=MODEL, max_tokens="many", user="failing")
    except openai.BadRequestError as error:
        print(type(error).__name__)


async def async_calls():
    client = openai.AsyncOpenAI(base_url=BASE_URL, max_retries=0)
    chat = client.chat.completions
    print((await chat.create(messages=MESSAGES, **settings("async chat"))).object)
    stream = await chat.create(
        messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **settings("async stream")
    )
    chunks = [chunk async for chunk in stream]
    print(len(chunks) > 0)
    print((await chat.create(messages=MESSAGES, tools=TOOLS, **settings("async tools"))).object)
    print((await chat.with_raw_response.create(messages=MESSAGES, **settings("async raw"))).parse().object)
    print((await client.completions.create(prompt="The sea", **settings("async completion"))).object)
    response = await client.responses.create(model=MODEL, input="Hi", max_output_tokens=8, user="async responses")
    print(response.object)
    scripted = openai.AsyncOpenAI(base_url=SCRIPTED_URL, max_retries=0)
    answer = await scripted.embeddings.create(model="BAAI/bge-small", input=["the sea"], user="async embeddings")
    print(len(answer.data))
    try:
        await chat.create(messages=MESSAGES, model=MODEL, max_tokens="many", user="async failing")
    except openai.BadRequestError as error:
        print(type(error).__name__)


sync_calls()
asyncio.run(async_calls())
with open(os.environ["RECEIVED"], "w") as file:
    json.dump(received, file)
sys.exit(3)
