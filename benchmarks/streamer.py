"""A program that knows nothing of tracing, with either client: chats and streams that it times itself.

``streamer.py openai|huggingface_hub URL`` reads lines ``<kind> <count>`` and answers each with the list of CPU
microseconds of its calls, on their own thread. Kinds: ``chat`` and ``stream``; a stream is read to its end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Callable, Dict

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
MESSAGES = [
    {
        "role": "user",
        "content": "What is a token? Answer in two sentences, for someone who has never used a language model.",
    }
]


def _openai(url: str) -> Dict[str, Callable[[], Any]]:
    import openai

    create = openai.OpenAI(base_url=url, api_key=os.environ["HF_TOKEN"], max_retries=0).chat.completions.create
    return {
        "chat": lambda: create(model=MODEL, messages=MESSAGES, max_tokens=64),
        "stream": lambda: _read(create(model=MODEL, messages=MESSAGES, max_tokens=500, stream=True)),
    }


def _huggingface_hub(url: str) -> Dict[str, Callable[[], Any]]:
    import huggingface_hub

    create = huggingface_hub.InferenceClient(base_url=url, api_key=os.environ["HF_TOKEN"]).chat_completion
    return {
        "chat": lambda: create(MESSAGES, model=MODEL, max_tokens=64),
        "stream": lambda: _read(create(MESSAGES, model=MODEL, max_tokens=500, stream=True)),
    }


def _read(stream: Any) -> None:
    for _ in stream:
        pass


def _timed(action: Callable[[], Any]) -> float:
    cpu = time.thread_time()
    action()
    return (time.thread_time() - cpu) * 1e6


def main(client: str, url: str) -> None:
    actions = {"openai": _openai, "huggingface_hub": _huggingface_hub}[client](url)
    for line in sys.stdin:
        kind, count = line.split()
        print(json.dumps([_timed(actions[kind]) for _ in range(int(count))]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
