"""Credentials in a text, known by their form: what issuers put in front of keys, what HTTP puts them in, key blocks.

A value that only its name betrays (``password=``) is in ``named_values``. docs/privacy.md lists all forms.

Each rule begins with one character that is rare in prose, since ``re`` finds a single character many times faster than
a word. What stands around it is then judged in Python. Each rule is linear on any text.
"""

from __future__ import annotations

import binascii
import functools
import re
from typing import Callable, FrozenSet, NamedTuple, Tuple

MASK = "***"


def words(text: str) -> FrozenSet[str]:
    """The words of the text, as a set."""
    return frozenset(text.split())


Span = Tuple[int, int]
"""Where a secret begins and ends; where both are the same, there is none before that place."""

Judge = Callable[[str, int, int], Span]
"""Of a text, and where the rule's pattern begins and ends in it."""

_WORD_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

_ESCAPED = tuple("abfnrtv0")
_ESCAPE = re.compile(r"(?:\\[abfnrtv0]|%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8})\Z")


class Rule(NamedTuple):
    """``judge`` is asked about each match of ``pattern``. A text without the character ``gate`` is not searched."""

    gate: str
    pattern: str
    judge: Judge
    any_case: bool = False
    """The pattern is searched in the text's lower case."""


def begins_a_word(text: str, start: int) -> bool:
    """Whether no letter or digit stands before: an escape of JSON, ``repr`` or a URL is no part of a word."""
    before = text[start - 1 : start]
    return not (before.isascii() and before.isalnum()) or _ESCAPE.search(text[max(0, start - 10) : start]) is not None


# ------------------------------------------------------------------------------------------------ keys by their issuer

_AFTER_UNDERSCORE = {
    # Hugging Face, OpenObserve
    "hf_": 34,
    "api_org_": 34,
    "o2oi_": 32,
    # other providers of models, and what is built around them
    "gsk_": 52,
    "r8_": 37,
    "fw_": 24,
    "fpk_": 24,
    "tgp_v1_": 43,
    "jina_": 60,
    "pcsk_": 69,
    "lsv2_pt_": 32,
    "lsv2_sk_": 32,
    "vck_": 60,
    "bb_live_": 27,
    "e2b_": 40,
    "wandb_v1_": 40,
    "sk_": 48,
    # code hosts and registries
    "ghp_": 36,
    "gho_": 36,
    "ghu_": 36,
    "ghs_": 36,
    "ghr_": 36,
    "github_pat_": 82,
    "npm_": 36,
    "dckr_pat_": 27,
    "dckr_oat_": 32,
    "rubygems_": 48,
    "CLOJARS_": 60,
    "cio_": 32,
    "squ_": 40,
    "sqp_": 40,
    "sqa_": 40,
    "sgp_": 40,
    # cloud and databases
    "dop_v1_": 64,
    "doo_v1_": 64,
    "dor_v1_": 64,
    "pscale_tkn_": 32,
    "pscale_oauth_": 32,
    "pscale_pw_": 32,
    "sbp_": 40,
    "sb_secret_": 31,
    "fo1_": 43,
    "fm2_": 100,
    "tskey_": 32,
    "nfp_": 40,
    # payment and shops
    "sk_live_": 24,
    "sk_test_": 24,
    "sk_prod_": 24,
    "rk_live_": 24,
    "rk_test_": 24,
    "rk_prod_": 24,
    "whsec_": 32,
    "shpat_": 32,
    "shpca_": 32,
    "shppa_": 32,
    "shpss_": 32,
    "shippo_live_": 40,
    "shippo_test_": 40,
    "duffel_live_": 43,
    "duffel_test_": 43,
    # work and observability
    "glsa_": 32,
    "glc_": 32,
    "lin_api_": 40,
    "lin_oauth_": 64,
    "ntn_": 46,
    "secret_": 43,
    "ops_": 250,
    "sntryu_": 64,
    "sntrys_": 64,
    "pnu_": 36,
    "rdme_": 70,
    "figd_": 40,
    "tfp_": 44,
    "phx_": 43,
    "sm_aat_": 16,
    "sm_pat_": 16,
    "sm_sat_": 16,
    "xkeysib_": 64,
}
_AFTER_DASH = {
    # providers of models. "sk-" is that of many: OpenAI, Anthropic, OpenRouter, DeepSeek, LiteLLM, Langfuse ...
    "sk-": 32,
    "xai-": 80,
    "nvapi-": 64,
    "pplx-": 48,
    "csk-": 48,
    "tvly-": 32,
    "fc-": 32,
    "gsk-": 52,
    "bedrock-api-key-": 60,
    # code hosts and registries
    "glpat-": 20,
    "gldt-": 20,
    "glrt-": 20,
    "glrtr-": 20,
    "glft-": 20,
    "glffct-": 20,
    "glsoat-": 20,
    "glimt-": 25,
    "glptt-": 40,
    "glagent-": 50,
    "gloas-": 64,
    "glcbt-": 20,
    "pypi-": 85,
    "BBDC-": 40,
    # cloud
    "GOCSPX-": 28,
    "HRKU-": 60,
    "pul-": 40,
    "ico-": 32,
    "tskey-": 20,
    "AGE-SECRET-KEY-": 59,
    "dnkey-": 78,
    # chat and mail
    "xoxb-": 24,
    "xoxp-": 24,
    "xoxa-": 20,
    "xoxr-": 20,
    "xoxo-": 24,
    "xoxs-": 24,
    "xoxe-": 40,
    "xoxc-": 24,
    "xoxd-": 24,
    "xapp-": 32,
    "key-": 32,
    "xkeysib-": 64,
    "xsmtpsib-": 64,
    # payment
    "sq0csp-": 43,
    "sq0atp-": 22,
    "sq0idp-": 22,
    "FLWSECK-": 32,
    "FLWSECK_TEST-": 32,
    # work and observability
    "NRAK-": 27,
    "NRII-": 32,
    "NRJS-": 19,
    "PMAK-": 59,
    "fio-u-": 64,
    "p8e-": 32,
    "API-": 26,
}
_AFTER_DOT = {
    "SG.": 66,
    "ya29.": 40,
    "hvs.": 24,
    "hvb.": 24,
    "hvr.": 24,
    "dp.pt.": 40,
    "dp.st.": 40,
    "dt0c01.": 88,
    "sl.": 60,
    "xoxe.": 40,
    "sk.": 60,
}
"""What an issuer puts before a key, and how many characters the key itself has."""

