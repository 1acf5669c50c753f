"""The processor: where a span goes while the disk takes nothing, and what becomes of it when it takes spans again."""

from __future__ import annotations

import json
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from openinference.instrumentation import TraceConfig
from opentelemetry.sdk.trace import TracerProvider

import outboxes
from hf_openobserve import privacy
from hf_openobserve.call.call import Call
from hf_openobserve.call.own_span import Spans
from hf_openobserve.call.recording import Recording
from hf_openobserve.outbox.store import DirectoryStore
from hf_openobserve.pipeline import provider as providers
from hf_openobserve.pipeline.processor import RecordingProcessor
from hf_openobserve.process import diagnostics
from hf_openobserve.wire.apis import APIS

FULL = OSError(28, "No space left on device")


class Disk:
    """A real store whose disk can be full."""

    def __init__(self, root):
        self.store = DirectoryStore(str(root), "tests", 2**26)
        self.full = False
        self.asked = 0

    def append(self, start, payload):
        self.asked += 1
        if self.full:
            raise FULL
        self.store.append(start, payload)

    def spans(self):
        return sum(len(outboxes.spans(path)) for path in self.store.segments())

    def leave(self):
        self.store.leave()

    def after_fork_in_child(self):
        self.store.after_fork_in_child()


class Sender:
    """Keeps what it is told."""

    def __init__(self):
        self.woken = 0
        self.delivery = self
        self.also = []
        self.resource = None

    def ready(self):
        pass

    def wake(self):
        self.woken += 1

    def also_from(self, store):
        self.also.append(store)

    def drain(self, timeout_s):
        return True


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "outbox")
    yield made
    made.after_fork_in_child()


@pytest.fixture
def processor(disk, monkeypatch):
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    policy = privacy.build_policy(capture_content=True, environ={})
    return RecordingProcessor(disk, Sender(), policy, 1.0)


@pytest.fixture
def end_spans(processor):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("tests")

    def end(count):
        for _ in range(count):
            tracer.start_span("x").end()

    return end


def test_memory_while_the_disk_takes_nothing_and_the_disk_again_after(processor, disk, end_spans, monkeypatch, capsys):
    end_spans(2)
    disk.full = True
    end_spans(3)
    assert (disk.asked, disk.spans()) == (3, 2), "a disk that is full is not asked for every span"
    monkeypatch.setattr(processor, "_disk_again_at", time.monotonic() - 1)
    end_spans(1)
    assert disk.asked == 4
    disk.full = False
    monkeypatch.setattr(processor, "_disk_again_at", time.monotonic() - 1)
    end_spans(2)
    assert disk.spans() == 8, "what waited in memory went to the disk with the first span that it took"
    (memory,) = processor.sender.also
    assert memory.take_all() == []
    assert processor.sender.woken == 8
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line


def test_at_the_end_what_waits_in_memory_goes_to_the_disk_if_that_takes_it(processor, disk, end_spans):
    disk.full = True
    end_spans(3)
    processor.shutdown()
    assert (disk.spans(), len(processor.memory.take_all())) == (0, 3)
    end_spans(2)
    disk.full = False
    processor.shutdown()
    assert (disk.spans(), processor.memory.take_all()) == (2, [])


def test_at_the_end_what_a_silent_server_has_been_sent_goes_to_the_disk_too(processor, disk, end_spans):
    disk.full = True
    end_spans(3)
    claims = processor.memory.claim()
    in_hand = next(claims)
    disk.full = False
    processor.shutdown()
    assert (len(in_hand.records), disk.spans()) == (3, 3)
    in_hand.keep(in_hand.records[1:])  # the sender's thread comes to itself once more
    claims.close()
    assert processor.memory.take_all(in_hand=True) == []


def test_a_forked_child_starts_with_nothing_of_its_parents(processor, disk, end_spans):
    processor.sender = None
    disk.full = True
    end_spans(1)
    processor.after_fork_in_child()
    assert processor.memory.take_all() == []


