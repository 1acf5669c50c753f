"""Folders and dashboards (contract 6.2, recorded). Dashboards have schema version 8; older ones are not taken here.

Not recorded, and so only plausible: deleting a folder. Fields that the server does not know are kept, which it may not.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any, Dict, List, Optional

from .http import Answer, json_answer
from .organization import Objects
from .routing import Call, Refused, Route, done, failed, merged, number_id, require, timestamp, undeserializable

_VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8")
_NOT_FOUND = failed(404, "Dashboard not found")
_NO_HASH = "Request to update existing dashboard with missing or invalid hash value. BUG"
_STALE_HASH = (
    "Conflict: Failed to save due to concurrent changes. Please refresh the page after backing up your work to avoid "
    "losing changes."
)


def folders_of(call: Call, kind: str) -> Objects:
    return call.org.folders.setdefault(kind, {})


def folder_of(call: Call, kind: str) -> str:
    """The folder that ``?folder=`` names, the default one without it; Refused 404 if there is none."""
    folder = call.query("folder") or "default"
    if folder != "default" and folder not in folders_of(call, kind):
        raise Refused(failed(404, "Folder not found"))
    return folder


def folder_name(call: Call, kind: str, folder: str) -> str:
    return "default" if folder == "default" else str(folders_of(call, kind)[folder]["name"])


def _create_folder(call: Call) -> Answer:
    body = call.json()
    require(body, ("name",))
    folders = folders_of(call, call.names[0])
    if body["name"] in {folder["name"] for folder in folders.values()}:
        return failed(400, "Folder with this name already exists in this organization")
    folder = {"folderId": number_id(), "name": body["name"], "description": body.get("description", "")}
    folders[folder["folderId"]] = folder
    return json_answer(200, folder)


def _list_folders(call: Call) -> Answer:
    # Recorded: the default folder is not among them.
    return json_answer(200, {"list": list(folders_of(call, call.names[0]).values())})


def _folder_by_name(call: Call) -> Answer:
    for folder in folders_of(call, call.names[0]).values():
        if folder["name"] == call.names[1]:
            return json_answer(200, folder)
    return failed(404, "Folder not found")


def _get_folder(call: Call) -> Answer:
    folder = folders_of(call, call.names[0]).get(call.names[1])
    return failed(404, "Folder not found") if folder is None else json_answer(200, folder)


def _delete_folder(call: Call) -> Answer:
    kind, folder = call.names
    if folder not in folders_of(call, kind):
        return failed(404, "Folder not found")
    contents = call.org.dashboards if kind == "dashboards" else call.org.alerts
    if any(item["folder_id"] == folder for item in contents.values()):
        return failed(400, f"Folder contains {kind}, please move/delete {kind} from folder")
    del folders_of(call, kind)[folder]
    return done("Folder deleted")


def _create(call: Call) -> Answer:
    dashboard = _read(call)
    folder = folder_of(call, "dashboards")
    stored = _store(call, number_id(), folder, dashboard)
    return json_answer(200, _answer(stored))


def _list(call: Call) -> Answer:
    """By ``title`` (a part of it) in all folders, by ``folder``, or of the default folder."""
    title, folder = call.query("title"), call.query("folder")
    if folder is None and title is None:
        folder = "default"
    found = [
        stored
        for stored in call.org.dashboards.values()
        if (folder is None or stored["folder_id"] == folder)
        and (title is None or title.lower() in stored["dashboard"]["title"].lower())
    ]
    return json_answer(200, {"dashboards": [merged(_answer(stored), _summary(call, stored)) for stored in found]})


def _get(call: Call) -> Answer:
    stored = call.org.dashboards.get(call.names[0])
    return _NOT_FOUND if stored is None else json_answer(200, _answer(stored))


def _update(call: Call) -> Answer:
    dashboard = _read(call)
    stored = _in_folder(call)
    if stored is None:
        return _NOT_FOUND
    expected = call.query("hash")
    if not expected or not expected.isdigit():
        return failed(500, _NO_HASH)
    if expected != stored["hash"]:
        return failed(409, _STALE_HASH)
    return json_answer(200, _answer(_store(call, call.names[0], stored["folder_id"], dashboard)))


def _delete(call: Call) -> Answer:
    if _in_folder(call) is None:
        return _NOT_FOUND
    del call.org.dashboards[call.names[0]]
    return done("Dashboard deleted")


def _in_folder(call: Call) -> Optional[Dict[str, Any]]:
    """The dashboard that the path names, if it is in the folder of the query."""
    stored = call.org.dashboards.get(call.names[0])
    return stored if stored is not None and stored["folder_id"] == (call.query("folder") or "default") else None


def _read(call: Call) -> Dict[str, Any]:
    """The body, checked: the contract's minimal dashboard has exactly the fields without which one is refused."""
    body = call.json()
    for tab in _items(body, "tabs"):
        require(tab, ("tabId", "name", "panels"))
        for panel in _items(tab, "panels"):
            require(panel, ("id", "type", "title", "description", "config", "queryType", "queries"))
            require(panel["config"], ("show_legends",))
            for query in _items(panel, "queries"):
                require(query, ("customQuery", "fields", "config"))
                _check_fields(query["fields"])
    if body.get("version", 8) != 8:
        raise Refused(failed(400, "the fake takes dashboards of version 8 only"))
    return merged({"title": "", "description": "", "role": "", "tabs": []}, body)


