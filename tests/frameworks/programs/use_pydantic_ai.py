"""Pydantic AI: an agent on its Hugging Face model, plain and streamed."""

import asyncio

import by_name
from pydantic_ai import Agent
from pydantic_ai.models.huggingface import HuggingFaceModel
from pydantic_ai.providers.huggingface import HuggingFaceProvider

if by_name.INSTRUMENT:
    Agent.instrument_all()

QUESTION = "Tell me about the sea."


def agent(model):
    provider = HuggingFaceProvider(provider_name=by_name.PROVIDER)
    return Agent(HuggingFaceModel(model, provider=provider), model_settings={"max_tokens": 8})


async def use():
    asking = agent(by_name.MODEL)
    usage = (await asking.run(QUESTION)).usage
    print("plain", usage.input_tokens, usage.output_tokens)
    async with asking.run_stream(QUESTION) as stream:
        print("streamed", type(await stream.get_output()).__name__)
    try:
        await agent(by_name.REFUSED).run(QUESTION)
    except Exception as error:
        print("refused", type(error).__name__)


asyncio.run(use())
