"""The program of OpenObserve's Hugging Face page, verbatim, with the official SDK: one row per call, stderr empty."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import harness
from scripted import Reply, ScriptedEndpoint, chat_body

PAGE = Path(__file__).parent / "programs" / "openobserve_page.py"


@pytest.fixture(scope="module")
def endpoint():
    with ScriptedEndpoint(lambda _path, _body: Reply(body=chat_body())) as scripted:
        yield scripted


@pytest.mark.parametrize("door", [None, *harness.DOORS])
@pytest.mark.parametrize("configured_by", ["environment", "dotenv"])
def test_one_row_per_call_and_an_empty_stderr(tmp_path, endpoint, openobserve, door, configured_by):
    env = harness.environment(tmp_path, {"HF_BASE_URL": endpoint.url})
    if configured_by == "environment":
        env.update(openobserve.environment)
    else:
        lines = [f'{name}="{value}"\n' for name, value in openobserve.environment.items()]
        (tmp_path / ".env").write_text("".join(lines))
    shutil.copy(PAGE, tmp_path / "page.py")
    done = harness.run_ok([str(tmp_path / "page.py")], door=door, env=env, cwd=tmp_path)
    assert done.stdout == "Hello there.\n"
    rows = openobserve.wait_for_rows(1)
    assert len(rows) == 1
    assert rows[0]["operation_name"] == "ChatCompletion"
    assert rows[0].get("reference_parent_span_id") in (None, ""), "no nested span"


def test_the_page_without_its_instrumentation_lines_is_the_agents_own_case(tmp_path, endpoint, openobserve, door):
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url})
    source = PAGE.read_text()
    for line in ("OpenAIInstrumentor().instrument()\n", "openobserve_init()\n"):
        assert line in source
        source = source.replace(line, "")
    harness.run_ok(source, door=door, env=env, cwd=tmp_path)
    (row,) = openobserve.wait_for_rows(1)
    assert row["llm_request_parameters_model"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert row["service_telemetry_distro_name"] == "hf-openobserve"


def test_the_official_sdk_with_the_agents_instrumentation(tmp_path, endpoint, openobserve, door):
    """``openobserve_init()`` alone: the application's spans are the SDK's, the call is ours, in one trace."""
    env = harness.environment(tmp_path, openobserve.environment, {"HF_BASE_URL": endpoint.url})
    source = PAGE.read_text().replace("OpenAIInstrumentor().instrument()\n", "")
    source = source.replace(
        "response = ",
        "from opentelemetry import trace\nspan = trace.get_tracer('mine').start_as_current_span('work')\n"
        "span.__enter__()\nresponse = ",
    )
    source += "span.__exit__(None, None, None)\n"
    harness.run_ok(source, door=door, env=env, cwd=tmp_path)
    rows = {row["operation_name"]: row for row in openobserve.wait_for_rows(2)}
    assert set(rows) == {"work", "ChatCompletion"}
    assert rows["work"]["trace_id"] == rows["ChatCompletion"]["trace_id"]
