"""What each kind of error means and what to do about it, as docs/errors.md says it."""

from __future__ import annotations

import functools
import os
import re
from typing import Dict, List, NamedTuple, Tuple

from hf_openobserve.wire.errors import KINDS

Inline = List[Tuple[str, str]]
"""A sentence in pieces: (style, text), the style being empty, ``code``, ``strong`` or ``link``."""

_MARKUP = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|<(?P<link>https://[^>]+)>|\[(?P<name>[^\]]+)\]\([^)]*\)"
)


class Remedy(NamedTuple):
    """Of one kind of error."""

    meaning: Inline
    steps: List[Inline]


@functools.lru_cache(maxsize=None)
def remedies() -> Dict[str, Remedy]:
    """Of every kind. Raises OSError where the page is missing from the installation."""
    with open(_page(), encoding="utf-8") as file:
        sections = re.split(r"^## ", file.read(), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        kind, _, body = section.partition("\n")
        if kind in KINDS:
            paragraphs = re.split(r"\n\n|\n(?=- )", body.strip())
            steps = [inline(paragraph[2:]) for paragraph in paragraphs if paragraph.startswith("- ")]
            found[kind] = Remedy(inline(paragraphs[0]), steps)
    return found


def hint(kind: str) -> str:
    """The first thing to do about a kind of error, as plain text; empty for what is none."""
    remedy = remedies().get(kind)
    return "".join(text for _, text in remedy.steps[0]) if remedy and remedy.steps else ""


def inline(text: str) -> Inline:
    """A sentence of Markdown, in pieces. Of a link within the documentation the name stays."""
    text = " ".join(text.split())
    pieces, at = [], 0
    for match in _MARKUP.finditer(text):
        pieces.append(("", text[at : match.start()]))
        style = match.lastgroup or ""
        pieces.append(("" if style == "name" else style, match.group(style)))
        at = match.end()
    pieces.append(("", text[at:]))
    return [(style, piece) for style, piece in pieces if piece]


def _page() -> str:
    """In the installed package, or in the checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for root in (package, os.path.dirname(os.path.dirname(package))):
        path = os.path.join(root, "docs", "errors.md")
        if os.path.isfile(path):
            return path
    raise FileNotFoundError("docs/errors.md is missing from this installation; install hf-openobserve again")
