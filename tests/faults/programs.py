"""The program under test: ``programs.py STEP...``, each step ``name`` or ``name=argument,argument``, in turn.

It is an ordinary OpenAI program that knows nothing of the agent. What only the test wants to know it appends to the
file ``FAULTS_ACCOUNT``: ``ended N`` after N calls have returned, ``leaving T`` (monotonic clock) when its own work is
done, ``pause`` when it waits for the test, which answers with the file ``FAULTS_ACCOUNT.go<number of the pause>``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PAUSE_S = 100
"""Longer than any test waits, and than any call takes: a program does not outlive a test that has died for good."""

_account = os.open(os.environ["FAULTS_ACCOUNT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_pauses = 0
_clients = {}


def account(line):
    """One ``write``, so that processes and threads can share the file."""
    os.write(_account, line.encode() + b"\n")


def leaving():
    account(f"leaving {time.monotonic()!r}")


def client():
    """This process's own: a connection kept alive across a fork would be the program's fault, and no agent's."""
    import openai

    if os.getpid() not in _clients:
        _clients[os.getpid()] = openai.OpenAI(base_url=os.environ["HF_BASE_URL"], max_retries=0, timeout=PAUSE_S)
    return _clients[os.getpid()]


def ask(user="program"):
    """One call, accounted for once it has returned."""
    answer = client().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=20, user=user
    )
    account("ended 1")
    return answer.choices[0].message.content


def ask_often(count):
    for _ in range(count):
        ask()


def calls(count):
    for _ in range(count):
        print(ask())


def span(attributes=None, age_s=0):
    """One span of a model call, made by the OpenTelemetry API, as other instrumentors of the program make theirs."""
    from opentelemetry import trace

    start = None if not age_s else time.time_ns() - age_s * 10**9
    made = trace.get_tracer("faults").start_span(
        "ChatCompletion", start_time=start, attributes={"openinference.span.kind": "LLM", **(attributes or {})}
    )
    made.end()


def spans(count, size=0):
    """``count`` spans with ``size`` bytes of text in each, numbered."""
    text = {"input.value": "x" * size} if size else {}
    for number in range(count):
        span({"faults.number": number, **text})
    account(f"ended {count}")


def wide_span(attributes):
    """One span of more columns than others have."""
    span({f"faults.wide.{number}": number for number in range(attributes)})
    account("ended 1")


def old_spans(count, age_s):
    """Spans that began ``age_s`` seconds ago."""
    for _ in range(count):
        span(age_s=age_s)
    account(f"ended {count}")


def pause():
    global _pauses
    _pauses += 1
    account("pause")
    end = time.monotonic() + PAUSE_S
    while not os.path.exists(os.environ["FAULTS_ACCOUNT"] + f".go{_pauses}"):
        if time.monotonic() > end:
            sys.exit("nobody answers")
        time.sleep(0.01)


def wait(seconds):
    """The program goes about other things."""
    time.sleep(seconds)


def kill(name):
    """A signal to itself, right after the last call has returned."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell does to the commands it puts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    leaving()
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(PAUSE_S)


def underscore_exit(status):
    sys.stdout.flush()
    leaving()
    os._exit(status)


def fail():
    leaving()
    raise RuntimeError("nobody catches this")


def exit_in_thread(count):
    """A worker thread that makes its calls and leaves by ``sys.exit``."""

    def work():
        ask_often(count)
        sys.exit(3)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def daemons(threads, count):
    """Daemon threads that have made ``count`` calls each, and wait for the answer to one more when the program ends."""
    made = threading.Semaphore(0)

    def work():
        ask_often(count)
        made.release()
        ask("never answered")

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(threads):
        made.acquire()


def children(method, number, count):
    """``number`` processes at once, each with ``count`` calls of its own."""
    import multiprocessing

    context = multiprocessing.get_context(method)
    started = [context.Process(target=ask_often, args=(count,)) for _ in range(number)]
    for process in started:
        process.start()
    for process in started:
        process.join()


def workers(number, count):
    """As ``children``, by a server that has been loaded before: each makes a call every quarter of a second."""
    client()
    started = []
    for _ in range(number):
        worker = os.fork()
        if worker == 0:
            for _ in range(count):
                ask()
                time.sleep(0.25)
            sys.exit(0)
        started.append(worker)
    for worker in started:
        os.waitpid(worker, 0)


def in_flight(count):
    """``count`` calls of one event loop, all of them begun before the first one is answered."""
    import asyncio

    import openai

    async def ask_all():
        # All calls are under way at once; the connections are few, for the sake of machines that allow few open files.
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=100)
        asynchronous = openai.AsyncOpenAI(
            base_url=os.environ["HF_BASE_URL"],
            max_retries=0,
            timeout=PAUSE_S,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        )

        async def ask_one():
            answer = await asynchronous.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=20
            )
            account("ended 1")
            return answer

        async with asynchronous:
            return await asyncio.gather(*(ask_one() for _ in range(count)))

    print(len(asyncio.run(ask_all())))


def killed_child(count):
    """Another process with the same outbox, killed right after its last call."""
    import subprocess

    done = subprocess.run([sys.executable, __file__, f"calls={count}", "kill=SIGKILL"], check=False)
    print(done.returncode)


def jump_back(seconds):
    """See ``clock/sitecustomize.py``."""
    time.jump_back(seconds)


STEPS = {
    step.__name__: step
    for step in (
        calls,
        spans,
        wide_span,
        old_spans,
        pause,
        wait,
        kill,
        underscore_exit,
        fail,
        exit_in_thread,
        daemons,
        children,
        workers,
        in_flight,
        killed_child,
        jump_back,
    )
}


def main(steps):
    for step in steps:
        name, _, arguments = step.partition("=")
        values = [int(value) if value.isdigit() else value for value in arguments.split(",") if value]
        STEPS[name](*values)
    leaving()


if __name__ == "__main__":
    main(sys.argv[1:])
