"""Four calls to Hugging Face's inference router with the OpenAI client: plain, streamed, async, and one that fails.

An ordinary program; nothing in it knows about tracing. Run it as it is, or under ``opentelemetry-instrument``:

    HF_TOKEN=hf_... python chat.py

``HF_BASE_URL`` and ``HF_MODEL`` point it at another OpenAI-compatible server or model.
"""

import asyncio
import os
import sys
from typing import Optional

from openai import APIError, AsyncOpenAI, OpenAI

BASE_URL = os.environ.get("HF_BASE_URL", "https://router.huggingface.co/v1")
MODEL = os.environ.get("HF_MODEL", "meta-llama/Llama-3.1-8B-Instruct")


def ask(question: str) -> list:
    return [
        {"role": "system", "content": "You are a helpful assistant. Answer in one sentence."},
        {"role": "user", "content": question},
    ]


def one_line(text: Optional[str]) -> str:
    return " ".join((text or "").split())


def plain(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=ask("Why is the sky blue?"), max_tokens=64)
    print("plain:", one_line(completion.choices[0].message.content))


def streamed(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=ask("What is the sea made of?"),
        max_tokens=64,
        stream=True,
        stream_options={"include_usage": True},
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    print("streamed:", one_line(text))


async def asynchronous(token: str) -> None:
    async with AsyncOpenAI(base_url=BASE_URL, api_key=token) as client:
        completion = await client.chat.completions.create(
            model=MODEL, messages=ask("What does light do in the rain?"), max_tokens=64
        )
    print("async:", one_line(completion.choices[0].message.content))


def failing(client: OpenAI) -> None:
    try:
        client.chat.completions.create(
            model=MODEL, messages=ask("Why is the sky blue?"), max_tokens=64, response_format={"type": "yaml"}
        )
    except APIError as error:
        print("failing:", type(error).__name__, one_line(str(error)))
    else:
        print("failing: the server took a response format that does not exist")


def main() -> None:
    token = os.environ.get("HF_TOKEN")
    if not token:
        sys.exit("set HF_TOKEN to a Hugging Face token that may call Inference Providers")
    client = OpenAI(base_url=BASE_URL, api_key=token)
    plain(client)
    streamed(client)
    asyncio.run(asynchronous(token))
    failing(client)


if __name__ == "__main__":
    main()
