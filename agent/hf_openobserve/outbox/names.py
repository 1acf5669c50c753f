"""Names of new segments: they begin with the time, so that the oldest is first, and end with their process's own."""

from __future__ import annotations

import os
import time
import uuid

from hf_openobserve.outbox.places import SUFFIX


class Names:
    """Of one process: so many endings in an outbox, so many processes write. Containers may all have the same pid."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """A forked child is another process."""
        self._ours = uuid.uuid4().hex[:8]

    def new(self) -> str:
        """One that was not there before."""
        return f"{time.time_ns():020d}-{os.getpid()}-{self._ours}{SUFFIX}"
