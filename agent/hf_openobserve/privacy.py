"""The last stage before a record is encoded: what it lets through reaches the disk and the server. Pure.

Always: secrets are masked; base64 media and embedding vectors become type, size and digest. On demand: content is removed,
all of it (``OPENOBSERVE_HF_CAPTURE_CONTENT=none``) or what ``OPENINFERENCE_HIDE_*`` names, on any span, by attribute name.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
import struct
from collections import abc
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    List,
    Mapping,
    Match,
    NamedTuple,
    Optional,
    Pattern,
    Set,
    Tuple,
)
from urllib.parse import quote

from hf_openobserve.environment_variables import OPENINFERENCE_HIDE_PREFIX
from hf_openobserve.record import EventRecord, SpanRecord

SHORTEST_SECRET = 8
"""Characters. A shorter literal would be found inside ordinary words."""

REDACTED = "__REDACTED__"
"""OpenInference's own replacement, used where a message keeps its role and loses its text."""


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


HIDE_NAMES = _words(
    """
    INPUTS OUTPUTS INPUT_MESSAGES OUTPUT_MESSAGES INPUT_IMAGES INPUT_TEXT OUTPUT_TEXT LLM_INVOCATION_PARAMETERS LLM_TOOLS
    PROMPTS CHOICES EMBEDDINGS_VECTORS EMBEDDINGS_TEXT EMBEDDING_VECTORS RETRIEVAL_DOCUMENTS
    """
)
"""Suffixes of ``OPENINFERENCE_HIDE_*`` known to any OpenInference from 0.1.27 to 0.1.72."""


class Policy(NamedTuple):
    """What may pass."""

    capture_content: bool
    """False: ``OPENOBSERVE_HF_CAPTURE_CONTENT=none``, no prompt or answer text at all."""

    hide: FrozenSet[str]
    """Members of ``HIDE_NAMES`` that are in force."""

    secrets: Tuple[str, ...]
    """Literal texts to mask wherever they occur, longest first."""


def build_policy(*, capture_content: bool, environ: Mapping[str, str], secrets: Iterable[str] = ()) -> Policy:
    """The policy of this process.

    A hide variable counts when it is ``true`` in any case, as in OpenInference, and also as ``1``, ``yes`` or ``on``, which
    OpenInference warns about and ignores: whoever wrote that wants the content hidden. Secrets are also looked for as
    JSON and URLs would write them.
    """
    hide = frozenset(
        name
        for name in HIDE_NAMES
        if environ.get(OPENINFERENCE_HIDE_PREFIX + name, "").strip().lower() in ("true", "1", "yes", "on")
    )
    literals: Set[str] = set()
    for secret in secrets:
        # A row of asterisks would find itself in its own mask.
        if len(secret) >= SHORTEST_SECRET and secret.strip("*"):
            literals.update(
                (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="", errors="replace"))
            )
    return Policy(capture_content, hide, tuple(sorted(literals, key=lambda text: (-len(text), text))))


def hidden_by_config(config: object) -> FrozenSet[str]:
    """``HIDE_NAMES`` that a ``TraceConfig`` (or anything with its public ``hide_*`` attributes) hides."""
    return frozenset(name for name in HIDE_NAMES if getattr(config, "hide_" + name.lower(), None) is True)


def apply(record: SpanRecord, policy: Policy) -> SpanRecord:
    """Make the record fit to be stored, in place: name, status message, attributes, events and links."""
    hide = policy.hide if policy.capture_content else policy.hide | _EVERYTHING
    if hide:
        _hide(record, hide)
    no_vectors = bool(hide & _VECTOR_NAMES)
    _fold_embeddings(record.attributes, with_digest=not no_vectors)

    def clean(text: str) -> str:
        return mask_text(_compact(text, no_vectors=no_vectors), policy)

    record.name = mask_text(record.name, policy)
    record.status_message = clean(record.status_message)
    _clean(record.attributes, clean)
    for index, event in enumerate(record.events):
        attributes = dict(event.attributes)
        _clean(attributes, clean)
        record.events[index] = event._replace(name=mask_text(event.name, policy), attributes=attributes)
    for index, link in enumerate(record.links):
        attributes = dict(link.attributes)
        _clean(attributes, clean)
        record.links[index] = link._replace(attributes=attributes)
    return record


def mask_resource(attributes: Mapping[str, Any], policy: Policy) -> Dict[str, Any]:
    """A resource's attributes with secrets masked (``process.command_args`` is where they turn up)."""
    return {key: _each_text(value, lambda text: mask_text(text, policy)) for key, value in attributes.items()}


def mask_text(text: str, policy: Policy) -> str:
    """The text without secrets: the policy's literals, and whatever has the form of a credential. Idempotent, linear.

    Most texts hold none, and some are 100 KB long: each pattern is tried only on a text that contains its hint, since
    ``str.find`` is some thirty times faster than ``re``.
    """
    if len(text) < SHORTEST_SECRET:
        return text
    for secret in policy.secrets:
        if secret in text:
            text = text.replace(secret, _literal_mask(secret))
    for rare, masks in _MASKS:
        if rare in text:
            for hint, pattern, replace in masks:
                if hint in text:
                    text = pattern.sub(replace, text)
    return text


# ------------------------------------------------------------------------------------------------ secrets


_TURN = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[0-9])|[0-9](?=[A-Za-z])")
"""A change of character class inside a word: random text has one every other character, words have few."""

_LETTERS_AND_DIGITS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _is_key(run: str) -> bool:
    """Whether what follows a prefix such as ``hf_`` is a key rather than words.

    Prefix alone says nothing: ``hf_hub_download``, ``sk-learn``. Keys are long and random: Hugging Face's have 34 letters
    and digits, sometimes without a digit, so a digit cannot be asked for; OpenAI's have 40 to 160, with ``-`` and ``_`` in
    between, as words have. Hence: a piece between separators that is longer than words get (25), or one of 16 with a
    digit in it, or 20 characters that change class three times (a random run of 20 does so in 99.8 % of cases).
    """
    pieces = run.replace("-", "_").replace(".", "_").split("_")
    if max(map(len, pieces)) >= 25:
        return True
    if any(len(piece) >= 16 and not piece.isalpha() for piece in pieces):
        return True
    return len(run) >= 20 and len(_TURN.findall(run)) >= 3


_ESCAPE = re.compile(r"(?:%[0-9A-Fa-f]{2}|\\[abfnrtv]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8})\Z")


