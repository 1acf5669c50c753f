"""Values that their name betrays: ``password=``, ``"api_key": "..."``, ``x-api-key: ...``, ``?sig=`` of a URL. Pure.

The name alone is not enough. Code, schemas, translations and prose are full of ``password`` and ``token``, so a value
has to look like one: ``password = input()``, ``"password": {"type": "string"}`` and ``api_key=settings.api_key`` stay.
"""

from __future__ import annotations

import functools
import re
from typing import Callable, Dict, NamedTuple, Optional, Pattern, Tuple

from hf_openobserve.privacy.secrets import MASK, Rule, Span, changes, words

_LONGEST = 4096
"""Characters of a quoted value that are looked at. What is longer is a text, not a credential."""

_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

_PASSWORDS = "password passwd passphrase passcode pwd pword pass"
_KEYS = """
    apikey accesskey secretkey privatekey authkey accountkey sharedkey sharedaccesskey masterkey encryptionkey
    signingkey subscriptionkey storagekey servicekey servicerolekey accesskeysecret licensekey secretaccesskey
    consumersecret clientsecret appsecret apisecret sharedsecret secret signingsecret webhooksecret jwtsecret
    accesstoken authtoken refreshtoken apitoken bearertoken idtoken sessiontoken securitytoken oauthtoken bottoken
    slacktoken hftoken githubtoken gitlabtoken ghtoken jobtoken deploytoken personaltoken privatetoken servicetoken
    usertoken clienttoken admintoken roottoken accesstokensecret xauthtoken xaccesstoken credential credentials
    privatetoken authorizationtoken npmtoken pypitoken vaulttoken jwttoken xapikey hapikey
"""
_IN_ADDRESSES = """
    sig signature jwt token sas xamzsignature xamzcredential xamzsecuritytoken xgoogsignature xgoogcredential
    keypairid policy awsaccesskeyid googleaccessid
"""
_MAYBE_IN_ADDRESSES = "key code auth session sid sessionid ticket hash state nonce"

_PASSWORD_NAMES = tuple(_PASSWORDS.split())
_KEY_NAMES = tuple(_KEYS.split())
_ADDRESS_NAMES = frozenset(_IN_ADDRESSES.split())
_MAYBE_ADDRESS_NAMES = frozenset(_MAYBE_IN_ADDRESSES.split())
_NO_CREDENTIALS = re.compile(
    r"(?i)(?:page|next|prev|previous|continuation|cursor|sync|eos|bos|pad|unk|mask|sep|cls|image|audio|stop|start"
    r"|special|per|max|min|num|total|first|last|public|primary|foreign|sort|cache|partition)[_-]?(?:token|key)s?\Z"
)

_PLACEHOLDER = re.compile(
    r"(?i)[*.x•…_-]+\Z|your[_-]?|<|\$|%\(|%[A-Z_]+%|\{|\[|\.\.\.|insert[_-]|redacted|\.{3}|change[_-]?me"
)
_WORDS = words(
    """
    access account admin an and any api app are auth authentication bearer bool bytes client code credential
    credentials default demo disabled dummy empty enabled enter env environment example fake false file float for
    foo from hello here hidden id if in input int invalid is it key keys label lm local localhost long missing
    mock must my name needed new nil no none not null number object of ok ollama on one only openai optional or
    pass passphrase password passwords placeholder plain plaintext private provided public pwd random real
    required reset sample secret self sk some str string studio test text that the this to todo token tokens true
    type undefined unset unused unknown use user username valid value variable vllm with world xxx your hunter
    field forgot change update show verify confirm current old passwort senha contrasena contraseña wachtwoord
    hasło heslo salasana passord lösenord jelszó parola kata sandi bearerauth apikey basic oauth none
    """
)

