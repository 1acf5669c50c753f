"""``hf-openobserve alerts``: the package's alerts on an OpenObserve server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Optional

import click

from hf_openobserve.cli import outbox, provision

if TYPE_CHECKING:
    from hf_openobserve.openobserve.api import Api
    from hf_openobserve.openobserve.provisioning.sources import Thresholds

_COST, _DOLLARS = "hf-cost-per-day", "most_dollars"


@click.group("alerts")
def alerts_command() -> None:
    """Alerts for OpenObserve: credits exhausted, rate limits, errors, slowness, budgets, lost spans, silence.

    \b
    Example:
      hf-openobserve alerts apply --webhook https://hooks.example.com/T1 --budget 20
    """  # noqa: D301 - click looks for the character


_thresholds_option = click.option(
    "--thresholds",
    "thresholds_file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Thresholds that are not the package's, as `alerts export` writes them; those left out stay the package's.",
)
_budget_option = click.option(
    "--budget", type=click.FloatRange(min=0), metavar="DOLLARS", help="What all calls of 24 hours may cost."
)


@alerts_command.command("apply")
@click.option("--destination", metavar="NAME", help="An alert destination of OpenObserve that exists.")
@click.option("--webhook", metavar="URL", help="Make the destination hf-openobserve, with a template, for this URL.")
@_budget_option
@_thresholds_option
@provision.change_options
@provision.user_option
@provision.json_option
def _apply(
    destination: Optional[str],
    webhook: Optional[str],
    budget: Optional[float],
    thresholds_file: Optional[str],
    force: bool,
    dry_run: bool,
    user: Optional[str],
    as_json: bool,
) -> None:
    """Let each alert stand once, with these thresholds, in a folder hf-openobserve.

    What stands is replaced, what does not is created, and what was edited by hand since it was applied is shown and
    kept. Without --destination and --webhook the destination hf-openobserve of an earlier run is used. A run that broke
    off is finished by the next one.

    Exit status: 0; 1 if an alert was kept as edited (with --dry-run: if anything would change); 2 if the server could
    not be reached or refused, or a threshold is wrong.

    \b
    Examples:
      hf-openobserve alerts apply --destination slack --budget 20
      hf-openobserve alerts apply --webhook https://hooks.example.com/T1 --dry-run

    \b
    The shape of --json is that of `dashboards apply`, and
    "destination": {"name", "action"}.
    """  # noqa: D301 - click looks for the character
    if destination and webhook:
        raise click.UsageError("--destination and --webhook exclude each other.")
    from hf_openobserve.openobserve.provisioning import sources
    from hf_openobserve.openobserve.provisioning.shelves import Alerts

    thresholds = _thresholds(thresholds_file, budget)
    report = provision.Report(as_json=as_json, dry_run=dry_run)
    with provision.connected(user, report) as api:
        provision.make_columns(api, report, dry_run=dry_run)
        name = _destination(api, report, destination or "", webhook or "", dry_run=dry_run)
        shelf = Alerts(api)
        alerts = sources.alerts(api.stream, name, thresholds)
        provision.apply_all(shelf, alerts, report, force=force, dry_run=dry_run)


@alerts_command.command("list")
@provision.user_option
@provision.json_option
def _list(user: Optional[str], as_json: bool) -> None:
    """Show which alerts stand on the server, and whether they were edited.

    Exit status: 0, or 2 if the server could not be reached or refused.

    \b
    Example:
      hf-openobserve alerts list --json
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning import sources
    from hf_openobserve.openobserve.provisioning.shelves import Alerts

    report = provision.Report(as_json=as_json)
    with provision.connected(user, report) as api:
        provision.list_all(Alerts(api), dict.fromkeys(sources.thresholds()), report)


@alerts_command.command("export")
@click.argument("directory", type=click.Path(file_okay=False))
@click.option(
    "--destination", metavar="NAME", default="hf-openobserve", help="Whom they name. Default: hf-openobserve."
)
@_budget_option
@_thresholds_option
@click.option("--from-server", is_flag=True, help="As they stand there now, edited or not.")
@provision.user_option
@provision.json_option
def _export(
    directory: str,
    destination: str,
    budget: Optional[float],
    thresholds_file: Optional[str],
    from_server: bool,
    user: Optional[str],
    as_json: bool,
) -> None:
    """Write the alerts as JSON files, for curl or Terraform, and thresholds.json, to edit and give to `alerts apply`.

    \b
    Example:
      hf-openobserve alerts export ./alerts
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning import sources
    from hf_openobserve.openobserve.provisioning.shelves import Alerts

    if from_server:
        report = provision.Report(as_json=as_json)
        with provision.connected(user, report) as api:
            names = {name: name for name in sources.thresholds()}
            provision.write_standing(Alerts(api), names, directory, report)
        return
    thresholds = _thresholds(thresholds_file, budget)
    stream = outbox.load_settings().destination.stream or sources.DEFAULT_STREAM
    alerts = sources.alerts(stream, destination, thresholds)
    texts = {f"{name}.json": provision.as_text(alert) for name, alert in alerts.items()}
    texts["thresholds.json"] = sources.thresholds_text(thresholds)
    provision.write_all(directory, texts, as_json=as_json)


@alerts_command.command("remove")
@provision.change_options
@provision.user_option
@provision.json_option
def _remove(force: bool, dry_run: bool, user: Optional[str], as_json: bool) -> None:
    """Take the alerts away, but for those that were edited by hand; then what was made for them and is used no more.

    Exit status: 0; 1 if an alert was kept as edited (with --dry-run: if anything would be removed); 2 if the server
    could not be reached or refused.

    \b
    Example:
      hf-openobserve alerts remove --dry-run
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning import destination, sources
    from hf_openobserve.openobserve.provisioning.shelves import Alerts

    report = provision.Report(as_json=as_json, dry_run=dry_run)
    with provision.connected(user, report) as api:
        shelf = Alerts(api)
        provision.remove_all(shelf, list(sources.thresholds()), report, force=force, dry_run=dry_run)
        if dry_run:
            return
        shelf.folder.remove_if_empty()
        for what in destination.remove(api):
            report.line(f"  {what:<24} removed")


def _thresholds(file: Optional[str], budget: Optional[float]) -> Thresholds:
    from hf_openobserve.openobserve.provisioning import sources

    try:
        found = sources.thresholds(file or "")
    except sources.ThresholdsError as error:
        click.echo(f"hf-openobserve: {error}", err=True)
        sys.exit(provision.FAILED)
    if budget is not None:
        found[_COST][_DOLLARS] = budget
    return found


def _destination(api: Api, report: provision.Report, name: str, webhook: str, *, dry_run: bool) -> str:
    from hf_openobserve.openobserve.provisioning import application, destination

    if webhook:
        name, action = destination.for_webhook(api, webhook, dry_run=dry_run)
    else:
        name, action = destination.existing(api, name), application.UNCHANGED
    changes = action != application.UNCHANGED
    report.line(f"  {'destination':<24} {name}: {'would be ' if changes and dry_run else ''}{action}")
    if changes and dry_run:
        report.status = provision.DIFFERENT
    report.members["destination"] = {"name": name, "action": action}
    return name