_PREFIXES = {character: tuple(table) for character, table in zip("_-.", (_AFTER_UNDERSCORE, _AFTER_DASH, _AFTER_DOT))}
_LENGTHS = {**_AFTER_UNDERSCORE, **_AFTER_DASH, **_AFTER_DOT}

_WITHOUT_SEPARATORS = re.compile("[A-Za-z0-9]+")
_WITH_SEPARATORS = re.compile("[A-Za-z0-9_-]+")
_WITH_DOTS = re.compile("[A-Za-z0-9_.=-]+")
_SEPARATED = words(
    """
    pcsk_ tgp_v1_ github_pat_ dckr_pat_ sb_secret_ fo1_ figd_ lsv2_pt_ lsv2_sk_ glsa_ glc_ wandb_v1_ tfp_
    pscale_tkn_ pscale_oauth_ pscale_pw_ duffel_live_ duffel_test_ sntrys_ phx_
    """
)
"""Prefixes in ``_AFTER_UNDERSCORE`` of keys that have separators themselves."""


def _issued(text: str, start: int, end: int) -> Span:
    """A key with its issuer's prefix: as long as they are, or with a digit among its letters.

    A long identifier is none.
    """
    separator, begin = text[start:end], end
    head = text[max(0, end - 20) : end]
    if not head.endswith(_PREFIXES[separator]):
        return end, end
    prefixes = [known for known in _PREFIXES[separator] if head.endswith(known)]
    prefix = next((known for known in prefixes if begins_a_word(text, end - len(known))), None)
    if prefix is None:
        return end, end
    if separator == "_":
        alphabet = _WITH_SEPARATORS if prefix in _SEPARATED else _WITHOUT_SEPARATORS
    else:
        alphabet = _WITH_SEPARATORS if separator == "-" and not prefix.startswith("gl") else _WITH_DOTS
    found = alphabet.match(text, end)
    if found is None:
        return end, end
    end = _trimmed(text, begin, found.end())
    return (begin if _is_key(text[begin:end], _LENGTHS[prefix]) else end), end


def _trimmed(text: str, begin: int, end: int) -> int:
    """The end without what belongs to the sentence around."""
    while end > begin and text[end - 1] in "-._=":
        end -= 1
    return end


