"""The floor of the wrapper command: a distro and a configurator that do nothing, with no instrumentor beside them."""

from __future__ import annotations

from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro


class NoopDistro(BaseDistro):
    """Configures nothing."""

    def _configure(self, **_: Any) -> None:
        pass


class NoopConfigurator:
    """Configures nothing; the loader asks for no base class."""

    def configure(self, **_: Any) -> None:
        """Nothing."""
