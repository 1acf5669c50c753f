"""Streams of openai's client: what the program sees of them, and the one row that each of them leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import harness
from fakes.openobserve import FakeOpenObserve
from stream_endpoint import CREDITS, USAGE, StreamEndpoint

pytestmark = pytest.mark.matrix

PROGRAM = Path(__file__).parent / "programs" / "openai_streams.py"
UNASKED = ("novita", "usage-asked", "usage-at-finish")
READ = ("full", "raw", "lines", "looks", "async-full", "kept-read", "usage-twice", "groq", *UNASKED)
REFUSED = (
    "refuses",
    "refuses-twice",
    "unnamed",
    "unnamed-twice",
    "unnamed-raw",
    "unnamed-async",
    "falls",
    "again-unnamed",
)
TWICE = ("refuses-twice", "unnamed-twice", "unnamed-async", "bad-twice")
"""Labels that are called twice."""
LEFT = ("break", "close", "with-block", "helper", "never", "async-with-block", "async-close", "held", "kept-begun")
LEFT += ("async-break", "async-never", "async-collected", "async-outer", "async-held")
BAD = ("bad", "bad-twice", "bad-async")
FAILED = (
    "async-raise-within",
    "error-async",
    "broken-async",
    "raise-within",
    "error",
    "broken",
    "credits",
    "slow-cancelled",
    "slow-cancelled-waiting",
    *BAD,
)


@pytest.fixture(scope="module")
def endpoint():
    with StreamEndpoint() as running:
        yield running


def without_us(said):
    """What Python 3.14 says at its end of generators that it cannot close, without addresses and our frames.

    Nor with its warnings of asynchronous ones: where the collector comes decides whether there are any.
    """
    lines = re.sub(r" at 0x[0-9a-f]+", "", said).splitlines()
    frames = [line for line in lines if line.startswith("  File ") and "hf_openobserve/" in line]
    return [line for line in lines if line not in frames and "RuntimeWarning: coroutine method 'aclose' of" not in line]


@pytest.fixture(scope="module", params=[("pythonpath", "on"), ("wrapper", "off")], ids="-".join)
def streams(request, endpoint, tmp_path_factory):
    """The rows of one run by the label of the call, and what the endpoint was asked; compared with the bare program."""
    door, mode = request.param
    tmp_path = tmp_path_factory.mktemp("streams")
    with FakeOpenObserve() as server:
        env = harness.environment(
            tmp_path,
            server.environment,
            {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_STREAM_USAGE": mode},
        )
        endpoint.reset()
        bare = harness.run([str(PROGRAM)], door=None, env=env, cwd=tmp_path)
        endpoint.reset()
        done = harness.run([str(PROGRAM)], door=door, env=env, cwd=tmp_path)
        assert done.stdout.splitlines() == bare.stdout.splitlines()
        assert (without_us(done.stderr), done.returncode) == (without_us(bare.stderr), bare.returncode)
        count = len(READ + REFUSED + LEFT + FAILED + TWICE)
        rows = server.wait_for_rows(count)
        assert len(rows) == count, "one call is one row, and neither a list of models nor a file is a call"
        bodies = [body for _, _, body in endpoint.calls if body]
        yield {row["llm_request_parameters_model"]: row for row in rows}, bodies, mode


@pytest.mark.parametrize("label", READ)
def test_a_stream_that_was_read_has_its_tokens(streams, label):
    rows, _, mode = streams
    row = rows[label]
    assert row["span_status"] == "OK"
    if label != "lines":  # nobody parses the lines that the program reads itself
        assert row["llm_model_name"] == StreamEndpoint.resolved
    if mode == "on" or label in UNASKED or label == "groq":  # Groq's own comes unasked
        names = {"prompt": "prompt_tokens", "completion": "completion_tokens", "total": "total_tokens"}
        assert {name: int(row[f"llm_token_count_{name}"]) for name in names} == {
            name: USAGE[key] for name, key in names.items()
        }
    else:
        assert "llm_token_count_total" not in row, "nothing is invented"


@pytest.mark.parametrize("label", [label for label in READ if label != "lines"])
def test_its_pace_is_measured(streams, label):
    row = streams[0][label]
    assert float(row["gen_ai_response_time_to_first_chunk"]) > 0
    assert int(row["hf_stream_chunks"]) == (6 if label in ("novita", "usage-asked") else 5), "what the program has seen"
    assert float(row["hf_stream_longest_wait"]) > 0
    start = row["start_time"] // 1000
    assert start < int(row["gen_ai_completion_start_time"]) <= row["end_time"] // 1000
    (message,) = json.loads(row["gen_ai_output_messages"])
    assert message["content"] == "Hello."


@pytest.mark.parametrize("label", REFUSED)
def test_a_server_that_refuses_the_option_is_asked_once(streams, label):
    """Whether or not it says so. A retry of the client's is with it, as the request was."""
    rows, bodies, mode = streams
    row = rows[label]
    assert row["span_status"] == "OK"
    assert "llm_token_count_total" not in row
    retries = 1 if label.startswith("again") else 0
    assert int(row.get("http_request_resend_count", 0)) == retries, "the request without it is ours, not a retry"
    asked = [1 + retries] if mode == "on" else []
    assert put(bodies, label) == [*(["asked"] * sum(asked)), *["plain"] * (1 if asked else 1 + retries), *again(label)]


