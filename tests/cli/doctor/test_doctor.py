"""The whole command, against each state that people come with."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest

import outboxes
import tls
from fakes.openobserve import Answer, FakeOpenObserve
from faults.servers import Front, behaves, http_answer
from hf_openobserve.cli import doctor

WRONG = "Basic bm9ib2R5OndpdGgtYS13cm9uZy1wYXNzd29yZA=="
HOUR_S = 3600


def test_all_is_well(examine, openobserve):
    examined = examine()
    assert (examined.status, examined.at("red"), examined.at("yellow")) == (0, [], [])
    for subject in ("interpreter", "distro", "openai", "directory", "DNS", "TCP", "version", "clock", "delivery"):
        examined.has("green", subject)
    examined.has("green", "version", "0.91.5")
    found = examined.has("green", "read back", "/web/traces/trace-details?stream=default&trace_id=")
    (row,) = openobserve.rows()
    assert row["trace_id"] == found["details"]["trace_id"]
    assert (row["operation_name"], row["service_name"]) == ("hf-openobserve doctor", "hf-openobserve")
    assert not openobserve.is_llm_stream(), "no call of a model"


def test_on_a_screen(env):
    done = outboxes.invoke(["doctor", "--", "no-such-program"], env)
    lines = done.stdout.splitlines()
    assert done.exit_code == 2
    assert lines[:3] == [
        "command",
        "  red    command: no-such-program is not on PATH",
        "         -> Correct its name, or activate the environment that has it",
    ]
    assert "  green  OPENOBSERVE_AUTH_TOKEN: Basic *** (environment)" in lines
    assert lines[-1].startswith("Broken: see what is red (")
    assert "\x1b" not in done.stdout


# --- Whom the token belongs to, and what it may -----------------------------------------------------------------------


def test_a_wrong_token(examine):
    examined = examine(OPENOBSERVE_AUTH_TOKEN=WRONG)
    assert examined.status == 2
    examined.has("red", "authentication", "401", "Copy OPENOBSERVE_AUTH_TOKEN anew")


@pytest.mark.parametrize(("arguments", "status"), [((), 0), (("--strict",), 1)])
def test_a_token_that_may_only_write_is_right(examine, openobserve, arguments, status):
    examined = examine(*arguments, OPENOBSERVE_AUTH_TOKEN=openobserve.ingestion_auth_token)
    assert (examined.status, examined.at("red")) == (status, [])
    examined.has("green", "delivery")
    examined.has("yellow", "read back", "may write and nothing else", "/web/traces/")


def test_an_older_servers_token_that_may_only_write(examine):
    with FakeOpenObserve("0.90.3", ingestion_token="kD8s0PqUuE1mZ2aB") as server:
        examined = examine(**dict(server.environment, OPENOBSERVE_AUTH_TOKEN=server.ingestion_auth_token))
    assert examined.status == 0
    examined.has("green", "version", "0.90.3")
    examined.has("yellow", "read back", "may write and not search (401)", "/web/traces/")


def test_an_administrator_reads_back_what_the_token_wrote(examine, openobserve):
    tokens = {"OPENOBSERVE_AUTH_TOKEN": openobserve.ingestion_auth_token}
    examined = examine(**tokens, OPENOBSERVE_HF_ADMIN_TOKEN=openobserve.auth_token)
    assert (examined.status, examined.at("yellow")) == (0, [])


def test_an_organization_that_root_would_make_by_mistake(examine, openobserve):
    examined = examine(OPENOBSERVE_ORG="defualt")
    assert examined.status == 2
    examined.has("red", "organization", "no organization defualt", "Set OPENOBSERVE_ORG")
    assert [request for request in openobserve.requests if request.method == "POST"] == [], "it would be made by now"


def test_an_organization_that_the_user_is_none_of(examine):
    with FakeOpenObserve(root=False) as server:
        examined = examine(**dict(server.environment, OPENOBSERVE_ORG="others"))
    examined.has("red", "organization", "the credentials are right, and are none of the organization others")


# --- Who answers ------------------------------------------------------------------------------------------------------


def redirects(exchange):
    exchange.read()
    exchange.answer(http_answer(302, {"location": "https://login.example/authorize?client=s3cr3t"}))
    return True


def shows_a_page(exchange):
    exchange.read()
    exchange.answer(http_answer(200, {"content-type": "text/html"}, b"<html>Please log in</html>"))
    return True


def is_an_old_server(exchange):
    if not exchange.path.endswith("/config"):
        return behaves(exchange)
    exchange.answer(http_answer(200, {"content-type": "application/json"}, b'{"version":"v0.70.1"}'))
    return True


def closes_its_api(exchange):
    """A gateway that lets nothing through but spans."""
    if exchange.is_export and exchange.path.endswith("/v1/traces"):
        return behaves(exchange)
    exchange.read()
    exchange.answer(http_answer(403, {"content-type": "text/html"}, b"<html>Forbidden</html>"))
    return True


@pytest.mark.parametrize(
    ("behaviour", "status", "level", "subject", "sentence", "remedy"),
    [
        (redirects, 2, "red", "delivery", "redirects (302) to https://login.example/authorize", "login page"),
        (shows_a_page, 2, "red", "delivery", "answers with a web page (200)", "login page"),
        (is_an_old_server, 0, "yellow", "version", "OpenObserve 0.70 is older than 0.80", "Update OpenObserve"),
        (closes_its_api, 0, "yellow", "version", "something else than OpenObserve (403)", "OPENOBSERVE_URL"),
        (closes_its_api, 0, "yellow", "read back", "403", "/web/traces/"),
    ],
)
def test_what_stands_before_the_server_or_in_its_place(
    examine, openobserve, tmp_path, behaviour, status, level, subject, sentence, remedy
):
    with Front(openobserve, tmp_path, lambda: behaviour) as front:
        examined = examine(OPENOBSERVE_URL=front.url)
    assert examined.status == status
    found = examined.has(level, subject, sentence, remedy)
    assert "s3cr3t" not in json.dumps(found)


@pytest.mark.parametrize(
    ("answer", "sentence", "remedy"),
    [
        (503, "503: scripted", "spans wait in the outbox"),
        (404, "404: scripted", "Correct OPENOBSERVE_URL and OPENOBSERVE_ORG"),
        (400, "400: scripted", "Look whether it is OpenObserve"),
        (Answer(behaviour="reset"), "", "spans wait in the outbox"),
    ],
)
def test_a_server_that_does_not_take_the_span(examine, openobserve, answer, sentence, remedy):
    openobserve.script(answer)
    examined = examine()
    assert examined.status == 2
    examined.has("red", "delivery", sentence, remedy)
    assert ("yellow", "read back") not in examined.lines


@pytest.mark.parametrize(
    ("hours", "status", "level", "sentence"),
    [
        (6, 2, "red", "6.0 h behind the server's: for the server every span began more than 5 h ago"),
        (-6, 0, "yellow", "6.0 h ahead of the server's"),
        (-25, 2, "red", "25.0 h ahead of the server's: for the server every span begins a day from now"),
    ],
)
def test_a_clock_that_is_wrong(examine, hours, status, level, sentence):
    with FakeOpenObserve(now=lambda: time.time() + hours * HOUR_S) as server:
        examined = examine(**server.environment)
    assert examined.status == status
    examined.has(level, "clock", sentence, "NTP")
    if status:
        examined.has("red", "delivery", "partial_success: Some spans were rejected", "set the clocks right")
    else:
        examined.has("green", "delivery")


# --- The way there ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def refusing():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_no_server(examine):
    with refusing() as url:
        examined = examine(OPENOBSERVE_URL=url)
    examined.has("red", "TCP", "Connection refused", "Start the server")
    assert ("red", "delivery") not in examined.lines, "one line for one fault"


def test_a_name_that_is_none(examine):
    examined = examine(OPENOBSERVE_URL="http://openobserve.invalid:5080")
    examined.has("red", "DNS", "openobserve.invalid is not resolved", "Correct OPENOBSERVE_URL")


def test_a_proxy_that_refuses(examine):
    with refusing() as proxy:
        examined = examine(http_proxy=proxy.replace("//", "//user:s3cr3tword@"), NO_PROXY=None, no_proxy=None)
    found = examined.has("red", "proxy", "Connection refused", "NO_PROXY")
    assert "s3cr3tword" not in json.dumps(examined.findings)
    assert found["sentence"].startswith(proxy)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password(examine, openobserve, tmp_path, scheme):
    def refuses(exchange):
        exchange.answer(http_answer(407, {"proxy-authenticate": "Basic"}))
        return False

    with Front(openobserve, tmp_path, lambda: refuses) as front:
        url = openobserve.url.replace("http:", f"{scheme}:")
        examined = examine(OPENOBSERVE_URL=url, NO_PROXY=None, no_proxy=None, **{f"{scheme}_proxy": front.url})
    assert examined.status == 2
    examined.has("red", "proxy", "407", "NO_PROXY")


@pytest.mark.skipif(not tls.has_openssl, reason="the openssl command makes the certificates")
def test_an_authority_that_is_not_known(examine, openobserve, tmp_path):
    authority = tls.Authority(tmp_path / "authority")
    with tls.TlsFront(openobserve, authority.issue("server")) as front:
        examined = examine(OPENOBSERVE_URL=front.url)
        examined.has("red", "TLS", "an authority that is not known here", "Set REQUESTS_CA_BUNDLE")
        examined = examine(OPENOBSERVE_URL=front.url, REQUESTS_CA_BUNDLE=authority.certificate)
        assert (examined.status, examined.at("red")) == (0, [])
        examined.has("green", "TLS", authority.certificate)
        missing = str(tmp_path / "missing.pem")
        examined = examine(OPENOBSERVE_URL=front.url, REQUESTS_CA_BUNDLE=missing)
        examined.has("red", "TLS", f"REQUESTS_CA_BUNDLE names {missing}, which does not exist", "Name a file of PEM")


def test_tls_that_the_server_does_not_speak(examine, openobserve):
    examined = examine(OPENOBSERVE_URL=openobserve.url.replace("http:", "https:"))
    examined.has("red", "TLS", "speaks no TLS", "Write http://")


def test_a_collector(examine, openobserve):
    unset = dict.fromkeys(("OPENOBSERVE_URL", "OPENOBSERVE_AUTH_TOKEN", "OPENOBSERVE_ORG"))
    headers = "authorization=" + openobserve.auth_token.replace(" ", "%20")
    endpoint = f"{openobserve.url}/api/default"
    examined = examine(**unset, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_HEADERS=headers)
    assert (examined.status, examined.at("red")) == (0, [])
    examined.has("green", "delivery")
    examined.has("yellow", "read back", "a Collector")


# --- Settings and the outbox ------------------------------------------------------------------------------------------


def test_no_server_is_configured(examine):
    examined = examine(**dict.fromkeys(("OPENOBSERVE_URL", "OPENOBSERVE_AUTH_TOKEN", "OPENOBSERVE_ORG")))
    assert examined.status == 0
    examined.has("yellow", "address", "spans stay in the outbox", "Set OPENOBSERVE_URL")


def test_settings_that_are_wrong(examine, openobserve):
    examined = examine(OPENOBSERVE_URL="localhost:5080", OPENOBSERVE_HF_EXIT_TIMEOUT_S="soon")
    assert examined.status == 2
    examined.has(
        "red", "OPENOBSERVE_URL", "has no scheme", "Write for example OPENOBSERVE_URL=https://api.openobserve.ai"
    )
    examined.has("yellow", "OPENOBSERVE_HF_EXIT_TIMEOUT_S", "is not a number of seconds", "_S=1")
    examined.has("yellow", "address", "not tried")
    assert openobserve.requests == []


def test_a_price_list_that_is_wrong(examine, tmp_path):
    path = tmp_path / "prices.json"
    for text, sentence in (("{", "costs are computed without it"), ('{"per_hour": {"host": "1"}}', "per_hour of host")):
        path.write_text(text)
        examined = examine(OPENOBSERVE_HF_PRICES=str(path))
        examined.has("yellow", "OPENOBSERVE_HF_PRICES", sentence, "docs/cost.md")


def test_where_metrics_go(examine, openobserve):
    where = f"{openobserve.url}/api/default/v1/metrics every 5 s, delta"
    delta = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta", "OTEL_METRIC_EXPORT_INTERVAL": "5000"}
    examine(**delta).has("green", "metrics", where)


@pytest.mark.parametrize("switch", [{"OPENOBSERVE_ENABLED": "false"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_switched_off(examine, switch):
    examined = examine(**switch)
    assert examined.status == 0
    examined.has("yellow", "switched off", next(iter(switch)))


def test_each_setting_has_its_source(examine, openobserve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in openobserve.environment.items()))
    path.chmod(0o600)
    given = {**dict.fromkeys(openobserve.environment), "OPENOBSERVE_HF_DOTENV": None, "HF_TOKEN": "hf_0123456789abcdef"}
    examined = examine(**given)
    assert examined.status == 0
    shown = {found["subject"]: found["details"] for found in examined.findings if found["section"] == "settings"}
    assert shown["OPENOBSERVE_URL"] == {"value": openobserve.url, "source": str(path)}
    assert shown["OPENOBSERVE_AUTH_TOKEN"] == {"value": "Basic ***", "source": str(path)}
    assert shown["OPENOBSERVE_TIMEOUT"] == {"value": "5", "source": "environment"}
    assert shown["HF_TOKEN"] == {"value": "***", "source": "environment"}
    assert shown["defaults"]["OPENOBSERVE_HF_MAX_AGE_H"] == "default"


def test_an_outbox_that_cannot_be_written(examine, tmp_path):
    (tmp_path / "file").write_text("")
    examined = examine(OPENOBSERVE_HF_OUTBOX_DIR=str(tmp_path / "file" / "outbox"))
    assert examined.status == 2
    examined.has("red", "directory", "spans wait in memory, and end with the process", "OPENOBSERVE_HF_OUTBOX_DIR")


def test_what_waits_and_what_was_lost(examine, openobserve, tmp_path):
    here = f"openobserve {openobserve.url}/api/default/v1/traces stream=default"
    root = tmp_path / "outbox"
    outboxes.leave(root, here, outboxes.call(age_s=6 * HOUR_S))
    outboxes.leave(root, "local", outboxes.call(), outboxes.call())
    outboxes.leave(root, "openobserve http://elsewhere stream=default", outboxes.call())
    examined = examine()
    waiting = [sentence for subject, sentence, _ in examined.at("yellow") if subject == "waiting"]
    assert sorted(line[:32] for line in waiting) == [
        "1 spans wait for openobserve htt",
        "1 spans wait; the oldest began 6",
        "2 spans were recorded without a ",
    ]
    assert len(outboxes.segments(root)) == 3, "nothing is changed"


# --- The installation and the command ---------------------------------------------------------------------------------


def test_an_old_openai(examine, tmp_path):
    metadata = tmp_path / "old" / "openai-1.30.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: openai\nVersion: 1.30.0\n")
    examined = examine(PYTHONPATH=str(tmp_path / "old"))
    assert examined.status == 2
    examined.has("red", "openai", "1.30.0 is too old", "--upgrade 'openai>=1.66'")


@pytest.mark.parametrize(
    ("package", "text", "subject", "sentence"),
    [
        ("openinference", "raise ImportError('half an update')", "openinference", "ImportError: half an update"),
        ("opentelemetry", "import no_such_module", "opentelemetry", "No module named 'no_such_module'"),
        ("requests", "raise SystemExit('no')", "requests", "SystemExit: no"),
    ],
)
def test_a_broken_installation(examine, tmp_path, package, text, subject, sentence):
    broken = tmp_path / "broken" / package
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(text)
    examined = examine(PYTHONPATH=str(broken.parent))
    assert examined.status == 2
    examined.has("red", subject, sentence, "pip install --force-reinstall")
    examined.has("green", "read back")


def test_another_distro(examine):
    examined = examine(OTEL_PYTHON_DISTRO="distro")
    assert examined.status == 2
    examined.has("red", "distro", "selects another distro", "Unset OTEL_PYTHON_DISTRO; or keep it")
    examined = examine(OTEL_PYTHON_DISTRO="distro", OTEL_TRACES_EXPORTER="openobserve")
    assert examined.status == 0
    examined.has("yellow", "distro", "without the outbox")


def test_a_command_with_its_interpreter_isolated(examine):
    examined = examine("--", "opentelemetry-instrument", sys.executable, "-I", "-c", "print('run')", PATH=_path())
    assert examined.status == 2
    examined.has("red", "command", "-I makes Python ignore PYTHONPATH", "Start the program without -I")


def test_a_command_through_the_wrapper(examine):
    examined = examine("--", "opentelemetry-instrument", sys.executable, "-c", "print('run')", PATH=_path())
    assert (examined.status, examined.at("red"), examined.at("yellow")) == (0, [], [])
    examined.has("green", "instrumented", "yes, through opentelemetry-instrument")


def test_a_check_that_fails_is_a_red_line(examine, monkeypatch):
    from hf_openobserve.cli.doctor import outbox

    monkeypatch.setattr(outbox, "check", lambda _: 1 / 0)
    examined = examine()
    assert examined.status == 2
    examined.has("red", "outbox", "ZeroDivisionError", "Install hf-openobserve anew")
    examined.has("green", "read back")


def test_a_container_without_home_terminal_and_environment(tmp_path):
    command = [sys.executable, "-c", "from hf_openobserve.cli import main; main()", "doctor", "--", "python", "-c", ""]
    environ = {"PATH": _path(), "TMPDIR": str(tmp_path), "HOME": str(tmp_path / "none")}
    done = subprocess.run(
        command, env=environ, cwd=str(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (2, b"")
    lines = done.stdout.decode().splitlines()
    assert "  red    command: neither door is used: nothing loads the agent" in lines
    assert any(line.startswith(f"  yellow directory: {tmp_path}") for line in lines)


def test_a_working_directory_that_is_gone(examine, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    before = os.getcwd()
    os.chdir(str(gone))
    try:
        gone.rmdir()
        assert examine().status == 0
    finally:
        os.chdir(before)


def test_its_imports_need_no_opentelemetry():
    program = (
        "import sys, hf_openobserve.cli.doctor as d, importlib, pkgutil\n"
        "for module in pkgutil.iter_modules(d.__path__): importlib.import_module(f'{d.__name__}.{module.name}')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'opentelemetry', 'openinference', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
    assert doctor.doctor_command.name == "doctor"


def _path():
    return os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
