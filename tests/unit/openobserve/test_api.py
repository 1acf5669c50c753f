"""The API's client against the tests' strict server: what it reads and changes, what it says when it fails."""

from __future__ import annotations

import base64
import dataclasses
import json
import time

import pytest

from fakes.openobserve import Answer, FakeOpenObserve
from fakes.openobserve.http import Server, json_answer
from hf_openobserve.config import settings as settings_module
from hf_openobserve.openobserve import api_errors
from hf_openobserve.openobserve.api import Api, ApiError
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.otlp import encode as otlp
from hf_openobserve.row.record import ResourceRecord, ScopeRecord, SpanRecord

pytestmark = pytest.mark.matrix

NOW_US = time.time_ns() // 1000
HOUR_US = 3600 * 1000000
PASSWORD = "Complexpass#123"


def destination(environment, **changes):
    environ = {**environment, "OPENOBSERVE_HF_DOTENV": "false", "OPENOBSERVE_TIMEOUT": "10"}
    return dataclasses.replace(settings_module.load(environ, script_dir=None, cwd=None).destination, **changes)


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def no_pause(_):
    pass


@pytest.fixture
def api(openobserve):
    with Api(destination(openobserve.environment), pause=no_pause) as made:
        yield made


def send(server, *names):
    client = Client(destination(server.environment))
    start = time.time_ns()
    spans = [
        SpanRecord(
            trace_id=number,
            span_id=number,
            name=name,
            start_time_unix_nano=start + number,
            end_time_unix_nano=start + 1000,
            resource=ResourceRecord({"service.name": "tests"}),
            scope=ScopeRecord("tests"),
            attributes={"n": number},
        )
        for number, name in enumerate(names, 1)
    ]
    assert client.send([otlp.encode_span(span) for span in spans]).outcome == "accepted"
    client.close()


def search(api, sql='SELECT operation_name FROM "default" ORDER BY _timestamp', **more):
    return api.search(sql, NOW_US - HOUR_US, NOW_US + HOUR_US, **more)


@pytest.mark.parametrize("version", ["v0.91.5", "v0.90.3"])
def test_rows_streams_and_the_version(version):
    with FakeOpenObserve(version, base_path="/o2") as server:
        send(server, "a", "b", "c")
        with Api(destination(server.environment)) as api:
            assert [row["operation_name"] for row in search(api)] == ["a", "b", "c"]
            assert [row["operation_name"] for row in search(api, size=1, first=1)] == ["b"]
            assert [stream["name"] for stream in api.streams()] == ["default"]
            assert api.schema("default")["duration"] == "Int64"
            assert api.schema("no/such") == {}
            assert api.version_text() == version
            assert api.version() == tuple(int(part) for part in version[1:].split(".")[:2])
        assert server.connections == 2


def test_the_streams_name_is_the_servers(openobserve):
    environment = {**openobserve.environment, "OPENOBSERVE_TRACES_STREAM_NAME": "My Calls"}
    assert Api(destination(environment)).stream == "my_calls"


@pytest.mark.parametrize(
    ("sql", "code"),
    [('SELECT x FROM "nothing"', api_errors.CODE_NO_STREAM), ('SELECT x FROM "default"', api_errors.CODE_NO_COLUMN)],
)
def test_what_a_search_lacks_is_told(api, openobserve, sql, code):
    send(openobserve, "a")
    with pytest.raises(ApiError) as raised:
        search(api, sql)
    assert (raised.value.kind, raised.value.code) == (api_errors.REFUSED, code)


def test_folders_and_dashboards(api):
    assert api.folder("dashboards", "F") is None
    folder = api.create_folder("dashboards", "F", "of tests")
    assert api.create_folder("dashboards", "F", "once more") == folder == api.folder("dashboards", "F")
    made = api.create_dashboard(folder, {"title": "T", "tabs": []})
    assert [(found.title, found.folder) for found in api.dashboards("T")] == [("T", folder)]
    assert api.dashboards("t") == []
    changed = api.update_dashboard(made, {**made.body, "description": "changed"})
    assert api.dashboards("T") == [changed]
    with pytest.raises(ApiError) as raised:
        api.update_dashboard(made, made.body)
    assert raised.value.kind == api_errors.CONFLICT
    with pytest.raises(ApiError) as raised:
        api.delete_folder("dashboards", folder)
    assert raised.value.kind == api_errors.REFUSED
    api.delete_dashboard(changed)
    with pytest.raises(ApiError) as raised:
        api.delete_dashboard(changed)
    assert raised.value.kind == api_errors.NOT_FOUND
    api.delete_folder("dashboards", folder)
    assert api.folder("dashboards", "F") is None


