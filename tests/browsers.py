"""A real browser for the tests of pages: the system's Chromium, driven by playwright, which brings none of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any, Iterator

VARIABLE = "HF_OPENOBSERVE_CHROMIUM"
"""The path of a Chromium or Chrome that is not on PATH."""
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def missing() -> str:
    """Why no browser can be started; empty if one can."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed (tests/requirements.txt): NOT TESTED in a browser"
    return "" if _path() else f"no Chromium on PATH, see {VARIABLE}: NOT TESTED in a browser"


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """playwright's ``Browser``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Its sandbox asks for rights that root, and most containers, do not give.
        browser = playwright.chromium.launch(executable_path=_path(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _path() -> str:
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), "") or ""
