"""``hf-openobserve dashboards``: the package's dashboards on an OpenObserve server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional

import click

from hf_openobserve.cli import outbox, provision

if TYPE_CHECKING:
    from hf_openobserve.openobserve.provisioning.document import Json


@click.group("dashboards")
def dashboards_command() -> None:
    """Four dashboards for OpenObserve: Overview, Models compared, Errors, Who.

    \b
    Example:
      hf-openobserve dashboards apply
    """  # noqa: D301 - click looks for the character


@dashboards_command.command("apply")
@provision.change_options
@provision.user_option
@provision.json_option
def _apply(force: bool, dry_run: bool, user: Optional[str], as_json: bool) -> None:
    """Let each dashboard stand once, as the package has it, in a folder hf-openobserve.

    What stands is replaced, what does not is created, and what was edited by hand since it was applied is shown and
    kept. Columns that no call has had yet are made to exist first, by one row of the agent's own. A run that broke off
    is finished by the next one.

    Exit status: 0; 1 if a dashboard was kept as edited (with --dry-run: if anything would change); 2 if the server
    could not be reached or refused.

    \b
    Examples:
      hf-openobserve dashboards apply --user root@example.com
      hf-openobserve dashboards apply --dry-run

    \b
    The shape of --json:
    {"server", "organization", "stream", "dry_run", "columns_made": [column],
     "documents": [{"name", "action", "more_of_that_name", "diff": [line],
                    "url"}], "status"}, and "error" if it failed.
    "action" is created, updated, unchanged or kept.
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning.shelves import Dashboards

    report = provision.Report(as_json=as_json, dry_run=dry_run)
    with provision.connected(user, report) as api:
        provision.make_columns(api, report, dry_run=dry_run)
        shelf = Dashboards(api)
        provision.apply_all(shelf, _by_title(api.stream), report, address=shelf.address, force=force, dry_run=dry_run)


@dashboards_command.command("list")
@provision.user_option
@provision.json_option
def _list(user: Optional[str], as_json: bool) -> None:
    """Show which dashboards stand on the server, whether they were edited, and where to see them.

    Exit status: 0, or 2 if the server could not be reached or refused.

    \b
    Example:
      hf-openobserve dashboards list --json
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning.shelves import Dashboards

    report = provision.Report(as_json=as_json)
    with provision.connected(user, report) as api:
        shelf = Dashboards(api)
        provision.list_all(shelf, _by_title(api.stream), report, shelf.address)


@dashboards_command.command("export")
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("--from-server", is_flag=True, help="As they stand there now, edited or not.")
@provision.user_option
@provision.json_option
def _export(directory: str, from_server: bool, user: Optional[str], as_json: bool) -> None:
    """Write the dashboards as JSON files, for curl, Terraform or OpenObserve's own import.

    \b
    Example:
      hf-openobserve dashboards export ./dashboards
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning import sources
    from hf_openobserve.openobserve.provisioning.shelves import Dashboards

    if from_server:
        report = provision.Report(as_json=as_json)
        with provision.connected(user, report) as api:
            names = {board["title"]: file for file, board in sources.dashboards().items()}
            provision.write_standing(Dashboards(api), names, directory, report)
        return
    stream = outbox.load_settings().destination.stream or sources.DEFAULT_STREAM
    boards = sources.dashboards(stream)
    texts = {f"{file}.json": provision.as_text(board) for file, board in boards.items()}
    provision.write_all(directory, texts, as_json=as_json)


@dashboards_command.command("remove")
@provision.change_options
@provision.user_option
@provision.json_option
def _remove(force: bool, dry_run: bool, user: Optional[str], as_json: bool) -> None:
    """Take the dashboards away, but for those that were edited by hand, and the folder if it is empty then.

    Exit status: 0; 1 if a dashboard was kept as edited (with --dry-run: if anything would be removed); 2 if the server
    could not be reached or refused.

    \b
    Example:
      hf-openobserve dashboards remove --dry-run
    """  # noqa: D301 - click looks for the character
    from hf_openobserve.openobserve.provisioning.shelves import Dashboards

    report = provision.Report(as_json=as_json, dry_run=dry_run)
    with provision.connected(user, report) as api:
        shelf = Dashboards(api)
        provision.remove_all(shelf, list(_by_title(api.stream)), report, force=force, dry_run=dry_run)
        if not dry_run:
            shelf.folder.remove_if_empty()


def _by_title(stream: str) -> Dict[str, Json]:
    from hf_openobserve.openobserve.provisioning import sources

    return {board["title"]: board for board in sources.dashboards(stream).values()}
