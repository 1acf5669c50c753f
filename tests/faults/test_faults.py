"""Every row of the fault table under the agent, against the bare program. ``publish`` adds the stock pipeline."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import harness
from faults import rows, running

pytestmark = pytest.mark.timeout(300)


_bare = {}


def bare(row):
    """The program alone. Rows with the same program share one run."""
    key = (row.steps, row.place)
    if key not in _bare:
        with tempfile.TemporaryDirectory() as directory:
            _bare[key] = running.run(row, running.BARE, Path(directory))
    return _bare[key]


@pytest.mark.parametrize("row", rows.ROWS, ids=lambda row: row.name)
def test_row(row, tmp_path):
    if row.impossible():
        pytest.skip(row.impossible())
    exit_timeout_s = running.PATIENT_EXIT_TIMEOUT_S if row.at_exit else running.EXIT_TIMEOUT_S
    outcome = running.run_in_time(row, tmp_path, bare(row), exit_timeout_s)
    assert running.complaints(row, outcome, bare(row), exit_timeout_s) == []


def test_the_published_table_has_these_rows():
    """``make faults`` writes it. A row that was changed has to be run there again."""
    page = (harness.REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    faults = [line.split(" | ")[0][2:] for line in page.splitlines() if line.startswith("| ")]
    assert [fault for fault in faults if fault != "fault"] == [row.name for row in rows.ROWS]