def _is_key(body: str, length: int) -> bool:
    pieces = re.split("[-_.=]+", body)
    longest = max(pieces, key=len)
    if len(longest) < 12 and not (len(body) >= min(length, 36) and re.search("[0-9]", body)):
        return False
    if (len(body) == length and (len(pieces) == 1 or re.search("[0-9]", body))) or (
        len(longest) >= 25 and not longest.islower() and not _is_camel_case(longest)
    ):
        return True
    return len(body) >= min(length, 20) and re.search("[0-9]", body) is not None and _is_mixed(body, longest)


def _is_mixed(body: str, longest: str) -> bool:
    """Whether letters and digits alternate, or stand in one long piece, as they do in no row of words and versions."""
    return len(longest) >= 20 or (len(body) >= 32 and changes(body) * 10 >= len(body))


def changes(text: str) -> int:
    """How often lower case, upper case and digits follow each other; a capital at a word's beginning does not count."""
    count, before = 0, ""
    for character in text:
        kind = "0" if character.isdigit() else "A" if character.isupper() else "a" if character.islower() else ""
        if kind and before and kind != before and (before, kind) != ("A", "a"):
            count += 1
        before = kind or before
    return count


def _is_camel_case(word: str) -> bool:
    return re.fullmatch("(?:[A-Z]?[a-z]{2,}|[A-Z]{2,5})+", word) is not None


# ------------------------------------------------------------------------------------------------ keys without
# separator


def _rest(pattern: str, *prefixes: str) -> Judge:
    """A key that begins with one of the prefixes, whose last character is the rule's, and goes on as ``pattern``."""
    rest = functools.lru_cache(maxsize=None)(lambda: re.compile(pattern))

    def judge(text: str, start: int, end: int) -> Span:
        at = start + 1
        head = text[max(0, at - 20) : at]
        for prefix in prefixes:
            if head.endswith(prefix) and begins_a_word(text, at - len(prefix)):
                found = rest().match(text, at)
                if found is not None:
                    return at - len(prefix), found.end()
        return end, end

    return judge


def _either(*judges: Judge) -> Judge:
    def judge(text: str, start: int, end: int) -> Span:
        for judged in judges:
            span = judged(text, start, end)
            if span[0] < span[1]:
                return span
        return end, end

    return judge


_TELEGRAM = re.compile(r"[0-9]{6,16}(?::|%3A)\Z")


def _telegram(text: str, start: int, end: int) -> Span:
    """A bot's token: its number, a colon, and 35 characters from the first A on."""
    if not _TELEGRAM.search(text[max(0, start - 20) : start]):
        return end, end
    found = _WITH_SEPARATORS.match(text, start)
    return (start, found.end()) if found is not None and 34 <= len(found.group()) <= 36 else (end, end)


def _azure_client(text: str, start: int, end: int) -> Span:
    """Three characters, a digit, ``Q~``, and some 34 more."""
    found = re.compile(r"[A-Za-z0-9_~.-]{31,34}").match(text, end)
    if found is None or re.search(r"[A-Za-z0-9_~.]{3}[0-9]Q\Z", text[max(0, start - 5) : start]) is None:
        return end, end
    return start - 5, found.end()


_DISCORD = re.compile(r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}")
_JSON_WEB_TOKEN = re.compile(r"(?:\.[A-Za-z0-9_-]*){1,4}")


def _dotted(text: str, start: int, end: int) -> Span:
    """A JSON Web Token, from the ``{"`` of its header on, a Discord token, or a key whose prefix ends with a dot."""
    head = text[max(0, start - 4096) : start]
    word = head[len(head.rstrip(_WORD_CHARACTERS)) :]
    if word[:1] in _ESCAPED and text[start - len(word) - 1 : start - len(word)] == "\\":
        word = word[1:]
    if 23 <= len(word) <= 28 and word[0] in "MNO":
        discord = _DISCORD.match(text, start)
        if discord is not None:
            return start - len(word), discord.end()
    header = min((start for start in map(word.find, ("eyJ", "eyA", "ewo")) if start >= 0), default=-1)
    if header >= 0 and len(word) - header >= 12:
        found = _JSON_WEB_TOKEN.match(text, start)
        begin = start - len(word) + header
        return begin, _trimmed(text, start, found.end() if found is not None else end)
    return _issued(text, start, end)


# ------------------------------------------------------------------------------------------------ HTTP

_SPACE = r"(?:[ \t]|%20|\+){1,8}"
_VALUE = r"[^\s\0\"'`\\<>{}\[\](),;&]"
_TOKEN = "[A-Za-z0-9._~+/%=-]"  # noqa: S105 - a pattern

