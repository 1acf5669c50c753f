"""Applying documents to a server that lets a name stand twice: whoever applies, and however often, each stands once.

The name is looked up; what stands is replaced, and only what does not stand is created. Two that do so at the same time
both create one, so after a creation the name is looked up once more, and of several the oldest stays. Everybody who
sees them takes the same one for the oldest, so nobody takes away the last.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol, Tuple

from hf_openobserve.openobserve import api_errors
from hf_openobserve.openobserve.api_errors import ApiError
from hf_openobserve.openobserve.provisioning.document import Json, Standing, difference, digest, marked

CREATED = "created"
UPDATED = "updated"
UNCHANGED = "unchanged"
KEPT = "kept"  # it was edited by hand
REMOVED = "removed"
ABSENT = "absent"

_ATTEMPTS = 5
"""Others may apply at the same time; each attempt begins with what stands then."""


class Shelf(Protocol):
    """Where the documents of one kind stand."""

    def content(self, body: Json) -> Json:
        """What of a document a person can change."""

    def standing(self, name: str) -> List[Standing]:
        """All of that name, others' than ours too."""

    def create(self, body: Json) -> None:
        """Add one."""

    def update(self, found: Standing, body: Json) -> None:
        """Replace it; ``CONFLICT`` if somebody was faster, where the server tells."""

    def delete(self, found: Standing) -> None:
        """Take it away; ``NOT_FOUND`` if it is gone."""


class Outcome(NamedTuple):
    """What became, or with ``dry_run`` would become, of one document."""

    name: str
    action: str
    diff: Tuple[str, ...] = ()
    """Lines, from what stood to what is wanted."""
    spare: int = 0
    """Others of ours of the same name that were taken away: two applied at the same time, or one broke off."""
    found: Optional[Standing] = None
    """What stood before."""


def look(shelf: Shelf, name: str, wanted: Json, *, force: bool = False) -> Outcome:
    """What ``apply`` would do."""
    found, spare = _keeper(shelf.standing(name))
    content = shelf.content(wanted)
    if found is None:
        return Outcome(name, CREATED, tuple(difference({}, content)))
    diff = tuple(difference(found.content, content))
    if not diff and found.mark == digest(content):
        action = UNCHANGED
    elif diff and found.edited and not force:
        action = KEPT
    else:
        action = UPDATED
    return Outcome(name, action, diff, len(spare), found)


def apply(shelf: Shelf, name: str, wanted: Json, *, force: bool) -> Outcome:
    """Let the document stand once, as it is wanted; what was edited by hand stays unless ``force``."""
    body = marked(wanted, shelf.content(wanted))
    created = False
    for _ in range(_ATTEMPTS):
        outcome = look(shelf, name, wanted, force=force)
        try:
            if outcome.action == CREATED and not created:
                shelf.create(body)
                created = True
                continue
            if outcome.action == UPDATED and outcome.found is not None:
                shelf.update(outcome.found, body)
        except ApiError as error:
            if error.kind in (api_errors.CONFLICT, api_errors.NOT_FOUND) and outcome.found is not None:
                continue
            raise
        for spare in _keeper(shelf.standing(name))[1] if outcome.spare else ():
            _delete(shelf, spare)
        return outcome._replace(action=CREATED) if created else outcome
    raise ApiError(api_errors.CONFLICT, f"{name} is changed by others all the time: try again")


def remove(shelf: Shelf, name: str, *, force: bool, dry_run: bool) -> Outcome:
    """Take away all of ours of that name, but for what was edited by hand."""
    ours = [found for found in shelf.standing(name) if found.ours]
    kept = [found for found in ours if found.edited and not force]
    for found in ours:
        if found not in kept and not dry_run:
            _delete(shelf, found)
    if kept:
        return Outcome(name, KEPT, found=kept[0])
    return Outcome(name, REMOVED, found=ours[0]) if ours else Outcome(name, ABSENT)


def _keeper(standing: List[Standing]) -> Tuple[Optional[Standing], List[Standing]]:
    """The one of ours that stays - the oldest, but one that was edited by hand before it - and those that need not."""
    ours = sorted((found for found in standing if found.ours), key=lambda found: (not found.edited, _age(found.id)))
    return (ours[0], [found for found in ours[1:] if not found.edited]) if ours else (None, [])


def _age(identifier: str) -> Tuple[int, str]:
    """Ids of dashboards are numbers and those of alerts texts of one length; both grow with time."""
    return len(identifier), identifier


def _delete(shelf: Shelf, found: Standing) -> None:
    try:
        shelf.delete(found)
    except ApiError as error:
        if error.kind != api_errors.NOT_FOUND:
            raise
