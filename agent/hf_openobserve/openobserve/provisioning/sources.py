"""The package's documents: plain JSON under ``sources``, which ``curl``, Terraform or OpenObserve's import take, too.

They are written for the stream ``default``, and alerts for a destination ``hf-openobserve``. A threshold stands in an
alert's SQL once, as ``<number> AS <name>``; all of them stand in ``thresholds.json`` for a person to edit.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, Mapping, Tuple

from hf_openobserve.openobserve.provisioning.document import Json

_ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sources")

DEFAULT_STREAM = "default"
MINUTES = "minutes"
"""The threshold that is no number of the SQL: the time that an alert looks back."""

Thresholds = Dict[str, Dict[str, float]]
"""Alert -> threshold -> number."""


class ThresholdsError(ValueError):
    """A file of thresholds cannot be used; the text is for a person."""


def dashboards(stream: str = DEFAULT_STREAM) -> Dict[str, Json]:
    """File name without ``.json`` -> dashboard, in the order in which one looks at them."""
    found = _read("dashboards", ("overview", "models", "errors", "who"))
    for board in found.values():
        for tab in board["tabs"]:
            for panel in tab["panels"]:
                for query in panel["queries"]:
                    query["query"] = _of_stream(query["query"], stream)
                    query["fields"]["stream"] = stream
        for variable in board["variables"]["list"]:
            variable["query_data"]["stream"] = stream
    return found


def alerts(stream: str, destination: str, thresholds: Mapping[str, Mapping[str, float]]) -> Dict[str, Json]:
    """Name -> alert."""
    found = _read("alerts", tuple(thresholds))
    for name, alert in found.items():
        condition = alert["query_condition"]
        condition["sql"] = _of_stream(condition["sql"], stream)
        alert["stream_name"], alert["destinations"] = stream, [destination]
        for threshold, number in thresholds[name].items():
            if threshold == MINUTES:
                alert["trigger_condition"]["period"] = int(number)
            else:
                condition["sql"] = re.sub(
                    rf"[\d.]+ AS {threshold}\b", f"{number:.15g} AS {threshold}", condition["sql"]
                )
    return found


def thresholds(path: str = "") -> Thresholds:
    """Those of the package, and over them those of a file of the same form.

    :raises ThresholdsError: the file cannot be read, or names what there is not
    """
    found: Thresholds = _json(os.path.join(_ROOT, "thresholds.json"))
    if not path:
        return found
    try:
        changes = _json(path)
    except (OSError, ValueError) as error:
        raise ThresholdsError(f"{path} cannot be read: {error}") from error
    if not isinstance(changes, dict) or not all(isinstance(numbers, dict) for numbers in changes.values()):
        raise ThresholdsError(f'{path} is not of the form {{"hf-rate-limited": {{"least_calls": 10}}}}')
    for alert, numbers in changes.items():
        for name, number in numbers.items():
            if name not in found.get(alert, {}):
                known = ", ".join(sorted(found.get(alert, found)))
                raise ThresholdsError(f"{path} names {alert} {name}, which there is not; there are {known}")
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 1e15:
                raise ThresholdsError(f"{path} sets {name} of {alert} to what is no number from 0")
            found[alert][name] = number
    return found


def thresholds_text(numbers: Thresholds) -> str:
    """As a file to edit: an alert a line."""
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {json.dumps(of)}" for name, of in numbers.items()) + "\n}\n"


def _of_stream(sql: str, stream: str) -> str:
    return sql.replace(f'FROM "{DEFAULT_STREAM}"', f'FROM "{stream}"')


def _read(kind: str, names: Tuple[str, ...]) -> Dict[str, Json]:
    return {name: _json(os.path.join(_ROOT, kind, name + ".json")) for name in names}


def _json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)
