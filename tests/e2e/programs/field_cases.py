"""Every answer of ``field_answers`` through every way to read it. A call's model is the answer's name and the way's."""

import asyncio
import json
import logging
import os
import sys

import huggingface_hub
import openai

logging.basicConfig()
URL = os.environ["HF_BASE_URL"]
MESSAGES = [{"role": "user", "content": "Hi"}]
WHOLE = os.environ["WHOLE"].split(",")
STREAMED = os.environ["STREAMED"].split(",")
RESPONSES = os.environ["RESPONSES"].split(",")
STRUCTURED = os.environ["STRUCTURED"].split(",")

client = openai.OpenAI(base_url=URL, api_key="x", max_retries=0, timeout=60)
chat = client.chat.completions
parse = getattr(chat, "parse", None) or client.beta.chat.completions.parse
helper = getattr(chat, "stream", None) or client.beta.chat.completions.stream
hub = huggingface_hub.InferenceClient(base_url=URL, api_key="hf_x", timeout=60)


def dumped(chunks):
    return [chunk.model_dump_json(exclude_unset=True) for chunk in chunks]


def told(what):
    """Of a generator what came, and what broke it."""
    came = []
    try:
        came.extend(one if isinstance(one, (str, bytes)) else one.model_dump_json(exclude_unset=True) for one in what)
    except Exception as error:
        came.append((type(error).__name__, str(error)))
    return came


def joined(pieces):
    """The pieces in one, and what broke them: where one ends and the next begins is the network's."""
    whole = [one for one in pieces if isinstance(one, (str, bytes))]
    return whole[:1] and type(whole[0])().join(whole), [one for one in pieces if isinstance(one, tuple)]


def plain(model):
    return told(chat.create(model=model, messages=MESSAGES, stream=True))


def raw(model):
    return told(chat.with_raw_response.create(model=model, messages=MESSAGES, stream=True).parse())


def raw_by(method):
    def read(model):
        answer = chat.with_raw_response.create(model=model, messages=MESSAGES, stream=True)
        came = told(getattr(answer.http_response, method)())
        return joined(came) if method != "iter_lines" else came

    return read


def lazy(model):
    with chat.with_streaming_response.create(model=model, messages=MESSAGES, stream=True) as answer:
        return told(answer.parse())


def lazy_by(method):
    def read(model):
        with chat.with_streaming_response.create(model=model, messages=MESSAGES, stream=True) as answer:
            came = told(getattr(answer, method)())
            return joined(came) if method != "iter_lines" else came

    return read


def lazy_read(model):
    with chat.with_streaming_response.create(model=model, messages=MESSAGES, stream=True) as answer:
        return answer.read()


def stopped(model):
    """At the reason: what comes behind is not read."""
    came = []
    with chat.create(model=model, messages=MESSAGES, stream=True) as chunks:
        for chunk in chunks:
            came.append(chunk.model_dump_json(exclude_unset=True))
            if chunk.choices and chunk.choices[0].finish_reason:
                break
    return came


def by_helper(model):
    with helper(model=model, messages=MESSAGES) as events:
        return [event.type for event in events]


def hub_stream(model):
    came = []
    try:
        for chunk in hub.chat_completion(MESSAGES, model=model, stream=True):
            came.append(json.dumps(chunk, default=str))
            came.append(sorted(vars(chunk)))
    except Exception as error:
        came.append((type(error).__name__, str(error)))
    return came


STREAMS = {
    "plain": plain,
    "raw": raw,
    "raw-lines": raw_by("iter_lines"),
    "raw-bytes": raw_by("iter_bytes"),
    "raw-text": raw_by("iter_text"),
    "raw-raw": raw_by("iter_raw"),
    "lazy": lazy,
    "lazy-lines": lazy_by("iter_lines"),
    "lazy-bytes": lazy_by("iter_bytes"),
    "lazy-text": lazy_by("iter_text"),
    "lazy-read": lazy_read,
    "stopped": stopped,
    "helper": by_helper,
    "hub": hub_stream,
}


def lazy_whole(model):
    with chat.with_streaming_response.create(model=model, messages=MESSAGES) as answer:
        return answer.parse().model_dump_json(exclude_unset=True)


def sent_back(model):
    """Agents send the turn back as it came."""
    first = chat.create(model=model, messages=MESSAGES)
    turn = [*MESSAGES, first.choices[0].message, {"role": "tool", "tool_call_id": 0, "content": "21"}]
    return chat.create(model=model, messages=turn).choices[0].finish_reason


WHOLES = {
    "plain": lambda model: chat.create(model=model, messages=MESSAGES).model_dump_json(exclude_unset=True),
    "raw": lambda model: chat.with_raw_response.create(model=model, messages=MESSAGES).text,
    "lazy": lazy_whole,
    "back": sent_back,
    "hub": lambda model: json.dumps(hub.chat_completion(MESSAGES, model=model), default=str),
}


def structured():
    from pydantic import BaseModel

    class Answer(BaseModel):
        a: int

    def parsed(model):
        return parse(model=model, messages=MESSAGES, response_format=Answer).choices[0].message.content

    def helped(model):
        with helper(model=model, messages=MESSAGES, response_format=Answer) as events:
            return [event.type for event in events]

    return {"parse": parsed, "helper-parse": helped}


RESPONSE = {
    "plain": lambda model: client.responses.create(model=model, input="Hi").status,
    "raw": lambda model: client.responses.with_raw_response.create(model=model, input="Hi").text,
    "stream": lambda model: [event.type for event in client.responses.create(model=model, input="Hi", stream=True)],
}


def call(name, way, make):
    label = f"{name}/{way}"
    try:
        print(label, make(label))
    except Exception as error:
        print(label, type(error).__name__, error, type(error.__cause__).__name__, type(error.__context__).__name__)


def run(names, ways, prefix):
    for name in names:
        for way, make in ways.items():
            call(name, prefix + way, make)


async def gathered(chunks):
    came = []
    try:
        async for one in chunks:
            text = one if isinstance(one, (str, bytes)) else json.dumps(one, default=str)
            came.append(text)
    except Exception as error:
        came.append((type(error).__name__, str(error)))
    return came


async def asynchronous():
    aclient = openai.AsyncOpenAI(base_url=URL, api_key="x", max_retries=0, timeout=60)
    achat = aclient.chat.completions
    ahub = huggingface_hub.AsyncInferenceClient(base_url=URL, api_key="hf_x", timeout=60)
    for name in STREAMED:
        ways = {
            "plain": lambda model: achat.create(model=model, messages=MESSAGES, stream=True),
            "hub": lambda model: ahub.chat_completion(MESSAGES, model=model, stream=True),
        }
        for way, make in ways.items():
            label = f"{name}/async-{way}"
            try:
                print(label, await gathered(await make(label)))
            except Exception as error:
                print(label, type(error).__name__, error)
        label = f"{name}/async-lazy"
        try:
            async with achat.with_streaming_response.create(model=label, messages=MESSAGES, stream=True) as answer:
                print(label, await gathered(answer.iter_lines()))
        except Exception as error:
            print(label, type(error).__name__, error)
    await aclient.close()
    close = getattr(ahub, "close", None)
    if close is not None:
        await close()


run(STREAMED, STREAMS, "stream-")
run(WHOLE, WHOLES, "")
if sys.version_info >= (3, 9):
    run(STRUCTURED, structured(), "")
run(RESPONSES, RESPONSE, "")
asyncio.run(asynchronous())
