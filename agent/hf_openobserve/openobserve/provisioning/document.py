"""A document of the package - a dashboard, an alert - beside what stands on the server.

Whether somebody has changed it there by hand is known from a mark at the end of its description: the digest of what was
applied. It goes where the document goes, whichever machine applies next.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from typing import Any, Dict, List, NamedTuple, Tuple

Json = Dict[str, Any]

_MARK = re.compile(r"\s*\[hf-openobserve ([0-9a-f]{16})\]$")


class Standing(NamedTuple):
    """A document as it stands on the server."""

    id: str
    ours: bool
    """Whether we applied it, or it stands in our folder; what others made may have the same name."""
    content: Json
    """What of it a person can change, without the mark."""
    mark: str
    """The digest of what was applied; empty where somebody has taken it away."""
    folder: str
    handle: Any
    """What the API needs to change it."""

    @property
    def edited(self) -> bool:
        """Whether it is another one than was applied."""
        return digest(self.content) != self.mark


def marked(body: Json, content: Json) -> Json:
    """The document to send: with the digest of its content at the end of its description."""
    return {**body, "description": f"{body.get('description', '')} [hf-openobserve {digest(content)}]".strip()}


def unmarked(body: Json) -> Tuple[Json, str]:
    """Without the mark, and the mark."""
    description = str(body.get("description") or "")
    found = _MARK.search(description)
    return {**body, "description": _MARK.sub("", description)}, found.group(1) if found else ""


def digest(content: Json) -> str:
    """Of what is left when null and empty members are: a server adds some, and leaves others out."""
    text = json.dumps(_filled(content), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def difference(stands: Json, wanted: Json) -> List[str]:
    """Lines of a unified diff, what stands first; empty if they mean the same."""
    before, after = (
        json.dumps(_filled(content), indent=1, sort_keys=True, ensure_ascii=False).splitlines()
        for content in (stands, wanted)
    )
    return list(difflib.unified_diff(before, after, "on the server", "in the package", lineterm="", n=1))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        members = {name: _filled(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in (None, "", [], {})}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # some servers store 2 as 2.0
    return value
