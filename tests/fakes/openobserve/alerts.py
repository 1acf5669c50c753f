"""Templates, destinations and alerts (contract 6.3, recorded). Nothing is ever evaluated or notified.

Not recorded, and so only plausible: reading, replacing and deleting a template or destination, and what the SSRF guard
says.
"""

from __future__ import annotations

import copy
import ipaddress
import re
import socket
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

from .dashboards import folder_name, folder_of
from .http import Answer, json_answer
from .organization import Objects
from .routing import Call, Refused, Route, done, failed, merged, require, text_id

_PREBUILT = ("discord", "email", "msteams", "opsgenie", "pagerduty", "servicenow", "slack", "webhook")
# 6.3: what a name must not contain.
_NOT_IN_NAMES = re.compile(r"[:#?&%/\"'\s]")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or _NOT_IN_NAMES.search(name):
        raise Refused(failed(400, "name cannot be empty or contain ':', '#', '?', '&', '%', '/', quotes and space"))


# -- templates


def _save_template(call: Call) -> Answer:
    body = call.json()
    require(body, ("name", "body"))
    _check_name(body["name"])
    if body["name"] in call.org.templates:
        return failed(400, "Template with the same name already exists")
    call.org.templates[body["name"]] = _template(call, body)
    return done("Template saved", id=text_id(), name=body["name"])


def _update_template(call: Call) -> Answer:
    [name] = call.names
    if name not in call.org.templates:
        return failed(404, "Template not found")
    body = call.json()
    require(body, ("body",))
    call.org.templates[name] = _template(call, merged(body, {"name": name}))
    return done("Template updated")


def _template(call: Call, body: Dict[str, Any]) -> Dict[str, Any]:
    return merged(
        # Recorded: what a user made is the default.
        {"name": body["name"], "body": body["body"], "isDefault": True},
        _prebuilt(call, False),
        {"type": body.get("type", "http"), "title": body.get("title", "")},
    )


def _list_templates(call: Call) -> Answer:
    own = [call.org.templates[name] for name in sorted(call.org.templates)]
    return json_answer(200, [_prebuilt_template(call, name) for name in _PREBUILT] + own)


def _prebuilt_template(call: Call, name: str) -> Dict[str, Any]:
    return merged(
        {"name": "prebuilt_" + name, "body": "{}", "isDefault": None},
        _prebuilt(call, True),
        {"type": "email" if name == "email" else "http", "title": ""},
    )


def _prebuilt(call: Call, value: bool) -> Dict[str, Any]:
    # Recorded: 0.91 has this field, 0.90 has not.
    return {"isPrebuilt": value} if call.api.personality.derives_gen_ai else {}


# -- destinations


def _save_destination(call: Call) -> Answer:
    body = call.json()
    require(body, ("name",))
    _check_name(body["name"])
    if body["name"] in call.org.destinations:
        return failed(400, "Destination with the same name already exists")
    call.org.destinations[body["name"]] = _destination(call, body)
    return done("Destination saved", id=text_id(), name=body["name"])


def _update_destination(call: Call) -> Answer:
    [name] = call.names
    if name not in call.org.destinations:
        return failed(404, "Destination not found")
    call.org.destinations[name] = _destination(call, merged(call.json(), {"name": name}))
    return done("Destination updated")


def _destination(call: Call, body: Dict[str, Any]) -> Dict[str, Any]:
    template = body.get("template")
    if template and template not in call.org.templates and template not in {"prebuilt_" + name for name in _PREBUILT}:
        raise Refused(failed(404, "Template not found"))
    url = body.get("url", "")
    if call.api.limits.ssrf_guard and not _is_public(url):
        raise Refused(failed(400, f"Destination URL is not allowed: {url}"))
    return {
        "name": body["name"],
        "url": url,
        "method": body.get("method", "post"),
        "skip_tls_verify": body.get("skip_tls_verify", False),
        "headers": body.get("headers") or {},
        "template": template,
        "emails": body.get("emails", []),
        "type": body.get("type", "http"),
        "metadata": body.get("metadata", {}),
    }


def _is_public(url: str) -> bool:
    host = urlsplit(url).hostname
    try:
        return host is not None and ipaddress.ip_address(socket.gethostbyname(host)).is_global
    except (OSError, ValueError):
        return False


def _list_destinations(call: Call) -> Answer:
    return json_answer(200, [call.org.destinations[name] for name in sorted(call.org.destinations)])


# -- alerts


def _create(call: Call) -> Answer:
    body = call.json()
    folder = folder_of(call, "alerts")
    _check(call, body)
    alert_id = text_id()
    # Recorded: a name that stands already is no reason to refuse.
    call.org.alerts[alert_id] = {"folder_id": folder, "alert": _alert(call, alert_id, body, call.user)}
    return done("Alert saved", id=alert_id, name=body["name"])


def _check(call: Call, body: Dict[str, Any]) -> None:
    """Recorded: stream and destinations must exist, the columns of the query need not."""
    require(body, ("name", "stream_type", "stream_name", "query_condition", "trigger_condition"))
    _check_name(body["name"])
    if body["stream_name"] not in call.org.streams.get(body["stream_type"], {}):
        raise Refused(failed(404, f"Stream {body['stream_name']} not found"))
    if not body.get("destinations"):
        raise Refused(failed(400, "Alert destinations is required"))
    for destination in body["destinations"]:
        if destination not in call.org.destinations:
            raise Refused(failed(404, f"Alert destination {destination} not found"))
    if re.match(r"\s*select\s+\*", str(body["query_condition"].get("sql") or ""), re.IGNORECASE):
        raise Refused(failed(400, "Alert query should not contain 'select *'"))


