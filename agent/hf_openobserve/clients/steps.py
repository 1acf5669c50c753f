"""Synchronous and asynchronous once: the logic is a generator, the two drivers here run it.

A generator yields functions without arguments that do what only the client can do (send, read), and gets what they
return, or has what they raise raised at its ``yield``. Of the two drivers one awaits. The model is httpx's
``auth_flow``.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable, Generator

Steps = Generator[Callable[[], Any], Any, Any]


def around(original: Any, logic: Callable[..., Steps], *, is_async: bool = False) -> Any:
    """A function in the place of ``original``: runs ``logic(original, args, kwargs)`` and returns what that returns."""
    if is_async or inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            steps = logic(original, args, kwargs)
            try:
                step = next(steps)
            except StopIteration as done:
                return done.value
            while True:
                try:
                    result = await step()
                except (StopIteration, StopAsyncIteration):  # cannot be raised in a generator
                    steps.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - the logic decides
                    try:
                        step = steps.throw(error)
                    except StopIteration as done:
                        return done.value
                else:
                    try:
                        step = steps.send(result)
                    except StopIteration as done:
                        return done.value

        return asynchronous

    @functools.wraps(original)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        steps = logic(original, args, kwargs)
        try:
            step = next(steps)
        except StopIteration as done:
            return done.value
        while True:
            try:
                result = step()
            except (StopIteration, StopAsyncIteration):
                steps.close()
                raise
            except BaseException as error:  # noqa: BLE001
                try:
                    step = steps.throw(error)
                except StopIteration as done:
                    return done.value
            else:
                try:
                    step = steps.send(result)
                except StopIteration as done:
                    return done.value

    return synchronous
