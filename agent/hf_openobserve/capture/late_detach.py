"""Keep off the application's stderr what OpenTelemetry says of a call that is thrown away in another context.

``loop.close()``, the garbage collector or ``coroutine.close()`` end a pending call where its context cannot be left any
more. OpenInference makes its span current for the time of a call, and OpenTelemetry logs an error with a traceback, once
for each such call; nothing is wrong, and the application, which did not ask for a span, can do nothing about it.
"""

from __future__ import annotations

import inspect
import logging
from typing import Callable

_THROUGH = ("logging", "contextlib", "opentelemetry", "hf_openobserve")
"""Top-level packages of the frames between the log's call and whoever left the context."""

_OWNER = "openinference.instrumentation.openai"


def silence(is_ours: Callable[[], bool]) -> None:
    """Filter that one entry of the log, for spans of OpenInference's while ``is_ours`` says that we instrument."""

    def is_worth_saying(entry: logging.LogRecord) -> bool:
        return not (str(entry.msg).startswith("Failed to detach context") and is_ours() and _left_by_openinference())

    logging.getLogger("opentelemetry.context").addFilter(is_worth_saying)


def _left_by_openinference() -> bool:
    frame = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _THROUGH:
            return module.startswith(_OWNER)
        frame = frame.f_back
    return False