@pytest.mark.parametrize("label", BAD)
def test_a_bad_request_is_put_to_a_server_once_more_without_the_option(streams, label):
    """And not by the next call. The program, and the row, have what the server says to the program's own request."""
    rows, bodies, mode = streams
    assert put(bodies, label) == [*(["asked"] if mode == "on" else []), "plain", *again(label)]
    assert rows[label]["span_status"] == "ERROR"
    assert "without the option" in rows[label]["status_message"]
    assert "http_request_resend_count" not in rows[label]


def put(bodies, label):
    """The requests of this label as they came."""
    return ["asked" if "stream_options" in body else "plain" for body in bodies if body["model"] == label]


def again(label):
    return ["plain"] if label in TWICE else []


def test_only_streams_are_asked_and_only_where_the_program_does_not_ask(streams):
    _, bodies, mode = streams
    asked = {body["model"] for body in bodies if "stream_options" in body}
    streamed = {body["model"] for body in bodies if body.get("stream")}
    assert asked == (streamed if mode == "on" else {"usage-asked"})


@pytest.mark.parametrize("label", LEFT)
def test_a_stream_that_was_left_ended_well(streams, label):
    row = streams[0][label]
    assert (row["span_status"], row.get("status_message", "")) == ("OK", "")
    assert "error_type" not in row
    assert "llm_token_count_total" not in row, "no usage had come"
    assert row["gen_ai_input_messages"] == '[{"role": "user", "content": "Hi"}]'
    if label not in ("never", "async-never"):
        assert int(row["hf_stream_chunks"]) >= 1, "what had come: more than one chunk may come at once"
        assert row["llm_model_name"] == StreamEndpoint.resolved


@pytest.mark.parametrize(
    ("label", "kind", "message", "came"),
    [
        ("raise-within", None, "LookupError: the program's own", ""),
        ("error", "stream_broken", "The provider died.", "Hello"),
        ("broken", "stream_broken", "", "Hello"),
        ("async-raise-within", None, "LookupError: the program's own", ""),
        ("error-async", "stream_broken", "The provider died.", "Hello"),
        ("broken-async", "stream_broken", "", "Hello"),
        ("credits", "credits_exhausted", CREDITS, None),
        ("slow-cancelled", "cancelled", "CancelledError", "Hello"),
        ("slow-cancelled-waiting", "cancelled", "CancelledError", None),
    ],
)
def test_a_stream_that_failed_says_how_and_shows_what_had_come(streams, label, kind, message, came):
    row = streams[0][label]
    assert row["span_status"] == "ERROR"
    assert row.get("hf_error_kind") == kind
    assert message in row["status_message"]
    assert row["llm_request_parameters_model"] == label
    if came:
        assert json.loads(row["gen_ai_output_messages"])[0]["content"] == came
    harness.assert_nothing_counted(row)


@pytest.mark.parametrize("label", [*READ, *LEFT, "error", "slow-cancelled"])
def test_who_served_it_stands_in_the_row_of_a_stream_too(streams, label):
    row = streams[0][label]
    assert row["hf_provider_served"] == ("novita" if label == "novita" else "together")
    assert (row["hf_request_id"], row["hf_inference_id"]) == ("Root=1-200", "0-1")


# Programs with an instrumentation of their own.

OWN = """
import gc, logging, os, openai
logging.basicConfig()
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from openinference.instrumentation.openai import OpenAIInstrumentor
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0)
messages = [{"role": "user", "content": "Hi"}]
for label in ("full", "error", "credits"):
    try:
        for chunk in client.chat.completions.create(model=label, messages=messages, stream=True):
            print(chunk.model_dump_json(exclude_unset=True))
    except openai.APIError as error:
        print(error)
for label in ("close", "break"):
    stream = client.chat.completions.create(model=label, messages=messages, stream=True)
    next(stream)
    if label == "close":
        stream.close()
    del stream
    gc.collect()  # not in the next request: httpcore would wait for a lock that it holds
print(client.models.list().data[0].id)
print(client.chat.completions.with_raw_response.create(model="no-json", messages=messages).text)
for span in exporter.get_finished_spans():
    print(span.name, span.kind.name, span.status.status_code.name, span.status.description, len(span.events))
    print(sorted((name, value) for name, value in span.attributes.items()))
"""