_SEPARATOR = re.compile(
    r"(?:\\*[\"'`]|%22)?\]?(?:[ \t]{0,8}(?P<sign>=>|:=|=|:(?!:)|%3D|%3A|>)"
    r"(?:[ \t]{0,8}|(?:\s|\\+[nt]){0,8}(?=\\*[\"']))"
    r"|,(?=\s{0,4}b?\\*[\"']))[ \t]{0,8}(?:[brfu@](?=\\*[\"']))?"
)
_ANNOTATED = re.compile(r"[A-Za-z_][\w.]*(?:\[[\w., ]*\])?[ \t]*=[ \t]*")
_QUOTE = re.compile(r"\\*[\"'`]|%22")
_QUOTES = re.compile(r"\\*[\"'`]")
_BARE = re.compile(r"(?:(?!%(?:2[026]|0[AaDd]|27))[^\s\0\"'`\\,;&<>(){}\[\]|]){1,512}")
_BARE_IN_ADDRESS = re.compile(r"(?:(?!%2[026]|%0[AaDd])[^\s\0\"'`\\&#<>(){}\[\]|]){1,2048}")
_BARE_OF_HEADER = re.compile(r"[^\s\0\"'`\\<>(){}\[\]]{1,2048}")
_COOKIES = re.compile(r"[\w!#$%&*+.^|~-]{1,64}=[^\r\n\0\"'\\]+")
_CODE = re.compile(r"(?:self\.|os\.|[a-z_][A-Za-z0-9_]*\.)+[A-Za-z_]\w*\Z|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")
_VARIABLE = re.compile(r"[a-z_]*(?:password|passwd|pwd|token|key|secret|credential)[a-z_]*[0-9]?(?:_?v[0-9]+)?\Z")
_PATH = re.compile(
    r"(?:~|\.{1,2})?/(?:[\w.-]+/)*[\w.-]+\.\w{1,6}\Z|[\w./-]+\.(?:pem|key|txt|json|ya?ml|env|cfg|py)\Z|https?://"
)


class _Value:
    __slots__ = ("begin", "end", "quote", "text")

    def __init__(self, text: str, begin: int, end: int, quote: str) -> None:
        self.text = text[begin:end]
        self.begin = begin
        self.end = end
        self.quote = quote


def _name_before(text: str, end: int) -> Tuple[str, str]:
    """The name that ends there, without what an escape before it left, and the character before that."""
    head = text[max(0, end - 64) : end]
    name = head[len(head.rstrip(_NAME_CHARACTERS)) :]
    before = head[-len(name) - 1 : -len(name)] if len(name) < len(head) else ""
    if before == "\\":
        for escape in ("u0026", "u003f", "x26", "x3f", "n", "t", "r", "f", "b"):
            if name.startswith(escape):
                return name[len(escape) :], "&" if len(escape) > 1 else "\n"
    return name, before


def _value(text: str, at: int, bare: Pattern[str]) -> Optional[_Value]:
    quote = _QUOTE.match(text, at)
    if quote is None:
        found = bare.match(text, at)
        return None if found is None else _Value(text, at, found.end(), "")
    mark, begin = quote.group(), quote.end()
    end = _closing(text, begin, mark)
    if end is None:  # cut off: as far as there is no space
        found = bare.match(text, begin)
        return None if found is None else _Value(text, begin, found.end(), "")
    return _Value(text, begin, end, mark)


def _closing(text: str, begin: int, mark: str) -> Optional[int]:
    """Where the quotation ends. At this depth of escaping a quote within it has twice the backslashes, and one more."""
    if mark == "%22":
        end = text.find(mark, begin, begin + _LONGEST)
        return None if end < 0 else end
    unit = len(mark)
    limit = begin + _LONGEST
    for quote in _QUOTES.finditer(text, begin, limit):
        backslashes, character = len(quote.group()) - 1, quote.group()[-1]
        if character == mark[-1] and backslashes >= unit - 1 and (backslashes + 1) // unit % 2 == 1:
            return quote.end() - unit
        if backslashes < unit - 1:
            return None  # the text that quotes this one has ended
    return None


