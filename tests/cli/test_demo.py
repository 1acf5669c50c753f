from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode

import harness
from fakes.openobserve import FakeOpenObserve
from harness import REPOSITORY
from hf_openobserve.cli import demo, spans
from hf_openobserve.config import settings as settings_module
from hf_openobserve.outbox import segment

# --- The outbox, decoded ---------------------------------------------------------------------------------------------


class Writer(SpanExporter):
    """Writes each span as one record of a segment file, encoded by the exporter package: not by the agent's writer."""

    def __init__(self, path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(segment.meta_record("local"))

    def export(self, batch):
        with self.path.open("ab") as file:
            for span in batch:
                file.write(segment.span_record(span.start_time, encode_spans([span]).SerializeToString()))
        return SpanExportResult.SUCCESS


def recording(path, resource=None):
    provider = TracerProvider(resource=Resource(resource if resource is not None else {"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(Writer(path)))
    return provider.get_tracer("tests")


def test_an_outbox_that_is_empty_or_missing_has_no_spans(tmp_path):
    assert spans.read_outbox(str(tmp_path)) == []
    assert spans.read_outbox(str(tmp_path / "missing")) == []


def test_spans_of_all_segments_come_in_the_order_of_their_start(tmp_path):
    late, early = recording(tmp_path / "local" / "1.seg"), recording(tmp_path / ("ab" * 8) / "rejected" / "2.seg")
    late.start_span("second", start_time=2_000).end(end_time=5_000)
    early.start_span("first", start_time=1_000).end(end_time=9_000)
    (tmp_path / "local" / "other.txt").write_text("no segment")
    assert [span["name"] for span in spans.read_outbox(str(tmp_path))] == ["first", "second"]


def test_a_torn_record_is_left_out(tmp_path):
    path = tmp_path / "1.seg"
    tracer = recording(path)
    tracer.start_span("whole").end()
    tracer.start_span("torn").end()
    path.write_bytes(path.read_bytes()[:-3])
    assert [span["name"] for span in spans.read_outbox(str(tmp_path))] == ["whole"]


def test_a_span_is_decoded(tmp_path):
    tracer = recording(tmp_path / "1.seg")
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span("child", kind=SpanKind.CLIENT, start_time=1_000_000, attributes={"a.B": [1, 2]})
        span.add_event("exception", {"exception.type": "ValueError"}, timestamp=1_500_000)
        span.set_status(Status(StatusCode.ERROR, "too hot"))
        span.end(end_time=3_500_999)
    parent, child = sorted(spans.read_outbox(str(tmp_path)), key=lambda span: span["name"], reverse=True)
    assert child == {
        "name": "child",
        "trace_id": format(span.get_span_context().trace_id, "032x"),
        "span_id": format(span.get_span_context().span_id, "016x"),
        "parent_span_id": parent["span_id"],
        "kind": 3,
        "status": "ERROR",
        "status_message": "too hot",
        "start": 1_000_000,
        "end": 3_500_999,
        "duration_us": 2500,
        "scope": "tests",
        "attributes": {"a.B": [1, 2]},
        "events": [{"name": "exception", "time": 1_500_000, "attributes": {"exception.type": "ValueError"}}],
        "resource": {"service.name": "shop"},
    }
    assert parent["parent_span_id"] == ""
    assert parent["status"] == "UNSET"


A_SPAN = {
    "name": "ChatCompletion",
    "trace_id": "0" * 31 + "1",
    "span_id": "0" * 15 + "2",
    "parent_span_id": "",
    "kind": 1,
    "status": "OK",
    "status_message": "",
    "start": 1_700_000_000_000_001_000,
    "end": 1_700_000_000_002_002_000,
    "duration_us": 2001,
    "scope": "tests",
    "attributes": {},
    "events": [],
    "resource": {},
}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"llm.token_count.prompt": 30}, {"llm_token_count_prompt": "30"}),
        ({"gen_ai.usage.cost": 0.0000012}, {"gen_ai_usage_cost": "0.0000012"}),
        ({"temperature": 1.0}, {"temperature": "1"}),
        ({"big": 1e22}, {"big": "10000000000000000000000"}),
        ({"not": float("nan"), "endless": float("inf")}, {"not": "NaN", "endless": "inf"}),
        ({"Stream": True, "Other-Key": False}, {"stream": "true", "other_key": "false"}),
        ({"stop": ["x", 1, 0.5]}, {"stop": '["x","1","0.5"]'}),
        ({"a": {"b": {"C": 1}, "d": "e"}}, {"a_b_c": "1", "a_d": "e"}),
        ({"bytes": b"text", "bad": b"\xff"}, {"bytes": "text", "bad": ""}),
        (
            {"duration": "mine", "span.kind": "mine"},
            {"attr_duration": "mine", "attr_span_kind": "mine", "duration": "2001"},
        ),
        ({"service.version": "2"}, {"attr_service_version": "2", "service_version": "1"}),
    ],
)
def test_columns_of_attributes(attributes, expected):
    row = spans.columns(dict(A_SPAN, attributes=attributes, resource={"service.name": "shop", "version": 1}))
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("value", [None, [], {}])
def test_nothing_is_no_column(value):
    assert "nothing" not in spans.columns(dict(A_SPAN, attributes={"nothing": value}))