def test_alerts_with_a_destination_and_a_template(api, openobserve):
    send(openobserve, "a")
    for new in (True, False):
        api.save_template({"name": "t", "body": "{}", "type": "http", "title": ""}, new=new)
        api.save_destination(
            {"name": "d", "url": f"http://127.0.0.1:9/{new}", "method": "post", "type": "http", "template": "t"},
            new=new,
        )
    assert api.destinations()["d"]["url"] == "http://127.0.0.1:9/False"
    assert "t" in api.templates()
    folder = api.create_folder("alerts", "A", "")
    body = {
        "name": "one",
        "stream_type": "traces",
        "stream_name": "default",
        "query_condition": {"type": "sql", "sql": 'SELECT 1 FROM "default"'},
        "trigger_condition": {"period": 5},
        "destinations": ["d"],
    }
    made = api.create_alert(folder, body)
    api.update_alert(made, {**body, "description": "changed"})
    assert [(alert["alert_id"], alert["folder_id"]) for alert in api.alerts()] == [(made, folder)]
    assert api.alert(made)["description"] == "changed"
    api.delete_alert(made)
    api.delete_destination("d")
    api.delete_template("t")
    assert (api.alerts(), api.destinations()) == ([], {})


# Who asks.


def test_the_administrators_token_goes_before_the_one_that_delivers(openobserve):
    may_write = {**openobserve.environment, "OPENOBSERVE_AUTH_TOKEN": openobserve.ingestion_auth_token}
    send(openobserve, "a")
    with Api(destination(may_write)) as api:
        assert api.may_only_write
        with pytest.raises(ApiError) as raised:
            search(api)
        assert raised.value.kind == api_errors.CREDENTIALS
        assert "ingestion token (o2oi_...) may write spans and not search traces" in str(raised.value)
        assert "--user NAME or OPENOBSERVE_HF_ADMIN_TOKEN" in str(raised.value)
    admin = {**may_write, "OPENOBSERVE_HF_ADMIN_TOKEN": f"root@example.com:{PASSWORD}"}
    for made in (Api(destination(admin)), Api(destination(may_write), openobserve.auth_token)):
        with made as api:
            assert not api.may_only_write
            assert len(search(api)) == 1


def reply(status, body=b"", **headers):
    return lambda _: Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (reply(401, "Unauthorized Access"), api_errors.CREDENTIALS, "the user or password is wrong"),
        (
            lambda _: json_answer(403, {"message": "no"}),
            api_errors.FORBIDDEN,
            "may not search traces in the organization acme",
        ),
        (
            lambda _: json_answer(404, {"code": 404, "message": "Organization not found"}),
            api_errors.ORGANIZATION,
            "has no organization acme; check OPENOBSERVE_ORG",
        ),
        (reply(404), api_errors.NO_SUCH_API, "or the server is too old"),
        (reply(405), api_errors.NO_SUCH_API, "or the server is too old"),
        (
            reply(302, location="https://sso.example/login?next=secret"),
            api_errors.REDIRECT,
            "https://sso.example/login:",
        ),
        (reply(200, "<html>log in</html>", content_type="text/html"), api_errors.WEB_PAGE, "check OPENOBSERVE_URL"),
        (reply(200, "[]", content_type="application/json"), api_errors.NOT_OPENOBSERVE, "is it OpenObserve?"),
        (reply(200, "hello", content_type="text/plain"), api_errors.NOT_OPENOBSERVE, '("hello"): is it OpenObserve?'),
        (lambda _: json_answer(500, {"message": "broken"}), api_errors.REFUSED, "answers 500 (broken)"),
        (reply(503), api_errors.UNAVAILABLE, "try again later"),
    ],
)
def test_each_answer_in_words(answer, kind, says):
    server = Server(0, answer)
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        environment = {
            "OPENOBSERVE_URL": url,
            "OPENOBSERVE_ORG": "acme",
            "OPENOBSERVE_AUTH_TOKEN": basic("a@b.c:hush-hush"),
        }
        with Api(destination(environment), pause=no_pause) as api, pytest.raises(ApiError) as raised:
            search(api)
    finally:
        server.stop()
    assert raised.value.kind == kind
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_on_the_cloud_the_organization_is_explained():
    question = api_errors.Question("https://api.openobserve.ai", "default", "see dashboards", "/p", basic("a:b"))
    assert "org_identifier" in str(api_errors.explain(question, 401, {}, b"Unauthorized Access"))
    assert "org_identifier" not in str(
        api_errors.explain(question._replace(base_url="https://o2.acme.example"), 401, {}, b"")
    )


