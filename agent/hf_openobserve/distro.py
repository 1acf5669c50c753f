"""The door for ``opentelemetry-instrument``: distro, configurator and hook, all thin. They arm; ``activate`` does the work.

The wrapper's loader calls them in the child process, before the program: distro, then configurators, then the
``pre_instrument`` hooks, then ``load_instrumentor`` once for each installed instrumentor.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
import sys
from typing import Any, List

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from hf_openobserve import arm, diagnostics, entry_points, switches, trigger

NAME = "hf_openobserve"

_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"
"""The wrapper's loader, and its logger."""


class OpenObserveDistro(BaseDistro):  # type: ignore[misc]
    """Puts our provider in place and arms the trigger; loads the other instrumentors when their library is imported."""

    def _configure(self, **_: Any) -> None:
        _silence_the_losing_configurators()
        if not switches.is_switched_off(os.environ):
            diagnostics.guarded("distro", _enter)
        _run_shadowed_sitecustomize()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument once the library is imported, if the instrumentor's metadata tells which it is; else at once.

        ``openai`` and ``huggingface_hub`` are ours, armed already: four packages use the first name, and one call must
        be one span (law 7).
        """
        if arm.door is None or entry_point.name in ("openai", "huggingface_hub"):
            return
        modules = diagnostics.guarded("distro", _instrumented_modules, entry_point, default=None)
        if not modules:
            super().load_instrumentor(entry_point, **kwargs)
            return
        pending = [entry_point]

        def instrument(_: Any) -> None:
            # Several modules may stand for one library: the first one loads the instrumentor.
            if not pending:
                return
            try:
                super(OpenObserveDistro, self).load_instrumentor(pending.pop(), **kwargs)
            except Exception:
                # As the loader does for those that it loads itself, by the same logger.
                logging.getLogger(_LOADER).exception("Instrumenting of %s failed", entry_point.name)

        for module in modules:
            trigger.on_import(module, instrument)


class OpenObserveConfigurator:
    """The SDK is not configured here: that is ``activate``'s, at the first span. The loader asks for no base class."""

    def configure(self, **kwargs: Any) -> None:
        """Do nothing, or hand over to another configurator where another distro was asked for.

        The loader comes here then too: for our preselection, or because it found us first and nobody named a configurator.
        """
        asked_for = os.environ.get("OTEL_PYTHON_CONFIGURATOR") or NAME
        if (os.environ.get("OTEL_PYTHON_DISTRO") or NAME) != NAME and asked_for == NAME:
            _silence_the_losing_configurators()
            _configure_another(**kwargs)


def pre_instrument() -> None:
    """The last net: the loader ran without our preselection and took another distro that nobody had asked for."""
    if arm.door is None and not os.environ.get("OTEL_PYTHON_DISTRO"):
        diagnostics.guarded("pre_instrument", arm.arm, "pythonpath")


def _enter() -> None:
    from hf_openobserve import provider

    if arm.arm("wrapper"):
        provider.become_global()


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


_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_INSTRUMENTS_EXTRA = re.compile(r"extra\s*==\s*['\"]instruments(-any)?['\"]")


def _instrumented_modules(entry_point: Any) -> List[str]:
    """Top-level modules of the libraries an instrumentor is for, from its metadata; empty where that does not tell."""
    distribution = getattr(entry_point, "dist", None)
    modules: List[str] = []
    for requirement in (distribution.requires or ()) if distribution is not None else ():
        match = _REQUIREMENT.match(requirement) if _INSTRUMENTS_EXTRA.search(requirement) else None
        if match is not None:
            modules.extend(_top_level_modules(match.group(1)))
    return modules


def _top_level_modules(name: str) -> List[str]:
    """The modules a distribution puts on sys.path; none if it is not installed, or lives in a namespace package.

    A namespace package (``google``) has nothing that is executed, so its import cannot be seen.
    """
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    if distribution.files is None:  # no record of them, as in a system package
        return (distribution.read_text("top_level.txt") or "").split()
    found = set()
    for file in distribution.files:
        if len(file.parts) == 2 and file.name == "__init__.py":
            found.add(file.parts[0])
        elif len(file.parts) == 1 and file.suffix in (".py", ".so", ".pyd"):
            found.add(file.name.partition(".")[0])
    return sorted(found)
