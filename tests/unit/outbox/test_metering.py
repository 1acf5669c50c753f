"""The numbers of a process: noted, written once an interval, delivered once, gone where nobody takes them."""

import contextlib
import math

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import outboxes
from hf_openobserve.cli import calls, spans
from hf_openobserve.config.destination import Destination
from hf_openobserve.openobserve import answers
from hf_openobserve.outbox import metering
from hf_openobserve.outbox.pricing import Pricing
from hf_openobserve.outbox.store import DirectoryStore
from hf_openobserve.process import diagnostics
from senders import StubClient

CALL = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7}
TOKENS = "gen_ai.client.inference.usage.input_tokens"
ACCEPTED, DOWN = answers.Verdict(answers.ACCEPTED), answers.Verdict(answers.RETRY, "down")
MIB = 2**20


class Made:
    """A store on disk, a client that answers by a list, and the metering between them."""

    def __init__(self, root, *said, max_mib=64, **options):
        self.spans = DirectoryStore(str(root), "tests", max_mib * MIB)
        self.store = self.spans.metrics()
        self.client = StubClient(*said)
        chosen = {"is_delta": True, "legacy": False, "optional": True, **options}
        self.metering = metering.of(self.store, self.client, 60.0, **chosen)
        self.metering.describe({"service.name": "tests"})

    def call(self, times=1):
        for _ in range(times):
            self.metering.note(CALL, 10**18, 10**18 + 10**9)

    def waiting(self):
        found = list(self.store.claim())
        for claimed in found:
            claimed.release()
        return len(found)

    def sent(self):
        """The tokens of each request."""
        return [tokens(b"".join(payloads)) for payloads in self.client.sent]


def tokens(payload):
    message = ExportMetricsServiceRequest.FromString(payload)
    return sum(
        point.as_int
        for resource in message.resource_metrics
        for metric in resource.scope_metrics[0].metrics
        if metric.name == TOKENS
        for point in metric.sum.data_points
    )


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(diagnostics, "_said", type(diagnostics._said)())
    made = []

    def make(*said, root="outbox", **options):
        made.append(Made(tmp_path / root, *said, **options))
        return made[-1]

    yield make
    for each in made:
        with contextlib.suppress(OSError):
            each.spans.after_fork_in_child()


def test_nothing_is_written_where_no_call_was_made(make):
    made = make(ACCEPTED)
    made.metering.write()
    made.metering.deliver(now=True)
    assert (made.waiting(), made.client.sent) == (0, [])


def test_an_interval_is_one_record_and_is_sent_once(make):
    made = make(ACCEPTED)
    made.call(3)
    made.metering.turn()
    assert made.waiting() == 0, "the interval is not over"
    made.metering.write()
    assert made.waiting() == 1
    made.metering.deliver(now=True)
    made.metering.deliver(now=True)
    assert (made.sent(), made.waiting()) == ([21], 0)
    made.call()
    made.metering.write()
    made.metering.deliver(now=True)
    assert made.sent() == [21, 7]


def test_what_a_server_did_not_take_is_sent_by_the_next_process(make):
    made = make(DOWN)
    made.call()
    made.metering.write()
    made.metering.deliver(now=True)
    assert made.waiting() == 1
    other = make(ACCEPTED)
    other.call(2)
    other.metering.write()
    other.metering.deliver(now=True)
    assert other.sent() == [21], "as one request"
    assert other.waiting() == 0


def test_what_the_disk_did_not_take_is_written_later(make, monkeypatch):
    made = make(ACCEPTED)
    made.call()
    with monkeypatch.context() as full:
        full.setattr(made.store, "append", lambda *_: (_ for _ in ()).throw(OSError("full")))
        made.metering.write()
    made.call()
    made.metering.write()
    made.metering.deliver(now=True)
    assert sum(made.sent()) == 14


def test_a_forked_child_starts_from_zero_and_is_another_instance(make):
    made = make(ACCEPTED)
    made.call()
    before = dict(made.metering.resource.attributes)
    made.metering.after_fork_in_child()
    made.metering.write()
    assert made.waiting() == 0
    after = dict(made.metering.resource.attributes)
    assert before.pop("service.instance.id") != after.pop("service.instance.id")
    assert before == after == {"service.name": "tests"}


@pytest.mark.parametrize(
    ("kind", "optional", "status", "is_on", "waiting"),
    [("otlp", True, 404, False, 0), ("otlp", True, 401, True, 1), ("otlp", False, 404, True, 1),
     ("openobserve", True, 404, True, 1)],
)  # fmt: skip
def test_a_collector_without_metrics_is_left_alone_unless_they_are_asked_for(
    make, capsys, kind, optional, status, is_on, waiting
):
    made = make(answers.Verdict(answers.BLOCKED, "no", status=status), optional=optional)
    made.client.destination = Destination(kind, endpoint="http://c.example/v1/metrics")
    made.call()
    made.metering.write()
    made.metering.deliver(now=True)
    assert (made.metering.is_on, made.waiting()) == (is_on, waiting)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == int(is_on)
    assert all("takes no metrics" in line for line in lines)


def test_the_oldest_go_where_nobody_takes_them(make, capsys):
    made = make(DOWN, max_mib=1)
    for number in range(70):
        made.store.append(number, b"x" * 1024)
    assert made.store.make_room() > 0
    assert sum(len(payload) for claimed in made.store.claim() for _, payload in claimed.records) <= MIB // 16
    assert "too many metrics wait" in capsys.readouterr().err


def test_the_rows_the_counter_and_the_report_say_the_same(make, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    pricing = Pricing()
    made = make(ACCEPTED)
    made.metering.cost = pricing.columns
    rows, shown = [], []
    for number in range(200):
        attributes = {
            **CALL,
            "openinference.span.kind": "LLM",
            "llm.observation.type": "GENERATION",
            "hf.model.base": "openai/gpt-oss-20b",
            "hf.provider.served": ("novita", "groq", "hf-inference", "nobody")[number % 4],
            "gen_ai.usage.input_tokens": number * 7,
            "gen_ai.usage.output_tokens": number,
            **({"gen_ai.usage.cost": 0.25} if number % 5 == 0 else {}),
        }
        start, payload = outboxes.record(attributes)
        made.metering.note(attributes, start, start + 10**9)
        rows += [span["attributes"].get("gen_ai.usage.cost") for span in spans.decode(pricing(payload))]
        shown += calls.of_payload(payload, pricing)[0]
    made.metering.write()
    made.metering.deliver(now=True)
    message = ExportMetricsServiceRequest.FromString(b"".join(made.client.sent[0]))
    counted = [
        point.as_double
        for metric in message.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == "hf.client.cost"
        for point in metric.sum.data_points
    ]
    total = math.fsum(row for row in rows if row)
    assert (
        10 < total == pytest.approx(math.fsum(counted), rel=1e-12) == pytest.approx(calls.total_cost(shown), rel=1e-12)
    )
    assert len([row for row in rows if row]) == 120
