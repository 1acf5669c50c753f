"""The command ``hf-openobserve``. What its commands need beside click is imported when one runs, not when all are listed."""

from __future__ import annotations

import click

from hf_openobserve import __version__
from hf_openobserve.cli.demo import demo_command
from hf_openobserve.cli.path import path_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hf-openobserve %(version)s")
def main() -> None:
    """Every Hugging Face inference call of a Python program, seen in OpenObserve. No code changes."""


main.add_command(demo_command)
main.add_command(path_command)
