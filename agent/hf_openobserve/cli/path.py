"""``hf-openobserve path``: the directory that goes on PYTHONPATH, and nothing else on standard output."""

from __future__ import annotations

import os

import click


def bootstrap_directory() -> str:
    """The absolute path of the only directory that ever goes on PYTHONPATH."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(package, "bootstrap")


@click.command("path")
def path_command() -> None:
    """Print the directory for PYTHONPATH.

    \b
    PYTHONPATH=$(hf-openobserve path) python app.py
    """  # noqa: D301 - click looks for the character
    click.echo(bootstrap_directory())
