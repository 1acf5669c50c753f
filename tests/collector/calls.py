"""An ordinary program of both clients: answers, streams, tools, embeddings and errors, one after the other."""

import os

import huggingface_hub
import openai

MESSAGES = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Sag mir: wie groß ist 海?"}]
client = openai.OpenAI(base_url=os.environ["ROUTER"], api_key=os.environ["HF_TOKEN"], max_retries=0)
chat = client.chat.completions
for case in ("plain", "tools", "reasoning", "cached", "no-usage"):
    chat.create(model=f"scripted/{case}:fastest", messages=MESSAGES, max_tokens=8, user=case)
for case in ("plain", "tools", "usage-last", "groq"):
    for _ in chat.create(model=f"scripted/{case}", messages=MESSAGES, stream=True, user=f"stream {case}"):
        pass
client.embeddings.create(model="scripted/embedding", input=["the sea", "the sky"])
for case in ("unsupported", "no-credits", "loading"):
    try:
        chat.create(model=f"scripted/{case}", messages=MESSAGES)
    except openai.APIStatusError:
        pass
hub = huggingface_hub.InferenceClient(base_url=os.environ["ROUTER"], token=os.environ["HF_TOKEN"])
hub.chat_completion(model="scripted/plain", messages=MESSAGES, max_tokens=8)
