"""``dashboards`` and ``alerts`` against a server that lets a title, and an alert's name, stand twice."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

import outboxes
from fakes.openobserve import FakeOpenObserve
from hf_openobserve.config import settings as settings_module
from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.provisioning import application, sources
from hf_openobserve.openobserve.provisioning.document import marked
from hf_openobserve.openobserve.provisioning.shelves import FOLDER, Alerts, Dashboards

VERSIONS = ("0.91.5", "0.90.3")
TITLES = ["Overview", "Models compared", "Errors", "Who"]
WEBHOOK = ("--webhook", "http://127.0.0.1:9/hook")
APPLY = {"dashboards": ("apply",), "alerts": ("apply", *WEBHOOK)}
KINDS = sorted(APPLY)
NAMES = {"dashboards": TITLES, "alerts": list(sources.thresholds())}


@pytest.fixture(params=VERSIONS)
def openobserve(request):
    with FakeOpenObserve(request.param) as server:
        yield server


@pytest.fixture
def connect(openobserve):
    environ = {**openobserve.environment, "OPENOBSERVE_HF_DOTENV": "false"}
    return lambda: Api(settings_module.load(environ, script_dir=None, cwd=None).destination)


@pytest.fixture
def api(connect):
    with connect() as connected:
        yield connected


@pytest.fixture
def run(openobserve, tmp_path):
    """Run a command: its exit status, and its JSON."""

    def call(kind, *arguments, **environment):
        env = {**openobserve.environment, "HOME": str(tmp_path), "OPENOBSERVE_HF_DOTENV": "false", **environment}
        done = outboxes.invoke([kind, *arguments, "--json"], env)
        return done.exit_code, json.loads(done.stdout)

    return call


def shelf_of(kind, api):
    return {"dashboards": Dashboards, "alerts": Alerts}[kind](api)


def standing(kind, api):
    """The ones of ours: (name, id) in order."""
    shelf = shelf_of(kind, api)
    return [(name, found.id) for name in NAMES[kind] for found in shelf.standing(name)]


def edit(kind, api, name):
    """As a person does on the page: the description's mark stays, a text changes."""
    shelf = shelf_of(kind, api)
    (found,) = shelf.standing(name)
    if kind == "dashboards":
        found.handle.body["tabs"][0]["panels"][0]["title"] = "Mine"
        api.update_dashboard(found.handle, found.handle.body)
    else:
        body = api.alert(found.id)
        body["trigger_condition"]["silence"] = 77
        api.update_alert(found.id, body)


def actions(said):
    return {document["name"]: document["action"] for document in said["documents"]}


@pytest.mark.parametrize("kind", KINDS)
def test_applied_twice_each_stands_once_and_is_unchanged(kind, run, api):
    status, said = run(kind, *APPLY[kind])
    assert (status, actions(said)) == (0, dict.fromkeys(NAMES[kind], "created"))
    stands = standing(kind, api)
    assert [name for name, _ in stands] == NAMES[kind]
    assert api.folder(kind, FOLDER) is not None
    status, said = run(kind, *APPLY[kind])
    assert (status, actions(said), said["columns_made"]) == (0, dict.fromkeys(NAMES[kind], "unchanged"), [])
    assert standing(kind, api) == stands
    status, said = run(kind, "list")
    assert (status, {document["state"] for document in said["documents"]}) == (0, {"as applied"})


@pytest.mark.parametrize("kind", KINDS)
def test_four_who_apply_at_the_same_time_leave_one_of_each(kind, run, api, connect):
    run("alerts", "apply", *WEBHOOK)  # the stream, its columns and the destination are there
    run("alerts", "remove")
    where = {"name": "d", "url": WEBHOOK[1], "method": "post", "type": "http", "template": "hf-openobserve"}
    api.save_template({"name": "hf-openobserve", "body": "{}", "type": "http", "title": ""}, new=True)
    api.save_destination(where, new=True)
    documents = {board["title"]: board for board in sources.dashboards(api.stream).values()}
    if kind == "alerts":
        documents = sources.alerts(api.stream, "d", sources.thresholds())

    def apply(_):
        with connect() as one:
            shelf = shelf_of(kind, one)
            return [application.apply(shelf, name, body, force=False).action for name, body in documents.items()]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(apply, range(4)))
    assert [name for name, _ in standing(kind, api)] == NAMES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_edited_by_hand_is_shown_and_kept_unless_forced(kind, run, api):
    run(kind, *APPLY[kind])
    name = NAMES[kind][1]
    edit(kind, api, name)
    status, said = run(kind, *APPLY[kind])
    assert (status, actions(said)[name]) == (1, "kept")
    assert set(actions(said).values()) == {"kept", "unchanged"}
    (document,) = [document for document in said["documents"] if document["name"] == name]
    assert any(line.startswith("-") and ("Mine" in line or "77" in line) for line in document["diff"])
    assert {document["state"] for document in run(kind, "list")[1]["documents"] if document["name"] == name} == {
        "edited by hand"
    }
    status, said = run(kind, "remove")
    assert (status, actions(said)[name]) == (1, "kept")
    assert [left for left, _ in standing(kind, api)] == [name]
    status, said = run(kind, *APPLY[kind], "--force")
    assert (status, actions(said)[name]) == (0, "updated")
    assert run(kind, *APPLY[kind])[0] == 0
    assert run(kind, "remove")[0] == 0
    assert standing(kind, api) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_changes_nothing_and_says_what_it_would(kind, run, api, openobserve):
    status, said = run(kind, *APPLY[kind], "--dry-run")
    assert (status, set(actions(said).values())) == (1, {"created"})
    assert said["columns_made"]
    assert openobserve.rows() == []
    assert (standing(kind, api), api.folder(kind, FOLDER), api.destinations()) == ([], None, {})
    run(kind, *APPLY[kind])
    edit(kind, api, NAMES[kind][0])
    stands = standing(kind, api)
    status, said = run(kind, *APPLY[kind], "--force", "--dry-run")
    assert (status, actions(said)[NAMES[kind][0]]) == (1, "updated")
    assert run(kind, "remove", "--force", "--dry-run")[0] == 1
    assert standing(kind, api) == stands


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_broke_off_is_finished_by_the_next(kind, run, api):
    """It had made two of the same, one of an older version, and nothing else."""
    run(kind, *APPLY[kind])
    shelf = shelf_of(kind, api)
    for name in NAMES[kind][1:]:
        shelf.delete(shelf.standing(name)[0])
    if kind == "dashboards":
        wanted = sources.dashboards(api.stream)["overview"]
        older = {**wanted, "tabs": []}
    else:
        wanted = sources.alerts(api.stream, "hf-openobserve", sources.thresholds())[NAMES[kind][0]]
        older = {**wanted, "enabled": False}
    shelf.create(marked(older, shelf.content(older)))
    assert len(shelf.standing(NAMES[kind][0])) == 2
    status, said = run(kind, *APPLY[kind])
    assert status == 0
    assert [name for name, _ in standing(kind, api)] == NAMES[kind]
    assert set(actions(said).values()) <= {"created", "unchanged", "updated"}


