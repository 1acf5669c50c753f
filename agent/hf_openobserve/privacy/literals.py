"""Secrets that are known letter by letter: what the program gave a client as its key, and what the environment holds.

They are masked wherever they occur, whatever their form, so a value must be worth it: ``EMPTY``, ``ollama`` and
``sk-no-key-required``, which people give local servers, would take ordinary words out of prompts, and hide nothing.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Any, Iterable, List, Mapping, Set, Tuple
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakSet

from hf_openobserve.privacy.secrets import words
from hf_openobserve.process import diagnostics

CAPACITY = 128
"""Secrets of clients that are known at a time. A long one costs a text next to nothing."""

SHORTEST = 6
_LONGEST = 8192
_AWS_SECRET = 40
"""Characters. They are base64, which may begin with a slash."""

_WORDS = words(
    """
    abc access account admin an any anything api app auth bearer changeme client cloud code credential default
    demo dev development dummy empty example fake false foo bar baz hello here hf insert is key keys lm local
    localhost llama lmstudio mock my n na needed no none not nothing null of ollama openai optional pass password
    placeholder prod production provided public random real replace required sample secret server sglang sk some
    something string studio super test testing text tgi the this to token true undefined unknown unset unused use
    user username value vllm whatever with world x xx xxx xxxx your
    """
)

_CREDENTIAL_NAME = re.compile(
    r"(?i)(?:token|secret|passw(?:or)?d|passphrase|pwd|credentials?|authorization|cookie|api[_-]?key|access[_-]?key|"
    r"private[_-]?key|auth[_-]?key|account[_-]?key|subscription[_-]?key|[_-]key|[_-]auth|jwt|signature)s?\Z"
)


class _Known:
    """What clients were given as keys, the last ones that were used; ``forms`` are all ways to write them."""

    def __init__(self) -> None:
        self.forms: Tuple[str, ...] = ()
        self._values: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.RLock()
        """Re-entrant: a signal's handler may call a client on a thread that is in here."""

    def add(self, text: str) -> None:
        try:
            self._values.move_to_end(text)
        except KeyError:
            if is_worth_masking(text):
                with self._lock:
                    # Its forms first, and of a copy made in one step: other threads go on touching what they use.
                    self.forms = forms_of((*self._values, text)[-CAPACITY:])
                    self._values[text] = None
                    while len(self._values) > CAPACITY:
                        self._values.popitem(last=False)


_known = _Known()
_clients: WeakSet[Any] = WeakSet()
"""Those whose headers are known."""


def is_worth_masking(text: str) -> bool:
    """Whether a value can only be a secret: no placeholder, and no word that stands in ordinary text.

    A letters-only value has to be long; a shorter one needs a digit or a sign among its letters; digits alone are a
    number.
    """
    if not SHORTEST <= len(text) <= _LONGEST or len(set(text)) < 4:
        return False
    pieces = [piece for piece in re.split("[^a-z0-9]+", text.lower()) if piece]
    if not text.isdigit() and all(piece.isdigit() or piece.rstrip("0123456789") in _WORDS for piece in pieces):
        return False
    if text.isdigit():
        return len(text) >= 12
    if text.isalpha():
        return len(text) >= 16 or (len(text) >= 8 and not (text.islower() or text.isupper() or text.istitle()))
    return len(text) >= 8 or re.search("[0-9]", text) is not None


def names_a_credential(name: str) -> bool:
    """Whether a header, a variable or an argument of that name holds a secret."""
    return _CREDENTIAL_NAME.search(name) is not None


def forms_of(secrets: Iterable[str]) -> Tuple[str, ...]:
    """The secrets, as they are and as JSON, ``repr`` and URLs write them; the longest first."""
    import json  # here, since reading the settings needs none

    forms: Set[str] = set()
    for text in secrets:
        forms.update((text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe="", errors="replace")))
    return tuple(sorted(forms, key=lambda text: (-len(text), text)))


def remember(value: Any) -> None:
    """A secret of the program's own, with or without ``Bearer`` before it: it is masked from now on."""
    if not isinstance(value, str):
        return
    scheme, _, rest = value.strip().partition(" ")
    text = rest.strip() if scheme.lower() in ("bearer", "basic", "token") else value.strip()
    _known.add(text)


def remember_client(client: Any, options: Any = None) -> None:
    """The key, token and headers of a client of openai's or huggingface_hub's, and the headers of one request."""
    try:
        remember(getattr(client, "api_key", None))
        remember_headers(getattr(options, "headers", None))
        if client not in _clients:  # openai builds its headers anew each time they are asked for
            _clients.add(client)
            remember(getattr(client, "token", None))
            remember_headers(getattr(client, "default_headers", None))
            remember_headers(getattr(client, "headers", None))
    except Exception:  # noqa: BLE001 - a client of another make
        diagnostics.swallowed("a client's secrets")


def remember_headers(headers: Any) -> None:
    """The headers of a client or a request that hold credentials by their name."""
    items = getattr(headers, "items", None)
    for name, value in () if items is None else list(items()):
        if names_a_credential(_text(name)):
            remember(_text(value))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def known() -> Tuple[str, ...]:
    """What ``remember`` was told, in all forms, the longest first."""
    return _known.forms


def of_environment(environ: Mapping[str, str]) -> List[str]:
    """The credentials in an environment: by the variable's name, in lists of headers, and before the @ of a URL."""
    found: Set[str] = set()
    for name, value in environ.items():
        if value.startswith(("/", "./", "../", "~")) and len(value) != _AWS_SECRET:
            continue  # where a key is, not the key
        if names_a_credential(name):
            found.update((value.strip(), value.strip().rpartition(" ")[2]))
        elif name.upper().endswith("HEADERS"):
            for pair in value.split(","):
                header = unquote(pair.partition("=")[2].strip())
                found.update((header, header.rpartition(" ")[2]))
        if "://" in value and "@" in value:
            found.update(_of_url(value))
    return sorted((text for text in found if is_worth_masking(text)), key=lambda text: (-len(text), text))


def _of_url(url: str) -> List[str]:
    try:
        userinfo = urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        userinfo = url.partition("://")[2].rpartition("@")[0]
    password = userinfo.partition(":")[2]
    return [part for part in (userinfo, password, unquote(password)) if part]
