"""The command ``hf-openobserve``. A command's module is imported when that command runs, or when all are listed by --help."""

from __future__ import annotations

import importlib
from typing import List, Optional

import click

from hf_openobserve import __version__

COMMANDS = ("demo", "outbox", "path", "report", "ship")
"""Each is ``<name>_command`` in the module of its name; what it needs beside click, that module imports when it runs."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> List[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{cmd_name}"), f"{cmd_name}_command")
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hf-openobserve %(version)s")
def main() -> None:
    """Every Hugging Face inference call of a Python program, seen in OpenObserve. No code changes."""