def test_columns_of_the_span_itself():
    row = spans.columns(
        dict(
            A_SPAN,
            parent_span_id="0" * 15 + "3",
            status="ERROR",
            status_message="no",
            resource={"service.name": "shop", "service.version": "1", "name": "x"},
            events=[{"name": "exception", "time": 5, "attributes": {"exception.type": "E", "n": 1}}],
        )
    )
    assert row == {
        "trace_id": "0" * 31 + "1",
        "span_id": "0" * 15 + "2",
        "reference_parent_span_id": "0" * 15 + "3",
        "reference_parent_trace_id": "0" * 31 + "1",
        "reference_ref_type": "ChildOf",
        "span_kind": "1",
        "span_status": "ERROR",
        "status_message": "no",
        "operation_name": "ChatCompletion",
        "start_time": "1700000000000001000",
        "end_time": "1700000000002002000",
        "duration": "2001",
        "_timestamp": "1700000000000001",
        "events": '[{"name":"exception","_timestamp":5,"exception.type":"E","n":"1"}]',
        "service_name": "shop",
        "service_service_version": "1",
        "service_attr_name": "x",
    }


# --- Which call a span is --------------------------------------------------------------------------------------------


def llm(start, status="OK", **parameters):
    parameters = dict({"max_tokens": 64}, **parameters)
    attributes = {"openinference.span.kind": "LLM", "llm.invocation_parameters": json.dumps(parameters)}
    return dict(A_SPAN, start=start, status=status, attributes=attributes)


PLAIN, STREAMED, ASYNC, FAILING = llm(1), llm(2, stream=True), llm(3), llm(4, "ERROR")


@pytest.mark.parametrize(
    ("seen", "names", "wrong"),
    [
        ([FAILING, ASYNC, STREAMED, PLAIN], ["plain", "streamed", "async", "failing"], None),
        ([STREAMED, ASYNC, FAILING], ["streamed", "async", "failing"], "3 LLM spans for 4 calls; missing: plain"),
        ([PLAIN, ASYNC, FAILING], ["plain", "async", "failing"], "3 LLM spans for 4 calls; missing: streamed"),
        ([PLAIN, STREAMED, FAILING], ["plain", "streamed", "failing"], "3 LLM spans for 4 calls; missing: async"),
        ([PLAIN, STREAMED, ASYNC], ["plain", "streamed", "async"], "3 LLM spans for 4 calls; missing: failing"),
        ([], [], "0 LLM spans for 4 calls; missing: plain, streamed, async, failing"),
        (
            [PLAIN, STREAMED, STREAMED, ASYNC, FAILING],
            ["plain", "streamed", "streamed", "async", "failing"],
            "5 LLM spans for 4 calls: some call was recorded more than once",
        ),
        (
            [PLAIN, STREAMED, STREAMED, FAILING],
            ["plain", "streamed", "streamed", "failing"],
            "4 LLM spans for 4 calls; missing: async",
        ),
    ],
)
def test_calls_are_told_apart_and_missing_ones_named(seen, names, wrong):
    named = demo.name_calls(seen)
    assert [name for name, _ in named] == names
    assert demo.complaint(named) == wrong


