"""Threads of ours in the program's process."""

from __future__ import annotations

import threading
from typing import Callable, Optional

from hf_openobserve.process import diagnostics, signals


def start(target: Callable[[], None], name: str) -> Optional[threading.Thread]:
    """Run ``target`` on a daemon that takes none of the program's signals; under gevent or eventlet it is a greenlet.

    None where there can be no thread: the interpreter is shutting down, or the process may have no more of them.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        with signals.left_to_the_application():
            thread.start()
    except RuntimeError:
        diagnostics.swallowed(name)
        return None
    return thread
