"""Law 1: a program's stdout, stderr, exit status and return values are the same, byte for byte, with the agent."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

PROGRAMS = {
    "returns and dumps": """
        import os, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        print(type(answer).__module__, type(answer).__qualname__)
        print(answer.model_dump_json())
        raw = client.chat.completions.with_raw_response.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        print(type(raw).__qualname__, raw.status_code, raw.parse().choices[0].message.content)
    """,
    "signatures": """
        import inspect, openai
        for cls in (openai.OpenAI, openai.AsyncOpenAI, openai.AzureOpenAI):
            print(inspect.signature(cls), cls.__init__.__doc__, cls.__init__.__qualname__)
        client = openai.OpenAI(api_key="x")
        print(inspect.signature(openai.OpenAI), openai.OpenAI.__init__.__qualname__, type(client).__mro__)
        print(*(inspect.iscoroutinefunction(kind.request) for kind in (openai.AsyncOpenAI, openai.OpenAI)))
    """,
    "a stream chunk by chunk": """
        import os, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        for chunk in client.chat.completions.create(
            model="stream", stream=True, messages=[{"role": "user", "content": "Hi"}]
        ):
            print(chunk.model_dump_json())
    """,
    "an error with all it carries": """
        import os, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        try:
            client.chat.completions.create(model="fail", messages=[{"role": "user", "content": "Hi"}])
        except openai.APIStatusError as error:
            print(type(error), str(error), error.body, error.status_code, error.response.text, error.request_id)
            print(type(error.__cause__), type(error.__context__))
    """,
    "an uncaught error": """
        import os, sys, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        sys.excepthook = lambda kind, value, traceback: sys.stderr.write(kind.__name__ + "\\n")
        client.chat.completions.create(model="fail", messages=[{"role": "user", "content": "Hi"}])
    """,
    "exit status and atexit": """
        import atexit, os, sys, openai
        atexit.register(print, "goodbye")
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).id)
        sys.stderr.write("one last word\\n")
        sys.exit(7)
    """,
    "environment, handlers, warnings and logging": """
        import os, signal, sys, logging, warnings, threading
        import openai
        before = dict(os.environ)
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).id)
        print(before == dict(os.environ))
        print([signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)])
        print(logging.getLogger().handlers, logging.getLogger().level, logging.lastResort.level)
        print(sys.excepthook.__name__, threading.excepthook is threading.__excepthook__)
        print(os.umask(0o22) == os.umask(0o22), os.getcwd() == sys.path[0])
        logging.warning("the application's own word")
    """,
    "SIGTERM": """
        import os, signal, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).id, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
    """,
    "module-level client and with_options": """
        import os, openai
        openai.base_url = os.environ["HF_BASE_URL"] + "/"
        openai.api_key = "x"
        print(openai.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model)
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"]).with_options(max_retries=0, timeout=30)
        print(client.max_retries)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).model)
    """,
    "seeded random numbers": """
        import os, random
        import openai
        random.seed(7)
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).id)
        print(random.random())
    """,
    "somebody's own wrapper of request": """
        import functools, os, openai
        seen = []
        original = openai.OpenAI.request
        @functools.wraps(original)
        def request(self, cast_to, options, **more):
            seen.append(options.url)
            return original(self, cast_to, options, **more)
        openai.OpenAI.request = request
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        print(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]).id)
        try:
            # No call of a model: it goes past OpenInference.
            client.post("/threads", body={"model": "m"}, cast_to=object)
        except openai.OpenAIError as error:
            print(type(error).__name__)
        print(seen)
    """,
    "a method taken off a response that is gone": """
        import os, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        def close_of_a_stream():
            stream = client.chat.completions.create(
                model="stream", stream=True, messages=[{"role": "user", "content": "Hi"}]
            )
            close = stream.response.close
            print(len(list(stream)))
            return close
        print(close_of_a_stream()())
    """,
    "chunks that the program changes": """
        import logging, os, openai
        logging.basicConfig()
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        for chunk in client.chat.completions.create(
            model="stream", stream=True, messages=[{"role": "user", "content": "Hi"}]
        ):
            print(chunk.choices.pop().delta.content)
    """,
    "a stream that is open at a fork": """
        import os, sys, openai
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        stream = client.chat.completions.create(
            model="stream", stream=True, messages=[{"role": "user", "content": "Hi"}]
        )
        print(next(stream).choices[0].delta.content, flush=True)
        if os.fork() == 0:
            del stream
            sys.exit(0)
        print(os.wait()[1], len(list(stream)))
    """,
    "the usage where send is not seen": """
        import concurrent.futures, os, openai
        pool = concurrent.futures.ThreadPoolExecutor(1)
        class Deadline(openai.DefaultHttpxClient):
            def send(self, request, **options):
                return pool.submit(super().send, request, **options).result(30)
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0, http_client=Deadline())
        for chunk in client.chat.completions.create(
            model="stream", stream=True, messages=[{"role": "user", "content": "Hi"}]
        ):
            print(chunk.choices[0].delta.content, chunk.to_dict().keys())
    """,
    "a call that is thrown away in another context": """
        import asyncio, contextvars, socket, openai
        silent = socket.create_server(("127.0.0.1", 0))
        silent.setblocking(False)
        client = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1", max_retries=0)
        call = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # a task that was destroyed, which is said with its address
        task = loop.create_task(call)
        connection, _ = loop.run_until_complete(loop.sock_accept(silent))
        print(loop.run_until_complete(loop.sock_recv(connection, 8)))
        try:
            print(contextvars.Context().run(call.close))
        except Exception as error:  # the HTTP library's own, where it closes its connection with a loop only
            print(type(error).__name__)
    """,
    "a limit of attributes, and an answer beyond it": """
        import logging, os, openai
        logging.basicConfig()
        client = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0)
        answer = client.chat.completions.create(model="long", messages=[{"role": "user", "content": "Hi"}])
        print(len(answer.choices[0].message.content))
    """,
    "a bad constructor call": """
        import openai
        for arguments in ({"nonsense": 1}, {"api_key": None}):
            try:
                openai.OpenAI(**arguments)
            except Exception as error:
                print(type(error).__name__, error)
    """,
}
ROWS = {"returns and dumps": 2, "signatures": 0, "module-level client and with_options": 2, "a bad constructor call": 0}


def answer(_path, body):
    if body["model"] == "fail":
        message = "You have depleted your monthly included credits."
        return Reply(402, {"error": message}, {"x-request-id": "Root=1-abc"})
    if body["model"] == "stream":
        chunks = [
            {
                "id": "c",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "llama3.1-8b",
                "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
            }
            for text in ("Hel", "lo", ".")
        ]
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
            chunks = [{**chunk, "usage": None} for chunk in chunks] + [{**chunks[0], "choices": [], "usage": usage}]
        return Reply(events=[*chunks, "[DONE]"])
    return Reply(body=chat_body(content="long " * 2000) if body["model"] == "long" else chat_body())


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(answer) as scripted:
        yield scripted


@pytest.mark.parametrize("name", PROGRAMS)
def test_byte_for_byte(name, door, tmp_path, endpoint, openobserve):
    more = {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x", "OPENOBSERVE_HF_STREAM_USAGE": "on"}
    more["OPENOBSERVE_HF_METRICS"] = "auto"
    if name.startswith("a limit"):
        more["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"] = "4096"
    env = harness.environment(tmp_path, openobserve.environment, more)
    bare = harness.run(PROGRAMS[name], door=None, env=env, cwd=tmp_path)
    done = harness.run(PROGRAMS[name], door=door, env=env, cwd=tmp_path)
    assert done == bare
    if name == "SIGTERM":
        assert done.returncode == -signal.SIGTERM
        # What the signal left on disk goes with the next process.
        harness.run(PROGRAMS["exit status and atexit"], door=door, env=env, cwd=tmp_path)
        rows = openobserve.wait_for_rows(2)
        # A request that was under way when the signal came arrives twice.
        assert len({row["span_id"] for row in rows}) == 2
    else:
        assert len(openobserve.wait_for_rows(ROWS.get(name, 1))) == ROWS.get(name, 1)


def test_nothing_is_left_in_the_working_directory(tmp_path, endpoint, openobserve):
    work = tmp_path / "work"
    work.mkdir()
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
    harness.run_ok(PROGRAMS["returns and dumps"], door="pythonpath", env=env, cwd=work)
    assert [path.name for path in work.iterdir()] == ["program.py"]
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []


def test_the_outbox_is_private_and_empty_after_delivery(tmp_path, endpoint, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
    harness.run_ok(PROGRAMS["returns and dumps"], door="wrapper", env=env, cwd=tmp_path)
    paths = [Path(tmp_path / "outbox"), *(tmp_path / "outbox").rglob("*")]
    assert [oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()] == ["0o700", "0o700"]
    assert [(path.name, oct(path.stat().st_mode & 0o777)) for path in paths if path.is_file()] == [
        ("counters.json", "0o600")
    ]


def test_a_seeded_program_has_trace_ids_of_its_own_each_time(door, tmp_path, endpoint, openobserve):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url, "OPENAI_API_KEY": "x"})
    for _ in range(2):
        harness.run_ok(PROGRAMS["seeded random numbers"], door=door, env=env, cwd=tmp_path)
    assert len({row["trace_id"] for row in openobserve.wait_for_rows(2)}) == 2
