"""One call to each kind of endpoint by its real name, with both clients: the scripted router is the proxy for all.

Each call has a header of its own as its label. The addresses are http: a proxy sees nothing of https.
"""

import os

from huggingface_hub import constants

constants.INFERENCE_PROXY_TEMPLATE = "http://router.huggingface.co/{provider}"  # read by the providers' modules

import openai
from huggingface_hub import InferenceClient
from huggingface_hub.inference._providers import PROVIDERS

PROVIDERS["together"]["conversational"].base_url = "http://api.together.xyz"

MESSAGES = [{"role": "user", "content": "Hi"}]
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
ROUTER = "http://router.huggingface.co"
DEDICATED = "http://abc.us-east-1.aws.endpoints.huggingface.cloud"
LOCAL = os.environ["LOCAL_URL"]
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def attempt(label, call):
    try:
        result = call()
        print(label, getattr(result, "id", None) or len(list(result)))
    except Exception as error:
        print(label, type(error).__name__, repr(str(error)))


def ask_openai(label, base_url, model, api_key="hf_x", **more):
    label = "openai " + label
    client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, default_headers={"X-HF-Bill-To": label})
    attempt(label, lambda: client.chat.completions.create(model=model, messages=MESSAGES, **more))


def ask_hub(label, task, *args, model=None, api_key="hf_x", base_url=None, provider=None, **more):
    label = "hub " + label
    address = {"base_url": base_url} if base_url else {}
    client = InferenceClient(provider=provider, api_key=api_key, headers={"X-HF-Bill-To": label}, **address)
    attempt(label, lambda: getattr(client, task)(*args, **({"model": model} if model else {}), **more))


ask_openai("router", ROUTER + "/v1", MODEL + ":together")
ask_openai("router_provider", ROUTER + "/together/v1", MODEL)
ask_openai("dedicated", DEDICATED + "/v1", MODEL)
ask_openai("local", LOCAL, MODEL)
ask_openai("other", "http://llm.example.com/v1", MODEL, api_key="sk-x")
ask_openai("limited", ROUTER + "/v1", "scripted/rate-limited-wait")
ask_openai("asleep", DEDICATED + "/v1", "scripted/no-upstream")
ask_openai("stream", ROUTER + "/v1", "scripted/long", **USAGE)

ask_hub("router", "chat_completion", MESSAGES, base_url=ROUTER + "/v1", model=MODEL + ":together")
ask_hub("router_provider", "chat_completion", MESSAGES, provider="together", model=MODEL)
ask_hub("dedicated", "chat_completion", MESSAGES, base_url=DEDICATED, model=MODEL)
ask_hub("local", "chat_completion", MESSAGES, base_url=LOCAL, model=MODEL)
ask_hub("other", "chat_completion", MESSAGES, base_url="http://llm.example.com", model=MODEL, api_key="sk-x")
ask_hub("provider", "chat_completion", MESSAGES, provider="together", model=MODEL, api_key="sk-x")
ask_hub("limited", "chat_completion", MESSAGES, base_url=ROUTER + "/v1", model="scripted/rate-limited-wait")
ask_hub("asleep", "chat_completion", MESSAGES, base_url=DEDICATED, model="scripted/no-upstream")
ask_hub("stream", "chat_completion", MESSAGES, base_url=ROUTER + "/v1", model="scripted/long", **USAGE)
ask_hub("generation", "text_generation", "The sea", provider="hf-inference", model="scripted/sea")
ask_hub("recommended generation", "text_generation", "The sea", provider="hf-inference")
ask_hub("recommended chat", "chat_completion", MESSAGES, provider="hf-inference")
ask_hub("recommended classes", "text_classification", "I like the sea.")
