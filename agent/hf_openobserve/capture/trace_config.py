"""OpenInference's configuration as the agent uses it, for every client library."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import Any


def trace_config() -> Any:
    """A ``TraceConfig`` from the environment, but images reach ``privacy`` whole, to be digested there."""
    from openinference.instrumentation import TraceConfig

    if "OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH" in os.environ:
        return TraceConfig()

    class Open(TraceConfig):  # type: ignore[misc]
        """Where nothing is hidden, ``mask`` compares the name of each attribute with two dozen others, twice, for nothing."""

        def mask(self, key: str, value: Any, **_: Any) -> Any:  # noqa: ARG002 - OpenInference's signature
            return value() if callable(value) else value

    made = TraceConfig(base64_image_max_length=sys.maxsize)
    return Open(base64_image_max_length=sys.maxsize) if _hides_nothing(made) else made


def _hides_nothing(config: Any) -> bool:
    """True if every option that is known has its default. One that is not known may hide something."""
    hides = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    known = {name for name in hides if name.startswith("hide_")} | {"base64_image_max_length", "blob_uploader"}
    if hides.keys() - known - {"enable_genai_semconv"}:
        return False
    return not any(value for name, value in hides.items() if name != "base64_image_max_length")
