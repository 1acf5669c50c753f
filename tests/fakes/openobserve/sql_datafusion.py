"""A query by DataFusion. Importing this module fails where it is not installed."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal
from typing import Any, Callable, Dict, List, Tuple

import pyarrow as pa
from datafusion import SessionContext, SQLOptions, udf

from . import sql
from .streams import FLOAT64, INT64, UINT64, UTF8, Record, Stream

# Utf8View is how the server reads text columns: its errors name it.
_TYPES = {UTF8: pa.string_view(), INT64: pa.int64(), UINT64: pa.uint64(), FLOAT64: pa.float64()}
# OpenObserve's own functions of two texts, for the queries of dashboards and alerts.
_FUNCTIONS: Dict[str, Callable[[str, str], bool]] = {
    "str_match": lambda field, text: text in field,
    "str_match_ignore_case": lambda field, text: text.lower() in field.lower(),
    "match_field": lambda field, text: text in field,
    "match_field_ignore_case": lambda field, text: text.lower() in field.lower(),
    "re_match": lambda field, pattern: re.search(pattern, field) is not None,
    "re_not_match": lambda field, pattern: re.search(pattern, field) is None,
}
_ORIGIN = "to_timestamp('2001-01-01T00:00:00')"


def run(query: str, found: List[Tuple[Stream, List[Record]]]) -> sql.Rows:
    context = SessionContext()
    for stream, rows in found:
        context.register_record_batches(stream.name, [[_batch(stream, rows)]])
    for name, function in _FUNCTIONS.items():
        context.register_udf(udf(_columnwise(function), [pa.string(), pa.string()], pa.bool_(), "immutable", name))
    reading = SQLOptions().with_allow_ddl(False).with_allow_dml(False).with_allow_statements(False)
    statement = sql.rewrite_calls(query, "histogram", _date_bin)
    try:
        batches = context.sql_with_options(statement, reading).collect()
    except Exception as error:
        raise _translated(str(error)) from error
    return [{name: _plain(value) for name, value in row.items()} for batch in batches for row in batch.to_pylist()]


def _batch(stream: Stream, rows: List[Record]) -> Any:
    columns = sorted(stream.columns.items())
    arrays = [pa.array([row.get(name) for row in rows], _TYPES[type_name]) for name, type_name in columns]
    return pa.record_batch(arrays, names=[name for name, _ in columns])


def _columnwise(function: Callable[[str, str], bool]) -> Callable[[Any, Any], Any]:
    def apply(fields: Any, texts: Any) -> Any:
        pairs = zip(fields.to_pylist(), texts.to_pylist())
        return pa.array([None if None in pair else function(*pair) for pair in pairs], pa.bool_())

    return apply


def _date_bin(arguments: str) -> str:
    field, interval = arguments.rsplit(",", 1)
    return f"date_bin(interval {interval.strip()}, to_timestamp_micros({field.strip()}), {_ORIGIN})"


def _plain(value: Any) -> Any:
    """As JSON has it: times as text, what is no number as nothing."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        value = float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _translated(message: str) -> sql.SqlError:
    field = re.search(r"Schema error: No field named (.+?)\. ", message + " ", re.DOTALL)
    if field is not None:
        return sql.FieldNotFound(field.group(1))
    table = re.search(r"table 'datafusion\.public\.(.+)' not found", message)
    if table is not None:
        return sql.StreamNotFound("Search stream not found: " + table.group(1))
    parser = re.search(r"SQL error: (ParserError.*)", message, re.DOTALL)
    if parser is not None:
        return sql.ParseError(parser.group(1))
    return sql.ExecuteError(message)
