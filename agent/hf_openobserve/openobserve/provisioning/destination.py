"""Whom alerts are sent to: a destination that stands already, or one made for a webhook, with a template."""

from __future__ import annotations

from typing import Callable, List, Tuple

from hf_openobserve.openobserve import api_errors
from hf_openobserve.openobserve.api import Api
from hf_openobserve.openobserve.api_errors import ApiError
from hf_openobserve.openobserve.provisioning.application import CREATED, UNCHANGED, UPDATED
from hf_openobserve.openobserve.provisioning.document import Json

OWN = "hf-openobserve"
"""The name of what we make: an alert is found by it, so it is the same on each machine."""

TEMPLATE: Json = {
    "name": OWN,
    "body": '{"text": "{alert_name} on {stream_name}: {rows} {alert_url}"}',
    "type": "http",
    "title": "",
}
"""What Slack, Mattermost and their like take; ``{rows}`` is each alert's own sentence."""

_IN_USE = (api_errors.CONFLICT, api_errors.REFUSED, api_errors.NOT_FOUND)


def existing(api: Api, name: str) -> str:
    """The name, or that of ours if none is given.

    :raises ApiError: there is none of that name
    """
    names = sorted(api.destinations())
    if (name or OWN) in names:
        return name or OWN
    known = f"there are {', '.join(names)}" if names else "there is none yet"
    line = f"{api.base_url} has no alert destination {name}" if name else "alerts need a destination"
    raise ApiError(
        api_errors.NOT_FOUND, f"{line} ({known}): name one with --destination, or let one be made with --webhook URL"
    )


def for_webhook(api: Api, url: str, *, dry_run: bool) -> Tuple[str, str]:
    """The name of the destination that posts to this URL, and whether it was ``CREATED``, ``UPDATED`` or neither."""
    if OWN not in api.templates() and not dry_run:
        _create(api.save_template, TEMPLATE)
    stands = api.destinations().get(OWN)
    if stands is not None and stands.get("url") == url:
        return OWN, UNCHANGED
    body: Json = {"name": OWN, "url": url, "method": "post", "type": "http", "template": OWN}
    if dry_run:
        return OWN, UPDATED if stands else CREATED
    if stands is None and _create(api.save_destination, body):
        return OWN, CREATED
    api.save_destination(body, new=False)
    return OWN, UPDATED


def remove(api: Api) -> List[str]:
    """Take ours away, unless an alert still uses it. What was taken away, in words."""
    removed = []
    for what, standing, delete in (
        ("destination", api.destinations, api.delete_destination),
        ("template", api.templates, api.delete_template),
    ):
        if OWN not in standing():
            continue
        try:
            delete(OWN)
        except ApiError as error:
            if error.kind not in _IN_USE:
                raise
            continue
        removed.append(what)
    return removed


def _create(save: Callable[..., None], body: Json) -> bool:
    """False if somebody else, who applies at the same time, was faster; names are unique here."""
    try:
        save(body, new=True)
    except ApiError as error:
        if error.kind == api_errors.REFUSED and "already exists" in error.sentence:
            return False
        raise
    return True
