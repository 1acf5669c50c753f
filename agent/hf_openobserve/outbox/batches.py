"""What goes into one request: segments put together, and records cut apart. Pure."""

from __future__ import annotations

from typing import Iterable, Iterator, List, Protocol, TypeVar

from hf_openobserve.outbox.segment import Record
from hf_openobserve.outbox.tuning import Tuning


class Holdable(Protocol):
    """A claim, as far as it is put together with others."""

    records: List[Record]
    held: bool

    def release(self) -> None:
        """Give it back."""


Claimed = TypeVar("Claimed", bound=Holdable)


def size_of(records: Iterable[Record]) -> int:
    """The bytes of their payloads."""
    return sum(len(payload) for _, payload in records)


def portions(claims: Iterable[Claimed], max_bytes: int, tuning: Tuning) -> Iterator[List[Claimed]]:
    """Segments, as they come, as many together as make one request. They are the caller's to release."""
    portion: List[Claimed] = []
    try:
        spans = size = 0
        for claimed in claims:
            claimed.held = True
            more = size_of(claimed.records)
            if portion and (
                len(portion) >= tuning.batch_segments
                or spans + len(claimed.records) > tuning.batch_spans
                or size + more > max_bytes
            ):
                complete, portion, spans, size = portion, [claimed], 0, 0
                yield complete
            else:
                portion.append(claimed)
            spans += len(claimed.records)
            size += more
        complete, portion = portion, []
        if complete:
            yield complete
    finally:
        for claimed in portion:
            claimed.release()


def cut(records: List[Record], max_spans: int, max_bytes: int) -> List[List[Record]]:
    """Requests of at most so many spans and about so many bytes, in order."""
    result: List[List[Record]] = []
    size = 0
    for record in records:
        if not result or len(result[-1]) >= max_spans or size + len(record[1]) > max_bytes:
            result.append([])
            size = 0
        result[-1].append(record)
        size += len(record[1])
    return result


def halves(batch: List[Record], *, by_bytes: bool) -> List[List[Record]]:
    """Two parts of a batch of at least two, in order: of as many spans, or of about as many bytes."""
    middle = len(batch) // 2
    if by_bytes:
        half, size = size_of(batch) / 2, 0
        for middle, (_, payload) in enumerate(batch):  # noqa: B007 - where it stops is what counts
            size += len(payload)
            if size > half:
                break
        middle = min(max(1, middle), len(batch) - 1)
    return [batch[:middle], batch[middle:]]
