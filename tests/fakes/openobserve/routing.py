"""What the handlers of all subjects share: a route, the call that reached it, and ways to answer."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import parse_qs, urlsplit

from .http import Answer, Request, json_answer

if TYPE_CHECKING:
    from .api import Api
    from .organization import Organization

TEXT = "text/plain; charset=utf-8"

_numbers = itertools.count(1)


class Refused(Exception):
    """A request that is answered with ``answer`` and goes no further."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class Call(NamedTuple):
    """A request that found its route and may go on. ``names``: what the path names after the organization."""

    api: Api
    org: Organization
    user: str
    request: Request
    names: Tuple[str, ...]

    def query(self, name: str) -> Optional[str]:
        return parse_qs(urlsplit(self.request.path).query, keep_blank_values=True).get(name, [None])[0]

    def json(self) -> Dict[str, Any]:
        """The body as an object; Refused as a web framework refuses one that is none."""
        try:
            body = json.loads(self.request.body)
        except ValueError as error:
            raise Refused(text(400, f"Failed to parse the request body as JSON: {error}")) from error
        if not isinstance(body, dict):
            raise Refused(undeserializable("invalid type, expected an object"))
        return body


class Route(NamedTuple):
    """``path`` is a pattern whose first group is the organization. ``writes``: tokens that only write are enough."""

    method: str
    path: str
    handler: Callable[[Call], Answer]
    writes: bool = False


def failed(status: int, message: str) -> Answer:
    """1.3: the shape of nearly all refusals."""
    return json_answer(status, {"code": status, "message": message})


def done(message: str, **more: Any) -> Answer:
    return json_answer(200, dict({"code": 200, "message": message}, **more))


def text(status: int, message: str) -> Answer:
    return Answer(status, {"content-type": TEXT}, message)


def undeserializable(reason: str) -> Answer:
    """Recorded of dashboards: a body that is JSON and not what the route takes."""
    return text(422, "Failed to deserialize the JSON body into the target type: " + reason)


def require(body: Any, fields: Sequence[str]) -> None:
    """Refused 422 for the first field that the object lacks."""
    if not isinstance(body, dict):
        raise Refused(undeserializable("invalid type, expected a map"))
    for field in fields:
        if field not in body:
            raise Refused(undeserializable(f"missing field `{field}`"))


def number_id() -> str:
    """An id as folders and dashboards have it: digits."""
    return str(7532558733000000000 + next(_numbers))


def text_id() -> str:
    """An id as alerts, templates and prices have it: 27 letters and digits, in order of creation."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, letters = next(_numbers), ""
    while number:
        number, digit = divmod(number, 62)
        letters = digits[digit] + letters
    return "3Mk" + letters.rjust(24, "0")


def merged(*parts: Mapping[str, Any]) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for part in parts:
        result.update(part)
    return result


def timestamp(now: float) -> str:
    """RFC 3339 with nanoseconds, as the server writes times for people."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{round(now % 1 * 1000000000):09d}Z"
