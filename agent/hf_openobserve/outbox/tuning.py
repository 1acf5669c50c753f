"""How large, how many and how often: one value for an outbox and who sends from it."""

from __future__ import annotations

from typing import NamedTuple, Tuple


class Tuning(NamedTuple):
    """The defaults are the product's; tests pass others."""

    segment_bytes: int = 4 * 1024 * 1024
    segment_spans: int = 512
    """A segment is sealed beyond these, so that it is one request: what a sender that is killed sends twice."""

    seal_after_s: float = 10.0
    """Of a process that sends nothing itself: how long a span may wait before another process can take it."""

    batch_spans: int = 512
    batch_bytes: int = 5 * 1024 * 1024
    """Of one request: those of a whole segment."""
    batch_segments: int = 32
    """Segments sent as one request. Each one is an open file, and the host may be short of descriptors."""
    smallest_batch_bytes: int = 64 * 1024
    """However little a gateway takes in one request: one span more or less is not what it minds."""
    smallest_cut_bytes: int = 16 * 1024
    """A span that is still too large for the server at this size is not cut further."""

    flush_steps_s: Tuple[float, ...] = (0.2, 0.4, 0.7, 1.0)
    """Delay between a span and its delivery: short for the first ones, which somebody waits to see."""
    idle_scan_s: float = 15.0
    """How often an idle sender looks for segments that dead processes left."""
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 60.0
    blocked_retry_s: float = 60.0
    """After a refusal that only a person can mend: how long until it is worth asking again."""
    drain_again_after_s: float = 5.0
    """After a drain that did not empty the outbox, further ones return at once for so long."""
    telling_s: float = 60.0
    """How long one process has for telling the server of losses before another one may."""


DEFAULT = Tuning()
