"""llama-index-llms-huggingface-api: chat, streamed chat and completion, both clients."""

import asyncio

import by_name
from llama_index.core.llms import ChatMessage
from llama_index.llms.huggingface_api import HuggingFaceInferenceAPI

if by_name.INSTRUMENT:
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    LlamaIndexInstrumentor().instrument()

MESSAGES = [ChatMessage(role="user", content="Tell me about the sea.")]


def llm(model):
    return HuggingFaceInferenceAPI(
        model_name=model, provider=by_name.PROVIDER, token="hf_" + "x" * 34, num_output=8, task="conversational"
    )


asking = llm(by_name.MODEL)
print("plain", type(asking.chat(MESSAGES)).__name__)
print("streamed", len(list(asking.stream_chat(MESSAGES))) > 0)
by_name.refused("refused", lambda: llm(by_name.REFUSED).chat(MESSAGES))


async def asynchronously():
    print("async", type(await asking.achat(MESSAGES)).__name__)
    print("async streamed", len([answer async for answer in await asking.astream_chat(MESSAGES)]) > 0)


asyncio.run(asynchronously())
