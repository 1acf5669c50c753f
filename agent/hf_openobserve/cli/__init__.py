"""The command ``hf-openobserve``.

A command's module is imported when that command runs, or when all are listed by --help.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from types import TracebackType
from typing import List, Optional, Type

import click

from hf_openobserve import __version__
from hf_openobserve.process import diagnostics

COMMANDS = ("alerts", "dashboards", "demo", "doctor", "outbox", "path", "prices", "report", "ship", "tail")
"""Each is ``<name>_command`` in the module of its name; what it needs beside click, that module imports when it runs.
"""


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
    sys.excepthook = _show_without_secrets


def _show_without_secrets(kind: Type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> None:
    """An exception that nobody expected may quote the address of a proxy, password and all."""
    sys.stderr.write(diagnostics.without_secrets("".join(traceback.format_exception(kind, error, trace))))
