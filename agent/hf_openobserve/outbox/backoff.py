"""When the next attempt is due after one that failed."""

from __future__ import annotations

import random
import time

from hf_openobserve.openobserve import answers
from hf_openobserve.outbox.tuning import Tuning

_random = random.SystemRandom()


class Backoff:
    """The pause grows with each failure, with full jitter, unless the server or the kind of its refusal names one."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self.failures = 0
        """In a row."""
        self.patient = False
        """Whether an attempt before its time is known to fail."""
        self._not_before = 0.0

    def failed(self, verdict: answers.Verdict) -> None:
        """An attempt has ended with this."""
        self.failures += 1
        self.patient = True
        if verdict.outcome == answers.BLOCKED:
            delay = self._tuning.blocked_retry_s
        elif verdict.retry_after_s is not None:
            delay = verdict.retry_after_s
        else:
            ceiling = min(self._tuning.backoff_cap_s, self._tuning.backoff_base_s * 2 ** min(self.failures - 1, 16))
            # The application may have seeded ``random``, and its numbers are its own.
            delay, self.patient = _random.uniform(0, ceiling), False
        self._not_before = time.monotonic() + delay

    def succeeded(self) -> None:
        """The server takes spans."""
        self.failures = 0
        self.patient = False
        self._not_before = 0.0

    def wait_s(self) -> float:
        """Seconds until the next attempt is due; 0 if none failed."""
        return max(0.0, self._not_before - time.monotonic())
