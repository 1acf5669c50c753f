"""The value of an Authorization header from what people paste, and every text that must be masked because of it."""

from __future__ import annotations

import base64
import re
from typing import List


def authorization_of(token: str) -> str:
    """``OPENOBSERVE_AUTH_TOKEN`` as a value of the Authorization header, empty if none can be made of it."""
    token = _without_header_name(token)
    scheme, rest = (*token.split(None, 1), "", "")[:2]
    if scheme.lower() == "basic":
        return f"Basic {_padded(rest)}" if b":" in decoded(rest) else ""
    if scheme.lower() == "bearer":
        return f"{scheme} {rest}" if re.fullmatch(r"[!-~]+", rest) else ""
    # Any text of the right length decodes to something; a user and a password are text again.
    text = decoded(token).decode("utf-8", "replace")
    if ":" in text and text.isprintable() and "\ufffd" not in text:
        return f"Basic {_padded(token)}"
    user, colon, password = token.partition(":")
    if user and colon and password and not re.search(r"\s", user) and not password.startswith("//"):
        return basic(token)
    return ""


def _without_header_name(token: str) -> str:
    """OpenObserve shows the whole header, and the whole header is what gets pasted."""
    return re.sub(r"(?i)^authorization\s*[:=]\s*", "", token)


def basic(credentials: str) -> str:
    """The header's value for ``user:password``."""
    return "Basic " + base64.b64encode(credentials.encode("utf-8", "surrogateescape")).decode("ascii")


def _padded(encoded: str) -> str:
    """Base64 with the padding that the server's decoder insists on and a copied text often has lost."""
    bare = encoded.rstrip("=")
    return bare + "=" * (-len(bare) % 4)


def decoded(encoded: str) -> bytes:
    """What the base64 holds; nothing if it is none."""
    try:
        return base64.b64decode(_padded(encoded).encode("ascii"), validate=True)
    except ValueError:
        return b""


def token_secrets(token: str) -> List[str]:
    """Everything a token could show up as: as given, as sent, its base64, its password."""
    return [token, *header_secrets("authorization", authorization_of(token) or _without_header_name(token))]


def header_secrets(name: str, value: str) -> List[str]:
    """The value and its parts if the header's name or its length make it a credential (a tenant's name is none)."""
    if not re.search(r"auth|token|key|secret|passw|cookie|credential", name) and (len(value) < 20 or " " in value):
        return []
    scheme, _, rest = value.partition(" ")
    secrets = [value, rest.strip()]
    if scheme.lower() == "basic":
        account = decoded(rest.strip()).decode("utf-8", "surrogateescape")
        secrets += [rest.strip().rstrip("="), account, account.partition(":")[2]]
    return secrets
