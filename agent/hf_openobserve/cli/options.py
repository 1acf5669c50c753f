"""Options and an exit status that several commands have."""

from __future__ import annotations

from typing import Any, Callable, TypeVar

import click

MISCONFIGURED = 2
"""Exit status where a setting, or what a setting names, keeps a command from its work."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def directory_option(*, must_exist: bool) -> Callable[[_Command], _Command]:
    """``--dir``, as ``directory``: where the outbox is, or one destination's part of it."""
    return click.option(
        "--dir",
        "directory",
        type=click.Path(exists=must_exist, file_okay=False),
        metavar="D",
        help="An outbox, or one destination's directory in it. Default: where the agent keeps it.",
    )


def origin_option(command: _Command) -> _Command:
    """``--from``, as ``origin``: where calls are read."""
    return click.option(
        "--from",
        "origin",
        type=click.Choice(["outbox", "openobserve"]),
        default="outbox",
        show_default=True,
        help="Where calls are read: on this machine, or from the configured OpenObserve.",
    )(command)
