"""Where our dashboards and our alerts stand: in a folder of their own, unless somebody has moved them."""

from __future__ import annotations

from typing import List, Optional, Tuple

from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.api_errors import NOT_FOUND, REFUSED, ApiError
from hf_openobserve.openobserve.provisioning.document import Json, Standing, unmarked

FOLDER = "hf-openobserve"
_ABOUT = "Calls of language models, by hf-openobserve. Changes by hand are kept."

_OF_THE_SERVER = ("dashboardId", "owner", "created", "updatedAt", "version")
"""Of a dashboard; these a person does not write."""
_OF_AN_ALERT = (
    "name",
    "description",
    "stream_type",
    "stream_name",
    "is_real_time",
    "destinations",
    "enabled",
    "context_attributes",
    "row_template",
)
_OF_A_QUERY = ("type", "sql", "promql", "conditions", "vrl_function", "aggregation")
_OF_A_TRIGGER = ("period", "operator", "threshold", "frequency", "frequency_type", "silence", "timezone")


class _Folder:
    """Ours of one kind. It is looked for once, and made when something is put there."""

    def __init__(self, api: Api, kind: str) -> None:
        self._api = api
        self._kind = kind
        self._id: Optional[str] = None

    def find(self) -> Optional[str]:
        """Its id, if it is there."""
        if self._id is None:
            self._id = self._api.folder(self._kind, FOLDER)
        return self._id

    def make(self) -> str:
        """Its id."""
        self._id = self.find() or self._api.create_folder(self._kind, FOLDER, _ABOUT)
        return self._id

    def remove_if_empty(self) -> None:
        """A folder with something in it stays: the server refuses."""
        found = self.find()
        if found is None:
            return
        try:
            self._api.delete_folder(self._kind, found)
        except ApiError as error:
            if error.kind not in (REFUSED, NOT_FOUND):
                raise
        self._id = None


class Dashboards:
    """A ``Shelf`` of dashboards, by their titles."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.folder = _Folder(api, "dashboards")

    def content(self, body: Json) -> Json:
        """Without what the server writes."""
        return {name: value for name, value in body.items() if name not in _OF_THE_SERVER}

    def standing(self, name: str) -> List[Standing]:
        """All of that title, in every folder."""
        found = []
        for dashboard in self._api.dashboards(name):
            body, mark = unmarked(dashboard.body)
            ours = bool(mark) or dashboard.folder == self.folder.find()
            found.append(Standing(dashboard.id, ours, self.content(body), mark, dashboard.folder, dashboard))
        return found

    def create(self, body: Json) -> None:
        """In our folder."""
        self._api.create_dashboard(self.folder.make(), body)

    def update(self, found: Standing, body: Json) -> None:
        """In whichever folder it is now."""
        self._api.update_dashboard(found.handle, body)

    def delete(self, found: Standing) -> None:
        """From whichever folder it is in."""
        self._api.delete_dashboard(found.handle)

    def address(self, found: Standing) -> str:
        """Of its page."""
        query = f"org_identifier={self._api.organization}&dashboard={found.id}&folder={found.folder}&tab=default"
        return f"{self._api.base_url}/web/dashboards/view?{query}"


class Alerts:
    """A ``Shelf`` of alerts, by their names."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.folder = _Folder(api, "alerts")

    def content(self, body: Json) -> Json:
        """What we write of it: the server adds much, and more from version to version."""
        content = _members(body, _OF_AN_ALERT)
        content["query_condition"] = _members(body.get("query_condition") or {}, _OF_A_QUERY)
        content["trigger_condition"] = _members(body.get("trigger_condition") or {}, _OF_A_TRIGGER)
        return content

    def standing(self, name: str) -> List[Standing]:
        """All of that name, in every folder."""
        found = []
        for summary in self._api.alerts():
            if summary.get("name") != name:
                continue
            identifier, folder = str(summary["alert_id"]), str(summary.get("folder_id"))
            try:
                body, mark = unmarked(self._api.alert(identifier))
            except ApiError as error:
                if error.kind == NOT_FOUND:  # somebody else has taken it away since it was listed
                    continue
                raise
            ours = bool(mark) or folder == self.folder.find()
            found.append(Standing(identifier, ours, self.content(body), mark, folder, identifier))
        return found

    def create(self, body: Json) -> None:
        """In our folder. Its stream and destination must exist."""
        self._api.create_alert(self.folder.make(), body)

    def update(self, found: Standing, body: Json) -> None:
        """The server does not tell who was faster: the last one to write wins."""
        self._api.update_alert(found.handle, body)

    def delete(self, found: Standing) -> None:
        """From whichever folder it is in."""
        self._api.delete_alert(found.handle)


def _members(body: Json, names: Tuple[str, ...]) -> Json:
    return {name: body.get(name) for name in names}