def _judge(text: str, _start: int, after: int) -> Span:
    """The value of the name that ends with the match, where both are a credential's."""
    name, before = _name_before(text, after)
    is_cookie = name.lower().endswith("cookie")
    in_address = before in ("?", "&", "#") or text[max(0, after - len(name) - 5) : after - len(name)].endswith(
        ("&amp;", "%26", "%3F", "%3f")
    )
    strength = "header" if is_cookie else _strength(name, in_address=in_address)
    separator = _SEPARATOR.match(text, after) if strength else None
    if separator is None:
        return after, after
    at, sign = separator.end(), separator.group("sign") or ""
    in_address = in_address and separator.end("sign") == at
    if is_cookie:
        return _cookies(text, at)
    if not in_address or sign not in ("=", "%3D", "%3d"):
        strength = _strength(name, in_address=False)
    if not strength or (not sign and strength != "header") or (sign == ">" and before != "<"):
        return after, after
    value = _value(text, at, _BARE_IN_ADDRESS if in_address else _BARE_OF_HEADER if strength == "header" else _BARE)
    if value is not None and sign == ":" and not value.quote:
        annotated = _ANNOTATED.match(text, at)
        if annotated is not None:
            value = _value(text, annotated.end(), _BARE)
    if value is None:
        return at, at
    end = value.end
    if not value.quote:
        while end > value.begin and text[end - 1] in ".,:;":
            end -= 1
    body = text[value.begin : end]
    if not body or MASK in body or _PLACEHOLDER.match(body) or body.lower() in _WORDS:
        return at, at
    is_secret = _JUDGES[strength](Candidate(name, sign, value.quote, body, text[value.end : value.end + 1]))
    if is_secret:
        return value.begin, end
    return (at, at) if value.quote or end - at < 64 else (end, end)


@functools.lru_cache(maxsize=512)
def _strength(name: str, *, in_address: bool) -> str:
    """How sure a name is that its value is a credential: a key of ``_JUDGES``, empty if it does not say so."""
    plain = re.sub("[_.-]", "", name).lower()
    if _NO_CREDENTIALS.search(name):
        return ""
    if in_address:
        if plain in _ADDRESS_NAMES or plain.endswith((*_PASSWORD_NAMES, *_KEY_NAMES, "token")):
            return "address"
        if plain in _MAYBE_ADDRESS_NAMES:
            return "maybe"
    if plain.endswith(_PASSWORD_NAMES):
        return "password" if plain != "pass" or in_address else ""
    if name.lower().startswith("x-") or plain in ("apikey", "xgoogapikey"):
        return "header" if plain.endswith(_KEY_NAMES) else ""
    if plain.endswith(_KEY_NAMES) or (name.isupper() and plain.endswith(("token", "key")) and "_" in name):
        return "key"
    return "token" if plain.endswith("token") else ""


class Candidate(NamedTuple):
    """``following`` is the character behind the value, ``quote`` empty for a bare one, ``sign`` for a tuple's pair."""

    name: str
    sign: str
    quote: str
    body: str
    following: str

    def has(self, kind: str) -> bool:
        """Whether the value has a character of this kind."""
        return re.search(kind, self.body) is not None

    def is_code(self) -> bool:
        """A path, a variable of the environment; where it is not quoted, a call, an attribute or a variable."""
        body = self.body
        if _PATH.match(body) or re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", body):
            return True
        if self.quote:
            return False
        return self.following in ("(", "[") or _CODE.match(body) is not None or _VARIABLE.match(body) is not None


def _is_password(found: Candidate) -> bool:
    length = len(found.body)
    if found.is_code():
        return False
    if found.quote:
        return length >= 3 and not found.has(r"\s") and found.body.isascii()
    if found.has("[A-Za-z]") and found.has(r"[0-9!@#$%^*+=~/?-]"):
        return length >= (4 if found.sign == "=" else 6) and (found.sign != ":" or found.has("[0-9]"))
    if found.body.isdigit():
        return found.sign == "=" and length >= 4 and found.following not in (",", ")")
    # A word: where none but the value of a variable or of a connection string can stand.
    ends = found.following in ("", ";", "&", "\0", "\n", " ", '"', "'", "\\", "<")
    return found.sign in ("=", ">") and length >= 5 and (found.name.isupper() or ends)


