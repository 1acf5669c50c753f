"""A shipment: from the outboxes that are found to one destination, by the agent's own claims and delivery."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set

from hf_openobserve.cli import contents
from hf_openobserve.openobserve.ingest import Client
from hf_openobserve.outbox import counters, places
from hf_openobserve.outbox.claims import Claim, Claims
from hf_openobserve.outbox.delivery import INTERRUPTED, Delivery
from hf_openobserve.outbox.descriptors import Descriptors
from hf_openobserve.outbox.metering import MetricsDelivery
from hf_openobserve.outbox.metrics_store import MetricsStore
from hf_openobserve.outbox.names import Names

if TYPE_CHECKING:
    from hf_openobserve.config.metrics import Metrics
    from hf_openobserve.config.settings import Destination
    from hf_openobserve.openobserve import answers
    from hf_openobserve.outbox.directory import Directory
    from hf_openobserve.outbox.pricing import Pricing
    from hf_openobserve.outbox.segment import Record


class UnsuitableDirectoryError(OSError):
    """A directory whose segments cannot be sent from where they are; the text says why."""


class Tally:
    """What has become of the spans since the start: by the names of the counters."""

    def __init__(self) -> None:
        self.spans: Dict[str, int] = Counter()
        self.rejected_reason = ""

    @property
    def settled(self) -> int:
        """The number of spans that left the outbox, or at least its queue."""
        return sum(self.spans.values())


class Left(NamedTuple):
    """What is left in the outboxes, in spans."""

    sendable: int
    too_old: int
    held: int
    others: Dict[str, int]
    """Of other destinations, by identity."""
    unread: contents.Unread


class _Tallied(counters.Counters):
    """The counters of a directory, which are tallied too."""

    def __init__(self, directory: Directory, tally: Tally) -> None:
        super().__init__(lambda: directory)
        self._tally = tally

    def add(self, name: str, starts: Iterable[int], count: Optional[int] = None) -> None:
        known = list(starts)
        super().add(name, known, count)
        self._tally.spans[name] += len(known) if count is None else count


class Waiting:
    """One directory to be sent from, as a store for the delivery: nothing is appended, evicted or made in it."""

    max_bytes = sys.maxsize

    def __init__(
        self,
        directory: Directory,
        destination: str,
        tally: Tally,
        not_before: Callable[[], int] = lambda: 0,
        identities: Optional[Set[str]] = None,
    ) -> None:
        """What began before ``not_before()`` (nanoseconds since the epoch) stays.

        Only segments written for one of ``identities`` are sent; None: all. Raises ``UnsuitableDirectoryError``.
        """
        if not directory.can_be_emptied():
            raise UnsuitableDirectoryError(
                f"{directory.path} cannot be written, and what is delivered must be deleted there"
            )
        self.counters: counters.Counters = _Tallied(directory, tally)
        self._tally = tally
        self._claims = Claims(lambda: directory, destination, lives_on=False)
        self._not_before = not_before
        self._identities = identities
        self._passed_over: Set[str] = set()
        """Segments that were found to hold nothing but spans that are too old."""

    def seal(self) -> None:
        """Nothing is written."""

    def claim(self) -> Iterator[Claim]:
        """What nobody holds, oldest first; of each segment only the spans that the server still takes."""
        for claimed in self._claims.claim(self._is_wanted):
            claimed.let_stay(self._not_before())
            if claimed.records:
                yield claimed
            else:
                self._passed_over.add(claimed.path)

    def set_aside(self, record: Record) -> None:
        """Keep a span that the server refuses. Raises OSError."""
        try:
            self._claims.set_aside(record)
        except OSError as error:
            self._tally.rejected_reason = f"refused, and it could not be set aside: {error}"
            raise

    def make_room(self) -> int:
        """Nothing is dropped."""
        return 0

    def _is_wanted(self, place: Directory, name: str) -> bool:
        if os.path.join(place.path, name) in self._passed_over:
            return False
        return self._identities is None or contents.identity(place, name) in self._identities


class Shipment:
    """One run. ``progressed`` is told how many spans are settled; once it is ``ending`` the server is asked no more."""

    def __init__(
        self,
        destination: Destination,
        window_s: Optional[float],
        roots: List[str],
        progressed: Callable[[int], None],
        ending: Callable[[], bool],
        metrics: Optional[Metrics] = None,
        pricing: Optional[Pricing] = None,
    ) -> None:
        self.destination = destination
        self.window_s = window_s
        self._metrics = metrics
        self._pricing = pricing
        self._metrics_delivery: Optional[MetricsDelivery] = None
        self.roots = roots
        self.tally = Tally()
        self.failure: Optional[answers.Verdict] = None
        """Why the last attempt ended early; None if it did not."""
        self.ending = ending
        self._progressed = progressed
        self._delivery: Optional[Delivery] = None
        self._open_directories: Set[str] = set()

    def not_before(self) -> int:
        """Start in nanoseconds since the epoch of the oldest span that the server still takes."""
        return 0 if self.window_s is None else time.time_ns() - int(self.window_s * 1e9)

    def open(self) -> None:
        """Find the directories that are ours and have appeared since the last time.

        Raises ``OutboxUnavailableError`` or ``UnsuitableDirectoryError`` for one that cannot be sent from.
        """
        unread = contents.Unread()
        for root in self.roots:
            for directory in contents.directories(root, unread):
                if directory.path in self._open_directories:
                    continue
                by_name = self._is_ours_by_name(directory)
                if not by_name:
                    waiting = contents.segments(directory, unread)
                    if not any(contents.identity(*found) in self._identities() for found in waiting):
                        continue
                    if not directory.is_private():  # it may be any directory at all
                        raise UnsuitableDirectoryError(f"{directory.path} is open to other users: chmod 700 it first")
                self._add(directory, by_name)
                self._open_directories.add(directory.path)

    def deliver(self) -> bool:
        """One attempt to deliver all that waits. True if the server took everything; see ``wait_s`` if not.

        Raises what ``open`` does, and OSError when what was delivered cannot be deleted.
        """
        self.open()
        if self._delivery is None:
            return True
        delivered = self._delivery.deliver()
        if delivered and self._metrics_delivery is not None:
            self._metrics_delivery.deliver()  # a server that takes none of them has said so, and they wait
        self.failure = None if self._delivery.failure is INTERRUPTED else self._delivery.failure
        return delivered

    def wait_s(self) -> float:
        """Seconds until the next attempt is due after one that failed."""
        return self._delivery.backoff.wait_s() if self._delivery is not None else 0.0

    @property
    def reason(self) -> str:
        """Of ``failure``, in one line; empty if there is none."""
        return "" if self.failure is None else contents.one_line(self.failure.reason)

    def look(self) -> Left:
        """Count what is in the outboxes now. Reads every segment."""
        not_before = self.not_before()
        sendable = too_old = held = 0
        others: Dict[str, int] = {}
        unread = contents.Unread()
        ids = {places.destination_id(identity) for identity in self._identities()}
        for root in self.roots:
            for directory in contents.directories(root, unread, ids):
                by_name = self._is_ours_by_name(directory)
                found = contents.read(directory, unread)
                for segment in found.segments:
                    count = len(segment.starts)
                    if not by_name and segment.destination not in self._identities():
                        identity = found.destination or os.path.basename(directory.path)
                        others[identity] = others.get(identity, 0) + count
                    elif segment.held:
                        held += count
                    else:
                        old = sum(start < not_before for start in segment.starts)
                        sendable += count - old
                        too_old += old if _is_local(directory) else 0
        return Left(sendable, too_old, held, others, unread)

    def complete(self, left: Left) -> bool:
        """Whether all that waited was accepted."""
        lost = self.tally.settled - self.tally.spans[counters.ACCEPTED]
        return not (left.sendable or left.too_old or left.unread.lines or lost)

    def as_dictionary(self, left: Left) -> Dict[str, Any]:
        """The shape that the command documents."""
        return {
            "destination": self.destination.shown_endpoint,
            "accepted": self.tally.spans[counters.ACCEPTED],
            "rejected": self.tally.spans[counters.REJECTED],
            "rejected_reason": self.tally.rejected_reason,
            "set_aside": self.tally.spans[counters.SET_ASIDE],
            "expired": self.tally.spans[counters.EXPIRED],
            "remaining": left.sendable,
            "too_old": left.too_old,
            "held": left.held,
            "others": {identity: count for identity, count in left.others.items() if count},
            "unreadable_segments": len(left.unread.lines),
            "failure": self.reason or None,
            "complete": self.complete(left),
        }

    def sentence(self, left: Left) -> str:
        """The final line."""
        accepted, rejected, set_aside, expired = (
            self.tally.spans[name]
            for name in (counters.ACCEPTED, counters.REJECTED, counters.SET_ASIDE, counters.EXPIRED)
        )
        why = ""
        if rejected:
            reasons = [contents.one_line(self.tally.rejected_reason)] if self.tally.rejected_reason else []
            if self.destination.kind == "openobserve":
                reasons.append("unless it is set otherwise, it takes none that began more than 5 h ago")
            why = f" ({'; '.join(reasons)})" if reasons else ""
        aside = " (kept under rejected/)" if set_aside else ""
        old = ""
        if expired:
            old = f", {expired:,} expired (began more than {self.window_text} ago: dropped)"
        if left.too_old:
            ago = f"began more than {self.window_text} ago"
            old += f", {left.too_old:,} too old ({ago}: not sent, they stay in the outbox)"
        return (
            f"{spans(accepted)} accepted, {rejected:,} rejected by the server{why}, "
            f"{set_aside:,} set aside{aside}, {left.sendable:,} remaining{old}."
        )

    @property
    def window_text(self) -> str:
        """The window for people."""
        return f"{(self.window_s or 0) / 3600:g} h"

    def _answered(self, verdict: answers.Verdict) -> None:
        if verdict.rejected:
            self.tally.rejected_reason = verdict.reason
        self._progressed(self.tally.settled)

    def _is_ours_by_name(self, directory: Directory) -> bool:
        return places.id_of(directory.path) in {places.destination_id(identity) for identity in self._identities()}

    def _identities(self) -> Set[str]:
        return {self.destination.identity, "local"}

    def _add(self, directory: Directory, by_name: bool) -> None:
        if by_name and self._metrics is not None and not _is_local(directory):
            self._add_metrics(directory, self._metrics)
        # What is written back and set aside says of itself where it comes from.
        identity = "local" if _is_local(directory) else self.destination.identity
        waiting = Waiting(
            directory,
            identity,
            self.tally,
            self.not_before if _is_local(directory) else lambda: 0,
            None if by_name else self._identities(),
        )
        if self._delivery is None:
            client = Client(self.destination)
            self._delivery = Delivery(
                waiting, client, self.window_s, ending=self.ending, answered=self._answered, pricing=self._pricing
            )
        else:
            self._delivery.also_from(waiting)

    def _add_metrics(self, directory: Directory, metrics: Metrics) -> None:
        waiting = MetricsStore(
            lambda: places.metrics(directory), self.destination.identity, Names(), Descriptors(), sys.maxsize
        )
        if self._metrics_delivery is None:
            self._metrics_delivery = MetricsDelivery(waiting, Client(metrics.destination), ending=self.ending)
            self._metrics_delivery.optional = not metrics.is_asked_for
        else:
            self._metrics_delivery.also_from(waiting)


def spans(count: int) -> str:
    """So many of them, for people."""
    return f"{count:,} span{'' if count == 1 else 's'}"


def _is_local(directory: Directory) -> bool:
    """True for the outbox of spans that were recorded without a destination: nothing expires there."""
    return places.id_of(directory.path) == "local"