def _starts_word(text: str, index: int) -> bool:
    """True if no letter or digit stands before ``index``, other than one that ends an escape (newline's, or ``%3D``)."""
    before = text[max(0, index - 10) : index]
    return not before or before[-1] not in _LETTERS_AND_DIGITS or _ESCAPE.search(before) is not None


def _literal_mask(secret: str) -> str:
    for prefix in ("hf_", "api_org_", "sk-", "o2oi_", "Bearer ", "Basic "):
        if secret.startswith(prefix):
            return prefix + "***"
    return "***"


def _mask_prefixed(match: Match[str]) -> str:
    return match.group(1) + "***" if _is_key(match.group(2)) else match.group()


_INNER_SK = re.compile(r"(?<![A-Za-z0-9])sk-")


def _mask_sk(match: Match[str]) -> str:
    """``sk-...``, but not the end of ``task-<id>``, ``disk-<id>``: there a word runs into it."""
    run, kept = match.group(), ""
    if not _starts_word(match.string, match.start()):
        inner = _INNER_SK.search(run, 1)
        if inner is None:
            return run
        kept, run = run[: inner.start()], run[inner.start() :]
    return kept + ("sk-***" if _is_key(run[3:]) else run)


def _mask_bearer(match: Match[str]) -> str:
    """A token, not a word: "bearer of bad news" stays, "Bearer eyJ..." does not. Shorter than 8 is judged by its header."""
    scheme, token = match.group(1), match.group(2)
    bare = token.rstrip(".-")
    secret = len(bare) >= 8 and (any("0" <= c <= "9" for c in bare) or len(_TURN.findall(bare)) >= 3 or _is_key(bare))
    return scheme + "***" + token[len(bare) :] if secret else match.group()


def _mask_basic(match: Match[str]) -> str:
    """Base64 of printable text with a colon in it. English words decode to bytes that are not text."""
    try:
        credentials = _decode(match.group(2)).decode("utf-8")
    except ValueError:
        return match.group()
    return match.group(1) + "***" if ":" in credentials and credentials.isprintable() else match.group()


_NO_CREDENTIALS = _words(
    "and auth authentication credentials for header headers is or realm required scheme string token tokens"
)
"""What prose and schemas put where a header has its credentials."""


def _mask_authorization(match: Match[str]) -> str:
    """The header's value, whatever its length and form, if it names a scheme; else if it has a key's form."""
    name, scheme, value = match.group(1), match.group(2) or "", match.group(3)
    if value.lower().partition("=")[0] in _NO_CREDENTIALS:
        return match.group()
    if scheme or (len(value) >= 8 and not value.isalpha() and any("0" <= c <= "9" for c in value)):
        return name + scheme + "***"
    return match.group()


def _mask_userinfo(match: Match[str]) -> str:
    """``user:password@``, and a lone user of 20 characters or more: a token. ``git@`` stays."""
    before, userinfo, after = match.groups()
    if ":" in userinfo or "%3A" in userinfo.upper() or len(userinfo) >= 20:
        return str(before) + "***" + str(after)
    return match.group()


_SPACE = r"(?:\s|\+|%20|\\[nt]|\\u0020){1,8}"
_SCHEMES = "(?:(?i:basic|bearer|token|apikey)" + _SPACE + ")"
_NO_SCHEME = "(?!" + _SCHEMES + ")"  # "Basic Basic ..." is a common mistake: the second one has the credentials
_TOKEN_RUN = r"[A-Za-z0-9._~+/-](?:[A-Za-z0-9._~+/-]|%2[BbFf]|%3[Dd]|%7[Ee])*=*"  # noqa: S105 - a pattern
# Words of small letters are not looked at: credentials encode to such a text practically never.
_BASE64_RUN = r"(?=[a-z]{0,64}[A-Z0-9+/=%])(?:[A-Za-z0-9+/_-]|%2[BbFf]){4,}(?:=|%3[Dd]){0,2}"
_QUOTE = r"(?:\\{0,8}[\"']|%22)"
_AUTHORIZATION_REST = (
    "(?i:" + _QUOTE + r"?(?:\s|\+|%20){0,4}(?:[:=,]|%3a|%3d)(?:\s|\+|%20|[\[(]){0,4}(?:b?" + _QUOTE + ")?)"
)
_AUTHORIZATION_VALUE = "(" + _SCHEMES + r"{1,3})?([^\s\"'\\<>{}\[\](),;&]+)"

_Mask = Tuple[str, Pattern[str], Callable[[Match[str]], str]]


def _header_masks() -> Iterable[_Mask]:
    """HTTP names are case-insensitive; programs write them lower, capitalised or (in CGI variables) upper."""
    for stem in ("uthorization", "UTHORIZATION"):
        yield stem, re.compile("(" + stem + _AUTHORIZATION_REST + ")" + _AUTHORIZATION_VALUE), _mask_authorization
    for stems, run, replace in (
        (("earer", "EARER"), _TOKEN_RUN, _mask_bearer),
        (("asic", "ASIC"), _BASE64_RUN, _mask_basic),
    ):
        for stem in stems:
            pattern = "(" + stem + "(?<=[bB]" + stem + ")" + _SPACE + ")" + _NO_SCHEME + "(" + run + ")"
            yield stem, re.compile(pattern), replace


_MASKS: Tuple[Tuple[str, Tuple[_Mask, ...]], ...] = (
    ("", tuple(_header_masks())),
    (
        "_",
        (
            ("hf_", re.compile(r"(hf_)([A-Za-z0-9]{20,})"), _mask_prefixed),
            # OAuth tokens of Spaces are JSON Web Tokens behind the prefix.
            ("hf_oauth_", re.compile(r"(hf_oauth_)([A-Za-z0-9._-]{20,})"), _mask_prefixed),
            ("hf_jwt_", re.compile(r"(hf_jwt_)([A-Za-z0-9._-]{20,})"), _mask_prefixed),
            ("api_org_", re.compile(r"(api_org_)([A-Za-z0-9]{20,})"), _mask_prefixed),
            ("o2oi_", re.compile(r"(o2oi_)([A-Za-z0-9_-]{16,})"), _mask_prefixed),
        ),
    ),
    ("sk-", (("sk-", re.compile(r"sk-[A-Za-z0-9_-]{16,}"), _mask_sk),)),
    (
        "@",
        (
            # The password may hold anything but what ends a URL: an @ or a # left unquoted makes it no less a secret.
            ("://", re.compile(r"(://)([^\s/?\"'<>\\]+)(@)"), _mask_userinfo),
            (":\\/\\/", re.compile(r"(:\\/\\/)([^\s/?\"'<>\\]+)(@)"), _mask_userinfo),
        ),
    ),
    (
        "%40",
        tuple(
            (colon, re.compile("(" + colon + r")((?:[^\s%/?\"'<>\\&]|%(?!40|2[Ff]))+)(%40)"), _mask_userinfo)
            for colon in ("%3A%2F%2F", "%3a%2f%2f")
        ),
    ),
)
"""By a sign that is rare: (hint, pattern, replacement). Every pattern begins with its hint: ``re`` then searches fast."""