_SCHEMES = re.compile(f"(?:(?:basic|bearer|token|apikey|digest){_SPACE})+", re.IGNORECASE)
_OPENING = re.compile(r"(?:[\s\"'\\]|%20|%22){0,16}(?:b\\*')?")
_HEADER_VALUE = re.compile(_VALUE + "+")
_ORDINARY_VALUES = words(
    """
    token tokens header headers auth authentication authorization credential credentials scheme schemes required
    optional missing invalid key keys string none null bearer basic and or is in to the a as for with
    """
)


def _authorization(text: str, _start: int, end: int) -> Span:
    """What follows a scheme, of any form, where it ends its line or quotation; without one, what looks like a key."""
    opening = _OPENING.match(text, end)
    at = opening.end() if opening is not None else end
    schemes = _SCHEMES.match(text, at)
    if schemes is None and "\n" in text[end:at]:
        return end, end
    at = at if schemes is None else schemes.end()
    found = _HEADER_VALUE.match(text, at)
    if found is None or found.group().lower().startswith((MASK, "$", "%(", "your", "...")):
        return at, at
    value, end = found.group(), found.end()
    after = text[end : end + 1]
    if schemes is None:
        is_secret = len(value) >= 8 and re.search("[0-9]", value) is not None and after not in ("(", "[")
        return (at if is_secret else end), end
    closed = after in ("", "\0", "\n", "\r", '"', "'", "`", "\\", ",", "&", ")", "}")
    word = value.rstrip(".:!?")
    is_word = word.lower() in _ORDINARY_VALUES or (not closed and word.isalpha() and len(word) < 20)
    return (end if is_word else at), end


_BEARER = re.compile(f"{_SPACE}({_TOKEN}+)")


def _bearer(text: str, _start: int, end: int) -> Span:
    """A token, not a word: "bearer of bad news" stays."""
    found = _BEARER.match(text, end)
    if found is None:
        return end, end
    begin = found.start(1)
    end = _trimmed(text, begin, found.end())
    pieces = re.split("[-._~/%+=]", text[begin:end])
    is_token = any(len(piece) >= 8 and re.search("[0-9]", piece) for piece in pieces) or max(map(len, pieces)) >= 20
    return (begin if is_token else end), end


_BASIC = re.compile(_SPACE + r"([A-Za-z0-9+/_%-]{6,}={0,2})")


def _basic(text: str, _start: int, end: int) -> Span:
    """Base64 of printable text with a colon in it. English words decode to bytes that are not text."""
    found = _BASIC.match(text, end)
    if found is None:
        return end, end
    encoded = found.group(1)
    for escaped, plain in (("%2B", "+"), ("%2F", "/"), ("%3D", "="), ("-", "+"), ("_", "/")):
        encoded = encoded.replace(escaped, plain)
    try:
        decoded = binascii.a2b_base64(encoded + "==").decode()
    except ValueError:
        return found.end(), found.end()
    is_pair = ":" in decoded and decoded.isprintable()
    return (found.start(1) if is_pair else found.end()), found.end()


_USERINFO = re.compile(
    r"(?:(?::(?:\\*/){2})(?:[^\s\0/?\"'<>\\:@]*:[^\s\0/?\"'<>\\]*|[^\s\0/?\"'<>\\]{20,})"
    r"|%3A%2F%2F[^\s\0%]*%3A(?:[^\s\0%\"'<>\\]|%(?!2F|3F|40))*)(?=@|%40)"
)
"""user:password@, and a lone user of 20 characters or more: a token. ``git@`` stays. The password may hold anything but
what ends a URL: an @ or a # left unquoted makes it no less a secret.
"""
_ROOT = re.compile(r":(?:\\*/){2}|%3A%2F%2F")


def _userinfo(text: str, start: int, end: int) -> Span:
    found, root = _USERINFO.match(text, start), _ROOT.match(text, start)
    if found is None or root is None:
        return end, end
    return root.end(), found.end()


_WEBHOOK = re.compile(r"[a-z0-9]+/([^\s\0\"'`\\<>()]{24,})")


def _webhook(text: str, start: int, end: int) -> Span:
    """Who knows the path of a chat's webhook may write there."""
    host = text[max(0, start - 40) : start]
    if not host.endswith(("hooks.slack.com", "discord.com/api", "discordapp.com/api", ".office.com")):
        return end, end
    found = _WEBHOOK.match(text, end)
    return (end, end) if found is None else (found.start(1), found.end())


