"""Imports without a word: the packages we import may warn at import, and the application's stderr is not ours (law 1).

``warnings.catch_warnings`` would replace the filters of the whole process and put old ones back over what other threads
have set meanwhile. Here one entry is added in front, for these packages alone, and that entry is taken out again.
"""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import Any, Iterator

_PACKAGES = re.compile(
    r"(chardet|deprecated|dotenv|google|hf_openobserve|openinference|opentelemetry|requests|urllib3|wrapt)\b"
)


@contextmanager
def imports() -> Iterator[None]:
    """Ignore warnings attributed to the packages the agent imports, also where the application turns them into errors."""
    # The form of an entry of warnings.filters: action, message, category, module, line (0 is any).
    entry: Any = ("ignore", None, Warning, _PACKAGES, 0)
    filters: Any = warnings.filters
    filters.insert(0, entry)
    try:
        yield
    finally:
        if entry in filters:
            filters.remove(entry)
