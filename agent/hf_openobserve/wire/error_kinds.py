"""Which kind of error a server or a client tells of: one closed list, and the tables behind it. Pure.

docs/errors.md says of each kind what it means and what to do about it.
"""

from __future__ import annotations

import re
from typing import Collection, FrozenSet, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from hf_openobserve.wire.routing import DEDICATED_DOMAIN

KINDS = (
    "auth_invalid",
    "credits_exhausted",
    "permission_missing",
    "gated_model",
    "model_not_supported",
    "rate_limited",
    "model_loading",
    "provider_overloaded",
    "gateway_timeout",
    "context_length",
    "length_limit",
    "content_filter",
    "bad_request",
    "connection",
    "client_timeout",
    "cancelled",
    "stream_broken",
    "server_error",
)
"""The values of ``hf.error.kind``; each is an anchor of docs/errors.md."""

SEARCHED = 4000
"""Characters of a sentence that are looked through."""


def _set(names: str) -> FrozenSet[str]:
    return frozenset(names.split())


class _Rule(NamedTuple):
    """Fits an answer that has one of the codes, or a sentence like ``words``: a regular expression, in lower case."""

    kind: Optional[str]
    words: str
    codes: FrozenSet[str] = frozenset()
    statuses: Optional[FrozenSet[Optional[int]]] = None
    """Where the rule holds; None is everywhere. Among them, None is an error without a status: of a stream, or a
    client.
    """


_HIDDEN: FrozenSet[Optional[int]] = frozenset({None, 401, 403, 404})
_REFUSED: FrozenSet[Optional[int]] = frozenset({None, 400, 401, 403, 404, 422})
_BUSY: FrozenSet[Optional[int]] = frozenset({None, 408, 424, 429, 500, 502, 503, 504, 529})

_NO_CREDITS = _set("insufficient_quota billing_hard_limit_reached billing_not_active not_enough_balance credit_limit")

