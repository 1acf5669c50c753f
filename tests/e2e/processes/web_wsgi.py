"""A WSGI application: ``/ask/LABEL`` makes a call and answers with the pid; ``/die/LABEL`` is killed right after it."""

import os
import signal

from asking import ask


def app(environ, start_response):
    _, verb, label = environ["PATH_INFO"].split("/")
    pid = ask(label)
    if verb == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [pid.encode()]
