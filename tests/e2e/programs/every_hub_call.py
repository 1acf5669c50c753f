"""Every kind of call of huggingface_hub's two clients. What a call gives the program is printed, to be compared.

Each client has a header of its own as the label of its calls; calls to ``LLAMA_URL`` print no generated text.
"""

import asyncio
import importlib.util
import os
import sys

import huggingface_hub
from huggingface_hub import AsyncInferenceClient, InferenceClient

LLAMA, SCRIPTED = os.environ["LLAMA_URL"], os.environ["SCRIPTED_URL"]
MODEL = "meta-llama/Llama-3.1-8B-Instruct:fastest"
MESSAGES = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Tell me about the sea."}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
CHAT = {"model": MODEL, "max_tokens": 8}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_ASYNC = (
    int(huggingface_hub.__version__.split(".")[0]) >= 1 or importlib.util.find_spec("aiohttp") is not None
)  # before 1.0 the asynchronous client is built on aiohttp, which may not be installed

CALLS = [
    ("chat", LLAMA, "chat_completion", (MESSAGES,), CHAT),
    ("proxy", LLAMA, "create", (MESSAGES,), CHAT),
    ("stream", LLAMA, "chat_completion", (MESSAGES,), {**CHAT, **WITH_USAGE}),
    ("tools", LLAMA, "chat_completion", (MESSAGES,), {**CHAT, "tools": TOOLS}),
    ("refused", LLAMA, "chat_completion", (MESSAGES,), {"model": MODEL, "max_tokens": "many"}),
    ("tool calls", "/tool-calls", "chat_completion", (MESSAGES,), {**CHAT, "tools": TOOLS}),
    ("streamed tool calls", "/streamed-tool-calls", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("served", "/served", "chat_completion", (MESSAGES,), {**CHAT, "model": "org/name:together"}),
    ("usage on finish", "/usage-on-finish", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("no usage", "/no-usage", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("usage nobody asked for", "/usage-if-asked", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("option refused", "/refuses-option", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("generation", "/generation", "text_generation", ("The sea",), {"max_new_tokens": 8}),
    ("details", "/details", "text_generation", ("The sea",), {"details": True, "decoder_input_details": True}),
    ("streamed generation", "/generation-stream", "text_generation", ("The sea",), {"stream": True}),
    ("streamed details", "/generation-stream", "text_generation", ("The sea",), {"stream": True, "details": True}),
    ("retried", "", "text_generation", ("The sea",), {"top_n_tokens": 2, "model": SCRIPTED + "/not-tgi"}),
    ("similarity", "/similarity", "sentence_similarity", ("the sea",), {"other_sentences": ["an ocean", "a car"]}),
    ("summary", "/summary", "summarization", ("The sea is wide.",), {}),
    ("classes", "/classes", "text_classification", ("I like the sea.",), {}),
    ("402", "/402", "chat_completion", (MESSAGES,), CHAT),
    ("429", "/429", "chat_completion", (MESSAGES,), CHAT),
    ("503", "/503", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("overloaded", "/overloaded", "text_generation", ("The sea",), {}),
    ("broken", "/broken", "chat_completion", (MESSAGES,), {**CHAT, "stream": True}),
    ("broken generation", "/broken-generation", "text_generation", ("The sea",), {"stream": True}),
    ("nonsense", "/nonsense", "chat_completion", (MESSAGES,), CHAT),
    ("bad argument", "/served", "chat_completion", (MESSAGES,), {"no_such_argument": 1}),
]
if HAS_NUMPY:
    CALLS += [
        ("embedding", "/embedding", "feature_extraction", ("the sea",), {}),
        ("embedding failed", "/503", "feature_extraction", ("the sea",), {}),
    ]


def client(kind, label, where):
    address = where if where.startswith("http") else SCRIPTED + where
    return kind(base_url=address, headers={"X-HF-Bill-To": label})


def method(owner, name):
    return owner.chat.completions.create if name == "create" else getattr(owner, name)


def show(label, where, result):
    print(label, type(result).__name__, len(result.choices) if where is LLAMA else repr(result))


def show_chunk(label, where, chunk):
    if where is not LLAMA:
        print(label, "chunk", type(chunk).__name__, repr(chunk))


def show_error(label, error):
    print(label, type(error).__qualname__, error, type(error.__cause__), type(error.__context__))
    response = getattr(error, "response", None)
    print(label, getattr(error, "server_message", None), getattr(response, "status_code", None))


def is_stream(kwargs):
    return kwargs.get("stream") is True


def sync_calls():
    for label, where, name, args, kwargs in CALLS:
        synchronous = client(InferenceClient, label, where)  # a stream ends with its client
        try:
            result = method(synchronous, name)(*args, **kwargs)
            if not is_stream(kwargs):
                show(label, where, result)
                continue
            for chunk in result:
                show_chunk(label, where, chunk)
        except Exception as error:
            show_error(label, error)


async def async_calls():
    for label, where, name, args, kwargs in CALLS:
        async with client(AsyncInferenceClient, "async " + label, where) as asynchronous:
            try:
                result = await method(asynchronous, name)(*args, **kwargs)
                if not is_stream(kwargs):
                    show(label, where, result)
                    continue
                async for chunk in result:
                    show_chunk(label, where, chunk)
            except Exception as error:
                show_error(label, error)


sync_calls()
if HAS_ASYNC:
    asyncio.run(async_calls())
print("labels:", ([label for label, *_ in CALLS], HAS_ASYNC))
sys.exit(3)
