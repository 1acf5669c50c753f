"""What ``dashboards`` and ``alerts`` share: who asks, what is printed, and how a run ends."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, TypeVar

import click

from hf_openobserve.cli import outbox
from hf_openobserve.process import diagnostics

if TYPE_CHECKING:
    from hf_openobserve.openobserve.api import Api
    from hf_openobserve.openobserve.provisioning.application import Outcome, Shelf
    from hf_openobserve.openobserve.provisioning.document import Json, Standing

DIFFERENT, FAILED = 1, 2
"""Exit statuses beside 0."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _no_address(_: Standing) -> str:
    return ""


def user_option(command: _Command) -> _Command:
    """``--user``."""
    return click.option(
        "--user",
        metavar="NAME[:PASSWORD]",
        help="An OpenObserve user who may do this, where the configured token may only write. "
        "The password is asked for if it is not given. Default: OPENOBSERVE_HF_ADMIN_TOKEN.",
    )(command)


def json_option(command: _Command) -> _Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")(command)


def change_options(command: _Command) -> _Command:
    """``--force`` and ``--dry-run``."""
    force = click.option("--force", is_flag=True, help="Also what was edited by hand.")
    dry_run = click.option("--dry-run", is_flag=True, help="Change nothing; show what would change.")
    return force(dry_run(command))


class Report:
    """What is said of a run: lines as it goes, or one JSON object at its end."""

    def __init__(self, *, as_json: bool, dry_run: bool = False) -> None:
        self._as_json = as_json
        self._dry_run = dry_run
        self.members: Dict[str, Any] = {"dry_run": dry_run, "documents": []}
        self.status = 0

    def server(self, api: Api) -> None:
        """Where the run works: a configuration may come from a file that nobody thinks of."""
        self.members.update(server=api.base_url, organization=api.organization, stream=api.stream)
        self.line(f"{api.base_url}, organization {api.organization}, stream {api.stream}")

    def line(self, text: str, color: Optional[str] = None) -> None:
        """For a person."""
        if not self._as_json:
            text = "".join(char if char.isprintable() else "?" for char in text)
            shown = diagnostics.without_secrets(text)
            click.secho(shown, fg=color, color=False if "NO_COLOR" in os.environ else None)

    def outcome(self, outcome: Outcome, address: str = "") -> None:
        """One document's."""
        from hf_openobserve.openobserve.provisioning import application

        action, changes = (
            outcome.action,
            outcome.action in (application.CREATED, application.UPDATED, application.REMOVED),
        )
        shown = f"would be {action}" if self._dry_run and changes else action
        if action == application.KEPT:
            shown = "kept: it was edited by hand since it was applied (--force overrides that)"
        self.line(f"  {outcome.name:<24} {shown:<12} {address}".rstrip())
        if outcome.spare:
            self.line(f"  {'':<24} {outcome.spare} more of that name {'would be ' if self._dry_run else ''}removed")
        if action == application.KEPT or (self._dry_run and action == application.UPDATED):
            for line in outcome.diff:
                self.line("    " + line, {"+": "green", "-": "red"}.get(line[:1]))
        if action == application.KEPT or (self._dry_run and (changes or outcome.spare)):
            self.status = DIFFERENT
        document = {"name": outcome.name, "action": action, "more_of_that_name": outcome.spare, "diff": outcome.diff}
        self.members["documents"].append({**document, "url": address or None})

    def listed(self, name: str, state: str, address: str) -> None:
        """One document that stands, or does not."""
        self.line(f"  {name:<24} {state:<18} {address}".rstrip())
        self.members["documents"].append({"name": name, "state": state, "url": address or None})

    def end(self) -> None:
        """Print the JSON, and leave with the status."""
        if self._as_json:
            click.echo(json.dumps({**self.members, "status": self.status}, indent=2))
        sys.exit(self.status)