def test_losses_are_reported_under_the_resource_of_what_was_recorded(processor, end_spans):
    end_spans(1)
    assert "telemetry.sdk.name" in processor.sender.resource.attributes


class Limit(TimeoutError):
    """A job runner's."""


def ring(signum, frame):
    raise Limit


def interrupted_at(event_number, work):
    """Run ``work`` and let a signal arrive with the given call of a function within it; False if it has fewer."""
    seen = 0

    def watch(frame, event, argument):
        nonlocal seen
        # The interpreter looks for signals at a call of a function, not on the way into or out of a with block.
        if event == "call" or (event == "c_call" and argument.__name__ not in ("__enter__", "__exit__")):
            seen += 1
            if seen == event_number:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, ring)
    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGUSR1, before)
        assert seen, "it was watched"


def interrupted_at_each_step(processor, begun):
    """Interrupt what ``begun(number)`` returns at that step of it, one after the other; returns the number of none."""
    number = 1
    while True:
        work = begun(number)
        try:
            interrupted_at(number, work)
        except Limit:
            number += 1
            processor.force_flush()
        else:
            return number


@pytest.fixture
def recording(tmp_path):
    """A store, a processor that writes to it, and what it holds."""
    store = DirectoryStore(str(tmp_path), "tests", 2**26)
    policy = privacy.build_policy(capture_content=True, environ={})
    yield (
        RecordingProcessor(store, None, policy, 1.0),
        lambda: [payload for path in store.segments() for _, payload in outboxes.spans(path)],
    )
    store.leave()


def test_a_span_that_the_program_interrupts_on_its_way_is_recorded_at_the_next_chance(recording):
    processor, recorded = recording
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")

    def begun(number):
        span = tracer.start_span(f"span <{number}>")
        span.end()
        return lambda: processor.on_end(span)

    number = interrupted_at_each_step(processor, begun)
    assert number - 1 > 50, "each step of the way"
    payloads = recorded()
    times = [sum(f"span <{n}>".encode() in payload for payload in payloads) for n in range(1, number + 1)]
    assert times[:2] == [0, 0], "interrupted before it was entered"
    assert min(times[2:]) == 1, f"lost: {times.index(0, 2) + 1} of {number}"
    assert sum(times[2:]) - len(times[2:]) <= 12, "twice at the most what was interrupted after it had been written"


# What a generator raises while it is thrown away is lost to Python itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_call_that_the_program_interrupts_at_its_end_is_recorded_whole(recording):
    processor, recorded = recording
    spans = Spans(Recording(providers.build(processor)), "openinference.instrumentation.openai", TraceConfig())

    def begun(number):
        call = Call(
            url="http://x.invalid/v1/chat/completions",
            host="x.invalid",
            request={"model": "m", "messages": [{"role": "user", "content": f"asked <{number}>"}]},
            api=APIS["chat/completions"],
        )
        content = json.dumps({"model": "r", "choices": [{"message": {"content": f"answered <{number}>"}}]})
        call.response = SimpleNamespace(status_code=200, content=content.encode(), headers={})
        span = spans.start("ChatCompletion", "LLM")
        span.tells_of(
            call, lambda answer: {"input.value": json.dumps(call.request), "output.value": json.dumps(answer)}
        )
        return span.end

    number = interrupted_at_each_step(processor, begun)
    assert number > 200, "each step of the way"
    payloads = recorded()
    lost = 0
    for n in range(1, number):
        of_call = [payload for payload in payloads if f"asked <{n}>".encode() in payload]
        lost += not of_call
        assert all(payload.count(f"answered <{n}>".encode()) == 2 for payload in of_call), n
    assert lost <= 25, "none but before it was entered, and within OpenTelemetry's own end of a span"
    assert not [payload for payload in payloads if b"asked" not in payload], "none without its content"
