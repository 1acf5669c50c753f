"""What an answer of OpenObserve's API means for a person: status, headers and body in, one ``ApiError`` or none out.

The counterpart of ``answers``, which judges deliveries. Recorded answers are in tests/recordings.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

from hf_openobserve.config.credentials import decoded
from hf_openobserve.openobserve.answers import one_line, server_sentence, shown_address

UNREACHABLE = "unreachable"  # no connection, no TLS, or no answer in time
REDIRECT = "redirect"
WEB_PAGE = "web page"  # a login page or a proxy's, under 200
NOT_OPENOBSERVE = "not openobserve"  # an answer that no OpenObserve gives
CREDENTIALS = "credentials"  # 401
FORBIDDEN = "forbidden"  # 403: a known user without the right
ORGANIZATION = "organization"  # there is none of that name
NO_SUCH_API = "no such api"  # an older server, or an address that leads elsewhere
NOT_FOUND = "not found"  # the thing that was asked for
CONFLICT = "conflict"  # changed by somebody else since it was read
UNAVAILABLE = "unavailable"  # 429, 5xx: it may work later
REFUSED = "refused"  # the request itself is wrong, or its name is taken

CODE_NO_STREAM = 20002
CODE_NO_COLUMN = 20004
"""Of a search, in ``ApiError.code``."""

ADMIN = "--user NAME or OPENOBSERVE_HF_ADMIN_TOKEN"
"""How a person gives another user than the one whose token delivers spans."""

_CLOUD = "openobserve.ai"


class Question(NamedTuple):
    """What was asked, as far as an error's sentence needs it."""

    base_url: str
    organization: str
    right: str
    """What the caller must be allowed to do, as in "may not <right>": ``read dashboards``."""
    path: str
    authorization: str
    """Of it only whether it is an ingestion token is said."""


class ApiError(Exception):
    """The text is one complete line for a person: what is wrong, and what to do. It holds no secret."""

    def __init__(self, kind: str, line: str, *, status: int = 0, code: int = 0, sentence: str = "") -> None:
        super().__init__(line)
        self.kind = kind
        """One of the constants above."""
        self.status = status
        """Of HTTP; 0 without an answer."""
        self.code = code
        """OpenObserve's own, of a search."""
        self.sentence = sentence
        """The server's."""


def explain(question: Question, status: int, headers: Mapping[str, str], body: bytes) -> Optional[ApiError]:
    """None for an answer that can be used. ``headers`` is case-insensitive or has lower-case names."""
    sentence = _sentence(body)
    what = f"{question.base_url} answers {status}" + (f" ({sentence})" if sentence else "")

    def error(kind: str, line: str, code: int = 0) -> ApiError:
        return ApiError(kind, line, status=status, code=code, sentence=sentence)

    if 200 <= status < 300:
        if "html" in headers.get("content-type", ""):
            line = f"{question.base_url} answers with a web page ({status}), not as OpenObserve's API does"
            return error(WEB_PAGE, f"{line}: a proxy or a login stands before it; check OPENOBSERVE_URL")
        return None
    if 300 <= status < 400:
        target = shown_address(headers.get("location", ""))
        line = f"{question.base_url} redirects ({status}) to {target}"
        return error(REDIRECT, f"{line}: set OPENOBSERVE_URL to the address that answers itself, or log in there")
    if status == 401:
        return error(CREDENTIALS, f"{what}: {_credentials(question)}")
    if status == 403:
        line = f"{what}: this user may not {question.right} in the organization {question.organization}"
        return error(FORBIDDEN, f"{line}; ask for that right, or give another user with {ADMIN}{_on_cloud(question)}")
    if status == 404:
        if "organization not found" in sentence.lower():
            line = f"{question.base_url} has no organization {question.organization}; check OPENOBSERVE_ORG"
            return error(ORGANIZATION, line + _on_cloud(question))
        if "json" in headers.get("content-type", ""):
            return error(NOT_FOUND, what)
        line = f"{question.base_url} has no {question.path} ({status})"
        return error(NO_SUCH_API, f"{line}: OPENOBSERVE_URL leads elsewhere, or the server is too old")
    if status in (405, 406, 410, 501):
        line = f"{what} to {question.path}"
        return error(NO_SUCH_API, f"{line}: OPENOBSERVE_URL leads elsewhere, or the server is too old")
    if status == 409:
        return error(CONFLICT, what)
    if status == 429 or status in (502, 503, 504):
        return error(UNAVAILABLE, f"{what}: try again later")
    return error(REFUSED, what, _code(body))


def may_only_write(authorization: str) -> bool:
    """Whether these credentials are an organization's ingestion token. One of an older server cannot be told."""
    scheme, _, rest = authorization.partition(" ")
    return scheme.lower() == "basic" and decoded(rest.strip()).partition(b":")[2].startswith(b"o2oi_")


def reading_error(question: Question, body: bytes) -> ApiError:
    """For an answer under 200 that is no JSON."""
    begins = one_line(body[:80].decode("utf-8", "replace"))
    line = f'{question.base_url} answers {question.path} with what is no JSON ("{begins}")'
    return ApiError(NOT_OPENOBSERVE, f"{line}: is it OpenObserve? check OPENOBSERVE_URL", status=200)


def _credentials(question: Question) -> str:
    if may_only_write(question.authorization):
        line = f"an ingestion token (o2oi_...) may write spans and not {question.right}"
    else:
        line = (
            f"the user or password is wrong, is none of the organization {question.organization}, "
            f"or is a token that may write spans and not {question.right}"
        )
    return f"{line}; give a user who may with {ADMIN}{_on_cloud(question)}"


def _on_cloud(question: Question) -> str:
    host = urlsplit(question.base_url).hostname or ""
    if host != _CLOUD and not host.endswith("." + _CLOUD):
        return ""
    return (
        ". On OpenObserve Cloud the organization is the org_identifier in the web page's address, "
        "seldom default, and OPENOBSERVE_URL is https://api.openobserve.ai"
    )


def _sentence(body: bytes) -> str:
    """The server's; of a query that the engine refuses, the engine's reason too."""
    try:
        detail = one_line(str(json.loads(body.decode("utf-8", "replace")).get("error_detail") or ""))
    except (ValueError, AttributeError, RecursionError):
        detail = ""
    sentence = server_sentence(body)
    return f"{sentence}: {detail}" if detail else sentence


def _code(body: bytes) -> int:
    try:
        answer: Any = json.loads(body.decode("utf-8", "replace"))
        return int(answer["code"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