def _alert(call: Call, alert_id: str, sent: Dict[str, Any], owner: str) -> Dict[str, Any]:
    body = copy.deepcopy(sent)
    conditions = {"conditions": None, "sql": None, "promql": None, "promql_condition": None, "aggregation": None}
    more_conditions = {"vrl_function": None, "search_event_type": None, "multi_time_range": []}
    trigger = {"cron": "", "tolerance_in_secs": None, "align_time": True}
    return {
        "id": alert_id,
        "name": body["name"],
        "org_id": call.org.name,
        "stream_type": body["stream_type"],
        "stream_name": body["stream_name"],
        "is_real_time": body.get("is_real_time", False),
        "query_condition": merged(conditions, more_conditions, body["query_condition"]),
        "trigger_condition": merged(trigger, body["trigger_condition"]),
        "destinations": body["destinations"],
        "context_attributes": body.get("context_attributes") or {},
        "row_template": body.get("row_template", ""),
        "row_template_type": body.get("row_template_type", "String"),
        "description": body.get("description", ""),
        "enabled": body.get("enabled", False),
        "tz_offset": body.get("tz_offset", 0),
        "last_triggered_at": 0,
        "last_satisfied_at": None,
        "owner": owner,
        "last_edited_by": call.user,
        "creates_incident": False,
    }


def _list(call: Call) -> Answer:
    folder = call.query("folder")
    found = [stored for stored in call.org.alerts.values() if folder is None or stored["folder_id"] == folder]
    return json_answer(200, {"list": [_summary(call, stored) for stored in found]})


def _summary(call: Call, stored: Dict[str, Any]) -> Dict[str, Any]:
    alert = stored["alert"]
    return {
        "alert_id": alert["id"],
        "folder_id": stored["folder_id"],
        "folder_name": folder_name(call, "alerts", stored["folder_id"]),
        "name": alert["name"],
        "owner": alert["owner"],
        # Recorded of an empty one.
        "description": alert["description"] or None,
        "alert_type": "realtime" if alert["is_real_time"] else "scheduled",
        "condition": alert["query_condition"],
        **{name: alert[name] for name in ("trigger_condition", "enabled", "last_triggered_at", "last_satisfied_at")},
        "is_real_time": alert["is_real_time"],
    }


def _get(call: Call) -> Answer:
    stored = call.org.alerts.get(call.names[0])
    return failed(404, "Alert not found") if stored is None else json_answer(200, stored["alert"])


def _update(call: Call) -> Answer:
    stored = call.org.alerts.get(call.names[0])
    if stored is None:
        return failed(404, "Alert not found")
    body = call.json()
    _check(call, body)
    stored["alert"] = _alert(call, call.names[0], body, stored["alert"]["owner"])
    return done("Alert Updated")


def _delete(call: Call) -> Answer:
    if call.org.alerts.pop(call.names[0], None) is None:
        return failed(404, "Alert not found")
    return done("Alert deleted")


# -- what templates and destinations share


def _getter(kind: str) -> Any:
    def get(call: Call) -> Answer:
        found: Optional[Dict[str, Any]] = _objects(call, kind).get(call.names[0])
        return failed(404, kind.title() + " not found") if found is None else json_answer(200, found)

    return get


def _remover(kind: str) -> Any:
    def remove(call: Call) -> Answer:
        if _objects(call, kind).pop(call.names[0], None) is None:
            return failed(404, kind.title() + " not found")
        return done(kind.title() + " deleted")

    return remove


def _objects(call: Call, kind: str) -> Objects:
    return call.org.templates if kind == "template" else call.org.destinations


_TEMPLATES = r"/api/([^/]+)/alerts/templates"
_DESTINATIONS = r"/api/([^/]+)/alerts/destinations"
_ALERTS = r"/api/v2/([^/]+)/alerts"
ROUTES = (
    Route("POST", _TEMPLATES, _save_template),
    Route("GET", _TEMPLATES, _list_templates),
    Route("GET", _TEMPLATES + r"/([^/]+)", _getter("template")),
    Route("PUT", _TEMPLATES + r"/([^/]+)", _update_template),
    Route("DELETE", _TEMPLATES + r"/([^/]+)", _remover("template")),
    Route("POST", _DESTINATIONS, _save_destination),
    Route("GET", _DESTINATIONS, _list_destinations),
    Route("GET", _DESTINATIONS + r"/([^/]+)", _getter("destination")),
    Route("PUT", _DESTINATIONS + r"/([^/]+)", _update_destination),
    Route("DELETE", _DESTINATIONS + r"/([^/]+)", _remover("destination")),
    Route("POST", _ALERTS, _create),
    Route("GET", _ALERTS, _list),
    Route("GET", _ALERTS + r"/([^/]+)", _get),
    Route("PUT", _ALERTS + r"/([^/]+)", _update),
    Route("DELETE", _ALERTS + r"/([^/]+)", _delete),
)
