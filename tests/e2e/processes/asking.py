"""One OpenAI call, labelled by its ``user`` so that a test can tell whose row is whose."""

import os

import openai

_client = None


def client():
    """This process's client, built at its first use, or before the fork."""
    global _client
    if _client is None:
        _client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
    return _client


def ask(label):
    """Make one call; returns the pid that made it, as text."""
    client().chat.completions.create(
        model="meta-llama/Llama-3.1-8B-Instruct", messages=[{"role": "user", "content": "Hi"}], user=label
    )
    return str(os.getpid())