# ------------------------------------------------------------------------------------------------ blocks

_BLOCK = re.compile(r"(?:[A-Za-z0-9+/=:,.\s-]|\\+[nrt]|\\+/)*")


def _private_key(text: str, _start: int, end: int) -> Span:
    """The lines of a private key, whatever escapes them; where the end is missing, as far as they go."""
    found = _BLOCK.match(text, end)
    last = end if found is None else found.end()
    closing = text.find("-----END", end, last)
    last = last if closing < 0 else closing
    return (end if text[end:last].strip("\\nrt \n\r\t") else last), last


def _scheme(text: str, start: int, end: int) -> Span:
    last = text[end - 1]
    return (_private_key if last == "-" else _bearer if last in "rR" else _basic)(text, start, end)


_BEFORE_DASH = "|".join(sorted({prefix[-3:] for prefix in _AFTER_DASH}))
"""How the prefixes end. It is asked for each dash of an id."""

RULES: Tuple[Rule, ...] = (
    Rule(
        "b",
        "b(?=egin |earer|asic)(?:(?<=-----b)egin [a-z0-9 ]{0,60}private key(?: block)?-----|earer|asic)",
        _scheme,
        any_case=True,
    ),
    Rule("z", r"z(?<=uthoriz)ation\\*[\"']?\s{0,4}(?:[:=,]|%3a)", _authorization, any_case=True),
    Rule(
        "_",
        "_(?:(?=[A-Za-z0-9]{16})|(?<=v1_|gd_|at_|et_|fp_|pw_|kn_|th_|ve_|st_|hx_|sk_)(?=[A-Za-z0-9_-]{20}))",
        _issued,
    ),
    Rule("-", f"-(?=[A-Za-z0-9_-]{{16}})(?<={_BEFORE_DASH})", _issued),
    Rule(".", r"\.(?=eyJ|[A-Za-z0-9_-]{16}|[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27})", _dotted),
    Rule(
        "A",
        "A(?<![0-9A-DF-SU-Z]A)(?=[A-Z0-9]{16}|A[A-Za-z0-9_-]{30}|3T[A-Z0-9]{17}|IzaS?[A-Za-z0-9_-]{30}"
        "|I[A-Za-z0-9]{16}|TATT3x|TCTT3x|BSK[A-Za-z0-9+/]{60}|KCp[A-Za-z0-9]{60})",
        _either(
            _rest("(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])|3T[A-Z0-9]{17}(?![A-Za-z0-9])", "A"),
            _rest("Iza[A-Za-z0-9_-]{30,}", "A"),
            _rest("I[A-Za-z0-9]{16,24}(?![A-Za-z0-9])", "LTA"),
            _rest("(?:TATT|TCTT)3x[A-Za-z0-9_=-]{20,}", "A"),
            _rest("BSK[A-Za-z0-9+/]{60,}={0,2}", "A"),
            _rest("KCp[A-Za-z0-9]{60,}", "A"),
            _rest("A[A-Za-z0-9_-]{40,}", "EA"),
            _telegram,
        ),
    ),
    Rule("p", "p(?=i[a-f0-9]{32})", _rest("i[a-f0-9]{32}(?:-[0-9])?", "dap")),
    Rule("S", "S(?=K[0-9a-f]{32})", _rest("K[0-9a-f]{32}(?![A-Za-z0-9])", "S")),
    Rule("~", "~(?=[A-Za-z0-9_~.-]{31})", _either(_azure_client, _rest("[A-Za-z0-9_-]{43}", "sha256~"))),
    Rule("/", "/(?=services/|workflows/|triggers/|webhooks/|webhookb2/)", _webhook),
)
"""In this order: a key that has its issuer's prefix is known, whatever stands around it."""

LAST_RULES: Tuple[Rule, ...] = (Rule("@", r":(?=\\*/)", _userinfo), Rule("%", "%(?=3A%2F%2F)", _userinfo))

_CREDENTIAL_HEADERS = words(
    """
    authorization proxy-authorization cookie set-cookie x-api-key api-key x-goog-api-key x-auth-token
    x-access-token x-amz-security-token x-hf-token ocp-apim-subscription-key
    """
)


def is_credential(header: str) -> bool:
    """Whether an HTTP header, by its name (also as attributes spell it, with underscores), holds only a secret."""
    return header.lower().replace("_", "-") in _CREDENTIAL_HEADERS