def _check_fields(fields: Any) -> None:
    require(fields, ("stream", "stream_type", "x", "y", "filter"))
    require(fields["filter"], ("filterType",))
    for axis in ("x", "y", "z", "breakdown"):
        for item in _items(fields, axis):
            require(item, ("label", "alias", "column"))


def _items(body: Dict[str, Any], field: str) -> List[Any]:
    items = body.get(field) or []
    if not isinstance(items, list):
        raise Refused(undeserializable(f"invalid type for {field}, expected a sequence"))
    return items


def _store(call: Call, dashboard_id: str, folder: str, sent: Dict[str, Any]) -> Dict[str, Any]:
    """Recorded: id, owner and time are the server's, whatever was sent, and panels get the fields of maps."""
    dashboard = copy.deepcopy(sent)
    dashboard.update(
        version=8,
        dashboardId=dashboard_id,
        owner=call.user,
        created=timestamp(call.api.now()),
    )
    for tab in dashboard["tabs"]:
        for panel in tab["panels"]:
            panel["config"] = merged({"base_map": None, "map_view": None}, panel["config"])
    digest = hashlib.blake2b(json.dumps(dashboard, sort_keys=True).encode(), digest_size=8).digest()
    stored = {"folder_id": folder, "dashboard": dashboard, "hash": str(int.from_bytes(digest, "big"))}
    call.org.dashboards[dashboard_id] = stored
    return stored


def _answer(stored: Dict[str, Any]) -> Dict[str, Any]:
    versions: Dict[str, Any] = dict.fromkeys(_VERSIONS)
    return merged(versions, {"v8": stored["dashboard"], "version": 8, "hash": stored["hash"], "updatedAt": 0})


def _summary(call: Call, stored: Dict[str, Any]) -> Dict[str, Any]:
    dashboard = stored["dashboard"]
    return {
        "folder_id": stored["folder_id"],
        "folder_name": folder_name(call, "dashboards", stored["folder_id"]),
        "dashboard_id": dashboard["dashboardId"],
        **{name: dashboard[name] for name in ("title", "description", "role", "owner", "created")},
    }


_FOLDERS = r"/api/v2/([^/]+)/folders/(dashboards|alerts)"
ROUTES = (
    Route("POST", _FOLDERS, _create_folder),
    Route("GET", _FOLDERS, _list_folders),
    Route("GET", _FOLDERS + r"/name/([^/]+)", _folder_by_name),
    Route("GET", _FOLDERS + r"/([^/]+)", _get_folder),
    Route("DELETE", _FOLDERS + r"/([^/]+)", _delete_folder),
    Route("POST", r"/api/([^/]+)/dashboards", _create),
    Route("GET", r"/api/([^/]+)/dashboards", _list),
    Route("GET", r"/api/([^/]+)/dashboards/([^/]+)", _get),
    Route("PUT", r"/api/([^/]+)/dashboards/([^/]+)", _update),
    Route("DELETE", r"/api/([^/]+)/dashboards/([^/]+)", _delete),
)
