from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hf_openobserve.cli import llama_server as llama_module
from hf_openobserve.cli import tiny_model
from hf_openobserve.cli.llama_server import LlamaServer, LlamaServerError
from llama import ask

REQUESTED = "meta-llama/Llama-3.1-8B-Instruct"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is the sky blue?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "raining": {"type": "boolean"}, "degrees": {"type": "integer"}},
    "required": ["city", "raining", "degrees"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "It rains?", "parameters": SCHEMA}}]


def chat(**changes):
    return dict({"model": REQUESTED, "messages": MESSAGES, "max_tokens": 64}, **changes)


# --- The model -------------------------------------------------------------------------------------------------------


def write(path):
    return subprocess.run(
        [llama_module.interpreter(), tiny_model.__file__, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_the_model_is_small_and_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        done = write(tmp_path / name)
        assert (done.returncode, done.stdout) == (0, b"")
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "two").read_bytes()
    assert one[:4] == b"GGUF"
    assert 300_000 < len(one) < 1_000_000


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
    done = write(tmp_path / "missing" / "model")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert b"missing" in done.stdout


def test_without_gguf_it_says_what_to_install(tmp_path):
    done = subprocess.run(
        # -S: no site-packages, so no gguf, whatever is installed here.
        [sys.executable, "-S", "-E", tiny_model.__file__, str(tmp_path / "model")],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "the tiny model needs gguf: pip install 'hf-openobserve[demo]' on Python 3.10 or newer"
    ]
    assert not (tmp_path / "model").exists()


# --- What the server answers with it ---------------------------------------------------------------------------------


def test_chat_answers_in_words_under_its_own_name(llama):
    answer = ask(llama.url, "/chat/completions", chat())
    assert answer.status == 200
    completion = answer.json()
    assert completion["model"] == llama.alias != REQUESTED
    content = completion["choices"][0]["message"]["content"]
    assert content.strip()
    vocabulary = {word.strip() for word in tiny_model.WORDS}
    assert set(content.replace('"', " ").replace(".", " . ").split()) <= vocabulary
    usage = completion["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] >= 0


def test_an_answer_is_never_empty_and_ends_by_itself(llama):
    finished = set()
    for _ in range(40):
        choice = ask(llama.url, "/chat/completions", chat(max_tokens=400)).json()["choices"][0]
        assert choice["message"]["content"].strip()
        finished.add(choice["finish_reason"])
    assert "stop" in finished


def test_a_stream_ends_with_its_usage_if_asked_for(llama):
    body = chat(stream=True, stream_options={"include_usage": True})
    events = ask(llama.url, "/chat/completions", body).events()
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] > 0
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1]).strip()
    assert {event["model"] for event in events} == {llama.alias}


def test_a_stream_has_no_usage_if_not_asked_for(llama):
    events = ask(llama.url, "/chat/completions", chat(stream=True)).events()
    assert events[-1]["choices"][0]["finish_reason"]
    assert not any(event.get("usage") for event in events)


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "weather"}}])
def test_tools_get_one_tool_call_with_valid_arguments(llama, choice):
    body = chat(tools=TOOLS, tool_choice=choice, max_tokens=2000)
    answered = ask(llama.url, "/chat/completions", body).json()["choices"][0]
    assert answered["finish_reason"] == "tool_calls"
    (call,) = answered["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert sorted(json.loads(call["function"]["arguments"])) == sorted(SCHEMA["required"])


def test_a_tool_call_is_streamed_in_parts(llama):
    events = ask(llama.url, "/chat/completions", chat(tools=TOOLS, max_tokens=2000, stream=True)).events()
    parts = [part for event in events for part in event["choices"][0]["delta"].get("tool_calls", ())]
    assert len(parts) > 1
    arguments = "".join(part["function"].get("arguments", "") for part in parts)
    assert sorted(json.loads(arguments)) == sorted(SCHEMA["required"])


def test_the_result_of_a_tool_gets_words(llama):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    answered = ask(llama.url, "/chat/completions", chat(messages=messages, tools=TOOLS)).json()["choices"][0]
    assert answered["message"]["content"].strip()
    assert "tool_calls" not in answered["message"]


def test_a_json_schema_is_obeyed(llama):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    answered = ask(llama.url, "/chat/completions", chat(response_format=form, max_tokens=2000)).json()
    assert sorted(json.loads(answered["choices"][0]["message"]["content"])) == sorted(SCHEMA["required"])


def test_legacy_completions(llama):
    body = {"model": REQUESTED, "prompt": "Why is it so:", "max_tokens": 16}
    completion = ask(llama.url, "/completions", body).json()
    assert completion["object"] == "text_completion"
    assert completion["model"] == llama.alias
    assert completion["usage"]["completion_tokens"] > 0


def test_responses(llama):
    body = {"model": REQUESTED, "input": "Why is the sky blue?", "max_output_tokens": 16}
    response = ask(llama.url, "/responses", body).json()
    assert response["object"] == "response"
    assert response["output"][0]["content"][0]["text"].strip()
    assert response["usage"]["input_tokens_details"]["cached_tokens"] >= 0
    names = [event["type"] for event in ask(llama.url, "/responses", dict(body, stream=True)).events()]
    assert (names[0], names[-1]) == ("response.created", "response.completed")


def test_embeddings_beside_chat(llama):
    answer = ask(llama.url, "/embeddings", {"model": REQUESTED, "input": ["the sky", "the sea"]})
    assert answer.status == 200
    vectors = [item["embedding"] for item in answer.json()["data"]]
    assert [len(vector) for vector in vectors] == [tiny_model.WIDTH] * 2
    assert vectors[0] != vectors[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (chat(response_format={"type": "yaml"}), "response_format type must be one of"),
        (chat(max_tokens="many"), "max_tokens"),
        ({"model": REQUESTED}, "'messages' is required"),
    ],
)
def test_a_bad_body_is_refused_with_a_reason(llama, body, said):
    answer = ask(llama.url, "/chat/completions", body)
    assert answer.status == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]