def test_an_answer_that_repeats_the_credentials_is_masked():
    authorization = basic("a@b.c:hush-hush")
    said = {"message": f"no {authorization} and no hush-hush"}
    server = Server(0, lambda _: json_answer(401, said))
    try:
        environment = {
            "OPENOBSERVE_URL": f"http://127.0.0.1:{server.server_port}",
            "OPENOBSERVE_AUTH_TOKEN": authorization,
        }
        with Api(destination(environment)) as api, pytest.raises(ApiError) as raised:
            search(api)
    finally:
        server.stop()
    for text in (str(raised.value), raised.value.sentence, repr(api._destination)):
        assert "hush-hush" not in text
        assert authorization.split()[1] not in text


# What is repeated.


class Flaky:
    """Answers with these statuses, then as ``last``."""

    def __init__(self, *statuses, last):
        self.statuses = list(statuses)
        self.last = last
        self.seen = 0

    def __call__(self, _):
        self.seen += 1
        return Answer(self.statuses.pop(0)) if self.statuses else self.last


@pytest.mark.parametrize(
    ("statuses", "ask", "attempts", "fails"),
    [
        ([502, 504], search, 3, False),
        ([503, 503, 503], search, 3, True),
        ([429], lambda api: api.create_dashboard("default", {}), 2, False),
        ([502], lambda api: api.create_dashboard("default", {}), 1, True),  # it may have been made
        ([500], search, 1, True),
    ],
)
def test_only_what_can_do_no_harm_is_repeated(statuses, ask, attempts, fails):
    flaky = Flaky(*statuses, last=json_answer(200, {"hits": []}))
    server = Server(0, flaky)
    pauses = []
    try:
        environment = {
            "OPENOBSERVE_URL": f"http://127.0.0.1:{server.server_port}",
            "OPENOBSERVE_AUTH_TOKEN": basic("a:bbbb"),
        }
        with Api(destination(environment), pause=pauses.append) as api:
            if fails:
                with pytest.raises(ApiError):
                    ask(api)
            else:
                ask(api)
    finally:
        server.stop()
    assert (flaky.seen, len(pauses)) == (attempts, attempts - 1)


def test_a_server_that_is_away_is_unreachable(openobserve):
    pauses = []
    openobserve.stop()
    with Api(destination(openobserve.environment), pause=pauses.append) as api, pytest.raises(ApiError) as raised:
        api.create_dashboard("default", {})
    assert raised.value.kind == api_errors.UNREACHABLE
    assert "cannot be reached: " in str(raised.value)
    assert len(pauses) == 2


def test_an_answer_of_many_megabytes_is_read(openobserve):
    rows = [{"text": "x" * 100000}] * 20
    server = Server(0, lambda _: json_answer(200, {"hits": rows}))
    try:
        environment = {**openobserve.environment, "OPENOBSERVE_URL": f"http://127.0.0.1:{server.server_port}"}
        with Api(destination(environment)) as api:
            assert len(json.dumps(search(api))) > 2000000
    finally:
        server.stop()


def test_without_a_server_there_is_nothing_to_ask():
    with pytest.raises(ApiError, match="no OpenObserve server is configured"):
        Api(destination({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}))


# Where the administrator's token may come from.


@pytest.mark.parametrize(
    ("environ", "file", "used"),
    [
        ({"URL": "http://e", "AUTH_TOKEN": "a:bbbb", "HF_ADMIN_TOKEN": "r:eeee"}, {}, "r:eeee"),
        ({}, {"URL": "http://f", "AUTH_TOKEN": "a:bbbb", "HF_ADMIN_TOKEN": "r:ffff"}, "r:ffff"),
        ({"URL": "http://e", "AUTH_TOKEN": "a:bbbb"}, {"HF_ADMIN_TOKEN": "r:ffff"}, None),
        ({"HF_ADMIN_TOKEN": "r:eeee"}, {"URL": "http://f", "AUTH_TOKEN": "a:bbbb"}, None),
        ({"URL": "http://e", "AUTH_TOKEN": "a:bbbb", "HF_ADMIN_TOKEN": "nonsense"}, {}, None),
    ],
)
def test_the_administrators_token_comes_from_where_the_address_comes_from(tmp_path, environ, file, used):
    path = tmp_path / ".env"
    path.write_text("".join(f"OPENOBSERVE_{name}={value}\n" for name, value in file.items()))
    environ = {f"OPENOBSERVE_{name}": value for name, value in environ.items()}
    settings = settings_module.load({**environ, "OPENOBSERVE_HF_DOTENV": str(path)}, script_dir=None, cwd=None)
    assert settings.destination.kind == "openobserve"
    assert settings.destination.admin_authorization == (basic(used) if used else "")
    if used:
        assert basic(used) in settings.secrets
        assert basic(used) not in repr(settings)
