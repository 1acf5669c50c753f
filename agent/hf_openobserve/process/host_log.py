"""Keep off the application's log what OpenInference and OpenTelemetry say there of calls that only we trace.

Whoever configures logging, and be it by ``logging.basicConfig()``, would have tracebacks of a library that the program
does not use. Nothing is wrong with the program, and it can do nothing about them. They are debug output of ours, no
more.

``loop.close()``, the garbage collector or ``coroutine.close()``, for one, end a pending call where its context cannot
be left any more: OpenInference makes its span current for the time of a call, and OpenTelemetry logs an error for each
such call.
"""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Callable, Iterator

from hf_openobserve.process import diagnostics

_THROUGH = ("logging", "contextlib", "opentelemetry", "hf_openobserve")
"""Top-level packages of the frames between the log's call and whoever left the context."""

_SETTERS = ("openinference.instrumentation", "hf_openobserve.call.own_span", "hf_openobserve.clients")
"""Who sets attributes on the spans of calls."""

_OWNER = "openinference.instrumentation.openai"


def keep_clean(is_ours: Callable[[], bool]) -> None:
    """Filter the logs of OpenInference's modules, which have been imported, while ``is_ours`` says that we instrument.

    An application that instruments OpenAI itself has its log as without us.
    """

    def concerns_the_program(entry: logging.LogRecord) -> bool:
        return not is_ours() or _debugged(entry)

    def concerns_the_program_of_contexts(entry: logging.LogRecord) -> bool:
        detached = str(entry.msg).startswith("Failed to detach context") and is_ours() and _left_by_openinference()
        return not detached or _debugged(entry)

    logging.getLogger("opentelemetry.context").addFilter(concerns_the_program_of_contexts)
    for name in list(sys.modules):
        if name == _OWNER or name.startswith(_OWNER + "."):
            # Each by itself: a filter of the parent's does not see its children's entries.
            logging.getLogger(name).addFilter(concerns_the_program)


def keep_limits_quiet() -> None:
    """Filter the SDK's warning of each text that ``OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`` cuts, if the text is ours.

    The user asked for the limit, and the program sets no attribute. What it sets itself is said as without us.
    """
    logging.getLogger("opentelemetry.attributes").addFilter(_concerns_the_program_of_limits)


def _concerns_the_program_of_limits(entry: logging.LogRecord) -> bool:
    if not str(entry.msg).startswith("String attribute value exceeds"):
        return True
    return not any(module.startswith(_SETTERS) for module in _callers()) or _debugged(entry)


def _debugged(entry: logging.LogRecord) -> bool:
    """Say it as our own debug output; always False."""
    if diagnostics.debugging():
        said = f"{entry.name}: {entry.getMessage()}"
        if entry.exc_info:
            diagnostics.swallowed(said)
        else:
            diagnostics.debug(said)
    return False


def _left_by_openinference() -> bool:
    outside = (module for module in _callers() if module.partition(".")[0] not in _THROUGH)
    return next(outside, "").startswith(_OWNER)


def _callers() -> Iterator[str]:
    """The modules whose functions are running on this thread, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        yield str(frame.f_globals.get("__name__", ""))
        frame = frame.f_back
