"""A program that knows nothing of tracing and makes one call: ``caller.py CASE URL``.

Its failures are its own business.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict

from servers import UNSUPPORTED

MODEL = "benchmark/model"
QUESTION = "What is a zyzzyva, in one sentence?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def _openai(url: str, model: str = MODEL, **more: Any) -> None:
    import openai

    client = openai.OpenAI(base_url=url, api_key=os.environ["HF_TOKEN"], max_retries=0)
    _read(lambda: client.chat.completions.create(model=model, messages=MESSAGES, **more), openai.APIError)


def _huggingface_hub(url: str, model: str = MODEL, **more: Any) -> None:
    import huggingface_hub

    client = huggingface_hub.InferenceClient(base_url=url, api_key=os.environ["HF_TOKEN"])
    _read(lambda: client.chat_completion(MESSAGES, model=model, **more), huggingface_hub.errors.HfHubHTTPError)


def _read(call: Callable[[], Any], refusal: Any) -> None:
    """To the end of a stream."""
    try:
        for _ in call():
            pass
    except refusal:
        pass


CASES: Dict[str, Callable[[str], None]] = {
    "chat": _openai,
    "stream": lambda url: _openai(url, stream=True),
    "stream that asks": lambda url: _openai(url, stream=True, stream_options={"include_usage": True}),
    "refused": lambda url: _openai(url, UNSUPPORTED),
    "hub chat": _huggingface_hub,
    "hub stream": lambda url: _huggingface_hub(url, stream=True),
    "hub refused": lambda url: _huggingface_hub(url, UNSUPPORTED),
}

if __name__ == "__main__":
    CASES[sys.argv[1]](sys.argv[2])
