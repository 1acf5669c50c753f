"""Runs real programs in real subprocesses, bare or through one of the agent's two doors."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Union

import hf_openobserve

REPOSITORY = Path(__file__).resolve().parent.parent
BOOTSTRAP = Path(hf_openobserve.__file__).resolve().parent / "bootstrap"
DOORS = ("wrapper", "pythonpath")
PROMISED = (
    "llm_system",
    "llm_model_name",
    "llm_request_parameters_model",
    "llm_request_parameters_max_tokens",
    "gen_ai_response_model",
    "llm_observation_type",
    "llm_token_count_prompt",
    "llm_token_count_completion",
    "llm_token_count_total",
    "llm_token_count_prompt_details_cache_read",
    "llm_token_count_completion_details_reasoning",
    "llm_usage_tokens_input",
    "llm_usage_tokens_output",
    "llm_usage_tokens_total",
    "openinference_span_kind",
    "operation_name",
    "input_mime_type",
    "output_mime_type",
    "duration",
    "span_status",
)
"""The columns that the README promises."""


class Finished(NamedTuple):
    """What a program left behind."""

    stdout: str
    stderr: str
    returncode: int


def environment(tmp_path: Path, *extra: Mapping[str, str]) -> Dict[str, str]:
    """A clean environment: nothing of the developer's own configuration, a home and an outbox of the test's own.

    Requests are those of spans: tests of metrics switch them on. The exit budget is wide: a loaded machine must not
    turn "arrives" into "arrives with the next run". Tests of the budget itself set it back.
    """
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    result = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
        "OPENOBSERVE_HF_EXIT_TIMEOUT_S": "20",
        "OPENOBSERVE_HF_OUTBOX_DIR": str(tmp_path / "outbox"),
        "OPENOBSERVE_HF_METRICS": "off",
        "HF_TOKEN": "hf_" + "T0kenOfTheTestsOnly" + "x" * 15,
    }
    for name in ("COVERAGE_PROCESS_START", "SSL_CERT_FILE"):
        if name in os.environ:
            result[name] = os.environ[name]
    for more in extra:
        result.update(more)
    return result


def command(door: Optional[str], python: str, arguments: Sequence[str]) -> Sequence[str]:
    """The command line of ``python arguments`` through a door; ``None`` is no door at all."""
    if door == "wrapper":
        return [str(Path(python).parent / "opentelemetry-instrument"), python, *arguments]
    return [python, *arguments]


def through(door: Optional[str], env: Mapping[str, str]) -> Dict[str, str]:
    """The environment that a door needs."""
    result = dict(env)
    if door == "pythonpath":
        entries = [str(BOOTSTRAP)] + [entry for entry in result.get("PYTHONPATH", "").split(os.pathsep) if entry]
        result["PYTHONPATH"] = os.pathsep.join(entries)
    return result


def run(
    program: Union[str, Sequence[str]],
    *,
    door: Optional[str],
    env: Mapping[str, str],
    cwd: Path,
    python: str = sys.executable,
    timeout: float = 120,
) -> Finished:
    """Run Python source text, or the arguments of the interpreter, to its end."""
    if isinstance(program, str):
        script = cwd / "program.py"
        script.write_text(textwrap.dedent(program), encoding="utf-8")
        program = [str(script)]
    done = subprocess.run(
        list(command(door, python, program)),
        env=through(door, env),
        cwd=str(cwd),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Finished(done.stdout.decode(), done.stderr.decode(), done.returncode)


def run_ok(program: Union[str, Sequence[str]], **kwargs: object) -> Finished:
    """``run``, and the program must have succeeded without a word on stderr (docs/laws.md#9)."""
    done = run(program, **kwargs)  # type: ignore[arg-type]
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == ""
    return done


def assert_nothing_counted(row: Mapping[str, object]) -> None:
    """No token of a failed call is ours: zeros were sent.

    OpenObserve 0.91 estimates ``gen_ai_usage_*`` all the same.
    """
    sent = [f"llm_token_count_{name}" for name in ("prompt", "completion", "total")]
    sent += [f"llm_usage_tokens_{name}" for name in ("input", "output", "total")]
    assert {column: row.get(column) for column in sent} == dict.fromkeys(sent, "0")
