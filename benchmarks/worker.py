"""An OpenAI program that knows nothing of tracing, and times itself: CPU of its own thread, per call.

``worker.py first URL`` prints, as JSON, what the first and second client and the first call cost. ``worker.py calls
URL`` reads lines ``<kind> <count>`` and answers each with the list of CPU milliseconds of its calls. ``worker.py five
URL`` makes five calls and prints the clock (``time.monotonic``, seconds) as its last act.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict, List

import openai

MODEL = "meta-llama/Llama-3.1-8B-Instruct:cerebras"
QUESTION = "What is a token? Answer in two sentences, for someone who has never used a language model."
LONG_MESSAGES = 62
PARAGRAPH = (
    "We moved the ingestion service to the new cluster on Tuesday - the p99 went from 1.8 s to 240 ms, see "
    "https://wiki.example.com/runbooks/ingest?section=4 for the details. What we did not expect: the re-try queue "
    '("retry_queue" in the config) fills up every 15 minutes, and `kubectl get pods -n ingest` shows two restarts. '
    "Could you read the snippet below and tell me which of the two locks is held too long?\n"
    "    with self._lock:\n        batch = self.take(limit=512)\n"
    "        response = self.session.post(url, data=batch)\n"
)
"""Prose with the characters that prose about programs has: hyphens, underscores, a URL, quotes, a little code."""


def conversation() -> List[Dict[str, str]]:
    """62 messages, 100 KB in all."""
    roles = ("user", "assistant")
    text = (PARAGRAPH * 3)[:1600]
    return [{"role": roles[number % 2], "content": f"({number}) {text}"} for number in range(LONG_MESSAGES)]


def client(url: str) -> Any:
    return openai.OpenAI(base_url=url, api_key=os.environ["HF_TOKEN"], max_retries=0)


def chat(openai_client: Any, messages: List[Dict[str, str]]) -> None:
    openai_client.chat.completions.create(model=MODEL, messages=messages, max_tokens=64, temperature=0.2)


def stream(openai_client: Any, messages: List[Dict[str, str]]) -> None:
    for _ in openai_client.chat.completions.create(model=MODEL, messages=messages, max_tokens=200, stream=True):
        pass


def timed(action: Any, *arguments: Any) -> Dict[str, float]:
    wall, cpu = time.perf_counter(), time.thread_time()
    result = action(*arguments)
    cost = {"cpu_ms": (time.thread_time() - cpu) * 1e3, "wall_ms": (time.perf_counter() - wall) * 1e3}
    if result is not None:
        _kept.append(result)
    return cost


_kept: List[Any] = []
"""Clients stay alive: closing one must not fall into another's time."""


def first(url: str) -> None:
    costs = {"first_client": timed(client, url), "second_client": timed(client, url)}
    question = [{"role": "user", "content": QUESTION}]
    costs["first_call"] = timed(chat, _kept[0], question)
    print(json.dumps(costs))


def five(url: str) -> None:
    openai_client = client(url)
    for _ in range(5):
        chat(openai_client, [{"role": "user", "content": QUESTION}])
    print(time.monotonic(), flush=True)


def calls(url: str) -> None:
    openai_client = client(url)
    kinds = {
        "chat": (chat, [{"role": "user", "content": QUESTION}]),
        "stream": (stream, [{"role": "user", "content": QUESTION}]),
        "long": (chat, conversation()),
    }
    for line in sys.stdin:
        kind, count = line.split()
        if kind == "cpu":
            print(time.process_time(), flush=True)
            continue
        action, messages = kinds[kind]
        print(json.dumps([timed(action, openai_client, messages)["cpu_ms"] for _ in range(int(count))]), flush=True)


if __name__ == "__main__":
    {"first": first, "five": five, "calls": calls}[sys.argv[1]](sys.argv[2])