def _is_named_key(found: Candidate) -> bool:
    body = found.body
    if found.is_code() or found.has(r"\s") or len(body) < 8 or _is_made_of_words(body):
        return False
    if found.has("[0-9]") and found.has("[A-Za-z]"):
        return bool(found.quote) or found.sign != ":" or len(body) >= 12 or changes(body) >= 3
    if body.isdigit():
        return len(body) >= 12
    return found.has("[A-Z]") and found.has("[a-z]") and not re.fullmatch("[A-Z]?[a-z]+", body)


def _is_of_header(found: Candidate) -> bool:
    body = found.body
    if len(body) < 6 or found.is_code() or _is_made_of_words(body):
        return False
    is_word = body.islower() or re.fullmatch("[A-Z]?[a-z]+", body) is not None
    return found.has("[0-9]") or not is_word or bool(found.quote and found.sign)


def _is_of_token(found: Candidate) -> bool:
    return (
        len(found.body) >= 16
        and not found.is_code()
        and re.fullmatch(r"[A-Za-z0-9._~+/=:-]+", found.body) is not None
        and found.has("[0-9]")
        and found.has("[A-Za-z]")
        and changes(found.body) >= 4
    )


def _may_be_in_address(found: Candidate) -> bool:
    is_mixed = all(map(found.has, ("[0-9]", "[A-Z]", "[a-z]")))
    return len(found.body) >= 12 and found.has("[0-9]") and (is_mixed or changes(found.body) >= 4)


_JUDGES: Dict[str, Callable[[Candidate], bool]] = {
    "password": _is_password,
    "key": _is_named_key,
    "header": _is_of_header,
    "token": _is_of_token,
    "address": lambda _found: True,
    "maybe": _may_be_in_address,
}


def _is_made_of_words(body: str) -> bool:
    """``sk-no-key-required``, ``your-api-key``, ``not_needed``: each piece is a word that stands for nothing."""
    pieces = [piece for piece in re.split("[^A-Za-z0-9]+", body.lower()) if piece]
    return all(piece in _WORDS or len(piece) < 2 or re.fullmatch("abc(?:123)?|123|1234", piece) for piece in pieces)


def _cookies(text: str, at: int) -> Span:
    quote = _QUOTE.match(text, at)
    begin = at if quote is None else quote.end()
    found = _COOKIES.match(text, begin)
    return (at, at) if found is None else (begin, found.end())


def _judge_before(text: str, start: int, end: int) -> Span:
    span = _judge(text, start, start)
    return span if span[1] > end else (end, end)


_NAME_ENDS = r"(?=(?:\\*[\"'`]|%22)?\]?(?:[ \t]{0,8}(?:[:=>]|%3[ad])|,\s?b?\\*[\"']))"

RULES: Tuple[Rule, ...] = (
    Rule("k", f"k(?=e[yn]|ie)(?<=[a-z_.?&#-]k)(?:ey|en|ie){_NAME_ENDS}", _judge, any_case=True),
    Rule("w", f"w(?=o?r?d)(?:or)?d{_NAME_ENDS}", _judge, any_case=True),
    Rule("c", f"c(?=ret)ret{_NAME_ENDS}", _judge, any_case=True),
    Rule("=", "=(?<=se=|al=|ls=|de=|ig=|re=|ss=|wt=|id=|on=|th=|as=|cy=)", _judge_before, any_case=True),
)
"""By the ends of names: ``key``, ``token``, ``cookie``, ``password``, ``pwd``, ``secret``; of others only with an
equals sign.
"""
