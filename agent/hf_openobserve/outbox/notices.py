"""What has been said by a program of many processes: an empty file in the outbox for each line, as long as it is fresh.

Processes of one group belong together: a server's workers, a shell script's steps. A command that is started anew has a
group of its own, and says it again. Where no outbox can be written each process says it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from typing import Optional

from hf_openobserve.outbox import places

SUFFIX = ".said"
FRESH_S = 600.0
"""A process that begins later says it again: whoever looks at the end of a log finds it."""
_OURS = re.compile(r"[0-9a-f]{16}\.said")


def is_new(explicit_root: Optional[str], line: str) -> bool:
    """True for the first process of its group that asks within ``FRESH_S``.

    Raises OSError where nothing can be written.
    """
    root = places.make_root(explicit_root)
    name = hashlib.sha256(f"{_group()} {line}".encode()).hexdigest()[:16] + SUFFIX
    now = time.time()
    for entry, status in root.entries(_OURS):
        if not 0 <= now - status.st_mtime < FRESH_S:
            with contextlib.suppress(OSError):  # another process was faster, or it is another user's
                root.unlink(entry)
    try:
        os.close(root.create(name))
    except FileExistsError:
        return False
    return True


def _group() -> str:
    """The process group, on this host and since it began: numbers come again."""
    leader = os.getpgrp()
    try:
        with open(f"/proc/{leader}/stat", "rb") as file:
            began = file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):  # it has ended, or there is no such file system
        began = ""
    return f"{os.uname().nodename} {leader} {began}"
