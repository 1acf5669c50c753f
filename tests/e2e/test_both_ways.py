"""A whole answer has one row, whichever way its call went: through OpenInference, if others read the spans, or past it.

OpenInference's own attributes, of every version in the matrix, are the authority that the row of a call is held to.
"""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from scripted import Reply, ScriptedEndpoint, chat_body

pytestmark = pytest.mark.matrix

PROGRAM = """
import asyncio, concurrent.futures, os, sys, openai
from opentelemetry import trace
from openinference.instrumentation import using_session

if os.environ.get("READ_BY_OTHERS"):
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    class Exporter(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(Exporter()))

httpx = sys.modules.get("httpx2") or sys.modules["httpx"]
url = os.environ["HF_BASE_URL"]
client = openai.OpenAI(base_url=url, api_key="x", max_retries=1)
chat = client.chat.completions
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say \\u00e4 & \\"this\\".\\n"}]
FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
PARTS = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "http://x.test/a.png"}}]
ANSWERED = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "a sea"},
]

chat.create(model="org/chat:together", messages=ASKED, max_tokens=8, temperature=0.2, stop=["x"], user="u1")
chat.create(model="escaped", messages=ASKED)
chat.create(model="tools", messages=[{"role": "user", "content": PARTS}, *ANSWERED], tools=TOOLS, tool_choice="auto")
chat.create(model="choices", messages=ASKED, n=2, extra_body={"top_k": 3})
chat.create(model="retried", messages=ASKED)
chat.create(model="nousage", messages=ASKED)
chat.create(model="image", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {
    "url": "data:image/png;base64," + "A" * 4000}}]}])
chat.with_raw_response.create(model="raw", messages=ASKED).parse()
with using_session("s1"):
    chat.create(model="session", messages=ASKED)
for model in ("refused", "page", "ill", "error-within"):
    try:
        chat.create(model=model, messages=ASKED)
    except openai.OpenAIError as error:
        print(model, type(error).__name__)
client.completions.create(model="completion", prompt="Say this.", max_tokens=3)
client.completions.create(model="completions", prompt=["Say this.", "And that."])
chat.create(model="utf-16", messages=ASKED)
print(type(client.post("/chat/completions", cast_to=httpx.Response, body={"model": "cast", "messages": ASKED})))

class Threaded(httpx.Client):
    # Its requests are sent where no context of the program's is.

    def send(self, request, **options):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return pool.submit(super().send, request, **options).result()

elsewhere = openai.OpenAI(base_url=url, api_key="x", max_retries=0, http_client=Threaded())
elsewhere.chat.completions.create(model="threaded", messages=ASKED)
elsewhere.chat.completions.with_raw_response.create(model="threaded-raw", messages=ASKED)
client.responses.create(model="response", input="Say this.", instructions="Be brief.", max_output_tokens=9)
client.responses.create(model="items", input=ASKED)

async def main():
    aclient = openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
    await aclient.chat.completions.create(model="async", messages=ASKED)
    try:
        await asyncio.wait_for(aclient.chat.completions.create(model="slow", messages=ASKED), 0.3)
    except asyncio.TimeoutError:
        print("late")

asyncio.run(main())
"""
LABELS = {"org/chat:together", "escaped", "tools", "choices", "retried", "nousage", "image", "raw", "session"}
LABELS |= {"completions", "utf-16", "cast", "threaded", "threaded-raw"}
LABELS |= {"refused", "page", "ill", "error-within", "completion", "response", "items", "async", "slow"}

OF_THE_RUN = {"_timestamp", "start_time", "end_time", "duration", "span_id", "trace_id", "hf_last_attempt_duration"}
OF_THE_RUN |= {"service_service_instance_id", "server_port"}
OF_THE_EVENTS = {"_timestamp", "exception.stacktrace", "hf.retry.wait"}
"""What no two calls have in common."""

IS_OLDER = tuple(map(int, version("openinference-instrumentation-openai").split("."))) < (0, 1, 66)
MORE = {"llm_finish_reason", "llm_choices_0_completion_text", "llm_prompts_0_prompt_text", "llm_invocation_parameters"}
"""What OpenInference on Python 3.8 and 3.9 does not say: the last one only of a call that is cancelled."""

JSON_TEXTS = ("input_value", "output_value", "llm_invocation_parameters")
"""The same object, with other spaces."""


