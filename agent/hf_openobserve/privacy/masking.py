"""Texts without secrets: literal ones, those that have a form, and what the user's own patterns find.

Idempotent, linear.
"""

from __future__ import annotations

import functools
import re
from typing import List, Pattern, Tuple

from hf_openobserve.privacy import named_values, secrets
from hf_openobserve.privacy.secrets import MASK, Rule

_RULES: Tuple[Rule, ...] = secrets.RULES + named_values.RULES + secrets.LAST_RULES

_KIND = re.compile("(?:hf_|api_org_|sk-|o2oi_|Bearer |Basic )?")
_SHORT_LITERAL = 12
"""Characters. A literal below this is masked only where no letter or digit stands beside it."""


@functools.lru_cache(maxsize=None)
def _compiled() -> Tuple[Tuple[Rule, Pattern[str]], ...]:
    """Compiled with the first text: a process that calls no model needs none."""
    return tuple((rule, re.compile(rule.pattern)) for rule in _RULES)


def mask(text: str, literals: Tuple[str, ...], patterns: Tuple[Pattern[str], ...] = ()) -> str:
    """The text without the literals, and without whatever has the form of a credential; what kind it was, stays."""
    for literal in literals:
        if literal in text:
            text = _without(text, literal)
    lower = _lower(text)
    for rule, pattern in _compiled():
        masked = _masked(text, lower if rule.any_case else text, rule, pattern)
        if masked is not text:
            text, lower = masked, _lower(masked)
    for own in patterns:
        text = own.sub(lambda match: MASK if match.group() else "", text)
    return text


def found(text: str, literals: Tuple[str, ...]) -> bool:
    """False if ``mask`` would change neither the text nor, where it is texts joined by NUL, any of these."""
    if any(map(text.__contains__, literals)):
        return True
    lower = _lower(text)
    for rule, pattern in _compiled():
        searched = lower if rule.any_case else text
        if rule.gate in searched:
            match = pattern.search(searched)
            while match is not None:
                begin, end = rule.judge(text, match.start(), match.end())
                if begin < end:
                    return True
                match = pattern.search(searched, max(end, match.start() + 1))
    return False


def _lower(text: str) -> str:
    """In lower case, each character where it was: a few capital letters have two for theirs."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join([small if len(small) == 1 else capital for capital, small in zip(text, map(str.lower, text))])


def _without(text: str, literal: str) -> str:
    kind = _KIND.match(literal)
    masked = (kind.group() if kind else "") + MASK
    if len(literal) >= _SHORT_LITERAL:
        return text.replace(literal, masked)
    return re.sub(f"(?<![A-Za-z0-9]){re.escape(literal)}(?![A-Za-z0-9])", masked, text)


def _masked(text: str, searched: str, rule: Rule, pattern: Pattern[str]) -> str:
    if rule.gate not in searched:
        return text
    parts: List[str] = []
    kept = 0
    match = pattern.search(searched)
    while match is not None:
        begin, end = rule.judge(text, match.start(), match.end())
        if kept <= begin < end:
            parts += (text[kept:begin], MASK)
            kept = end
        match = pattern.search(searched, max(end, match.start() + 1))
    return "".join((*parts, text[kept:])) if parts else text
