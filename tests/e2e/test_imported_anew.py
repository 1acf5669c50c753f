"""Nothing is armed only once: a client imported anew, reloaded, or replaced while we activated, is recorded.

As notebooks and development servers do that reload a package, and test suites that patch a client's class for a while.
"""

from __future__ import annotations

import pytest

import harness
import hub_endpoint

pytestmark = pytest.mark.matrix

OPENAI = """
import importlib, os, sys
from unittest import mock
import openai

URL = os.environ["BASE_URL"] + "/served/v1"
MODULE = PACKAGE = "openai"
CLASS = "OpenAI"
def build(client_class=None):
    return (client_class or sys.modules["openai"].OpenAI)(base_url=URL, api_key="x", max_retries=0)
def call(model, client=None):
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    print(type((client or build()).chat.completions.create(**request)).__name__, flush=True)
def reload():
    importlib.reload(sys.modules["openai._client"])
    importlib.reload(sys.modules["openai"])
def another_client():
    openai.AsyncOpenAI(base_url=URL, api_key="x")
"""

HUB = """
import importlib, os, sys
from unittest import mock
import huggingface_hub
import huggingface_hub.inference._client

URL = os.environ["BASE_URL"] + "/served"
MODULE, PACKAGE = "huggingface_hub.inference._client", "huggingface_hub"
CLASS = "InferenceClient"
def build(client_class=None):
    return (client_class or sys.modules[MODULE].InferenceClient)(base_url=URL, token="x")
def call(model, client=None):
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    print(type((client or build()).chat_completion(**request)).__name__, flush=True)
def reload():
    importlib.reload(sys.modules[MODULE])
def another_client():
    from huggingface_hub import AsyncInferenceClient
    AsyncInferenceClient(base_url=URL, token="x")
"""

DROP = """
for name in [name for name in sys.modules if name == PACKAGE or name.startswith(PACKAGE + ".")]:
    del sys.modules[name]
importlib.import_module(MODULE)
"""

PROGRAMS = {
    "dropped-after-a-call": 'call("one")' + DROP + 'call("two"); call("three")',
    "dropped-before-any": DROP + 'call("one"); call("two"); call("three")',
    "dropped-and-both-used": 'first = build(); call("one", first)' + DROP + 'call("two"); call("three", first)',
    "dropped-again-and-again": 'call("one")' + DROP + 'call("two")' + DROP + 'call("three")',
    "reloaded-after-a-call": 'call("one"); reload(); call("two"); call("three")',
    "reloaded-before-any": 'reload(); call("one"); call("two"); call("three")',
    "package-reloaded": 'call("one"); importlib.reload(sys.modules[PACKAGE]); call("two"); call("three")',
    "class-patched": """
with mock.patch(MODULE + "." + CLASS) as stand_in:
    another_client()
    assert build() is stand_in.return_value
    stand_in.assert_called_once()
call("one"); call("two"); call("three")
""",
    "class-patched-with-a-subclass": """
class Derived(getattr(sys.modules[MODULE], CLASS)):
    pass
with mock.patch(MODULE + "." + CLASS, new=Derived):
    call("one")
call("two"); call("three")
""",
    "class-patched-with-something-else": """
with mock.patch(MODULE + "." + CLASS, new=lambda **_: None):
    another_client()
    assert build() is None
call("one"); call("two"); call("three")
""",
    "called-through-a-mock": """
real = getattr(sys.modules[MODULE], CLASS)
with mock.patch(MODULE + "." + CLASS, side_effect=real):
    client = build()
call("one", client); call("two", client); call("three")
""",
    "method-patched": """
real = getattr(sys.modules[MODULE], CLASS)
name = "request" if CLASS == "OpenAI" else "chat_completion"
with mock.patch.object(real, name) as stand_in:
    client = build()
    another_client()
    getattr(client, name)("x")
    stand_in.assert_called_once_with("x")
    assert getattr(real, name) is stand_in
call("one", client); call("two", client); call("three")
""",
    "method-replaced": """
real = getattr(sys.modules[MODULE], CLASS)
name = "request" if CLASS == "OpenAI" else "chat_completion"
with mock.patch.object(real, name, new=lambda *_: 5):
    client = build()
    another_client()
    assert getattr(client, name)("x") == 5
call("one", client); call("two", client); call("three")
""",
    "constructor-patched": """
real = getattr(sys.modules[MODULE], CLASS)
with mock.patch.object(real, "__init__", return_value=None):
    real(); another_client()
call("one"); call("two"); call("three")
""",
}


@pytest.fixture(scope="module")
def endpoint():
    with hub_endpoint.endpoint() as scripted:
        yield scripted


@pytest.mark.parametrize("client", ["openai", "hub"])
@pytest.mark.parametrize("name", list(PROGRAMS))
def test_every_call_is_one_row(name, client, tmp_path, endpoint, openobserve):
    program = (OPENAI if client == "openai" else HUB) + PROGRAMS[name]
    env = harness.environment(tmp_path, openobserve.environment, {"BASE_URL": hub_endpoint.root_of(endpoint)})
    done = harness.run_ok(program, door="pythonpath", env=env, cwd=tmp_path)
    assert done.stdout == ("ChatCompletion\n" if client == "openai" else "ChatCompletionOutput\n") * 3
    rows = openobserve.wait_for_rows(3)
    assert sorted(row["llm_request_parameters_model"] for row in rows) == ["one", "three", "two"]
    assert {row["span_status"] for row in rows} == {"OK"}