def test_its_exporters_get_what_they_would_have_got(door, endpoint, tmp_path, openobserve):
    env = harness.environment(
        tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_STREAM_USAGE": "on"}
    )
    bare = harness.run(OWN, door=None, env=env, cwd=tmp_path)
    done = harness.run(OWN, door=door, env=env, cwd=tmp_path)
    assert done.stdout.splitlines() == bare.stdout.splitlines()
    assert (done.stderr, done.returncode) == (bare.stderr, bare.returncode)
    assert "Failed to parse response" in done.stderr, "what its own instrumentation says in its log"
    rows = {row.get("llm_request_parameters_model"): row for row in openobserve.wait_for_rows(3)}
    assert int(rows["full"]["llm_token_count_total"]) == USAGE["total_tokens"], "ours has the usage all the same"
    assert rows["full"]["hf_provider_served"] == "together"
    assert rows["credits"]["hf_error_kind"] == "credits_exhausted"


# Calls that nobody records.

UNSAMPLED = """
import os, sys, openai
client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], api_key="x", max_retries=0)
messages = [{"role": "user", "content": "Hi"}]
def worked_for_nothing(*args, **kwargs):
    raise AssertionError("OpenInference was asked")
if "openinference" in sys.modules:
    from openinference.instrumentation.openai import _request
    _request._WithTracer._start_as_current_span = worked_for_nothing
stream = client.chat.completions.create(model="full", messages=messages, stream=True)
print(type(stream) is openai.Stream, [chunk.model_dump_json(exclude_unset=True) for chunk in stream])
print(client.chat.completions.create(model="plain", messages=messages).id)
with client.chat.completions.with_streaming_response.create(model="lazy", messages=messages) as answer:
    print(answer.parse().id)
"""


def test_a_call_that_is_not_sampled_goes_past_everything(door, endpoint, tmp_path, openobserve):
    settings = {"HF_BASE_URL": endpoint.url, "OPENOBSERVE_HF_STREAM_USAGE": "on", "OTEL_TRACES_SAMPLER": "always_off"}
    settings["OPENOBSERVE_HF_METRICS"] = "on"  # counted, and nothing else
    env = harness.environment(tmp_path, openobserve.environment, settings)
    bare = harness.run(UNSAMPLED, door=None, env=env, cwd=tmp_path)
    assert bare.returncode == 0, bare.stderr
    assert harness.run(UNSAMPLED, door=door, env=env, cwd=tmp_path) == bare
    assert openobserve.rows() == []


# Answers that the program reads when it likes.

LAZY = """
import asyncio, os, warnings
import openai
warnings.simplefilter("error", RuntimeWarning)
url = os.environ["HF_BASE_URL"]
client = openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=60)
messages = [{"role": "user", "content": "Hi"}]
lazy = client.chat.completions.with_streaming_response
with lazy.create(model="slow-lines", messages=messages, stream=True) as answer:
    lines = answer.iter_lines()
    print(next(lines))
    print(client.chat.completions.create(model="release", messages=messages).id)
    print(list(lines))
with lazy.create(model="whole", messages=messages, max_tokens=5) as answer:
    print(answer.http_response.is_stream_consumed, answer.parse().choices[0].message.content)
with lazy.create(model="unread", messages=messages) as answer:
    print(answer.status_code, answer.http_response.is_stream_consumed)
with lazy.create(model="parsed", messages=messages, stream=True) as answer:
    print([chunk.model_dump_json(exclude_unset=True) for chunk in answer.parse()])
try:
    with lazy.create(model="credits", messages=messages) as answer:
        pass
except openai.APIStatusError as error:
    print(error, error.body)
async def main():
    async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as aclient:
        alazy = aclient.chat.completions.with_streaming_response
        async with alazy.create(model="async-whole", messages=messages) as answer:
            print((await answer.parse()).choices[0].message.content)
        async with alazy.create(model="async-lines", messages=messages, stream=True) as answer:
            print([line async for line in answer.iter_lines()])
asyncio.run(main())
"""


def test_a_lazy_answer_stays_lazy_and_has_a_row(door, endpoint, tmp_path, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url})
    endpoint.reset()
    bare = harness.run(LAZY, door=None, env=env, cwd=tmp_path)
    endpoint.reset()
    done = harness.run(LAZY, door=door, env=env, cwd=tmp_path)
    assert (done.stdout.splitlines(), done.stderr) == (bare.stdout.splitlines(), bare.stderr)
    assert done.returncode == 0
    rows = {row["llm_request_parameters_model"]: row for row in openobserve.wait_for_rows(8)}
    assert len(rows) == 8
    for label in ("whole", "async-whole", "release"):
        assert int(rows[label]["llm_token_count_total"]) == USAGE["total_tokens"]
    for label in ("whole", "async-whole", "slow-lines", "parsed", "async-lines"):
        assert rows[label]["span_status"] == "OK"
        assert rows[label]["openinference_span_kind"] == "LLM"
        assert rows[label]["llm_model_name"] == StreamEndpoint.resolved
        assert json.loads(rows[label]["gen_ai_output_messages"])[0]["content"] == "Hello."
        assert rows[label]["hf_provider_served"] == "together"
    assert rows["whole"]["llm_request_parameters_max_tokens"] == "5"
    assert rows["unread"]["span_status"] == "OK"
    assert "gen_ai_output_messages" not in rows["unread"]
    assert rows["credits"]["hf_error_kind"] == "credits_exhausted"
