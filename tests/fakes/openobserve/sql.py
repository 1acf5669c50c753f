"""SQL over streams, by DataFusion, which is OpenObserve's engine: its errors and types are the server's.

DataFusion needs Python 3.10. Where it is not installed SQLite answers, made as strict as OpenObserve where it would let
a wrong query pass; the version matrix runs on it.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from .streams import Record, Stream

Rows = List[Dict[str, Any]]

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE = re.compile(r"\b(?:from|join)\s+(?:\"([^\"]+)\"|(\w+))", re.IGNORECASE)
# Recorded: a minute for two hours. The other steps are ours: no documentation names the server's.
_HISTOGRAM_STEPS = ((2 * 3600, 60), (3600, 30), (1800, 15))


class SqlError(Exception):
    """A query the server refuses; ``code`` is the one in its JSON body, ``detail`` the engine's own sentence."""

    code = 400
    detail = ""


class StreamNotFound(SqlError):
    code = 20002


class FieldNotFound(SqlError):
    code = 20004


class ExecuteError(SqlError):
    """What the engine cannot plan or execute: recorded of the sum of a text column."""

    code = 20008

    def __init__(self, detail: str) -> None:
        super().__init__("Search SQL execute error")
        self.detail = detail


class ParseError(SqlError):
    """``detail`` is the parser's."""

    def __init__(self, detail: str) -> None:
        super().__init__("Error# SQL error: " + detail)


def run(query: str, streams: Mapping[str, Stream], window_us: Optional[Tuple[int, int]] = None) -> Rows:
    """Rows of a SELECT, each a dict in the query's column order, absent values None.

    ``window_us``: only rows whose ``_timestamp`` is in ``[start, end)``, as the search API has it. Raises SqlError.
    """
    engine = _engine()
    begin, end = window_us or (0, 0)
    statement = rewrite_calls(query, "histogram", lambda arguments: _with_interval(arguments, end - begin))
    named = [streams[name] for name in tables(query) if name in streams]
    found: List[Tuple[Stream, List[Record]]] = [(stream, _within(stream.rows, window_us)) for stream in named]
    try:
        return engine(statement, found)
    except FieldNotFound as error:
        raise FieldNotFound(_field_message(str(error), query, named)) from error


def tables(query: str) -> List[str]:
    """Names after FROM and JOIN, each once."""
    return list(dict.fromkeys(quoted or plain for quoted, plain in _TABLE.findall(query)))


def histogram_seconds(span_us: int) -> int:
    """The width of ``histogram(_timestamp)`` without an interval, by the length of the time range."""
    return next((width for length, width in _HISTOGRAM_STEPS if span_us >= length * 1000000), 10)


def with_default_order(query: str) -> str:
    """Recorded: rows come latest first where the query neither orders nor aggregates."""
    bare = _QUOTED.sub("''", query)
    if re.search(r"\b(order\s+by|group\s+by|distinct|union|over)\b|^\s*with\b|\(\s*select\b", bare, re.IGNORECASE):
        return query
    if re.search(r"\b(count|sum|avg|min|max|median|stddev|var|approx_\w+|array_agg)\s*\(", bare, re.IGNORECASE):
        return query
    if not re.match(r"\s*select\b", bare, re.IGNORECASE):
        return query
    limit = re.search(r"\blimit\s+\d+(\s+offset\s+\d+)?\s*;?\s*$", query, re.IGNORECASE)
    end = limit.start() if limit else len(query.rstrip().rstrip(";"))
    return f"{query[:end].rstrip()} ORDER BY _timestamp DESC {query[end:]}"


def without_dashboard_all(query: str) -> str:
    """A variable of a dashboard that is set to all arrives as ``_o2_all_``: the server makes ``true`` of the condition.

    Not recorded: read in the server's source, which knows more operators than IN.
    """
    return re.sub(r"\b\w+\s+IN\s*\(\s*'_o2_all_'\s*\)", "true", query, flags=re.IGNORECASE)


def order_by(query: str) -> List[Tuple[str, str]]:
    """The columns of the last ORDER BY, each with ``asc`` or ``desc``."""
    clauses = re.split(r"\border\s+by\b", query, flags=re.IGNORECASE)
    if len(clauses) == 1:
        return []
    items = re.split(r"\b(?:limit|offset)\b", clauses[-1], flags=re.IGNORECASE)[0].split(",")
    return [
        (item.split()[0].strip('"'), "desc" if item.strip().lower().endswith(" desc") else "asc")
        for item in items
        if item.strip()
    ]


def rewrite_calls(query: str, name: str, replacement: Callable[[str], str]) -> str:
    """The query with each call ``name(arguments)`` outside of quotes replaced by what is made of its arguments."""
    blank = _QUOTED.sub(lambda quoted: "'" + "_" * (len(quoted.group()) - 2) + "'", query)
    match = re.search(rf"\b{name}\s*\(", blank, re.IGNORECASE)
    if match is None:
        return query
    depth, end = 1, match.end()
    while end < len(blank) and depth:
        depth += {"(": 1, ")": -1}.get(blank[end], 0)
        end += 1
    if depth:
        return query
    rest = rewrite_calls(query[end:], name, replacement)
    return query[: match.start()] + replacement(query[match.end() : end - 1]) + rest


def _with_interval(arguments: str, span_us: int) -> str:
    return (
        f"histogram({arguments})"
        if "," in arguments
        else f"histogram({arguments}, '{histogram_seconds(span_us)} seconds')"
    )


def _within(rows: List[Record], window_us: Optional[Tuple[int, int]]) -> List[Record]:
    return [row for row in rows if window_us is None or window_us[0] <= row["_timestamp"] < window_us[1]]


def _field_message(field: str, query: str, named: List[Stream]) -> str:
    """Recorded: the server plans with the columns that the query names, and lists only those."""
    words = set(re.findall(r"\w+", query))
    valid = [
        f"{stream.name}.{column}"
        for stream in named
        for column in sorted(stream.columns)
        if column in words or column == "_timestamp"
    ]
    return f"Search field not found: Schema error: No field named {field}. Valid fields are {', '.join(valid)}."


def _engine() -> Callable[[str, List[Tuple[Stream, List[Record]]]], Rows]:
    try:
        from . import sql_datafusion
    except ImportError:
        from . import sql_sqlite

        return sql_sqlite.run
    return sql_datafusion.run
