"""What a check says: one line, its level, and what to do about it."""

from __future__ import annotations

from typing import Mapping, NamedTuple

GREEN = "green"
YELLOW = "yellow"
"""It works, and not as somebody may expect."""
RED = "red"
"""Nothing is recorded, or nothing arrives."""
LEVELS = (GREEN, YELLOW, RED)
"""From good to bad."""


class Finding(NamedTuple):
    """One line.

    ``remedy``: what to do; never empty where the level is red. ``details``: for machines, beside the text.
    """

    level: str
    subject: str
    sentence: str
    remedy: str = ""
    details: Mapping[str, str] = {}


def green(subject: str, sentence: str, **details: str) -> Finding:
    """As it should be."""
    return Finding(GREEN, subject, sentence, details=details)


def yellow(subject: str, sentence: str, remedy: str = "", **details: str) -> Finding:
    """It works, and somebody may wonder."""
    return Finding(YELLOW, subject, sentence, remedy, details)


def red(subject: str, sentence: str, remedy: str, **details: str) -> Finding:
    """Broken, until somebody does what the remedy says."""
    return Finding(RED, subject, sentence, remedy, details)