_RULES = (
    _Rule(
        "credits_exhausted",
        r"monthly (included )?credits|credit (limit|balance)|exceeded your current quota|billing hard limit"
        r"|(insufficient|not enough|out of|no|exhausted|depleted)( \w+){0,2} (credits?|balance|funds)\b"
        r"|spend(ing)? (limit|cap)",
        _NO_CREDITS,
        _BUSY | {401, 402, 403},
    ),
    # What is said of a wrong request may quote it: here the server itself must speak, of the account that was to pay.
    _Rule(
        "credits_exhausted",
        r"(^|[.!] |\berror: )(you( have|'ve)? (depleted|exceeded|reached|used up) your [^'\"`]{0,40}"
        r"(credits?|quota|(spend(ing)?|credit) (limit|cap))"
        r"|your (\w+ )?(account|balance|organization|team|workspace)\b[^'\"`]{0,60}"
        r"(balance|credits?|funds|too low|(spend(ing)?|credit) (limit|cap)))|^billing hard limit",
        _NO_CREDITS,
        frozenset({400}),
    ),
    _Rule(
        "gated_model",
        r"\bgated (repo|model)|\bmodel is gated|\b(model|repo|repository|dataset) \S+ is restricted"
        r"|not in the authorized list|awaiting a review|\b(ask|request) (for )?access\b(?! token)",
        _set("gatedrepo model_terms_required"),
        _HIDDEN,
    ),
    _Rule(
        "model_not_supported",
        r"\bmodel\b.{0,150}\b(not|no longer) supported (by|for task)\b|\b(provider|task) '[^']*' not supported"
        r"|no provider mapping|unable to access model|too large to be loaded automatically|repository not found"
        r"|\bmodel\b( \S+)?,? (is |was |could |does )?(not (be )?(found|exist|deployed)|not available)"
        r"|\bmodel\b.{0,150} has been (decommissioned|deprecated|retired|removed)"
        r"|(no such|unknown|unsupported|invalid) model( id| name|:| '| `|$)",
        _set("model_not_supported model_not_found model_not_available model_decommissioned invalid_model reponotfound"),
        frozenset({None, 400, 403, 404, 410, 422}),
    ),
    _Rule(
        "model_loading",
        r"(currently|still|is|being) (loading|initiali[sz]ing|starting)|loading model|scaled to (zero|0)"
        r"|endpoint .{0,40}(paused|not running|not (yet )?ready)|bad request: invalid state",
        _set("model_loading"),
    ),
    _Rule(
        "provider_overloaded",
        r"overload|too busy|is busy|(at|maximum|max|no|insufficient|out of|over) (\w+ )?capacity|capacity exceeded"
        r"|high (\w+ )?(demand|traffic|load)\b|no healthy upstream",
        _set("overloaded overloaded_error queue_exceeded"),
        _BUSY,
    ),
    _Rule(
        "rate_limited",
        r"rate[ _-]?limit|too many (\w+ ){0,2}requests|(requests?|tokens) per (second|minute|hour|day)"
        r"|reached (free|pro) .{0,20}usage limit|throttl",
        _set("rate_limit_exceeded rate_limit_error too_many_requests throttlingexception resource_exhausted"),
        _BUSY | {403, 413},
    ),
    _Rule(
        "context_length",
        r"max(imum)? (context|model|prompt|input|sequence) (window )?len|range of input length|configured context size"
        r"|exceed.{0,80}(context (length|window|size|limit)|token limit|(number of|max\w*) tokens"
        r"|(sequence|max\w*) length|length limit)"
        r"|((context|input|prompt) (length|window|size)|token count|input tokens?).{0,80}exceed|more than max tokens"
        r"|(prompt|inputs?|request|messages?|conversation|sequence|text) (is|are) too long"
        r"|too many (\w+ )?tokens(?! per|, please wait)|longer than .{0,60}(context|max)"
        r"|greater than the context length|tokens? \+ .{0,30}max_new_tokens|have less than \d+ tokens"
        r"|reduce the length of (the|your)",
        _set("context_length_exceeded exceed_context_size_error model_context_window_exceeded"),
        frozenset({None, 400, 413, 422, 424, 500}),
    ),
    _Rule(
        "content_filter",
        r"content[ _-]?(filter|management|policy|policies|moderat|checker)|content exists risk"
        r"|safety (system|filter|check)|flagged (as|for|by)|(usage|acceptable use) (policy|policies|guidelines)"
        r"|inappropriate content|requires moderation|sensitive content",
        _set("content_filter content_policy_violation moderation_blocked data_inspection_failed"),
        frozenset({None, 400, 403, 422, 451, 500}),
    ),
    _Rule(
        "permission_missing",
        r"sufficient (permission|scope|privilege)|missing (required )?(scope|permission)"
        r"|(not|n't) have (the )?(\w+ )?(permission|scope)|requires? a pro subscription",
        _set("insufficient_permissions permission_error"),
        _REFUSED,
    ),
    _Rule(
        "auth_invalid",
        r"invalid (username or password|credentials|(api|access|auth\w*|bearer|user|hf) (key|token)\b)"
        r"|incorrect api key|api[ _-]?key (is )?(not valid|invalid|missing|required|expired)"
        r"|\btoken .{0,60}(is|has) (been )?(expired|revoked)"
        r"|must provide an api[ _]key|no (api key|auth credentials)|could not resolve authentication"
        r"|non-hugging face api key",
        _set("invalid_api_key authentication_error"),
        _REFUSED,
    ),
    # A firewall stands before the server: no permission of a token helps.
    _Rule(None, r"attention required|request blocked|request could not be satisfied", statuses=frozenset({403})),
    _Rule(
        "gateway_timeout",
        r"(upstream|gateway|request|generation|operation|server|inference|call) (\w+ ){0,2}time(d|s)?[ -]?out"
        r"|deadline exceeded",
        _set("timeout timeout_error"),
        frozenset({None, 500, 502, 503}),
    ),
)
"""The first that fits says the kind: a used-up budget before a limit of the pace, an overload before the pace, the pace
before the size of a prompt. Providers send any of them with 429 or 400, and the sentence knows better than the status.
"""

