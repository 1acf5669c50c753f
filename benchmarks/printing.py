"""How results are shown: a plain table, the same as Markdown for docs/benchmarks.md, a line on the machine, JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, List, Mapping, Sequence

from figures import Result, Samples


def say(text: str) -> None:
    """Progress, for who waits; the figures go to standard output."""
    print(text, file=sys.stderr, flush=True)


def header(versions: Mapping[str, str]) -> str:
    """What the figures hold for: date, interpreter, machine, how busy it is, packages."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    date = time.strftime("%d %B %Y")
    return f"{date}, Python {platform.python_version()}, {machine}; {packages}"


def load_note() -> str:
    """A warning if other work takes a share of the machine; empty if it does not."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= cores * 0.75:
        return ""
    return (
        f"The machine is busy (load {load:.1f} on {cores} cores): CPU times and ratios within this run count, "
        "wall times and small differences do not; repeat it on a quiet one."
    )


def table(results: Sequence[Result], *, markdown: bool = False) -> str:
    """One line per row: the ratio (or difference) first, absolute figures last."""
    lines = [("", "ratio", "quartiles", "target", "", "figures"), *(_cells(result) for result in results)]
    if markdown:
        # Markdown would make leading spaces go away, and an asterisk an emphasis.
        rows = ["| " + " | ".join(cell.strip().replace("*", "\\*") for cell in line) + " |" for line in lines]
        rows.insert(1, "|---" * len(lines[0]) + "|")
        text = "\n".join(rows)
    else:
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
    if any(result.is_disturbed for result in results):
        mark = "\\*" if markdown else "*"
        text += (
            f"\n\n{mark} the ratio of medians lies outside its own quartiles: "
            "other work disturbed this row, repeat the run"
        )
    return text


def _cells(result: Result) -> List[str]:
    row = result.row
    form = "{:+.2f} " + row.unit if row.difference else "{:.2f}x"
    low, high = result.spread
    more = f" more than {row.base}" if row.base else ""
    figures = f"{row.variant} {result.ours:.4g} {row.unit}{more}, {row.against} {result.theirs:.4g} {row.unit}{more}"
    target = "" if row.limit is None else "<= " + form.format(row.limit)
    between = f"{low:+.2f} .. {high:+.2f}" if row.difference else f"{low:.2f} .. {high:.2f}"
    between += " *" if result.is_disturbed else ""
    return [row.title, form.format(result.value), between, target, result.mark, figures]


def write_json(path: str, title: str, results: Sequence[Result], samples: Samples, **more: Any) -> None:
    """All numbers, for who compares runs."""
    numbers = {
        "header": title,
        "rows": [
            {
                "title": result.row.title.strip(),
                "what": result.row.what,
                "variant": result.row.variant,
                "against": result.row.against,
                "unit": result.row.unit if result.row.difference else "ratio",
                "value": result.value,
                "quartiles": list(result.spread),
                "limit": result.row.limit,
                "mark": result.mark,
            }
            for result in results
        ],
        "samples": samples.as_json(),
        **more,
    }
    Path(path).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
