"""An ordinary OpenAI program, for the pictures: a support desk that asks four models, some of them often.

HF_BASE_URL=... python assistant.py
"""

import concurrent.futures
import os

from openai import APIError, OpenAI

QUESTIONS = (
    "Summarize in one sentence: the customer's parcel was left at a neighbour's and the neighbour has moved.",
    "Which of our three shipping options is the cheapest for 12 kg to Lisbon?",
    "Write a friendly answer to a customer who asks why the sky is blue.",
    "Classify this ticket as billing, shipping or other: 'I was charged twice in March.'",
    "Translate to German: your refund has been issued and arrives within five days.",
    "Extract the order number: 'my order O-48213 never came, please help'.",
)
MODELS = (
    "meta-llama/Llama-3.3-70B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-32B:fastest",
    "openai/gpt-oss-120b:cheapest",
    "deepseek-ai/DeepSeek-V3.2",
)
CALLS = 160
client = OpenAI(base_url=os.environ["HF_BASE_URL"], api_key=os.environ["HF_TOKEN"], max_retries=1)


def ask(number: int) -> None:
    model = "google/gemma-3-27b-it" if number % 53 == 20 else MODELS[number % len(MODELS)]
    messages = [
        {"role": "system", "content": "You are the support desk of a parcel service. Be brief and kind."},
        {"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]},
    ]
    try:
        stream = client.chat.completions.create(model=model, messages=messages, max_tokens=256, stream=True)
        for _ in stream:
            pass
    except APIError:
        pass


with concurrent.futures.ThreadPoolExecutor(5) as pool:
    list(pool.map(ask, range(CALLS)))
