"""Texts too long for a row: their beginning and their end stay, with a mark between. What is cut away is not searched.

A text is cut before it is masked, since to mask 20 MB would take longer than the call. Around each cut it is masked
first: half a secret has no form any more.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List

LONGEST = 1 << 20
"""Characters of one text of an instrumentation's, and of all messages of a call together."""

LONGEST_MADE = 2 * LONGEST
"""Characters of a text that is made of such: messages as JSON."""

_ZONE = 16 * 1024
"""Characters on each side of a cut that are masked before it. No secret is longer."""

_SHORTEST = 1024
"""Characters that are left of a message, however many there are."""

_MESSAGES = "llm.input_messages."


def middle(text: str, longest: int, clean: Callable[[str], str]) -> str:
    """Two thirds of ``longest`` from the beginning, a third from the end: an answer's last words matter as well.

    clean: takes secrets out of a text.
    """
    zone = min(_ZONE, longest // 8)
    head, tail = longest * 2 // 3, len(text) - longest // 3
    from_ = _word_before(text, head - zone)
    to = _word_after(text, tail + zone)
    before, behind = clean(text[from_ : head + zone]), clean(text[tail - zone : to])
    before, behind = before[: len(before) * (head - from_) // (head + zone - from_)], behind[len(behind) // 2 :]
    mark = f" [... {tail - head:,} characters cut by hf-openobserve ...] "
    return "".join((text[:from_], before, mark, behind, text[to:]))


def _word_before(text: str, at: int) -> int:
    """No secret but a key block has a space in it, and that is masked once the text is whole again."""
    space = max(text.rfind(character, max(0, at - _ZONE), at) for character in ' \n"')
    return at if space < 0 else space


def _word_after(text: str, at: int) -> int:
    found = re.compile(r"[\s\"]").search(text, at, at + _ZONE)
    return at if found is None else found.start()


def texts(attributes: Dict[str, Any], shorten: Callable[[str, int], str], whole: List[str]) -> None:
    """Cut what is too long among a call's attributes, in place, but those named in ``whole``, which are read first."""
    lengths = {key: len(value) for key, value in attributes.items() if type(value) is str}
    if sum(lengths.values()) <= LONGEST:
        return
    messages = [key for key in lengths if key.startswith(_MESSAGES)]
    level = _level([lengths[key] for key in messages], LONGEST)
    for key, length in lengths.items():
        longest = level if key.startswith(_MESSAGES) else LONGEST
        if length > longest and key not in whole:
            attributes[key] = shorten(attributes[key], longest)


def _level(lengths: List[int], room: int) -> int:
    """The length to which the longest must be cut so that all have room."""
    left = len(lengths)
    for length in sorted(lengths):
        if length * left > room:
            return max(room // left, _SHORTEST)
        room -= length
        left -= 1
    return LONGEST
