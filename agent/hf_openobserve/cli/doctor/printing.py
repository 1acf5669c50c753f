"""The findings on one screen, a section at a time as they are found; or as one JSON object."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import Callable, Dict, List, Tuple

import click

from hf_openobserve.cli import contents
from hf_openobserve.cli.doctor.finding import GREEN, LEVELS, RED, YELLOW, Finding

_WIDEST = 120
_INDENT = "         "

Masked = Callable[[str], str]
"""Takes every secret out of a text: each one that is printed goes through it."""


class Screen:
    """Lines for a person: colours on a terminal alone, and a pipe's lines are not broken."""

    def __init__(self, masked: Masked) -> None:
        self._masked: Masked = masked
        self._color = False if os.environ.get("NO_COLOR") else None

    def section(self, title: str) -> None:
        """The heading of what comes next."""
        click.secho(title, bold=True, color=self._color)

    def finding(self, found: Finding) -> None:
        """One line, and its remedy below it."""
        sentence = contents.one_line(self._masked(f"{found.subject}: {found.sentence}"))
        level = click.style(f"{found.level:<6}", fg=found.level, bold=found.level == RED)
        click.echo(f"  {level} {self._wrapped(sentence)}", color=self._color)
        if found.remedy and found.level != GREEN:
            remedy = contents.one_line(self._masked(found.remedy))
            click.echo(f"{_INDENT}-> {self._wrapped(remedy, 3)}", color=self._color)

    def end(self, findings: List[Finding]) -> None:
        """The sum."""
        counts = {level: sum(found.level == level for found in findings) for level in LEVELS}
        worst = worst_of(findings)
        words: Dict[str, str] = {
            GREEN: "All is well",
            YELLOW: "It works, with what is yellow",
            RED: "Broken: see what is red",
        }
        text = f"{words[worst]} ({', '.join(f'{count} {level}' for level, count in counts.items())})."
        click.secho(text, fg=worst, bold=True, color=self._color)

    def _wrapped(self, text: str, further: int = 0) -> str:
        if not sys.stdout.isatty():
            return text
        width = min(_WIDEST, shutil.get_terminal_size().columns) - len(_INDENT) - further
        lines = textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False)
        return ("\n" + _INDENT + " " * further).join(lines)


def worst_of(findings: List[Finding]) -> str:
    """The worst level; green of none."""
    return max((found.level for found in findings), key=LEVELS.index, default=GREEN)


def as_json(sections: List[Tuple[str, Finding]], status: int, masked: Masked) -> str:
    """The object that the command documents."""
    findings: List[Dict[str, object]] = []
    for section, found in sections:
        entry: Dict[str, object] = {"section": section, "level": found.level, "subject": masked(found.subject)}
        entry.update(sentence=masked(found.sentence), remedy=masked(found.remedy))
        entry["details"] = {name: masked(value) for name, value in found.details.items()}
        findings.append(entry)
    return json.dumps({"level": worst_of([found for _, found in sections]), "status": status, "findings": findings})
