"""The cost of calls, added to their spans on the way out of the outbox: what waits there stays as it was recorded.

A price list may have been corrected when a span is sent, and no list is read in a process that sends nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from hf_openobserve.otlp import edit
from hf_openobserve.outbox import places
from hf_openobserve.outbox.directory import OutboxUnavailableError
from hf_openobserve.process import diagnostics
from hf_openobserve.row.cost_columns import LLM_ROW, NEEDED

if TYPE_CHECKING:
    from hf_openobserve.config.prices import PriceList

OFF = "off"
"""In place of the path of the user's file: no cost is computed."""
_LLM_ROW = LLM_ROW.encode()
_PROVIDER = b"hf.provider."
"""Has every call that a list of providers' prices may know; a span without it is not looked into for these."""


class Pricing:
    """The price lists of a process, read when the first call is priced."""

    def __init__(self, path: str = "") -> None:
        """``path``: of the user's price list, or ``OFF``; empty: there is none."""
        self._path = path
        self._own: List[PriceList] = []
        self._general: Optional[List[PriceList]] = None

    def load(self) -> None:
        """Import what is needed, and read the lists. What cannot be used is said, and does without."""
        if self.is_loaded:
            return
        from hf_openobserve.config import prices
        from hf_openobserve.row import cost  # noqa: F401 - whoever loads may hold back forks meanwhile

        own: List[PriceList] = []
        if self._path:
            try:
                own.append(prices.of_file(self._path))
            except (OSError, ValueError) as error:
                diagnostics.pass_the_programs_own()
                why = prices.reason(error)
                diagnostics.say_once(
                    f"OPENOBSERVE_HF_PRICES: {self._path} {why}; costs are computed without it", about="prices"
                )
            for problem in own[0].problems[:1] if own else ():
                diagnostics.say_once(f"OPENOBSERVE_HF_PRICES: {self._path}: {problem}; it is left out", about="prices")
        taken = diagnostics.guarded("prices", updated)
        self._own = own
        self._general = [found for found in (taken, prices.bundled()) if found is not None]  # last: it is loaded now

    def __call__(self, payload: bytes) -> bytes:
        """The serialised request with what its calls cost, as far as that is known."""
        if self._path == OFF or _LLM_ROW not in payload:
            return payload
        priced: bytes = diagnostics.guarded("cost", self._priced, payload, default=payload)
        return priced

    @property
    def is_loaded(self) -> bool:
        """True if there is nothing to be imported or read any more."""
        return self._general is not None or self._path == OFF

    def columns(self, call: Mapping[str, Any], nanoseconds: int) -> Mapping[str, Any]:
        """What is to be added to the columns of a call that lasted so long."""
        if self._path == OFF:
            return {}
        self.load()
        from hf_openobserve.row import cost

        return cost.columns(call, nanoseconds, self._own, self._general or ())

    def _priced(self, payload: bytes) -> bytes:
        self.load()
        if not self._own and _PROVIDER not in payload:
            return payload
        return edit.add_attributes(payload, NEEDED, self._columns_of_row)

    def _columns_of_row(self, attributes: Mapping[str, Any], nanoseconds: int) -> Mapping[str, Any]:
        return self.columns(attributes, nanoseconds) if LLM_ROW in attributes else {}


def updated_path() -> str:
    """Where `hf-openobserve prices update` keeps the router's list.

    Raises ``OutboxUnavailableError``: there is no home.
    """
    return os.path.join(os.path.dirname(places.default_root()), "prices.json")


def updated() -> Optional[PriceList]:
    """That list; None if it has not been taken. Raises OSError and ValueError where it cannot be used."""
    from hf_openobserve.config import prices

    try:
        return prices.of_file(updated_path())
    except (FileNotFoundError, NotADirectoryError, OutboxUnavailableError):
        return None
