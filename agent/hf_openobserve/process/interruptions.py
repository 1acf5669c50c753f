"""Whose exception it is that arrived while our code ran: ours, or the program's own, which passes (docs/laws.md#1).

An exception of ours was raised by what we called. One of the program's came from outside while we happened to run:

- from a function that was called between two of our instructions, which is given the very frame that it interrupts: a
  handler of a signal (``handler(signum, frame)``) or a trace function (``trace(frame, event, argument)``);
- from nowhere: another thread (``PyThreadState_SetAsyncExc``) or another greenlet (``throw``) put it there. No
  ``raise`` was executed, it has no arguments, and its class belongs to none of the modules that ran.

Imported when an exception is handled, not before. Standard library only.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Set

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

_CHAIN = 10
"""How far an exception is followed to what it was raised from."""

_HEADROOM = 200
"""Frames that a step of ours may need. Where fewer are left to the program, it is at the end of its own recursion."""


def programs_own(error: BaseException) -> Optional[BaseException]:
    """The exception that must reach the program: ``error``, which is being handled, or what it was made of; else None.

    Libraries raise their own from what comes: ``Error calling __set_name__`` from a time limit, say.
    """
    for _ in range(_CHAIN):
        if _is_the_programs(error):
            return error
        frames = {id(entry.tb_frame) for entry in _entries(error.__traceback__)}
        cause, context = error.__cause__, error.__context__
        if cause is None and context is not None and context.__traceback__ is not None:
            # One that the program handled when it called us was caught in none of our frames.
            cause = context if id(context.__traceback__.tb_frame) in frames else None
        if cause is None:
            return None
        error = cause
    return None


def _is_the_programs(error: BaseException) -> bool:
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return True
    entries = list(_entries(error.__traceback__))
    if isinstance(error, RecursionError) and _depth(entries) + _HEADROOM > sys.getrecursionlimit():
        return True
    return _came_from_a_handler(entries) or _came_from_nowhere(error, entries)


def _entries(traceback: Any) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _depth(entries: List[TracebackType]) -> int:
    """How many frames the program had on its stack when it called us. A text that is nested deeply is our recursion."""
    frame = entries[0].tb_frame if entries else None
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth


def _came_from_a_handler(entries: List[TracebackType]) -> bool:
    handlers = _codes_of_signal_handlers()
    interrupted: Set[int] = set()
    for entry in entries:
        frame = entry.tb_frame
        if interrupted and (frame.f_code in handlers or _was_given_a_frame(frame, interrupted)):
            return True
        interrupted.add(id(frame))
    return False


def _was_given_a_frame(frame: FrameType, interrupted: Set[int]) -> bool:
    """True if the frame's function has one of the interrupted frames beside a signal's number or an event's name."""
    code = frame.f_code
    count = code.co_argcount
    values = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
    if code.co_flags & 0x04:  # CO_VARARGS
        more = frame.f_locals.get(code.co_varnames[count + code.co_kwonlyargcount])
        values.extend(more if isinstance(more, tuple) else ())
    return any(
        id(value) in interrupted
        and (
            isinstance(values[index - 1] if index else None, int) or isinstance((values[index + 1 :] or [None])[0], str)
        )
        for index, value in enumerate(values)
    )


def _codes_of_signal_handlers() -> Set[CodeType]:
    """The code of each handler in place: one may have forgotten its arguments by the time it raises (``del frame``)."""
    signal: Any = sys.modules.get("signal")
    if signal is None:
        return set()
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        function = getattr(handler, "func", handler)  # functools.partial
        function = getattr(function, "__func__", function)
        called = function if hasattr(function, "__code__") else getattr(type(function), "__call__", None)  # noqa: B004
        code = getattr(called, "__code__", None)
        if code is not None:
            found.add(code)
    return found


def _came_from_nowhere(error: Exception, entries: List[TracebackType]) -> bool:
    """True if no instruction of the traceback raised it: another one put it into this thread or greenlet."""
    if error.args or not entries or _raises(entries[-1]):
        return False
    home = type(error).__module__
    if _is_standard(home):
        return type(error) is TimeoutError  # C code that raises one says why
    ran = {str(entry.tb_frame.f_globals.get("__name__", "")).partition(".")[0] for entry in entries[1:]}
    return home.partition(".")[0] not in ran


def _raises(entry: TracebackType) -> bool:
    from opcode import opname

    code = entry.tb_frame.f_code.co_code
    return 0 <= entry.tb_lasti < len(code) and opname[code[entry.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")


def _is_standard(name: str) -> bool:
    """True for a module of the standard library, which itself raises exceptions without arguments."""
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return False
    path = getattr(module, "__file__", None)
    if path is None:  # built into the interpreter
        return True
    library = os.path.dirname(os.__file__) + os.sep
    return path.startswith(library) and path[len(library) :].partition(os.sep)[0] not in (
        "site-packages",
        "dist-packages",
    )