_BY_STATUS = {
    401: "auth_invalid",
    402: "credits_exhausted",
    403: "permission_missing",
    407: "connection",  # a proxy's, before any server was asked
    408: "gateway_timeout",
    424: "server_error",  # Text Generation Inference: the generation failed
    429: "rate_limited",
    499: None,  # somebody between hung up
    503: "provider_overloaded",
    504: "gateway_timeout",
    522: "gateway_timeout",  # 522 and 524 are Cloudflare's
    524: "gateway_timeout",
    529: "provider_overloaded",
}

_BY_CODE = (
    ("length_limit", _set("max_output_tokens length")),
    ("bad_request", _set("validation validation_error invalid_request_error invalid_request bad_request")),
    ("server_error", _set("server_error internal_error internal_server_error generation api_error")),
)
"""For errors without a status, as inside a stream."""


def kind_of(
    *,
    status_code: Optional[int] = None,
    sentence: str = "",
    codes: Collection[str] = (),
    url: str = "",
    streaming: bool = False,
) -> Optional[str]:
    """The kind of error that a server tells of.

    status_code: HTTP's, or what an error inside a stream gives as its own. codes: the body's ``code``, ``type`` and
    their relatives, in lower case. url: the request's, or its path. streaming: the answer had begun.
    """
    said, given = sentence[:SEARCHED].lower(), frozenset(codes)
    for rule in _RULES:
        if rule.statuses is not None and status_code not in rule.statuses:
            continue
        if given & rule.codes or re.search(rule.words, said):
            return rule.kind
    if status_code is None:
        kind = next((kind for kind, known in _BY_CODE if given & known), None)
    else:
        kind = _by_status(status_code, url)
    # Of a server that failed halfway the program has the first half.
    return "stream_broken" if streaming and kind in (None, "server_error") else kind


def _by_status(status_code: int, url: str) -> Optional[str]:
    if status_code in (502, 503) and _host_and_path(url)[0].endswith(DEDICATED_DOMAIN):
        return "model_loading"  # scaled to zero, and on its way
    if status_code in _BY_STATUS:
        return _BY_STATUS[status_code]
    if status_code == 404 and _host_and_path(url)[1].startswith("/hf-inference/models/"):
        return "model_not_supported"  # hf-inference: "Not Found" is all it says of a model that it does not have
    if 400 <= status_code < 500:
        return "bad_request"
    return "server_error" if 500 <= status_code < 600 else None


def _host_and_path(url: str) -> Tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.hostname or "", parts.path


BY_CLASS: Tuple[Tuple[Optional[str], FrozenSet[str]], ...] = (
    (
        "cancelled",
        _set(
            "asyncio.CancelledError concurrent.CancelledError trio.Cancelled greenlet.GreenletExit"
            " builtins.KeyboardInterrupt builtins.SystemExit builtins.GeneratorExit"
        ),
    ),
    ("content_filter", frozenset({"openai.ContentFilterFinishReasonError"})),
    ("length_limit", frozenset({"openai.LengthFinishReasonError"})),
    ("bad_request", frozenset({"huggingface_hub.HFValidationError"})),
    ("auth_invalid", frozenset({"huggingface_hub.LocalTokenNotFoundError"})),
    (
        "client_timeout",
        _set(
            "openai.APITimeoutError huggingface_hub.InferenceTimeoutError httpx.TimeoutException"
            " httpx2.TimeoutException httpcore.TimeoutException requests.Timeout urllib3.ReadTimeoutError"
            " aiohttp.ServerTimeoutError asyncio.TimeoutError concurrent.TimeoutError gevent.Timeout socket.timeout"
            " builtins.TimeoutError"
        ),
    ),
    (
        "connection",
        _set(
            "openai.APIConnectionError httpx.TransportError httpx2.TransportError httpx.InvalidURL httpx2.InvalidURL"
            " httpcore.NetworkError httpcore.ProtocolError requests.ConnectionError requests.ChunkedEncodingError"
            " requests.InvalidURL requests.MissingSchema requests.InvalidSchema aiohttp.ClientConnectionError"
            " aiohttp.ClientPayloadError aiohttp.InvalidURL urllib3.HTTPError builtins.ConnectionError"
            " socket.gaierror ssl.SSLError"
        ),
    ),
)
"""Errors without an answer, by any class they are of. In this order: a time out is often a connection error as well."""