@contextlib.contextmanager
def connected(user: Optional[str], report: Report) -> Iterator[Api]:
    """The API of the configured server. What fails is one line on stderr and ends the run with status 2."""
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    from hf_openobserve.config import credentials
    from hf_openobserve.openobserve.api import Api, ApiError

    settings = outbox.load_settings()
    authorization = ""
    if user:
        if ":" not in user:
            user += ":" + click.prompt(f"Password of {user}", hide_input=True, err=True)
        authorization = credentials.basic(user)
    try:
        with suppress_instrumentation(), Api(settings.destination, authorization) as api:
            report.server(api)
            yield api
    except ApiError as error:
        line = diagnostics.without_secrets(str(error))
        click.echo(f"hf-openobserve: {line}", err=True)
        report.members["error"] = line
        report.status = FAILED
    report.end()


def make_columns(api: Api, report: Report, *, dry_run: bool) -> None:
    """Let the stream have every column that is asked for: a query that names another one fails."""
    from hf_openobserve.openobserve.provisioning import columns

    missing = columns.missing(api)
    if missing and not dry_run:
        columns.make(api, missing)
    if missing:
        would = "would be made" if dry_run else "made"
        self_made = f"{len(missing)} columns of the stream {would} to exist, by one row of the agent's own"
        report.line(f"  {'columns':<24} {self_made}")
        if dry_run:
            report.status = DIFFERENT
    report.members["columns_made"] = list(missing)


def apply_all(
    shelf: Shelf,
    documents: Mapping[str, Json],
    report: Report,
    *,
    address: Callable[[Standing], str] = _no_address,
    force: bool,
    dry_run: bool,
) -> None:
    """Apply each, and say what became of it. ``documents``: by the name that people see."""
    from hf_openobserve.openobserve.provisioning import application

    for name, body in documents.items():
        if dry_run:
            outcome = application.look(shelf, name, body, force=force)
        else:
            outcome = application.apply(shelf, name, body, force=force)
        report.outcome(outcome, address(outcome.found) if outcome.found else "")


def list_all(
    shelf: Shelf,
    documents: Mapping[str, Optional[Json]],
    report: Report,
    address: Callable[[Standing], str] = _no_address,
) -> None:
    """Say of each whether it stands. ``documents``: by name, with what the package has, if that is known."""
    from hf_openobserve.openobserve.provisioning.document import digest

    for name, body in documents.items():
        ours = [found for found in shelf.standing(name) if found.ours]
        if not ours:
            report.listed(name, "not there", "")
        for found in ours:
            state = "edited by hand" if found.edited else "as applied"
            if not found.edited and body is not None and found.mark != digest(shelf.content(body)):
                state = "of another version"
            report.listed(name, state, address(found))


def remove_all(shelf: Shelf, names: List[str], report: Report, *, force: bool, dry_run: bool) -> None:
    """Remove each of ours, and say so."""
    from hf_openobserve.openobserve.provisioning import application

    for name in names:
        report.outcome(application.remove(shelf, name, force=force, dry_run=dry_run))


def write_standing(shelf: Shelf, names: Mapping[str, str], directory: str, report: Report) -> None:
    """Write what stands of ours. ``names``: of a document, to that of its file."""
    texts: Dict[str, str] = {}
    for name, file in names.items():
        for found in shelf.standing(name):
            if found.ours:
                texts.setdefault(f"{file}.json", as_text(found.content))
    report.members["files"] = written = _write(directory, texts)
    for path in written:
        report.line(f"  {path}")


def write_all(directory: str, texts: Mapping[str, str], *, as_json: bool) -> None:
    """Write files, and say which. ``texts``: by file name."""
    paths = _write(directory, texts)
    click.echo(json.dumps({"files": paths}, indent=2) if as_json else "\n".join(paths))


def _write(directory: str, texts: Mapping[str, str]) -> List[str]:
    paths = [os.path.join(directory, name) for name in texts]
    try:
        os.makedirs(directory, exist_ok=True)
        for path, text in zip(paths, texts.values()):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        click.echo(f"hf-openobserve: {error.filename} cannot be written: {error.strerror}", err=True)
        sys.exit(FAILED)
    return paths


def as_text(body: Json) -> str:
    """A document as its file."""
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"
