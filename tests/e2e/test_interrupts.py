"""Ctrl-C in the middle of a call: one row that says so, and a program that ends as it would.

The signal is raised where the client waits for the server: within the transport, between two events of an answer.
"""

from __future__ import annotations

import signal

import pytest

import harness
import hub_endpoint

pytestmark = pytest.mark.matrix

PROGRAM = """
import os, signal, sys
import openai

where, url = os.environ["WHERE"], os.environ["BASE_URL"]
client_class = next(kind for kind in openai.DefaultHttpxClient.__mro__ if kind.__name__ == "Client")
library = sys.modules[client_class.__module__.partition(".")[0]]

class Stream(library.SyncByteStream):
    def __init__(self, inner):
        self._inner = inner
    def __iter__(self):
        for number, event in enumerate(b"".join(self._inner).split(b"\\n\\n")):
            if number == 2:
                signal.raise_signal(signal.SIGINT)
            yield event + b"\\n\\n"
    def close(self):
        self._inner.close()

class Transport(library.HTTPTransport):
    def handle_request(self, request):
        if where == "call":
            signal.raise_signal(signal.SIGINT)
        response = super().handle_request(request)
        response.stream = Stream(response.stream)
        return response

request = {"model": "org/name", "messages": [{"role": "user", "content": "Hi"}], "stream": where == "stream"}
if sys.argv[1:] == ["hub"]:
    import huggingface_hub
    huggingface_hub.set_client_factory(lambda: library.Client(transport=Transport()))
    client = huggingface_hub.InferenceClient(base_url=url, token="x")  # a stream ends with its client
    answer = client.chat_completion(**request)
else:
    client = openai.OpenAI(base_url=url + "/v1", api_key="x", http_client=library.Client(transport=Transport()))
    answer = client.chat.completions.create(**request)
for chunk in answer:
    print(chunk.choices[0].delta.content, flush=True)
print("not reached")
"""


def can_be_given_a_client():
    huggingface_hub = pytest.importorskip("huggingface_hub")
    return hasattr(huggingface_hub, "set_client_factory")


@pytest.fixture(scope="module")
def endpoint():
    with hub_endpoint.endpoint() as scripted:
        yield scripted


@pytest.mark.parametrize("where", ["call", "stream"])
@pytest.mark.parametrize("client", ["openai", "hub"])
def test_ctrl_c_is_one_error_and_ends_the_program_as_it_would(client, where, door, tmp_path, endpoint, openobserve):
    if client == "hub" and not can_be_given_a_client():
        pytest.skip("this huggingface_hub takes no client of the program's")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    case = "no-usage" if where == "stream" else "served"
    where_to = {"WHERE": where, "BASE_URL": f"{hub_endpoint.root_of(endpoint)}/{case}"}
    env = harness.environment(tmp_path, openobserve.environment, where_to)
    program = [str(script), *(["hub"] if client == "hub" else [])]
    bare = harness.run(program, door=None, env=env, cwd=tmp_path)
    assert bare.returncode == -signal.SIGINT, bare.stderr
    assert bare.stdout.split() == ([] if where == "call" else ["Hello", "there"])
    done = harness.run(program, door=door, env=env, cwd=tmp_path)
    assert (done.stdout, done.returncode) == (bare.stdout, bare.returncode)
    # The traceback has our frames among the others, and no second exception.
    assert done.stderr.splitlines()[-1] == bare.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert done.stderr.count("Traceback") == bare.stderr.count("Traceback")
    (row,) = openobserve.wait_for_rows(1)
    assert (row["span_status"], row["hf_error_kind"], row["error_type"]) == ("ERROR", "cancelled", "KeyboardInterrupt")
    assert row["llm_request_parameters_model"] == "org/name"
    assert ("hf_stream_chunks" in row) is (where == "stream")
