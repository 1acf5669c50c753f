"""Uses both clients once, and lists what is what in this process: ``test_in_your_process`` compares two such lists."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
import types

environment = dict(os.environ)
random.seed(7)

import openai
from huggingface_hub import InferenceClient


def file_of(value):
    """Where the function stands that a class or module has under a name; for anything else its class."""
    if type(value) in (staticmethod, classmethod):
        value = value.__func__
    if type(value) is property:
        value = value.fget
    return value.__code__.co_filename if type(value) is types.FunctionType else type.__repr__(type(value))


def functions():
    """``module.Class.name`` -> where it stands, of every class and module but the agent's own."""
    found = {}
    for name, module in list(sys.modules.items()):
        if module is None or name.partition(".")[0] in ("hf_openobserve", "__main__"):
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, type) and value.__module__ == name:
                owner = value.__name__  # not an alias of it
                found.update({f"{name}.{owner}.{entry}": file_of(it) for entry, it in list(vars(value).items())})
            elif type(value) is types.FunctionType:
                found[f"{name}.{key}"] = file_of(value)
    return found


def listening():
    return [line.split()[1] for line in open("/proc/self/net/tcp") if " 0A " in line and line.split()[9] in sockets()]


def sockets():
    links = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return {os.readlink(link)[len("socket:[") : -1] for link in links if os.path.islink(link)}


questions = [{"role": "user", "content": "Hi"}]
openai.OpenAI(max_retries=0).chat.completions.create(model="m", messages=questions)
InferenceClient(base_url=os.environ["OPENAI_BASE_URL"], api_key="x").chat_completion(questions, model="m")
time.sleep(1.0)  # the sender's thread is at work
json.dump(
    {
        "functions": functions(),
        "finders": [file_of(type(finder).find_spec) for finder in sys.meta_path if not isinstance(finder, type)],
        "path": sys.path,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "environment": dict(os.environ) == environment,
        "hooks": [file_of(hook) for hook in (sys.excepthook, sys.unraisablehook, threading.excepthook)],
        "signals": sorted((int(number), repr(signal.getsignal(number))) for number in signal.valid_signals()),
        "random": random.random(),
        "timeout": socket.getdefaulttimeout(),
        "listening": listening(),
    },
    sys.stdout,
)
