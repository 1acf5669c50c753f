"""Credentials in a text, known by their form: keys of Hugging Face, OpenAI and OpenObserve, HTTP's, and those in URLs."""

from __future__ import annotations

import binascii
import functools
import re
from typing import Callable, Match, Pattern, Tuple, Union

_SPACE = r"(?:\s|%20){1,8}"

_VALUE = r"[^\s\"'\\<>{}\[\](),;&]"
_AUTHORIZATION = (
    rf"(uthorization[\"'\\\s]{{0,4}}(?:[:=,]|%3A)(?:[\s\"'\\]|%20){{0,4}}(?:b')?"
    rf"(?:(?:(?i:basic|bearer|token){_SPACE})+|(?={_VALUE}{{8}})(?={_VALUE}{{0,99}}[0-9]))){_VALUE}+"
)
"""Whatever follows a scheme, whatever its length and form; without a scheme, what has a key's form."""

_TOKEN = "[A-Za-z0-9._~+/%=-]"  # noqa: S105 - a pattern
_BEARER = f"(earer(?<=[Bb]earer){_SPACE})(?:(?={_TOKEN}{{0,19}}[0-9]){_TOKEN}{{8,}}|{_TOKEN}{{20,}})(?<=[^.-])"
"""A token, not a word: "bearer of bad news" stays."""

_BASIC = f"(asic{_SPACE})([A-Za-z0-9+/_%-]{{6,}}={{0,2}})"

_PREFIXED = (
    "_(?:(?:(?<=hf_)|(?<=api_org_)|(?<=o2oi_))[A-Za-z0-9]{25,}|(?:(?<=hf_oauth_)|(?<=hf_jwt_))eyJ[A-Za-z0-9._-]+)"
)
"""Tokens of users and of organizations have 34 letters and digits, those of OAuth are JSON Web Tokens."""

_ESCAPES = (r"\\[abfnrtv]", "%HH", r"\\xHH", r"\\uHHHH", r"\\UHHHHHHHH")
_SK = (
    "sk-(?=[A-Za-z0-9_-]{20})(?:(?<![A-Za-z0-9]sk-)"
    + "".join(f"|(?<={escape}sk-)" for escape in _ESCAPES).replace("H", "[0-9A-Fa-f]")
    + ")([A-Za-z0-9_-]+)"
)
"""Not at the end of a word (``task-<id>``, ``disk-<id>``); an escape of JSON, ``repr`` or a URL is no part of one. The whole
run is taken, and then judged: ``sk-sk-sk-...`` would cost n^2 otherwise.
"""

_USERINFO = r"(://)(?:[^\s/?\"'<>\\:@]*:[^\s/?\"'<>\\]*|[^\s/?\"'<>\\]{20,})@"
"""user:password@, and a lone user of 20 characters or more: a token. ``git@`` stays. The password may hold anything but what
ends a URL: an @ or a # left unquoted makes it no less a secret.
"""


def _mask_basic(match: Match[str]) -> str:
    """Base64 of printable text with a colon in it. English words decode to bytes that are not text."""
    encoded = match.group(2)
    for escaped, plain in (("%2B", "+"), ("%2F", "/"), ("%3D", "="), ("-", "+"), ("_", "/")):
        encoded = encoded.replace(escaped, plain)
    try:
        decoded = binascii.a2b_base64(encoded + "==").decode()
    except ValueError:
        return match.group()
    return match.group(1) + "***" if ":" in decoded and decoded.isprintable() else match.group()


def _mask_sk(match: Match[str]) -> str:
    """A key is long, with a digit or without a separator. ``sk-learn-contrib-imbalanced-datasets`` is none."""
    run = match.group(1)
    is_key = (len(run) >= 32 and re.search("[0-9]", run)) or re.search("[A-Za-z0-9]{25}", run)
    return "sk-***" if is_key else match.group()


_MASKS: Tuple[Tuple[str, str, Union[str, Callable[[Match[str]], str]]], ...] = (
    ("uthorization", _AUTHORIZATION, r"\1***"),
    ("earer", _BEARER, r"\1***"),
    ("asic", _BASIC, _mask_basic),
    ("_", _PREFIXED, "_***"),
    ("sk-", _SK, _mask_sk),
    ("@", _USERINFO, r"\1***@"),
)
"""(hint, pattern, replacement): a text without the hint is not searched, since ``str.find`` is many times faster than
``re``. Each pattern begins with letters of its own, which ``re`` finds fast, and is linear on any text.
"""

_CREDENTIAL_HEADERS = frozenset(
    ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-goog-api-key")
)


@functools.lru_cache(maxsize=None)
def _compiled(pattern: str) -> Pattern[str]:
    """Compiled when the first text has the hint: most processes need few of them."""
    return re.compile(pattern)


def mask(text: str, literals: Tuple[str, ...]) -> str:
    """The text without the literals, and without whatever has the form of a credential; what kind it was, stays."""
    for literal in literals:
        if literal in text:
            kind = re.match("(?:hf_|api_org_|sk-|o2oi_|Bearer |Basic )?", literal)
            text = text.replace(literal, (kind.group() if kind else "") + "***")
    for hint, pattern, replacement in _MASKS:
        if hint in text:
            text = _compiled(pattern).sub(replacement, text)
    return text


def found(text: str, literals: Tuple[str, ...]) -> bool:
    """False if ``mask`` would change neither the text nor, where it is texts joined by NUL, any of these."""
    return any(map(text.__contains__, literals)) or any(
        hint in text and _compiled(pattern).search(text) for hint, pattern, _ in _MASKS
    )


def is_credential(header: str) -> bool:
    """Whether an HTTP header, by its name (also as attributes spell it, with underscores), holds nothing but a secret."""
    return header.lower().replace("_", "-") in _CREDENTIAL_HEADERS
