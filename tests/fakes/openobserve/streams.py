"""Streams: stored rows, and the column types that only ever widen (contract section 2, "Type evolution")."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, Dict, Iterable, List, Optional

UTF8, INT64, UINT64, FLOAT64 = "Utf8", "Int64", "UInt64", "Float64"

# Recorded of the two times; every other whole number is Int64.
_UNSIGNED = frozenset(("start_time", "end_time", "__hash__"))
_NARROW_TO_WIDE = (INT64, UINT64, FLOAT64, UTF8)

Record = Dict[str, Any]


class Stream:
    """One stream.

    ``columns`` maps each column it ever received to its type; ``metrics_meta`` is a metric's description.
    """

    def __init__(self, name: str, stream_type: str) -> None:
        self.name = name
        self.type = stream_type
        self.metrics_meta: Optional[Dict[str, str]] = None
        self.columns: Dict[str, str] = {}
        self.rows: List[Record] = []
        self.is_llm_stream = False

    def provision(self, columns: Iterable[str], type_name: str) -> None:
        """Create columns without a value; those that exist keep their type."""
        for column in columns:
            self.columns.setdefault(column, type_name)

    def append(self, records: Iterable[Record]) -> None:
        for record in records:
            for column, value in record.items():
                self._widen(column, _type_of(column, value))
            self.rows.append({column: _cast(value, self.columns[column]) for column, value in record.items()})

    def _widen(self, column: str, received: str) -> None:
        current = self.columns.get(column)
        wider = received if current is None else max(current, received, key=_NARROW_TO_WIDE.index)
        if wider == current:
            return
        self.columns[column] = wider
        # What was stored as a number reads as text from now on: the schema of the stream has one type per column.
        for row in self.rows:
            if column in row:
                row[column] = _cast(row[column], wider)


def number_text(value: float) -> str:
    """A number as the server writes it into a string column: never an exponent, no ``.0`` (Rust's ``Display``).

    The contract shows ``0.1`` only (section 2); ``1`` for ``1.0`` is inferred from the language it names.
    """
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = format(Decimal(repr(value)), "f")
    return text[:-2] if text.endswith(".0") else text


def _type_of(column: str, value: Any) -> str:
    if isinstance(value, str):
        return UTF8
    if isinstance(value, float):
        return FLOAT64
    return UINT64 if column in _UNSIGNED else INT64


def _cast(value: Any, type_name: str) -> Any:
    if type_name == UTF8 and not isinstance(value, str):
        return number_text(value)
    if type_name == FLOAT64:
        return float(value)
    return value
