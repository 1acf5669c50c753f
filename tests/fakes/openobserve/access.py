"""Who may call what: users, passwords and the tokens that only write (contract 1.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Dict, NamedTuple, Optional, Tuple

from .http import Answer, json_answer
from .personality import Personality
from .routing import Call, Refused, Route, done, failed

# Recorded: the same header whatever the scheme that was tried.
UNAUTHORIZED = Answer(401, {"www-authenticate": 'Bearer realm="openobserve"'}, "Unauthorized Access")


class Credentials(NamedTuple):
    """The first user and the ingestion token of every organization. ``root``: whether that user is root."""

    user: str
    password: str
    ingestion_token: str
    root: bool


class Access:
    """Users and tokens of one server. A user is a member of every organization that exists."""

    def __init__(self, credentials: Credentials) -> None:
        self.passwords: Dict[str, str] = {credentials.user: credentials.password}
        self._ingestion_token = credentials.ingestion_token
        self._root = credentials.user if credentials.root else None

    def is_root(self, user: str) -> bool:
        return user == self._root

    def passcode(self, user: str, personality: Personality) -> str:
        """What may write and nothing else: one per organization, before 0.91 one per user."""
        if not personality.ingestion_token_per_user:
            return self._ingestion_token
        return base64.b64encode(hashlib.sha256(user.encode()).digest(), b"Ab").decode()[:16]

    def user_of(self, authorization: Optional[str], writes: bool, personality: Personality) -> str:
        """The caller's name; Refused 401 for one who may not. ``writes``: tokens that only write are enough."""
        if authorization is None:
            raise Refused(json_answer(401, {"code": 401, "message": "Unauthorized Access"}))
        if authorization.startswith("Bearer "):
            raise Refused(UNAUTHORIZED._replace(body="Not Supported"))
        user, password = _basic(authorization)
        if user is None or password is None:
            raise Refused(UNAUTHORIZED)
        if self.passwords.get(user) == password:
            return user
        tokens = [self._ingestion_token]
        if user in self.passwords:
            tokens.append(self.passcode(user, personality))
        if not writes or password not in tokens:
            raise Refused(UNAUTHORIZED)
        return user


def _basic(authorization: str) -> Tuple[Optional[str], Optional[str]]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None, None
    return (user, password) if scheme == "Basic" and colon else (None, None)


def _create_user(call: Call) -> Answer:
    body = call.json()
    email, password = body.get("email"), body.get("password")
    if not isinstance(email, str) or not isinstance(password, str):
        return failed(400, "Please specify appropriate fields")
    if email in call.api.access.passwords:
        return failed(400, "User already exists")
    call.api.access.passwords[email] = password
    return done("User saved successfully")


def _passcode(call: Call) -> Answer:
    passcode = call.api.access.passcode(call.user, call.api.personality)
    return json_answer(200, {"data": {"passcode": passcode, "user": call.user}})


ROUTES = (
    Route("POST", r"/api/([^/]+)/users", _create_user),
    Route("GET", r"/api/([^/]+)/passcode", _passcode),
)