_CREDENTIAL_HEADERS = _words("authorization proxy-authorization cookie set-cookie x-api-key api-key x-goog-api-key")


def _is_credential(name: str) -> bool:
    return name.lower().replace("_", "-") in _CREDENTIAL_HEADERS


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text in it changed. What is no attribute value becomes its text, as the encoder would write it."""
    if isinstance(value, str):
        return change(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return change(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if isinstance(value, abc.Mapping):
        return {_each_text(key, change): _member(key, item, change) for key, item in value.items()}
    if isinstance(value, (abc.Sequence, abc.Set)):
        if {type(item) for item in value} <= {bool, int, float}:
            return value
        items = [_each_text(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    try:
        return change(str(value))
    except Exception:  # noqa: BLE001 - it is the application's __str__
        return None


def _member(key: Any, value: Any, change: Callable[[str], str]) -> Any:
    return "***" if isinstance(key, str) and _is_credential(key) else _each_text(value, change)


def _clean(attributes: Dict[str, Any], clean: Callable[[str], str]) -> None:
    for key, value in list(attributes.items()):
        if isinstance(value, (bool, int, float)):
            continue
        if "header" in key:
            if key in ("gen_ai.headers", "llm.headers"):
                # OpenLLMetry writes the caller's extra headers here, credentials and all.
                del attributes[key]
                continue
            if _is_credential(key.rsplit(".", 1)[-1]):
                attributes[key] = _each_text(value, lambda _: "***")
                continue
        try:
            attributes[key] = _each_text(value, clean)
        except RecursionError:
            del attributes[key]


# ------------------------------------------------------------------------------------------------ media and vectors


_SHORTEST_PAYLOAD = 64
"""Characters of base64 behind a media type, or under a name that says what it is, that stay as they are."""

_SHORTEST_RUN = 1024
"""Characters of base64 without any context that stay as they are."""

_SHORTEST_VECTOR = 16

_DATA_URI = ";base64,"
_PAYLOAD = re.compile(
    r"(?:[A-Za-z0-9+/_-]+|%2[BbFf]|\\/|(?:\\[nr]|[\r\n]){1,4}(?=[A-Za-z0-9+/]{40}|[A-Za-z0-9+/]*=))*(?:=|%3[Dd])*"
)
_NAMED_PAYLOAD = re.compile(r'("(?:embedding|b64_json)"\s*:\s*")([A-Za-z0-9+/_-]{64,}={0,2})(?=")')
_RUN = re.compile(r"[A-Za-z0-9+/_-]*")
_RUN_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_NUMBERS = re.compile(r"\[[-+0-9.eE,\s]{31,}\]")
"""An array of at least 16 numbers has 31 characters. The class holds no bracket, so no two attempts overlap; in JSON,
outside its strings, nothing else has this form.
"""


def _compact(text: str, *, no_vectors: bool = False) -> str:
    """Base64 and vectors as type, size and digest. JSON stays JSON. Linear.

    no_vectors: hide them: no digest, and also where they stand inside a JSON string or in prose.
    """
    if len(text) < _SHORTEST_PAYLOAD and not no_vectors:
        return text
    # Prose may begin with a bracket, too.
    is_json = text[:64].lstrip()[:1] + text[-64:].rstrip()[-1:] in ("{}", "[]")
    if (is_json or no_vectors) and _NUMBERS.search(text):
        text = _compact_vectors(text, is_json, no_vectors)
    if _DATA_URI in text:
        text = _compact_data_uris(text)
    if is_json and ('"embedding"' in text or '"b64_json"' in text):
        text = _NAMED_PAYLOAD.sub(lambda match: match.group(1) + _base64_marker(match.group(2)), text)
    return _compact_runs(text) if len(text) >= _SHORTEST_RUN else text


def _compact_vectors(text: str, is_json: bool, no_vectors: bool) -> str:
    """Arrays of JSON become strings; numbers inside a JSON string are somebody's text and stay, unless vectors are hidden."""
    pieces: List[str] = []
    last, in_string = 0, not is_json
    for match in _NUMBERS.finditer(text):
        gap = text[last : match.start()]
        if is_json:
            # Backslashes occur in strings only, and no escape begins before the gap: ']' is never escaped.
            unescaped = gap.replace("\\\\", "")
            if (unescaped.count('"') - unescaped.count('\\"')) % 2:
                in_string = not in_string
        marker = _vector_marker(match.group(), with_digest=not no_vectors)
        if marker is None or (in_string and not no_vectors):
            marker = match.group()
        elif not in_string:
            marker = '"' + marker + '"'
        pieces += (gap, marker)
        last = match.end()
    pieces.append(text[last:])
    return "".join(pieces)


def _vector_marker(array: str, *, with_digest: bool) -> Optional[str]:
    """The digest is over the array's text without white space: to parse the numbers would take ten times as long."""
    dimensions = array.count(",") + 1
    if dimensions < _SHORTEST_VECTOR:
        return None
    if not with_digest:
        return f"<vector: {dimensions} dimensions>"
    digest = hashlib.sha256("".join(array.split()).encode()).hexdigest()[:16]
    return f"<vector: {dimensions} dimensions, sha256:{digest}>"


def _vector_digest(vectors: Iterable[Iterable[float]]) -> str:
    """Over the components as little-endian doubles."""
    digest = hashlib.sha256()
    for vector in vectors:
        values = list(vector)
        try:
            digest.update(struct.pack(f"<{len(values)}d", *values))
        except (OverflowError, struct.error):  # an integer beyond a double's range
            digest.update(repr(values).encode())
    return "sha256:" + digest.hexdigest()[:16]


def _compact_data_uris(text: str) -> str:
    pieces: List[str] = []
    last, found = 0, text.find(_DATA_URI)
    while found >= 0:
        start = found + len(_DATA_URI)
        match = _PAYLOAD.match(text, start)
        end = match.end() if match else start
        if end - start >= _SHORTEST_PAYLOAD:
            pieces += (text[last:start], "<" + _size_and_digest(text[start:end]) + ">")
            last = end
        found = text.find(_DATA_URI, end)
    pieces.append(text[last:])
    return "".join(pieces)