def test_a_long_chat_fits(llama):
    messages = [{"role": ("user", "assistant")[place % 2], "content": f"Message {place}."} for place in range(400)]
    answer = ask(llama.url, "/chat/completions", chat(messages=messages, max_tokens=4))
    assert answer.status == 200


# --- Its life --------------------------------------------------------------------------------------------------------


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid):
    deadline = time.monotonic() + 10
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_it_ends_with_the_block_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(llama_module.tempfile, "tempdir", str(tmp_path))
    with LlamaServer(alias="another-name") as server:
        assert ask(server.url, "/chat/completions", chat(max_tokens=2)).json()["model"] == "another-name"
        assert ask(server.url, "/embeddings", {"input": "the sky"}).status == 501
        assert is_running(server.pid)
    assert not is_running(server.pid)
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_its_parent_is_killed(tmp_path):
    # The parent dies without a chance to remove anything, so that model and temporary directory are the test's.
    model = tmp_path / "model"
    assert write(model).returncode == 0
    program = (
        "import os, signal\n"
        "from hf_openobserve.cli.llama_server import LlamaServer\n"
        f"with LlamaServer(model={str(model)!r}) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert ends(int(done.stdout))


@pytest.mark.parametrize("end", ["stdin", "SIGTERM"])
def test_as_a_program_it_prints_one_line_and_ends_when_told(tmp_path, end):
    model = tmp_path / "model"
    assert write(model).returncode == 0
    process = subprocess.Popen(
        [llama_module.interpreter(), llama_module.__file__, "--model", str(model), "--alias", "x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        said = json.loads(process.stdout.readline().decode())
        assert list(said) == ["url"]
        assert ask(said["url"], "/models", None).status == 200
        if end == "SIGTERM":
            process.terminate()
        stdout, stderr = process.communicate(timeout=10)
        assert (process.returncode, stdout, stderr) == (0, b"", b"")
    finally:
        process.kill()
        process.wait()


def test_a_missing_model_is_said():
    with pytest.raises(LlamaServerError, match=r"did not start.*FileNotFoundError.*no/such/model"), LlamaServer(
        model="/no/such/model"
    ):
        pass


def test_a_model_that_is_none_is_said(tmp_path):
    (tmp_path / "model").write_bytes(b"no model")
    with pytest.raises(LlamaServerError, match="did not start"), LlamaServer(model=str(tmp_path / "model")):
        pass


def test_without_an_interpreter_it_says_what_is_missing(monkeypatch):
    monkeypatch.delenv(llama_module.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LlamaServerError) as raised, LlamaServer():
        pass
    for part in ("xllamacpp", "gguf", "3.10", "pip install 'hf-openobserve[demo]'", llama_module.PYTHON_VARIABLE):
        assert part in str(raised.value)


@pytest.mark.parametrize("python", ["/no/such/python", "/bin/false"])
def test_an_interpreter_that_is_none_is_said(monkeypatch, python):
    monkeypatch.setenv(llama_module.PYTHON_VARIABLE, python)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LlamaServerError, match="the tiny model"), LlamaServer():
        pass
