"""Logic that is written once runs around synchronous and asynchronous functions, and nothing of theirs is lost."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from hf_openobserve.clients.steps import around


def original(word="default", *, error=None):
    """Say it."""
    if error is not None:
        raise error
    return word


async def asynchronous_original(word="default", *, error=None):
    """Say it."""
    await asyncio.sleep(0)
    return original(word, error=error)


@pytest.fixture(params=["sync", "async"])
def run(request):
    """Runs ``logic`` around the original, as the program would call it."""
    inner = original if request.param == "sync" else asynchronous_original

    def call(logic, *args, **kwargs):
        ours = around(inner, logic)
        assert inspect.signature(ours) == inspect.signature(inner)
        assert (ours.__name__, ours.__doc__, ours.__wrapped__) == (inner.__name__, inner.__doc__, inner)
        assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(inner)
        result = ours(*args, **kwargs)
        return asyncio.run(result) if inspect.isawaitable(result) else result

    return call


def passing(inner, args, kwargs):
    return (yield lambda: inner(*args, **kwargs))


def test_what_it_returns(run):
    def changing(inner, args, kwargs):
        first = yield lambda: inner(*args, **kwargs)
        second = yield lambda: inner("again")
        return [first, second]

    def nothing(*_):
        return "unasked"
        yield

    assert run(passing, "hi") == run(passing, word="hi") == "hi"
    assert run(changing, "hi") == ["hi", "again"]
    assert run(nothing) == "unasked"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit, LookupError])
def test_what_it_raises_passes_with_nothing_around_it(run, kind):
    error = kind("mine")
    seen = []

    def watching(inner, args, kwargs):
        try:
            return (yield lambda: inner(*args, **kwargs))
        except BaseException as raised:
            seen.append(raised)
            raise

    for logic in (passing, watching):
        with pytest.raises(kind) as raised:
            run(logic, error=error)
        assert raised.value is error
        assert (error.__context__, error.__cause__) == (None, None)
    assert seen == [error]


def test_an_error_may_be_answered_otherwise(run):
    def repeating(inner, args, kwargs):
        again = False
        try:
            return (yield lambda: inner(*args, **kwargs))
        except ValueError:
            again = True
        if again:
            return (yield lambda: inner("second", error=KeyError("mine") if args else None))

    assert run(repeating, error=ValueError()) == "second"
    with pytest.raises(KeyError) as raised:
        run(repeating, "first", error=ValueError())
    assert raised.value.__context__ is None, "the first error is none of the second's"


def test_the_logic_may_raise_itself(run):
    def failing(inner, args, kwargs):
        yield lambda: inner(*args, **kwargs)
        raise ValueError("after all")

    with pytest.raises(ValueError, match="after all"):
        run(failing)


@pytest.mark.parametrize("error", [StopIteration("mine"), StopAsyncIteration("mine")], ids=repr)
def test_what_cannot_be_raised_in_a_generator_passes_and_the_logic_is_closed(error):
    closed = []

    def watching(inner, args, kwargs):
        try:
            return (yield lambda: inner(*args, **kwargs))
        finally:
            closed.append(True)

    with pytest.raises(type(error)) as raised:
        around(original, watching)(error=error)
    assert (raised.value, closed) == (error, [True])


def test_a_task_that_is_cancelled():
    async def hangs():
        await asyncio.sleep(30)

    seen = []

    def watching(inner, args, kwargs):
        try:
            return (yield lambda: inner(*args, **kwargs))
        except BaseException as error:
            seen.append(type(error))
            raise

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(around(hangs, watching)(), 0.05)

    asyncio.run(main())
    assert seen == [asyncio.CancelledError]


def test_a_coroutine_that_is_thrown_away_closes_the_logic():
    closed = []

    class Waits:
        def __await__(self):
            yield

    async def waits():
        await Waits()

    def watching(inner, args, kwargs):
        try:
            return (yield lambda: inner(*args, **kwargs))
        finally:
            closed.append(True)

    coroutine = around(waits, watching)()
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]


def test_a_function_that_only_returns_an_awaitable_is_asynchronous_if_said_so():
    def returning():
        return asynchronous_original("hi")

    assert asyncio.run(around(returning, passing, is_async=True)()) == "hi"