def said(content, **more):
    message = {"role": "assistant", "content": content, **more}
    return {**chat_body(), "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


class Endpoint(ScriptedEndpoint):
    """Answers by the model of the request."""

    def __init__(self):
        super().__init__(self._answer_to)
        self.is_retried = False

    def _answer_to(self, _path, body):
        model = str(body.get("model"))
        if model == "retried" and not self.is_retried:
            self.is_retried = True
            return Reply(429, {"error": "Slow down."}, {"retry-after": "0"})
        if model == "escaped":
            return Reply(body=said('a "quote" and a \\ slash, \u00e4, \u2028, \U0001f600'))
        if model == "tools":
            call = {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}}
            return Reply(body=said(None, tool_calls=[call], reasoning_content="hm"))
        if model == "choices":
            choices = [{**said(text)["choices"][0], "index": index} for index, text in enumerate(("one", "two"))]
            return Reply(body={**chat_body(), "choices": choices})
        if model == "nousage":
            return Reply(body=chat_body(usage=None))
        if model == "refused":
            return Reply(402, {"error": "You have exceeded your monthly included credits."})
        if model == "page":
            return Reply(raw=[b"<!doctype html><html>login</html>"], headers={"content-type": "text/html"})
        if model == "ill":
            return Reply(503, {"error": {"message": "Loading", "type": "unavailable"}})
        if model == "error-within":
            return Reply(body={"error": {"message": "no such model", "code": 404}})
        if model == "utf-16":
            text = json.dumps(chat_body(), ensure_ascii=False)
            return Reply(raw=[text.encode("utf-16-le")], headers={"content-type": "application/json"})
        if model.startswith("completion"):
            choice = {"index": 0, "text": " there", "finish_reason": "length", "logprobs": None}
            return Reply(body={**chat_body(), "object": "text_completion", "choices": [choice]})
        if model in ("response", "items"):
            part = {"type": "output_text", "text": "There.", "annotations": []}
            item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
            usage = {
                "input_tokens": 5,
                "output_tokens": 2,
                "total_tokens": 7,
                "input_tokens_details": {"cached_tokens": 1},
                "output_tokens_details": {"reasoning_tokens": 1},
            }
            known = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "resolved"}
            rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
            return Reply(body={**known, **rest, "output": [item], "usage": usage})
        if model == "slow":
            return Reply(raw=[1.0, b"{}"])
        return Reply(body=chat_body(), headers={"x-inference-provider": "together", "x-request-id": "r1"})


def rows_of(tmp_path, **more):
    with FakeOpenObserve() as server, Endpoint() as endpoint:
        env = harness.environment(tmp_path, server.environment, {"HF_BASE_URL": endpoint.url}, more)
        done = harness.run_ok(PROGRAM, door="wrapper", env=env, cwd=tmp_path)
        rows = server.wait_for_rows(len(LABELS))
    return done.stdout, {row["llm_request_parameters_model"]: row for row in rows}, len(rows)


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    past = rows_of(tmp_path_factory.mktemp("past"))
    through = rows_of(tmp_path_factory.mktemp("through"), READ_BY_OTHERS="1")
    assert past[0] == through[0]
    assert past[2] == through[2] == len(LABELS)
    assert set(past[1]) == set(through[1]) == LABELS
    return past[1], through[1]


@pytest.mark.parametrize("label", sorted(LABELS))
def test_the_row_is_the_same(ways, label):
    past, through = (compared(rows[label]) for rows in ways)
    more = past.keys() - through.keys()
    assert {column: past[column] for column in past.keys() - more} == through
    # OpenInference says little of what the program casts to a class of its own.
    assert more <= (MORE | {"output_mime_type"} if IS_OLDER or label == "cast" else set())


def compared(row):
    row = {column: value for column, value in row.items() if column not in OF_THE_RUN}
    row.update({column: json.loads(row[column]) for column in JSON_TEXTS if column in row})
    parameters = row.get("llm_invocation_parameters", {})
    parameters.pop("top_k", None)  # ``extra_body``, which OpenInference does not see
    # Content is no parameter: 0.1.18 takes that of a response for some, any version that of what it is not cast for.
    for name in ("input", "instructions", "messages"):
        parameters.pop(name, None)
        row.pop(f"gen_ai_request_{name}", None)
    events = json.loads(row["events"])
    row["events"] = [{name: event[name] for name in event if name not in OF_THE_EVENTS} for event in events]
    return row
