"""smolagents: its default model class, its OpenAI one, and a small agent around a model."""

import by_name
from smolagents import InferenceClientModel, OpenAIModel, ToolCallingAgent

if by_name.INSTRUMENT:
    from openinference.instrumentation.smolagents import SmolagentsInstrumentor

    SmolagentsInstrumentor().instrument()

MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "Tell me about the sea."}]}]


def hub(model):
    return InferenceClientModel(model_id=model, provider=by_name.PROVIDER, max_tokens=8)


def by_openai(model):
    return OpenAIModel(
        model_id=model, api_base=by_name.ROUTER, api_key="x", max_tokens=8, client_kwargs={"max_retries": 0}
    )


for label, make in (("hub", hub), ("openai", by_openai)):
    model = make(by_name.MODEL)
    print(label, "plain", model.generate(MESSAGES).token_usage)
    print(label, "streamed", len(list(model.generate_stream(MESSAGES))))
    stream = model.generate_stream(MESSAGES)
    next(stream)
    stream.close()
    by_name.refused(label, lambda: make(by_name.REFUSED).generate(MESSAGES))  # noqa: B023 - called in this round

agent = ToolCallingAgent(tools=[], model=hub("scripted/final-answer"), verbosity_level=0, max_steps=2)
print("agent", agent.run("Which sea is the widest?"))