def test_calls_with_hidden_parameters_are_told_by_their_order():
    hidden = [dict(span, attributes={"openinference.span.kind": "LLM"}) for span in (ASYNC, PLAIN, FAILING, STREAMED)]
    assert [(name, span["start"]) for name, span in demo.name_calls(hidden)] == list(zip(demo.CALLS, (1, 2, 3, 4)))


# --- The surroundings of the program ---------------------------------------------------------------------------------


def test_the_program_is_the_one_in_the_repository_and_knows_nothing_of_us():
    source = (REPOSITORY / "examples" / "chat.py").read_text(encoding="utf-8")
    # The checkout's, or the wheel's copy of it.
    with open(demo.example_program(), encoding="utf-8") as file:
        assert file.read() == source
    assert not re.search(r"^\s*(import|from)\s+(hf_openobserve|opentelemetry|openinference)", source, re.MULTILINE)


def test_an_installed_example_comes_before_the_checkouts(tmp_path, monkeypatch):
    installed = tmp_path / "hf_openobserve"
    (installed / "examples").mkdir(parents=True)
    (installed / "examples" / "chat.py").write_text("")
    monkeypatch.setattr(demo, "__file__", str(installed / "cli" / "demo.py"))
    assert demo.example_program() == str(installed / "examples" / "chat.py")
    (installed / "examples" / "chat.py").unlink()
    with pytest.raises(demo.DemoError, match="missing"):
        demo.example_program()


def test_without_the_openai_client_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(demo.DemoError, match=re.escape("pip install 'hf-openobserve[demo]'")):
        demo.wrapper_command()


