"""langchain-huggingface: the chat model and the endpoint beneath it, plain, streamed, asynchronous and in a chain."""

import asyncio

import by_name
from langchain_core.output_parsers import StrOutputParser
from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint

if by_name.INSTRUMENT:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument()

QUESTION = "Tell me about the sea."


def chat_model(model):
    endpoint = HuggingFaceEndpoint(repo_id=model, provider=by_name.PROVIDER, max_new_tokens=8)
    return ChatHuggingFace(llm=endpoint, model_id=model, max_tokens=8)


chat = chat_model(by_name.MODEL)
print("plain", chat.invoke(QUESTION).usage_metadata)
print("streamed", len(list(chat.stream(QUESTION))) > 0)
print("in a chain", type((chat | StrOutputParser()).invoke(QUESTION)).__name__)
by_name.refused("refused", lambda: chat_model(by_name.REFUSED).invoke(QUESTION))
left = chat.stream(QUESTION)
next(left)
left.close()


async def asynchronously():
    print("async", (await chat.ainvoke(QUESTION)).usage_metadata)
    print("async streamed", len([chunk async for chunk in chat.astream(QUESTION)]) > 0)
    together = await asyncio.gather(*(chat.ainvoke(f"{QUESTION} {number}") for number in range(3)))
    print("together", [answer.usage_metadata for answer in together])


asyncio.run(asynchronously())
