"""SQL over streams: SQLite made as strict as OpenObserve where SQLite would let a wrong query pass.

A column the stream never received is an error (contract 6.1), never a text; SUM and AVG refuse text (contract 0.1).
Not checked, because SQLite cannot: columns missing from GROUP BY, and a CAST of text that is no number.
"""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .openobserve_streams import FLOAT64, INT64, UINT64, UTF8, Stream

_SQLITE_TYPE = {UTF8: "TEXT", INT64: "INTEGER", UINT64: "INTEGER", FLOAT64: "REAL"}
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


class SqlError(Exception):
    """A query the server refuses with HTTP 400; ``code`` is the one in its JSON body."""

    # The contract names two codes; of all other errors it only says 400.
    code = 400


class StreamNotFound(SqlError):
    code = 20002


class FieldNotFound(SqlError):
    code = 20004


def run(query: str, streams: Mapping[str, Stream], window_us: Optional[Tuple[int, int]] = None) -> List[Dict[str, Any]]:
    """Rows of a SELECT, each a dict in the query's column order, absent values None.

    ``window_us``: only rows whose ``_timestamp`` is in ``[start, end)``, as the search API has it. Raises SqlError.
    """
    if not re.match(r"\s*(select|with)\b", query, re.IGNORECASE):
        raise SqlError("only SELECT is allowed: " + query)
    connection = sqlite3.connect(":memory:")
    try:
        connection.create_function("histogram", -1, _histogram)
        connection.create_function("str_match", 2, lambda field, text: field is not None and text in field)
        connection.create_aggregate("sum", 1, _Sum)
        connection.create_aggregate("avg", 1, _Average)
        try:
            for stream in streams.values():
                _load(connection, stream, window_us)
            cursor = connection.execute(_bracket_identifiers(query))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor]
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _translate(str(error)) from error
    finally:
        connection.close()


def _bracket_identifiers(query: str) -> str:
    # SQLite reads "x" as the text 'x' where there is no column x, which would hide exactly the error to be found.
    def bracket(token: re.Match[str]) -> str:
        text = token.group()
        return "[" + text[1:-1].replace('""', '"') + "]" if text.startswith('"') else text

    return _TOKENS.sub(bracket, query)


def _load(connection: sqlite3.Connection, stream: Stream, window_us: Optional[Tuple[int, int]]) -> None:
    columns = list(stream.columns.items())
    rows = [row for row in stream.rows if window_us is None or window_us[0] <= row["_timestamp"] < window_us[1]]
    declared = ", ".join(f"[{name}] {_SQLITE_TYPE[type_name]}" for name, type_name in columns)
    connection.execute(f"CREATE TABLE [{stream.name}] ({declared})")
    connection.executemany(
        "INSERT INTO [{}] VALUES ({})".format(stream.name, ", ".join("?" * len(columns))),
        [tuple(_bindable(row.get(name)) for name, _ in columns) for row in rows],
    )


def _bindable(value: Any) -> Any:
    # SQLite's integers are signed; only a nonsensical end_time gets above that.
    return float(value) if isinstance(value, int) and value >= 2**63 else value


def _translate(message: str) -> SqlError:
    for pattern, kind, text in (
        (r"no such column: (?:.*\.)?(.+)", FieldNotFound, "Search field not found: "),
        (r"no such table: (.+)", StreamNotFound, "Search stream not found: "),
    ):
        match = re.match(pattern, message)
        if match:
            return kind(text + match.group(1))
    if "'step' method raised" in message:
        return SqlError("SUM and AVG take numbers; this column is Utf8: CAST(... AS BIGINT)")
    return SqlError(message)


class _Sum:
    def __init__(self) -> None:
        self.values: List[Any] = []

    def step(self, value: Any) -> None:
        if isinstance(value, str):
            raise TypeError("text")
        if value is not None:
            self.values.append(value)

    def finalize(self) -> Any:
        return sum(self.values) if self.values else None


class _Average(_Sum):
    def finalize(self) -> Any:
        return sum(self.values) / len(self.values) if self.values else None


def _histogram(timestamp_us: Optional[int], interval: str = "1 minute") -> Optional[str]:
    # The server picks the default interval from the time range; a test that cares names one.
    if timestamp_us is None:
        return None
    match = re.match(r"(\d+) ?(second|minute|hour|day)s?$", interval)
    if match is None:
        raise ValueError("not an interval: " + interval)
    width = int(match.group(1)) * _UNITS_S[match.group(2)]
    seconds = timestamp_us // 1000000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds - seconds % width))
