"""Delivery against the strict server of the tests: everything arrives, once, whatever the server answers."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

import outboxes
from fakes.openobserve import Answer, FakeOpenObserve, Limits
from hf_openobserve.openobserve.answers import ACCEPTED, RETRY, Verdict
from hf_openobserve.outbox.memory import MemoryStore
from hf_openobserve.outbox.places import REJECTED
from hf_openobserve.outbox.store import DirectoryStore
from hf_openobserve.row.record import ResourceRecord
from senders import (
    GUILTY,
    StubClient,
    append_at,
    exports,
    names,
    payload,
    reported,
)
from stores import MIB


def test_a_server_that_stores_and_answers_late_is_waited_for(outbox, openobserve, monkeypatch):
    """Sent again and again as they were, the spans would be stored each time."""
    openobserve.script(*[Answer(delay_s=0.6)] * 20)
    made = outbox(openobserve, timeout_s=0.25, idle_scan_s=0.05)
    made.append(1, 2)
    assert [made.delivery.deliver() for _ in range(3)] == [False, False, True]
    for number in range(3, 10):
        made.append(number)
        assert made.delivery.deliver() is True
    rows = names(openobserve.rows())
    assert sorted(set(rows)) == sorted(f"span {number}" for number in range(1, 10))
    assert len(rows) <= 9 + 2 * 2


def test_requests_that_are_not_answered_in_time_get_smaller_and_grow_again(outbox, monkeypatch):
    slow, fine = Verdict(RETRY, "ReadTimeout", timed_out=True), Verdict(ACCEPTED)
    made = outbox(client=StubClient(slow, slow, slow, fine), backoff_base_s=0.0)
    for number in range(64):
        made.append(number, text="x" * 60_000)
    assert [made.delivery.deliver() for _ in range(4)] == [False, False, False, True]
    sizes = [sum(map(len, payloads)) for payloads in made.client.sent]
    assert [max(sizes[index : index + 1]) for index in range(3)] == sorted(sizes[:3], reverse=True)
    assert sizes[3] < sizes[0] / 4
    assert sizes[-2] > sizes[3]


@pytest.mark.parametrize("position", [0, 3, 7])
def test_the_guilty_span_is_found_and_the_others_arrive(outbox, choosy, position, capsys):
    made = outbox(choosy)
    for number in range(8):
        made.append(number, **(GUILTY if number == position else {}))
    assert made.delivery.deliver() is True
    innocent = sorted(f"span {number}" for number in range(8) if number != position)
    assert names(choosy.rows()) == innocent
    assert made.waiting() == []
    (aside,) = (Path(made.store.directory) / REJECTED).iterdir()
    assert [start for start, _ in outboxes.spans(aside)] == [position]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hf-openobserve: ")
    assert outboxes.counts(made.store.directory) == {
        "accepted": 7,
        "rejected": 0,
        "expired": 0,
        "evicted": 0,
        "set_aside": 1,
    }
    assert [loss["set_aside"] for loss in reported(choosy.rows())] == ["1"]


@pytest.mark.parametrize("position", [0, 3, 7])
def test_a_span_that_is_too_large_arrives_with_its_texts_cut(outbox, position, capsys):
    with FakeOpenObserve(limits=Limits(payload_bytes=40_000)) as server:
        made = outbox(server)
        for number in range(8):
            made.append(
                number, **({"text": "head " + "x" * 200_000 + " tail", "short": "s"} if number == position else {})
            )
        assert made.delivery.deliver() is True
        assert made.waiting() == []
        rows = {row["operation_name"]: row for row in server.rows()}
        assert len(server.rows()) == 8
    assert sorted(rows) == [f"span {number}" for number in range(8)]
    large = rows[f"span {position}"]
    assert large["text"].startswith("head xxx")
    assert large["text"].endswith("xxx tail")
    assert "bytes cut by hf-openobserve" in large["text"]
    assert large["short"] == "s"
    assert int(large["hf_outbox_cut_bytes"]) + len(large["text"]) > 200_000
    (line,) = capsys.readouterr().err.splitlines()
    assert "its longest texts are cut" in line
    assert outboxes.counts(made.store.directory)["accepted"] == 8


def test_what_a_gateway_takes_at_most_is_found_once(outbox):
    with FakeOpenObserve(limits=Limits(payload_bytes=100_000)) as server:
        made = outbox(server)
        for number in range(40):
            made.append(number, text="x" * 10_000)
        assert made.delivery.deliver() is True
        assert names(server.rows()) == sorted(f"span {number}" for number in range(40))
        before = len(exports(server))
        for number in range(40, 60):
            made.append(number, text="x" * 10_000)
        assert made.delivery.deliver() is True
        assert len(server.rows()) == 60
        assert [request.status for request in exports(server)[before:]] == [200] * (len(exports(server)) - before)


def test_a_span_too_large_for_other_reasons_is_set_aside(outbox):
    with FakeOpenObserve(limits=Limits(payload_bytes=20_000)) as server:
        made = outbox(server)
        made.append(0)
        made.append(1, **{f"column_{number}": "x" * 150 for number in range(500)})
        assert made.delivery.deliver() is True
        assert names(server.rows()) == ["span 0"]
    (aside,) = (Path(made.store.directory) / REJECTED).iterdir()
    assert [start for start, _ in outboxes.spans(aside)] == [1]


PAGE = Answer(400, {"content-type": "text/html"}, "The plain HTTP request was sent to HTTPS port")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (PAGE, "refuses every request (400: The plain HTTP request was sent to HTTPS port); check OPENOBSERVE_URL"),
        (422, "refuses every request"),
        (Answer(200, {"content-type": "text/html"}, "<html>Please sign in"), "answers with a web page (200)"),
    ],
    ids=["400", "422", "page"],
)
def test_a_server_that_takes_nothing_costs_no_span(outbox, openobserve, answer, said, capsys):
    openobserve.script(*[answer] * 4)
    made = outbox(openobserve)
    made.append(*range(64))
    assert [made.delivery.deliver() for _ in range(2)] == [False, False]
    assert len(exports(openobserve)) <= 4, "no span is looked for that is guilty of it"
    assert made.waiting() == list(range(64))
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert any(made.delivery.deliver() for _ in range(4)), "until a person has mended it"
    assert len(openobserve.rows()) == 64


def test_a_server_that_fails_while_it_is_asked_whether_it_takes_anything(outbox, openobserve):
    openobserve.script(PAGE, Answer(503, {"retry-after": "7"}))
    made = outbox(openobserve)
    made.append(1, 2)
    assert made.delivery.deliver() is False
    assert 6 < made.delivery.backoff.wait_s() <= 7
    assert made.waiting() == [1, 2]


def test_a_refused_span_that_cannot_be_set_aside_does_not_double_the_others(outbox, choosy, monkeypatch):
    made = outbox(choosy)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store, "set_aside", full)
    for number in range(4):
        made.append(number, **(GUILTY if number == 3 else {}))
    for _ in range(3):
        with contextlib.suppress(OSError):
            made.delivery.deliver()
    assert names(choosy.rows()) == ["span 0", "span 1", "span 2"]
    assert made.waiting() == []
    assert [loss["rejected"] for loss in reported(choosy.rows())] == ["1"]


def test_what_cannot_be_kept_apart_is_not_an_end(outbox, openobserve, monkeypatch):
    # A full disk, and a server that fails after the first of two requests.
    openobserve.script(Answer(), 503)
    made = outbox(openobserve, batch_spans=2)
    made.append(0, 1, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(made.store.claims, "write", full)
        with contextlib.suppress(OSError):
            made.delivery.deliver()
    made.delivery.deliver()
    assert names(openobserve.rows()) == ["span 0", "span 1", "span 2"]
    assert made.waiting() == []


@pytest.mark.parametrize("turns", [1, 4])
def test_a_full_disk_repeats_nothing_that_was_accepted(outbox, openobserve, monkeypatch, turns):
    openobserve.script(*[Answer(), 503] + [503] * (turns - 1))
    made = outbox(openobserve, batch_spans=2, window_s=3600)
    append_at(made, 7200)  # expires, and cannot be taken out
    append_at(made, 3, 2, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store.claims, "write", full)
    for _ in range(turns):
        assert made.delivery.deliver() is False
    assert made.delivery.deliver() is True
    assert len(names(openobserve.rows())) == 3
    assert outboxes.counts(made.store.directory)["expired"] == 1
    assert made.waiting() == []
    assert made.delivery._left == {}


def test_a_span_that_was_cut_is_not_forgotten_on_a_full_disk(outbox, monkeypatch):
    with FakeOpenObserve(limits=Limits(payload_bytes=40_000)) as server:
        server.script(Answer(), 503)  # the whole, too large; the half, not now
        made = outbox(server)
        made.append(1, text="x" * 60_000)

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(made.store.claims, "write", full)
        assert made.delivery.deliver() is False
        assert made.delivery.deliver() is True
        assert names(server.rows()) == ["span 1"]
    assert made.waiting() == []


def test_only_what_was_not_accepted_is_sent_again(outbox, openobserve, monkeypatch):
    openobserve.script(Answer(), 503)
    made = outbox(openobserve, batch_spans=2)
    made.append(0, 1, 2, 3, 4)
    assert made.delivery.deliver() is False
    assert made.waiting() == [2, 3, 4]
    assert made.delivery.deliver() is True
    assert names(openobserve.rows()) == [f"span {number}" for number in range(5)]


OLD = 6 * 3600 * 10**9


def test_spans_that_came_too_late_are_said_once_and_not_sent_again(outbox, openobserve, capsys):
    made = outbox(openobserve)
    made.append(1)
    made.append(2, start=time.time_ns() - OLD)
    made.append(3, start=time.time_ns() - OLD)
    assert made.delivery.deliver() is True
    assert made.waiting() == []
    (line,) = capsys.readouterr().err.splitlines()
    assert "2" in line
    assert "retention" in line
    made.append(4, start=time.time_ns() - OLD)
    made.delivery.deliver()
    assert capsys.readouterr().err == ""
    assert names(openobserve.rows()) == ["span 1"]
    assert [loss["rejected"] for loss in reported(openobserve.rows())] == ["2"], "the third waits for its minute"
    assert outboxes.counts(made.store.directory)["rejected"] == 3


def test_spans_past_the_window_expire_whether_the_server_is_there_or_not(outbox, openobserve, capsys):
    made = outbox(openobserve, window_s=3600)
    append_at(made, 3601, 7200, 3500, 0)
    openobserve.script(503)
    assert made.delivery.deliver() is False
    assert outboxes.counts(made.store.directory)["expired"] == 2
    assert len(made.waiting()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "more than 1 h ago" in line
    assert made.delivery.deliver() is True
    assert names(openobserve.rows()) == ["span 2", "span 3"]
    assert outboxes.counts(made.store.directory)["expired"] == 2
    (loss,) = reported(openobserve.rows())
    assert (loss["lost"], loss["expired"]) == ("2", "2")
    assert loss["lost_from"] < loss["lost_to"]
    assert "2 too old for the server" in loss["message"]


def test_a_loss_is_reported_under_the_service_that_was_recorded(outbox, openobserve):
    made = outbox(openobserve, window_s=3600)
    append_at(made, 7200)
    made.delivery.resource = ResourceRecord({"service.name": "shop"})
    made.delivery.deliver()
    (row,) = openobserve.rows()
    assert (row["operation_name"], row["service_name"]) == ("hf-openobserve outbox", "shop")
    assert not [column for column in row if column.startswith(("llm_", "gen_ai_", "openinference"))]


def test_a_loss_that_the_server_does_not_take_is_reported_later(outbox, openobserve):
    made = outbox(openobserve, window_s=3600, telling_s=0)
    append_at(made, 7200)
    openobserve.script(503)
    made.delivery.deliver()
    assert openobserve.rows() == []
    made.delivery.deliver()
    assert [loss["expired"] for loss in reported(openobserve.rows())] == ["1"]
    made.delivery.deliver()
    assert len(openobserve.rows()) == 1


def test_segments_of_many_processes_are_one_request(outbox, openobserve):
    made = outbox(openobserve)
    for number in range(70):
        made.append(number)
        made.store.seal()
    assert made.delivery.deliver() is True
    assert [request.spans for request in exports(openobserve)] == [32, 32, 6]
    assert made.waiting() == []
    assert names(openobserve.rows()) == sorted(f"span {number}" for number in range(70))


def test_what_was_accepted_is_counted_before_a_long_delivery_is_over(outbox, openobserve, monkeypatch):
    made = outbox(openobserve, batch_segments=1)
    seen = []
    send = made.client.send

    def counted(payloads):
        with contextlib.suppress(OSError):
            seen.append(outboxes.counts(made.store.directory)["accepted"])
        return send(payloads)

    monkeypatch.setattr(made.client, "send", counted)
    for number in range(4):
        made.append(number)
        made.store.seal()
    assert made.delivery.deliver() is True
    assert seen == [1, 2, 3]


def test_segments_of_one_refused_request_are_sent_one_by_one(outbox, choosy):
    made = outbox(choosy)
    for number in range(6):
        made.append(number, **(GUILTY if number == 3 else {}))
        made.store.seal()
    assert made.delivery.deliver() is True
    assert names(choosy.rows()) == [f"span {number}" for number in (0, 1, 2, 4, 5)]
    assert made.waiting() == []


@pytest.mark.parametrize("answer", [503, Answer(behaviour="reset")])
def test_segments_of_one_failed_request_stay_as_they_are(outbox, openobserve, answer):
    made = outbox(openobserve)
    for number in range(6):
        made.append(number)
        made.store.seal()
    before = made.store.segments()
    openobserve.script(answer)
    assert made.delivery.deliver() is False
    assert made.store.segments() == before
    assert made.delivery.deliver() is True
    assert names(openobserve.rows()) == [f"span {number}" for number in range(6)]


def test_no_segment_stays_open_or_locked(outbox, openobserve, tmp_path):
    made = outbox(openobserve)
    for number in range(70):
        made.append(number)
        made.store.seal()
    openobserve.script(Answer(), 503)
    assert made.delivery.deliver() is False
    other = DirectoryStore(str(tmp_path / "outbox"), "tests", 64 * MIB)
    assert sum(len(claimed.records) for claimed in other.claim()) == 38
    other.after_fork_in_child()
    assert made.store.claims.descriptors._held == {}


def test_after_a_failure_the_other_stores_are_not_tried(outbox, openobserve):
    made = outbox(openobserve)
    memory = MemoryStore()
    made.delivery.also_from(memory)
    made.append(1)
    memory.append(2, payload(2))
    openobserve.script(Answer(503, {"retry-after": "30"}))
    assert made.delivery.deliver() is False
    assert len(exports(openobserve)) == 1
    assert made.delivery.backoff.wait_s() > 20


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (401, "OPENOBSERVE_AUTH_TOKEN"),
        (403, "OPENOBSERVE_AUTH_TOKEN"),
        (404, "OPENOBSERVE_URL"),
        (Answer(302, {"location": "https://u:p@o2.example.com/?k=s3cr3t"}), "https://o2.example.com/"),
        (429, ""),
        (500, ""),
        (503, ""),
        (Answer(behaviour="reset"), ""),
    ],
    ids=str,
)
def test_one_line_once_and_no_secret(outbox, openobserve, answer, said, capsys):
    openobserve.script(*[answer] * 3)
    made = outbox(openobserve)
    made.append(1)
    for _ in range(3):
        assert made.delivery.deliver() is False
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == bool(said)
    assert said in captured.err
    if said:
        assert captured.err.startswith("hf-openobserve: ")
        assert made.client.destination.endpoint in captured.err
    for secret in (openobserve.auth_token.split()[1], "s3cr3t", "u:p"):
        assert secret not in captured.err


def test_a_reason_that_differs_each_time_is_said_once(outbox, openobserve, capsys):
    # Gateways put a request id into every refusal; the sender asks again each minute, for days.
    openobserve.script(*[Answer(401, {}, f"denied, request id {number}") for number in range(3)])
    made = outbox(openobserve)
    made.append(1)
    for _ in range(3):
        made.delivery.deliver()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_spans_dropped_for_room_are_said_once(outbox, capsys):
    made = outbox(client=StubClient(Verdict(RETRY)), max_bytes=3000)
    for number in range(30):
        made.append(number, text="x" * 200)
        made.delivery.deliver()
    (line,) = capsys.readouterr().err.splitlines()
    assert "OPENOBSERVE_HF_OUTBOX_MAX_MB" in line
    left = made.waiting()
    assert left == list(range(30 - len(left), 30))


def test_what_is_delivered_and_cannot_be_deleted_is_not_sent_again(outbox, openobserve, monkeypatch, capsys):
    made = outbox(openobserve)
    made.append(0)
    unlink = os.unlink

    def read_only(path, *more, **options):
        if str(path).endswith(".seg"):
            raise OSError(30, "Read-only file system", str(path))
        unlink(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        assert [made.delivery.deliver() for _ in range(3)] == [True, True, True]
    assert len(exports(openobserve)) == 1
    assert made.waiting() == [0]
    assert made.delivery.deliver() is True
    assert (made.waiting(), len(exports(openobserve))) == ([], 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be deleted" in line


def test_what_a_killed_process_left_half_written_does_not_stop_delivery(outbox, openobserve):
    made = outbox(openobserve, window_s=3600)
    append_at(made, 7200, 0)
    made.store.seal()
    (path,) = made.store.segments()
    Path(path + ".tmp").write_bytes(b"")
    assert made.delivery.deliver() is True
    assert names(openobserve.rows()) == ["span 1"]


def test_a_full_disk_does_not_keep_what_expired_from_being_followed(outbox, openobserve, monkeypatch):
    made = outbox(openobserve, window_s=3600)
    append_at(made, 7200, 0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.store.claims, "write", full)
    assert made.delivery.deliver() is True
    assert names(openobserve.rows()) == ["span 1"]
    assert made.waiting() == []
    assert outboxes.counts(made.store.directory)["expired"] == 1


def test_memory_is_delivered_though_the_disk_is_gone(outbox, openobserve, monkeypatch):
    made = outbox(openobserve)
    memory = MemoryStore()
    made.delivery.also_from(memory)
    memory.append(1, payload(1))

    def gone():
        raise NotADirectoryError(20, "Not a directory")

    monkeypatch.setattr(made.store, "seal", gone)
    made.delivery.deliver()
    assert names(openobserve.rows()) == ["span 1"]
