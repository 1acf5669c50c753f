"""The door for ``opentelemetry-instrument``: distro, configurator and hook, all thin.

They arm; the agent does the work.

The wrapper's loader calls them in the child process, before the program: distro, then configurators, then the
``pre_instrument`` hooks, then ``load_instrumentor`` once for each installed instrumentor.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from hf_openobserve.clients import table
from hf_openobserve.door import switches, watch_imports
from hf_openobserve.process import diagnostics, entry_points

NAME = "hf_openobserve"

_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"
"""The wrapper's loader, and its logger."""


class OpenObserveDistro(BaseDistro):  # type: ignore[misc]
    """Puts our provider in place and watches imports."""

    def _configure(self, **_: Any) -> None:
        _silence_the_losing_configurators()
        if not switches.is_switched_off(os.environ):
            diagnostics.guarded("distro", _enter)
        _run_shadowed_sitecustomize()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument as the stock distro does, at once.

        The client libraries of ``clients.table`` are ours, armed already: four packages use the name ``openai``, and
        one call must be one span (docs/laws.md#7).
        """
        if watch_imports.door.name is not None and entry_point.name not in table.BY_NAME:
            super().load_instrumentor(entry_point, **kwargs)


class OpenObserveConfigurator:
    """The SDK is not configured here: that is the agent's business, at the first span.

    The loader asks for no base class.
    """

    def configure(self, **kwargs: Any) -> None:
        """Do nothing, or hand over to another configurator where another distro was asked for.

        The loader comes here then too: for our preselection, or because it found us first and nobody named a
        configurator.
        """
        asked_for = os.environ.get("OTEL_PYTHON_CONFIGURATOR") or NAME
        if (os.environ.get("OTEL_PYTHON_DISTRO") or NAME) != NAME and asked_for == NAME:
            _silence_the_losing_configurators()
            _configure_another(**kwargs)


def pre_instrument() -> None:
    """The last net: the loader ran without our preselection and took another distro that nobody had asked for."""
    if watch_imports.door.name is None and not os.environ.get("OTEL_PYTHON_DISTRO"):
        diagnostics.guarded("pre_instrument", watch_imports.arm, "pythonpath")


def _enter() -> None:
    from hf_openobserve.pipeline import provider

    if watch_imports.arm("wrapper"):
        provider.become_global(watch_imports.agent().provider)


def _configure_another(**kwargs: Any) -> None:
    for entry_point in entry_points.in_group("opentelemetry_configurator"):
        if entry_point.name != NAME:
            entry_point.load()().configure(**kwargs)
            return


def _silence_the_losing_configurators() -> None:
    """Keep the loader from saying, in every process, what is no trouble: the configurator not chosen, an old openai.

    The logger is the loader's own and so private in name; a rename would bring the warning back and break nothing.
    """
    logging.getLogger(_LOADER).addFilter(_is_worth_saying)


def _is_worth_saying(entry: logging.LogRecord) -> bool:
    text = str(entry.msg)
    # OpenInference asks for openai >= 2.8, and the loader says so before it asks us: we instrument 1.66 all the same.
    conflict = text.startswith("openai only instruments") or 'requested: "openai ' in text
    return not conflict and not text.startswith("Configuration of %s not loaded")


def _run_shadowed_sitecustomize() -> None:
    """Run the user's sitecustomize, which the wrapper's own shadows. Errors in it are said as Python says them."""
    import opentelemetry.instrumentation.auto_instrumentation as loader

    from hf_openobserve.bootstrap import sitecustomize

    here = os.path.dirname(os.path.abspath(sitecustomize.__file__))
    theirs = os.path.dirname(os.path.abspath(loader.__file__ or ""))
    try:
        sitecustomize.run_shadowed([here, theirs])  # type: ignore[no-untyped-call]
    except Exception as error:  # noqa: BLE001 - site.execsitecustomize() does the same
        if sys.stderr is not None:
            sys.stderr.write(
                f"Error in sitecustomize; set PYTHONVERBOSE for traceback:\n{type(error).__name__}: {error}\n"
            )
