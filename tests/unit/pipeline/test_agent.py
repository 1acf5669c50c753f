"""A process's agent: activated once, whoever comes first; what the program interrupts is done at the next chance."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from hf_openobserve.pipeline import assembly
from hf_openobserve.pipeline.agent import Agent
from hf_openobserve.process import diagnostics


class Limit(Exception):
    """A job runner's."""


@pytest.fixture
def agent(monkeypatch, tmp_path):
    """One of its own, with a pipeline of its own in a home of the test's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENOBSERVE_HF_OUTBOX_DIR", str(tmp_path / "outbox"))
    monkeypatch.setenv("OPENOBSERVE_HF_DOTENV", "false")
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    made = Agent()
    monkeypatch.setattr(made.forks, "follow", lambda: None)  # hooks of the interpreter cannot be taken back
    yield made
    made.shut_down()


@pytest.fixture
def steps(monkeypatch):
    """What each assembly does first, one function an assembly; and how many there were."""

    class Steps(list):
        taken = 0

    steps, original = Steps(), assembly.assemble

    def assemble(settings):
        steps.taken += 1
        if steps:
            steps.pop(0)()
        return original(settings)

    monkeypatch.setattr(assembly, "assemble", assemble)
    return steps


def ring():
    """A signal is handled here, as one that came by way of another thread."""

    def handler(signum, frame):
        raise Limit

    handler(signal.SIGUSR1, sys._getframe())


def test_it_is_assembled_once(agent, steps):
    first = agent.provider()
    assert first is not None
    assert agent.provider() is first
    assert steps.taken == 1


def test_an_interrupted_activation_has_decided_nothing(agent, steps, capsys):
    steps.extend([ring, ring])
    for _ in range(2):
        with pytest.raises(Limit):
            agent.provider()
        assert agent.pipeline is None
    provider = agent.provider()
    assert provider is agent.provider()
    assert steps.taken == 3
    assert capsys.readouterr() == ("", "")


def test_another_thread_activates_after_an_interrupted_one(agent, steps):
    steps.append(ring)
    with pytest.raises(Limit):
        agent.provider()
    found = []
    thread = threading.Thread(target=lambda: found.append(agent.provider()))
    thread.start()
    thread.join(20)
    assert found == [agent.provider()]
    assert found[0] is not None


def test_an_activation_that_fails_is_said_once_and_not_tried_again(agent, steps, capsys):
    steps.append(lambda: 1 / 0)
    for _ in range(3):
        assert agent.provider() is None
        agent.activate()
    assert steps.taken == 1
    assert capsys.readouterr().err.count("nothing is recorded in this process") == 1


def test_what_starts_a_span_while_it_is_assembled_finds_nobody(agent, steps):
    seen = []
    steps.append(lambda: seen.append(agent.provider()))
    assert agent.provider() is not None
    assert seen == [None]


def test_a_provider_whose_joining_is_interrupted_is_joined_at_the_next_span(agent):
    class Theirs:
        def __init__(self):
            self.added = []

        def add_span_processor(self, processor):
            if len(self.added) == 0 and not ringing:
                ringing.append(True)
                ring()
            self.added.append(processor)

    theirs, ringing = Theirs(), []
    with pytest.raises(Limit):
        agent.join(theirs)
    for _ in range(2):
        agent.join(theirs)
    assert len(theirs.added) == 1


def test_what_an_application_hides_holds_whenever_it_says_so(agent):
    from openinference.instrumentation import TraceConfig

    agent.adopt_config(TraceConfig(hide_inputs=True))
    agent.provider()
    hidden = agent.pipeline.processor.policy.hide
    assert hidden
    agent.adopt_config(TraceConfig(hide_outputs=True))
    assert agent.pipeline.processor.policy.hide > hidden
