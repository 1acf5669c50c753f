"""A query by SQLite, made as strict as OpenObserve where SQLite would let a wrong query pass.

A column the stream never received is an error (contract 6.1), never a text; SUM and AVG refuse text (contract 0.1).
Not checked, because SQLite cannot: columns missing from GROUP BY, and a CAST of text that is no number.
"""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Any, List, Optional, Tuple

from . import sql
from .streams import FLOAT64, INT64, UINT64, UTF8, Record, Stream

_SQLITE_TYPE = {UTF8: "TEXT", INT64: "INTEGER", UINT64: "INTEGER", FLOAT64: "REAL"}
_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_UNITS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def run(query: str, found: List[Tuple[Stream, List[Record]]]) -> sql.Rows:
    if not re.match(r"\s*(select|with)\b", query, re.IGNORECASE):
        word = (query.split() or ["EOF"])[0]
        raise sql.ParseError(f'ParserError("Expected: an SQL statement, found: {word} at Line: 1, Column: 1")')
    connection = sqlite3.connect(":memory:")
    try:
        connection.create_function("histogram", 2, _histogram)
        connection.create_function("str_match", 2, lambda field, text: field is not None and text in field)
        connection.create_aggregate("sum", 1, _Sum)
        connection.create_aggregate("avg", 1, _Average)
        try:
            for stream, rows in found:
                _load(connection, stream, rows)
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


def _load(connection: sqlite3.Connection, stream: Stream, rows: List[Record]) -> None:
    columns = list(stream.columns.items())
    declared = ", ".join(f"[{name}] {_SQLITE_TYPE[type_name]}" for name, type_name in columns)
    connection.execute(f"CREATE TABLE [{stream.name}] ({declared})")
    connection.executemany(
        "INSERT INTO [{}] VALUES ({})".format(stream.name, ", ".join("?" * len(columns))),
        [tuple(_bindable(row.get(name)) for name, _ in columns) for row in rows],
    )


def _bindable(value: Any) -> Any:
    # SQLite's integers are signed; only a nonsensical end_time gets above that.
    return float(value) if isinstance(value, int) and value >= 2**63 else value


def _translate(message: str) -> sql.SqlError:
    field = re.match(r"no such column: (?:.*\.)?(.+)", message)
    if field is not None:
        return sql.FieldNotFound(field.group(1))
    table = re.match(r"no such table: (.+)", message)
    if table is not None:
        return sql.StreamNotFound("Search stream not found: " + table.group(1))
    if "syntax error" in message or "incomplete input" in message:
        return sql.ParseError(f'ParserError("{message}")')
    if "'step' method raised" in message:
        return sql.ExecuteError("Error during planning: SUM and AVG take numbers; this column is text")
    return sql.ExecuteError(message)


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


def _histogram(timestamp_us: Optional[int], interval: str) -> Optional[str]:
    if timestamp_us is None:
        return None
    match = re.match(r"(\d+) ?(second|minute|hour|day)s?$", interval)
    if match is None:
        raise ValueError("not an interval: " + interval)
    width = int(match.group(1)) * _UNITS_S[match.group(2)]
    seconds = timestamp_us // 1000000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds - seconds % width))
