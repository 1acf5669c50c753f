"""Client of OpenObserve's API beside ingestion: search, streams, dashboards, folders, alerts, destinations, templates.

For commands that a person runs, never for the host: it waits, repeats and raises. What goes wrong is one ``ApiError``,
whose text is a line for that person. Times are microseconds since the epoch, as the server has them.
"""

from __future__ import annotations

import dataclasses
import json
import time
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import quote, urlencode

from hf_openobserve.config.credentials import header_secrets
from hf_openobserve.config.destination import Destination
from hf_openobserve.openobserve import api_errors, certificates
from hf_openobserve.openobserve.api_errors import ApiError
from hf_openobserve.openobserve.connection_errors import has_connected, innermost
from hf_openobserve.openobserve.ingest import parse_version
from hf_openobserve.openobserve.session import Deadline, import_requests, open_session, verify
from hf_openobserve.process import silence

__all__ = ["Api", "ApiError", "Dashboard"]

Json = Dict[str, Any]

PAUSES_S = (0.5, 2.0)
"""Before the second and the third attempt."""
_CONNECT_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024 * 1024
"""Of one answer: rows of a search hold whole conversations."""


class Dashboard(NamedTuple):
    """One dashboard as the server has it."""

    id: str
    folder: str
    """The folder's id; ``default`` for the one that is always there."""
    hash: str
    """What an update must name, so that nobody's change is lost."""
    body: Json
    """The document itself, of schema version 8."""

    @property
    def title(self) -> str:
        """What people see; the server lets it stand twice."""
        return str(self.body.get("title", ""))


