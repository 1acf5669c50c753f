"""Calls as OpenObserve has them, through its search API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Set

from hf_openobserve.cli.calls import COLUMNS, CONTENT_COLUMNS, Call, is_call, of_row
from hf_openobserve.row.columns import OBSERVATION_TYPES

if TYPE_CHECKING:
    from hf_openobserve.openobserve.api import Api

MOST_CALLS = 50_000
"""Of one reading, the newest."""
AHEAD_US = 600 * 1_000_000
"""Clocks of programs may be so far ahead of ours."""

_ROWS = 1000
_ROWS_WITH_CONTENT = 100
"""Of one answer: each may hold a long conversation."""
_KIND = "openinference_span_kind"


class Stored(NamedTuple):
    """Calls in the order of their start. ``older_left_out``: there are more than are read at once."""

    calls: List[Call]
    older_left_out: bool


def read(
    api: Api,
    since_us: int,
    now_us: int,
    *,
    ended_after_ns: int = 0,
    with_content: bool,
    most: int = MOST_CALLS,
    advance: Callable[[int], Any] = lambda _: None,
) -> Stored:
    """The calls that began at ``since_us`` (microseconds since the epoch) or later, each once.

    ``ended_after_ns``: only those that ended then or later. ``most``: of more, about so many of the newest.
    ``advance`` is told how many there are so far. Raises ``ApiError``.
    """
    # A query that names a column which no row ever had fails (docs/server-contract.md): only those that exist are
    # named.
    there = api.schema(api.stream)
    if _KIND not in there:
        return Stored([], older_left_out=False)
    names = [name for name in (*COLUMNS, *(CONTENT_COLUMNS if with_content else ())) if name in there]
    kinds = ", ".join(f"'{kind}'" for kind in OBSERVATION_TYPES)
    stream = api.stream.replace('"', '""')
    sql = (
        f'SELECT {", ".join(names)} FROM "{stream}" WHERE {_KIND} IN ({kinds}) '  # noqa: S608 - names of ours alone
        f"AND end_time >= {ended_after_ns} ORDER BY _timestamp DESC"
    )
    size = min(most, _ROWS_WITH_CONTENT if with_content else _ROWS)
    found: List[Call] = []
    seen: Set[str] = set()
    for first in range(0, most, size):
        rows = api.search(sql, since_us, now_us + AHEAD_US, size=size, first=first)
        for call in map(of_row, filter(is_call, rows)):
            if call.key not in seen:  # rows move on while others are stored; and one may be stored twice
                seen.add(call.key)
                found.append(call)
        advance(len(found))
        if len(rows) < size:
            return Stored(found[::-1], older_left_out=False)
    return Stored(found[::-1], older_left_out=True)
