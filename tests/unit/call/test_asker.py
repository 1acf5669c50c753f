"""Who asks, as the context of a call says."""

from __future__ import annotations

import contextvars
import sys
from types import SimpleNamespace

import pytest
from opentelemetry import baggage, context

from hf_openobserve.call.asker import LONGEST, Asker
from hf_openobserve.call.call import Call


@pytest.fixture(autouse=True)
def _as_it_was():
    token = context.attach(context.get_current())
    yield
    context.detach(token)


def carry(**items):
    for name, value in items.items():
        context.attach(baggage.set_baggage(name.replace("_", "."), value))


def test_nobody_is_named():
    assert Asker().attributes() == {}


def test_a_call_takes_the_baggage_of_its_moment():
    carry(session_id="s", user_id=7, tenant="t")
    call = Call(url="", host="")
    carry(session_id="later")
    assert call.facts().attributes == {"session.id": "s", "user.id": "7"}


def test_further_keys_and_the_agent_of_the_process():
    asker = Asker(("tenant", "session.id"), {"gen_ai.agent.id": "process", "gen_ai.agent.name": "mine"})
    context.attach(baggage.set_baggage("gen_ai.agent.id", "carried"))
    carry(tenant="t" * 600, user_id="")
    assert asker.attributes() == {
        "gen_ai.agent.id": "carried",
        "gen_ai.agent.name": "mine",
        "tenant": "t" * LONGEST,
    }


@pytest.mark.parametrize(
    ("config", "session"),
    [
        ({"configurable": {"thread_id": 12}}, "12"),
        ({"configurable": {}}, None),
        ({"configurable": None}, None),
        (None, None),
    ],
)
def test_langgraphs_thread_is_the_session_unless_the_baggage_names_one(monkeypatch, config, session):
    running = contextvars.ContextVar("child_runnable_config", default=None)
    running.set(config)
    monkeypatch.setitem(
        sys.modules, "langchain_core.runnables.config", SimpleNamespace(var_child_runnable_config=running)
    )
    assert Asker().attributes().get("session.id") == session
    carry(session_id="carried")
    assert Asker().attributes()["session.id"] == "carried"
