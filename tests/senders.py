"""A store, a client and their sender, and what a server got of them."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time

import outboxes
from hf_openobserve.config import settings as settings_module
from hf_openobserve.otlp.encode import encode_span
from hf_openobserve.outbox import losses
from hf_openobserve.outbox.delivery import Delivery
from hf_openobserve.outbox.sender import Sender
from hf_openobserve.outbox.tuning import Tuning
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord

QUICK = Tuning(flush_steps_s=(0.02, 0.02), backoff_base_s=0.1, backoff_cap_s=0.2, blocked_retry_s=0.3)
"""The same rhythm, faster."""


def payload(number, start=None, **attributes):
    start = time.time_ns() if start is None else start
    return encode_span(
        SpanRecord(
            trace_id=0xABC0 + number,
            span_id=number + 1,
            name=f"span {number}",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1000,
            resource=ResourceRecord({"service.name": "tests"}),
            scope=ScopeRecord("tests"),
            attributes=attributes,
        )
    )


def destination(server, timeout_s=5.0):
    environ = {**server.environment, "OPENOBSERVE_HF_DOTENV": "false"}
    return dataclasses.replace(
        settings_module.load(environ, script_dir=None, cwd=None).destination, timeout_s=timeout_s
    )


class Outbox:
    """A store, a client and their sender, as activation puts them together."""

    def __init__(self, store, client, window_s=None, tuning=QUICK):
        self.store = store
        self.client = client
        self.delivery = Delivery(store, client, window_s, tuning)
        self.sender = Sender(self.delivery)

    def append(self, *numbers, **options):
        for number in numbers:
            self.store.append(number, payload(number, **options))

    def end(self, *numbers):
        """Spans that end: appended, and the sender woken."""
        for number in numbers:
            self.append(number)
            self.sender.wake()

    def waiting(self):
        """The starts of the spans in the outbox; a segment that the sender holds counts as well."""
        found = []
        for path in self.store.segments():
            with contextlib.suppress(FileNotFoundError):
                found.extend(start for start, _ in outboxes.spans(path))
        return sorted(found)

    def emptied(self, timeout=10):
        deadline = time.monotonic() + timeout
        while self.waiting():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def names(rows):
    """Of the application's spans."""
    return sorted(row["operation_name"] for row in rows if row["operation_name"] != losses.SPAN_NAME)


def reported(rows):
    """What the loss spans say, one after the other."""
    return [
        {name[len("hf_outbox_") :]: value for name, value in row.items() if name.startswith("hf_outbox_")}
        for row in rows
        if row["operation_name"] == losses.SPAN_NAME
    ]


def exports(server):
    return [request for request in server.requests if request.method == "POST"]


def sender_threads():
    return [thread for thread in threading.enumerate() if thread.name == "hf-openobserve-sender"]


class StubClient:
    """Answers by a list, the last one for good; exceptions are raised. Keeps what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.destination = settings_module.Destination("openobserve", endpoint="http://o2.example.com/v1/traces")

    def send(self, payloads):
        self.sent.append(payloads)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def after_fork_in_child(self):
        pass


GUILTY = {**{f"column_{number}": "x" for number in range(300)}, "text": "x" * 30_000}


def append_at(made, *ages_s):
    now = time.time_ns()
    for number, age_s in enumerate(ages_s):
        start = now - int(age_s * 1e9)
        made.store.append(start, payload(number, start=start))