def _compact_runs(text: str) -> str:
    """Bare base64. A run of 1024 covers one aligned block of 512 in full, so only block starts are looked at."""
    block = _SHORTEST_RUN // 2
    pieces: List[str] = []
    last = position = 0
    while position + block <= len(text):
        match = _RUN.match(text, position)
        end = match.end() if match else position
        if end - position < block:
            position += block
            continue
        before = text[max(last, position - block) : position]
        start = position - (len(before) - len(before.rstrip(_RUN_CHARACTERS)))
        run = text[start:end]
        if end - start >= _SHORTEST_RUN and _is_base64(run):
            while end < len(text) and text[end] == "=" and end - start < len(run) + 2:
                end += 1
            pieces += (text[last:start], _base64_marker(run))
            last = end
        position = -(-end // block) * block
    pieces.append(text[last:])
    return "".join(pieces)


def _is_base64(run: str) -> bool:
    """Not a row of dashes, a row of letters or a DNA sequence: encoded data has at least two classes of characters.

    Zeros and 0xFF bytes (silence, blank images) are rows of one character, and data all the same.
    """
    if run.count("A") == len(run) or run.count("/") == len(run):
        return True
    return sum(map(bool, (re.search("[a-z]", run), re.search("[A-Z]", run), re.search("[0-9]", run)))) >= 2


def _base64_marker(payload: str) -> str:
    return "<base64: " + _size_and_digest(payload) + ">"


def _size_and_digest(payload: str) -> str:
    data = _decode(payload)
    return f"{len(data)} bytes, sha256:{hashlib.sha256(data).hexdigest()[:16]}"


_ESCAPED_BASE64 = (
    ("%", (("%2B", "+"), ("%2b", "+"), ("%2F", "/"), ("%2f", "/"), ("%3D", ""), ("%3d", ""))),
    ("\\", (("\\n", ""), ("\\r", ""), ("\\", ""))),
    ("\n", (("\n", ""), ("\r", ""))),
    ("=", (("=", ""),)),
    ("-", (("-", "+"),)),
    ("_", (("_", "/"),)),
)


def _decode(payload: str) -> bytes:
    """Base64, standard or URL-safe, padded or not, as JSON or a URL writes it; a last lone character is cut off."""
    for sign, replacements in _ESCAPED_BASE64:
        if sign in payload:
            for escaped, plain in replacements:
                payload = payload.replace(escaped, plain)
    if len(payload) % 4 == 1:
        payload = payload[:-1]
    return binascii.a2b_base64(payload + "=" * (-len(payload) % 4))


_EMBEDDINGS = "embedding.embeddings."


def _fold_embeddings(attributes: Dict[str, Any], *, with_digest: bool) -> None:
    """Vectors as three attributes, however many they are; their texts go: the request, in ``input.value``, has them."""
    vectors: Dict[str, Any] = {}
    for key in [key for key in attributes if key.startswith(_EMBEDDINGS)]:
        value = attributes.pop(key)
        if key.endswith(".vector"):
            vectors[key[len(_EMBEDDINGS) :].partition(".")[0].zfill(9)] = value
    for key in [key for key in attributes if "vector" in key or "embedding" in key]:
        marker = _sequence_marker(attributes[key], with_digest=with_digest)
        if marker:
            attributes[key] = marker
    if not vectors:
        return
    attributes["hf.embeddings.count"] = len(vectors)
    known = [vectors[index] for index in sorted(vectors) if _is_vector(vectors[index])]
    if known:
        attributes.setdefault("gen_ai.embeddings.dimension.count", len(known[0]))
        if with_digest:
            attributes["hf.embeddings.digest"] = _vector_digest(known)


def _is_vector(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and {type(item) for item in value} <= {int, float}


def _sequence_marker(value: Any, *, with_digest: bool) -> Optional[str]:
    if not _is_vector(value) or len(value) < _SHORTEST_VECTOR:
        return None
    return f"<vector: {len(value)} dimensions{', ' + _vector_digest([value]) if with_digest else ''}>"


# ------------------------------------------------------------------------------------------------ content


_VECTOR_NAMES = _words("EMBEDDINGS_VECTORS EMBEDDING_VECTORS")

# What holds on one kind of span only is turned, span by span, into names of its own (see ``_on_this_span``).
_COMPLETION_INPUT = "PROMPTS of the completions API"
_COMPLETION_OUTPUT = "CHOICES of the completions API"
_EMBEDDING_INPUT = "EMBEDDINGS_TEXT as a request's input"
_RETRIEVED_OUTPUT = "RETRIEVAL_DOCUMENTS as a retriever's output"

_EVERYTHING = frozenset((*HIDE_NAMES, _COMPLETION_INPUT, _COMPLETION_OUTPUT, _EMBEDDING_INPUT, _RETRIEVED_OUTPUT)) - {
    "LLM_INVOCATION_PARAMETERS"
}
"""What ``none`` hides: all content. Parameters are none; those of sampling stay."""

_TEXT_IN = _words("INPUTS INPUT_TEXT")
_MESSAGES_IN = _words("INPUTS INPUT_MESSAGES") | {_COMPLETION_INPUT, _EMBEDDING_INPUT}
_ANY_IN = _TEXT_IN | _MESSAGES_IN
_MESSAGES_OUT = _words("OUTPUTS OUTPUT_MESSAGES") | {_COMPLETION_OUTPUT, _RETRIEVED_OUTPUT}
_ANY_OUT = _MESSAGES_OUT | {"OUTPUT_TEXT"}
_EITHER = _words("INPUTS INPUT_MESSAGES INPUT_TEXT OUTPUTS OUTPUT_MESSAGES OUTPUT_TEXT")
_TOOLS = _words("INPUTS LLM_TOOLS")
_DOCUMENTS_OUT = _words("OUTPUTS OUTPUT_TEXT RETRIEVAL_DOCUMENTS")

_STRICT = _EITHER | {"PROMPTS", "CHOICES"}
"""With one of these in force, what is not known to be harmless goes: nobody can say which text an unknown name holds."""

_ERRORS = _STRICT | {"LLM_TOOLS", "EMBEDDINGS_TEXT", "RETRIEVAL_DOCUMENTS"}
"""With one of these in force, what errors say goes: servers echo what they were sent, stack traces show source lines."""

_REDUCING = _words("INPUTS INPUT_MESSAGES INPUT_TEXT PROMPTS") | {_EMBEDDING_INPUT}
"""With one of these in force, of a request's parameters only sampling's stay: images, speech and others have prompts there."""

_GONE: Any = object()

_Reshape = Callable[[str, Any, FrozenSet[str]], Any]


class _Rule(NamedTuple):
    """``hidden_by``: the attribute goes. ``reshape``: what is left of it otherwise (``_GONE``: nothing)."""

    hidden_by: FrozenSet[str]
    reshape: Optional[_Reshape] = None


class _Scope(NamedTuple):
    """What is in force on one span."""

    hide: FrozenSet[str]
    strict: bool
    errors: bool
    error_types: FrozenSet[str]


def _hide(record: SpanRecord, hide: FrozenSet[str]) -> None:
    hide = _on_this_span(record, hide)
    named = [record.attributes.get("error.type"), *(event.attributes.get("exception.type") for event in record.events)]
    types = {str(name) for name in named if _is_word(name)}
    types.update([name.rpartition(".")[2] for name in types])
    scope = _Scope(hide, bool(hide & _STRICT), bool(hide & _ERRORS), frozenset(types))
    _hide_attributes(record.attributes, scope)
    if scope.errors:
        record.status_message = _error_name(record.status_message, scope)
    for index, event in enumerate(record.events):
        record.events[index] = _hide_event(event, scope)
    for index, link in enumerate(record.links):
        attributes = dict(link.attributes)
        _hide_attributes(attributes, scope)
        record.links[index] = link._replace(attributes=attributes)


def _on_this_span(record: SpanRecord, hide: FrozenSet[str]) -> FrozenSet[str]:
    """``hide`` with what it means on this kind of span."""
    attributes = record.attributes
    operation, kind = attributes.get("gen_ai.operation.name"), attributes.get("openinference.span.kind")
    not_chat = operation != "chat" and kind in (None, "LLM")
    more: Set[str] = set()
    if "PROMPTS" in hide:
        request = _loaded(attributes.get("input.value"))
        if not_chat or (isinstance(request, dict) and "prompt" in request):
            more.add(_COMPLETION_INPUT)
    if "CHOICES" in hide and not_chat:
        more.add(_COMPLETION_OUTPUT)
    if "EMBEDDINGS_TEXT" in hide and (operation == "embeddings" or kind == "EMBEDDING"):
        more.add(_EMBEDDING_INPUT)
    if "RETRIEVAL_DOCUMENTS" in hide and (operation == "retrieval" or kind in ("RETRIEVER", "RERANKER")):
        more.add(_RETRIEVED_OUTPUT)
    if hide & _REDUCING and _ECHO.search(str(attributes.get("llm.invocation_parameters", ""))):
        more.add("OUTPUTS")
    return hide | more


_ECHO = re.compile(r'"echo"\s*:\s*true')
"""The completions API then repeats the prompt at the head of each answer."""


def _hide_attributes(attributes: Dict[str, Any], scope: _Scope) -> None:
    before = dict(attributes)
    for key, value in before.items():
        left = _what_is_left(key, value, before, scope)
        if left is _GONE:
            del attributes[key]
        elif left is not value:
            attributes[key] = left


def _what_is_left(key: str, value: Any, attributes: Mapping[str, Any], scope: _Scope) -> Any:
    if key in _LABELS or key.startswith(_LABEL_PREFIXES):
        return value
    if key in _ERROR_ATTRIBUTES or key.endswith((".message", "_message", "-message")):
        return _error_attribute(key, value, attributes) if scope.errors else value
    rule = _rule(key)
    if rule is not None:
        if rule.hidden_by & scope.hide:
            return _GONE
        try:
            return value if rule.reshape is None else rule.reshape(key, value, scope.hide)
        except RecursionError:
            return _GONE
    return value if not scope.strict or _is_harmless(key, value) else _GONE


def _rule(key: str) -> Optional[_Rule]:
    """The rule of the name, or of the nearest name it is under. A name of one word (``response``) has none under it."""
    rule = _RULES.get(key)
    end = key.rfind(".")
    while rule is None and end > 0:
        parent = key[:end]
        rule = _RULES.get(parent) if "." in parent else None
        end = parent.rfind(".")
    return rule


_LABELS = _words(
    """
    openinference.span.kind input.mime_type output.mime_type llm.model_name embedding.model_name
    llm.request.parameters.model gen_ai.request.model gen_ai.response.model gen_ai.conversation.id
    llm.prompt_template.version session.id user.id metadata tag.tags
    """
)
_LABEL_PREFIXES = (
    "metadata.",
    "traceloop.association.properties.",
    "ai.telemetry.metadata.",
    "langfuse.trace.metadata",
    "langfuse.observation.metadata",
)
"""What the application itself names a span by stays."""


# Unknown names. Those under a namespace of LLM tools pass only as a number or as a label; others unless they say "text".

_NAMESPACES = tuple(
    _words(
        """
        agent. ai. annotation audio. completion. crewai. decision. document. dspy. embedding. evaluation
        gcp.vertex.agent. gen_ai. gen_ai_ haystack. image. input. langchain. langfuse. langgraph. langsmith. lk.
        llama_index. llm. llm_ message. message_content. mlflow. openai. output. prompt. pydantic_ai. reranker.
        retrieval. session.annotations session.evaluations smolagents. tool. tool_call. trace.annotations
        trace.evaluations traceloop. video.
        """
    )
)
_LABEL_WORDS = _words(
    """
    annotator_kind api_base base_url encoding_format encoding_formats finish_reason finish_reasons format framework id
    kind label language mime_type model model_name operation provider role service_tier status stop_reason system
    system_fingerprint tier type vendor version
    """
)
"""Last words of names whose value, if it is one word, is a label."""

_CONTENT_WORDS = _words(
    """
    answer arguments body completion completions content contents input inputs instruction instructions message messages
    output outputs prompt prompts question reply response text texts transcript transcription
    """
)
"""Last words of names, whoever gave them, whose value is text of somebody's."""

_WORD = re.compile(r"[\w.:/@+~=-]{1,256}\Z", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?\Z", re.ASCII)
_WORDS_IN_JSON = re.compile(r'\["[\w.-]{1,64}"(?:, ?"[\w.-]{1,64}"){0,15}\]\Z', re.ASCII)


def _is_word(value: Any) -> bool:
    """One word, as labels are: no prose gets through, whatever an instrumentor puts under a name."""
    return isinstance(value, str) and _WORD.match(value) is not None


def _is_harmless(key: str, value: Any) -> bool:
    """Whether an attribute that no rule knows may pass while content is hidden."""
    if value is None or isinstance(value, (bool, int, float)):
        return True
    if isinstance(value, abc.Mapping):
        return all(_is_harmless(f"{key}.{name}", item) for name, item in value.items())
    last = key.rpartition(".")[2].lower()
    if not key.startswith(_NAMESPACES):
        by_words = last in _CONTENT_WORDS or not {"prompt", "prompts", "completion"}.isdisjoint(last.split("_"))
        return not by_words or key.startswith(("db.", "url."))
    if isinstance(value, (list, tuple)):
        return last in _LABEL_WORDS and all(_is_word(item) for item in value)
    if not isinstance(value, str):
        return False
    if last == "name":
        return len(value) <= 256 and value.isprintable()
    if last in _LABEL_WORDS:
        return _is_word(value) or _WORDS_IN_JSON.match(value) is not None
    return _NUMBER.match(value) is not None and not {"token_count", "tokens", "usage", "cost"}.isdisjoint(
        key.split(".")
    )


# Errors.

_ERROR_ATTRIBUTES = _words(
    """
    code.stacktrace error.details error.stack error.stack_trace error.stacktrace error.type exception.stacktrace
    exception.type hf.error.body otel.status_description
    """
)

_ERROR_CLASS = re.compile(
    r"[A-Za-z_][\w.]{0,200}(?:Error|Exception|Warning|Exit|Interrupt|Iteration|Timeout|Cancelled|Refused|Reset|Group)\Z"
)
_MARGIN = re.compile(r" +[|+] ")
"""What exception groups put before each line of their members' traces."""

_FRAME = re.compile(r'  File "[^"\n]{1,1024}", line \d+, in [\w<>.]+\Z')


def _error_attribute(key: str, value: Any, attributes: Mapping[str, Any]) -> Any:
    if key in ("error.type", "exception.type"):
        return value if _is_word(value) else _GONE
    if key == "exception.message":
        kind = attributes.get("exception.type")
        return kind if _is_word(kind) else _GONE
    if key.endswith(("stacktrace", "stack", "stack_trace")):
        return (_frames(str(value), attributes.get("exception.message")) or _GONE) if value else _GONE
    return _GONE


def _error_name(text: str, scope: _Scope) -> str:
    """``RateLimitError`` of ``RateLimitError: Error code ...``; nothing of a text that does not begin with a class."""
    head = text.partition(":")[0].strip()
    return head if head in scope.error_types or _ERROR_CLASS.match(head) else ""


def _frames(stack: str, message: Any) -> str:
    """The ``File`` lines of a Python stack trace: no source line, no exception text.

    A text that quotes a traceback must not pass for one: frames count only from a ``Traceback`` header to the first line
    that is not indented (with it the exception's text begins), and a message of several lines is cut out before.
    """
    if isinstance(message, str) and "\n" in message:
        stack = stack.replace(message, "")
    grouped = "Exception Group Traceback" in stack
    kept, in_frames = [], True
    for printed in stack.split("\n"):
        line = _MARGIN.sub("", printed, count=1) if grouped else printed
        if line.startswith(("Traceback (most recent call last)", "Exception Group Traceback (most recent call last)")):
            in_frames = True
        elif line[:1] not in ("", " "):
            in_frames = False
        elif in_frames and _FRAME.match(line):
            kept.append(line)
    return "\n".join(kept)


# Events.

_MESSAGE_EVENTS = {
    "gen_ai.system.message": _ANY_IN,
    "gen_ai.user.message": _ANY_IN,
    "gen_ai.tool.message": _ANY_IN,
    "gen_ai.assistant.message": _ANY_IN | _ANY_OUT,
    "gen_ai.choice": _ANY_OUT,
    "gen_ai.content.prompt": _ANY_IN,
    "gen_ai.content.completion": _ANY_OUT,
}
_MESSAGE_LABELS = _words(
    """
    event.name finish_reason gen_ai.operation.name gen_ai.provider.name gen_ai.request.model gen_ai.response.model
    gen_ai.system id index role tool_call_id type
    """
)


def _hide_event(event: EventRecord, scope: _Scope) -> EventRecord:
    hidden_by = _MESSAGE_EVENTS.get(event.name)
    attributes = dict(event.attributes)
    if hidden_by is None:
        _hide_attributes(attributes, scope)
    elif hidden_by & scope.hide:
        attributes = {
            key: value
            for key, value in attributes.items()
            if key in _MESSAGE_LABELS and (isinstance(value, (bool, int)) or (_is_word(value) and len(value) <= 64))
        }
    else:
        for key, value in attributes.items():
            attributes[key] = _message_body(key, value, scope.hide)
    return event._replace(attributes=attributes)


def _message_body(_key: str, value: Any, hide: FrozenSet[str]) -> Any:
    if "INPUT_IMAGES" not in hide or not isinstance(value, str):
        return value
    body = _loaded(value)
    if body is _GONE:
        return REDACTED if "data:image" in value else value
    return _dumped(_without_images(body))


# JSON.


def _loaded(value: Any) -> Any:
    """The JSON value of a text that looks like an object or an array; ``_GONE`` if it is none. Other values: themselves."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] not in ("{", "["):
        return _GONE
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _GONE


def _dumped(value: Any) -> str:
    # ASCII: a lone surrogate of the original stays an escape, and can be encoded.
    return json.dumps(value, default=str)


def _looks_like_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] in ("{", "[")


_IMAGE_TYPES = _words("image image_url input_image image_file")
_IMAGE_KEYS = _words("image images image_url image_urls mask b64_json input_image")


def _without_images(value: Any) -> Any:
    """An image part keeps its type; members that hold images, and data URIs wherever they stand, go."""
    if isinstance(value, dict):
        if value.get("type") in _IMAGE_TYPES or value.get("modality") == "image":
            return {key: value[key] for key in ("type", "modality", "mime_type") if key in value}
        return {key: _without_images(item) for key, item in value.items() if key not in _IMAGE_KEYS}
    if isinstance(value, (list, tuple)):
        return [_without_images(item) for item in value]
    return REDACTED if isinstance(value, str) and "data:image" in value else value


_OUTLINE = _words("role type name id index tool_call_id finish_reason modality mime_type")
_IMAGE_MEMBERS = _OUTLINE | _words("image_url image url uri detail file_id content")


def _outline(value: Any) -> Any:
    """Messages, or one, or a part of one, without text: roles, types, names, ids and images. An allow-list, not a search."""
    if isinstance(value, (list, tuple)):
        return [_outline(item) for item in value]
    if not isinstance(value, dict):
        return REDACTED if value else value
    if value.get("type") in _IMAGE_TYPES or value.get("modality") == "image":
        return {key: value[key] for key in _IMAGE_MEMBERS if key in value}
    left = {key: value[key] for key in _OUTLINE if isinstance(value.get(key), int) or _is_word(value.get(key))}
    for key in ("text", "content", "parts", "tool_calls", "function", "arguments"):
        if key in value:
            left[key] = _outline(value[key])
    return left


_PARAMETERS = _words(
    """
    background best_of choice.count dimensions do_sample echo encoding_format encoding_formats frequency_penalty
    language logprobs max_completion_tokens max_new_tokens max_output_tokens max_tokens min_p model n
    num_inference_steps output_format parallel_tool_calls presence_penalty quality reasoning_effort repetition_penalty
    response_format seed service_tier size speed store stream style temperature tool_choice top_k top_logprobs top_p
    truncation typical_p verbosity voice
    """
)
"""Of a request's parameters, those that hold no text; and of them only numbers and single words pass."""


def _is_parameter(name: str, value: Any) -> bool:
    if name not in _PARAMETERS:
        return False
    if isinstance(value, (list, tuple)):
        return name == "encoding_formats" and all(_is_word(item) for item in value)
    return value is None or isinstance(value, (bool, int, float)) or _is_word(value)


def _parameters(_key: str, value: Any, hide: FrozenSet[str]) -> Any:
    """``llm.invocation_parameters``: JSON in, JSON out."""
    if not hide & (_REDUCING | {"LLM_TOOLS", "INPUT_IMAGES"}):
        return value
    body = _loaded(value)
    if not isinstance(body, Mapping):
        return _GONE
    if hide & _REDUCING:
        body = {name: item for name, item in body.items() if _is_parameter(name, item)}
    if "LLM_TOOLS" in hide:
        body = {name: item for name, item in body.items() if name not in ("tools", "functions")}
    if "INPUT_IMAGES" in hide:
        body = _without_images(dict(body))
    return _dumped(body)


def _parameter(key: str, value: Any, hide: FrozenSet[str]) -> Any:
    """``llm.request.parameters.<name>``, ``gen_ai.request.<name>``; the former without a name is JSON."""
    name = key[len("llm.request.parameters.") :] if key.startswith("llm.") else key[len("gen_ai.request.") :]
    if not name:
        return _parameters(key, value, hide)
    if "LLM_TOOLS" in hide and name.startswith(("tools", "functions")):
        return _GONE
    if hide & _REDUCING and not (isinstance(value, (bool, int, float)) or _is_parameter(name, value)):
        return _GONE
    return value


_REQUEST_CONTENT = _words("documents functions input inputs instructions messages model prompt query suffix tools")


def _request(_key: str, value: Any, hide: FrozenSet[str]) -> Any:
    """A request's body without what is hidden of it; all of it goes if it cannot be read."""
    images, tools = "INPUT_IMAGES" in hide, "LLM_TOOLS" in hide
    prompts, parameters = "PROMPTS" in hide, "LLM_INVOCATION_PARAMETERS" in hide
    if not (images or tools or prompts or parameters):
        return value
    body = _loaded(value)
    if body is _GONE:
        return _GONE if _looks_like_json(value) or (images and "data:image" in value) else value
    if isinstance(body, Mapping):
        hidden = (("prompt", "suffix") if prompts else ()) + (("tools", "functions") if tools else ())
        parameters = parameters and "model" in body  # else it is no request to a model
        body = {
            name: item
            for name, item in body.items()
            if name not in hidden and (not parameters or name in _REQUEST_CONTENT)
        }
    if images:
        body = _without_images(body)
    return _dumped(body) if isinstance(value, str) else body


def _response(_key: str, value: Any, hide: FrozenSet[str]) -> Any:
    """An answer's body without what it repeats of the request, and without what else is hidden of it."""
    echoes, tools, choices = hide & _REDUCING, "LLM_TOOLS" in hide, "CHOICES" in hide
    vectors, parameters = hide & _VECTOR_NAMES, "LLM_INVOCATION_PARAMETERS" in hide
    if not (echoes or tools or choices or vectors or parameters):
        return value
    body = _loaded(value)
    if body is _GONE:
        return _GONE if _looks_like_json(value) else value
    if isinstance(body, Mapping):
        hidden = {"tools", "functions"} if tools or "INPUTS" in hide else set()
        if parameters and "model" in body:
            hidden |= _PARAMETERS - {"model"}  # the Responses API repeats them
        body = {name: item for name, item in body.items() if name not in hidden}
        if choices and isinstance(body.get("choices"), list):
            body["choices"] = [_without(choice, ("text", "logprobs")) for choice in body["choices"]]
    if vectors:
        body = _without(body, ("embedding", "embeddings", "vector", "vectors"))
    if echoes:
        body = _without_echo(body)
    return _dumped(body) if isinstance(value, str) else body


def _without(value: Any, names: Tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return [_without(item, names) for item in value] if isinstance(value, (list, tuple)) else value


_ECHOES = _words("input inputs instructions messages prefill query request __verbose")


def _without_echo(value: Any) -> Any:
    """Without the members of an answer that repeat the request.

    ``instructions`` (Responses API), ``revised_prompt`` (images), ``prompt_logprobs`` (vLLM), ``prefill`` (TGI),
    ``__verbose`` (llama.cpp). Token counts have "prompt" in their name, too, and stay.
    """
    if isinstance(value, dict):
        return {
            name: _without_echo(item)
            for name, item in value.items()
            if name not in _ECHOES
            and ("prompt" not in name or "_tokens" in name or isinstance(item, (bool, int, float)))
        }
    return [_without_echo(item) for item in value] if isinstance(value, (list, tuple)) else value


def _messages(text: str) -> _Reshape:
    """``gen_ai.input.messages`` (``text`` is INPUT_TEXT) and ``gen_ai.output.messages`` (OUTPUT_TEXT): JSON."""

    def reshape(_key: str, value: Any, hide: FrozenSet[str]) -> Any:
        images = text == "INPUT_TEXT" and "INPUT_IMAGES" in hide
        if text not in hide and not images:
            return value
        body = _loaded(value)
        if body is _GONE:
            return _GONE if text in hide or _looks_like_json(value) or "data:image" in value else value
        if images:
            body = _without_images(body)
        if text in hide:
            body = _outline(body)
        return _dumped(body) if isinstance(value, str) else body

    return reshape


_INDEXED_LABELS = (
    ".message.role",
    ".message.name",
    ".message.tool_call_id",
    ".message_content.type",
    ".message_content.id",
    ".tool_call.id",
    ".tool_call.function.name",
)


def _indexed_messages(text: str) -> _Reshape:
    """``llm.input_messages.N.*`` and ``llm.output_messages.N.*``, as ``_messages``."""

    def reshape(key: str, value: Any, hide: FrozenSet[str]) -> Any:
        image = ".message_content.image" in key
        if image and text == "INPUT_TEXT" and "INPUT_IMAGES" in hide:
            return _GONE
        return value if text not in hide or image or key.endswith(_INDEXED_LABELS) else _GONE

    return reshape


def _documents(hidden_by: FrozenSet[str]) -> _Reshape:
    """Documents keep their ids and scores."""

    def reshape(key: str, value: Any, hide: FrozenSet[str]) -> Any:
        if not hidden_by & hide:
            return value
        harmless = isinstance(value, (bool, int, float)) or (key.endswith(".document.id") and _is_word(value))
        return value if harmless else _GONE

    return reshape


_NONE = _words("")


def _rules() -> Dict[str, _Rule]:
    """The rule of each name that is known to carry content, for itself and for the names under it."""
    rules = {
        "input.images": _Rule(_words("INPUTS INPUT_IMAGES")),
        "input.documents": _Rule(_TEXT_IN),
        "input.audio": _Rule(_TEXT_IN),
        "output.images": _Rule(_words("OUTPUTS")),
        "output.documents": _Rule(_words("OUTPUTS OUTPUT_TEXT")),
        "output.audio": _Rule(_words("OUTPUTS OUTPUT_TEXT")),
        "llm.input_messages": _Rule(_words("INPUTS INPUT_MESSAGES"), _indexed_messages("INPUT_TEXT")),
        "llm.output_messages": _Rule(_words("OUTPUTS OUTPUT_MESSAGES"), _indexed_messages("OUTPUT_TEXT")),
        "llm.prompts": _Rule(_TEXT_IN | {"PROMPTS"}),
        "llm.choices": _Rule(_words("OUTPUTS OUTPUT_TEXT CHOICES")),
        "llm.prompt_template": _Rule(_ANY_IN | {"PROMPTS"}),
        "llm.invocation_parameters": _Rule(_words("LLM_INVOCATION_PARAMETERS"), _parameters),
        "embedding.invocation_parameters": _Rule(_words("LLM_INVOCATION_PARAMETERS"), _parameters),
        "llm.request.parameters": _Rule(_words("LLM_INVOCATION_PARAMETERS"), _parameter),
        "gen_ai.request": _Rule(_words("LLM_INVOCATION_PARAMETERS"), _parameter),
        "gen_ai.input.messages": _Rule(_MESSAGES_IN, _messages("INPUT_TEXT")),
        "gen_ai.output.messages": _Rule(_MESSAGES_OUT, _messages("OUTPUT_TEXT")),
        "gen_ai.retrieval.query": _Rule(_TEXT_IN),
        "reranker.query": _Rule(_TEXT_IN),
        "gen_ai.retrieval.documents": _Rule(_DOCUMENTS_OUT),
        "retrieval.documents": _Rule(_NONE, _documents(_DOCUMENTS_OUT)),
        "reranker.input_documents": _Rule(_NONE, _documents(_TEXT_IN | {"RETRIEVAL_DOCUMENTS"})),
        "reranker.output_documents": _Rule(_NONE, _documents(_DOCUMENTS_OUT)),
        "document.content": _Rule(_TEXT_IN | _DOCUMENTS_OUT),
        "document.metadata": _Rule(_TEXT_IN | _DOCUMENTS_OUT),
        "document.name": _Rule(_TEXT_IN | _DOCUMENTS_OUT),
        "document.url": _Rule(_TEXT_IN | _DOCUMENTS_OUT),
        "embedding.embeddings": _Rule(_NONE),  # ``_fold_embeddings`` leaves no text of it
        "embedding.text": _Rule(_TEXT_IN | {"EMBEDDINGS_TEXT"}),
        "embedding.vector": _Rule(_VECTOR_NAMES),
        "ai.embedding": _Rule(_VECTOR_NAMES),
        "ai.embeddings": _Rule(_VECTOR_NAMES),
        "ai.value": _Rule(_TEXT_IN | {"EMBEDDINGS_TEXT"}),
        "ai.values": _Rule(_TEXT_IN | {"EMBEDDINGS_TEXT"}),
        "db.query.embeddings": _Rule(_VECTOR_NAMES),
        "db.query.result": _Rule(_NONE, _documents(_DOCUMENTS_OUT)),
    }
    for name in _words(
        """
        gen_ai.system_instructions gen_ai.prompt gen_ai.content.prompt input input.value input_value inputs messages
        crew_agents crew_inputs crew_tasks flow_inputs formatted_description formatted_expected_output
        prompt prompts query question request_data system_prompt tool_arguments user_input user_prompt user_query
        ai.prompt gcp.vertex.agent.llm_request langfuse.observation.input langfuse.trace.input lk.chat_ctx lk.input_text
        lk.instructions lk.user_input lk.user_transcript mlflow.spanInputs traceloop.entity.input traceloop.prompt
        """
    ):
        rules[name] = _Rule(_ANY_IN, _request)
    for name in _words(
        """
        gen_ai.completion gen_ai.content.completion output output.value output_value answer completion completions
        final_result outputs response response_data tool_response ai.response gcp.vertex.agent.llm_response
        langfuse.observation.output langfuse.trace.output lk.response mlflow.spanOutputs traceloop.entity.output
        """
    ):
        rules[name] = _Rule(_ANY_OUT, _response)
    for name in _words(
        """
        llm.tools llm.request.functions gen_ai.request.tools gen_ai.tool.definitions gen_ai.tool.description
        tool.description tool.json_schema ai.prompt.tools mlflow.chat.tools
        """
    ):
        rules[name] = _Rule(_TOOLS)
    for name in _words(
        """
        llm.function_call gen_ai.tool.call.arguments gen_ai.tool.call.result tool_call.function.arguments
        tool.parameters ai.toolCall.args ai.toolCall.result all_messages_events events gcp.vertex.agent.data
        gcp.vertex.agent.tool_call_args gcp.vertex.agent.tool_response lk.function_tool.arguments
        lk.function_tool.output message.content message.contents message_content.text pydantic_ai.all_messages
        """
    ):
        rules[name] = _Rule(_EITHER)
    return rules


_RULES = _rules()
