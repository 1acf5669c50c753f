"""Imports and requests without a word: the packages we use may warn or log, and stderr is not ours (docs/laws.md#1).

``warnings.catch_warnings`` would replace the filters of the whole process and put old ones back over what other threads
have set meanwhile. Here one entry is added in front, for these packages alone, and that entry is taken out again.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from contextlib import contextmanager
from typing import Any, Iterator

_PACKAGES = re.compile(
    r"(chardet|deprecated|dotenv|google|hf_openobserve|openinference|opentelemetry|requests|urllib3|wrapt)\b"
)


@contextmanager
def imports() -> Iterator[None]:
    """Ignore warnings attributed to the packages the agent imports, also if the application turns them into errors."""
    # The form of an entry of warnings.filters: action, message, category, module, line (0 is any).
    entry: Any = ("ignore", None, Warning, _PACKAGES, 0)
    filters: Any = warnings.filters
    filters.insert(0, entry)
    try:
        yield
    finally:
        if entry in filters:
            filters.remove(entry)


_HTTP_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "requests.sessions")

_here = threading.local()


def _is_the_applications(_: logging.LogRecord) -> bool:
    return not getattr(_here, "sending", False)


@contextmanager
def http_logging() -> Iterator[None]:
    """Keep what requests and urllib3 log of the requests made within, on this thread, out of every handler."""
    for name in _HTTP_LOGGERS:
        logging.getLogger(name).addFilter(_is_the_applications)  # once, however often it is added
    _here.sending = True
    try:
        yield
    finally:
        _here.sending = False