def test_others_dashboards_of_the_same_title_are_nobodys_business(run, api):
    folder = api.create_folder("dashboards", "theirs", "")
    theirs = api.create_dashboard(folder, {**sources.dashboards("default")["who"], "description": "theirs"})
    assert run("dashboards", "apply")[0] == 0
    assert run("dashboards", "remove")[0] == 0
    assert [found.id for found in api.dashboards("Who")] == [theirs.id]


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_may_only_write_is_told_which_right_is_missing(kind, run, api, openobserve):
    status, said = run(kind, *APPLY[kind], OPENOBSERVE_AUTH_TOKEN=openobserve.ingestion_auth_token)
    assert status == 2
    assert "--user NAME or OPENOBSERVE_HF_ADMIN_TOKEN" in said["error"]
    assert standing(kind, api) == []
    status, _ = run(
        kind,
        *APPLY[kind],
        OPENOBSERVE_AUTH_TOKEN=openobserve.ingestion_auth_token,
        OPENOBSERVE_HF_ADMIN_TOKEN=openobserve.auth_token,
    )
    assert status == 0
    assert [name for name, _ in standing(kind, api)] == NAMES[kind]


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    env = {"HOME": str(tmp_path), "OPENOBSERVE_URL": "http://127.0.0.1:9", "OPENOBSERVE_AUTH_TOKEN": "Basic YTpi"}
    done = outboxes.invoke(["dashboards", "apply"], env)
    assert done.exit_code == 2
    assert "hf-openobserve: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_alerts_go_where_the_user_says(run, api):
    status, said = run("alerts", "apply")
    assert (status, "--destination" in said["error"]) == (2, True)
    status, said = run("alerts", "apply", "--destination", "nobody")
    assert (status, "nobody" in said["error"]) == (2, True)
    assert run("alerts", "apply", *WEBHOOK)[1]["destination"] == {"name": "hf-openobserve", "action": "created"}
    assert run("alerts", "apply")[1]["destination"]["action"] == "unchanged"
    assert run("alerts", "apply", "--webhook", "http://127.0.0.1:9/other")[1]["destination"]["action"] == "updated"
    assert api.destinations()["hf-openobserve"]["url"] == "http://127.0.0.1:9/other"
    assert run("alerts", "remove")[0] == 0
    assert (api.destinations(), "hf-openobserve" in api.templates()) == ({}, False)


def test_a_budget_and_a_file_of_thresholds_decide(run, api, tmp_path):
    exported = tmp_path / "alerts"
    assert run("alerts", "export", str(exported), "--budget", "7")[0] == 0
    assert sorted(os.listdir(exported)) == sorted([*(f"{name}.json" for name in NAMES["alerts"]), "thresholds.json"])
    path = exported / "thresholds.json"
    assert json.loads(path.read_text())["hf-cost-per-day"]["most_dollars"] == 7
    run("alerts", "apply", *WEBHOOK, "--thresholds", str(path))
    (found,) = Alerts(api).standing("hf-cost-per-day")
    assert "7 AS most_dollars" in found.content["query_condition"]["sql"]
    path.write_text('{"hf-nothing": {"minutes": 1}}')
    assert outboxes.invoke(["alerts", "apply", "--thresholds", str(path)], {"HOME": str(tmp_path)}).exit_code == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_on_the_server_is_exported_as_it_stands(kind, run, api, tmp_path):
    run(kind, *APPLY[kind])
    edit(kind, api, NAMES[kind][0])
    status, said = run(kind, "export", str(tmp_path / "out"), "--from-server")
    assert (status, len(said["files"])) == (0, len(NAMES[kind]))
    texts = "".join(open(path, encoding="utf-8").read() for path in said["files"])  # noqa: SIM115
    assert "Mine" in texts or "77" in texts


def test_no_colour_where_there_is_no_terminal(openobserve, tmp_path):
    done = outboxes.invoke(["dashboards", "apply"], {**openobserve.environment, "HOME": str(tmp_path)})
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert done.stdout.count(" created") == len(TITLES)