class Api:
    """One organization of one server, as one user. Not thread-safe. ``with Api(...) as api`` closes its connections."""

    def __init__(
        self, destination: Destination, authorization: str = "", *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """As ``authorization``, else as the administrator that the settings name, else as who delivers the spans.

        :raises ApiError: the destination is no OpenObserve server, or a file that TLS needs cannot be used
        """
        if destination.kind != "openobserve":
            raise ApiError(
                api_errors.NOT_OPENOBSERVE,
                "no OpenObserve server is configured: set OPENOBSERVE_URL and OPENOBSERVE_AUTH_TOKEN",
            )
        wrong = certificates.fault(destination) if destination.uses_tls else ""
        if wrong:
            raise ApiError(api_errors.UNREACHABLE, wrong)
        self.base_url = destination.base_url
        self.organization = destination.organization
        self.stream = destination.stream
        """Where this configuration's spans are stored."""
        self.delivery = destination
        """What spans are delivered with, the token that may do nothing else included."""
        self._authorization = (
            authorization or destination.admin_authorization or destination.headers.get("Authorization", "")
        )
        self._destination = dataclasses.replace(
            destination, headers=MappingProxyType({"Authorization": self._authorization}), admin_authorization=""
        )
        self._pause = pause
        self._deadline = Deadline()
        self._session = open_session(self._destination, self._deadline, most_bytes=_MOST_BYTES)

    def __enter__(self) -> Api:  # noqa: PYI034 - typing.Self is Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._session.close()

    # --- The server ---

    def version_text(self) -> str:
        """As the server tells it, ``v0.91.5``; empty where it does not. Needs no right."""
        answer = self._get("/config", "see the version")
        return str(answer.get("version") or "") if isinstance(answer, dict) else ""

    def version(self) -> Optional[Tuple[int, ...]]:
        """(major, minor); None where the server does not tell: that is a current one."""
        return parse_version(json.dumps({"version": self.version_text()}))

    @property
    def may_only_write(self) -> bool:
        """Whether the credentials are an ingestion token, which may nothing of what is asked here."""
        return api_errors.may_only_write(self._authorization)

    # --- Rows ---

    def search(
        self, sql: str, since_us: int, until_us: int, *, size: int = 1000, first: int = 0, stream_type: str = "traces"
    ) -> List[Json]:
        """Rows of a SELECT over what began in ``[since_us, until_us)``: ``size`` of them, from the ``first``.

        A column without a value is missing from a row. ``ApiError.code`` tells a missing stream and column.
        """
        query = {"sql": sql, "start_time": since_us, "end_time": until_us, "from": first, "size": size}
        path = self._path(f"/_search?type={stream_type}")
        answer = self._ask("POST", path, "search traces", {"query": query, "use_cache": False}, harmless=True)
        return self._list(answer, "hits", path)

    def streams(self, stream_type: str = "traces") -> List[Json]:
        """Names, counts and settings of all streams of a kind."""
        path = self._path(f"/streams?type={stream_type}")
        return self._list(self._get(path, "see streams"), "list", path)

    def schema(self, stream: str, stream_type: str = "traces") -> Dict[str, str]:
        """Column -> type (``Utf8``, ``Int64``, ``UInt64``, ``Float64``); empty for a stream that does not exist."""
        path = self._path(f"/streams/{_segment(stream)}/schema?type={stream_type}")
        try:
            answer = self._get(path, "see streams")
        except ApiError as error:
            if error.kind == api_errors.NOT_FOUND:
                return {}
            raise
        return {str(column["name"]): str(column["type"]) for column in self._list(answer, "schema", path)}

    # --- Folders, of "dashboards" and of "alerts" ---

    def folder(self, kind: str, name: str) -> Optional[str]:
        """The id of the folder of that name, if there is one."""
        path = self._path(f"/folders/{kind}", api="/api/v2")
        folders = self._list(self._get(path, f"see folders of {kind}"), "list", path)
        return next((str(folder["folderId"]) for folder in folders if folder.get("name") == name), None)

    def create_folder(self, kind: str, name: str, description: str) -> str:
        """Its id. A name that stands already is no error: somebody else was faster."""
        path = self._path(f"/folders/{kind}", api="/api/v2")
        try:
            answer = self._ask("POST", path, f"create folders of {kind}", {"name": name, "description": description})
        except ApiError as error:
            found = self.folder(kind, name) if error.kind == api_errors.REFUSED else None
            if found is None:
                raise
            return found
        return str(answer["folderId"])

    def delete_folder(self, kind: str, folder: str) -> None:
        """It must be empty."""
        self._ask("DELETE", self._path(f"/folders/{kind}/{folder}", api="/api/v2"), f"delete folders of {kind}")

    # --- Dashboards ---

    def dashboards(self, title: str) -> List[Dashboard]:
        """All of exactly this title, in every folder."""
        path = self._path("/dashboards?" + urlencode({"title": title}))
        answer = self._get(path, "see dashboards")
        found = [_dashboard(one, "default") for one in self._list(answer, "dashboards", path)]
        return [dashboard for dashboard in found if dashboard.title == title]

    def create_dashboard(self, folder: str, body: Json) -> Dashboard:
        """A new one, whatever others are called."""
        path = self._path("/dashboards?" + urlencode({"folder": folder}))
        return _dashboard(self._ask("POST", path, "create dashboards", body), folder)

    def update_dashboard(self, found: Dashboard, body: Json) -> Dashboard:
        """Replace what was read; a ``CONFLICT`` if somebody has changed it since."""
        path = self._path(f"/dashboards/{found.id}?" + urlencode({"folder": found.folder, "hash": found.hash}))
        return _dashboard(self._ask("PUT", path, "change dashboards", body), found.folder)

    def delete_dashboard(self, found: Dashboard) -> None:
        """``NOT_FOUND`` if it is gone already."""
        path = self._path(f"/dashboards/{found.id}?" + urlencode({"folder": found.folder}))
        self._ask("DELETE", path, "delete dashboards")

    # --- Alerts, their destinations and templates ---

    def alerts(self) -> List[Json]:
        """Summaries of all: ``alert_id``, ``name``, ``folder_id``, ``enabled``, ``last_triggered_at`` and more."""
        path = self._path("/alerts", api="/api/v2")
        return self._list(self._get(path, "see alerts"), "list", path)

    def alert(self, alert_id: str) -> Json:
        """One alert, whole."""
        return self._object(self._get(self._path(f"/alerts/{alert_id}", api="/api/v2"), "see alerts"))

    def create_alert(self, folder: str, body: Json) -> str:
        """Its id. A new one, whatever others are called; its stream and destinations must exist."""
        path = self._path("/alerts?" + urlencode({"folder": folder}), api="/api/v2")
        return str(self._ask("POST", path, "create alerts", body)["id"])

    def update_alert(self, alert_id: str, body: Json) -> None:
        """Replace it: the last one to write wins."""
        self._ask("PUT", self._path(f"/alerts/{alert_id}", api="/api/v2"), "change alerts", body)

    def delete_alert(self, alert_id: str) -> None:
        """``NOT_FOUND`` if it is gone already."""
        self._ask("DELETE", self._path(f"/alerts/{alert_id}", api="/api/v2"), "delete alerts")

    def destinations(self) -> Dict[str, Json]:
        """Whom alerts can be sent to, by name."""
        return self._named("destinations")

    def templates(self) -> Dict[str, Json]:
        """What is sent, by name."""
        return self._named("templates")

    def save_destination(self, body: Json, *, new: bool) -> None:
        """Create or replace the one of that name."""
        self._save("destinations", body, new)

    def save_template(self, body: Json, *, new: bool) -> None:
        """Create or replace the one of that name."""
        self._save("templates", body, new)

    def delete_destination(self, name: str) -> None:
        """Refused while an alert uses it."""
        self._ask("DELETE", self._path(f"/alerts/destinations/{_segment(name)}"), "delete alert destinations")

    def delete_template(self, name: str) -> None:
        """Refused while a destination uses it."""
        self._ask("DELETE", self._path(f"/alerts/templates/{_segment(name)}"), "delete alert templates")

    def _named(self, kind: str) -> Dict[str, Json]:
        path = self._path(f"/alerts/{kind}")
        found = self._list({"list": self._get(path, f"see alert {kind}")}, "list", path)
        return {str(one.get("name")): one for one in found}

    def _save(self, kind: str, body: Json, new: bool) -> None:
        path = self._path(f"/alerts/{kind}")
        if new:
            self._ask("POST", path, f"create alert {kind}", body)
        else:
            self._ask("PUT", f"{path}/{_segment(body['name'])}", f"change alert {kind}", body)

    # --- One request ---

    def _path(self, rest: str, api: str = "/api") -> str:
        return f"{api}/{self.organization}{rest}"

    def _get(self, path: str, right: str) -> Any:
        return self._ask("GET", path, right, harmless=True)

    def _ask(self, method: str, path: str, right: str, body: Optional[Json] = None, *, harmless: bool = False) -> Any:
        """The answer's JSON; None of an empty one. ``harmless``: it may be repeated, whatever became of it."""
        for pause in (*PAUSES_S, None):
            try:
                return self._attempt(method, path, right, body)
            except _RepeatableError as repeatable:
                if pause is None or not (harmless or repeatable.not_taken):
                    raise repeatable.error from None
                self._pause(pause)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, method: str, path: str, right: str, body: Optional[Json]) -> Any:
        requests = import_requests()
        question = api_errors.Question(
            self.base_url, self.organization, right, path.partition("?")[0], self._authorization
        )
        self._deadline.start(self._destination.timeout_s)
        try:
            with silence.http_logging():
                response = self._session.request(
                    method,
                    self.base_url + path,
                    json=body,
                    timeout=(min(_CONNECT_TIMEOUT_S, self._destination.timeout_s), self._destination.timeout_s),
                    verify=verify(self._destination),
                    allow_redirects=False,
                )
        except requests.exceptions.SSLError as error:
            self.close()
            reason = certificates.unusable(self._destination) or f"TLS with {self.base_url} failed: {innermost(error)}"
            raise self._error(ApiError(api_errors.UNREACHABLE, reason)) from None
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            self.close()
            line = f"{self.base_url} cannot be reached: {innermost(error)}"
            if has_connected(error):
                line = f"{self.base_url} does not answer: {innermost(error)}"
            found = self._error(ApiError(api_errors.UNREACHABLE, line))
            if isinstance(error, ValueError):  # of an address: no such scheme, no such host name
                raise found from None
            raise _RepeatableError(found, not_taken=not has_connected(error)) from None
        wrong = api_errors.explain(question, response.status_code, response.headers, response.content)
        if wrong is None:
            return self._decoded(question, response.content)
        wrong = self._error(wrong)
        if wrong.kind == api_errors.UNAVAILABLE:
            raise _RepeatableError(wrong, not_taken=wrong.status in (429, 503))
        raise wrong

    def _decoded(self, question: api_errors.Question, content: bytes) -> Any:
        if not content.strip():
            return None
        try:
            return json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError):
            raise self._error(api_errors.reading_error(question, content)) from None

    def _object(self, answer: Any) -> Json:
        if not isinstance(answer, dict):
            raise ApiError(api_errors.NOT_OPENOBSERVE, f"{self.base_url} answers with no object: is it OpenObserve?")
        return answer

    def _list(self, answer: Any, name: str, path: str) -> List[Json]:
        found = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            where = path.partition("?")[0]
            line = f"{self.base_url} answers {where} without a list of {name}: is it OpenObserve?"
            raise ApiError(api_errors.NOT_OPENOBSERVE, line)
        return found

    def _error(self, error: ApiError) -> ApiError:
        """The same without a secret: a server or a library may repeat our headers (docs/laws.md#8)."""
        secrets = header_secrets("authorization", self._authorization)
        line = _masked(str(error), secrets)
        return ApiError(
            error.kind, line, status=error.status, code=error.code, sentence=_masked(error.sentence, secrets)
        )


class _RepeatableError(Exception):
    """What may be different at the next attempt. ``not_taken``: the server has surely done nothing yet."""

    def __init__(self, error: ApiError, *, not_taken: bool) -> None:
        super().__init__(error)
        self.error = error
        self.not_taken = not_taken


def _masked(text: str, secrets: List[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def _segment(name: str) -> str:
    return quote(name, safe="")


def _dashboard(answer: Mapping[str, Any], folder: str) -> Dashboard:
    version = answer.get("version") or 8
    body = answer.get(f"v{version}") or {}
    found = answer.get("folder_id") or folder
    dashboard_id = answer.get("dashboard_id") or body.get("dashboardId") or body.get("dashboard_id")
    return Dashboard(str(dashboard_id), str(found), str(answer.get("hash") or ""), body)