def test_without_the_wrapper_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(demo.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(demo.DemoError, match="pip install opentelemetry-instrumentation"):
        demo.wrapper_command()


def test_the_environment_of_the_program_leads_nowhere_but_to_its_own_outbox():
    users = {
        "PATH": "/bin",
        "PYTHONPATH": "/lib/mine",
        "OPENOBSERVE_URL": "https://api.openobserve.ai",
        "OPENOBSERVE_AUTH_TOKEN": "Basic ZmFrZTpmYWtl",
        "OPENOBSERVE_ENABLED": "false",
        "OPENOBSERVE_HF_DEBUG": "true",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_SERVICE_NAME": "shop",
        "OPENINFERENCE_HIDE_INPUTS": "true",
        "HF_TOKEN": "hf_" + "x" * 34,
        "no_proxy": "intranet",
    }
    environment = demo.program_environment(users, "http://127.0.0.1:1/v1", "/tmp/outbox", capture_content=False)
    assert environment == {
        "PATH": "/bin",
        "PYTHONPATH": "/lib/mine",
        "OPENOBSERVE_HF_DEBUG": "true",
        "OTEL_SERVICE_NAME": "shop",
        "OPENINFERENCE_HIDE_INPUTS": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "intranet,127.0.0.1",
        "HF_BASE_URL": "http://127.0.0.1:1/v1",
        "HF_MODEL": demo.MODEL,
        "HF_TOKEN": demo.FAKE_TOKEN,
        "OPENOBSERVE_HF_OUTBOX_DIR": "/tmp/outbox",
        "OPENOBSERVE_HF_DOTENV": "false",
        "OPENOBSERVE_HF_CAPTURE_CONTENT": "none",
    }


# --- Delivery --------------------------------------------------------------------------------------------------------


def settings_for(environ):
    return settings_module.load(environ, script_dir=None, cwd=None)


@pytest.fixture
def outbox(tmp_path):
    tracer = recording(tmp_path / "outbox" / "local" / "1.seg")
    for name in ("one", "two"):
        tracer.start_span(name).end()
    return str(tmp_path / "outbox")


@pytest.mark.parametrize("variables", [{}, {"OPENOBSERVE_TRACES_STREAM_NAME": "demo_stream"}])
def test_the_records_are_delivered_once_and_the_page_is_named(outbox, variables):
    with FakeOpenObserve(base_path="/o2", orgs=("acme",)) as server:
        settings = settings_for(dict(server.environment, **variables))
        stream = variables.get("OPENOBSERVE_TRACES_STREAM_NAME", "default")
        assert demo.deliver(outbox, settings) is None
        rows = server.wait_for_rows(2, stream=stream)
        assert sorted(row["operation_name"] for row in rows) == ["one", "two"]
        page = demo.traces_page(settings.destination, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000)
        assert page == (
            f"{server.url}/web/traces?stream={stream}&from=1699999940000000&to=1700000061000000&org_identifier=acme"
        )
    # What was read stays: the demo shows it.
    assert len(spans.read_outbox(outbox)) == 2


def test_a_refusal_is_returned_with_its_reason(outbox):
    with FakeOpenObserve() as server:
        environ = dict(server.environment, OPENOBSERVE_AUTH_TOKEN="Basic ZmFrZUBleGFtcGxlLmNvbTp3cm9uZw==")
        reason = demo.deliver(outbox, settings_for(environ))
    assert "401" in reason
    assert "ZmFrZUBleGFtcGxlLmNvbTp3cm9uZw" not in reason


def test_rejected_spans_are_no_success(tmp_path):
    tracer = recording(tmp_path / "1.seg")
    tracer.start_span("too old", start_time=1_000_000_000).end(end_time=2_000_000_000)
    tracer.start_span("new").end()
    with FakeOpenObserve() as server:
        reason = demo.deliver(str(tmp_path), settings_for(server.environment))
    assert reason.startswith("1 of 2 spans rejected: ")


def test_a_server_that_is_not_there_is_said(outbox):
    with FakeOpenObserve() as server:
        environ = server.environment
    assert "refused" in demo.deliver(outbox, settings_for(environ))


# --- End to end ------------------------------------------------------------------------------------------------------


def run_demo(tmp_path, *environments):
    (tmp_path / "work").mkdir()
    given = {name: os.environ[name] for name in ("HF_OPENOBSERVE_LLAMA_PYTHON", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", "import sys; from hf_openobserve.cli import main; sys.exit(main())", "demo"],
        env=harness.environment(tmp_path, given, *environments),
        cwd=str(tmp_path / "work"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


def shown(text):
    """Column -> values, in the order of the calls, from the tables of the output. A folded value is joined again."""
    rows = {}
    for line in text.splitlines():
        cells = re.split(r" {2,}", line.rstrip())
        if cells[0] in [name + " (us)" if name == "duration" else name for name in demo.PROMISED_COLUMNS] + ["column"]:
            rows.setdefault(cells[0].replace(" (us)", ""), []).extend(cells[1:])
    return rows


def test_the_demo_shows_every_promised_column_of_every_call(tmp_path):
    # Wide enough for one table, and no value folded.
    done = run_demo(tmp_path, {"COLUMNS": "220"})
    assert (done.returncode, done.stderr.decode()) == (0, "")
    rows = shown(done.stdout.decode())
    assert rows["column"] == list(demo.CALLS)
    assert sorted(rows) == sorted(("column", *demo.PROMISED_COLUMNS))
    assert rows["llm_request_parameters_model"] == [demo.MODEL] * 4
    assert rows["llm_request_parameters_max_tokens"] == ["64"] * 4
    assert rows["span_status"] == ["OK", "OK", "OK", "ERROR"]
    assert rows["llm_model_name"] == ["tiny-random-llama"] * 3 + ["-"]
    assert rows["llm_usage_tokens_total"] == rows["llm_token_count_total"]
    for name in ("llm_system", "llm_observation_type", "openinference_span_kind", "operation_name", "input_mime_type"):
        assert "-" not in rows[name]
    for name in demo.PROMISED_COLUMNS:
        assert len(rows[name]) == 4
        assert "-" not in rows[name][:3]
    # Nothing is left behind: not the model, not the outbox, not where the user's own spans would be.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "work"]
    assert [path for path in (tmp_path / "home").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "work").iterdir()) == []


def test_the_demo_is_readable_at_100_columns(tmp_path):
    done = run_demo(tmp_path)
    assert done.returncode == 0
    lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
    assert max(map(len, lines)) <= 100
    tables = [line.split() for line in lines if line.startswith("column ")]
    assert tables == [["column", "plain", "streamed"], ["column", "async", "failing"]]
    assert any(re.match(r"operation_name +ChatCompletion +ChatCompletion$", line) for line in lines)


@pytest.mark.parametrize("version", ["0.90.3", "0.93.0"])
def test_with_a_server_configured_exactly_what_was_shown_is_delivered(tmp_path, version):
    with FakeOpenObserve(version) as server:
        done = run_demo(tmp_path, server.environment, {"COLUMNS": "220", "OTEL_SERVICE_NAME": "the-demo"})
        assert (done.returncode, done.stderr.decode()) == (0, "")
        rows = sorted(server.wait_for_rows(4), key=lambda row: row["start_time"])
        assert server.rows(count=5, timeout=1) == server.rows()
    table = shown(done.stdout.decode())
    assert [str(row["duration"]) for row in rows] == table["duration"]
    assert [row["span_status"] for row in rows] == table["span_status"]
    assert {row["service_name"] for row in rows} == {"the-demo"}
    assert f"{server.url}/web/traces?stream=default&from=" in done.stdout.decode()


def test_a_server_that_does_not_answer_fails_the_demo_after_the_columns(tmp_path):
    with FakeOpenObserve() as server:
        environ = server.environment
    done = run_demo(tmp_path, environ)
    assert done.returncode == 1
    assert b"llm_token_count_total" in done.stdout
    said = done.stderr.decode().splitlines()
    assert len(said) == 1
    assert said[0].startswith(
        f"hf-openobserve demo: {environ['OPENOBSERVE_URL']}/api/default/v1/traces did not take them"
    )


def test_a_wrong_variable_is_said_and_nothing_is_delivered(tmp_path):
    done = run_demo(
        tmp_path, {"OPENOBSERVE_URL": "localhost:5080", "OPENOBSERVE_AUTH_TOKEN": "user:password-of-nobody"}
    )
    assert done.returncode == 1
    assert b"OPENOBSERVE_URL" in done.stderr
    assert b"password-of-nobody" not in done.stdout + done.stderr


def test_switched_off_it_shows_and_does_not_deliver(tmp_path):
    with FakeOpenObserve() as server:
        done = run_demo(tmp_path, server.environment, {"OPENOBSERVE_ENABLED": "false"})
        assert (done.returncode, done.stderr) == (0, b"")
        assert server.requests == []
    assert b"nothing is delivered" in done.stdout


def test_a_call_that_is_not_captured_fails_the_demo(tmp_path, capsys):
    console = types.SimpleNamespace(print=lambda *a, **k: None, width=100)
    recording(tmp_path / "1.seg").start_span("no LLM span").end()
    settings = settings_for({})
    assert demo._report(console, settings, str(tmp_path), 0) == 1
    assert "missing: plain, streamed, async, failing" in capsys.readouterr().err
    assert demo._report(console, settings, str(tmp_path), 3) == 1
    assert "exit status 3; 0 LLM spans" in capsys.readouterr().err
