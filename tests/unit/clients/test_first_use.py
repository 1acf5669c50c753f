"""Methods that wait for the first client: one activation, then exactly what was there, or what activation put there."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace

import pytest

from hf_openobserve import clients
from hf_openobserve.clients.first_use import Arming


@pytest.fixture
def activated(monkeypatch):
    """What each activation does, and how many there were."""

    class Activated:
        count = 0

        def does(self):
            """Nothing yet."""

    state = Activated()

    def count():
        state.count += 1
        state.does()

    monkeypatch.setattr(clients, "agent", lambda: SimpleNamespace(activate=count))
    return state


def make_client():
    class Client:
        def __init__(self, name="default"):
            self.name = name

        def call(self, word):
            """Say it."""
            return f"{self.name}: {word}"

        async def ask(self, word):
            return f"{self.name}? {word}"

    return Client


def armed_client():
    client_class, arming = make_client(), Arming()
    originals = dict(vars(client_class))
    for name in ("__init__", "call", "ask"):
        arming.arm(client_class, name)
    return client_class, arming, originals


def methods(client_class):
    return {name: vars(client_class)[name] for name in ("__init__", "call", "ask")}


def test_the_first_construction_activates_once_and_leaves_no_trace(activated):
    client_class, arming, originals = armed_client()
    assert arming
    assert client_class(name="a").call("hi") == "a: hi"
    assert client_class("b").call("hi") == "b: hi"
    assert activated.count == 1
    assert not arming
    assert methods(client_class) == {name: originals[name] for name in methods(client_class)}


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda client: client.call("hi"), "unpickled: hi"),
        (lambda client: asyncio.run(client.ask("hi")), "unpickled? hi"),
    ],
    ids=["sync", "async"],
)
def test_a_client_that_was_never_built_activates_when_it_is_used(activated, use, said):
    client_class, _, _ = armed_client()
    client = client_class.__new__(client_class)
    client.name = "unpickled"
    assert use(client) == said
    assert activated.count == 1


def test_the_first_call_already_goes_through_what_activation_put_in_place(activated):
    client_class, arming, originals = armed_client()

    def hook():
        arming.disarm()
        client_class.call = lambda self, word: "hooked " + originals["call"](self, word)

    activated.does = hook
    client = client_class.__new__(client_class)
    client.name = "a"
    bound = client.call
    assert bound("hi") == "hooked a: hi"
    assert client.call("ho") == "hooked a: ho"
    assert activated.count == 1


def test_a_wrapper_put_on_after_arming_stays_and_is_entered_once_a_call(activated):
    client_class, _, _ = armed_client()
    armed, entered = client_class.__init__, []

    def theirs(self, *args, **kwargs):
        entered.append(args)
        armed(self, *args, **kwargs)

    client_class.__init__ = theirs
    assert client_class("b").name == "b"
    assert client_class.__init__ is theirs
    assert client_class("c").name == "c"
    assert entered == [("b",), ("c",)]
    assert activated.count == 1


def test_a_method_that_was_taken_before_activation_leads_to_what_is_there_after_it(activated):
    client_class, arming, originals = armed_client()
    client = client_class.__new__(client_class)
    client.name = "a"
    taken = client.call
    arming.activate()
    client_class.call = lambda self, word: "hooked " + originals["call"](self, word)
    assert taken("hi") == "hooked a: hi"
    assert activated.count == 1


def test_an_activation_that_fails_is_not_tried_again(activated):
    client_class, _, _ = armed_client()

    def fail():
        raise RuntimeError("no")

    activated.does = fail
    assert client_class("a").call("hi") == "a: hi"
    client_class("b")
    assert activated.count == 1


def test_armed_methods_look_like_their_originals():
    client_class, _, originals = armed_client()
    for name, method in methods(client_class).items():
        assert inspect.signature(method) == inspect.signature(originals[name])
        assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(originals[name])
    assert client_class.call.__doc__ == "Say it."
